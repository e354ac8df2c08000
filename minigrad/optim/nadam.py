"""NAdam: Adam with Nesterov momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.engine import device
from minigrad.optim.optimizer import Array, Group, Optimizer
from minigrad.tensors.tensor import Tensor


class NAdam(Optimizer):
    """Adam whose first moment looks one step ahead, with a momentum that rises towards beta1.

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2);  q = q mu_t;  m, v as in `Adam`
    p = p - lr ((1 - mu_t) / (1 - q) g + mu_(t+1) / (1 - q mu_(t+1)) m)
              / (sqrt(v / (1 - beta2^t)) + eps)

    params: see `Optimizer`.  lr: per step.  betas: in [0, 1).  momentum_decay: how fast mu rises.
    weight_decay: L2, or with decoupled_weight_decay as in `AdamW`.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Dozat 2016, Algorithm 2, with the momentum schedule of its section 3.1.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.NAdam([w], lr=0.1)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.item() < 0.95
    True
    """

    states = ("exp_avg", "exp_avg_sq", "mu_product")
    scalars = ("mu_product",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def options(self, group: Group) -> tuple[float, ...]:
        """Return the group's hyperparameters in the order of the kernel's columns."""
        return (
            group["lr"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
            group["eps"],
            *group["betas"],
            group["momentum_decay"],
        )

    def rule(self, group: Group) -> tuple[str, tuple[str, ...]]:
        """Return the kernel that steps the group, and the names of its state arrays."""
        return "nadam_step", self.states

    def fresh(self, name: str, param: Tensor, group: Group) -> Array:
        """Return a state array as it is before the first step."""
        if name != "mu_product":
            return super().fresh(name, param, group)
        product: Array = device.filled(1, 1, np.float64, param.array)
        return product
