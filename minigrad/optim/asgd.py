"""ASGD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Optimizer


class ASGD(Optimizer):
    """Averaged SGD: steps that shrink, and the average of the parameters beside them.

    p = (1 - lambd eta) p - eta g;  eta = lr / (1 + lambd lr t)^alpha
    a = the average of p from step t0 on, `optimizer.state[p]["ax"]`; before that a = p

    params: see `Optimizer`.  lambd: decay of the weights, and of the steps.  alpha: of the steps.
    weight_decay: L2, added to the gradient.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Bottou 2012, after Xu 2011.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.ASGD([w], lr=0.25, lambd=0.0)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.5]
    """

    steps = ("asgd_step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)
