"""The dtype vocabulary: `minigrad.float32` and its siblings, equal to NumPy's and printed as
ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentTypeError

Array = np.ndarray[Any, Any]


class DType:
    """An element type.  Equal to, and accepted by NumPy as, the NumPy dtype it names.

    >>> import numpy as np
    >>> float32
    minigrad.float32
    >>> float32 == np.float32, np.zeros(1, float32).dtype == np.float32
    (True, True)
    """

    __slots__ = ("dtype", "is_floating_point", "is_signed", "itemsize", "name")
    package = "minigrad"  # what the names are printed with; "torch" in minigrad.as_torch
    is_complex = False

    def __init__(self, name: str) -> None:
        self.dtype = np.dtype(name)
        self.name = name
        self.itemsize = self.dtype.itemsize
        self.is_floating_point = self.dtype.kind == "f"
        self.is_signed = self.dtype.kind in "fi"

    def __repr__(self) -> str:
        return f"{DType.package}.{self.name}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DType):
            return self is other
        try:
            return self.dtype == other
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name


class AbsentDType:
    """A dtype of PyTorch that tensors do not have here: it may be named and compared, not used.

    >>> float16
    minigrad.float16
    >>> numpy_dtype(float16)
    Traceback (most recent call last):
        ...
    minigrad.engine.errors.ArgumentTypeError: dtype minigrad.float16 is not supported; ...
    """

    __slots__ = ("is_complex", "is_floating_point", "itemsize", "name")
    is_signed = True

    def __init__(self, name: str, itemsize: int) -> None:
        self.name, self.itemsize = name, itemsize
        self.is_complex = name.startswith("complex")
        self.is_floating_point = not self.is_complex

    def __repr__(self) -> str:
        return f"{DType.package}.{self.name}"

    def __reduce__(self) -> str:
        return self.name


float32 = DType("float32")
float64 = DType("float64")
int64 = DType("int64")
int32 = DType("int32")
int16 = DType("int16")
int8 = DType("int8")
uint8 = DType("uint8")
bool_ = DType("bool")
float16, bfloat16 = AbsentDType("float16", 2), AbsentDType("bfloat16", 2)
complex64, complex128 = AbsentDType("complex64", 8), AbsentDType("complex128", 16)

DTYPES = {d.dtype: d for d in (float32, float64, int64, int32, int16, int8, uint8, bool_)}


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the NumPy dtype that `dtype` names; a TypeError lists the supported ones.

    >>> numpy_dtype(float64), numpy_dtype("int64"), numpy_dtype(bool)
    (dtype('float64'), dtype('int64'), dtype('bool'))
    """
    if isinstance(dtype, AbsentDType):
        raise ArgumentTypeError(f"dtype {dtype} is not supported; use one of {supported()}")
    found = dtype.dtype if isinstance(dtype, DType) else np.dtype(dtype)
    if found not in DTYPES:
        if not found.isnative:
            raise ArgumentTypeError(
                f"dtype {found} has the other byte order: convert the array first, "
                "array.astype(array.dtype.newbyteorder('='))"
            )
        raise ArgumentTypeError(f"dtype {found} is not supported; use one of {supported()}")
    return found


def supported() -> str:
    """Return the names of the dtypes that tensors can have."""
    return ", ".join(map(str, DTYPES))


def promoted(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that holds both: the wider of a kind, and the float beside integers.

    >>> promoted(np.dtype(np.int64), np.dtype(np.float32))
    dtype('float32')
    """
    if (a.kind == "f") == (b.kind == "f"):
        return np.promote_types(a, b)
    return a if a.kind == "f" else b


def result_dtype(a: Array, b: Array) -> np.dtype[Any]:
    """Return the dtype of a binary operation.

    A 0-d operand does not promote one of the same kind, as in PyTorch: a float32 vector times a
    float64 scalar is float32, an int64 vector times one is the scalar's float.
    """
    if a.ndim == 0 and b.ndim > 0:
        a, b = b, a
    if b.ndim == 0 and a.ndim > 0 and not outranks(b.dtype, a.dtype):
        return a.dtype
    return b.dtype if b.ndim == 0 and a.ndim > 0 else promoted(a.dtype, b.dtype)


def outranks(a: np.dtype[Any], b: np.dtype[Any]) -> bool:
    """Return whether `a` is of a higher kind than `b`: bool, integer, float."""
    kinds = "biuf"
    return kinds.index(a.kind) > max(kinds.index(b.kind), 2 * (b.kind == "i"))


def fits_in_place(made: np.dtype[Any], held: np.dtype[Any]) -> bool:
    """Return whether a result may be written into memory of a dtype: no float into integers, no
    integer into bools; a wider one of the same kind may.
    """
    return not outranks(made, held)
