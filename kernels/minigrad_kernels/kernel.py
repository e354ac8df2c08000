"""What a row of the table is, and from which sizes its kernels go another way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PARALLEL = 20_000  # elements from which a jitted parallel loop beats NumPy (benchmarks elementwise)
CHUNK = 4_096  # reductions are split by size alone, so that bits never depend on the thread count


@dataclass(frozen=True)
class Kernel:
    """One row of the table: the same function as plain NumPy, for the CPU and for CUDA, and what it
    costs.

    reference: float64 NumPy, the oracle.  cpu, cuda: same signature, `f(inputs..., scalars...,
        outputs...)`.
    cost: `(*args) -> (flops, bytes)`.  out, inout: names of the arguments that are written.
    small: what `cpu` calls below `PARALLEL` elements and does nothing more, where that is a ufunc.
    """

    reference: Callable[..., None]
    cpu: Callable[..., None]
    cost: Callable[..., tuple[int, int]]
    out: tuple[str, ...] = ("y",)
    inout: tuple[str, ...] = ()
    cuda: Callable[..., None] | None = None
    small: Callable[..., None] | None = None
