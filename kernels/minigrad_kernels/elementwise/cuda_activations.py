"""CUDA kernels of the activations and their gradients: the CPU's rules, lifted."""

from __future__ import annotations

from minigrad_kernels.elementwise.activations import RULES
from minigrad_kernels.elementwise.cuda_kernels import lift

CUDA_KERNELS, CHECKS = lift(RULES)
