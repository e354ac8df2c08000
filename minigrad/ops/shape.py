"""Ops that move elements without computing: views where NumPy can give one."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import DeviceArray, filled
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.dtypes import promoted
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import Bridge, Op
from minigrad.ops.common import Array, axis_of, contiguous, op, sizes_of
from minigrad.ops.registry import public

Shape = tuple[int, ...]


class ShapeOp(Op):
    """An op whose gradient needs the input's shape alone."""

    keeps = False
    view = True


@op
class Reshape(ShapeOp):
    """y = a with another shape; one size may be -1"""

    def forward(self, a: Array, shape: Shape) -> Array:
        self.was = a.shape
        known = math.prod(n for n in shape if n != -1)
        fits = shape.count(-1) <= 1 and all(n >= -1 for n in shape)
        if -1 in shape:
            fits = fits and (known != 0 and a.size % known == 0)
        else:
            fits = fits and known == a.size
        if not fits:
            raise ArgumentError(
                f"reshape: shape {a.shape} with {a.size} elements does not fit into {shape}"
            )
        try:
            return a.reshape(shape)
        except ValueError:  # of a device's: only a copy has that shape
            return contiguous(a).reshape(shape)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Reshape.apply(g, shape=self.was),)


@op
class Permute(ShapeOp):
    """y[i_p0, i_p1, ...] = a[i_0, i_1, ...]"""

    def forward(self, a: Array, axes: Shape) -> Array:
        return a.transpose(axes)

    def backward(self, g: Any) -> tuple[Any, ...]:
        axes = self.meta["axes"]
        inverse = [0] * len(axes)
        for i, axis in enumerate(axes):
            inverse[axis] = i
        return (Permute.apply(g, axes=tuple(inverse)),)


@op
class Expand(ShapeOp):
    """y = a repeated along axes of size 1 and new leading ones, without a copy"""

    def forward(self, a: Array, shape: Shape) -> Array:
        if a.shape == shape:
            return a.view()
        return expanded(a, shape)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g,)  # the engine sums over what was repeated


def expanded(a: Any, shape: Shape) -> Any:
    """Return the view of `a` that repeats it to `shape`."""
    steps = expand_strides(a, shape)
    if type(a) is DeviceArray:
        return a.like(np.broadcast_to(a.geometry, shape))
    return np.lib.stride_tricks.as_strided(a, shape, steps, writeable=False)


def expand_strides(a: Array, shape: Shape) -> Shape:
    """Return the strides of `a` seen in `shape`, 0 where it repeats."""
    lead = len(shape) - a.ndim
    if lead < 0 or any(n not in (1, m) for n, m in zip(a.shape, shape[lead:], strict=True)):
        raise ArgumentError(
            f"expand: shape {a.shape} cannot be expanded to {shape}: only sizes of 1 repeat"
        )
    steps = [s if n == m else 0 for n, m, s in zip(a.shape, shape[lead:], a.strides, strict=True)]
    return (0,) * lead + tuple(steps)


@op
class Flip(ShapeOp):
    """y = a reversed along `axes`, in memory of its own"""

    view = False

    def forward(self, a: Array, axes: Shape) -> Array:
        y = empty(a.shape, a.dtype)
        launch("copy", np.flip(a, axes), y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Flip.apply(g, axes=self.meta["axes"]),)


@op
class Cat(Op):
    """y = the inputs one after another along `axis`"""

    keeps = False

    def forward(self, *arrays: Array, axis: int) -> Array:
        first = arrays[0]
        for i, a in enumerate(arrays):
            same = a.ndim == first.ndim and all(
                n == m or k == axis
                for k, (n, m) in enumerate(zip(a.shape, first.shape, strict=True))
            )
            if not same:
                raise ArgumentError(
                    f"cat: input {i} has shape {a.shape}, the first {first.shape}: all sizes but "
                    f"dim {axis} must agree"
                )
        self.sizes = [a.shape[axis] for a in arrays]
        dtype = functools.reduce(promoted, [a.dtype for a in arrays])
        y = empty((*first.shape[:axis], sum(self.sizes), *first.shape[axis + 1 :]), dtype)
        start = 0
        for a in arrays:
            launch("copy", a, y[(slice(None),) * axis + (slice(start, start + a.shape[axis]),)])
            start += a.shape[axis]
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:

        return Split.apply(g, sizes=tuple(self.sizes), axis=self.meta["axis"])


