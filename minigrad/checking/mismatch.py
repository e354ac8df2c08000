"""The report of a wrong Jacobian: the worst element, what its point is like, what explains it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from minigrad.checking.ladder import EDGE, KINK, OUTSIDE, STEP, SUBGRADIENT, WRONG, Ladder
from minigrad.checking.signature import Kind

Index = tuple[int, ...]


@dataclass(frozen=True)
class Mismatch:
    """The worst element of one Jacobian: d(outputs[output][output_index]) /
    d(inputs[input][input_index]).

    input: which argument; one that is no argument comes after them, and has its name in `called`.
    wrong, total: how many elements of this Jacobian disagree, of how many.
    ladder: the slopes beside the point, from far to near.  kind: the mistake that explains them.
    """

    output: int
    input: int
    output_index: Index
    input_index: Index
    analytic: float
    numeric: float
    allowed: float
    wrong: int
    total: int
    ladder: Ladder
    kind: Kind
    called: str = ""

    @property
    def left(self) -> float:
        """The slope to the left of the point."""
        return self.ladder.left

    @property
    def right(self) -> float:
        """The slope to the right of the point."""
        return self.ladder.right

    @property
    def kink(self) -> bool:
        """Whether the slopes disagree, so that no derivative exists."""
        return self.ladder.verdict in (KINK, STEP, SUBGRADIENT)

    def __str__(self) -> str:
        output, given = list(self.output_index), list(self.input_index)
        called = self.called or f"input {self.input}"
        by = str(self.input) if called.startswith("input") else called
        return (
            f"d(output {self.output})/d({called}) is wrong in {self.wrong} of"
            f" {self.total} elements\n"
            f"  worst: output {self.output} at {output} by input {by} at {given}:"
            f" analytic {self.analytic:.9g}, numeric {self.numeric:.9g}, allowed difference"
            f" {self.allowed:.3g}\n  {self.verdict}"
        )

    @property
    def verdict(self) -> str:
        """What the point is like, and what the numbers say of the rule."""
        left, right = self.left, self.right
        sides = f"{left:.6g} from the left and {right:.6g} from the right"
        if self.ladder.verdict == OUTSIDE:
            return (
                "the function is not finite at the point: it lies outside the function's domain,"
                " and nothing is said of the rule; move the input inside"
            )
        if self.ladder.verdict == EDGE:
            return (
                f"the function is not finite beside the point: the slope is {sides}; the point lies"
                " at the end of the function's domain, move the input inside"
            )
        if self.ladder.verdict == STEP:
            return (
                f"the point sits on a kink or a step: the slope is {sides}; move the input away"
                " from it"
            )
        if self.ladder.verdict == KINK:
            return (
                f"the point sits on a kink or a step: the slope is {sides}, and the analytic"
                " derivative does not lie between: it is no subgradient"
            )
        return f"{self.slopes}{self.hint}{self.steps}"

    @property
    def slopes(self) -> str:
        """How the slopes on both sides compare."""
        left, right = self.left, self.right
        apart = abs(left - right) > 1e-3 * max(abs(left), abs(right), 1e-2)
        if apart:
            return (
                f"the slopes on both sides ({left:.6g}, {right:.6g}) meet as the step shrinks: no"
                " kink"
            )
        return f"the slopes on both sides agree ({left:.6g}, {right:.6g}): no kink"

    @property
    def hint(self) -> str:
        """The kind of mistake, and what a NaN or a zero comes from."""
        said = f"\n  kind of mistake: {self.kind.words}" if self.kind.words else ""
        if math.isnan(self.analytic):
            return f"; the rule gives NaN where the function is smooth{said}"
        if self.analytic == 0 and self.kind.name in ("", "zero", "cut"):
            return (
                f"{said}; an analytic derivative of exactly 0 comes of a rule or a function that"
                " leaves the tape: a raw array, detach(), no_grad(), item() or a plain number where"
                " a tensor of the tape belongs"
            )
        return said

    @property
    def steps(self) -> str:
        """What the ladder of steps adds."""
        if self.ladder.verdict != WRONG or not math.isfinite(self.ladder.best):
            return ""
        return (
            f"\n  over {len(self.ladder.rungs)} steps the slope settles at {self.ladder.best:.9g}"
            f" +- {self.ladder.error:.1g}: neither truncation nor rounding, the rule is wrong"
        )
