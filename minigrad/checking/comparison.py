"""Analytic Jacobians held against numeric ones, and what the worst element's point is like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from minigrad.checking.ladder import (
    EDGE,
    KINK,
    OUTSIDE,
    STEP,
    SUBGRADIENT,
    WRONG,
    Ladder,
    climb,
)
from minigrad.checking.mismatch import Mismatch
from minigrad.checking.problem import (
    Array,
    Problem,
    analytic,
    numeric_with_bends,
    steps_for,
    unit,
)
from minigrad.checking.report import GradcheckError, Tolerance
from minigrad.checking.rules import nodes_of
from minigrad.checking.signature import Case, Kind, explain

LOOKED_AT = 200  # elements of a Jacobian that get a ladder of steps: the worst ones
FEW = 40  # the same at points of the check's own choice


def fail(problem: Problem, message: str, kind: str = "") -> NoReturn:
    """Raise the failure of a check that concerns no single element."""
    where = f"{problem.when}: " if problem.when else ""
    raise GradcheckError(f"{problem.name}: {where}{message}", kind=kind)


@dataclass
class Jacobians:
    """All Jacobians of a function at a point: d(output k)/d(input i) under (k, i).

    bends: by how much the slopes on both sides of each element differ.
    """

    exact: dict[tuple[int, int], Array]
    numeric: dict[tuple[int, int], Array]
    bends: dict[tuple[int, int], Array] = field(default_factory=dict)


def jacobians(problem: Problem, outputs: list[int], found: list[int], tol: Tolerance) -> Jacobians:
    """Return every Jacobian of some outputs; of those not in `found` the derivative is zero."""
    held = Jacobians({}, {})
    for k in outputs:
        rows = analytic(problem, problem.first[k]) if k in found else None
        for i, t in enumerate(problem.checked):
            zero = np.zeros((problem.first[k].array.size, t.array.size))
            held.exact[k, i] = zero if rows is None else rows[i]
    for i in range(len(problem.checked)):
        pairs = numeric_with_bends(problem, i, outputs, tol.eps)
        for k, (n, bend) in zip(outputs, pairs, strict=True):
            held.numeric[k, i], held.bends[k, i] = n, bend
    return held


def compare_all(
    problem: Problem,
    held: Jacobians,
    tol: Tolerance,
    lenient: bool = False,
    kinks: bool = True,
) -> float:
    """Compare every Jacobian; return the largest difference as a share of the allowed one."""
    worst = 0.0
    for k, i in held.numeric:
        worst = max(worst, compare(problem, held, k, i, tol, lenient, kinks))
    return worst


def compare(
    problem: Problem,
    held: Jacobians,
    output: int,
    i: int,
    tol: Tolerance,
    lenient: bool = False,
    kinks: bool = True,
) -> float:
    """Hold one analytic Jacobian against the numeric one; a NaN agrees with nothing.

    An element that disagrees gets a ladder of steps: one at which a better step agrees, or whose
    value lies between the slopes of a kink, is no fault.
    lenient: nor is one at the end of the domain or at a step, for points of the check's choice.
    kinks: whether NaN is a fault where the slopes beside it are finite and differ.
    Returns the largest difference as a share of the allowed one.
    """
    a, n = held.exact[output, i], held.numeric[output, i]
    values = np.abs(problem.values[output].reshape(-1, 1))
    steps = steps_for(problem.points()[i], tol.eps).reshape(1, -1)
    noise = np.where(np.isfinite(values), values, 0.0) * (tol.noise / steps)
    allowed = tol.allowed(n) + noise
    with np.errstate(all="ignore"):
        excess = np.abs(a - n) / allowed
        wrong = ~(excess <= 1)
    if not wrong.any():
        return float(excess.max(initial=0.0))
    excess[wrong & ~np.isfinite(excess)] = np.inf
    count, looked = int(wrong.sum()), 0
    spared = {EDGE, STEP, OUTSIDE}
    composed = lenient and len(nodes_of([problem.first[output]])) > 1
    if composed:
        spared.add(KINK)  # rules that are right add up to no subgradient: relu(x) - 2 relu(-x)
        wrong &= ~bent_there(held, output, i, noise)
    elif lenient:
        wrong &= ~beside_a_kink(held, output, i, noise)
    bent: list[tuple[int, int]] = []
    apart: dict[int, bool] = {}  # of a row: whether its slopes along the axes add up to none
    while wrong.any():
        flat = int(np.argmax(np.where(wrong, excess, -1.0)))
        row, column = divmod(flat, excess.shape[1])
        looked += 1
        nan = np.isnan(a[row, column])
        lost = (
            undefined(problem, held, (output, i, column), tol, kinks and not composed)
            if nan
            else -1
        )
        if lost >= 0:  # where one output has no derivative, 0 * NaN in another is no fault
            if lenient:
                wrong[:, column] = False
                continue
            row = lost
        found = climb(problem, output, row, i, column, float(a[row, column]), tol)
        if found.verdict == SUBGRADIENT:
            bent.append((row, column))
        elif not (found.accepts or (lenient and found.verdict in spared)):
            if lenient and row not in apart:
                apart[row] = not adds_up(problem, held, output, row, tol)
            if not apart.get(row, False) or found.verdict != WRONG:
                break
            wrong[row] = False
        count -= 1
        wrong[row, column] = False
        if looked > (FEW if lenient else LOOKED_AT):
            wrong[:] = False
    else:
        check_together(problem, held, output, i, bent, tol)
        return float(np.where(excess <= 1, excess, 0.0).max(initial=0.0))
    check_steady(problem, found)
    sure = found.verdict == WRONG
    kind = explain(Case(problem, held.exact, held.numeric, output, i, tol)) if sure else Kind()
    raise mismatched(problem, held, (output, row, i, column), found, allowed, count, kind)


def mismatched(
    problem: Problem,
    held: Jacobians,
    place: tuple[int, int, int, int],
    found: Ladder,
    allowed: Array,
    count: int,
    kind: Kind,
) -> GradcheckError:
    """Return the error about one Jacobian, with its worst element."""
    output, row, i, column = place
    mismatch = Mismatch(
        output,
        problem.position(i),
        tuple(int(k) for k in np.unravel_index(row, problem.first[output].shape)),
        tuple(int(k) for k in np.unravel_index(column, problem.checked[i].shape)),
        float(held.exact[output, i][row, column]),
        float(held.numeric[output, i][row, column]),
        float(allowed[row, column]),
        count,
        int(allowed.size),
        found,
        kind,
        problem.named(i),
    )
    where = f"{problem.name}: " + (f"{problem.when}: " if problem.when else "")
    return GradcheckError(f"{where}{mismatch}", mismatch, kind.name)


def beside_a_kink(held: Jacobians, output: int, i: int, noise: Array) -> Array:
    """Return which elements are smooth while another output has a kink by the same input: there a
    derivative is one of several, as where equal elements are sorted.
    """
    bends, n = held.bends[output, i], held.numeric[output, i]
    with np.errstate(all="ignore"):
        bent = ~(bends <= 1e-2 * np.maximum(np.abs(n), 1e-3) + 8 * noise)
    return np.asarray(~bent & bent.any(axis=0, keepdims=True))


def bent_there(held: Jacobians, output: int, i: int, noise: Array) -> Array:
    """Return which elements have a kink, a step or the end of the domain at the point; and, where
    one output has no derivative, all others by the same element, whose 0 * NaN is no fault.
    """
    a, n = held.exact[output, i], held.numeric[output, i]
    bends = held.bends[output, i]
    with np.errstate(all="ignore"):
        found = ~(bends <= 0.1 * np.abs(a - n) + 4 * noise)
        found = (found & ~np.isnan(a)) | ~np.isfinite(n) | ~np.isfinite(bends)
    lost = (np.isinf(a) | (np.isnan(a) & found)).any(axis=0)
    return np.asarray(found | (np.isnan(a) & lost))


def undefined(
    problem: Problem, held: Jacobians, place: tuple[int, int, int], tol: Tolerance, kinks: bool
) -> int:
    """Return an element of the output that has no derivative by an input's element, of those whose
    analytic one is not finite; -1 where there is none.

    A kink has derivatives, the slopes on both sides and all between; of several rules composed one
    may be infinite there, and another zero.
    """
    output, i, column = place
    a = held.exact[output, i]
    finite = {WRONG, KINK} if kinks else {WRONG}
    for row in np.flatnonzero(~np.isfinite(a[:, column])):
        if climb(problem, output, int(row), i, column, np.nan, tol).verdict not in finite:
            return int(row)
    return -1


def adds_up(problem: Problem, held: Jacobians, output: int, row: int, tol: Tolerance) -> bool:
    """Say whether an output's element has a derivative: its slope along a direction is what its
    slopes along the axes add up to.

    The median of equal elements and x**y at (0, 0) are level along each axis and have none.
    Elements by which there is no slope are not moved; there must be no jump by them.
    """
    start, ends, want = problem.points(), [], 0.0
    steps = []
    here = float(problem.values[output].reshape(-1)[row])
    for i, x in enumerate(start):
        slopes = held.numeric[output, i][row]
        v = np.random.default_rng(i).uniform(0.5, 1.0, x.shape) * steps_for(x, tol.eps)
        v.reshape(-1)[~np.isfinite(slopes)] = 0.0
        for column in np.flatnonzero(~np.isfinite(slopes))[:4]:
            for sign in (1.0, -1.0):
                step = unit(x.shape, int(column), sign * tol.eps)
                there = float(problem.perturbed(i, step)[output].reshape(-1)[row])
                if np.isfinite(there) and abs(there - here) > 1e-2 * max(1.0, abs(here)):
                    return False
        steps.append(v)
        want += float((np.where(v.reshape(-1) == 0, 0.0, slopes) * v.reshape(-1)).sum())
    for sign in (1.0, -1.0):
        try:
            found = problem.at([x + sign * v for x, v in zip(start, steps, strict=True)])[output]
            ends.append(float(found.array.reshape(-1)[row]))
        except Exception:
            return False
        finally:
            problem.reset()
    slope = (ends[0] - ends[1]) / 2
    size = max((float(np.abs(v).max(initial=0.0)) for v in steps), default=0.0)
    noise = 8 * tol.noise * abs(here)
    return bool(abs(slope - want) <= 1e-3 * abs(want) + 1e-2 * tol.atol * size + noise)


def check_steady(problem: Problem, found: Ladder) -> None:
    """Refuse a function whose values have changed, before its derivative is called wrong."""
    again = problem.run()
    for k, (y, z) in enumerate(zip(problem.values, again, strict=True)):
        if y.shape != z.array.shape or not np.array_equal(y, z.array, equal_nan=True):
            fail(
                problem,
                f"output {k} differs after some calls with the same inputs and random numbers: the"
                " function keeps state, so that no difference of its values is a derivative",
                "state",
            )


def check_together(
    problem: Problem,
    held: Jacobians,
    output: int,
    i: int,
    bent: list[tuple[int, int]],
    tol: Tolerance,
) -> None:
    """Hold subgradients of several elements to the slope along all of them at once: each may lie
    between its slopes, while their sum does not.
    """
    a = held.exact[output, i]
    for row in sorted({r for r, _ in bent}):
        columns = [c for r, c in bent if r == row]
        if len(columns) < 2:
            continue
        at = problem.points()[i]
        steps = steps_for(at, tol.eps).reshape(-1)[columns]
        size = float(steps.min())
        direction = np.zeros(at.size)
        direction[columns] = 1.0
        direction = direction.reshape(at.shape)
        here = float(problem.values[output].reshape(-1)[row])
        up, down = (
            float(problem.perturbed(i, s * size * direction)[output].reshape(-1)[row])
            for s in (1, -1)
        )
        lo, hi = sorted(((here - down) / size, (up - here) / size))
        total = float(a[row, columns].sum())
        slack = float(tol.allowed(max(abs(lo), abs(hi)))) + 4 * abs(here) * tol.noise / size
        if not np.isfinite([lo, hi]).all() or max(abs(lo), abs(hi)) > 1e-3 / size:
            continue
        if not lo - slack <= total <= hi + slack:
            fail(
                problem,
                f"the derivatives of output {output} by {len(columns)} elements of"
                f" {problem.named(i)} at a kink (equal elements) lie each between the slopes"
                f" beside it, but not together: their sum is {total:.6g}, and the slope along all"
                f" of them {lo:.6g} from one side and {hi:.6g} from the other: right but for ties,"
                " whose share is wrong",
                "ties",
            )
