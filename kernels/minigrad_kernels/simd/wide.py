"""Loops in registers of full width: what LLVM does not choose by itself on every processor.

For some processors with 512-bit registers LLVM makes vector code of 256 bits, because their first
generations ran slower, as a whole, while such code ran.  What computes much per element loses by
it: gelu of 32,768 float32 takes 1.5 times as long (Xeon of the fifth generation).
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from minigrad_kernels.simd.registers import VECTOR_BYTES


@intrinsic
def full_width(typingctx):
    """Have the loops of the function that calls this use the host's whole vector registers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wanted = f'"prefer-vector-width"="{8 * VECTOR_BYTES}"'
        # llvmlite knows no attributes with a value; it writes out what the set holds.
        set.add(builder.function.attributes, wanted)
        return context.get_dummy_value()

    return types.void(), codegen
