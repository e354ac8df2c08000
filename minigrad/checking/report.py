"""Reports of a gradient check: the worst element, and the slopes on both sides of the point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        return (
            f"d(output {self.output})/d(input {self.input}) is wrong in {self.wrong} of"
            f" {self.total} elements\n"
            f"  worst: output {self.output} at {output} by input {self.input} at {given}:"
            f" analytic {self.analytic:.9g}, numeric {self.numeric:.9g}, allowed difference"
            f" {self.allowed:.3g}\n  {self.verdict}"
        )

    @property
    def verdict(self) -> str:
        """What the point is like, and what the numbers say of the rule."""
        sides = f"{self.left:.6g} from the left and {self.right:.6g} from the right"
        if not math.isfinite(self.left) or not math.isfinite(self.right):
            return (
                f"the function is not finite beside the point: the slope is {sides}; the point lies"
                " at the end of the function's domain or outside, move the input inside"
            )
        if self.kink:
            return (
                f"the point sits on a kink or a step: the slope is {sides}; move the input away"
                " from it"
            )
        apart = abs(self.left - self.right) > 1e-3 * max(abs(self.left), abs(self.right), 1e-2)
        agree = (
            f"the slopes on both sides ({self.left:.6g}, {self.right:.6g}) meet as the step shrinks"
            if apart
            else f"the slopes on both sides agree ({self.left:.6g}, {self.right:.6g})"
        )
        return f"{agree}: no kink{self.hint}"

    @property
    def hint(self) -> str:
        """What such numbers come from."""
        if math.isnan(self.analytic):
            return "; the rule gives NaN where the function is smooth"
        if self.analytic == 0:
            return (
                "; an analytic derivative of exactly 0 comes of a rule or a function that leaves"
                " the tape: a raw array, detach(), no_grad(), item() or a plain number where a"
                " tensor of the tape belongs"
            )
        ratio = self.numeric / self.analytic
        if abs(ratio + 1) < 1e-4:
            return "; the sign is wrong"
        whole = next((k for k in (ratio, 1 / ratio if ratio else 0.0) if k > 1.5), 0.0)
        if whole and abs(whole - round(whole)) < 1e-4 * whole:
            more = "small" if ratio > 1 else "large"
            return f"; the derivative is {round(whole)} times too {more}"
        return ""


@dataclass(frozen=True)
class Point:
    """The slopes to the left and right of a point; a kink where they differ at any distance."""

    left: float
    right: float
    kink: bool

    @property
    def smooth(self) -> bool:
        return not self.kink and math.isfinite(self.left) and math.isfinite(self.right)


class GradcheckError(AssertionError):
    """The error of a failed check; `mismatch` is the worst element, or None where the fault is
    another.
    """

    def __init__(self, message: str, mismatch: Mismatch | None = None) -> None:
        super().__init__(message)
        self.mismatch = mismatch


@dataclass(frozen=True)
class Tolerance:
    """The distance that two derivatives may have: atol + rtol * |numeric|."""

    eps: float
    atol: float
    rtol: float
    noise: float = 1e-15  # of a value, relative: rounding that a difference of two is left with

    def allowed(self, numeric: Any) -> Any:
        return self.atol + self.rtol * np.abs(numeric)
