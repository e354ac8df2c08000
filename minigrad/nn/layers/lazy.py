"""Layers that take the sizes of their inputs from the first one."""

from __future__ import annotations

from typing import Any

from minigrad.engine.errors import ArgumentError
from minigrad.engine.grad_mode import no_grad
from minigrad.nn.layers.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    Convolution,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    TransposedConvolution,
)
from minigrad.nn.layers.groups import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from minigrad.nn.layers.linear import Linear
from minigrad.nn.layers.norm import BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import (
    Uninitialized,
    UninitializedBuffer,
    UninitializedParameter,
)
from minigrad.tensors.tensor import Tensor


class LazyModuleMixin(Module):
    """The base of lazy modules: before the first call `initialize_parameters` sees its arguments.

    cls_to_become: the class of the module from then on, None to stay what it is.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer = nn.LazyLinear(2)
    >>> layer(mg.ones(4, 3)).shape, layer
    ((4, 2), Linear(in_features=3, out_features=2, bias=True))
    """

    cls_to_become: Any = None

    def has_uninitialized_params(self) -> bool:
        """Return whether parameters or buffers have no shape yet."""
        own = [*self._own("parameter"), *self._own("buffer")]
        return any(isinstance(t, Uninitialized) for _, t in own)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give all parameters and buffers their shapes and values, from the first arguments."""
        raise NotImplementedError(
            f"{type(self).__name__} needs initialize_parameters(), which sets its parameters'"
            " shapes from the first input"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.initialize_parameters(*args, **kwargs)
        if self.has_uninitialized_params():
            raise RuntimeError(
                f"{type(self).__name__}: initialize_parameters() left parameters without a shape"
            )
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become
        return Module.__call__(self, *args, **kwargs)


@registered
class LazyLinear(LazyModuleMixin, Linear):
    """A `Linear` whose in_features are those of the first input.

    >>> import minigrad as mg
    >>> LazyLinear(2)(mg.ones(4, 3)).shape
    (4, 2)
    """

    cls_to_become = Linear
    weight: Any
    bias: Any

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, 0, False, device, dtype)
        self.out_features = out_features
        place = {"device": device, "dtype": dtype}
        self.weight = UninitializedParameter(**place)
        if bias:
            self.bias = UninitializedParameter(**place)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, where they have a shape."""
        if self.in_features and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take in_features from an input."""
        if self.has_uninitialized_params():
            with no_grad():
                self.in_features = input.shape[-1]
                self.weight.materialize((self.out_features, self.in_features))
                if isinstance(self.bias, Uninitialized):
                    self.bias.materialize((self.out_features,))
                Linear.reset_parameters(self)
        if not self.in_features:
            self.in_features = input.shape[-1]


class LazyConvolution(LazyModuleMixin, Convolution):
    """The base of the lazy convolutions."""

    weight: Any
    bias: Any

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        rest = stride, padding, dilation, groups, False, padding_mode, device, dtype
        super().__init__(groups, out_channels, kernel_size, *rest)
        self.in_channels = 0
        place = {"device": device, "dtype": dtype}
        self.weight = UninitializedParameter(**place)
        if bias:
            self.bias = UninitializedParameter(**place)

    def initialize_parameters(self, input: Tensor) -> None:
        """Take in_channels from an input."""
        if input.ndim not in (self.dims + 1, self.dims + 2):
            raise RuntimeError(
                f"{self._get_name()}: expected {self.dims + 1} or {self.dims + 2} dimensions, got"
                f" shape {input.shape}"
            )
        channels = input.shape[-self.dims - 1]
        if self.has_uninitialized_params():
            if channels % self.groups:
                raise ArgumentError(
                    f"{self._get_name()}: expected a multiple of groups={self.groups} channels,"
                    f" got {channels}"
                )
            with no_grad():
                self.weight.materialize(self.weight_shape(channels))
                if isinstance(self.bias, Uninitialized):
                    self.bias.materialize((self.out_channels,))
                self.in_channels = channels
                self.reset_parameters()
        self.in_channels = channels

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, where they have a shape."""
        if not self.has_uninitialized_params() and self.in_channels:
            super().reset_parameters()


@registered
class LazyConv1d(LazyConvolution):
    """A `Conv1d` whose in_channels are those of the first input.

    >>> import minigrad as mg
    >>> LazyConv1d(3, 5)(mg.ones(4, 2, 9)).shape
    (4, 3, 5)
    """

    dims = 1
    cls_to_become = Conv1d


@registered
class LazyConv2d(LazyConvolution):
    """A `Conv2d` whose in_channels are those of the first input.

    >>> import minigrad as mg
    >>> LazyConv2d(6, 5)(mg.ones(2, 1, 28, 28)).shape
    (2, 6, 24, 24)
    """

    dims = 2
    cls_to_become = Conv2d


@registered
class LazyConv3d(LazyConvolution):
    """A `Conv3d` whose in_channels are those of the first input.

    >>> import minigrad as mg
    >>> LazyConv3d(2, 3)(mg.ones(1, 1, 4, 5, 6)).shape
    (1, 2, 2, 3, 4)
    """

    dims = 3
    cls_to_become = Conv3d


