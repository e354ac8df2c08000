"""Flatten and Unflatten: shapes as modules, for Sequential."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentTypeError
from minigrad.nn.module import Module, registered
from minigrad.ops.common import axis_of
from minigrad.ops.shape import flatten, reshape
from minigrad.tensors.tensor import Tensor


@registered
class Flatten(Module):
    """Merge the dimensions from `start_dim` to `end_dim`; by default all but the batch.

    >>> import minigrad as mg
    >>> Flatten()(mg.ones(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


@registered
class Unflatten(Module):
    """Split dimension `dim` into several; one size may be -1.

    >>> import minigrad as mg
    >>> Unflatten(1, (3, 4))(mg.ones(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(unflattened_size, Sequence):
            raise ArgumentTypeError(
                f"Unflatten: expected unflattened_size as a tuple, got {unflattened_size!r}"
            )
        self.dim = dim
        self.unflattened_size = tuple(
            arguments.whole("Unflatten", "unflattened_size", n, -1) for n in unflattened_size
        )

    def forward(self, input: Tensor) -> Tensor:
        shape = input.array.shape
        axis = axis_of("Unflatten", self.dim, len(shape))
        return reshape(input, (*shape[:axis], *self.unflattened_size, *shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
