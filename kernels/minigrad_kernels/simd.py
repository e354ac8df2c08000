"""Numba intrinsics for the CPU: what a jitted loop cannot say.

`address_array` sees memory at an integer address as an array, so that one launch can walk a
table of tensors.

>>> import numpy as np
>>> from minigrad_kernels.launch import jit
>>> @jit()
... def first(addresses):
...     return address_array(addresses[0], 3, np.float32)[0]
>>> x = np.array([5, 6, 7], np.float32)
>>> float(first(np.array([x.ctypes.data])))
5.0
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

INDEX = ir.IntType(64)


@intrinsic
def address_array(typingctx, address, size, dtype):
    """Return memory at an int64 `address` as a C-contiguous 1-D array; nothing is owned or checked.

    size: number of elements.  dtype: `np.float32`, `x.dtype` or the like, known when compiling.
    """
    element = parse_dtype(dtype)
    if element is None or not isinstance(address, types.Integer):
        return None
    array_type = types.Array(element, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = context.cast(builder, args[0], signature.args[0], types.uintp)
        count = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = builder.inttoptr(where, context.get_data_type(element).as_pointer())
        array = make_array(array_type)(context, builder)
        bytes_each = ir.Constant(INDEX, context.get_abi_sizeof(context.get_data_type(element)))
        populate_array(
            array,
            data=pointer,
            shape=[count],
            strides=[bytes_each],
            itemsize=bytes_each,
            meminfo=None,
            parent=None,
        )
        return array._getvalue()

    return array_type(address, size, dtype), codegen
