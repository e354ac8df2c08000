"""CUDA kernels of SGD's steps: one launch over all tensors of a table."""

from __future__ import annotations

from minigrad_kernels.optim.cuda_multi_tensor import Lifted, family
from minigrad_kernels.optim.sgd import sgd_momentum_rule, sgd_prepare, sgd_rule

CUDA_KERNELS, CHECKS = family(
    {
        "sgd_step": Lifted(sgd_rule, sgd_prepare, 0),
        "sgd_momentum_step": Lifted(sgd_momentum_rule, sgd_prepare, 1),
    }
)
