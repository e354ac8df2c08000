"""Normalisations of groups, instances, neighbours, and by the root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError
from minigrad.nn import functional, init
from minigrad.nn.layers.configured import REQUIRED, Configured
from minigrad.nn.layers.linear import blank
from minigrad.nn.layers.norm import BatchNorm
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.tensors.tensor import Tensor


@registered
class GroupNorm(Module):
    """Normalise each group of channels of each sample; see `functional.group_norm`.

    Shape: (N, num_channels, ...), the same out; weight, bias: (num_channels,).
    Source: Wu and He, "Group normalization" (2018).

    >>> import minigrad as mg
    >>> GroupNorm(1, 2)(mg.tensor([[1.0, 3.0]])).tolist()[0][0] < -0.99
    True
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        arguments.whole("GroupNorm", "num_groups", num_groups, 1)
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: num_channels {num_channels} is no multiple of num_groups {num_groups}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        place = {"device": device, "dtype": dtype}
        shifted = affine and bias
        self.register_parameter("weight", blank(num_channels, **place) if affine else None)
        self.register_parameter("bias", blank(num_channels, **place) if shifted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Any:
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        sizes = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{sizes}, bias={self.bias is not None}"


class InstanceNorm(BatchNorm):
    """The base of the instance normalisations: each channel of each sample by itself."""

    dims = 0

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        how = eps, momentum, affine, track_running_stats
        super().__init__(num_features, *how, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Any:
        if input.ndim not in (self.dims + 1, self.dims + 2):
            raise ArgumentError(
                f"{self._get_name()}: expected {self.dims + 1} or {self.dims + 2} dimensions, got"
                f" shape {input.shape}"
            )
        single = input.ndim == self.dims + 1
        channels = input.shape[0 if single else 1]
        if channels != self.num_features and (self.affine or self.running_mean is not None):
            raise ArgumentError(
                f"{self._get_name()}: expected {self.num_features} channels, got {channels} in an"
                f" input of shape {input.shape}"
            )
        x = input.unsqueeze(0) if single else input
        own = self.training or self.running_mean is None
        statistics = self.running_mean, self.running_var
        how: tuple[Any, ...] = (own, self.momentum or 0.0, self.eps)
        y = functional.instance_norm(x, *statistics, self.weight, self.bias, *how)
        return y.squeeze(0) if single else y


@registered
class InstanceNorm1d(InstanceNorm):
    """Normalise each channel of each signal by itself; see `functional.instance_norm`.

    Shape: (N, C, L) or (C, L), the same out.
    Source: Ulyanov et al., "Instance normalization" (2016).

    >>> import minigrad as mg
    >>> InstanceNorm1d(2)(mg.ones(1, 2, 3)).shape
    (1, 2, 3)
    """

    dims = 1


@registered
class InstanceNorm2d(InstanceNorm):
    """Normalise each channel of each image by itself; see `InstanceNorm1d`.

    >>> import minigrad as mg
    >>> InstanceNorm2d(2)(mg.ones(1, 2, 3, 3)).shape
    (1, 2, 3, 3)
    """

    dims = 2


@registered
class InstanceNorm3d(InstanceNorm):
    """Normalise each channel of each volume by itself; see `InstanceNorm1d`.

    >>> import minigrad as mg
    >>> InstanceNorm3d(2)(mg.ones(1, 2, 3, 3, 3)).shape
    (1, 2, 3, 3, 3)
    """

    dims = 3


@registered
class RMSNorm(Module):
    """Divide each sample by the root of its mean square; see `functional.rms_norm`.

    Shape: (..., *normalized_shape), the same out.
    Source: Zhang and Sennrich, "Root mean square layer normalization" (2019).

    >>> import minigrad as mg
    >>> RMSNorm(2)(mg.tensor([3.0, 3.0])).tolist()
    [1.0, 1.0]
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        given = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        shape = tuple(arguments.whole("RMSNorm", "normalized_shape", n, 0) for n in given)
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made = blank(*shape, device=device, dtype=dtype) if elementwise_affine else None
        self.register_parameter("weight", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Any:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


@registered
class LocalResponseNorm(Configured):
    """Divide by a power of the squares of neighbouring channels; see
    `functional.local_response_norm`.

    >>> import minigrad as mg
    >>> LocalResponseNorm(2)(mg.ones(1, 4, 3)).shape
    (1, 4, 3)
    """

    function = "local_response_norm"
    options: ClassVar[dict[str, Any]] = {"size": REQUIRED, "alpha": 1e-4, "beta": 0.75, "k": 1.0}

    size: int

    def extra_repr(self) -> str:
        rest = ", ".join(f"{name}={getattr(self, name)}" for name in ("alpha", "beta", "k"))
        return f"{self.size}, {rest}"
