"""The words that scalar rules are written in: each one is in the type of its first argument.

A rule made of these and of selections is straight code without calls, so that a loop over it
becomes vector code of whatever width the host has, float32 and float64 from one text.  A fused
multiply-add is one wherever the host has it (`llvm.fmuladd`), in the vector body and in the last
elements alike, so that an element's bits do not depend on its place.

>>> import numpy as np
>>> from minigrad_kernels.jit.compile import jit
>>> @jit()
... def cubic(x):
...     return polynomial(x, (2.0, 0.0, 1.0, 5.0), (2.0, 0.0, 1.0, 5.0))
>>> cubic(np.float32(3))
62.0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.compile import like as like

INT = ir.IntType(32)


FRACTION = {32: 23, 64: 52}  # bits of a float's fraction
LIFT = {32: 64, 64: 512}
HALF_ROOT = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}  # the bits of sqrt(1/2)


def rule(function: Callable[..., Any]) -> Any:
    """Compile a scalar rule, to be merged into the loops that call it, however long it is.

    Left to itself, LLVM makes a call an element of the longer ones: gelu in float64.
    """
    return jit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def _chosen(x: Any, single: Any, double: Any) -> Any:
    """Return one constant for float32 and another for float64."""
    return single if x == types.float32 else double


def _llvm(builder: Any, name: str, *args: Any) -> Any:
    """Call an intrinsic of LLVM's that is overloaded on the type of its operands."""
    kind = args[0].type
    suffix = "f32" if kind == ir.FloatType() else "f64"
    function = ir.FunctionType(kind, [kind] * len(args))
    return builder.call(
        get_or_insert_function(builder.module, function, f"llvm.{name}.{suffix}"), args
    )


def _integer(x: Any) -> Any:
    """Return the LLVM integer of a float's width."""
    return ir.IntType(x.bitwidth)


# ---------------------------------------------------------------- constants
@intrinsic
def constant(typingctx, x, single, double):
    """Return one of two constants, by the type of x."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = _chosen(x, single, double)
        return context.cast(builder, _chosen(x, args[1], args[2]), kind, x)

    return x(x, single, double), codegen


# ---------------------------------------------------------------- arithmetic
@intrinsic
def multiply_add(typingctx, a, b, c):
    """Return a * b + c, rounded once where the host can."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _llvm(builder, "fmuladd", *args)

    return (a(a, a, a), codegen) if a == b == c else None


@intrinsic
def near_quotient(typingctx, a, b):
    """Return a / b for a b from 1 to 2^100 and an a that is no infinity; any NaN is one.

    On a GPU a float32's is a reciprocal, off by an ULP at most, and one Newton step: in all but one
    in a million the rounded quotient, without the division's test and call for other numbers.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        if kind != ir.FloatType() or not builder.module.triple.startswith("nvptx"):
            return builder.fdiv(*args)
        one = ir.FunctionType(kind, [kind])
        inverse = builder.asm(one, "rcp.approx.ftz.f32 $0, $1;", "=f,f", args[1:], False)
        near = builder.fmul(args[0], inverse)
        minus = builder.fsub(ir.Constant(kind, -0.0), args[1])
        rest = _llvm(builder, "fma", minus, near, args[0])
        return _llvm(builder, "fma", rest, inverse, near)

    return (a(a, a), codegen) if a == b else None


@intrinsic
def polynomial(typingctx, x, single, double):
    """Return a polynomial in x by Horner's rule.

    single, double: tuples of its coefficients for a float32 and a float64, the highest power first.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = _chosen(x, single, double)
        table = _chosen(x, args[1], args[2])
        terms = [
            context.cast(builder, builder.extract_value(table, i), kind[i], x)
            for i in range(len(kind))
        ]
        y = terms[0]
        for term in terms[1:]:
            y = _llvm(builder, "fmuladd", y, args[0], term)
        return y

    return x(x, single, double), codegen


@intrinsic
def nearest(typingctx, x):
    """Return x rounded to an integer, ties to even."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not builder.module.triple.startswith("nvptx"):
            return _llvm(builder, "rint", args[0])
        kind = args[0].type  # NVVM has no llvm.rint, but a library
        name = "__nv_rintf" if kind == ir.FloatType() else "__nv_rint"
        library = get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.call(library, args)

    return x(x), codegen


# ---------------------------------------------------------------- the bits of a float
@intrinsic
def power_of_two(typingctx, n):
    """Return 2^n for an integral n, a float whose power is neither subnormal nor infinite."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = _integer(n)
        # By way of int32: AVX2 has no conversion of float64 to int64.
        power = builder.fptosi(args[0], INT)
        power = power if bits == INT else builder.sext(power, bits)
        bias = ir.Constant(bits, (1 << (n.bitwidth - 2 - FRACTION[n.bitwidth])) - 1)
        biased = builder.add(power, bias)
        shifted = builder.shl(biased, ir.Constant(bits, FRACTION[n.bitwidth]))
        return builder.bitcast(shifted, context.get_value_type(n))

    return n(n), codegen


@intrinsic
def scaled_power(typingctx, a, b):
    """Return (n, 2^(n + LIFT)) with n = a b rounded, LIFT of 64 or 512.

    For n <= 0 and, in float32, n > -190, in float64 n > -1534.

    Adding 3/2 2^23 rounds to an integer, and leaves it in the low bits: no conversion.  LIFT keeps
    the power normal where 2^n is not; what is computed with it is divided by 2^LIFT at the end.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, kind = _integer(a), context.get_value_type(a)
        fraction = FRACTION[a.bitwidth]
        bias = (1 << (a.bitwidth - 2 - fraction)) - 1
        shift = ir.Constant(kind, 1.5 * 2.0**fraction + bias + LIFT[a.bitwidth])
        lifted = _llvm(builder, "fmuladd", *args, shift)
        power = builder.shl(builder.bitcast(lifted, bits), ir.Constant(bits, fraction))
        n = builder.fsub(lifted, shift)
        return context.make_tuple(builder, signature.return_type, [n, builder.bitcast(power, kind)])

    return (types.UniTuple(a, 2)(a, a), codegen) if a == b else None


@intrinsic
def split_power(typingctx, x):
    """Return (m, n) with x = m 2^n and m in [sqrt(1/2), sqrt(2)), for a positive normal x."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, kind = _integer(x), context.get_value_type(x)
        fraction = FRACTION[x.bitwidth]
        root = ir.Constant(bits, HALF_ROOT[x.bitwidth])
        above = builder.sub(builder.bitcast(args[0], bits), root)
        power = builder.ashr(above, ir.Constant(bits, fraction))
        rest = builder.and_(above, ir.Constant(bits, (1 << fraction) - 1))
        m = builder.bitcast(builder.add(rest, root), kind)
        power = power if bits == INT else builder.trunc(power, INT)
        return context.make_tuple(builder, signature.return_type, [m, builder.sitofp(power, kind)])

    return types.UniTuple(x, 2)(x), codegen
