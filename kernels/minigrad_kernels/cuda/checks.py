"""What a file of CUDA kernels states beside them, for the checks that need no GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CudaKernel = Callable[..., None]


@dataclass(frozen=True)
class Check:
    """One kernel and signature to compile, and what its docstring promises of the result.

    name: "softmax.forward/float32".  signature: Numba types.  opcodes: SASS instructions that must
    occur ("LDG.E.128").  registers: the most that a thread may use.  float64: whether doubles are
    its business.
    """

    name: str
    kernel: Any
    signature: tuple[Any, ...]
    opcodes: tuple[str, ...] = ()
    registers: int = 64
    float64: bool = False
