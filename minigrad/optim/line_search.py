"""A search along a line for a point that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
DECREASE, CURVATURE = 1e-4, 0.9  # c1 and c2 of the conditions
MOST = 25  # trials of a search
NARROW = 1e-9  # a bracket in which no parameter moves further is closed


class Point(NamedTuple):
    """A point on the line: how far, the value there, its gradient, and the slope along the line."""

    t: float
    value: float
    gradient: Array
    slope: float


def dot(a: Array, b: Array) -> float:
    """Return the inner product of two vectors.

    >>> dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    11.0
    """
    return float((a * b).sum())


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Return where the cubic through two points with their slopes is least, within bounds.

    bounds: by default the two points.

    >>> g = np.zeros(1)
    >>> cubic_minimum(Point(0.0, 1.0, g, -2.0), Point(2.0, 1.0, g, 2.0))
    1.0
    """
    low, high = bounds or (min(a.t, b.t), max(a.t, b.t))
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    under = d1 * d1 - a.slope * b.slope
    if not under >= 0:
        return (low + high) / 2
    d2 = math.sqrt(under)
    a, b = (a, b) if a.t <= b.t else (b, a)
    below = b.slope - a.slope + 2 * d2
    if below == 0:
        return high
    least = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / below)
    return min(max(least, low), high)


def strong_wolfe(
    at: Callable[[float], tuple[float, Array]],
    t: float,
    d: Array,
    value: float,
    gradient: Array,
    slope: float,
) -> tuple[float, float, Array, int]:
    """Return a step along d that lowers the value enough and flattens the slope enough.

    at: gives value and gradient at a step.  t: the first to be tried.  value, gradient, slope: at
        0.
    Returns: the step, value and gradient there, and how many times `at` was called.
    Source: Nocedal and Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6.
    """
    start = Point(0.0, value, gradient, slope)
    tried = 0

    def trial(t: float) -> Point:
        nonlocal tried
        tried += 1
        found, g = at(t)
        return Point(t, found, g, dot(g, d))

    low, high, done = bracket(trial, start, t)
    if not done:
        low = zoom(trial, start, low, high, float(np.abs(d).max()), MOST - (tried - 1))
    return low.t, low.value, low.gradient, tried


def too_high(point: Point, start: Point) -> bool:
    """Return whether a point lies above the line of sufficient decrease."""
    return point.value > start.value + DECREASE * point.t * start.slope


def flat_enough(point: Point, start: Point) -> bool:
    """Return whether the slope has become flat enough."""
    return abs(point.slope) <= -CURVATURE * start.slope


def bracket(trial: Callable[[float], Point], start: Point, t: float) -> tuple[Point, Point, bool]:
    """Return two points between which a good one lies, the lower first; or a good one and True."""
    before, now = start, trial(t)
    for i in range(MOST):
        if too_high(now, start) or (i > 1 and now.value >= before.value):
            return *ordered(before, now), False
        if flat_enough(now, start):
            return now, now, True
        if now.slope >= 0:
            return *ordered(before, now), False
        bounds = now.t + 0.01 * (now.t - before.t), now.t * 10
        before, now = now, trial(cubic_minimum(before, now, bounds))
    return *ordered(start, now), True


def ordered(first: Point, second: Point) -> tuple[Point, Point]:
    """Return two points, the lower one first."""
    return (first, second) if first.value <= second.value else (second, first)


def zoom(
    trial: Callable[[float], Point],
    start: Point,
    low: Point,
    high: Point,
    longest: float,
    most: int,
) -> Point:
    """Return the best point after narrowing a bracket; longest: the largest element of d."""
    stuck = False
    for _ in range(most):
        left, right = min(low.t, high.t), max(low.t, high.t)
        if (right - left) * longest < NARROW:
            break
        t, margin = cubic_minimum(low, high), 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            # The second time in a row at the edge, or beyond it: a step inside.
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        now = trial(t)
        if too_high(now, start) or now.value >= low.value:
            low, high = ordered(low, now)
            continue
        if flat_enough(now, start):
            return now
        if now.slope * (high.t - low.t) >= 0:
            high = low
        low = now
    return low
