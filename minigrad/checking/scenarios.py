"""Other points than the one given, where mistakes hide: zeros, ties, both signs, the edges of
branches, large and small values; each finding names its scenario.

A point where the function raises, is not finite or has a kink is no fault.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np

from minigrad.checking.comparison import Jacobians, compare_all, fail
from minigrad.checking.directions import CLOSE, along, random_steps
from minigrad.checking.probes import at_point, drawn, expect, generic, same, tensors
from minigrad.checking.problem import (
    Array,
    Problem,
    analytic,
    gradients,
    numeric_with_bends,
    steps_for,
)
from minigrad.checking.report import GradcheckError, Tolerance
from minigrad.checking.rules import nodes_of
from minigrad.tensors.tensor import Tensor

Move = Callable[[Array, int], Array]
SMALL = 2_500  # elements of all Jacobians up to which every element is compared at every point
FULL = 250_000  # and up to which where a direction differs
SINGULAR = 1e12  # values beyond which a point of the check's own choice is passed over
DECOMPOSING = {"minigrad.ops.decompositions", "minigrad.ops.solving", "minigrad.linalg"}
BOUNDS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 6.0, -6.0, 20.0, -20.0, 0.1, -0.1)


def zeros_in(a: Array, count: int, seed: int) -> Array:
    """Return a point near `a` with some elements, never all, set to zero."""
    made = generic(a, seed)
    at = np.random.default_rng(seed).permutation(made.size)[: min(count, max(made.size - 1, 1))]
    made.reshape(-1)[at] = 0.0
    return made


def short(a: Array) -> Array:
    """Round to a few digits: sums and means of numbers that are equal are then exact."""
    digits, power = np.frexp(a)
    return np.asarray(np.ldexp(np.round(digits * 64) / 64, power))


def tied(a: Array, seed: int) -> Array:
    """Return a point near `a` with equal elements beside each other and far apart."""
    made = short(generic(a, seed))
    made.reshape(-1)[1:2] = made.reshape(-1)[:1]
    made.reshape(-1)[-1:] = made.reshape(-1)[:1]
    return made


def equal(a: Array, seed: int) -> Array:
    """Return a point all of whose elements are one of those near `a`."""
    made = short(generic(a, seed))
    return np.full_like(made, made.reshape(-1)[:1].sum())


def bounds(a: Array, seed: int) -> Array:
    """Return the numbers at which branches usually change, another first for another seed."""
    values = islice(cycle(BOUNDS), seed % len(BOUNDS), seed % len(BOUNDS) + a.size)
    return np.array(list(values), dtype=a.dtype).reshape(a.shape)


def scaled(factor: float) -> Move:
    """Return what makes numbers of this size of a point, of the same signs."""

    def move(a: Array, seed: int) -> Array:
        (spread,) = drawn(seed, (a.shape,))
        sign = np.where(a < 0, -1.0, 1.0)
        return np.asarray(sign * factor * (1 + 0.07 * np.tanh(spread)))

    return move


def half_scaled(factor: float) -> Move:
    """Return what makes every other element large."""

    def move(a: Array, seed: int) -> Array:
        made = generic(a, seed)
        large = scaled(factor)(a, seed)
        made.reshape(-1)[::2] = large.reshape(-1)[::2]
        return made

    return move


POINTS: tuple[tuple[str, Move], ...] = (
    ("at a point beside the one given", generic),
    ("at a point with equal elements", tied),
)
EQUAL = ("at a point with all elements equal", equal)
MIXED: tuple[str, Move] = (
    "at a negated point with zeros in it",
    lambda a, seed: zeros_in(-a, 2, seed),
)
PARTS: tuple[tuple[str, Move], ...] = (
    ("at a point of the other sign", lambda a, seed: -generic(a, seed)),
    ("at a point with a zero in it", lambda a, seed: zeros_in(a, 1, seed)),
    ("at a point with two zeros in it", lambda a, seed: zeros_in(a, 2, seed)),
)
EDGES: tuple[tuple[str, Move], ...] = (
    ("at a point of numbers at which branches end (0.5, 1, 2, 3, 6, 20)", bounds),
    ("at a point of large numbers (20)", scaled(20.0)),
    ("at a point of large numbers (1000)", scaled(1e3)),
    ("at a point of large negative numbers (-1000)", lambda a, seed: -np.abs(scaled(1e3)(a, seed))),
    ("at a point with some large numbers (300)", half_scaled(300.0)),
    ("at a point of small numbers (1e-3)", scaled(1e-3)),
)


def check_points(problem: Problem, found: list[int], tol: Tolerance) -> None:
    """Hold derivatives at other points: along a direction, and every element where one differs or
    the Jacobians are small.
    """
    start = problem.points()
    held = [
        problem.checked[i].array is not None and not weighs(problem, i) for i in range(len(start))
    ]

    def moved(move: Move, seed: int) -> list[Array]:
        pairs = enumerate(zip(start, held, strict=True))
        return [move(a, seed + n) if moves else generic(a, n) for n, (a, moves) in pairs]

    if delicate(problem, found):
        visited(problem, found, POINTS[0][0], moved(generic, 5), tol)
        return
    visited(problem, found, "at the point given, equal elements moved alike", start, tol, True)
    for label, move in POINTS:
        visited(problem, found, label, moved(move, 5), tol)
    label, move = EQUAL
    visited(problem, found, f"{label}, moved alike", moved(move, 11), tol, True)
    label, move = MIXED
    if not visited(problem, found, label, moved(move, 23), tol):
        for label, move in PARTS:
            one_by_one(problem, found, label, move, tol)
            visited(problem, found, label, moved(move, 31), tol)
    every = list(EDGES)
    if small(problem, start):
        shift = len(BOUNDS) // 2
        every.append((EDGES[0][0], lambda a, seed: bounds(a, seed + shift)))
        every += [EQUAL, *PARTS[1:], ("at a point of zeros alone", lambda a, _: 0 * generic(a, 1))]
    for label, move in every:
        edge(problem, found, label, moved(move, 41), tol)
    for i in range(len(start)) if small(problem, start) and len(start) > 1 else ():
        points = [generic(a, n) * (n != i) for n, a in enumerate(start)]
        label = f"at a point of zeros alone ({problem.named(i)})"
        edge(problem, found, label, points, tol, True)
    where_inputs_meet(problem, found, start, tol)
    check_infinite(problem, found, start)


def where_inputs_meet(
    problem: Problem, found: list[int], start: list[Array], tol: Tolerance
) -> None:
    """Check where inputs of one shape have equal elements: what chooses between them, or divides by
    their distance.
    """
    shapes = [a.shape for a in start]
    if len(set(shapes)) == len(shapes):
        return
    first = {a.shape: short(generic(a, 13)) for a in reversed(start)}
    points = [first[shape].copy() for shape in shapes]
    label = "at a point where inputs are equal"
    visited(problem, found, f"{label}, moved alike", [p.copy() for p in points], tol, True, 0)
    if small(problem, start):
        edge(problem, found, label, points, tol, True)


FAR = (-1e3, -2e3, -np.inf)


def check_infinite(problem: Problem, found: list[int], start: list[Array]) -> None:
    """Set one element to minus infinity, as masks do before a softmax: where the values are those
    of any number so far out, so is the gradient.

    Nothing is asked of a function of each element by itself, x e^-x has no value there; nor of
    several inputs or rules, of which one may be infinite where another is zero.
    """
    one = len(nodes_of([problem.first[k] for k in found])) == len(start) == 1
    for i, a in enumerate(start) if one and small(problem, start) else ():
        if problem.elementwise or not a.size:
            continue
        points = [generic(b, n) for n, b in enumerate(start)]
        results = []
        for far in FAR:
            points[i].reshape(-1)[a.size // 2] = far
            got = at_point(problem, [p.copy() for p in points], found)
            if got is None or not all(np.isfinite(y).all() for y in got[0]):
                break
            results.append(got)
        else:
            near, there, infinite = results
            level = all(
                same(y, z) and same(y, w)
                for y, z, w in zip(near[0], there[0], infinite[0], strict=True)
            )
            steady = all(same(g, h) for g, h in zip(near[1], there[1], strict=True))
            if level and steady:
                what = f"with one element of {problem.named(i)} at minus infinity"
                expect(problem, infinite[1], there[1], what, "infinite")


def delicate(problem: Problem, found: list[int]) -> bool:
    """Say whether the function decomposes a matrix, which has no derivative where its rank or the
    multiplicity of its values changes: there zeros and equal elements are no fair points.
    """
    return any(
        any(c.__module__ in DECOMPOSING for c in type(n).__mro__)
        for n in nodes_of([problem.first[k] for k in found])
    )


def singular(problem: Problem) -> bool:
    """Say whether values are so large that the point lies by a singularity."""
    return any(y.size and float(np.abs(y).max()) > SINGULAR for y in problem.values)


def weighs(problem: Problem, i: int) -> bool:
    """Say whether a checked input weights the outputs of a first derivative."""
    weights = problem.args[len(problem.args) - problem.weights :] if problem.weights else ()
    return any(problem.checked[i] is w for w in weights)


def check_points_again(problem: Problem, found: list[int], tol: Tolerance, costly: bool) -> None:
    """Hold second derivatives at points with zeros, equal elements and at branches' edges."""
    start = problem.points()

    def moved(move: Move, seed: int) -> list[Array]:
        return [
            generic(a, n) if weighs(problem, n) else move(a, seed + n) for n, a in enumerate(start)
        ]

    if delicate(problem, found):
        return
    label, move = PARTS[-1]
    visited(problem, found, label, moved(move, 31), tol)
    label, move = POINTS[1]
    visited(problem, found, label, moved(move, 5), tol)
    if not costly:
        return
    for label, move in (PARTS[1], EDGES[0], EDGES[1]) if small(problem, start) else ():
        edge(problem, found, label, moved(move, 41), tol)


