"""Read what comes in from Python, NumPy and other libraries as arrays of the right dtype.

A number, of Python or of NumPy, has no dtype of its own: it takes that of the tensor it meets where
the kind fits, as in PyTorch.  Arrays keep theirs, NumPy's and other libraries' alike.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.dtypes import DTYPES, DType, numpy_dtype, promoted
from minigrad.engine.errors import ArgumentError, ArgumentTypeError

Array = np.ndarray[Any, Any]

BOOL = np.dtype(bool)
INT64 = np.dtype(np.int64)
FLOAT32 = np.dtype(np.float32)
PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__", "__dlpack__")
MOST = {np.dtype(kind): float(np.finfo(kind).max) for kind in (np.float32, np.float64)}
# The dtype of Python's numbers; that of floats is the default dtype, which may be changed.
DTYPE_OF: dict[type, np.dtype[Any]] = {bool: BOOL, int: INT64, float: FLOAT32}


def default_dtype() -> DType:
    """Return the dtype that tensors of Python's floats have, and new ones unless said otherwise."""
    return DTYPES[DTYPE_OF[float]]


def set_default_dtype(dtype: Any) -> None:
    """Let Python's floats, new tensors and parameters be in this dtype unless said otherwise.

    Raises: TypeError for what is no floating dtype.
    """
    wanted = numpy_dtype(dtype)
    if wanted.kind != "f":
        raise ArgumentTypeError(f"set_default_dtype: expected float32 or float64, got {wanted}")
    DTYPE_OF[float] = wanted


# ---------------------------------------------------------------- numbers
def plain_number(x: Any) -> Any:
    """Return a number of Python or NumPy as Python's bool, int or float; None for all else.

    >>> plain_number(np.float64(2)), plain_number(np.bool_(True)), plain_number("2")
    (2.0, True, None)
    """
    if x.__class__ in DTYPE_OF:
        return x
    if isinstance(x, bool | np.bool_):
        return bool(x)
    if isinstance(x, float | np.floating):
        return float(x)
    if isinstance(x, int) or getattr(getattr(x, "dtype", None), "kind", "") in ("i", "u"):
        return int(x) if isinstance(x, int | np.integer) else None
    return None


def dtype_beside(number: Any, like: np.dtype[Any] | None) -> np.dtype[Any]:
    """Return the dtype in which a Python number computes with a tensor of dtype `like`.

    >>> dtype_beside(2, np.dtype(np.uint8)), dtype_beside(2.5, np.dtype(np.uint8))
    (dtype('uint8'), dtype('float32'))
    """
    kinds = {bool: "", int: "fiu", float: "f"}[type(number)]
    return like if like is not None and like.kind in kinds else DTYPE_OF[type(number)]


def does_not_fit(number: Any, dtype: np.dtype[Any]) -> OverflowError:
    """Return the error about a number outside a dtype."""
    if dtype.kind == "f":
        most: Any = np.finfo(dtype).max
        held, wider = f"at most {most:.4g}", "float64"
    else:
        info = np.iinfo(dtype)
        held, wider = f"{info.min} to {info.max}", "int64" if dtype != INT64 else "float64"
    return OverflowError(
        f"{number} does not fit into {dtype}, which holds {held}; use a wider dtype, e.g. "
        f".to(minigrad.{wider})"
    )


def array_of(number: Any, dtype: np.dtype[Any]) -> Array:
    """Return a Python number as an array without dimensions.

    Raises: OverflowError where the dtype does not hold it.
    """
    try:
        return np.array(number, dtype)
    except OverflowError:
        raise does_not_fit(number, dtype) from None


def stored(number: Any, dtype: np.dtype[Any]) -> Array:
    """Return a Python number as it is written into an array: a float into integers is cut off.

    Raises: OverflowError where the dtype does not hold it, so for NaN and infinity in integers.

    >>> stored(2.9, np.dtype(np.int8))
    array(2, dtype=int8)
    """
    if dtype.kind == "b":
        return np.array(bool(number))
    if dtype.kind == "f":
        size = abs(number)
        if size > MOST[dtype] and size != math.inf:
            raise does_not_fit(number, dtype)
    elif isinstance(number, float):
        if not math.isfinite(number):
            raise does_not_fit(number, dtype)
        number = int(number)
    return array_of(number, dtype)


def written_value(value: Any, dtype: np.dtype[Any]) -> Array:
    """Return what is written into elements of a dtype: a number in it, an array as it is."""
    number = plain_number(value)
    return foreign(value) if number is None else stored(number, dtype)


# ---------------------------------------------------------------- arrays
def foreign(x: Any) -> Array:
    """Return an array of NumPy or of another library in its own dtype, without a copy if possible.

    Elements that lie at odd places, as those of packed records, are copied: kernels need multiples
    of their size.
    What it may speak: `__array__`, `__array_interface__`, the buffer protocol, DLPack.

    Raises: TypeError for anything else, and for dtypes that tensors do not have.
    """
    if isinstance(x, np.ndarray):
        array = unmasked(x)
    elif isinstance(x, str | bytes | list | tuple | set | dict) or x is None:
        array = None
    else:
        array = np.asarray(x)
        if array.dtype == object and hasattr(x, "__dlpack__"):
            array = np.from_dlpack(x)
        if array.dtype == object and array.ndim == 0:
            array = None
    if array is None:
        raise ArgumentTypeError(
            f"expected a tensor, a number or an array, got {type(x).__name__}: {x!r:.60}; wrap "
            "lists with minigrad.tensor(...)"
        )
    numpy_dtype(array.dtype)
    return array if array.flags.aligned else array.copy()


