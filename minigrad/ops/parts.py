"""Parts of numbers: angle, mantissa and exponent, and the complex parts of real numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.ops.arranging import beside
from minigrad.ops.common import only_floating
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import host
from minigrad.ops.registry import public
from minigrad.ops.results import result
from minigrad.ops.steps import Sign

Frexp = result("frexp", "mantissa", "exponent")


@public("tensor")
def angle(input: Any) -> Any:
    """Return the angles of real numbers in the complex plane: 0, pi for negative ones, or NaN.

    >>> import minigrad as mg
    >>> angle(mg.tensor([1.0, -1.0]))
    tensor([0.0000, 3.1416])
    """
    x = input if input.array.dtype.kind == "f" else input.float()
    return where(x < 0, math.pi, where(x != x, math.nan, Sign.apply(x) * 0.0))


@public("tensor")
def frexp(input: Any) -> Any:
    """Return (mantissa, exponent) with input = mantissa * 2 ** exponent and 1/2 <= |mantissa| < 1.

    >>> import minigrad as mg
    >>> mantissa, exponent = frexp(mg.tensor([6.0]))
    >>> mantissa, exponent.tolist()
    (tensor([0.7500]), [3])
    """
    only_floating("frexp", input.array)
    mantissa, exponent = np.frexp(host(input))
    held = beside(exponent.astype(np.int32), input)
    if not input.tracked:
        return Frexp(beside(mantissa, input), held)
    low = exponent // 2  # 2^-exponent in two factors, each of them in range
    first, second = (np.ldexp(np.ones_like(mantissa), -k) for k in (low, exponent - low))
    return Frexp(input * beside(first, input) * beside(second, input), held)


@public("tensor")
def conj(input: Any) -> Any:
    """Return the tensor itself: no tensor here is complex."""
    return input


@public("tensor", inplace=True)
def conj_physical(input: Any) -> Any:
    """Return the tensor itself: no tensor here is complex."""
    return input


@public("tensor")
def resolve_conj(input: Any) -> Any:
    """Return the tensor itself: no tensor here is complex."""
    return input


@public("tensor")
def resolve_neg(input: Any) -> Any:
    """Return the tensor itself: none here is kept as the negative of another."""
    return input