def one_by_one(problem: Problem, found: list[int], label: str, move: Move, tol: Tolerance) -> None:
    """Move one input alone there, the others beside where they are."""
    start = problem.points()
    for i in range(len(start)) if len(start) > 1 else ():
        points = [move(a, 29) if n == i else generic(a, n) for n, a in enumerate(start)]
        visited(problem, found, f"{label} ({problem.named(i)})", points, tol)


def small(problem: Problem, points: Sequence[Array]) -> bool:
    """Say whether every element may be compared at every point."""
    outputs = sum(v.size for v in problem.values)
    return outputs * sum(a.size for a in points) <= SMALL


def edge(
    problem: Problem,
    found: list[int],
    label: str,
    points: list[Array],
    tol: Tolerance,
    kinks: bool = False,
) -> None:
    """Check at one point in full where the Jacobians are small, since a kink of one element hides
    the others along a direction; where the slope along one is right to many digits, all are.
    """
    if not small(problem, points):
        visited(problem, found, label, points, tol)
        return
    if not problem.elementwise:
        slope = along(problem, found, points, random_steps(points), tol)
        if slope is not None and slope.agrees(1e-3 * tol.atol, CLOSE):
            return
    in_full(problem, found, label, points, tol, kinks)


def alike(a: Array, seed: int) -> Array:
    """Return a direction along which equal elements stay equal."""
    values, back = np.unique(a.reshape(-1), return_inverse=True)
    (spread,) = drawn(seed, (values.shape,))
    return np.asarray(spread[back].reshape(a.shape))


