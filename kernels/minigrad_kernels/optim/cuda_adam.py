"""CUDA kernels of Adam's steps: one launch over all tensors of a table."""

from __future__ import annotations

from minigrad_kernels.optim.adam import adam_prepare, adam_rule, amsgrad_rule
from minigrad_kernels.optim.cuda_multi_tensor import Lifted, family

ADAM = Lifted(adam_rule, adam_prepare, 2)
AMSGRAD = Lifted(amsgrad_rule, adam_prepare, 3)

CUDA_KERNELS, CHECKS = family({"adam_step": ADAM, "amsgrad_step": AMSGRAD})
