"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.device import device as device_type
from minigrad.engine.device import filled, moved
from minigrad.engine.dtypes import numpy_dtype
from minigrad.engine.errors import ArgumentError, ArgumentIndexError
from minigrad.engine.op import Bridge
from minigrad.ops.arranging import kept_beside, listed, movedim, seen_through
from minigrad.ops.common import Array, axis_of, op
from minigrad.ops.elementwise import Where
from minigrad.ops.grammar import resolved
from minigrad.ops.index import Index, IndexAdd
from minigrad.ops.registry import public
from minigrad.ops.shape import Permute, Reshape, ShapeOp, cat, expand


def diagonal_of(rows: int, columns: int, offset: int) -> tuple[int, int, int]:
    """Return where a diagonal begins, and how many elements it has."""
    i, j = max(-offset, 0), max(offset, 0)
    return i, j, max(0, min(rows - i, columns - j))


def two_axes(name: str, ndim: int, dim1: int, dim2: int) -> tuple[int, int]:
    """Return two different axes."""
    first, second = axis_of(name, dim1, ndim), axis_of(name, dim2, ndim)
    if first == second:
        raise ArgumentError(f"{name}: dim1 and dim2 must differ, both are {first}")
    return first, second


@op
class Diagonal(ShapeOp):
    """y = the diagonal a[i, i + offset] of two axes, as the last dimension; a view"""

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((draw.normal(3, 3),), {"offset": 0, "axis1": 0, "axis2": 1}),
            ((draw.normal(2, 4, 3),), {"offset": 1, "axis1": 2, "axis2": 1}),
            ((draw.normal(4, 3).T,), {"offset": -2, "axis1": 0, "axis2": 1}),
            ((draw.normal(2, 2),), {"offset": 2, "axis1": 0, "axis2": 1}),
        ]

    def forward(self, a: Array, offset: int, axis1: int, axis2: int) -> Array:
        self.was = a.shape
        i, j, n = diagonal_of(a.shape[axis1], a.shape[axis2], offset)
        rest = [d for d in range(a.ndim) if d not in (axis1, axis2)]
        shape = (*(a.shape[d] for d in rest), n)
        strides = (*(a.strides[d] for d in rest), a.strides[axis1] + a.strides[axis2])
        begin: list[Any] = [slice(None)] * a.ndim
        begin[axis1], begin[axis2] = (slice(i, None), slice(j, None)) if n else (slice(0),) * 2

        def seen(x: Array) -> Array:
            return np.lib.stride_tricks.as_strided(x[tuple(begin)], shape, strides)

        return seen_through(a, seen)

    def backward(self, g: Any) -> tuple[Any, ...]:
        axis1, axis2 = self.meta["axis1"], self.meta["axis2"]
        return (on_diagonal(g, self.meta["offset"], axis1, axis2, self.was),)


def on_diagonal(g: Any, offset: int, axis1: int, axis2: int, shape: tuple[int, ...]) -> Any:
    """Return zeros of `shape` with `g`, along its last dimension, on a diagonal of two axes."""
    rest = [d for d in range(len(shape)) if d not in (axis1, axis2)]
    i, j, n = diagonal_of(shape[axis1], shape[axis2], offset)
    inner = (shape[axis1], shape[axis2], *(shape[d] for d in rest))
    steps = np.arange(n)
    where = resolved((steps + i, steps + j), inner)
    made = IndexAdd.apply(movedim(g, -1, 0), shape=inner, index=where)
    order = [axis1, axis2, *rest]
    return Permute.apply(made, axes=tuple(order.index(d) for d in range(len(shape))))


