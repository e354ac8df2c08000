"""CUDA kernels of the activations and their gradients: the CPU's rules, lifted."""

from __future__ import annotations

from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.elementwise.activations import RULES
from minigrad_kernels.elementwise.cuda_kernels import Lifted, checks

NUMBERS = {name for name, row in RULES.items() if len(row) > 5}

CUDA_KERNELS: dict[str, CudaKernel] = {name: Lifted(name, *row[:2]) for name, row in RULES.items()}
CHECKS: tuple[Check, ...] = checks(CUDA_KERNELS, NUMBERS)
