"""CUDA twins of the kernels of conv."""

from __future__ import annotations

from minigrad_kernels.gpu.checks import Check, Twin

TWINS: dict[str, Twin] = {}
CHECKS: tuple[Check, ...] = ()
