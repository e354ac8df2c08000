"""Rprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Group, Optimizer


class Rprop(Optimizer):
    """Rprop: each weight has a step of its own, which grows while its gradient keeps its sign.

    Only signs of gradients count, so they have to be of the whole data set, not of batches.
    params: see `Optimizer`.  lr: the first steps.  etas: what a step is multiplied by where the
        sign turned, in (0, 1), and where it did not, above 1.  step_sizes: the smallest and the
        largest.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Riedmiller and Braun 1993, without undoing the last step.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.Rprop([w], lr=0.25)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.75]
    """

    steps = ("rprop_step",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)

    def check(self, group: Group) -> None:
        """Raise a ValueError for options out of range."""
        super().check(group)
        low, high = group["etas"]
        if not 0 < low < 1 < high:
            raise ValueError(f"Rprop: expected etas with 0 < first < 1 < second, got {(low, high)}")
