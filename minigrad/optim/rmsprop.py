"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Group, Optimizer


class RMSprop(Optimizer):
    """RMSprop: the gradient divided by a running root mean square of itself.

    v = alpha v + (1 - alpha) g^2;  u = g / (sqrt(v) + eps);  p = p - lr u
    centered: sqrt(v - a^2) for sqrt(v), a the running mean of g.  momentum: b = momentum b + u,
    p = p - lr b.

    params: see `Optimizer`.  lr: per step.  alpha: decay of the mean square, in [0, 1).
    weight_decay: L2, added to the gradient.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Tieleman and Hinton 2012, lecture 6.5; centered from Graves 2013, eq. 38, with eps
    outside of the root as in PyTorch.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.RMSprop([w], lr=0.25, alpha=0.75)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.5]
    """

    steps = (
        *("rmsprop_step", "rmsprop_centered_step"),
        *("rmsprop_momentum_step", "rmsprop_centered_momentum_step"),
    )

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)

    def rule(self, group: Group) -> str:
        """Return the kernel that steps the group."""
        centered = "_centered" if group["centered"] else ""
        momentum = "_momentum" if group["momentum"] else ""
        return f"rmsprop{centered}{momentum}_step"
