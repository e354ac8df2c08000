"""Batch and layer normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.distributed.group import world_size
from minigrad.distributed.sync_norm import sync_batch_norm
from minigrad.engine import arguments
from minigrad.engine.device import kept_constant
from minigrad.engine.dispatch import launch
from minigrad.engine.errors import ArgumentError
from minigrad.engine.overwrite import check_writable
from minigrad.engine.sharding import now
from minigrad.nn import init
from minigrad.nn.functional.layers import batch_norm, layer_norm
from minigrad.nn.layers.linear import blank, blank_array
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.tensors.tensor import Tensor, new

ONE = np.ones((), np.int64)
ONE.flags.writeable = False  # so that a GPU's copy is known by it


class BatchNorm(Module):
    """The base of the batch normalisations, which differ in the inputs they take."""

    ranks: tuple[int, ...] = ()
    expected = ""
    synchronised = False  # whether statistics are always those of all processes' rows
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name = self._get_name()
        num_features = arguments.whole(name, "num_features", num_features, 0)
        eps = arguments.number(name, "eps", eps)
        if momentum is not None:
            momentum = arguments.number(name, "momentum", momentum)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ArgumentError(
                f"{self._get_name()}: momentum must lie in [0, 1] or be None, got {momentum}"
            )
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        n, tracked = num_features, track_running_stats
        place = {"device": device, "dtype": dtype}
        self.register_parameter("weight", blank(n, **place) if affine else None)
        self.register_parameter("bias", blank(n, **place) if affine and bias else None)
        for name, shape, kind in (
            ("running_mean", (n,), dtype),
            ("running_var", (n,), dtype),
            ("num_batches_tracked", (), np.int64),
        ):
            made = new(blank_array(shape, kind, device)) if tracked else None
            self.register_buffer(name, made)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget all batches: mean 0, variance 1."""
        if self.running_mean is not None and self.running_var is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
        if self.num_batches_tracked is not None:
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Set the weight to 1, the bias to 0, and forget all batches."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return self.normalise(input, batch_norm)

    def normalise(self, input: Tensor, function: Callable[..., Tensor]) -> Tensor:
        """Call `function`, batch_norm or a fused op that begins with it, and count the batch."""
        shape = input.array.shape
        if len(shape) not in self.ranks or shape[1] != self.num_features:
            raise ArgumentError(
                f"{self._get_name()}: expected an input of shape {self.expected} with C = "
                f"{self.num_features},"
                f" got {shape}"
            )
        mean, var = self.running_mean, self.running_var
        if not self.training:
            whole = mean is None or var is None
            return function(input, mean, var, self.weight, self.bias, whole, 0.0, self.eps)
        if now.synchronised or (self.synchronised and world_size() > 1):
            function = sync_batch_norm
        momentum = self.momentum
        count = self.num_batches_tracked
        if count is None:
            return function(
                input, mean, var, self.weight, self.bias, True, momentum or 0.0, self.eps
            )
        if momentum is None:
            momentum = 1 / (int(count.array.item()) + 1)
        if not count.array.flags.writeable or not count.array.flags.forc:
            check_writable(count.array, f"{self._get_name()}: num_batches_tracked")
        y = function(input, mean, var, self.weight, self.bias, True, momentum, self.eps)
        launch(
            "add", count.array, kept_constant(ONE, count.array), count.array
        )  # after the batch was accepted
        count.bump_version("by batch_norm")
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine},"
            f" bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


@registered
class BatchNorm1d(BatchNorm):
    """Normalise every feature over the batch: (x - mean) / sqrt(var + eps) * weight + bias.

    In training the statistics are the batch's (biased variance), and the running ones move towards
    them (unbiased variance) by `momentum`, or are the average of all batches if it is None.  In
    evaluation they are the running ones, or the batch's with `track_running_stats=False`.
    Shape: (N, C) or (N, C, L), the same out.
    Raises: ValueError for one value a channel where the batch's statistics are used.
    Source: Ioffe and Szegedy, "Batch normalization" (ICML 2015).

    >>> import minigrad as mg
    >>> BatchNorm1d(2)(mg.tensor([[1.0, 5.0], [3.0, 9.0]]))
    tensor([[-1.0000, -1.0000],
            [ 1.0000,  1.0000]], grad_fn=<BatchNorm>)
    """

    ranks = (2, 3)
    expected = "(N, C) or (N, C, L)"


@registered
class BatchNorm2d(BatchNorm):
    """Normalise every channel of images over batch and pixels; see `BatchNorm1d`.

    Shape: (N, C, H, W), the same out.

    >>> import minigrad as mg
    >>> BatchNorm2d(3)(mg.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    ranks = (4,)
    expected = "(N, C, H, W)"


@registered
class BatchNorm3d(BatchNorm):
    """Normalise every channel of volumes over batch and space; see `BatchNorm1d`.

    Shape: (N, C, D, H, W), the same out.

    >>> import minigrad as mg
    >>> BatchNorm3d(3)(mg.ones(2, 3, 2, 2, 2)).shape
    (2, 3, 2, 2, 2)
    """

    ranks = (5,)
    expected = "(N, C, D, H, W)"


@registered
class SyncBatchNorm(BatchNorm):
    """Normalise every channel over the batches of all processes; see `BatchNorm1d`.

    Processes may have different numbers of rows.  Alone it is batch normalisation; and so it is in
    evaluation.  `distributed.DataParallel` and the Trainer synchronise plain ones too.
    Shape: (N, C, ...), the same out.
    Source: PyTorch's `SyncBatchNorm`.

    >>> import minigrad as mg
    >>> SyncBatchNorm(2)(mg.tensor([[1.0, 5.0], [3.0, 9.0]]))
    tensor([[-1.0000, -1.0000],
            [ 1.0000,  1.0000]], grad_fn=<BatchNorm>)
    """

    ranks = (2, 3, 4, 5)
    expected = "(N, C, ...)"
    synchronised = True

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """Return the module with its batch norms replaced by synchronised ones, which take over
        their parameters and buffers.

        process_group: PyTorch's; all processes take part.

        >>> import minigrad as mg
        >>> model = mg.nn.Sequential(mg.nn.Linear(3, 2), mg.nn.BatchNorm1d(2))
        >>> type(SyncBatchNorm.convert_sync_batchnorm(model)[1]).__name__
        'SyncBatchNorm'
        """
        if isinstance(module, BatchNorm) and not isinstance(module, SyncBatchNorm):
            made = cls.__new__(cls)
            made.__dict__.update(module.__dict__)
            return made
        for name, child in list(module.named_children()):
            setattr(module, name, cls.convert_sync_batchnorm(child, process_group))
        return module


@registered
class LayerNorm(Module):
    """Normalise each sample over its last dimensions: (x - mean) / sqrt(var + eps) * weight + bias.

    normalized_shape: the sizes of those dimensions.  elementwise_affine: learn weight and bias.
    Shape: (..., *normalized_shape), the same out.
    Source: Ba, Kiros and Hinton, "Layer normalization" (2016).

    >>> import minigrad as mg
    >>> LayerNorm(4)(mg.ones(2, 4)).tolist()[0]
    [0.0, 0.0, 0.0, 0.0]
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        given = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        shape = tuple(arguments.whole("LayerNorm", "normalized_shape", n, 0) for n in given)
        eps = arguments.number("LayerNorm", "eps", eps)
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        affine = elementwise_affine
        place = {"device": device, "dtype": dtype}
        self.register_parameter("weight", blank(*shape, **place) if affine else None)
        self.register_parameter("bias", blank(*shape, **place) if affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"
