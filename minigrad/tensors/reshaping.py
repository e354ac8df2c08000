"""The methods of Tensor that move elements: one line over `ops/shape.py` and `ops/index.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minigrad.ops import shape
from minigrad.ops.common import sizes_of
from minigrad.ops.index import gather, index_select

if TYPE_CHECKING:
    from minigrad.tensors.tensor import Tensor

Dim = int | Sequence[int] | None


class ShapeMethods:
    """Views where memory allows, copies where not."""

    def reshape(self, *sizes: Any) -> Tensor:
        """Return x in another shape; one size may be -1."""
        return shape.Reshape.apply(self, shape=sizes_of(sizes))

    def view(self: Any, *sizes: Any) -> Tensor:
        """Return x in another shape without a copy; raises where memory does not allow it."""
        seen = self.reshape(*sizes)
        if seen.cell is None and self.array.size:
            raise ValueError(
                f"view: strides {self.array.strides} do not allow shape {sizes_of(sizes)}; use "
                "reshape()"
            )
        return seen

    def reshape_as(self, other: Tensor) -> Tensor:
        """Return x in the shape of `other`."""
        return shape.Reshape.apply(self, shape=other.shape)

    def permute(self, *dims: Any) -> Tensor:
        """Return x with its dimensions in another order, a view."""
        return shape.permute(self, sizes_of(dims))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Exchange two dimensions, a view."""
        return shape.transpose(self, dim0, dim1)

    def t(self: Any) -> Tensor:
        """Return a matrix transposed; vectors and numbers are themselves."""
        if self.ndim > 2:
            raise ValueError(
                f"t: expected at most two dimensions, got shape {self.shape}; use transpose or mT"
            )
        return self.T

    def expand(self, *sizes: Any) -> Tensor:
        """Repeat sizes of 1 without a copy; -1 keeps a size."""
        return shape.expand(self, sizes_of(sizes))

    def expand_as(self, other: Tensor) -> Tensor:
        """Repeat sizes of 1 to the shape of `other`, without a copy."""
        return shape.expand(self, other.shape)

    def squeeze(self, dim: Dim = None) -> Tensor:
        """Drop dimensions of size 1."""
        return shape.squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Tensor:
        """Insert a dimension of size 1."""
        return shape.unsqueeze(self, dim)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Merge neighbouring dimensions."""
        return shape.flatten(self, start_dim, end_dim)

    def flip(self, *dims: Any) -> Tensor:
        """Return a copy reversed along `dims`."""
        return shape.flip(self, sizes_of(dims))

    def split(self, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
        """See `minigrad.split`."""
        return shape.split(self, split_size, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """See `minigrad.chunk`."""
        return shape.chunk(self, chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """See `minigrad.unbind`."""
        return shape.unbind(self, dim)

    def gather(self, dim: int, index: Tensor) -> Tensor:
        """See `minigrad.gather`."""
        return gather(self, dim, index)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Pick whole slices along `dim` by a 1-D tensor of positions."""
        return index_select(self, dim, index)
