"""A product and a sum that are rounded once, on every host.

`multiply_add` of math/scalar.py is what the host does fastest; error terms and long reductions of
an argument are wrong where that rounds twice.  For the CPU's rules alone.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic


@intrinsic
def exact_multiply_add(typingctx, a, b, c):
    """Return a * b + c rounded once, by a call where the host has no such instruction."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.fma.f{32 if kind == ir.FloatType() else 64}"
        function = ir.FunctionType(kind, [kind] * 3)
        return builder.call(get_or_insert_function(builder.module, function, name), args)

    return (a(a, a, a), codegen) if a == b == c else None
