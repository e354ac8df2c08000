"""Loops over strided arrays as rows of a table of calls: NumPy's own loops, and copies.

A ufunc is a list of compiled loops over one dimension, one for each combination of dtypes, and
walks arrays of more dimensions by calling one of them again and again.  `rows_of` finds the loop
and lays out that walk, so that a table computes the bits that the ufunc does.  Copies between
layouts are walks of the same form, with a loop of jit/call_table.py.

Loops of functions that are rounded once give the same bits on any layout; others have a vector
form for what is contiguous, so those are walked only where each call of the loop is.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from minigrad_kernels.elementwise.plan import broadcast_strides, collapse
from minigrad_kernels.jit.call_table import FORMS, OPERANDS, OUTER, Row

Array = np.ndarray[Any, Any]
MOST = 256  # rows that one call may become
ROUNDED_ONCE = {
    *(np.add, np.subtract, np.multiply, np.divide, np.negative, np.absolute, np.sqrt, np.square),
    *(np.reciprocal, np.maximum, np.minimum, np.fmax, np.fmin, np.rint, np.ceil, np.floor),
    *(np.trunc, np.copysign, np.equal, np.not_equal, np.less, np.less_equal, np.greater),
    *(np.greater_equal, np.logical_and, np.logical_or, np.logical_not, np.logical_xor, np.positive),
}


# ---------------------------------------------------------------- NumPy's loops
class Fields(ctypes.Structure):
    """The head of a ufunc object, a part of NumPy's stable C interface (`PyUFuncObject`)."""

    _fields_ = (
        ("head", ctypes.c_char * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_char)),  # numbers of dtypes, a loop after the other
    )


def read(ufunc: np.ufunc) -> tuple[Fields, list[str]] | None:
    """Return a ufunc's fields and the dtypes of its loops; None where they are not as expected."""
    fields = Fields.from_address(id(ufunc))
    counts = fields.nin, fields.nout, fields.nargs, fields.ntypes
    if counts != (ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes) or not fields.functions:
        return None
    numbers = list(fields.types[: ufunc.nargs * ufunc.ntypes])
    said = [t.replace("->", "") for t in ufunc.types]
    same = numbers == [np.dtype(code).num for codes in said for code in codes]
    return (fields, said) if same else None


@functools.cache
def loop_of(ufunc: np.ufunc, dtypes: tuple[Any, ...]) -> tuple[int, int] | None:
    """Return the address of a ufunc's loop for these dtypes, and what it is to be given."""
    found = read(ufunc)
    if found is None or len(dtypes) != ufunc.nargs:
        return None
    fields, kinds = found
    for i, codes in enumerate(kinds):
        if "O" not in codes and tuple(np.dtype(c) for c in codes) == dtypes:
            function = fields.functions[i]
            data = fields.data[i] if fields.data else None
            return (function, data or 0) if function else None
    return None


# ---------------------------------------------------------------- walks
def rows_of(function: int, data: int, arrays: Sequence[Array], once: bool) -> list[Row] | None:
    """Return the rows that call a loop over all of the last array; None where they would be many.

    arrays: operands, which broadcast against the last.  once: whether any layout will do.
    """
    y = arrays[-1]
    if y.size == 0:
        return []
    if any(a is not y and np.may_share_memory(a, y) and not in_place(a, y) for a in arrays):
        return None
    order = sorted(range(y.ndim), key=lambda axis: -abs(y.strides[axis]))
    seen = [broadcast_strides(a.shape, a.strides, y.shape) for a in arrays]
    moved = [tuple(s[axis] for axis in order) for s in seen]
    shape, steps = collapse([y.shape[axis] for axis in order], moved)
    *outer, count = shape or (1,)
    strides = [s or (0,) for s in steps]
    items = [a.itemsize for a in arrays]
    run = all(s[-1] == n for s, n in zip(strides, items, strict=True))
    if not (once or run or y.size == 1):
        return None
    more, nest = outer[: max(0, len(outer) - OUTER)], outer[max(0, len(outer) - OUTER) :]
    if math.prod(more) > MOST:
        return None
    blank = OUTER - len(nest)
    starts = [a.__array_interface__["data"][0] for a in arrays]
    rows = []
    for index in product(*map(range, more)):
        words = [function, data, len(arrays), *[1] * blank, *nest, count]
        for start, s in zip(starts, strides, strict=True):
            first = start + sum(i * step for i, step in zip(index, s))
            words += [first, *[0] * blank, *s[len(more) :]]
        rows.append(("strided", np.array(words, np.int64).tobytes()))
    return rows


def in_place(a: Array, y: Array) -> bool:
    """Return whether an operand is the very elements that the result is."""
    same = a.shape == y.shape and a.strides == y.strides
    return same and a.__array_interface__["data"] == y.__array_interface__["data"]


def ufunc_rows(ufunc: np.ufunc, arrays: Sequence[Array]) -> list[Row] | None:
    """Return the rows of a ufunc's call, the last array being its result."""
    if len(arrays) > OPERANDS or not all(isinstance(a, np.ndarray) for a in arrays):
        return None
    found = loop_of(ufunc, tuple(a.dtype for a in arrays))
    aligned = all(a.flags.aligned for a in arrays)
    if found is None or not aligned:
        return None
    return rows_of(*found, arrays, ufunc in ROUNDED_ONCE)


def move_rows(source: Any, target: Array) -> list[Row] | None:
    """Return the rows of a copy."""
    if not isinstance(source, np.ndarray) or source.dtype != target.dtype:
        return None
    code = FORMS.copy(target.itemsize)
    return None if code is None else rows_of(code, 0, (source, target), True)
