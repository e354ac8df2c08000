"""All twins by the name of their kernel, and all checks."""

from __future__ import annotations

from types import ModuleType

from minigrad_kernels.compare import gpu_limits as limits
from minigrad_kernels.conv import cuda_conv as conv
from minigrad_kernels.conv import cuda_pool as pool
from minigrad_kernels.cuda.checks import Check, Twin
from minigrad_kernels.elementwise import cuda_activations as activation
from minigrad_kernels.elementwise import cuda_copy as copying
from minigrad_kernels.elementwise import cuda_rules as elementwise
from minigrad_kernels.indexing import cuda_index as index
from minigrad_kernels.matmul import cuda_gemm as matmul
from minigrad_kernels.norm import cuda_batch_norm as batch_norm
from minigrad_kernels.norm import cuda_batch_norm_dropout as batch_norm_dropout
from minigrad_kernels.norm import cuda_layer_norm as layer_norm
from minigrad_kernels.optim import cuda_adam as adam
from minigrad_kernels.optim import cuda_adaptive as adaptive
from minigrad_kernels.optim import cuda_clip as clip
from minigrad_kernels.optim import cuda_sgd as sgd
from minigrad_kernels.randomness import cuda_dropout as dropout
from minigrad_kernels.randomness import cuda_random as random
from minigrad_kernels.reduce import cuda_centred as groups
from minigrad_kernels.reduce import cuda_max_index as extreme
from minigrad_kernels.reduce import cuda_sums as reduce
from minigrad_kernels.scalar_program import cuda_program as scalar_tape
from minigrad_kernels.softmax import cuda_cross_entropy as cross_entropy
from minigrad_kernels.softmax import cuda_softmax as softmax

FAMILIES: tuple[ModuleType, ...] = (
    activation,
    adam,
    adaptive,
    batch_norm,
    batch_norm_dropout,
    clip,
    conv,
    copying,
    cross_entropy,
    dropout,
    elementwise,
    extreme,
    groups,
    index,
    layer_norm,
    limits,
    matmul,
    pool,
    random,
    reduce,
    scalar_tape,
    sgd,
    softmax,
)


def _merge() -> dict[str, Twin]:
    table: dict[str, Twin] = {}
    for family in FAMILIES:
        for name, twin in family.TWINS.items():
            if name in table:
                raise ValueError(f"the twin of {name!r} stands in two files: {family.__name__}")
            table[name] = twin
    return table


TWINS = _merge()
CHECKS: dict[str, Check] = {check.name: check for family in FAMILIES for check in family.CHECKS}