@public("tensor")
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Return a diagonal of two dimensions as the last one, a view; offset: above the main one.

    >>> import minigrad as mg
    >>> mg.diagonal(mg.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    if input.ndim < 2:
        raise ArgumentIndexError(
            f"diagonal: expected at least two dimensions, got shape {input.shape}"
        )
    axis1, axis2 = two_axes("diagonal", input.ndim, dim1, dim2)
    return Diagonal.apply(input, offset=int(offset), axis1=axis1, axis2=axis2)


@public("tensor")
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return zeros with the last dimension of a tensor on a diagonal of two new dimensions.

    >>> import minigrad as mg
    >>> mg.diag_embed(mg.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if not input.ndim:
        raise ArgumentIndexError("diag_embed: expected at least one dimension, got a single number")
    axis1, axis2 = two_axes("diag_embed", input.ndim + 1, dim1, dim2)
    size = input.shape[-1] + abs(offset)
    shape = list(input.shape[:-1])
    for axis in sorted((axis1, axis2)):
        shape.insert(axis, size)
    return on_diagonal(input, offset, axis1, axis2, tuple(shape))


@public("tensor")
def diag(input: Any, diagonal: int = 0) -> Any:
    """Return the matrix with a vector on its diagonal, or the diagonal of a matrix.

    >>> import minigrad as mg
    >>> mg.diag(mg.tensor([[1, 2], [3, 4]]), 1)
    tensor([2])
    """
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise ArgumentError(f"diag: expected a vector or a matrix, got shape {input.shape}")
    return Diagonal.apply(input, offset=int(diagonal), axis1=0, axis2=1).clone()


@public("tensor")
def diagflat(input: Any, offset: int = 0) -> Any:
    """Return the matrix with all elements on its diagonal."""
    return diag_embed(Reshape.apply(input, shape=(-1,)), offset)


@public("tensor")
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Return a copy with `src` on a diagonal of two dimensions."""
    y = input.clone()
    part = diagonal(y, offset, dim1, dim2)
    if part.shape != src.shape:
        raise ArgumentError(
            f"diagonal_scatter: src has shape {src.shape}, the diagonal {part.shape}"
        )
    part.copy_(src)
    return y


@public("tensor")
def trace(input: Any) -> Any:
    """Return the sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise ArgumentError(f"trace: expected a matrix, got shape {input.shape}")
    return diagonal(input).sum()


# ---------------------------------------------------------------- triangles
def triangle(name: str, input: Any, diagonal: int, upper: bool) -> Any:
    """Return matrices with zeros on one side of a diagonal."""
    if input.ndim < 2:
        raise ArgumentError(f"{name}: expected at least two dimensions, got shape {input.shape}")
    rows, columns = input.shape[-2:]
    lower = np.tri(rows, columns, int(diagonal) - upper, bool)
    zero = Bridge.new(filled((), 0, input.array.dtype, input.array))
    return Where.apply(kept_beside(~lower if upper else lower, input), input, zero)


@public("tensor", inplace=True)
def tril(input: Any, diagonal: int = 0) -> Any:
    """Return matrices with zeros above a diagonal.

    >>> import minigrad as mg
    >>> mg.tril(mg.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return triangle("tril", input, diagonal, False)


@public("tensor", inplace=True)
def triu(input: Any, diagonal: int = 0) -> Any:
    """Return matrices with zeros below a diagonal."""
    return triangle("triu", input, diagonal, True)


def indices(name: str, row: int, col: int, offset: int, upper: bool, dtype: Any, at: Any) -> Any:
    """Return the rows and columns of one side of a diagonal."""
    if row < 0 or col < 0:
        raise ArgumentError(f"{name}: sizes must not be negative, got {row} and {col}")
    lower = np.tri(row, col, offset - upper, bool)
    kind = np.dtype(np.int64) if dtype is None else numpy_dtype(dtype)
    found = np.stack((~lower if upper else lower).nonzero()).astype(kind)
    return Bridge.new(found if at is None else moved(found, device_type(at)))


@public("function")
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Any:
    """Return the places of a lower triangle: (2, n), rows and columns.

    >>> import minigrad as mg
    >>> mg.tril_indices(2, 2).tolist()
    [[0, 1, 1], [0, 0, 1]]
    """
    return indices("tril_indices", row, col, offset, False, dtype, device)


@public("function")
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Any:
    """Return the places of an upper triangle: (2, n), rows and columns."""
    return indices("triu_indices", row, col, offset, True, dtype, device)


# ---------------------------------------------------------------- made of matrices
@public("function")
def block_diag(*tensors: Any) -> Any:
    """Return the matrix with matrices along its diagonal, zeros elsewhere; vectors count as rows.

    >>> import minigrad as mg
    >>> mg.block_diag(mg.tensor([[1, 2]]), mg.tensor([3]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    blocks = []
    for t in listed("block_diag", tensors):
        if t.ndim > 2:
            raise ArgumentError(f"block_diag: expected matrices, got shape {t.shape}")
        blocks.append(t if t.ndim == 2 else Reshape.apply(t, shape=(1, -1)))
    rows, columns, start = [], sum(b.shape[1] for b in blocks), 0
    for b in blocks:
        ends = (start, columns - start - b.shape[1])
        sides = [zeros_like_of(b, (b.shape[0], n)) for n in ends]
        rows.append(cat([sides[0], b, sides[1]], 1))
        start += b.shape[1]
    return cat(rows, 0)


def zeros_like_of(t: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of a shape, otherwise like `t`."""
    return Bridge.new(filled(shape, 0, t.array.dtype, t.array))


@public("tensor")
def kron(input: Any, other: Any) -> Any:
    """Return the Kronecker product: each element of `input` times the whole of `other`.

    >>> import minigrad as mg
    >>> mg.kron(mg.tensor([1, 2]), mg.tensor([1, 10]))
    tensor([ 1, 10,  2, 20])
    """
    n = max(input.ndim, other.ndim)
    a, b = ((1,) * (n - t.ndim) + tuple(t.shape) for t in (input, other))
    left = Reshape.apply(input, shape=tuple(x for s in a for x in (s, 1)))
    right = Reshape.apply(other, shape=tuple(x for s in b for x in (1, s)))
    return Reshape.apply(left * right, shape=tuple(x * y for x, y in zip(a, b, strict=True)))


@public("function")
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Return the powers of a vector as columns, the highest first unless `increasing`."""
    if x.ndim != 1:
        raise ArgumentError(f"vander: expected a vector, got shape {x.shape}")
    return powers(x, x.shape[0] if N is None else N, increasing)


def powers(x: Any, count: int, increasing: bool) -> Any:
    """Return x^0, x^1, ... along a new last dimension."""
    if count < 0:
        raise ArgumentError(f"vander: N must not be negative, got {count}")
    if x.array.dtype.kind == "b":
        x = x.long()
    ones = Bridge.new(filled((*x.shape, 1), 1, x.array.dtype, x.array))
    columns = [ones]
    for _ in range(count - 1):
        columns.append(columns[-1] * Reshape.apply(x, shape=(*x.shape, 1)))
    found = cat(columns if increasing else columns[::-1], -1)
    return found if count else Index.apply(found, index=(..., slice(0, 0)))


@public("tensor")
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """Return the cross product of vectors of three along `dim`, by default the first of size 3."""
    shape = np.broadcast_shapes(tuple(input.shape), tuple(other.shape))
    if dim is None:
        if 3 not in shape:
            raise ArgumentError(f"cross: expected a dimension of size 3, got shape {shape}")
        dim = shape.index(3)
    return crossed("cross", input, other, dim)


def crossed(name: str, input: Any, other: Any, dim: int) -> Any:
    """Return the cross product along a dimension."""
    shape = np.broadcast_shapes(tuple(input.shape), tuple(other.shape))
    axis = axis_of(name, dim, len(shape))
    if input.ndim != other.ndim or input.shape[axis] != 3 or other.shape[axis] != 3:
        raise ArgumentError(
            f"{name}: expected tensors of as many dimensions, with size 3 in dim {dim}, got "
            f"{input.shape} and {other.shape}"
        )
    a, b = expand(input, shape), expand(other, shape)

    def part(t: Any, k: int) -> Any:
        return Index.apply(t, index=(slice(None),) * axis + (slice(k, k + 1),))

    x, y = [part(a, k) for k in range(3)], [part(b, k) for k in range(3)]
    pairs = ((1, 2), (2, 0), (0, 1))
    return cat([x[i] * y[j] - x[j] * y[i] for i, j in pairs], axis)
