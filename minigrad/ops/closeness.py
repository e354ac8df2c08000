"""Whether tensors are equal, or close to each other."""

from __future__ import annotations

import math
from typing import Any

from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import refuse_others
from minigrad.ops.common import any_true
from minigrad.ops.elementwise import compare
from minigrad.ops.registry import public


@public("tensor")
def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Return where |input - other| <= atol + rtol |other|, or both are the same infinity.

    equal_nan: whether NaN is close to NaN.

    Raises: TypeError for tensors of two dtypes; ValueError for a negative tolerance.

    >>> import minigrad as mg
    >>> isclose(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    refuse_others("isclose", (input, other))
    a, b = input.detach(), other.detach()
    if a.array.dtype != b.array.dtype:
        raise ArgumentTypeError(
            f"isclose: expected tensors of one dtype, got {a.array.dtype} and {b.array.dtype}; "
            "convert one of them"
        )
    if rtol < 0 or atol < 0:
        raise ArgumentError(f"isclose: tolerances must be at least 0, got rtol={rtol}, atol={atol}")
    close = compare("eq", a, b)
    if a.array.dtype.kind == "f":
        if equal_nan:
            close = close | (a.isnan() & b.isnan())
    elif rtol == 0 and atol == 0:
        return close
    else:  # differences of integers wrap around, those of bools there are none
        a, b = a.double(), b.double()
    off = (a - b).abs()
    return close | ((off <= b.abs() * rtol + atol) & (off < math.inf))


@public("tensor")
def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Return whether all elements are close; see `isclose`.

    >>> import minigrad as mg
    >>> allclose(mg.tensor([0.1]) + 0.2, mg.tensor([0.3]))
    True
    """
    close = isclose(input, other, rtol, atol, equal_nan)
    return not any_true(close.logical_not().array)


@public("tensor")
def equal(input: Any, other: Any) -> bool:
    """Return whether two tensors have one shape and the same elements; NaN equals nothing.

    >>> import minigrad as mg
    >>> equal(mg.tensor([1.0, 2.0]), mg.tensor([1, 2])), equal(mg.zeros(2), mg.zeros(1))
    (True, False)
    """
    refuse_others("equal", (input, other))
    if input.array.shape != other.array.shape:
        return False
    return not any_true(compare("ne", input, other).array)
