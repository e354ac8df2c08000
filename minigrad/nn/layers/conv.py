"""Convolutions, and transposed ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError
from minigrad.nn import functional, init
from minigrad.nn.functional.conv import Sizes, conv1d, conv2d
from minigrad.nn.functional.padding import pad
from minigrad.nn.layers.linear import blank
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.ops.conv import margins, several
from minigrad.tensors.tensor import Tensor

MODES = ("zeros", "reflect", "replicate", "circular")


class Convolution(Module):
    """The base of the convolutions."""

    dims = 0
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: str | Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name, dims = self._get_name(), self.dims
        in_channels = arguments.whole(name, "in_channels", in_channels)
        out_channels = arguments.whole(name, "out_channels", out_channels)
        groups = arguments.whole(name, "groups", groups)
        for label, n in (("in_channels", in_channels), ("out_channels", out_channels)):
            if groups < 1 or n < 1 or n % groups:
                raise ArgumentError(
                    f"{name}: {label} must be a positive multiple of groups, got {label}={n}, "
                    f"groups={groups}"
                )
        if padding_mode not in MODES:
            raise ArgumentError(
                f"{name}: padding_mode must be one of {MODES}, got {padding_mode!r}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = several(name, "kernel_size", kernel_size, dims, 1)
        self.stride = several(name, "stride", stride, dims, 1)
        self.dilation = several(name, "dilation", dilation, dims, 1)
        self._ends = margins(name, padding, self.kernel_size, self.stride, self.dilation)
        whole = isinstance(padding, str)
        self.padding = padding if whole else tuple(before for before, _ in self._ends)
        self.groups = groups
        self.padding_mode = padding_mode
        place = {"device": device, "dtype": dtype}
        self.weight = blank(*self.weight_shape(in_channels), **place)
        self.register_parameter("bias", blank(out_channels, **place) if bias else None)
        self.reset_parameters()

    def weight_shape(self, in_channels: int) -> tuple[int, ...]:
        """Return the shape of the weight for so many channels of the input."""
        return self.out_channels, in_channels // self.groups, *self.kernel_size

    def reset_parameters(self) -> None:
        """Draw the initial weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight[0].numel())
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            ends = [n for pair in reversed(self._ends) for n in pair]
            input = pad(input, ends, mode=self.padding_mode)
            padding = 0
        convolve = (conv1d, conv2d, functional.conv3d)[self.dims - 1]
        how = self.stride, padding, self.dilation, self.groups
        return convolve(input, self.weight, self.bias, *how)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        none: Sequence[int] = (0,) * self.dims
        if self.padding != none:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.dims:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


@registered
class Conv1d(Convolution):
    """Slide learnt kernels over signals; see `functional.conv1d`.

    padding_mode: what stands beyond the ends: "zeros", "reflect", "replicate" or "circular".
    Shape: (N, in_channels, L) -> (N, out_channels, L'), both also without N; weight:
        (out_channels, in_channels / groups, kernel_size).
    Weight and bias start in U(-l, l), l = 1 / sqrt(in_channels / groups * kernel_size).

    >>> import minigrad as mg
    >>> Conv1d(2, 3, 5, padding="same")(mg.ones(4, 2, 9)).shape
    (4, 3, 9)
    """

    dims = 1


@registered
class Conv2d(Convolution):
    """Slide learnt kernels over images; see `functional.conv2d`.

    Sizes are one int or (rows, columns); everything else is as in `Conv1d`.
    Shape: (N, in_channels, H, W) -> (N, out_channels, H', W'), both also without N.

    >>> import minigrad as mg
    >>> Conv2d(1, 6, 5, padding=2)(mg.ones(2, 1, 28, 28)).shape
    (2, 6, 28, 28)
    """

    dims = 2


@registered
class Conv3d(Convolution):
    """Slide learnt kernels over volumes; see `functional.conv3d`.

    Shape: (N, in_channels, D, H, W) -> (N, out_channels, D', H', W'), both also without N.

    >>> import minigrad as mg
    >>> Conv3d(1, 2, 3)(mg.ones(1, 1, 4, 5, 6)).shape
    (1, 2, 2, 3, 4)
    """

    dims = 3


class TransposedConvolution(Convolution):
    """The base of the transposed convolutions: the gradients of convolutions, as layers."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(
                f"{self._get_name()}: padding_mode must be 'zeros', got {padding_mode!r}"
            )
        rest = stride, padding, dilation, groups, bias, padding_mode, device, dtype
        super().__init__(in_channels, out_channels, kernel_size, *rest)
        self.output_padding = several(
            self._get_name(), "output_padding", output_padding, self.dims, 0
        )

    def weight_shape(self, in_channels: int) -> tuple[int, ...]:
        """Return the shape of the weight for so many channels of the input."""
        return in_channels, self.out_channels // self.groups, *self.kernel_size

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Any:
        """Return the layer's output; output_size: of its spatial dimensions, where several fit."""
        padding = self.output_padding
        if output_size is not None:
            padding = self.padding_for(input, output_size)
        convolve = getattr(functional, f"conv_transpose{self.dims}d")
        how = self.stride, self.padding, padding, self.groups, self.dilation
        return convolve(input, self.weight, self.bias, *how)

    def padding_for(self, input: Tensor, wanted: Sequence[int]) -> tuple[int, ...]:
        """Return the output padding that leads to a size."""
        given = tuple(wanted)[-self.dims :]
        padding: Any = self.padding
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[-self.dims :],
                self.stride,
                padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        found = tuple(n - low for n, low in zip(given, least, strict=True))
        if any(not 0 <= n < s for n, s in zip(found, self.stride, strict=True)):
            most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
            raise ArgumentError(
                f"{self._get_name()}: expected output_size between {least} and {most}, got {given}"
            )
        return found

    def extra_repr(self) -> str:
        text = super().extra_repr()
        if self.output_padding == (0,) * self.dims:
            return text
        before, mark, after = text.partition(", groups=")
        if not mark:
            before, mark, after = text.partition(", bias=")
        return f"{before}, output_padding={self.output_padding}{mark}{after}"


@registered
class ConvTranspose1d(TransposedConvolution):
    """The gradient of a convolution of signals, as a layer; see `functional.conv_transpose1d`.

    Shape: (N, in_channels, L) -> (N, out_channels, L'), both also without N; weight:
        (in_channels, out_channels / groups, kernel_size).

    >>> import minigrad as mg
    >>> ConvTranspose1d(2, 3, 4, stride=2)(mg.ones(1, 2, 5)).shape
    (1, 3, 12)
    """

    dims = 1


@registered
class ConvTranspose2d(TransposedConvolution):
    """The gradient of a convolution of images, as a layer; see `ConvTranspose1d`.

    >>> import minigrad as mg
    >>> ConvTranspose2d(2, 3, 2, stride=2)(mg.ones(1, 2, 5, 5)).shape
    (1, 3, 10, 10)
    """

    dims = 2


@registered
class ConvTranspose3d(TransposedConvolution):
    """The gradient of a convolution of volumes, as a layer; see `ConvTranspose1d`.

    >>> import minigrad as mg
    >>> ConvTranspose3d(2, 3, 2, stride=2)(mg.ones(1, 2, 2, 2, 2)).shape
    (1, 3, 4, 4, 4)
    """

    dims = 3
