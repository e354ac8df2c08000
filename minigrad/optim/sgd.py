"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Group, Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, dampening, Nesterov's form and L2 decay.

    g = g + weight_decay p;  b = momentum b + (1 - dampening) g, at the first step b = g;
    p = p - lr b, with nesterov  p - lr (g + momentum b), without momentum  p - lr g

    params: see `Optimizer`.  lr: per step.  momentum: in [0, 1), usually 0.9.
    dampening: the share of the gradient that is left out of the velocity.
    nesterov: look ahead; needs momentum > 0 and dampening 0.
    maximize: climb instead: the gradient is negated first.
    Raises: ValueError for options out of range.
    Source: Sutskever et al. 2013, section 2, in PyTorch's form: lr stands outside of the velocity,
    and the first velocity is the undamped gradient.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.SGD([w], lr=0.25)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.5]
    """

    steps = ("sgd_step", "sgd_momentum_step")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)

    def check(self, group: Group) -> None:
        """Raise a ValueError for options out of range."""
        super().check(group)
        if group["nesterov"] and not (group["momentum"] > 0 and group["dampening"] == 0):
            raise ValueError(
                "SGD: nesterov needs momentum > 0 and dampening 0, got"
                f" momentum {group['momentum']!r} and dampening {group['dampening']!r}"
            )

    def rule(self, group: Group) -> str:
        """Return the kernel that steps the group."""
        return "sgd_momentum_step" if group["momentum"] else "sgd_step"
