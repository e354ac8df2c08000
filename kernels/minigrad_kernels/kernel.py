"""The type of a row of the table, and the sizes at which kernels change their way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minigrad_kernels.example import Example

PARALLEL = 20_000  # elements from which a jitted parallel loop beats NumPy (benchmarks elementwise)
CHUNK = 4_096  # reductions are split by size alone, so that bits never depend on the thread count

# How far a kernel may be from its reference, in float32 and float64 alike: (ulps, floor), so that
# |got - want| <= ulps eps (|want| + floor).  Floor 0 bounds the relative error: true ULPs.  Where
# numbers of size 1 cancel (sums, normalisations, their gradients) the floor is that size.
Rounding = tuple[float, float]
EXACT: Rounding = (0.51, 0.0)  # rounded once
NEAR_ONE: Rounding = (8.0, 1.0)  # exact beside numbers of size 1, not in the tails
SUMS: Rounding = (40.0, 8.0)


@dataclass(frozen=True)
class Rule:
    """An elementwise function of one number to three, and what all else about it is derived from.

    A row of one line is enough: `Rule(softsign, 1, lambda a: a / (1 + abs(a)))`.

    function: the scalar function that is lifted to arrays of the CPU and of CUDA; None where the
        loops are not lifted ones.
    operands: how many arrays it takes, broadcast against each other.
    reference: the same in NumPy, on float64 arrays.  ufunc: whether that is a ufunc that takes
        `out`, and so computes small arrays.
    flops: what an element costs.
    numbers: two scalar arguments after the operands, as samples and examples have them.
    draws: what an operand is drawn from, for all or for each: "normal"; "positive", 1/2 to 3/2;
        "unit", 0 to 1; "bits", integers of 0 to 63; "truth", bools.
    truth: whether the result is bool.
    rounding: see above; floor 1 also says that errors count beside the array's size.
    """

    function: Any
    operands: int
    reference: Callable[..., Any]
    ufunc: bool = False
    flops: int = 1
    numbers: tuple[float, ...] = ()
    draws: str | tuple[str, ...] = "normal"
    truth: bool = False
    rounding: Rounding = NEAR_ONE

    def drawn(self) -> tuple[str, ...]:
        """Return what each operand is drawn from."""
        return (self.draws,) * self.operands if isinstance(self.draws, str) else self.draws


@dataclass(frozen=True)
class Kernel:
    """One row of the table: the same function as plain NumPy and for the CPU, and what it costs.

    reference: float64 NumPy, the oracle.  cpu: same signature, `f(inputs..., scalars...,
        outputs...)`, as that of the CUDA kernel, which `cuda_table` has by the row's name.
    cost: `(*args) -> (flops, bytes)`.  out, inout: names of the arguments that are written.
    small: what `cpu` calls below `PARALLEL` elements and does nothing more, where that is a ufunc.
    example: how `compare` and the tests make arguments.  rounding: how far from the reference.
    peers: the same in other libraries, by "numpy" and "torch" (None: it has none), where
        compare/peers.py cannot find it by name.
    rule: what an elementwise kernel is derived from.
    """

    reference: Callable[..., None]
    cpu: Callable[..., None]
    cost: Callable[..., tuple[int, int]]
    out: tuple[str, ...] = ("y",)
    inout: tuple[str, ...] = ()
    small: Callable[..., None] | None = None
    example: Example | None = None
    rounding: Rounding = SUMS
    peers: Mapping[str, Callable[..., Any] | None] = field(default_factory=dict, hash=False)
    rule: Rule | None = None
