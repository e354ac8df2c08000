"""Charts as SVG in the page: lines, bands, named points, bars of a histogram.

A chart is a figure of the page: its caption, the drawing, a legend where there are several series,
and below it the numbers as a table.  Series differ by colour, by dash and by marker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape as escaped

from minigrad_kernels.pages.axes import (
    FONT,
    Box,
    Scale,
    beside,
    domain,
    fitting,
    labels,
    multiples,
    overlap,
    ticks,
    width_of,
)
from minigrad_kernels.pages.page import LIGHT

WIDTH, HEIGHT = 360.0, 230.0
DASHES = ("", "6 3", "2 2.5", "9 3 2 3", "12 4", "4 2", "1 3", "7 2 1 2 1 2")
MARKERS = (  # around (0, 0), 7 pixels wide
    "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0z",
    "M-3 -3h6v6h-6z",
    "M0 -3.8L3.6 2.8H-3.6z",
    "M0 -4L4 0L0 4L-4 0z",
    "M0 3.8L3.6 -2.8H-3.6z",
    "M-1.2 -3.6h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4v-2.4h2.4z",
    "M-3.6 -1.6h7.2v3.2h-7.2z",
    "M-3.6 -2.2L-2.2 -3.6L0 -1.4L2.2 -3.6L3.6 -2.2L1.4 0L3.6 2.2L2.2 3.6L0 1.4L-2.2 3.6L-3.6 2.2"
    "L-1.4 0z",
)
MANY = 100  # points without a marker each
MOST_MARKED = 1e6  # of the ends of a logarithmic axis that is marked between its ticks
MOST_POINTS = 400  # of a line; of more, the least and the largest of each stretch are drawn


@dataclass(frozen=True)
class Series:
    """A line, or points.

    look: which colour, dash and marker.  points: whether markers are drawn; joined: whether a line
    is.  names: of the points, written beside them.  tips: what a pointer over each point shows.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    look: int = 0
    points: bool = False
    joined: bool = True
    names: Sequence[str] = ()
    tips: Sequence[str] = ()


