"""CUDA kernels of RMSprop's, Adagrad's, NAdam's and RAdam's steps: one launch over all tensors."""

from __future__ import annotations

from minigrad_cudasim.kernel import model
from minigrad_cudasim.machine import reached
from minigrad_kernels.optim.adaptive import (
    adagrad_prepare,
    adagrad_rule,
    nadam_prepare,
    nadam_rule,
    radam_prepare,
    radam_rule,
    rmsprop_centered_momentum_rule,
    rmsprop_centered_rule,
    rmsprop_momentum_rule,
    rmsprop_prepare,
    rmsprop_rule,
)
from minigrad_kernels.optim.cuda_multi_tensor import Lifted, family
from minigrad_kernels.simd.registers import address_array

model(address_array)(reached)  # where NAdam's product lies

CUDA_KERNELS, CHECKS = family(
    {
        "rmsprop_step": Lifted(rmsprop_rule, rmsprop_prepare, 1),
        "rmsprop_momentum_step": Lifted(rmsprop_momentum_rule, rmsprop_prepare, 2),
        "rmsprop_centered_step": Lifted(rmsprop_centered_rule, rmsprop_prepare, 2),
        "rmsprop_centered_momentum_step": Lifted(
            rmsprop_centered_momentum_rule, rmsprop_prepare, 3
        ),
        "adagrad_step": Lifted(adagrad_rule, adagrad_prepare, 1),
        "nadam_step": Lifted(nadam_rule, nadam_prepare, 2),
        "radam_step": Lifted(radam_rule, radam_prepare, 2),
    }
)
