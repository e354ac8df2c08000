"""All CUDA kernels by the name of their kernel, and all checks."""

from __future__ import annotations

from types import ModuleType

from minigrad_kernels.compare import gpu_limits
from minigrad_kernels.conv import cuda_conv, cuda_pool
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.elementwise import cuda_activations, cuda_copy, cuda_rules
from minigrad_kernels.indexing import cuda_index
from minigrad_kernels.matmul import cuda_gemm
from minigrad_kernels.norm import cuda_batch_norm, cuda_batch_norm_dropout, cuda_layer_norm
from minigrad_kernels.optim import cuda_adam, cuda_adaptive, cuda_clip, cuda_sgd
from minigrad_kernels.randomness import cuda_dropout, cuda_random
from minigrad_kernels.reduce import cuda_centred, cuda_max_index, cuda_sums
from minigrad_kernels.scalar_program import cuda_program
from minigrad_kernels.softmax import cuda_cross_entropy, cuda_softmax

FAMILIES: tuple[ModuleType, ...] = (
    gpu_limits,
    cuda_conv,
    cuda_pool,
    cuda_activations,
    cuda_copy,
    cuda_rules,
    cuda_index,
    cuda_gemm,
    cuda_batch_norm,
    cuda_batch_norm_dropout,
    cuda_layer_norm,
    cuda_adam,
    cuda_adaptive,
    cuda_clip,
    cuda_sgd,
    cuda_dropout,
    cuda_random,
    cuda_centred,
    cuda_max_index,
    cuda_sums,
    cuda_program,
    cuda_cross_entropy,
    cuda_softmax,
)


def _merge() -> dict[str, CudaKernel]:
    table: dict[str, CudaKernel] = {}
    for family in FAMILIES:
        for name, cuda_kernel in family.CUDA_KERNELS.items():
            if name in table:
                raise ValueError(f"{name!r} has CUDA kernels in two files: {family.__name__}")
            table[name] = cuda_kernel
    return table


CUDA_KERNELS = _merge()
CHECKS: dict[str, Check] = {check.name: check for family in FAMILIES for check in family.CHECKS}
