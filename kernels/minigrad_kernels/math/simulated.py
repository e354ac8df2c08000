"""Models of the words of math/scalar.py, and of the functions that it and its users overload.

They give the bits of the compiled words on a host or GPU that rounds a multiply-add once.
`register` is called where kernels are simulated, so that a CPU alone never loads the simulator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_cudasim.models import model
from minigrad_cudasim.numbers import fma
from minigrad_kernels.math import exponential, scalar
from minigrad_kernels.math.scalar import FRACTION, HALF_ROOT, LIFT

UNSIGNED: dict[int, Any] = {32: np.uint32, 64: np.uint64}


def width(x: Any) -> int:
    """Return the bits of a float."""
    return 8 * x.dtype.itemsize


def bias(bits: int) -> int:
    """Return the bias of the exponent of a float of so many bits."""
    return (1 << (bits - 2 - FRACTION[bits])) - 1


def bits_of(x: Any) -> int:
    """Return the bits of a float as a signed integer.

    >>> hex(bits_of(np.float32(1))), bits_of(np.float64(-0.0)) == -(2**63)
    ('0x3f800000', True)
    """
    held = int(x.view(UNSIGNED[width(x)]))
    return held - (held >> (width(x) - 1) << width(x))


def from_bits(held: int, like: Any) -> Any:
    """Return the float of the lowest bits of an integer, in the type of `like`.

    >>> from_bits(0x3F800000, np.float32(0))
    np.float32(1.0)
    """
    bits = width(like)
    return UNSIGNED[bits](held & ((1 << bits) - 1)).view(like.dtype)


def constant(x: Any, single: Any, double: Any) -> Any:
    """Return one constant for float32 and another for float64, in x's type."""
    return type(x)(single if type(x) is np.float32 else double)


def near_quotient(a: Any, b: Any) -> Any:
    """Return a / b."""
    return a / b


def polynomial(x: Any, single: Any, double: Any) -> Any:
    """Return the polynomial in x, highest power first, by Horner's rule and fused multiply-adds."""
    first, *rest = single if type(x) is np.float32 else double
    y = type(x)(first)
    for term in rest:
        y = fma(y, x, type(x)(term))
    return y


def power_of_two(n: Any) -> Any:
    """Return 2^n for a whole number n."""
    power = int(n) if n == n else 0  # as the GPU converts NaN
    return from_bits((power + bias(width(n))) << FRACTION[width(n)], n)


def scaled_power(a: Any, b: Any) -> tuple[Any, Any]:
    """Return a b rounded to a whole number, and 2 to that power."""
    bits = width(a)
    shift = type(a)(1.5 * 2.0 ** FRACTION[bits] + bias(bits) + LIFT[bits])
    lifted = fma(a, b, shift)
    return lifted - shift, from_bits(bits_of(lifted) << FRACTION[bits], a)


def split_power(x: Any) -> tuple[Any, Any]:
    """Return the fraction of x around 1 and its exponent."""
    bits = width(x)
    above = bits_of(x) - HALF_ROOT[bits]
    rest = above & ((1 << FRACTION[bits]) - 1)
    return from_bits(rest + HALF_ROOT[bits], x), type(x)(above >> FRACTION[bits])


def to_key(x: Any) -> int:
    """Return an integer that orders as the float does."""
    held = bits_of(x)
    return held ^ ((held >> (width(x) - 1)) & ((1 << (width(x) - 1)) - 1))


MODELS: dict[Any, Callable[..., Any]] = {
    scalar.constant: constant,
    scalar.multiply_add: fma,
    scalar.near_quotient: near_quotient,
    scalar.polynomial: polynomial,
    scalar.nearest: np.rint,
    scalar.power_of_two: power_of_two,
    scalar.scaled_power: scaled_power,
    scalar.split_power: split_power,
    exponential.exponential: exponential.vector_exp,
    exponential.hyperbolic_tangent: exponential.vector_tanh,
    exponential.to_key: to_key,
}


def register() -> None:
    """Register all models with the simulator."""
    for word, rule in MODELS.items():
        model(word)(rule)
