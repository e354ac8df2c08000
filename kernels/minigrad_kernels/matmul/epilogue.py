"""Epilogues of matrix products on a block of c that has just been written: activations and masks.

An epilogue is an elementwise rule over some rows of two matrices, called by address from the task
of the product, so that none costs a compilation that does not use it.  Bits are those of the
elementwise kernel of the same rule.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad_kernels.elementwise import activations as activation
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.function_pointers import entry
from minigrad_kernels.simd.registers import address_array

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "softplus")
ARGUMENTS = 5


def activation_of(rule: Any, dtype: Any, name: str) -> Any:
    """Return the epilogue y = rule(c); y may be c."""

    @jit(name=name)
    def apply(c, y, ld, rows, columns):
        for i in range(rows):
            row = address_array(c + i * ld, columns, dtype)
            if c == y:
                for j in range(columns):
                    row[j] = rule(row[j])
            else:
                target = address_array(y + i * ld, columns, dtype)
                for j in range(columns):
                    target[j] = rule(row[j])

    return apply


def mask_of(rule: Any, dtype: Any, name: str) -> Any:
    """Return the epilogue c = rule(c, y)."""

    @jit(name=name)
    def apply(c, y, ld, rows, columns):
        for i in range(rows):
            row = address_array(c + i * ld, columns, dtype)
            saved = address_array(y + i * ld, columns, dtype)
            for j in range(columns):
                row[j] = rule(row[j], saved[j])

    return apply


EPILOGUES = {
    (kind, name, np.dtype(dtype)): make(
        getattr(activation, f"{name}{ending}"), dtype, f"epilogue.{kind}.{name}.{np.dtype(dtype)}"
    )
    for kind, ending, make in (("activation", "", activation_of), ("mask", "_backward", mask_of))
    for name in ACTIVATIONS
    for dtype in (np.float32, np.float64)
}


@functools.cache
def epilogue_address(kind: str, activation: str, dtype: np.dtype[Any]) -> int:
    """Return the address of an epilogue, compiled at the first use."""
    return entry(EPILOGUES[kind, activation, dtype], ARGUMENTS)
