"""Numbers given as arguments: Python's, NumPy's and 0-d tensors alike, refused with a reason."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError, ArgumentTypeError


def whole(caller: str, name: str, value: Any, least: int | None = None) -> int:
    """Return a whole number as an int: Python's, NumPy's, or a 0-d array or tensor of integers.

    Raises: ValueError for anything else, bools and floats too, and below `least`.

    >>> whole("f", "n", np.int32(3), least=1)
    3
    """
    at_least = "" if least is None else f" >= {least}"
    refusal = f"{caller}: expected {name} as a whole number{at_least}, but got {value!r:.60}"
    if isinstance(value, bool | np.bool_) or getattr(value, "dtype", None) == np.bool_:
        raise ArgumentError(refusal)
    try:
        found = operator.index(value)
    except TypeError:
        raise ArgumentError(refusal) from None
    if least is not None and found < least:
        raise ArgumentError(refusal)
    return found


def number(caller: str, name: str, value: Any) -> float:
    """Return a real number as a float: Python's, NumPy's, or a 0-d array or tensor.

    Raises: TypeError for anything else, ValueError for NaN.

    >>> number("f", "lr", np.float32(0.5))
    0.5
    """
    refusal = f"{caller}: expected {name} as a number, but got {value!r:.60}"
    if isinstance(value, str | bytes | bool | np.bool_) or getattr(value, "shape", ()) != ():
        raise ArgumentTypeError(refusal)
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(refusal) from None
    if math.isnan(found):
        raise ArgumentError(refusal)
    return found