@op
class Split(ShapeOp):
    """(y_0, y_1, ...) = pieces of a along `axis`, views"""

    several = True

    def forward(self, a: Array, sizes: Shape, axis: int) -> tuple[Array, ...]:
        self.was = a.shape
        if sum(sizes) != a.shape[axis]:
            raise ArgumentError(
                f"split: sizes {sizes} add up to {sum(sizes)}, dim {axis} has {a.shape[axis]}"
            )
        out, start = [], 0
        for n in sizes:
            out.append(a[(slice(None),) * axis + (slice(start, start + n),)])
            start += n
        return tuple(out)

    def backward(self, *grads: Any) -> tuple[Any, ...]:
        axis, sizes = self.meta["axis"], self.meta["sizes"]
        parts = []
        for n, g in zip(sizes, grads, strict=True):
            shape = (*self.was[:axis], n, *self.was[axis + 1 :])
            parts.append(g if g is not None else Bridge.new(filled(shape, 0, self.dtype)))
        return (Cat.apply(*parts, axis=axis),)


# ---------------------------------------------------------------- functions
def reshape(input: Any, shape: Sequence[int]) -> Any:
    """Return `input` in another shape; a view where memory allows."""
    return Reshape.apply(input, shape=sizes_of((tuple(shape),)))


def permute(input: Any, dims: Sequence[int]) -> Any:
    """Return `input` with its dimensions in the order `dims`, a view."""
    axes = tuple(axis_of("permute", d, input.ndim) for d in dims)
    if sorted(axes) != list(range(input.ndim)):
        raise ArgumentError(
            f"permute: dims {tuple(dims)} must name each of the {input.ndim} dimensions once"
        )
    return Permute.apply(input, axes=axes)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Return `input` with two dimensions exchanged, a view."""
    axes = list(range(input.ndim))
    i, j = axis_of("transpose", dim0, input.ndim), axis_of("transpose", dim1, input.ndim)
    if not axes:
        return input
    axes[i], axes[j] = axes[j], axes[i]
    return Permute.apply(input, axes=tuple(axes))


def expand(input: Any, sizes: Sequence[int]) -> Any:
    """Return `input` repeated to `sizes` without a copy; -1 keeps a size."""
    lead = len(sizes) - input.ndim
    shape = tuple(
        input.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(sizes)
    )
    return Expand.apply(input, shape=shape)


@public("tensor")
def broadcast_to(input: Any, shape: Sequence[int]) -> Any:
    """Return `input` broadcast to `shape`, a view."""
    return expand(input, shape)


def squeeze(input: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Drop dimensions of size 1: all, or those that `dim` names and that have it."""
    if dim is None:
        drop = {i for i, n in enumerate(input.shape) if n == 1}
    else:
        named = dim if isinstance(dim, (tuple, list)) else (dim,)
        drop = {axis_of("squeeze", d, input.ndim) for d in named}
        drop = {i for i in drop if input.ndim and input.shape[i] == 1}
    return Reshape.apply(input, shape=tuple(n for i, n in enumerate(input.shape) if i not in drop))


