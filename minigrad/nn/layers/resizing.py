"""Pixels moved, images resized, blocks folded, distances: as modules."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from minigrad.engine.errors import ArgumentError
from minigrad.nn import functional, init
from minigrad.nn.layers.configured import REQUIRED, Configured
from minigrad.nn.layers.linear import blank
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.tensors.tensor import Tensor


@registered
class PixelShuffle(Configured):
    """Move channels to pixels: (N, C r^2, H, W) -> (N, C, H r, W r).

    >>> import minigrad as mg
    >>> PixelShuffle(2)(mg.ones(1, 8, 3, 3)).shape
    (1, 2, 6, 6)
    """

    function = "pixel_shuffle"
    options: ClassVar[dict[str, Any]] = {"upscale_factor": REQUIRED}
    shown = ("upscale_factor",)


@registered
class PixelUnshuffle(Configured):
    """Move pixels to channels: (N, C, H r, W r) -> (N, C r^2, H, W).

    >>> import minigrad as mg
    >>> PixelUnshuffle(2)(mg.ones(1, 2, 6, 6)).shape
    (1, 8, 3, 3)
    """

    function = "pixel_unshuffle"
    options: ClassVar[dict[str, Any]] = {"downscale_factor": REQUIRED}
    shown = ("downscale_factor",)


@registered
class ChannelShuffle(Configured):
    """Deal the channels of groups out in turns.

    >>> import minigrad as mg
    >>> ChannelShuffle(2)(mg.arange(4.0).reshape(1, 4, 1)).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """

    function = "channel_shuffle"
    options: ClassVar[dict[str, Any]] = {"groups": REQUIRED}
    shown = ("groups",)


@registered
class Fold(Configured):
    """Add up blocks that overlap: see `functional.fold`.

    >>> import minigrad as mg
    >>> Fold((3, 3), (2, 2))(mg.ones(1, 4, 4)).shape
    (1, 1, 3, 3)
    """

    function = "fold"
    options: ClassVar[dict[str, Any]] = {
        **{"output_size": REQUIRED, "kernel_size": REQUIRED},
        **{"dilation": 1, "padding": 0, "stride": 1},
    }
    shown = ("output_size", "kernel_size", "dilation", "padding", "stride")


@registered
class Unfold(Configured):
    """Return the windows of images as columns: see `functional.unfold`.

    >>> import minigrad as mg
    >>> Unfold((2, 2))(mg.ones(1, 1, 3, 3)).shape
    (1, 4, 4)
    """

    function = "unfold"
    options: ClassVar[dict[str, Any]] = {
        "kernel_size": REQUIRED,
        "dilation": 1,
        "padding": 0,
        "stride": 1,
    }
    shown = ("kernel_size", "dilation", "padding", "stride")


@registered
class Upsample(Module):
    """Resize signals, images or volumes: see `functional.interpolate`.

    size or scale_factor: what the spatial dimensions become, or are multiplied by.

    >>> import minigrad as mg
    >>> Upsample(scale_factor=2)(mg.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 6)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        many = isinstance(scale_factor, tuple | list)
        self.scale_factor: Any = None
        if scale_factor is not None:
            self.scale_factor = (
                tuple(float(f) for f in scale_factor) if many else float(scale_factor)
            )
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Any:
        how = self.size, self.scale_factor, self.mode, self.align_corners
        return functional.interpolate(input, *how, self.recompute_scale_factor)

    def extra_repr(self) -> str:
        by = self.scale_factor is not None
        size = f"scale_factor={self.scale_factor!r}" if by else f"size={self.size!r}"
        return f"{size}, mode={self.mode!r}"


@registered
class UpsamplingNearest2d(Upsample):
    """Resize images by their nearest pixels.

    >>> import minigrad as mg
    >>> UpsamplingNearest2d(scale_factor=2)(mg.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 6)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


@registered
class UpsamplingBilinear2d(Upsample):
    """Resize images linearly in both directions, corners kept.

    >>> import minigrad as mg
    >>> UpsamplingBilinear2d(scale_factor=2)(mg.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 6)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


# ---------------------------------------------------------------- two inputs
@registered
class CosineSimilarity(Configured):
    """The cosine of the angle between vectors along `dim`.

    >>> import minigrad as mg
    >>> CosineSimilarity()(mg.tensor([[3.0, 4.0]]), mg.tensor([[4.0, 3.0]]))
    tensor([0.9600])
    """

    function = "cosine_similarity"
    options: ClassVar[dict[str, Any]] = {"dim": 1, "eps": 1e-8}


@registered
class PairwiseDistance(Module):
    """The p-norm of the difference of vectors, `eps` added to each element.

    >>> import minigrad as mg
    >>> PairwiseDistance()(mg.zeros(1, 2), mg.tensor([[3.0, 4.0]]))
    tensor([5.0000])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Any:
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


@registered
class Bilinear(Module):
    """y_o = x1^T W_o x2 + b_o.

    Shape: (..., in1_features), (..., in2_features) -> (..., out_features); weight:
        (out_features, in1_features, in2_features).
    Both start in U(-l, l), l = 1 / sqrt(in1_features).

    >>> import minigrad as mg
    >>> Bilinear(3, 2, 4)(mg.ones(5, 3), mg.ones(5, 2)).shape
    (5, 4)
    """

    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ArgumentError(f"Bilinear: expected in1_features > 0, got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        place = {"device": device, "dtype": dtype}
        self.weight = blank(out_features, in1_features, in2_features, **place)
        self.register_parameter("bias", blank(out_features, **place) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Any:
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}"
        return f"{sizes}, out_features={self.out_features}, bias={self.bias is not None}"
