"""Axes: from numbers to places on a chart, ticks at round numbers, and labels that keep apart."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

FONT = 11.0  # pixels, as the page's style has it
# Widths of letters by their height, of DejaVu Sans: no font that browsers take for theirs is wider.
CAPITAL, OTHER, FULL = 0.79, 0.64, 1.3
LETTERS = {
    **dict.fromkeys("ijl'|.,:; !/\\", 0.34),
    **dict.fromkeys("ftrI-()[]", 0.42),
    **dict.fromkeys("w+=<>~", 0.84),
    **dict.fromkeys("mMW%@&", 1.0),
    "_": 0.5,
}
Box = tuple[float, float, float, float]  # left, top, right, bottom


def width_of(text: str, size: float = FONT) -> float:
    """Return the width that a text takes at most.

    >>> round(width_of("1,000"), 1), round(width_of("gemm"), 1)
    (31.9, 36.1)
    """
    return size * sum(LETTERS.get(letter) or letter_width(letter) for letter in text)


def letter_width(letter: str) -> float:
    """Return the width of a letter that is not among `LETTERS`, by its height."""
    if not letter.isascii():
        return FULL if unicodedata.east_asian_width(letter) in "WF" else CAPITAL
    return CAPITAL if letter.isupper() else OTHER


def overlap(one: Box, other: Box) -> bool:
    """Tell whether two boxes have a point in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        at = math.log(value) if self.log else value
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Tell whether a value has a place here."""
        return math.isfinite(value) and (value > 0 or not self.log)


def domain(values: Iterable[float], log: bool = False, pad: float = 0.04) -> tuple[float, float]:
    """Return the least and the largest of the values with some room around; (0, 1) for none.

    >>> domain([0.0, 100.0]), domain([5.0, 5.0]), domain([float("nan")])
    ((-4.0, 104.0), (4.5, 5.5), (0.0, 1.0))
    """
    kept = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if not kept:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = min(kept), max(kept)
    if log:
        factor = (high / low) ** pad if high > low * 1.001 else 1.5
        return low / factor, high * factor
    room = pad * (high - low)
    if room <= 1e-9 * max(abs(low), abs(high)):
        room = 0.1 * abs(low) or 1.0
    return low - room, high + room


def ticks(scale: Scale, most: int, whole: bool = False) -> list[float]:
    """Return at most about `most` round numbers on a scale.

    whole: only whole numbers, as epochs are.

    >>> ticks(Scale(0.0, 1.0, 0, 100), 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(Scale(1e-3, 1.0, 0, 100, log=True), 5)
    [0.001, 0.01, 0.1, 1.0]
    """
    if not scale.log:
        return linear_ticks(scale.low, scale.high, most, whole)
    inside = multiples(scale, (1, 2, 5))
    if 2 <= len(inside) <= most:
        return inside
    first, last = math.ceil(math.log10(scale.low) - 1e-9), math.floor(math.log10(scale.high) + 1e-9)
    if last - first >= 1:
        stride = math.ceil((last - first + 1) / max(1, most))
        found = [float(f"1e{e}") for e in range(first, last + 1, stride)]
        if len(found) > 1:
            return found
    return [v for v in linear_ticks(scale.low, scale.high, most, whole) if v > 0]


def multiples(scale: Scale, of: Sequence[int]) -> list[float]:
    """Return the whole multiples of powers of ten that a logarithmic scale holds.

    >>> multiples(Scale(0.4, 30.0, 0, 100, log=True), (1, 2, 5))
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    """
    exponents = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    found = [float(f"{m}e{e}") for e in exponents for m in of]
    return [v for v in found if scale.low * (1 - 1e-9) <= v <= scale.high * (1 + 1e-9)]


def linear_ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten between two numbers."""
    raw = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
    digits = max(0, 1 - math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]


def labels(values: Sequence[float]) -> list[str]:
    """Return ticks as text, all with as many digits as tell them apart.

    >>> labels([0.0, 0.5, 1.0]), labels([1e-5, 1e-4]), labels([0.0, 20000.0, 40000.0])
    (['0.0', '0.5', '1.0'], ['1e-5', '1e-4'], ['0', '20k', '40k'])
    >>> labels([100_810.0, 100_820.0]), labels([0.05, 0.1, 0.2])
    (['100,810', '100,820'], ['0.05', '0.1', '0.2'])
    """
    largest = max((abs(v) for v in values), default=0.0)
    if largest >= 1e4:
        ways = ([short(v) for v in values], *([f"{v:,.{d}f}" for v in values] for d in range(4)))
        return next((found for found in ways if len(set(found)) == len(values)), ways[0])
    least = min((abs(v) for v in values if v), default=1.0)
    if least < 1e-3:
        return [_scientific(v) for v in values]
    if len(values) > 1 and values[0] > 0 and all(b >= 1.9 * a for a, b in pairwise(values)):
        return [f"{v:g}" for v in values]  # of a logarithmic scale
    gap = min((b - a for a, b in pairwise(values)), default=largest)
    for digits in range(10):
        found = [f"{v:.{digits}f}" for v in values]
        if all(abs(float(text) - v) <= 0.02 * gap for text, v in zip(found, values)):
            return found
    return [f"{v:.9g}" for v in values]


def short(value: float) -> str:
    """Return a number with a letter for its thousands.

    >>> short(65536.0), short(1e6), short(0.0), short(1e16)
    ('65.5k', '1M', '0', '1e16')
    """
    if abs(value) >= 1e15:
        return _scientific(value)
    for letter, unit in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def _scientific(value: float) -> str:
    if not value:
        return "0"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def fitting(
    scale: Scale, most: int, text: Callable[[Sequence[float]], list[str]], whole: bool = False
) -> tuple[list[float], list[str]]:
    """Return the ticks of a horizontal axis with their labels, so many that labels keep apart."""
    for count in range(most, 0, -1):
        at = ticks(scale, count, whole)
        shown = text(at)
        places = [(scale(v), width_of(t)) for v, t in zip(at, shown)]
        if all(b[0] - a[0] >= (a[1] + b[1]) / 2 + 6 for a, b in pairwise(places)):
            return at, shown
    return at[:1], shown[:1]


def beside(x: float, y: float, text: str, taken: list[Box], within: Box) -> Box | None:
    """Return a free box for the name of a point, near it; None where there is none.

    The nearest of several places around; `taken` are the boxes of other names and points.
    """
    width, height = width_of(text) + 2, FONT + 2
    for far in (6.0, 14.0, 24.0, 36.0, 50.0):
        for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
            left = x + dx * far - (width if dx < 0 else width / 2 if dx == 0 else 0)
            top = y + dy * far - (height if dy < 0 else height / 2 if dy == 0 else 0)
            box = (left, top, left + width, top + height)
            inside = box[0] >= within[0] and box[1] >= within[1]
            inside = inside and box[2] <= within[2] and box[3] <= within[3]
            if inside and not any(overlap(box, other) for other in taken):
                return box
    return None
