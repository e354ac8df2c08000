"""Pooling of volumes, by other norms, and undone: as modules."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.engine.errors import ArgumentError
from minigrad.nn import functional
from minigrad.nn.layers.configured import REQUIRED, Configured
from minigrad.nn.layers.pooling import Adaptive, AdaptiveMax, MaxPool
from minigrad.nn.module import Module, registered
from minigrad.ops.conv import several
from minigrad.tensors.tensor import Tensor


@registered
class MaxPool3d(MaxPool):
    """Return the largest element of each window of a volume; see `functional.max_pool3d`.

    >>> import minigrad as mg
    >>> MaxPool3d(2)(mg.ones(1, 2, 4, 4, 4)).shape
    (1, 2, 2, 2, 2)
    """

    def forward(self, input: Tensor) -> Any:
        return functional.max_pool3d(input, *self.how())


@registered
class AvgPool3d(Configured):
    """Return the mean of each window of a volume; see `functional.avg_pool3d`.

    >>> import minigrad as mg
    >>> AvgPool3d(2)(mg.ones(1, 2, 4, 4, 4)).shape
    (1, 2, 2, 2, 2)
    """

    function = "avg_pool3d"
    options: ClassVar[dict[str, Any]] = {
        **{"kernel_size": REQUIRED, "stride": None, "padding": 0, "ceil_mode": False},
        **{"count_include_pad": True, "divisor_override": None},
    }
    shown = ("kernel_size", "stride", "padding")

    def check(self) -> None:
        """Take the window for the step where there is none."""
        if getattr(self, "stride", None) is None:
            self.stride = self.kernel_size

    kernel_size: Any


@registered
class AdaptiveAvgPool3d(Adaptive):
    """Return the means of windows that cover a volume evenly; None keeps a size.

    >>> import minigrad as mg
    >>> AdaptiveAvgPool3d((1, 2, None))(mg.ones(1, 2, 4, 4, 5)).shape
    (1, 2, 1, 2, 5)
    """

    def forward(self, input: Tensor) -> Any:
        return functional.adaptive_avg_pool3d(input, self.output_size)


@registered
class AdaptiveMaxPool3d(AdaptiveMax):
    """Return the maxima of windows that cover a volume evenly; None keeps a size.

    >>> import minigrad as mg
    >>> AdaptiveMaxPool3d(2)(mg.ones(1, 2, 4, 4, 5)).shape
    (1, 2, 2, 2, 2)
    """

    def forward(self, input: Tensor) -> Any:
        return functional.adaptive_max_pool3d(input, self.output_size, self.return_indices)


@registered
class LPPool1d(Configured):
    """Return the p-norm of each window of a signal; see `functional.lp_pool1d`.

    >>> import minigrad as mg
    >>> LPPool1d(2, 2)(mg.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """

    function = "lp_pool1d"
    options: ClassVar[dict[str, Any]] = {
        "norm_type": REQUIRED,
        "kernel_size": REQUIRED,
        "stride": None,
        "ceil_mode": False,
    }
    shown = ("norm_type", "kernel_size", "stride", "ceil_mode")


@registered
class LPPool2d(LPPool1d):
    """Return the p-norm of each window of an image; see `functional.lp_pool2d`.

    >>> import minigrad as mg
    >>> LPPool2d(2, 2)(mg.ones(1, 1, 2, 2)).item()
    2.0
    """

    function = "lp_pool2d"


@registered
class LPPool3d(LPPool1d):
    """Return the p-norm of each window of a volume; see `functional.lp_pool3d`.

    >>> import minigrad as mg
    >>> LPPool3d(1, 2)(mg.ones(1, 1, 2, 2, 2)).item()
    8.0
    """

    function = "lp_pool3d"


class MaxUnpool(Module):
    """The base of what undoes max-pooling: maxima go back to their places, all else is 0."""

    dims = 0

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        name, dims = self._get_name(), self.dims
        self.kernel_size = several(name, "kernel_size", kernel_size, dims, 1)
        step = self.kernel_size if stride is None else stride
        self.stride = several(name, "stride", step, dims, 1)
        self.padding = several(name, "padding", padding, dims, 0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        function = getattr(functional, f"max_unpool{self.dims}d")
        how = self.kernel_size, self.stride, self.padding
        return function(input, indices, *how, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


@registered
class MaxUnpool1d(MaxUnpool):
    """Put maxima back to where `MaxPool1d(..., return_indices=True)` found them.

    >>> import minigrad as mg
    >>> MaxUnpool1d(2)(mg.tensor([[[3.0]]]), mg.tensor([[[1]]]))
    tensor([[[0., 3.]]])
    """

    dims = 1


@registered
class MaxUnpool2d(MaxUnpool):
    """Put maxima back to where `MaxPool2d(..., return_indices=True)` found them.

    >>> import minigrad as mg
    >>> MaxUnpool2d(2)(mg.ones(1, 1, 1, 1), mg.tensor([[[[3]]]])).tolist()
    [[[[0.0, 0.0], [0.0, 1.0]]]]
    """

    dims = 2


@registered
class MaxUnpool3d(MaxUnpool):
    """Put maxima back to where `MaxPool3d(..., return_indices=True)` found them.

    >>> import minigrad as mg
    >>> MaxUnpool3d(2)(mg.ones(1, 1, 1, 1, 1), mg.tensor([[[[[3]]]]])).sum().item()
    1.0
    """

    dims = 3


class FractionalMaxPool(Module):
    """The base of max-pooling at random steps."""

    dims = 0

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        name, dims = self._get_name(), self.dims
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(f"{name}: expected output_size or output_ratio, one of the two")
        self.kernel_size = several(name, "kernel_size", kernel_size, dims, 1)
        self.return_indices = return_indices
        self._random_samples: Any
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None
        if output_size is not None:
            self.output_size = several(name, "output_size", output_size, dims, 1)
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
        self.output_ratio = None if output_ratio is None else tuple(ratios)
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ArgumentError(f"{name}: output_ratio must lie in (0, 1), got {output_ratio}")

    def forward(self, input: Tensor) -> Any:
        function = getattr(functional, f"fractional_max_pool{self.dims}d")
        how = self.kernel_size, self.output_size, self.output_ratio, self.return_indices
        return function(input, *how, self._random_samples)


@registered
class FractionalMaxPool2d(FractionalMaxPool):
    """Return the largest elements of windows at random steps; see
    `functional.fractional_max_pool2d`.

    >>> import minigrad as mg
    >>> FractionalMaxPool2d(2, output_ratio=0.5)(mg.ones(1, 2, 8, 8)).shape
    (1, 2, 4, 4)
    """

    dims = 2


@registered
class FractionalMaxPool3d(FractionalMaxPool):
    """Return the largest elements of windows of a volume at random steps; see
    `functional.fractional_max_pool3d`.

    >>> import minigrad as mg
    >>> FractionalMaxPool3d(2, output_size=3)(mg.ones(1, 2, 8, 8, 8)).shape
    (1, 2, 3, 3, 3)
    """

    dims = 3
