"""One analytic Jacobian held against the numeric one; what the worst element's point is like."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from minigrad.checking.problem import Array, Problem, unit
from minigrad.checking.report import GradcheckError, Mismatch, Point, Tolerance

CLOSER = (1e-2, 1e-4, 1e-6)  # of eps, where a kink or the end of the domain lies within it


def fail(problem: Problem, message: str) -> NoReturn:
    """Raise the failure of a check that concerns no single element."""
    raise GradcheckError(f"{problem.name}: {message}")


def compare(
    problem: Problem,
    output: int,
    i: int,
    a: Array,
    n: Array,
    tol: Tolerance,
    lenient: bool = False,
) -> float:
    """Hold one analytic Jacobian against the numeric one; a NaN agrees with nothing.

    An element whose point has a kink or the end of the domain within eps gets smaller steps.
    lenient: pass over those that have it at the point itself, for points of the check's own choice.
    Returns the largest difference as a share of the allowed one.
    """
    values = np.abs(problem.values[output].reshape(-1, 1))
    noise = np.where(np.isfinite(values), values, 0.0) * (tol.noise / tol.eps)
    allowed = tol.allowed(n) + noise
    with np.errstate(all="ignore"):
        excess = np.abs(a - n) / allowed
        wrong = ~(excess <= 1)
    if not wrong.any():
        return float(excess.max(initial=0.0))
    excess[wrong & ~np.isfinite(excess)] = np.inf
    count = int(wrong.sum())
    while wrong.any():
        flat = int(np.argmax(np.where(wrong, excess, -1.0)))
        row, column = divmod(flat, excess.shape[1])
        if lenient and np.isnan(a[row, column]):
            undefined = np.flatnonzero(np.isnan(a[:, column]))
            if not all(look_at(problem, output, int(r), i, column, tol).smooth for r in undefined):
                wrong[:, column] = False  # where one output has no derivative, 0 * NaN is no fault
                continue
        point = look_at(problem, output, row, i, column, tol)
        if point.smooth:
            if not lenient or steady(problem, output, row, i, column, tol):
                break
        elif closer(problem, output, row, i, column, float(a[row, column]), tol):
            count -= 1
        elif not lenient:
            break
        wrong[row, column] = False
    else:
        return float(np.where(excess <= 1, excess, 0.0).max(initial=0.0))
    mismatch = Mismatch(
        output,
        problem.position(i),
        tuple(int(k) for k in np.unravel_index(row, problem.first[output].shape)),
        tuple(int(k) for k in np.unravel_index(column, problem.checked[i].shape)),
        float(a[row, column]),
        float(n[row, column]),
        float(allowed[row, column]),
        point.left,
        point.right,
        point.kink,
        count,
        int(wrong.size),
    )
    where = f"{problem.name}: " + (f"{problem.when}: " if problem.when else "")
    raise GradcheckError(f"{where}{mismatch}", mismatch)


def beside(
    problem: Problem, output: int, row: int, i: int, column: int, eps: float
) -> tuple[float, float]:
    """Return the slopes to the left and to the right, over a distance of eps."""
    shape = problem.checked[i].shape
    to_current_device = float(problem.values[output].reshape(-1)[row])
    up, down = (
        float(problem.perturbed(i, unit(shape, column, s))[output].reshape(-1)[row])
        for s in (eps, -eps)
    )
    return (to_current_device - down) / eps, (up - to_current_device) / eps


def look_at(problem: Problem, output: int, row: int, i: int, column: int, tol: Tolerance) -> Point:
    """Return the slopes at both sides, and whether they differ at any distance: a kink.

    Those of a curved function differ too, but a quarter of the distance leaves a quarter of it.
    """
    to_current_device = abs(float(problem.values[output].reshape(-1)[row]))
    left, right = beside(problem, output, row, i, column, tol.eps)
    near_left, near_right = beside(problem, output, row, i, column, tol.eps / 4)
    if not np.isfinite([to_current_device, left, right, near_left, near_right]).all():
        return Point(left, right, kink=False)
    noise = 4 * to_current_device * tol.noise / tol.eps
    jump, near = abs(right - left), abs(near_right - near_left)
    kink = near > tol.allowed(max(abs(near_left), abs(near_right))) + noise and near > jump / 2
    step = max(abs(near_left), abs(near_right)) > 3 * max(abs(left), abs(right)) + tol.atol + noise
    return Point(left, right, bool(kink or step))


def closer(
    problem: Problem, output: int, row: int, i: int, column: int, a: float, tol: Tolerance
) -> bool:
    """Say whether smaller steps agree with the analytic derivative `a`."""
    to_current_device = abs(float(problem.values[output].reshape(-1)[row]))
    for share in CLOSER:
        eps = share * tol.eps
        left, right = beside(problem, output, row, i, column, eps)
        n, noise = (left + right) / 2, to_current_device * tol.noise / eps
        if noise <= tol.allowed(n) and abs(a - n) <= tol.allowed(n) + noise:
            return True
    return False


def steady(problem: Problem, output: int, row: int, i: int, column: int, tol: Tolerance) -> bool:
    """Say whether a smaller step gives the same slope, so that the numeric one can be trusted."""
    far, near = (
        sum(beside(problem, output, row, i, column, eps)) / 2 for eps in (tol.eps, tol.eps / 4)
    )
    to_current_device = abs(float(problem.values[output].reshape(-1)[row]))
    return abs(far - near) <= tol.allowed(near) + 4 * to_current_device * tol.noise / tol.eps