@dataclass(frozen=True)
class Band:
    """What lies between two lines.  kind: "wide", "mid" or "near", from faint to strong."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    look: int = 0
    kind: str = "mid"


@dataclass
class Chart:
    """A chart before it is drawn.

    limits: (x of both ends, y of both ends, name) of lines that are no series.  mark: (x, name) of
    a line upright.  bars: (left, right, height) of a histogram.  x_text, y_text: ticks as texts.
    sizes: of a large drawing, each with the windows at which it is shown: "full-only", "wide-only"
    or "narrow-only".
    whole: whether x are whole numbers.  said: what the chart shows, in a sentence, for those who
    hear the page.  numbers: HTML below the drawing.
    """

    title: str
    series: Sequence[Series] = ()
    bands: Sequence[Band] = ()
    limits: Sequence[tuple[tuple[float, float], tuple[float, float], str]] = ()
    bars: Sequence[tuple[float, float, float]] = ()
    x_label: str = ""
    y_label: str = ""
    log_x: bool = False
    log_y: bool = False
    whole: bool = False
    mark: tuple[float, str] | None = None
    x_text: Callable[[Sequence[float]], list[str]] = labels
    y_text: Callable[[Sequence[float]], list[str]] = labels
    y_range: tuple[float, float] | None = None
    said: str = ""
    numbers: str = ""
    legend: bool = True
    size: tuple[float, float] = (WIDTH, HEIGHT)
    sizes: Sequence[tuple[str, tuple[float, float]]] = ()
    _taken: list[Box] = field(default_factory=list)

    def figure(self) -> str:
        """Return the chart as a figure of the page."""
        keys = [(s.name, s.look, s.points, s.joined) for s in self.series]
        shown = legend(keys) if self.legend and len(keys) > 1 else ""
        drawings = []
        for kind, size in self.sizes or (("", self.size),):
            self.size = size
            drawings.append(self.svg(kind))
        drawn = "\n".join(drawings)
        return (
            f"<figure><figcaption>{escaped(self.title)}</figcaption>\n{drawn}\n{shown}"
            f"{self.numbers}</figure>"
        )

    def svg(self, kind: str = "") -> str:
        """Return the drawing.  kind: of several sizes."""
        width, height = self.size
        self._taken = []
        above = self.mark is not None or self.y_label or self.limits  # what is written there
        y = self._y_scale(22.0 if above else 8.0, height - 34.0)
        y_at = ticks(y, max(2, int((y.start - y.end) / 22))) if self._shows_any() else []
        y_shown = self.y_text(y_at)
        left = max([width_of(text) for text in y_shown] or [0.0]) + 10
        x = self._x_scale(left, width - 14.0)
        room = max((width_of(t) for t in fitting(x, 6, self.x_text, self.whole)[1]), default=0) / 2
        x = self._x_scale(left, width - max(8.0, room))
        parts = [*self._axes(x, y, y_at, y_shown)]
        parts += [self._band(band, x, y) for band in self.bands]
        parts += [self._bar(bar, x, y) for bar in self.bars]
        if self.mark is not None and x.holds(self.mark[0]):
            parts += self._marked(x, y, *self.mark)
        parts += [part for limit in self.limits for part in self._limit(limit, x, y)]
        parts += [self._line(series, x, y) for series in self.series if series.joined]
        parts += [part for series in self.series if series.points for part in _dots(series, x, y)]
        parts += self._names(x, y)
        if not self._shows_any():
            values = [v for s in self.series for v in s.y if math.isfinite(v)]
            said = (
                "no finite value" if not values else "nothing above 0" if min(values) else "all 0"
            )
            parts.append(self._text(width / 2, height / 2 - 8, said, "middle", "faint"))
        label = escaped(self.said or self.title)
        extra = f" {kind}" if kind else ""
        body = "\n".join(part for part in parts if part)
        return (
            f'<svg class="chart{extra}" viewBox="0 0 {width:g} {height:g}" role="img" '
            f'aria-label="{label}">\n{body}\n</svg>'
        )

    def _shows_any(self) -> bool:
        """Tell whether there is a value that has a place on the axes."""
        of_series = (v for s in self.series for v in s.y)
        of_bands = (v for band in self.bands for v in (*band.low, *band.high))
        shown = any(math.isfinite(v) and (v > 0 or not self.log_y) for v in (*of_series, *of_bands))
        return shown or bool(self.bars or self.limits)

    # ------------------------------------------------------------ axes
    def _y_scale(self, top: float, bottom: float) -> Scale:
        values = [v for s in self.series for v in s.y]
        values += [v for band in self.bands for v in (*band.low, *band.high)]
        values += [v for limit in self.limits for v in limit[1]]
        values += [v for bar in self.bars for v in (0.0, bar[2])]
        pad = 0.1 if self.limits else 0.04  # their names need room
        low, high = self.y_range or domain(values, self.log_y, pad)
        if self.bars:
            low = 0.0
        return Scale(low, high, bottom, top, self.log_y)

    def _x_scale(self, left: float, right: float) -> Scale:
        values = [v for s in self.series for v in s.x]
        values += [v for band in self.bands for v in band.x]
        values += [v for limit in self.limits for v in limit[0]]
        values += [v for bar in self.bars for v in bar[:2]]
        pad = 0.04 if self.log_x or any(not s.joined for s in self.series) else 0.01
        return Scale(*domain(values, self.log_x, pad), left, right, self.log_x)

    def _axes(self, x: Scale, y: Scale, at: Sequence[float], shown: Sequence[str]) -> list[str]:
        bottom, top = y.start, y.end
        parts = []
        for value, text in zip(at, shown):
            place = y(value)
            parts.append(_path("grid", f"M{x.start:.1f} {place:.1f}H{x.end:.1f}"))
            parts.append(self._text(x.start - 5, place + 4, text, "end", "faint"))
        x_at, x_shown = fitting(x, max(2, int((x.end - x.start) / 45)), self.x_text, self.whole)
        for value, text in zip(x_at, x_shown):
            parts.append(_path("axis", f"M{x(value):.1f} {bottom:.1f}v4"))
            parts.append(self._text(x(value), bottom + 16, text, "middle", "faint"))
        parts.append(_path("axis", f"M{x.start:.1f} {bottom:.1f}H{x.end:.1f}"))
        parts += self._between(x, y, x_at, at)
        if self.y_label:
            parts.append(self._text(2, top - 9, self.y_label, "start", "faint"))
        if self.x_label:
            parts.append(self._text(x.end, bottom + 30, self.x_label, "end", "faint"))
        return parts

    def _between(
        self, x: Scale, y: Scale, x_at: Sequence[float], y_at: Sequence[float]
    ) -> list[str]:
        """Mark 1, 2, ... 9 times the powers of ten between the ticks of a logarithmic axis."""
        parts = []
        for scale, at, line in (
            (x, x_at, f"M{{:.1f}} {y.start:.1f}v3"),
            (y, y_at, f"M{x.start:.1f} {{:.1f}}h4"),
        ):
            if scale.log and at and scale.high / scale.low <= MOST_MARKED:
                finer = [v for v in multiples(scale, range(1, 10)) if v not in at]
                parts.append(_path("axis", "".join(line.format(scale(v)) for v in finer)))
        if y.log and y_at:
            parts.append(_path("axis", f"M{x.start:.1f} {y.start:.1f}V{y.end:.1f}"))
        return parts

    def _text(self, x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
        """Write a text, and note the box that it takes."""
        width = width_of(text)
        left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
        self._taken.append((left, y - 0.8 * FONT, left + width, y + 0.25 * FONT))
        of_kind = f' class="{kind}"' if kind else ""
        return (
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{of_kind}>{escaped(text)}</text>'
        )

    # ------------------------------------------------------------ what is drawn
    def _line(self, series: Series, x: Scale, y: Scale) -> str:
        points = thinned(series.x, series.y)
        runs: list[list[str]] = [[]]
        for a, b in points:
            if x.holds(a) and y.holds(b):
                runs[-1].append(f"{x(a):.1f} {_held(y(b), y):.1f}")
            elif runs[-1]:
                runs.append([])
        path = "".join(f"M{'L'.join(run)}" for run in runs if len(run) > 1)
        single = "".join(f"M{run[0]}h.1" for run in runs if len(run) == 1)
        look = series.look % len(LIGHT)
        parts = []
        if path:
            dash = f' stroke-dasharray="{DASHES[look]}"' if DASHES[look] else ""
            parts.append(f'<path class="series s{look}"{dash} d="{path}"/>')
        if single:  # an epoch between two that are not finite
            parts.append(
                f'<path class="series s{look}" stroke-linecap="round" stroke-width="5" '
                f'd="{single}"/>'
            )
        return "".join(parts)

    def _band(self, band: Band, x: Scale, y: Scale) -> str:
        rows = [
            (a, low, high)
            for a, low, high in zip(band.x, band.low, band.high)
            if x.holds(a) and y.holds(low) and y.holds(high)
        ]
        if not rows:
            return ""
        if len(rows) > MOST_POINTS:
            rows = rows[:: math.ceil(len(rows) / MOST_POINTS)]
        there = "L".join(f"{x(a):.1f} {_held(y(high), y):.1f}" for a, _, high in rows)
        back = "L".join(f"{x(a):.1f} {_held(y(low), y):.1f}" for a, low, _ in reversed(rows))
        look = band.look % len(LIGHT)
        return _path(f"band {band.kind} f{look}", f"M{there}L{back}z")

    def _bar(self, bar: tuple[float, float, float], x: Scale, y: Scale) -> str:
        left, right, height = x(bar[0]), x(bar[1]), y(bar[2])
        if bar[2] <= 0:
            return ""
        return (
            f'<rect class="f0" x="{left:.1f}" y="{height:.1f}" '
            f'width="{max(right - left - 0.5, 0.5):.1f}" height="{y(0.0) - height:.1f}"/>'
        )

    def _marked(self, x: Scale, y: Scale, at: float, name: str) -> list[str]:
        place, width = x(at), width_of(name)
        first = width_of(self.y_label) + 8 if self.y_label else 0.0
        left = max(first, min(place - width / 2, self.size[0] - width))  # above all curves
        line = _path("mark", f"M{place:.1f} {y.start:.1f}V{y.end - 3:.1f}")
        return [line, self._text(left, y.end - 7, name, "start")]

    def _limit(
        self, limit: tuple[tuple[float, float], tuple[float, float], str], x: Scale, y: Scale
    ) -> list[str]:
        (x0, x1), (y0, y1), name = limit
        line = _path("limit", f"M{x(x0):.1f} {y(y0):.1f}L{x(x1):.1f} {y(y1):.1f}")
        if not name:
            return [line]
        if y0 == y1:
            return [line, self._text(x(x1), y(y1) - 5, name, "end", "faint")]
        taken = [*self._taken, *self._dots(x, y)]
        for part in (0.0, 0.15, 0.3, 0.45, 0.6):  # below the line, where no point is
            at_x = x(x0) + part * (x(x1) - x(x0)) + 4
            at_y = y(y0) + part * (y(y1) - y(y0)) + 13
            box = (at_x, at_y - 0.8 * FONT, at_x + width_of(name), at_y + 0.25 * FONT)
            if not any(overlap(box, other) for other in taken):
                break
        return [line, self._text(at_x, at_y, name, "start", "faint")]

    def _dots(self, x: Scale, y: Scale) -> list[Box]:
        """Return the boxes of all points."""
        return [
            (x(a) - 4, y(b) - 4, x(a) + 4, y(b) + 4)
            for series in self.series
            if series.points
            for a, b in zip(series.x, series.y)
            if x.holds(a) and y.holds(b)
        ]

    def _names(self, x: Scale, y: Scale) -> list[str]:
        """Write the names of points beside them, each where nothing else is."""
        named = [
            (x(a), _held(y(b), y), name)
            for series in self.series
            for a, b, name in zip(series.x, series.y, series.names)
            if name and x.holds(a) and y.holds(b)
        ]
        dots = self._dots(x, y)
        within = (x.start, y.end, self.size[0], y.start)
        parts = []
        for place_x, place_y, name in named:
            taken = self._taken + dots
            box = beside(place_x, place_y, name, taken, within)
            if box is None:  # over other points rather than without a name
                box = beside(place_x, place_y, name, self._taken, within)
            if box is None:
                continue
            near = overlap(box, (place_x - 14, place_y - 14, place_x + 14, place_y + 14))
            if not near:
                end_x = min(max(place_x, box[0]), box[2])
                end_y = min(max(place_y, box[1]), box[3])
                parts.append(_path("lead", f"M{place_x:.1f} {place_y:.1f}L{end_x:.1f} {end_y:.1f}"))
            parts.append(self._text(box[0] + 1, box[1] + 0.85 * FONT, name, "start"))
        return parts


def _path(kind: str, d: str) -> str:
    return f'<path class="{kind}" d="{d}"/>'


def _held(place: float, y: Scale) -> float:
    """Keep a place on the drawing, where a range was given that it leaves."""
    return min(max(place, y.end - 4), y.start + 4)


def _dots(series: Series, x: Scale, y: Scale) -> list[str]:
    look = series.look % len(MARKERS)
    if len(series.x) > MANY and not series.tips:  # a cloud: round dots, in a tenth of the letters
        places = (
            f"M{x(a):.1f} {_held(y(b), y):.1f}h0"
            for a, b in zip(series.x, series.y)
            if x.holds(a) and y.holds(b)
        )
        return [f'<path class="cloud s{look}" d="{"".join(places)}"/>']
    parts = []
    for i, (a, b) in enumerate(zip(series.x, series.y)):
        if x.holds(a) and y.holds(b):
            tip = f"<title>{escaped(series.tips[i])}</title>" if series.tips else ""
            parts.append(
                f'<path class="f{look}" transform="translate({x(a):.1f} {_held(y(b), y):.1f})" '
                f'd="{MARKERS[look]}">{tip}</path>'
            )
    return parts


def thinned(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points of a line; of many, the least and the largest of each stretch, so that no
    peak is lost, and all that are not finite.

    >>> len(thinned(range(10_000), [0.0] * 9_999 + [1.0])) < 1_000
    True
    """
    points = list(zip(x, y))
    if len(points) <= MOST_POINTS:
        return points
    stride = math.ceil(2 * len(points) / MOST_POINTS)
    kept: list[tuple[float, float]] = [points[0]]
    for start in range(1, len(points) - 1, stride):
        part = points[start : min(start + stride, len(points) - 1)]
        finite = [p for p in part if math.isfinite(p[1])]
        ends = [min(finite, key=_height), max(finite, key=_height)] if finite else []
        broken = [p for p in part if not math.isfinite(p[1])]
        kept += sorted(dict.fromkeys(ends + broken[:1]), key=_place)
    return [*kept, points[-1]]


def _height(point: tuple[float, float]) -> float:
    return point[1]


def _place(point: tuple[float, float]) -> float:
    return point[0]


def legend(keys: Sequence[tuple[str, int, bool, bool]]) -> str:
    """Return a legend: (name, look, whether points, whether a line) of each series.

    >>> legend([("a < b", 0, False, True)]).count("a &lt; b")
    1
    """
    found = []
    for name, look, points, joined in keys:
        look %= len(LIGHT)
        dash = f' stroke-dasharray="{DASHES[look]}"' if DASHES[look] else ""
        line = f'<path class="series s{look}"{dash} d="M0 6H28"/>' if joined else ""
        dot = f'<path class="f{look}" transform="translate(14 6)" d="{MARKERS[look]}"/>'
        found.append(
            '<li><svg class="key" viewBox="0 0 28 12" aria-hidden="true">'
            f"{line}{dot if points else ''}</svg>{escaped(name)}</li>"
        )
    return f'<ul class="legend">{"".join(found)}</ul>'
