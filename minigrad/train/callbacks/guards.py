"""Callbacks that guard the gradients between backward() and the optimizer's step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.engine.device import host_copy
from minigrad.nn.utils.clip_grad import (
    LEAST,
    MOST,
    clip_grad_value_,
    clip_if_finite,
    total_norm,
)
from minigrad.tensors.tensor import new
from minigrad.train.callbacks.base import Callback, Fit
from minigrad.train.checks import all_finite

ON_NONFINITE = ("raise", "skip")


class GradientClipping(Callback):
    """Clip the gradients before every step: all together by their norm, or each by its value.

    max_norm: of all gradients together, > 0; see `mg.optim.clip_grad_norm_`.
    value: gradients are clamped to [-value, value]; see `mg.optim.clip_grad_value_`.
    on_nonfinite: what to do where clipping cannot help, a NaN, or for max_norm an infinity, which
        would make every weight NaN: "raise" FloatingPointError that names the parameter, the
        weights still finite; or "skip" the step: gradients are dropped, weights, momentum and step
        counts stay, `skipped` counts the steps, and the first one of a fit warns.

    Raises: ValueError unless exactly one of the two is given, and above 0.

    **Ours:** PyTorch's clip_grad_norm_, and with it Lightning and others, spread one infinite
    gradient over all weights as NaN.

    >>> GradientClipping(max_norm=1.0)
    GradientClipping(max_norm=1.0)
    """

    def __init__(
        self,
        max_norm: float | None = None,
        value: float | None = None,
        *,
        on_nonfinite: str = "raise",
    ) -> None:
        if (max_norm is None) == (value is None):
            raise ValueError(
                f"GradientClipping: expected either max_norm or value, but got max_norm={max_norm} "
                f"and value={value}"
            )
        if on_nonfinite not in ON_NONFINITE:
            raise ValueError(
                f"GradientClipping: expected on_nonfinite to be one of {ON_NONFINITE}, but got "
                f"{on_nonfinite!r}"
            )
        limit = max_norm if value is None else value
        if isinstance(limit, bool) or not float(limit) > 0:  # type: ignore[arg-type]
            raise ValueError(f"GradientClipping: expected a limit above 0, but got {limit}")
        self.max_norm = None if max_norm is None else float(max_norm)
        self.value = None if value is None else float(value)
        self.on_nonfinite = on_nonfinite
        self.skipped = 0

    @property
    def reads_norm(self) -> bool:  # type: ignore[override]
        """Whether the gradients' norm is asked for."""
        return self.max_norm is not None

    def on_fit_begin(self, trainer: Fit) -> None:
        self.skipped = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the number of skipped steps."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self.skipped = int(state["skipped"])

    def after_backward(self, trainer: Fit) -> None:
        parameters = list(trainer.model.parameters())
        if self.max_norm is not None:
            norms = trainer.gradient_norms()
            plain = len(norms) == 1 and LEAST <= norms[0] <= MOST
            if plain and trainer.clip_in_step(self, self.max_norm):
                return
            if not clip_if_finite(parameters, self.max_norm):
                self._refuse(trainer)
        elif self.value is not None:
            clip_grad_value_(parameters, self.value)  # an infinity becomes the limit
            if _first_bad_gradient(trainer.model):
                self._refuse(trainer)

    def _refuse(self, trainer: Fit) -> None:
        """Raise, or drop the step's gradients, as on_nonfinite says."""
        place = f"in epoch {trainer.epoch}, step {trainer.step}"
        what = f"the gradients cannot be clipped {place}{_first_bad_gradient(trainer.model)}"
        if self.on_nonfinite == "raise":
            raise FloatingPointError(
                f"GradientClipping: {what}; lower the learning rate, find the op under "
                "mg.detect_anomaly(), or skip such steps with on_nonfinite='skip'"
            )
        if not self.skipped:
            warnings.warn(
                f"GradientClipping: {what}; the step is skipped, and so will others be: see the "
                "callback's .skipped for their number",
                UserWarning,
                stacklevel=2,
            )
        self.skipped += 1
        trainer.optimizer.zero_grad()

    def __repr__(self) -> str:
        option = f"value={self.value}" if self.max_norm is None else f"max_norm={self.max_norm}"
        skips = ", on_nonfinite='skip'" * (self.on_nonfinite == "skip")
        return f"GradientClipping({option}{skips})"


class StopOnNonFinite(Callback):
    """Raise when the loss or a gradient is NaN or infinite, before the optimizer takes it in.

    The error names epoch, step and the first parameter concerned; the weights are still finite.

    Raises: FloatingPointError.

    >>> StopOnNonFinite()
    StopOnNonFinite()
    """

    order = -10  # before clipping, which spreads one NaN over all gradients
    reads_norm = True

    def after_backward(self, trainer: Fit) -> None:
        loss = trainer.batch_loss
        norms = trainer.gradient_norms()
        if norms and all(map(math.isfinite, [*norms, loss.item()])):
            return
        place = f"in epoch {trainer.epoch}, step {trainer.step}"
        if loss.is_cuda and not any_not_finite(trainer.model, loss.array):
            return
        if not math.isfinite(loss.item()):
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
        if not all_finite(parameter.grad):
            gradient = host_copy(parameter.grad.array)
            finite = np.isfinite(gradient)
            bad = int(gradient.size - np.count_nonzero(finite))
            first = gradient[~finite][0]
            return (
                f"; the gradient of {name} has {bad:,} of {gradient.size:,} values not finite, the "
                f"first is {first}"
            )
    return ""
