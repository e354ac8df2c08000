"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Optimizer


class Adamax(Optimizer):
    """Adamax: Adam with the largest gradient, faded, in place of the second moment.

    m = beta1 m + (1 - beta1) g;  u = max(beta2 u, |g| + eps);  p = p - lr / (1 - beta1^t) m / u

    params: see `Optimizer`.  weight_decay: L2, added to the gradient.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Kingma and Ba 2015, algorithm 2; eps is added to |g|, as in PyTorch.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.Adamax([w], lr=0.25)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.75]
    """

    steps = ("adamax_step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)
