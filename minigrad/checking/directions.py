"""The slope of a function along one direction, beside the one that its gradient gives: one sweep
and two evaluations, at any point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from minigrad.checking.probes import attempt, drawn, seeds_of, tensors
from minigrad.checking.problem import Array, Problem, gradients, steps_for
from minigrad.checking.report import GradcheckError, Tolerance

CLOSE = 1e-7  # of the slope: how near both are where no element needs to be looked at


@dataclass(frozen=True)
class Slope:
    """What a gradient and the values say of one direction.

    analytic, numeric: the slope by the gradient, by central differences.
    bend: by how much the slopes on both sides differ.  noise: what rounding does to them.
    spread: the length of the direction and the weights of the outputs.
    seen: whether the gradient is not zero.
    """

    analytic: float
    numeric: float
    bend: float
    noise: float
    spread: float
    seen: bool

    def agrees(self, atol: float, rtol: float) -> bool:
        """Say whether both are the same; NaN agrees with nothing."""
        allowed = atol * self.spread + rtol * abs(self.numeric) + self.noise
        return bool(abs(self.analytic - self.numeric) <= allowed)

    @property
    def kink(self) -> bool:
        """Whether a kink or a step explains the difference."""
        return self.bend > 0.1 * abs(self.analytic - self.numeric) + self.noise


def random_steps(points: Sequence[Array]) -> list[Array]:
    """Return a random direction, longer by elements that are large."""
    drawn_steps = drawn(4, tuple(a.shape for a in points))
    return [s * steps_for(a, 1.0) for s, a in zip(drawn_steps, points, strict=True)]


def along(
    problem: Problem,
    found: list[int],
    points: Sequence[Array],
    steps: Sequence[Array],
    tol: Tolerance,
) -> Slope | None:
    """Return the slope at a point along `steps`, of the outputs weighted at random.

    None where the function is not finite, or it or its rule has no value: of a singular matrix.
    Raises: GradcheckError where a rule breaks its contract.
    """
    try:
        outputs = attempt(problem, [a.copy() for a in points], found)
        if outputs is None or not all(np.isfinite(y.array).all() for y in outputs):
            return None
        seeds = seeds_of(outputs)
        moving = [k for k, y in enumerate(outputs) if y.requires_grad]
        grads = [np.zeros(a.shape) for a in points]
        if moving:
            weights = tensors([seeds[k] for k in moving])
            grads = gradients(problem, [outputs[k] for k in moving], weights)
        values = [np.array(y.array) for y in outputs]
        ends = []
        for sign in (1, -1):
            there = [a + sign * tol.eps * s for a, s in zip(points, steps, strict=True)]
            moved = attempt(problem, there, found)
            if moved is None:
                return None
            ends.append(weighted(seeds, [y.array for y in moved]))
    except GradcheckError:
        raise
    except Exception:
        return None
    finally:
        problem.reset()
    with np.errstate(all="ignore"):  # a gradient may be infinite where the function is not
        return Slope(
            weighted(grads, steps),
            (ends[0] - ends[1]) / (2 * tol.eps),
            abs(ends[0] + ends[1] - 2 * weighted(seeds, values)) / tol.eps,
            4
            * weighted([np.abs(u) for u in seeds], [np.abs(v) for v in values])
            * (tol.noise / tol.eps),
            float(np.sqrt(sum((g * g).sum() for g in chain(seeds, steps)))),
            any(g.any() for g in grads),
        )


def weighted(weights: Sequence[Array], values: Sequence[Array]) -> float:
    """Return the sum of all products."""
    return float(sum((u * y).sum() for u, y in zip(weights, values, strict=True)))