class LazyTransposed(LazyConvolution, TransposedConvolution):
    """The base of the lazy transposed convolutions."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        rest = groups, False, dilation, padding_mode, device, dtype
        whole = stride, padding, output_padding, *rest
        TransposedConvolution.__init__(self, groups, out_channels, kernel_size, *whole)
        self.in_channels = 0
        place = {"device": device, "dtype": dtype}
        self.weight = UninitializedParameter(**place)
        if bias:
            self.bias = UninitializedParameter(**place)


@registered
class LazyConvTranspose1d(LazyTransposed):
    """A `ConvTranspose1d` whose in_channels are those of the first input.

    >>> import minigrad as mg
    >>> LazyConvTranspose1d(3, 4, stride=2)(mg.ones(1, 2, 5)).shape
    (1, 3, 12)
    """

    dims = 1
    cls_to_become = ConvTranspose1d


@registered
class LazyConvTranspose2d(LazyTransposed):
    """A `ConvTranspose2d` whose in_channels are those of the first input.

    >>> import minigrad as mg
    >>> LazyConvTranspose2d(3, 2, stride=2)(mg.ones(1, 2, 5, 5)).shape
    (1, 3, 10, 10)
    """

    dims = 2
    cls_to_become = ConvTranspose2d


@registered
class LazyConvTranspose3d(LazyTransposed):
    """A `ConvTranspose3d` whose in_channels are those of the first input.

    >>> import minigrad as mg
    >>> LazyConvTranspose3d(3, 2, stride=2)(mg.ones(1, 2, 2, 2, 2)).shape
    (1, 3, 4, 4, 4)
    """

    dims = 3
    cls_to_become = ConvTranspose3d


class LazyNorm(LazyModuleMixin, BatchNorm):
    """The base of the lazy normalisations."""

    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any
    dims = 0  # of one sample without its channels, where that may come alone
    usual = True  # whether weights and statistics are there by default

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool | None = None,
        track_running_stats: bool | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        affine = self.usual if affine is None else affine
        tracked = self.usual if track_running_stats is None else track_running_stats
        super().__init__(0, eps, momentum, False, tracked, device, dtype)
        self.affine = affine
        place = {"device": device, "dtype": dtype}
        if affine:
            self.weight = UninitializedParameter(**place)
            self.bias = UninitializedParameter(**place)
        if tracked:
            self.running_mean = UninitializedBuffer(**place)
            self.running_var = UninitializedBuffer(**place)

    def reset_parameters(self) -> None:
        """Reset what has a shape."""
        if not self.has_uninitialized_params() and self.num_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take num_features from an input."""
        single = self.dims and input.ndim == self.dims + 1
        features = input.shape[0 if single else 1]
        if self.has_uninitialized_params():
            for t in (self.weight, self.bias, self.running_mean, self.running_var):
                if isinstance(t, Uninitialized):
                    t.materialize((features,))
            self.num_features = features
            self.reset_parameters()
        self.num_features = features


@registered
class LazyBatchNorm1d(LazyNorm):
    """A `BatchNorm1d` whose num_features are those of the first input.

    >>> import minigrad as mg
    >>> LazyBatchNorm1d()(mg.ones(4, 3)).shape
    (4, 3)
    """

    ranks = (2, 3)
    cls_to_become = BatchNorm1d


@registered
class LazyBatchNorm2d(LazyNorm):
    """A `BatchNorm2d` whose num_features are those of the first input.

    >>> import minigrad as mg
    >>> LazyBatchNorm2d()(mg.ones(4, 3, 2, 2)).shape
    (4, 3, 2, 2)
    """

    ranks = (4,)
    cls_to_become = BatchNorm2d


@registered
class LazyBatchNorm3d(LazyNorm):
    """A `BatchNorm3d` whose num_features are those of the first input.

    >>> import minigrad as mg
    >>> LazyBatchNorm3d()(mg.ones(2, 3, 2, 2, 2)).shape
    (2, 3, 2, 2, 2)
    """

    ranks = (5,)
    cls_to_become = BatchNorm3d


class LazyInstanceNorm(LazyNorm):
    """The base of the lazy instance normalisations."""

    usual = False


@registered
class LazyInstanceNorm1d(LazyInstanceNorm):
    """An `InstanceNorm1d` whose num_features are those of the first input.

    >>> import minigrad as mg
    >>> LazyInstanceNorm1d(affine=True)(mg.ones(1, 2, 3)).shape
    (1, 2, 3)
    """

    dims = 1
    cls_to_become = InstanceNorm1d


@registered
class LazyInstanceNorm2d(LazyInstanceNorm):
    """An `InstanceNorm2d` whose num_features are those of the first input.

    >>> import minigrad as mg
    >>> LazyInstanceNorm2d(affine=True)(mg.ones(1, 2, 3, 3)).shape
    (1, 2, 3, 3)
    """

    dims = 2
    cls_to_become = InstanceNorm2d


@registered
class LazyInstanceNorm3d(LazyInstanceNorm):
    """An `InstanceNorm3d` whose num_features are those of the first input.

    >>> import minigrad as mg
    >>> LazyInstanceNorm3d(affine=True)(mg.ones(1, 2, 3, 3, 3)).shape
    (1, 2, 3, 3, 3)
    """

    dims = 3
    cls_to_become = InstanceNorm3d
