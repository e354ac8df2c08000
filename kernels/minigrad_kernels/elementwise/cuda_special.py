"""CUDA kernels of elementwise/special.py: the CPU's rules, lifted; here those of more registers."""

from __future__ import annotations

from minigrad_kernels.cuda.checks import CudaKernel
from minigrad_kernels.elementwise.cuda_kernels import LiftedCuda, checks
from minigrad_kernels.elementwise.special import bessel_i

CUDA_KERNELS: dict[str, CudaKernel] = {"bessel_i": LiftedCuda("bessel_i", bessel_i, 1)}
CHECKS = checks(CUDA_KERNELS, numbers=CUDA_KERNELS, registers=64)
