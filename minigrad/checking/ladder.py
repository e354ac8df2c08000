"""A ladder of step sizes at one element: truncation, rounding, a kink and a wrong rule told apart.

The error of a central difference falls with the square of the step until rounding takes over, which
grows as the step shrinks.  Between lies the best step; what still differs there is the rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minigrad.checking.problem import Problem, steps_for, unit
from minigrad.checking.report import Tolerance

RATIOS = (
    1e3,
    1e2,
    10.0,
    4.0,
    1.0,
    0.25,
    0.1,
    1e-2,
    1e-3,
    1e-4,
    1e-5,
    1e-6,
)  # of the step of the check
SURE = 20.0  # times the error of the best difference: what differs more is the rule

RIGHT, WRONG, KINK, SUBGRADIENT, STEP, EDGE, OUTSIDE = (
    "right",
    "wrong rule",
    "kink",
    "valid subgradient",
    "step",
    "end of the domain",
    "not finite",
)


@dataclass(frozen=True)
class Ladder:
    """The slopes at one element over distances from far to near.

    rungs: (step, slope to the left, slope to the right).  best, error: the central difference that
        the steps around it agree on most, and by how much they do not.
    left, right: the slopes at the check's own step.
    verdict: one of the constants above.  cause: of "right" where the check's step disagreed:
        "truncation", "rounding" or "a kink nearby".
    """

    rungs: tuple[tuple[float, float, float], ...]
    best: float
    error: float
    left: float
    right: float
    verdict: str
    cause: str = ""

    @property
    def accepts(self) -> bool:
        """Whether the analytic derivative is no fault here."""
        return self.verdict in (RIGHT, SUBGRADIENT)

    @property
    def order(self) -> float:
        """How fast the difference to the best slope falls from rung to rung: 2 where the rule is
        right and only the step too long, 0 where the differences have settled.
        """
        pairs = [(h, abs((left + right) / 2 - self.best)) for h, left, right in self.rungs[:3]]
        held = [(math.log(h), math.log(e)) for h, e in pairs if math.isfinite(e) and e > 0]
        if len(held) < 2:
            return 0.0
        (x0, y0), (x1, y1) = held[0], held[-1]
        return (y0 - y1) / (x0 - x1)


def climb(
    problem: Problem, output: int, row: int, i: int, column: int, a: float, tol: Tolerance
) -> Ladder:
    """Evaluate beside one element at every step; say what explains that `a` differs."""
    shape = problem.checked[i].shape
    here = float(problem.values[output].reshape(-1)[row])
    size = float(steps_for(problem.points()[i], tol.eps).reshape(-1)[column])

    def value(step: float) -> float:
        found = problem.perturbed(i, unit(shape, column, step))[output]
        return float(found.reshape(-1)[row]) if found.shape == problem.values[output].shape else 0.0

    with np.errstate(all="ignore"):
        rungs = tuple(
            (h, (here - value(-h)) / h, (value(h) - here) / h) for h in (r * size for r in RATIOS)
        )
    return judged(rungs, here, a, tol)


def judged(
    rungs: tuple[tuple[float, float, float], ...], here: float, a: float, tol: Tolerance
) -> Ladder:
    """Say what the slopes at one element tell of the analytic derivative `a`."""
    own = RATIOS.index(1.0)
    _, left, right = rungs[own]
    noise = [4 * abs(here) * tol.noise / h for h, _, _ in rungs]
    rough = max(
        (abs(hi - lo) * h for h, lo, hi in rungs[-6:-2] if math.isfinite(hi - lo)), default=0
    )
    uneven = [max(e, 2 * rough / h) for e, (h, _, _) in zip(noise, rungs, strict=True)]
    best, error, at = settled([(lo + hi) / 2 for _, lo, hi in rungs], uneven)

    def made(verdict: str, cause: str = "") -> Ladder:
        return Ladder(rungs, best, error, left, right, verdict, cause)

    if not math.isfinite(here):
        return made(OUTSIDE)
    near = rungs[own + 1 :]
    if not any(math.isfinite(lo) and math.isfinite(hi) for _, lo, hi in near):
        return made(edge(rungs, noise, a, tol))
    bent = kinked(rungs, noise, tol)
    near_enough = abs(a - best) <= float(tol.allowed(best)) + SURE * error
    if error <= 0.5 * (abs(best) + tol.atol) and near_enough and (not bent or at > own):
        return made(RIGHT, "rounding" if at < own else "truncation or a kink nearby")
    if bent == STEP:
        return made(STEP)
    if bent:
        lo, hi = sorted((left, right))
        slack = float(tol.allowed(max(abs(lo), abs(hi)))) + noise[own]
        return made(SUBGRADIENT if lo - slack <= a <= hi + slack else KINK)
    if not math.isfinite(left) or not math.isfinite(right):
        return made(EDGE)
    if math.isfinite(a) and abs(a - best) <= SURE * error:
        return made(RIGHT, "rounding")
    return made(WRONG)


def settled(slopes: list[float], noise: list[float]) -> tuple[float, float, int]:
    """Return the central slope that its neighbours agree on most, its error, and its rung.

    All nearer ones must agree with it but for their noise: far away the function may be another.
    Zeros at the nearest steps, where a value no longer changes, agree on nothing.
    """
    found = (math.nan, math.inf, 0)
    own = RATIOS.index(1.0)
    if slopes[own] and slopes[own + 3]:
        while slopes and slopes[-1] == 0:
            slopes = slopes[:-1]
    for k in range(len(slopes) - 1):
        gap, here = abs(slopes[k] - slopes[k + 1]), slopes[k + 1]
        error = gap + noise[k]
        nearer = zip(slopes[k + 1 :], noise[k + 1 :], strict=False)
        agree = all(abs(d - here) <= 2 * error + 5 * e + 1e-4 * abs(here) for d, e in nearer)
        if math.isfinite(gap) and agree and error < found[1]:
            found = (slopes[k] if k else here, error, k)
    level = slopes[1 : own + 2]
    spread = max(level) - min(level) if all(map(math.isfinite, level)) else math.inf
    if found[1] > 0.1 * abs(found[0]) and 0 < spread <= 1e-3 * abs(slopes[own]):
        return slopes[own - 1], spread, own  # nearer ones lose the digits in which values differ
    return found


def kinked(
    rungs: tuple[tuple[float, float, float], ...], noise: list[float], tol: Tolerance
) -> str:
    """Return KINK where the slopes to both sides stay apart as the step shrinks, STEP where one
    grows without bound, else nothing.

    Those of a curved function differ too, but a quarter of the distance leaves a quarter of it.
    """
    own = RATIOS.index(1.0)
    (_, left, right), (_, near_left, near_right) = rungs[own], rungs[own + 1]
    if not all(map(math.isfinite, (left, right, near_left, near_right))):
        return ""
    steep = max(abs(near_left), abs(near_right))
    if steep > 3 * max(abs(left), abs(right)) + tol.atol + noise[own + 1]:
        return STEP
    jump, near = abs(right - left), abs(near_right - near_left)
    if near > float(tol.allowed(steep)) + noise[own + 1] and near > jump / 2:
        return KINK
    return ""


def edge(
    rungs: tuple[tuple[float, float, float], ...], noise: list[float], a: float, tol: Tolerance
) -> str:
    """Judge the end of a domain by the one side that there is: its slope, or that it has none."""
    for side in (1, 2):
        slopes = [rung[side] for rung in rungs]
        if not all(map(math.isfinite, slopes)):
            continue
        grows = abs(slopes[-3]) > 30 * abs(slopes[RATIOS.index(1.0)]) + tol.atol
        far, near = (abs(a - s) for s in (slopes[RATIOS.index(1.0)], slopes[-3]))
        if not grows and near <= float(tol.allowed(slopes[-3])) + noise[-3] + 0.05 * far:
            return RIGHT
    return EDGE
