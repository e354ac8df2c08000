"""An oracle of 80 bits: the forward of an op, run by NumPy in extended precision.

A kernel's reference is plain NumPy, and so is the forward of most ops of one's own: given arrays of
np.longdouble they compute with 64 digits of mantissa, and central differences then hold nine digits
of a derivative where those of float64 hold four.  Where a forward computes in float64 all the same,
or on a machine whose long double is no longer than that, nothing is asked.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from minigrad.checking.comparison import Jacobians, fail
from minigrad.checking.problem import Array, Problem, steps_for, unit
from minigrad.checking.rules import nodes_of
from minigrad.engine.dispatch import dispatch
from minigrad.engine.op import LEAF
from minigrad_kernels.table import KERNELS

Values = Callable[[list[Array]], list[Array]]
LONG = np.longdouble
EPS = float(np.finfo(LONG).eps)
STEP = 1e-5
DIGITS = 1e-8  # how far a derivative may lie from that of the oracle, of the largest
MANY = 48  # elements of inputs up to which the oracle is asked


@contextmanager
def references() -> Iterator[None]:
    """Within the context, launches of this thread run the kernels' references."""
    table = {name: row.reference for name, row in KERNELS.items()}
    was = {k: v for k, v in vars(dispatch).items() if k in ("kernels", "small")}
    for k in was:
        setattr(dispatch, k, table)
    try:
        yield
    finally:
        vars(dispatch).update(was)


def oracle_of(problem: Problem, found: list[int]) -> Values | None:
    """Return the function in extended precision, of the arrays of its checked inputs; None where it
    is not one op of them and of constants.
    """
    outputs = [problem.first[k] for k in found]
    nodes = nodes_of(outputs)
    if len(nodes) != 1 or EPS > 1e-18 or nodes[0].several or len(outputs) != 1:
        return None
    (node,) = nodes
    edges = node.edges or [None]  # of a rule that keeps no inputs
    inputs = node.inputs or (() if any(e is None or e.kind != LEAF for e in edges) else edges)
    places = [next((i for i, t in enumerate(problem.checked) if t is s), None) for s in inputs]
    if not places or set(places) - {None} != set(range(len(problem.checked))):
        return None
    given = [t.array.astype(LONG) if t.array.dtype.kind == "f" else t.array for t in inputs]
    op, meta = type(node), node.meta

    def values(arrays: list[Array]) -> list[Array]:
        problem.reset()
        there = [a if i is None else arrays[i] for i, a in zip(places, given, strict=True)]
        with references():
            return [np.asarray(op().forward(*there, **meta))]

    return values


def check_digits(problem: Problem, found: list[int], held: Jacobians) -> None:
    """Hold a Jacobian that agrees with differences in float64 to those of the oracle."""
    points = [a.astype(LONG) for a in problem.points()]
    if sum(a.size for a in points) > MANY:
        return
    values = oracle_of(problem, found)
    if values is None:
        return
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            here = values(points)
            if not extended(here, [problem.values[k] for k in found]):
                return
            slopes = [slopes_of(values, points, i, here) for i in range(len(points))]
        except Exception:  # a forward that takes no such arrays
            return
        finally:
            problem.reset()
    for i, (near, error) in enumerate(slopes):
        exact = held.exact[found[0], i]
        size = float(np.abs(near[np.isfinite(near)]).max(initial=0.0))
        with np.errstate(invalid="ignore"):
            gap = np.abs(exact - near) - 3 * error
        gap[~np.isfinite(gap)] = 0.0
        if gap.max(initial=0.0) > DIGITS * max(size, 1e-3):
            row, column = (int(k) for k in np.unravel_index(np.argmax(gap), gap.shape))
            fail(
                problem,
                f"the derivative by {problem.named(i)} agrees with differences in float64 and not"
                f" with those in 80 bits: {exact[row, column]:.12g} instead of"
                f" {near[row, column]:.12g} at [{row}, {column}]; a constant or an intermediate of"
                " the rule has the digits of float32",
                "digits",
            )


def extended(here: list[Array], values: list[Array]) -> bool:
    """Say whether values are those of the function, and hold more digits than float64."""
    for y, z in zip(here, values, strict=True):
        near = y.shape == z.shape and np.allclose(y.astype(np.float64), z, rtol=1e-12, atol=1e-300)
        if y.dtype != LONG or not near:
            return False
    return any((y != y.astype(np.float64)).any() for y in here)


def slopes_of(
    values: Values, points: list[Array], i: int, here: list[Array]
) -> tuple[Array, Array]:
    """Return the Jacobian by central differences, and how far it may be off; NaN at kinks."""
    at = points[i]
    steps = steps_for(at.astype(np.float64), STEP).reshape(-1)
    columns, errors = [], []

    def moved(k: int, size: float) -> Array:
        there = list(points)
        there[i] = at + unit(at.shape, k, size)
        return values(there)[0].reshape(-1)

    for k in range(at.size):
        h = float(steps[k])
        up, down, far_up, far_down = (moved(k, s * h) for s in (1, -1, 2, -2))
        near, far = (up - down) / (2 * h), (far_up - far_down) / (4 * h)
        bend = np.abs(up + down - 2 * here[0].reshape(-1)) / h
        truncation = np.abs(near - far) / 3
        near = near + (near - far) / 3  # the error falls with the square of the step
        rounding = 8 * EPS * np.abs(up) / h
        kink = bend > 1e-2 * np.abs(near) + 1e-4
        columns.append(np.where(kink, np.nan, near).astype(np.float64))
        errors.append((truncation + rounding).astype(np.float64))
    return np.array(columns).T.reshape(-1, at.size), np.array(errors).T.reshape(-1, at.size)
