"""NAdam: Adam with Nesterov momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Optimizer


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

    steps = ("nadam_step",)

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
        **ways: Any,
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
        super().__init__(params, defaults, ways)
