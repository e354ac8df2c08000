"""Common parts of the op files: match operands, check axes, run an op on any arguments."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.dtypes import result_dtype
from minigrad.engine.errors import ArgumentError, ArgumentIndexError, ArgumentTypeError
from minigrad.engine.op import Bridge
from minigrad.engine.values import DTYPE_OF
from minigrad.ops.registry import op as op

Array = np.ndarray[Any, Any]


def tensor_of(x: Any, like: Any = None) -> Any:
    """Return `x` as a tensor: itself, or a number or array lifted to go with `like`."""
    return x if isinstance(x, Bridge.tensor) else Bridge.lift(x, like)


def converted(a: Array, dtype: np.dtype[Any]) -> Array:
    """Return `a` in `dtype`, by a kernel; itself where it has it already."""
    if a.dtype == dtype:
        return a
    y = empty(a.shape, dtype, a)
    launch("copy", a, y)
    return y


def contiguous(a: Array) -> Array:
    """Return `a` in C order, copied only where it is not."""
    if a.flags.c_contiguous:
        return a
    y = empty(a.shape, a.dtype, a)
    launch("copy", a, y)
    return y


def shaped(a: Array, shape: tuple[int, ...]) -> Array:
    """Return `a` in C order and another shape: `a` itself where it has both, else a copy."""
    a = contiguous(a)
    return a if a.shape == shape else a.reshape(shape)


def match(name: str, a: Array, b: Array) -> tuple[Array, Array, tuple[int, ...], np.dtype[Any]]:
    """Return both operands in their common dtype, with the shape of the result."""
    dtype = a.dtype
    if dtype != b.dtype:
        dtype = result_dtype(a, b)
        a, b = converted(a, dtype), converted(b, dtype)
    if b.ndim == 0 or a.shape == b.shape:
        return a, b, a.shape, dtype
    return a, b, broadcast_shape(name, a.shape, b.shape), dtype


def broadcast_shape(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that `shapes` broadcast to; a ValueError shows them."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        shown = " and ".join(str(s) for s in shapes)
        raise ArgumentError(
            f"{name}: shapes {shown} do not broadcast: from the right, sizes must be equal or 1"
        ) from None


def floating(a: Array) -> Array:
    """Return `a` as a floating array: integers and bools become the default dtype, float32."""
    return a if a.dtype.kind == "f" else converted(a, DTYPE_OF[float])


def only_floating(name: str, a: Array) -> Array:
    """Return `a`, a floating array; a TypeError names what else it is."""
    if a.dtype.kind != "f":
        raise ArgumentTypeError(f"{name}: expected a floating tensor, got {a.dtype}; use .float()")
    return a


def any_true(a: Any) -> bool:
    """Return whether any of the bools holds: of those on a device one number is read."""
    if isinstance(a, np.ndarray):
        return bool(a.any())
    if not a.size:
        return False
    found = empty((), a.dtype, a)
    launch("max", shaped(a, (a.size,)), (0,), found)
    return bool(found.item())


def extremes(a: Any) -> tuple[Any, Any]:
    """Return the smallest and the largest element of an array that has some, as numbers: of one on
    a device the two are read together."""
    if isinstance(a, np.ndarray):
        return a.min().item(), a.max().item()
    both, flat = empty(2, a.dtype, a), shaped(a, (a.size,))
    launch("min", flat, (0,), both[0])
    launch("max", flat, (0,), both[1])
    low, high = both.tolist()
    return low, high


def axis_of(name: str, dim: int, ndim: int) -> int:
    """Return `dim` counted from the left; an IndexError gives the range."""
    if type(dim) is not int:
        dim = whole_dim(name, dim)
    span = max(ndim, 1)
    if not -span <= dim < span:
        raise ArgumentIndexError(
            f"{name}: dim {dim} is out of range for {ndim} dimensions: expected {-span} to "
            f"{span - 1}"
        )
    return dim % span


def whole_dim(name: str, dim: Any) -> int:
    """Return a dimension given as NumPy's integer or as a 0-d array or tensor."""
    try:
        return arguments.whole(name, "dim", dim)
    except ValueError:
        raise ArgumentTypeError(f"{name}: dim must be an int, got {dim!r}") from None


def axes_of(name: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Return the sorted axes that `dim` names: an int, several, or None for all."""
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        if not dim:
            return tuple(range(ndim))
        axes = tuple(sorted(axis_of(name, d, ndim) for d in dim))
        if len(set(axes)) != len(axes):
            raise ArgumentError(f"{name}: dim {tuple(dim)} names a dimension twice")
    else:
        axes = (axis_of(name, dim, ndim),)  # type: ignore[arg-type]
    return axes if ndim else ()


def sizes_of(sizes: Sequence[Any]) -> tuple[int, ...]:
    """Return the ints of `f(2, 3)` and of `f((2, 3))` alike; a TypeError for fractions."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        return tuple(index(n) for n in sizes[0])
    return tuple(index(n) for n in sizes)