def visited(
    problem: Problem,
    found: list[int],
    label: str,
    points: list[Array],
    tol: Tolerance,
    ties: bool = False,
    apart: int = 1,
) -> bool:
    """Check at one point along a direction; return whether the function is finite and has a
    gradient there.

    Where several inputs meet at a bound, as in clamp(x, low, high) at x = low = high, the slopes by
    one input alone may agree: a kink is looked for along the direction in which all are moved.
    ties: move equal elements alike, so that they stay equal: what shares a gradient among them must
    share all of it.  apart: 0 for the same direction for inputs that are equal.
    """
    unmoved = all(np.array_equal(a, b) for a, b in zip(points, problem.points(), strict=True))
    if unmoved != (ties and label.startswith("at the point given")):
        return True
    if ties and apart and all(np.unique(a).size == a.size for a in points):
        return True
    steps = [alike(a, 4 + n * apart) for n, a in enumerate(points)] if ties else []
    slope = along(problem, found, points, steps or random_steps(points), tol)
    if slope is None:
        return False
    if slope.agrees(tol.atol, 1e-5) or not np.isfinite(slope.numeric):
        return slope.seen
    if slope.kink:
        return False
    if ties:
        hold_alike(problem, label, slope.analytic, slope.numeric)
    if sum(a.size for a in points) * sum(problem.values[k].size for k in found) <= FULL:
        in_full(problem, found, label, points, tol)
    return True


