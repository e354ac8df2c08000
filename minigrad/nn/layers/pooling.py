"""Pooling as modules."""

from __future__ import annotations

from typing import Any

from minigrad.nn.functional.conv import (
    Sizes,
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from minigrad.nn.module import Module, registered
from minigrad.ops.conv import several
from minigrad.tensors.tensor import Tensor


class MaxPool(Module):
    """The base of MaxPool1d and MaxPool2d."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def how(self) -> tuple[Any, ...]:
        """Return the arguments of the function."""
        sizes = self.kernel_size, self.stride, self.padding, self.dilation
        return *sizes, self.ceil_mode, self.return_indices

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


@registered
class MaxPool1d(MaxPool):
    """Return the largest element of each window of a signal; see `functional.max_pool1d`.

    >>> import minigrad as mg
    >>> MaxPool1d(2)(mg.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    def forward(self, input: Tensor) -> Any:
        return max_pool1d(input, *self.how())


@registered
class MaxPool2d(MaxPool):
    """Return the largest element of each window of an image; see `functional.max_pool2d`.

    >>> import minigrad as mg
    >>> MaxPool2d(2)(mg.ones(4, 6, 28, 28)).shape
    (4, 6, 14, 14)
    """

    def forward(self, input: Tensor) -> Any:
        return max_pool2d(input, *self.how())


@registered
class AvgPool1d(Module):
    """Return the mean of each window of a signal; see `functional.avg_pool1d`.

    >>> import minigrad as mg
    >>> AvgPool1d(2)(mg.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        name = "AvgPool1d"
        self.kernel_size = several(name, "kernel_size", kernel_size, 1, 1)
        step = self.kernel_size if stride is None else stride
        self.stride = several(name, "stride", step, 1, 1)
        self.padding = several(name, "padding", padding, 1, 0)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        modes = self.ceil_mode, self.count_include_pad
        return avg_pool1d(input, self.kernel_size, self.stride, self.padding, *modes)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


@registered
class AvgPool2d(Module):
    """Return the mean of each window of an image; see `functional.avg_pool2d`.

    >>> import minigrad as mg
    >>> AvgPool2d(2)(mg.ones(4, 6, 28, 28)).shape
    (4, 6, 14, 14)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        modes = self.ceil_mode, self.count_include_pad, self.divisor_override
        return avg_pool2d(input, self.kernel_size, self.stride, self.padding, *modes)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class Adaptive(Module):
    """The base of the adaptive poolings."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMax(Adaptive):
    """The base of the adaptive maxima."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


@registered
class AdaptiveAvgPool1d(Adaptive):
    """Return the means of `output_size` windows that cover a signal evenly.

    >>> import minigrad as mg
    >>> AdaptiveAvgPool1d(1)(mg.tensor([[1.0, 2.0, 6.0]]))
    tensor([[3.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool1d(input, self.output_size)


@registered
class AdaptiveAvgPool2d(Adaptive):
    """Return the means of windows that cover an image evenly; None keeps a size.

    >>> import minigrad as mg
    >>> AdaptiveAvgPool2d((1, None))(mg.ones(2, 3, 5, 7)).shape
    (2, 3, 1, 7)
    """

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool2d(input, self.output_size)


@registered
class AdaptiveMaxPool1d(AdaptiveMax):
    """Return the maxima of `output_size` windows that cover a signal evenly.

    >>> import minigrad as mg
    >>> AdaptiveMaxPool1d(1)(mg.tensor([[1.0, 2.0, 6.0]]))
    tensor([[6.]])
    """

    def forward(self, input: Tensor) -> Any:
        return adaptive_max_pool1d(input, self.output_size, self.return_indices)


@registered
class AdaptiveMaxPool2d(AdaptiveMax):
    """Return the maxima of windows that cover an image evenly; None keeps a size.

    >>> import minigrad as mg
    >>> AdaptiveMaxPool2d(2)(mg.ones(2, 3, 5, 7)).shape
    (2, 3, 2, 2)
    """

    def forward(self, input: Tensor) -> Any:
        return adaptive_max_pool2d(input, self.output_size, self.return_indices)
