"""Common parts of the intrinsics of `ptx`: the decorator, types of LLVM, addresses, registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

try:
    from numba.cuda.extending import intrinsic
except ImportError:  # the simulator runs the models all the same

    def intrinsic(function: Callable[..., Any]) -> Any:
        """Return a function of that name that raises: only a GPU can run an intrinsic."""

        def placeholder(*args: Any) -> Any:
            raise NotImplementedError("this intrinsic needs CUDA: pip install minigrad[cuda]")

        placeholder.__name__ = function.__name__
        return placeholder


WORD = ir.IntType(32)
LONG = ir.IntType(64)
FLOAT = ir.FloatType()
VOID = ir.VoidType()
VECTOR_BYTES = 16
GLOBAL, SHARED = 1, 3  # address spaces
LANES = {types.float32: 4, types.int32: 4, types.uint32: 4, types.float64: 2}


def flat(array: Any) -> bool:
    """Tell whether a type is an array that a vector access can address."""
    return (
        isinstance(array, types.Array)
        and array.ndim == 1
        and array.layout == "C"
        and array.dtype in LANES
    )


def pointer(context: Any, builder: Any, kind: Any, array: Any, index_kind: Any, index: Any) -> Any:
    """Emit the address of an element; the index is not counted from the end."""
    held = context.make_array(kind)(context, builder, array)
    return builder.gep(held.data, [context.cast(builder, index, index_kind, types.int64)])


def unpack(builder: Any, value: Any, count: int) -> list[Any]:
    """Return the elements of an LLVM tuple as values."""
    return [builder.extract_value(value, i) for i in range(count)]
