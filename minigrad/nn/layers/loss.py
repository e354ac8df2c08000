"""Losses as modules; the mathematics stands in `functional`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError
from minigrad.nn.functional import classification as functional_classes
from minigrad.nn.functional import regression as functional_losses
from minigrad.nn.functional.classification import check_reduction, reduction_of
from minigrad.nn.functional.losses import linear_cross_entropy
from minigrad.nn.layers.linear import Linear
from minigrad.nn.module import Module, registered
from minigrad.ops.common import sizes_of
from minigrad.tensors.tensor import Tensor

Old = bool | None  # `size_average` and `reduce`, PyTorch's words before `reduction`


class Loss(Module):
    """The base of the losses: their reduction."""

    def __init__(self, reduction: str, size_average: Old = None, reduce: Old = None) -> None:
        super().__init__()
        reduction = reduction_of(reduction, size_average, reduce)
        check_reduction(self._get_name(), reduction)
        self.reduction = reduction


class Weighted(Loss):
    """A loss with factors, kept as a buffer."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None, reduction: str, size_average: Old, reduce: Old
    ) -> None:
        super().__init__(reduction, size_average, reduce)
        self.register_buffer("weight", weight)


@registered
class CrossEntropyLoss(Weighted):
    """Cross-entropy of logits; see `functional.cross_entropy`.

    >>> import minigrad as mg
    >>> CrossEntropyLoss()(mg.zeros(1, 2), mg.tensor([0]))
    tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        ignore_index: int = -100,
        reduce: Old = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction, size_average, reduce)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(
                f"CrossEntropyLoss: label_smoothing must lie in [0, 1], got {label_smoothing}"
            )
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional_classes.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


@registered
class LinearCrossEntropyLoss(Weighted):
    """Cross-entropy of logits that a linear layer of its own makes, without a bias by default.

    out_features: further sizes of the logits, (N, C, *out_features).
    weight, reduction, ignore_index, label_smoothing, options: see
        `functional.linear_cross_entropy`.
    Shape: (N, in_features) and class numbers (N, *out_features) -> () or target's.
    Raises: ValueError for a weight that is not one a class, or a smoothing outside [0, 1].

    >>> import minigrad as mg
    >>> loss = LinearCrossEntropyLoss(3, 2)
    >>> loss(mg.zeros(1, 3), mg.tensor([1]))
    tensor(0.6931, grad_fn=<CrossEntropy>)
    >>> loss.linear.weight.shape
    (2, 3)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        num_classes = arguments.whole("LinearCrossEntropyLoss", "num_classes", num_classes, 1)
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise ArgumentError(
                f"LinearCrossEntropyLoss: expected weight of {(num_classes,)}, got {weight.shape}"
            )
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(
                f"LinearCrossEntropyLoss: label_smoothing must lie in [0, 1], got {label_smoothing}"
            )
        super().__init__(weight, reduction, None, None)
        self.num_classes = num_classes
        self.out_features = sizes_of((tuple(out_features),))
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        outputs = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        sizes = (self.num_classes, *self.out_features)
        loss: Tensor = linear_cross_entropy(
            input,
            self.linear.weight.reshape(*sizes, self.linear.in_features),
            target,
            linear_bias=None if self.linear.bias is None else self.linear.bias.reshape(*sizes),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )
        return loss

    def extra_repr(self) -> str:
        shown = {
            "in_features": self.linear.in_features,
            "num_classes": self.num_classes,
            "out_features": self.out_features,
            "bias": self.linear.bias is not None,
            "reduction": self.reduction,
            "ignore_index": self.ignore_index,
            "label_smoothing": self.label_smoothing,
            "options": self.options,
        }
        return ", ".join(f"{name}={value}" for name, value in shown.items())


@registered
class NLLLoss(Weighted):
    """-log-probability of the target; see `functional.nll_loss`.

    >>> import minigrad as mg
    >>> NLLLoss()(mg.tensor([[-1.0, -2.0]]), mg.tensor([1]))
    tensor(2.)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        ignore_index: int = -100,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, reduction, size_average, reduce)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional_classes.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


@registered
class MSELoss(Loss):
    """(x - t)^2; see `functional.mse_loss`.

    >>> import minigrad as mg
    >>> MSELoss()(mg.tensor([3.0]), mg.tensor([1.0]))
    tensor(4.)
    """

    def __init__(
        self, size_average: Old = None, reduce: Old = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, size_average, reduce)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional_losses.mse_loss(input, target, reduction=self.reduction)


@registered
class L1Loss(Loss):
    """|x - t|; see `functional.l1_loss`.

    >>> import minigrad as mg
    >>> L1Loss()(mg.tensor([3.0]), mg.tensor([1.0]))
    tensor(2.)
    """

    def __init__(
        self, size_average: Old = None, reduce: Old = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, size_average, reduce)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional_losses.l1_loss(input, target, reduction=self.reduction)


@registered
class SmoothL1Loss(Loss):
    """Squares below `beta`, lines above; see `functional.smooth_l1_loss`.

    >>> import minigrad as mg
    >>> SmoothL1Loss()(mg.tensor([3.0]), mg.tensor([1.0]))
    tensor(1.5000)
    """

    def __init__(
        self,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(reduction, size_average, reduce)
        if not beta >= 0:
            raise ArgumentError(f"SmoothL1Loss: beta must not be negative, got {beta}")
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional_losses.smooth_l1_loss(
            input, target, reduction=self.reduction, beta=self.beta
        )


@registered
class HuberLoss(Loss):
    """Squares up to `delta`, lines beyond; see `functional.huber_loss`.

    >>> import minigrad as mg
    >>> HuberLoss()(mg.tensor([3.0]), mg.tensor([1.0]))
    tensor(1.5000)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ArgumentError(f"HuberLoss: delta must be positive, got {delta}")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional_losses.huber_loss(input, target, self.reduction, self.delta)


@registered
class BCELoss(Weighted):
    """Binary cross-entropy of probabilities; see `functional.binary_cross_entropy`.

    >>> import minigrad as mg
    >>> BCELoss()(mg.tensor([0.5]), mg.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, reduction, size_average, reduce)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional_losses.binary_cross_entropy(
            input, target, self.weight, reduction=self.reduction
        )


@registered
class BCEWithLogitsLoss(Weighted):
    """Binary cross-entropy of logits; see `functional.binary_cross_entropy_with_logits`.

    >>> import minigrad as mg
    >>> BCEWithLogitsLoss()(mg.tensor([0.0]), mg.tensor([1.0]))
    tensor(0.6931)
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, reduction, size_average, reduce)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional_losses.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )
