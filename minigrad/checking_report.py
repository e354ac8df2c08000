"""What a gradient check reports: the worst element, and which slopes the point has on its two
sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Index = tuple[int, ...]


@dataclass(frozen=True)
class Mismatch:
    """The worst element of one Jacobian: d(outputs[output][output_index]) /
    d(inputs[input][input_index]).

    left, right: the one-sided slopes at the point.  kink: they disagree, so no derivative exists.
    wrong, total: how many elements of this Jacobian disagree, of how many.
    """

    output: int
    input: int
    output_index: Index
    input_index: Index
    analytic: float
    numeric: float
    allowed: float
    left: float
    right: float
    kink: bool
    wrong: int
    total: int

    def __str__(self) -> str:
        output, given = list(self.output_index), list(self.input_index)
        if self.kink:
            verdict = (
                f"the point sits on a kink or a step: the slope is {self.left:.6g} from the left"
                f" and {self.right:.6g} from the right; move the input away from it"
            )
        else:
            verdict = f"the slopes on both sides agree ({self.left:.6g}, {self.right:.6g}): no kink"
        return (
            f"d(output {self.output})/d(input {self.input}) is wrong in {self.wrong} of"
            f" {self.total} elements\n"
            f"  worst: output {self.output} at {output} by input {self.input} at {given}:"
            f" analytic {self.analytic:.9g}, numeric {self.numeric:.9g}, allowed difference"
            f" {self.allowed:.3g}\n  {verdict}"
        )


class GradcheckError(AssertionError):
    """What a failed check raises; `mismatch` is the worst element, or None where the fault is
    another.
    """

    def __init__(self, message: str, mismatch: Mismatch | None = None) -> None:
        super().__init__(message)
        self.mismatch = mismatch


@dataclass(frozen=True)
class Tolerance:
    """How far apart two derivatives may lie: atol + rtol * |numeric|."""

    eps: float
    atol: float
    rtol: float

    def allowed(self, numeric: Array) -> Array:
        return self.atol + self.rtol * np.abs(numeric)
