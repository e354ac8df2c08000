"""Checks that a file of CUDA kernels states of its machine code, made without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CudaKernel = Callable[..., None]


@dataclass(frozen=True)
class Check:
    """One kernel and signature to compile, and what its machine code must be like.

    name: "softmax.forward/float32".  signature: Numba types.  opcodes: SASS instructions that must
    occur ("LDG.E.128").  registers: the most that a thread may use.  float64: whether it may
    compute in
    double precision.
    """

    name: str
    kernel: Any
    signature: tuple[Any, ...]
    opcodes: tuple[str, ...] = ()
    registers: int = 64
    float64: bool = False