def hold_alike(problem: Problem, label: str, a: float, n: float) -> None:
    """Refuse a gradient that is wrong along a direction in which equal elements stay equal."""
    fail(
        problem,
        f"{label}: the gradient gives {a:.9g} along a direction in which equal elements stay equal,"
        f" and the slope there is {n:.9g} on both sides: right but for ties, whose share is wrong",
        "ties",
    )


def in_full(
    problem: Problem,
    found: list[int],
    label: str,
    points: list[Array],
    tol: Tolerance,
    kinks: bool = False,
) -> None:
    """Compare every element of every Jacobian at another point.

    kinks: NaN is a fault at a kink of several inputs too, as hypot has it at (0, 0).
    """
    with problem.elsewhere(points, label), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            problem.first = problem.run()
            problem.values = [np.array(y.array) for y in problem.first]
            if any(k >= len(problem.values) or not held(problem.first[k]) for k in found):
                return
            if singular(problem):
                return
            jacobians = diagonals(problem, found, points, tol) if problem.elementwise else None
            jacobians = jacobians or every_element(problem, found, points, tol)
        except GradcheckError:
            raise
        except Exception:
            return
        compare_all(problem, jacobians, tol, True, kinks or len(points) == 1)


def every_element(
    problem: Problem, found: list[int], points: list[Array], tol: Tolerance
) -> Jacobians:
    """Return every Jacobian at the point."""
    made = Jacobians({}, {})
    for k in found:
        y = problem.first[k]
        rows = analytic(problem, y) if y.requires_grad else None
        for i, a in enumerate(points):
            zero = np.zeros((problem.values[k].size, a.size))
            made.exact[k, i] = zero if rows is None else rows[i]
    for i in range(len(points)):
        pairs = numeric_with_bends(problem, i, found, tol.eps)
        for k, (n, bend) in zip(found, pairs, strict=True):
            made.numeric[k, i], made.bends[k, i] = n, bend
    return made


def diagonals(
    problem: Problem, found: list[int], points: list[Array], tol: Tolerance
) -> Jacobians | None:
    """Return the Jacobians of a function of each element by itself: one sweep, three evaluations an
    input; None where it is no such function at this point.
    """
    made = Jacobians({}, {})
    for k in found:
        y = problem.first[k]
        ones = tensors([np.ones(y.shape)])
        rows = gradients(problem, [y], ones) if y.requires_grad else [0 * a for a in points]
        made.exact |= {(k, i): np.diag(g.reshape(-1)) for i, g in enumerate(rows)}
    for i, a in enumerate(points):
        steps = steps_for(a, tol.eps)
        every_other = np.arange(a.size).reshape(a.shape) % 2
        up, down, half = (problem.perturbed(i, s * steps) for s in (1, -1, every_other))
        for k in found:
            want = np.where(every_other, up[k], problem.values[k])
            if not np.array_equal(half[k], want, equal_nan=True):
                return None
            slopes = (up[k] - down[k]) / (2 * steps)
            made.numeric[k, i] = np.diag(slopes.reshape(-1))
            bends = np.abs(up[k] + down[k] - 2 * problem.values[k]) / steps
            made.bends[k, i] = np.diag(bends.reshape(-1))
    return made


def held(y: Any) -> bool:
    """Say whether an output can be compared."""
    return isinstance(y, Tensor) and y.array.dtype.kind == "f"
