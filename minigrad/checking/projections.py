"""Jacobians compared by random projections: what `fast_mode` asks for, and large inputs get.

A projection u'Jv sees every element at once.  Its signal is what one wrong element changes, its
noise the rounding of the values; neither a tolerance that grows with the size hides the one, nor
does the sum over everything: each row of an input is projected by itself too.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from minigrad.checking.problem import Array, Problem, gradients, steps_for
from minigrad.checking.report import GradcheckError, Tolerance
from minigrad.tensors.tensor import Tensor

LARGE = 60_000  # elements of all Jacobians beyond which projections are compared first
TIMES = 3
HUGE = 2_000_000  # elements of a Jacobian that is not compared element by element at all
ROWS = 16  # of each input that are projected by themselves, drawn at random where it has more
SHARE = 1e-5  # of |u'Jv| that the two ways may lie apart


def is_large(problem: Problem, found: list[int]) -> bool:
    """Say whether the Jacobians are too large to be compared element by element at once."""
    outputs = sum(problem.first[k].array.size for k in found)
    return outputs * sum(t.array.size for t in problem.checked) > LARGE


def check_projections(problem: Problem, outputs: list[int], tol: Tolerance) -> bool:
    """Compare u'Jv for random u and v, an output and an input; say whether all agree.

    Three times for all of an input, once for each of some rows of it.
    """
    rng = np.random.default_rng(0)
    for k in outputs:
        y = problem.first[k]
        for time in range(TIMES):
            u = np.asarray(rng.standard_normal(y.shape))
            found = gradients(problem, [y], [Tensor(u)])
            for i, g in enumerate(found):
                for where in [..., *(rows_of(g, rng) if time == 0 else ())]:
                    v = np.zeros(g.shape)
                    v[where] = rng.standard_normal(v[where].shape)
                    if not agrees(problem, (k, i), u, g, v, tol):
                        if y.array.size * g.size > HUGE:
                            refuse(problem, k, i, where)
                        return False
    return True


def refuse(problem: Problem, k: int, i: int, where: object) -> NoReturn:
    """Raise about a Jacobian that is too large to look at element by element."""
    place = "a random direction" if where is ... else f"a random direction in row {where}"
    raise GradcheckError(
        f"{problem.name}: d(output {k})/d({problem.named(i)}) is wrong along {place}; the Jacobian"
        " is too large for every element to be compared: check a smaller input for the kind of"
        " mistake",
        kind="projection",
    )


def rows_of(g: Array, rng: np.random.Generator) -> list[int]:
    """Return some places along the first axis."""
    if g.ndim < 2 or g.shape[0] < 2:
        return []
    return [int(r) for r in rng.permutation(g.shape[0])[:ROWS]]


def agrees(
    problem: Problem, place: tuple[int, int], u: Array, g: Array, v: Array, tol: Tolerance
) -> bool:
    """Say whether g.v is the difference of u.f along v, or lies between the slopes of a kink.

    The difference of two long sums is left with the rounding of each term, which is random: it
    grows with the root of their number.
    """
    k, i = place
    largest = float(np.abs(v).max(initial=0.0))
    if not largest:
        return True
    step = v * (float(steps_for(problem.points()[i], tol.eps).min()) / largest)
    size = float(np.sqrt((step * step).sum()))
    up, down = (problem.perturbed(i, np.asarray(s))[k] for s in (step, -step))
    n, a = float((u * (up - down)).sum()) / 2, float((g * step).sum())
    terms = np.abs(u * problem.values[k])
    noise = 8 * tol.noise * float(np.sqrt((terms * terms).sum()) + terms.max(initial=0.0))
    floor = 1e-3 * tol.atol * size * float(np.sqrt((u * u).sum()) / max(u.size, 1) ** 0.5)
    if abs(a - n) <= floor + SHARE * abs(n) + noise:
        return True
    here = float((u * problem.values[k]).sum())
    lo, hi = sorted((here - float((u * down).sum()), float((u * up).sum()) - here))
    bent = hi - lo > 4 * (noise + SHARE * abs(n))
    return bool(bent and lo - noise <= a <= hi + noise)
