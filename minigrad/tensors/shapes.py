"""Size: the shape of a tensor, a tuple that counts elements."""

from __future__ import annotations

import math
from typing import Any

from minigrad.engine.dtypes import DType


class Size(tuple[int, ...]):
    """The sizes of a tensor: a tuple, and parts and sums of it are sizes again.

    `Tensor.shape` is a plain tuple, which is quicker; with `minigrad.as_torch` it is a Size.

    >>> Size((2, 3)), Size((2, 3)).numel(), Size((2, 3, 4))[1:].numel()
    ((2, 3), 6, 12)
    """

    __slots__ = ()

    def numel(self) -> int:
        """Return the number of elements of a tensor of this shape."""
        return math.prod(self)

    def __getitem__(self, i: Any) -> Any:
        found = tuple.__getitem__(self, i)
        return Size(found) if i.__class__ is slice else found

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Any:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, times: Any) -> Any:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        own = tuple.__repr__(self)
        if DType.package == "minigrad":
            return own
        return f"{DType.package}.Size([{', '.join(map(repr, tuple(self)))}])"
