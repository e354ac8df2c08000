"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Array, Group, Optimizer
from minigrad.tensors.tensor import Tensor


class Adagrad(Optimizer):
    """Adagrad: the gradient divided by the root of the sum of all its squares so far.

    s = s + g^2;  p = p - lr / (1 + (t - 1) lr_decay)  g / (sqrt(s) + eps)

    params: see `Optimizer`.  lr: per step.  lr_decay: >= 0.
    weight_decay: L2, added to the gradient.  initial_accumulator_value: what s starts from.
    maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Duchi, Hazan and Singer 2011, figure 1, diagonal form.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.Adagrad([w], lr=0.25)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.75]
    """

    steps = ("adagrad_step",)
    other_options = ("initial_accumulator_value",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)

    def fresh(self, name: str, param: Tensor, group: Group) -> Array:
        """Return a state array as it is before the first step."""
        array = super().fresh(name, param, group)
        array[...] = group["initial_accumulator_value"]
        return array
