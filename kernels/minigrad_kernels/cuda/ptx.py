"""CUDA instructions that Numba does not reach by itself, each with its model for the simulator.

`load128` and `store128` move 16 bytes at once; `outer_fma` updates a register tile, which `zeros`
begins; `mma_tf32` and `mma_bf16` run on tensor cores, on operands of `to_tf32` and `pack_bf16`;
`store_tile` writes one; `copy_async` and its kin go from global to shared memory without registers,
until `wait_copies`; `array_at` sees memory at an address as an array.

Importing this module compiles nothing and needs neither driver nor numba-cuda.  All code that is
bound to Numba's internals stands in the files `ptx_*.py` and in `cuda_compile`.
"""

from __future__ import annotations

from minigrad_kernels.cuda.ptx_memory import (
    array_at,
    commit_copies,
    copy_async,
    copy_async_or_zero,
    copy_element_or_zero,
    load128,
    store128,
    store_tile,
    wait_copies,
)
from minigrad_kernels.cuda.ptx_tensor import (
    bits_float,
    float_bits,
    mma_bf16,
    mma_tf32,
    outer_fma,
    pack_bf16,
    to_tf32,
    zeros,
)

__all__ = [
    "array_at",
    "commit_copies",
    "copy_async",
    "copy_async_or_zero",
    "copy_element_or_zero",
    "load128",
    "store128",
    "store_tile",
    "wait_copies",
    "bits_float",
    "float_bits",
    "mma_bf16",
    "mma_tf32",
    "outer_fma",
    "pack_bf16",
    "to_tf32",
    "zeros",
]
