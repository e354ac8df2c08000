"""Probes of a function at larger sizes and in float32, and all probes in their order."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigrad.checking.comparison import fail
from minigrad.checking.probes import (
    Result,
    at_point,
    attempt,
    check_alone,
    check_before,
    check_layouts,
    check_state,
    check_twice,
    differing,
    problem_outputs,
    same,
    seeds_of,
    tensors,
)
from minigrad.checking.problem import Array, Problem, gradients, swept
from minigrad.checking.report import GradcheckError, Tolerance
from minigrad.checking.rules import nodes_of, watched
from minigrad.checking.scenarios import EDGES, EQUAL, PARTS, POINTS, check_points, delicate
from minigrad.ops.registry import OPS
from minigrad.tensors.tensor import Tensor

NARROW = 1e-4  # how far the gradient in float32 may lie from the one in float64
SUMMED = 5e-3  # the same of thousands of elements, whose sums round at every term
ROUNDED = 30.0  # times what rounding the inputs alone would do
LOST = 1e-6  # of the gradient that is given: what float32 may lose of the one that comes out
STAGES = (2, 17, 129, 1025)  # how often rows are repeated before they are LARGE
LARGE = 70_000  # elements: above every size at which a kernel changes its way
SIZED = {
    "shape",
    "index",
    "indices",
}  # options of ops that hold sizes of the inputs, and are trusted
BACKWARDS = {"MaxUnpool", "AvgUnpool", "ConvBackwardInput", "ConvBackwardWeight"}
SLOW = 0.05  # seconds of an evaluation above which nothing is evaluated at large sizes
LONG = 1.5  # seconds that the evaluation at a large size may take


# ---------------------------------------------------------------- sizes
def check_sizes(problem: Problem, found: list[int], base: list[Array]) -> None:
    """Repeat the rows of inputs, twice and thousands of times, where the function takes that.

    Where f of m copies is m copies of f, or f, or m f, its gradient over the copies sums to what
    that says: sizes at which a rule changes its way, and shapes that are no longer square.
    """
    sets = repeatable(problem)
    for node in nodes_of(problem_outputs(problem, found)):
        if SIZED & set(node.meta) or BACKWARDS & {c.__name__ for c in type(node).__mro__}:
            return
    start = time.process_time()
    y = at_point(problem, problem.points(), found)
    if y is None or time.process_time() - start > SLOW:
        return
    for places in sets:
        if repeated(problem, found, places, 2, y, base):
            rows = sum(problem.args[k].array.size for k in places)
            m = -(-LARGE // rows) | 1  # odd: no multiple of a block

            def at_size(m: int, places: list[int] = places) -> bool:
                return repeated(problem, found, places, m, y, base)

            if m > 16 and grown(at_size, m):
                grown(partial(check_equal_rows, problem, found, places), m, STAGES[2:3])
            return


def grown(run: Callable[[int], Any], most: int, stages: tuple[int, ...] = STAGES) -> bool:
    """Run at rising sizes up to the largest, while that will not take long; a rule may take the
    square of the size.
    """
    last = (1, 1e-4)
    power = 2.0
    for m in (*(s for s in stages if s < most), most):
        before, took = last
        if m > STAGES[2] and took * (m / before) ** power > LONG:
            return False
        start = time.process_time()
        if run(m) is False:
            return False
        spent = max(time.process_time() - start, 1e-4)
        if m >= STAGES[1]:
            power = float(np.clip(np.log(spent / took) / np.log(m / before) + 0.3, 1.0, 3.0))
        last = (m, spent)
    return True


def check_equal_rows(problem: Problem, found: list[int], places: list[int], m: int) -> None:
    """Compare float32 with float64 for thousands of equal elements."""
    tiled = [problem.args[k] for k in places]
    arrays = []
    for n, (t, a) in enumerate(zip(problem.checked, problem.points(), strict=True)):
        if any(t is s for s in tiled):
            a = np.tile(EQUAL[1](a, 5 + n), (m, *(1,) * (a.ndim - 1)))
        arrays.append(a)
    beside = [s for s in tiled if not any(s is t for t in problem.checked)]
    if not beside:
        label = f"for {arrays[0].size} equal elements"
        check_narrow(problem, found, arrays, label)


def repeatable(problem: Problem) -> list[list[int]]:
    """Return which arguments may have their rows repeated together: all of one shape, or the first
    with the integers beside it.
    """
    held = [(k, t.array) for k, t in enumerate(problem.args) if isinstance(t, Tensor)]
    rows = [(k, a) for k, a in held if a.ndim and a.size]
    moving = [(k, a) for k, a in rows if a.dtype.kind == "f"]
    if not moving:
        return []
    first, like = moving[0]
    beside = [k for k, a in rows if a.dtype.kind != "f" and len(a) == len(like)]
    if all(a.ndim == like.ndim and len(a) == len(like) for _, a in moving):
        together = [*(k for k, _ in moving), *beside]
        return [together, [first, *beside]] if like.ndim > 1 else [together]
    return [[first, *beside]]


def repeated(
    problem: Problem, found: list[int], places: list[int], m: int, y: Result, base: list[Array]
) -> bool:
    """Hold the gradient of inputs whose rows come m times; return whether the function takes them
    so.
    """
    was = [(problem.args[k], problem.args[k].array) for k in places]
    problem.reset()
    seeds = seeds_of(problem_outputs(problem, found))  # before: an output may be an input itself
    problem.reset()
    try:
        for t, a in was:
            t.array = np.tile(a, (m, *(1,) * (a.ndim - 1)))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                every = problem.evaluate()
            except Exception:
                return False
        if len(every) <= found[-1] or not all(every[k].requires_grad for k in found):
            return False
        outputs = [every[k] for k in found]
        ways = [way_of(z.array, v, m) for z, v in zip(outputs, y[0], strict=True)]
        way = ways[0]
        if way is None or any(other != way for other in ways):
            return False
        if way == "copies":
            seeds = [np.tile(u, (m, *(1,) * (u.ndim - 1))) for u in seeds]
        what = f"at larger sizes (the same rows {m} times: {was[0][0].array.size} elements)"
        try:
            with watched(problem.name, outputs, what):
                grads = gradients(problem, outputs, tensors(seeds))
        except GradcheckError as error:
            if "the wrong shape" in str(error) or isinstance(error.__cause__, Exception):
                return False  # a rule for one size, by what it closes over
            raise
        share = 1 if way == "same" else m
        for i, t in enumerate(problem.checked):
            rows = grads[i].reshape(m, *base[i].shape) if any(t is s for s, _ in was) else None
            total = grads[i] if rows is None else rows.sum(axis=0)
            if not same(total / share, base[i], 1e-7) and holds_nearby(problem, found, was, m, way):
                tail = "" if rows is None else tail_in_words(grads[i], base[i] * (share / m))
                fail(
                    problem,
                    f"{what} {problem.named(i)} gets {differing(total / share, base[i])}:"
                    " a rule is right for some sizes only, or mistakes the size it averages over"
                    f"{tail}",
                    "tail" if tail else "size",
                )
        return True
    finally:
        for t, a in was:
            t.array = a
        problem.reset()


def tail_in_words(g: Array, row: Array) -> str:
    """Return where repeated rows get another gradient than the row, if it is at the end."""
    want = np.broadcast_to(row, (g.shape[0] // max(row.shape[0], 1), *row.shape)).reshape(g.shape)
    gap = np.abs(g - want) > 1e-7 * max(float(np.abs(want).max(initial=0.0)), 1e-3)
    wrong = gap.reshape(-1)
    if wrong.all() or not wrong.any():
        return ""
    first = int(np.flatnonzero(wrong)[0])
    moves = np.abs(want).reshape(-1)[first:] > 0
    if first < wrong.size // 2 or not wrong[first:][moves].all():
        return ""
    return f"; right but for the tail: the last {wrong.size - first} of {wrong.size} elements"


def holds_nearby(
    problem: Problem, found: list[int], tiled: list[tuple[Any, Array]], m: int, way: str
) -> bool:
    """Say whether the values at a point nearby go the same way, so that it is no coincidence."""
    results = []
    for times in (1, m):
        problem.reset()
        for n, (t, a) in enumerate(tiled):
            noise = np.random.default_rng(n).uniform(0.01, 0.02, a.shape)
            moved = a if a.dtype.kind != "f" else a + noise * (np.abs(a) + 1)
            t.array = np.tile(moved, (times, *(1,) * (a.ndim - 1)))
        results.append([problem.evaluate()[k].array for k in found])
    return all(way_of(z, v, m) == way for z, v in zip(results[1], results[0], strict=True))


def way_of(z: Array, v: Array, m: int) -> str | None:
    """Return how the value of repeated rows follows from that of the rows, if it does."""
    if v.ndim and z.shape == (m * v.shape[0], *v.shape[1:]) and v.size:
        return "copies" if same(z, np.tile(v, (m, *(1,) * (v.ndim - 1)))) else None
    if z.shape != v.shape or not np.isfinite(v).all():
        return None
    return "same" if same(z, v) else "sum" if same(z, m * v) else None


# ---------------------------------------------------------------- float32
def check_narrow(
    problem: Problem,
    found: list[int],
    arrays: list[Array] | None = None,
    label: str = "",
) -> None:
    """Hold the gradient in float32 to the one in float64 at the same point, or at another."""
    values = {id(t): value for t, _, value in problem.start}
    if arrays is not None:
        values |= {id(t): a for t, a in zip(problem.checked, arrays, strict=True)}
    narrow = [(t, values[id(t)].astype(np.float32)) for t, _, _ in problem.start]
    wide = [a.astype(np.float64) for t, a in narrow]
    memories = [t for t, _ in narrow]

    def sweep(arrays: Sequence[Array], dtype: Any) -> Result | None:
        problem.reset()
        for t, a in zip(memories, arrays, strict=True):
            t.array = a
        if dtype == np.float32:
            for t, a, _ in problem.kept:
                t.array = a.astype(np.float32) if a.dtype.kind == "f" else a
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                every = problem.evaluate()
            except Exception:
                return None
        outputs = [every[k] for k in found if k < len(every)]
        if not all(y.requires_grad and y.array.dtype == dtype for y in outputs):
            return None
        values = [y.array.astype(np.float64) for y in outputs]
        seeds = tensors([u.astype(np.float32).astype(dtype) for u in seeds_of(outputs)])
        try:
            grads = swept(problem, outputs, seeds)
        except Exception:  # a rule for float64 alone
            return None
        return values, [
            np.zeros(t.shape) if g is None else g.array.astype(np.float64)
            for t, g in zip(problem.checked, grads, strict=True)
        ]

    try:
        low = sweep([a for _, a in narrow], np.float32)
        high = None if low is None else sweep([a.copy() for a in wide], np.float64)
        if low is None or high is None:
            return
        near = all(same(y, z, 1e-4) for y, z in zip(low[0], high[0], strict=True))
        finite = all(np.isfinite(z).all() for z in (*high[0], *high[1]))
        top = max(float(np.abs(u).max(initial=0.0)) for u in seeds_of([Tensor(v) for v in low[0]]))
        pairs = list(zip(low[1], high[1], strict=True))
        limit = NARROW if sum(a.size for _, a in narrow) < STAGES[-1] else SUMMED
        if not near or not finite or all(alike(g, h, top, limit) for g, h in pairs):
            return
        rounding = 0.0
        for seed in (1, 2):
            rng = np.random.default_rng(seed)
            beside = [a * (1 + 2e-7 * rng.uniform(-1, 1, a.shape)) for a in wide]
            if arrays is not None:
                beside = [a * (1 + 2e-7 * seed) for a in wide]
            other = sweep(beside, np.float64)
            if other is None:
                return
            moved = zip(other[1], high[1], strict=True)
            rounding = max(rounding, *(distance(g, h, top) for g, h in moved))
        limit += ROUNDED * rounding
    finally:
        problem.reset()
    where = f" ({label})" if label else ""
    for i, (g, h) in enumerate(pairs):
        if not alike(g, h, top, limit):
            fail(
                problem,
                f"the gradient is wrong in float32, beside float64 at the same point{where}:"
                f" {problem.named(i)} gets {differing(g, h)} as gradient",
                "float32",
            )


def alike(g: Array, h: Array, top: float, limit: float) -> bool:
    """Say whether two gradients agree, see `distance`."""
    return distance(g, h, top) <= limit


def distance(g: Array, h: Array, top: float) -> float:
    """Return how far two gradients lie apart, of the largest element; what is lost beside a
    gradient of `top` where a function saturates is no fault.
    """
    size = float(np.abs(h[np.isfinite(h)]).max(initial=0.0))
    if size < LOST * top or size > 1e30:
        return 0.0
    with np.errstate(invalid="ignore"):
        gap = np.where((g == h) | ((g != g) & (h != h)), 0.0, np.abs(g - h))
    most = float(np.where(gap != gap, np.inf, gap).max(initial=0.0))
    return 0.0 if most <= LOST * top else most / size


def check_narrow_elsewhere(problem: Problem, found: list[int]) -> None:
    """Compare float32 with float64 at points with equal elements, zeros and large numbers."""
    start = problem.points()
    if delicate(problem, found):
        return
    for label, move in (POINTS[1], EQUAL, PARTS[-1], EDGES[1]):
        check_narrow(problem, found, [move(a, 5 + n) for n, a in enumerate(start)], label)
    check_tails(problem, found)


TAILS = (9.0, 17.5, 30.0)  # where what saturates has no digits left in float32
GONE = 1e-30  # a slope that float32 holds


def check_tails(problem: Problem, found: list[int]) -> None:
    """Refuse a rule of one's own that gives exactly zero in float32 where float64 has a slope.

    Only a function of each element by itself is asked, whose slope float32 can hold; and none that
    saturates as the sigmoid and tanh do, whose slopes everybody writes as y (1 - y) and 1 - y^2.
    """
    outputs = problem_outputs(problem, found)
    own = [n for n in nodes_of(outputs) if OPS.get(type(n).__name__) is not type(n)]
    if not own or not problem.elementwise:
        return
    for i, at in enumerate(problem.points()):
        if at.shape != outputs[0].array.shape or not at.size or sigmoidal(problem, found, i):
            continue
        for far in (s * m for m in TAILS for s in (-1.0, 1.0)):
            points = problem.points()
            points[i] = np.full(at.shape, far)
            hold_tail(problem, found, i, points, far)


def sigmoidal(problem: Problem, found: list[int], i: int) -> bool:
    """Say whether the slope by an input is a multiple of (y - lowest) (highest - y)."""
    results = []
    for value in (-1e3, 1e3, 0.3, -0.9):
        points = problem.points()
        points[i] = np.full(points[i].shape, value)
        got = at_point(problem, points, found)
        if got is None:
            return False
        results.append((got[0][0], got[1][i] / seeds_of(problem_outputs(problem, found))[0]))
    (low, _), (high, _), *near = results
    with np.errstate(all="ignore"):
        shares = [g / ((y - low) * (high - y)) for y, g in near]
    return bool(np.isfinite(shares).all() and np.allclose(shares[0], shares[1], rtol=1e-6))


def hold_tail(problem: Problem, found: list[int], i: int, points: list[Array], far: float) -> None:
    """Compare one input's gradient at one number far out."""
    results = []
    for dtype in (np.float32, np.float64):
        try:
            outputs = attempt(problem, [a.astype(dtype) for a in points], found)
            if outputs is None or not all(y.requires_grad for y in outputs):
                return
            seeds = tensors([np.ones(y.shape, y.array.dtype) for y in outputs])
            g = swept(problem, outputs, seeds)[i]
        except Exception:
            return
        finally:
            problem.reset()
        if g is None or g.array.dtype != dtype:
            return
        results.append(g.array.astype(np.float64))
    low, high = results
    lost = (low == 0) & (np.abs(high) > GONE) & np.isfinite(high)
    if lost.any():
        at = tuple(int(k) for k in np.argwhere(lost)[0])
        fail(
            problem,
            f"the gradient is wrong in float32, beside float64 at the same point far out (all"
            f" elements {far:g}): {problem.named(i)} gets 0 where the slope is {high[at]:.3g}: the"
            " rule subtracts numbers that are equal in all their digits; write it without",
            "float32",
        )


def check_all(
    problem: Problem, found: list[int], base: list[Array], tol: Tolerance, costly: bool = True
) -> None:
    """Run the probes of a function whose Jacobian is right at the point given.

    costly: at larger sizes and in float32 too.
    """
    outputs = problem_outputs(problem, found)
    if not any(y.array.size for y in outputs) or not any(t.array.size for t in problem.checked):
        return
    problem.reset()
    check_state(problem, outputs, found, base)
    check_before(problem, found, base)
    check_alone(problem, found, base)
    check_twice(problem, found)
    check_layouts(problem, found, base, True)
    check_points(problem, found, tol)
    if costly:
        check_sizes(problem, found, base)
        check_narrow(problem, found)
        check_narrow_elsewhere(problem, found)
