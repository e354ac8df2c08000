"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Group, Optimizer


class Adadelta(Optimizer):
    """Adadelta: steps as large as the last ones were, for the size of the gradients.

    v = rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) g
    u = rho u + (1 - rho) d^2;  p = p - lr d

    params: see `Optimizer`.  lr: a factor of the steps, 1 in the paper.  rho: in [0, 1].
    weight_decay: L2, added to the gradient.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Zeiler 2012, algorithm 1.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.Adadelta([w], eps=1.0, rho=0.75)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> [round(x, 6) for x in w.tolist()]
    [-0.414214]
    """

    steps = ("adadelta_step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)

    def check(self, group: Group) -> None:
        """Raise a ValueError for options out of range."""
        super().check(group)
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"Adadelta: expected rho in [0, 1], got {group['rho']!r}")
