"""Parameter: a tensor that a Module finds when it is assigned to an attribute."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.op import cell_of
from minigrad.tensors import copies
from minigrad.tensors.tensor import Tensor


class Parameter(Tensor):
    """A tensor to be learned; it shares the memory of what it is made of.

    data: a tensor or an array.  requires_grad: False freezes it.

    >>> import minigrad as mg
    >>> Parameter(mg.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if not isinstance(data, (Tensor, np.ndarray)):
            raise TypeError(
                f"Parameter: expected a tensor or an array, got {type(data).__name__};"
                " write Parameter(minigrad.tensor(...))"
            )
        super().__init__(data, requires_grad)
        if isinstance(data, Tensor):
            self.cell = cell_of(data)  # a leaf of its own: only the version is shared

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """Copy memory and attributes; as in PyTorch the copy starts without a gradient."""
        made: Parameter = copies.deep(self, memo, gradient=False)
        return made
