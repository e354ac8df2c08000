"""Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Optimizer


class Lion(Optimizer):
    """Lion: steps of lr in the direction of a momentum's sign, with decoupled weight decay.

    p = (1 - lr weight_decay) p - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g

    params: see `Optimizer`.  lr: three to ten times smaller than Adam's.  weight_decay: as AdamW's,
        three to ten times larger.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Chen et al. 2023, program 1.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.Lion([w], lr=0.25)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.75]
    """

    steps = ("lion_step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)
