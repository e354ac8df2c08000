"""Checks of the machine code of the CUDA products, for every step and layout.

N and T: of operands that lie by rows, and of those that lie by columns.
"""

from __future__ import annotations

from typing import Any

from numba import float32, float64, uint32
from numba.core.types import UniTuple

from minigrad_kernels.cuda.checks import Check
from minigrad_kernels.matmul.cuda_naive import naive
from minigrad_kernels.matmul.cuda_packed import packed_product
from minigrad_kernels.matmul.cuda_packing import packer
from minigrad_kernels.matmul.cuda_parts import combine, combine_vectors
from minigrad_kernels.matmul.cuda_registers import registers
from minigrad_kernels.matmul.cuda_tensor_cores import tensor
from minigrad_kernels.matmul.cuda_tiled import tiled


def signature(number: Any) -> tuple[Any, ...]:
    """Return the Numba types of a product's arguments: see matmul/cuda_parts.py."""
    line, place = number[::1], UniTuple(uint32, 4)
    return (line, place, line, place, *[line] * 5, UniTuple(uint32, 9), uint32)


def packed_signature() -> tuple[Any, ...]:
    """Return the Numba types of what a packed product takes."""
    line, place = uint32[::1], UniTuple(uint32, 4)
    return (line, place, line, place, *[float32[::1]] * 5, UniTuple(uint32, 9), uint32)


PACK = (float32[::1], UniTuple(uint32, 4), UniTuple(uint32, 5), uint32[::1])


def combine_signature(number: Any) -> tuple[Any, ...]:
    """Return the Numba types of what `combine` takes."""
    return (*[number[::1]] * 5, UniTuple(uint32, 9), uint32)


WORDS, VECTORS = "LDGSTS.E", "LDGSTS.E.BYPASS.128"
BLOCKS = ("LDS.128", "STS.128", "STG.E.128", "FFMA")
CORES = ("LDS.128", "STS.64", "STG.E.128", "HMMA")
BOTH = (False, True)
CHECKS: tuple[Check, ...] = (
    Check("matmul.naive/float32", naive("plain", "", False), signature(float32), ("FFMA",), 40),
    Check("matmul.naive/float64", naive("mask", "gelu", True), signature(float64), (), 64, True),
    Check(
        "matmul.tiled/float32",
        tiled("plain", "", True, float32),
        signature(float32),
        ("FFMA", "LDS"),
        48,
    ),
    Check(
        "matmul.tiled/float64",
        tiled("plain", "", False, float64),
        signature(float64),
        ("DFMA",),
        64,
        True,
    ),
    *(
        Check(
            f"matmul.registers.128.{'T' if a else 'N'}{'N' if b else 'T'}",
            registers("plain", "", False, 128, a, b),
            signature(float32),
            (*BLOCKS, VECTORS if a or b else WORDS),
            128,
        )
        for a in BOTH
        for b in BOTH
    ),
    Check(
        "matmul.registers.64.sums",
        registers("plain", "", True, 64, False, False),
        signature(float32),
        (*BLOCKS, WORDS),
        168,
    ),
    Check(
        "matmul.registers.128.sums",
        registers("plain", "", True, 128, True, True),
        signature(float32),
        (*BLOCKS, VECTORS),
        128,
    ),
    Check(
        "matmul.registers.128.gelu_mask",
        registers("mask", "gelu", False, 128, False, True),
        signature(float32),
        (*BLOCKS, WORDS, VECTORS),
        128,
    ),
    Check(
        "matmul.tf32.128.NT",
        tensor("plain", "", False, 128, "tf32", True, True),
        signature(float32),
        (*CORES, VECTORS),
        255,
    ),
    Check(
        "matmul.tf32.128.TN",
        tensor("plain", "", False, 128, "tf32", False, False),
        signature(float32),
        (*CORES, WORDS),
        255,
    ),
    Check(
        "matmul.bf16.128.gelu",
        tensor("activation", "gelu", False, 128, "bf16", True, False),
        signature(float32),
        (*CORES, WORDS, VECTORS),
        255,
    ),
    Check(
        "matmul.bf16.64.sums",
        tensor("plain", "", True, 64, "bf16", True, True),
        signature(float32),
        (*CORES, VECTORS),
        128,
    ),
    *(
        Check(
            f"matmul.packed.{precision}.{columns}",
            packed_product(kind, name, precision, columns),
            packed_signature(),
            (*CORES, VECTORS),
            255,
        )
        for kind, name, precision, columns in (
            ("plain", "", "tf32", 256),
            ("activation", "gelu", "bf16", 256),
            ("plain", "", "bf16", 128),
        )
    ),
    Check(
        "matmul.pack.tf32.left.vectors",
        packer("tf32", "left", True),
        PACK,
        ("LDG.E.128", "STG.E.128"),
        40,
    ),
    Check(
        "matmul.pack.bf16.right.elements",
        packer("bf16", "right", False),
        PACK,
        ("F2FP.BF16", "STG.E.128"),
        40,
    ),
    Check("matmul.combine/float64", combine("plain", ""), combine_signature(float64), (), 40, True),
    Check(
        "matmul.combine.vectors",
        combine_vectors("activation", "relu"),
        combine_signature(float32),
        ("LDG.E.128", "STG.E.128"),
        48,
    ),
)
