"""Probes of a function at larger sizes and in float32, and all probes in their order."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checking.comparison import fail
from minigrad.checking.probes import (
    Result,
    at_point,
    check_alone,
    check_layouts,
    check_points,
    check_state,
    check_twice,
    differing,
    expect,
    problem_outputs,
    same,
    seeds_of,
    tensors,
)
from minigrad.checking.problem import Array, Problem, gradients, swept
from minigrad.checking.report import Tolerance
from minigrad.checking.rules import nodes_of, watched
from minigrad.tensors.tensor import Tensor

NARROW = 5e-3  # the same for float32 beside float64
LARGE = 70_000  # elements: above every size at which a kernel changes its way
SIZED = {
    "shape",
    "index",
    "indices",
}  # options of ops that hold sizes of the inputs, and are trusted
BACKWARDS = {"MaxUnpool", "AvgUnpool", "ConvBackwardInput", "ConvBackwardWeight"}
SLOW = 0.05  # seconds of an evaluation above which nothing is evaluated at large sizes
LONG = 3.0  # seconds that the evaluation at a large size may take


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
    start = time.thread_time()
    y = at_point(problem, problem.points(), found)
    if y is None or time.thread_time() - start > SLOW:
        return
    for places in sets:
        if repeated(problem, found, places, 2, y, base):
            rows = sum(problem.args[k].array.size for k in places)
            took = []
            for m in (2, 16):
                start = time.thread_time()
                repeated(problem, found, places, m, y, base)
                took.append(time.thread_time() - start)
            m = -(-LARGE // rows)
            if m > 16 and (took[1] - took[0]) / 14 * m < LONG:
                repeated(problem, found, places, m, y, base)
            return


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
        with watched(problem.name, outputs, what):
            grads = gradients(problem, outputs, tensors(seeds))
        share = 1 if way == "same" else m
        for i, t in enumerate(problem.checked):
            rows = grads[i].reshape(m, *base[i].shape) if any(t is s for s, _ in was) else None
            total = grads[i] if rows is None else rows.sum(axis=0)
            if not same(total / share, base[i], 1e-7) and holds_nearby(problem, found, was, m, way):
                fail(
                    problem,
                    f"{what} input {problem.position(i)} gets {differing(total / share, base[i])}:"
                    " a rule is right for some sizes only, or mistakes the size it averages over",
                )
        return True
    finally:
        for t, a in was:
            t.array = a
        problem.reset()


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
def check_narrow(problem: Problem, found: list[int]) -> None:
    """Hold the gradient in float32 to the one in float64 at the same point."""
    narrow = [(t, value.astype(np.float32)) for t, _, value in problem.start]
    wide = [a.astype(np.float64) for t, a in narrow]
    memories = [t for t, _ in narrow]

    def sweep(arrays: Sequence[Array], dtype: Any) -> Result | None:
        problem.reset()
        for t, a in zip(memories, arrays, strict=True):
            t.array = a
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
        if not near or all(same(g, h, NARROW) for g, h in zip(low[1], high[1], strict=True)):
            return
        for seed in (1, 2):  # what rounding the inputs alone would do
            rng = np.random.default_rng(seed)
            beside = [a * (1 + 2e-7 * rng.uniform(-1, 1, a.shape)) for a in wide]
            other = sweep(beside, np.float64)
            if other is None or not all(
                same(g, h, NARROW / 10) for g, h in zip(other[1], high[1], strict=True)
            ):
                return
    finally:
        problem.reset()
    expect(
        problem,
        low[1],
        high[1],
        "the gradient is wrong in float32, beside float64 at the same point",
        NARROW,
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
    check_alone(problem, found, base)
    check_twice(problem, found)
    check_layouts(problem, found, base, True)
    check_points(problem, found, tol)
    if costly:
        check_sizes(problem, found, base)
        check_narrow(problem, found)
