"""Parameter: a tensor that a Module finds when it is assigned to an attribute.

Parameters and buffers of lazy modules have no shape until the first input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.device import Device, device_of, moved
from minigrad.engine.dtypes import numpy_dtype
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


# ---------------------------------------------------------------- not there yet
class Uninitialized(Tensor):
    """The base of parameters and buffers of which dtype and device are known, but no shape."""

    becomes: Any = Tensor

    @property
    def shape(self) -> Any:
        """Refuse: there is no shape before the first input."""
        raise RuntimeError(
            f"{type(self).__name__}: its shape is not known yet; call the module on an input"
            " first, which sets it (LazyLinear and its like)"
        )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary tensor of a shape, its values not set."""
        wanted = self.array.dtype if dtype is None else numpy_dtype(dtype)
        place = device_of(self.array) if device is None else Device(device)
        self.array = moved(np.empty(tuple(shape), wanted), place)
        self.__class__ = self.becomes

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(Uninitialized, Parameter):
    """A parameter of a lazy module before its first input.

    >>> p = UninitializedParameter()
    >>> p.materialize((2, 3))
    >>> p.shape
    (2, 3)
    """

    becomes = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        kind = np.dtype(np.float32) if dtype is None else numpy_dtype(dtype)
        made: Any = moved(np.empty(0, kind), Device() if device is None else Device(device))
        super().__init__(Tensor(made), requires_grad)


class UninitializedBuffer(Uninitialized):
    """A buffer of a lazy module before its first input."""

    becomes = Tensor

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: Any = None) -> None:
        kind = np.dtype(np.float32) if dtype is None else numpy_dtype(dtype)
        made: Any = moved(np.empty(0, kind), Device() if device is None else Device(device))
        super().__init__(made, requires_grad)
