"""Linear and Identity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import Device, moved
from minigrad.engine.dtypes import numpy_dtype
from minigrad.engine.errors import ArgumentError
from minigrad.engine.values import default_dtype
from minigrad.nn import init
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.ops.linalg import linear
from minigrad.tensors.tensor import Tensor, new


def blank(*shape: int, dtype: Any = None, device: Any = None) -> Parameter:
    """Return a parameter that is not set yet, of the default dtype, on the CPU, unless told."""
    return Parameter(new(blank_array(shape, dtype, device)))


def blank_array(shape: tuple[int, ...], dtype: Any = None, device: Any = None) -> Any:
    """Return an array that is not set yet, of the default dtype, on the CPU, unless told."""
    made = np.empty(shape, numpy_dtype(default_dtype() if dtype is None else dtype))
    return made if device is None else moved(made, Device(device))


@registered
class Linear(Module):
    """y = x W^T + b.

    Shape: (..., in_features) -> (..., out_features); weight: (out_features, in_features).
    bias: leave it out before a BatchNorm, which subtracts it again.
    Both start in U(-l, l), l = 1 / sqrt(in_features).

    >>> import minigrad as mg
    >>> Linear(3, 2)(mg.ones(4, 3)).shape
    (4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        in_features = arguments.whole("Linear", "in_features", in_features)
        out_features = arguments.whole("Linear", "out_features", out_features)
        for name, n in (("in_features", in_features), ("out_features", out_features)):
            if n < 0:
                raise ArgumentError(f"Linear: {name} must not be negative, got {n}")
        self.in_features = in_features
        self.out_features = out_features
        place = {"device": device, "dtype": dtype}
        self.weight = blank(out_features, in_features, **place)
        self.register_parameter("bias", blank(out_features, **place) if bias else None)
        self.reset_parameters()

    bias: Parameter | None

    def reset_parameters(self) -> None:
        """Draw the initial weight and bias anew."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


@registered
class Identity(Module):
    """Return the input; takes and ignores any arguments, to stand in for another module.

    >>> Identity()(3)
    3
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input
