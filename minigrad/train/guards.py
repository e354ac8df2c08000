"""What looks after gradients between backward() and the optimizer's step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.backend import host_copy
from minigrad.optim.clip import clip_grad_norm_, clip_grad_value_, total_norm
from minigrad.tensors import new
from minigrad.train.callback import Callback

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


class GradientClipping(Callback):
    """Clip the gradients before every step: all together by their norm, or each by its value.

    max_norm: of all gradients together, > 0; see `mg.optim.clip_grad_norm_`.
    value: gradients are clamped to [-value, value]; see `mg.optim.clip_grad_value_`.

    Raises: ValueError unless exactly one of the two is given, and above 0.

    >>> GradientClipping(max_norm=1.0)
    GradientClipping(max_norm=1.0)
    """

    def __init__(self, max_norm: float | None = None, value: float | None = None) -> None:
        if (max_norm is None) == (value is None):
            raise ValueError(
                f"GradientClipping: expected either max_norm or value, but got max_norm={max_norm} "
                f"and value={value}"
            )
        limit = max_norm if value is None else value
        if limit is not None and not limit > 0:
            raise ValueError(f"GradientClipping: expected a limit above 0, but got {limit}")
        self.max_norm = max_norm
        self.value = value

    def after_backward(self, trainer: Trainer) -> None:
        if self.max_norm is not None:
            clip_grad_norm_(trainer.model.parameters(), self.max_norm)
        elif self.value is not None:
            clip_grad_value_(trainer.model.parameters(), self.value)

    def __repr__(self) -> str:
        option = f"value={self.value}" if self.max_norm is None else f"max_norm={self.max_norm}"
        return f"GradientClipping({option})"


class StopOnNonFinite(Callback):
    """Raise when the loss or a gradient is NaN or infinite, before the optimizer takes it in.

    The error names epoch, step and the first parameter concerned; the weights are still finite.

    Raises: FloatingPointError.

    >>> StopOnNonFinite()
    StopOnNonFinite()
    """

    order = -10  # before clipping, which spreads one NaN over all gradients

    def after_backward(self, trainer: Trainer) -> None:
        loss = trainer.batch_loss.array
        place = f"in epoch {trainer.epoch}, step {trainer.step}"
        if trainer.batch_loss.is_cuda and not any_not_finite(trainer.model, loss):
            return
        if not np.isfinite(host_copy(loss)).all():
            raise FloatingPointError(
                f"StopOnNonFinite: the loss is {loss.item()} {place}"
                f"{_first_bad_gradient(trainer.model)}; lower the learning rate, clip the "
                "gradients, or look for log, sqrt or division of 0 in the model"
            )
        found = _first_bad_gradient(trainer.model)
        if found:
            raise FloatingPointError(
                f"StopOnNonFinite: the loss is {loss.item():.4g} {place}{found}; clip the gradients"
                ", lower the learning rate, or find the op under mg.detect_anomaly()"
            )

    def __repr__(self) -> str:
        return "StopOnNonFinite()"


def any_not_finite(model: Any, loss: Any) -> bool:
    """Return whether the loss or a gradient on a device is not finite: one number is read."""
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return not math.isfinite(total_norm([*grads, new(loss)], 1.0))


def _first_bad_gradient(model: Any) -> str:
    """Name the first parameter whose gradient is not finite, and how much of it; "" for none."""
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        gradient = parameter.grad.array
        gradient = host_copy(gradient)
        finite = np.isfinite(gradient)
        if not finite.all():
            bad = int(gradient.size - np.count_nonzero(finite))
            first = gradient[~finite][0]
            return (
                f"; the gradient of {name} has {bad:,} of {gradient.size:,} values not finite, the "
                f"first is {first}"
            )
    return ""