def unmasked(array: Array) -> Array:
    """Return an array of which no element is masked; a tensor would lose the mask.

    >>> unmasked(np.ma.array([1.0, 2.0], mask=[False, True]))
    Traceback (most recent call last):
        ...
    minigrad.engine.errors.ArgumentError: 1 of 2 elements of this array are masked...
    """
    if isinstance(array, np.ma.MaskedArray):
        masked = int(np.ma.count_masked(array))
        if masked:
            raise ArgumentError(
                f"{masked} of {array.size} elements of this array are masked, and a tensor has no "
                "mask: say what stands in their place with array.filled(value), or leave them out "
                "with array.compressed()"
            )
        return array.data
    return array


# ---------------------------------------------------------------- nested lists
def from_values(data: Any, dtype: np.dtype[Any] | None = None) -> Array:
    """Return an array of a number, of nested lists of numbers and arrays, or of an array.

    dtype: None lets Python's floats be float32, its ints int64, and what has a dtype keep it, the
    widest where there are several.  A float into integers is cut off.

    Raises: ValueError for ragged lists, OverflowError for numbers that the dtype does not hold,
        TypeError for what has no numeric dtype.
    """
    if isinstance(data, np.generic):
        made = np.array(data)
        return fitted(made, numpy_dtype(made.dtype) if dtype is None else dtype)
    number = plain_number(data)
    if number is not None:
        chosen = DTYPE_OF[type(number)] if dtype is None else dtype
        if isinstance(number, float) and chosen.kind == "f":
            return fitted(np.array(number), chosen)
        return stored(number, chosen)
    if not isinstance(data, list | tuple | range):
        array = _of_protocol(data)
        if array is not None:
            with np.errstate(all="ignore"):
                return array if dtype is None else array.astype(dtype)
        data = list(data)
    kinds, data = _leaves(data)
    wanted = functools.reduce(promoted, kinds or [DTYPE_OF[float]]) if dtype is None else dtype
    try:
        made = np.asarray(data)
    except ValueError as error:
        raise ArgumentError(f"tensor: the nested lists are ragged: {error}") from None
    if made.dtype.kind in "Ou" and made.dtype != wanted:  # ints beyond int64
        try:
            return np.array(data, wanted)
        except OverflowError:
            worst = max(np.ravel(np.array(data, object)), key=abs)
            raise does_not_fit(worst, wanted) from None
    return fitted(made, wanted)


def _of_protocol(data: Any) -> Array | None:
    """Return the array of an object that speaks a protocol of arrays; None for a sequence."""
    if any(hasattr(data, name) for name in PROTOCOLS):
        return foreign(data)
    if not isinstance(data, str | bytes):
        try:
            return foreign(memoryview(data))
        except TypeError:
            if isinstance(data, Sequence):
                return None
    raise no_numbers(data)


def no_numbers(data: Any) -> TypeError:
    """Return the error about what no tensor can be made of."""
    return TypeError(
        f"tensor: expected numbers, bools or nested lists of them, got {type(data).__name__}: "
        f"{data!r:.60}"
    )


def _leaves(data: Any) -> tuple[list[np.dtype[Any]], Any]:
    """Return the dtypes of the leaves of nested lists, and the lists with tensors as arrays."""
    kinds: dict[np.dtype[Any], None] = {}
    nested = [data]
    tensors = False
    while nested:
        row = nested.pop()
        for cls in set(map(type, row)):
            known = DTYPE_OF.get(cls)
            if known is not None:
                kinds[known] = None
            elif issubclass(cls, list | tuple | range):
                nested.extend([x for x in row if isinstance(x, cls)])
            elif issubclass(cls, np.generic) and cls is not np.timedelta64:
                kinds[numpy_dtype(cls)] = None
            elif issubclass(cls, int | float):
                kinds[DTYPE_OF[float] if issubclass(cls, float) else INT64] = None
            else:
                arrays = [x for x in row if type(x) is cls]
                tensors = tensors or hasattr(arrays[0], "requires_grad")
                for x in arrays:
                    kinds[_dtype_of(x)] = None
    return list(kinds), _without_tensors(data) if tensors else data


def _dtype_of(x: Any) -> np.dtype[Any]:
    """Return the dtype of a tensor, an array or what another library's protocol gives."""
    own = getattr(x, "array", None) if hasattr(x, "requires_grad") else None
    if own is not None:
        found: np.dtype[Any] = own.dtype
        return found
    if not any(hasattr(x, name) for name in PROTOCOLS):
        raise no_numbers(x)
    return foreign(x).dtype


def _without_tensors(data: Any) -> Any:
    """Return nested lists with the tensors in them as arrays."""
    if isinstance(data, list | tuple):
        return [_without_tensors(x) for x in data]
    if hasattr(data, "requires_grad"):
        return np.asarray(data.detach().tolist(), _dtype_of(data))
    return data


def fitted(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return host values in a dtype, floats for integers cut off.

    Raises: OverflowError for integers, or floats for integers, that it does not hold.
    """
    if array.dtype == dtype:
        return array
    if dtype.kind in "iu" and array.dtype.kind in "iuf" and array.size:
        info = np.iinfo(dtype)
        low, high = array.min(), array.max()
        if array.dtype.kind == "f":
            # The bounds as floats: int64's upper one is rounded up to 2^63, which does not fit.
            inside = low > info.min - 1.0 and high < float(info.max) + (dtype.itemsize < 8)
            inside = inside or (dtype == INT64 and low >= -(2.0**63) and high < 2.0**63)
        else:
            inside = low >= info.min and high <= info.max
        if not inside:
            raise does_not_fit(high if not high <= info.max else low, dtype)
    with np.errstate(all="ignore"):
        return array.astype(dtype)
