"""RAdam: Adam that waits until its variance can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Optimizer


class RAdam(Optimizer):
    """Adam with a rectified variance: plain momentum at first, a warm-up that needs no tuning.

    m, v as in `Adam`;  r_inf = 2 / (1 - beta2) - 1;  r = r_inf - 2 t beta2^t / (1 - beta2^t)
    p = p - lr / (1 - beta1^t) m u,  u = 1, or where r > 5
    u = sqrt((1 - beta2^t)(r - 4)(r - 2) r_inf / ((r_inf - 4)(r_inf - 2) r)) / (sqrt(v) + eps)

    params: see `Optimizer`.  lr: per step.  betas: in [0, 1).
    weight_decay: L2, or with decoupled_weight_decay as in `AdamW`.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Liu et al. 2020, Algorithm 2; eps and the bound 5 are PyTorch's.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.RAdam([w], lr=0.25)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.5]
    """

    steps = ("radam_step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
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
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)
