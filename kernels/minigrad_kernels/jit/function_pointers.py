"""Calls through an address: one compiled function that many kernels share, or that data choose.

Numba compiles a called function anew into every kernel that calls it.  A function that is long (the
task of a matrix product, 1.5 s) or that is chosen at run time (an epilogue) is compiled once
instead, and the kernels get its address as an argument.

>>> import numpy as np
>>> from minigrad_kernels.jit.compile import jit
>>> from minigrad_kernels.simd.registers import address, address_array
>>> @jit()
... def negate(x, y):
...     address_array(y, 1, np.int64)[0] = -x
>>> @jit()
... def call(function, x, y):
...     call_at(function, (x, address(y)))
>>> y = np.zeros(1, np.int64)
>>> call(entry(negate, 2), 7, y)
>>> int(y[0])
-7
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.cgutils import unpack_tuple
from numba.extending import intrinsic


def code_address(function: Any, signature: tuple[Any, ...]) -> int:
    """Return the address of a jitted function's machine code, compiled if it is not.

    Raises: TypeError where the function returns something.
    """
    function.compile(signature)
    compiled = function.overloads[signature]
    if compiled.signature.return_type != types.none:
        raise TypeError(f"code_address: {function.__name__} must return nothing")
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def entry(function: Any, count: int) -> int:
    """Return the address of a jitted function of `count` int64 arguments that returns nothing."""
    return code_address(function, (types.int64,) * count)


@intrinsic
def call_at(typingctx, function, arguments):
    """Call the function at an address on a tuple: integers, as int64, and arrays.

    What it raises is lost: such functions check nothing.
    """
    if not isinstance(arguments, types.BaseTuple):
        return None
    kinds = [types.int64 if isinstance(k, types.Integer) else k for k in arguments.types]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [
            context.cast(builder, value, have, want)
            for value, have, want in zip(unpack_tuple(builder, args[1]), arguments.types, kinds)
        ]
        convention = context.call_conv
        where = context.cast(builder, args[0], signature.args[0], types.uintp)
        kind = convention.get_function_type(types.none, kinds).as_pointer()
        pointer = builder.inttoptr(where, kind)
        convention.call_function(builder, pointer, types.none, kinds, values)
        return context.get_dummy_value()

    return types.void(function, arguments), codegen
