"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Group, Optimizer


class Adam(Optimizer):
    """Adam: steps of about lr in every coordinate, whatever its gradient's scale.

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
    p = p - lr / (1 - beta1^t)  m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    params: see `Optimizer`.  lr: per step.  betas: decay of both moments, in [0, 1).
    weight_decay: L2, added to the gradient; the step then divides it by sqrt(v) like the rest, so
        that it hardly acts where gradients are large.  That is rarely wanted: see `AdamW`.
    amsgrad: divide by the largest v so far.  maximize: climb instead.
    decoupled_weight_decay: what makes it AdamW.
    Raises: ValueError for options out of range.
    Source: Kingma and Ba 2015, Algorithm 1; Reddi et al. 2018 for amsgrad, which keeps the largest
    uncorrected v and corrects its bias afterwards, as PyTorch does.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.Adam([w], lr=0.25)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.75]
    """

    steps = ("adam_step", "amsgrad_step")
    other_options = ("amsgrad",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, ways)

    def rule(self, group: Group) -> str:
        """Return the kernel that steps the group."""
        return "amsgrad_step" if group["amsgrad"] else "adam_step"


class AdamW(Adam):
    """Adam with decoupled weight decay: p = (1 - lr weight_decay) p, then Adam's step.

    params: see `Optimizer`; `decay_groups(model, weight_decay)` leaves out biases and norms.
    weight_decay: the share of the weights that goes in a step is lr * weight_decay.
    lr, betas, eps, amsgrad, maximize: see `Adam`.
    Raises: ValueError for options out of range.
    Source: Loshchilov and Hutter 2019, Algorithm 2; lr multiplies the decay too, as in PyTorch,
    where the paper has only the schedule's factor there.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.AdamW([w], lr=0.5, weight_decay=0.5)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.25]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
            **ways,
        )