def unsqueeze(input: Any, dim: int) -> Any:
    """Insert a dimension of size 1 at `dim`."""
    axis = axis_of("unsqueeze", dim, input.ndim + 1)
    return Reshape.apply(input, shape=(*input.shape[:axis], 1, *input.shape[axis:]))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Merge the dimensions from `start_dim` to `end_dim` into one."""
    i, j = axis_of("flatten", start_dim, input.ndim), axis_of("flatten", end_dim, input.ndim)
    if input.ndim == 0:
        return Reshape.apply(input, shape=(1,))
    if i > j:
        raise ArgumentError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    merged = math.prod(input.shape[i : j + 1])
    return Reshape.apply(input, shape=(*input.shape[:i], merged, *input.shape[j + 1 :]))


def flip(input: Any, dims: int | Sequence[int]) -> Any:
    """Return a copy of `input` reversed along `dims`; `x[::-1]` is a view."""
    named = dims if isinstance(dims, (tuple, list)) else (dims,)

    axes = tuple([axis_of("flip", d, input.ndim) for d in named])
    if len(set(axes)) < len(axes):
        raise ArgumentError(f"flip: dims {tuple(named)} name a dimension twice")
    return Flip.apply(input, axes=axes if input.ndim else ())


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Join tensors along an existing dimension.

    >>> import minigrad as mg
    >>> mg.cat([mg.ones(1, 2), mg.zeros(1, 2)])
    tensor([[1., 1.],
            [0., 0.]])
    """
    if not tensors:
        raise ArgumentError("cat: expected at least one tensor, got an empty list")
    for i, t in enumerate(tensors):
        if not isinstance(t, Bridge.tensor):
            raise ArgumentTypeError(f"cat: expected tensors, got {type(t).__name__} for input {i}")
        if not t.array.ndim:
            raise ArgumentError(f"cat: input {i} is a 0-d tensor, which has no dim; use stack")
    # Empty vectors go beside anything, as in PyTorch: what was gathered so far starts as one.
    joined = [t for t in tensors if t.array.shape != (0,)]
    if len(joined) != len(tensors) and any(t.ndim != 1 for t in joined):
        tensors = joined
    return Cat.apply(*tensors, axis=axis_of("cat", dim, tensors[0].ndim))


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Join tensors of one shape along a new dimension."""
    if not tensors:
        raise ArgumentError("stack: expected at least one tensor, got an empty list")
    for i, t in enumerate(tensors):
        if t.shape != tensors[0].shape:
            raise ArgumentError(
                f"stack: input {i} has shape {t.shape}, the first {tensors[0].shape}: they must "
                "agree"
            )
    return cat([unsqueeze(t, dim) for t in tensors], dim)


def split(input: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Cut `input` along `dim` into pieces of one size (the last may be smaller) or of given sizes,
    as views.

    >>> import minigrad as mg
    >>> [p.tolist() for p in mg.split(mg.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    axis = axis_of("split", dim, input.ndim)
    n = input.shape[axis]
    if not isinstance(split_size_or_sections, list | tuple):
        size = arguments.whole("split", "the size of a piece", split_size_or_sections)
        if size < 0 or (n and not size):
            raise ArgumentError(f"split: the size of a piece must be positive, got {size}")
        sizes = tuple(min(size, n - start) for start in range(0, n, size or 1)) or (0,)
    else:
        sizes = sizes_of((split_size_or_sections,))
        if min(sizes, default=0) < 0:
            raise ArgumentError(f"split: sizes of pieces must not be negative, got {sizes}")
    return Split.apply(input, sizes=sizes, axis=axis)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Cut `input` along `dim` into at most `chunks` pieces of equal size, the last may be
    smaller.
    """
    chunks = arguments.whole("chunk", "chunks", chunks)
    if chunks < 1:
        raise ArgumentError(f"chunk: expected at least one chunk, got {chunks}")
    n = input.shape[axis_of("chunk", dim, input.ndim)]
    if not n:
        return split(input, [0] * chunks, dim)
    return split(input, max(1, -(-n // chunks)), dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Return the slices of `input` along `dim`, that dimension dropped."""
    return tuple(squeeze(piece, dim) for piece in split(input, 1, dim)) if input.shape[dim] else ()


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Return coordinate grids of 1-D tensors, given one by one or as one list, as views."""
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    for t in tensors:
        if t.ndim > 1:
            raise ArgumentError(f"meshgrid: expected 0-d or 1-D tensors, got shape {t.shape}")
    shape = tuple(t.array.size for t in tensors)
    grids = []
    for i, t in enumerate(tensors):
        line = reshape(t, (1,) * i + (-1,) + (1,) * (len(tensors) - i - 1))
        grid = expand(line, shape)
        grids.append(transpose(grid, 0, 1) if indexing == "xy" and len(tensors) > 1 else grid)
    return tuple(grids)
