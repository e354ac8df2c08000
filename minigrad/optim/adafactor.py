"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.optim.by_parameter import ByParameter
from minigrad.optim.optimizer import Array, Group, ParameterSlot


class Adafactor(ByParameter):
    """Adafactor: second moments of a matrix kept as its rows' and its columns' means.

    v = v + t^beta2_decay (g^2 - v), of matrices by rows r and columns c: v = r c / mean(r)
    u = g / sqrt(v);  p = (1 - lr weight_decay) p - a u / max(1, RMS(u) / d)
    a = max(eps2, RMS(p)) min(lr, 1 / sqrt(t))

    params: see `Optimizer`.  lr: the largest share of a weight's size that goes in a step.
    eps: (eps1, eps2), what v is at least, its root, None for the dtype's; and the size of p.
    d: the largest RMS of u.  maximize: climb instead.
    Raises: ValueError for options out of range.
    Source: Shazeer and Stern 2018, algorithms 4 and 5, with weight decay.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> opt = mg.optim.Adafactor([w], lr=0.25)
    >>> (w * 2).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.75]
    """

    states = ("row_var", "col_var", "variance")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, ways)

    def check(self, group: Group) -> None:
        """Raise a ValueError for options out of range."""
        first, second = group["eps"]
        super().check({**group, "eps": second})
        if first is not None and not first >= 0:
            raise ValueError(f"Adafactor: expected eps >= 0, got {group['eps']!r}")
        if not group["beta2_decay"] <= 0:
            raise ValueError(f"Adafactor: expected beta2_decay <= 0, got {group['beta2_decay']!r}")
        if not group["d"] >= 1:
            raise ValueError(f"Adafactor: expected d >= 1, got {group['d']!r}")

    def kept_by(self, slot: ParameterSlot) -> tuple[str, ...]:
        """Return the names of the state arrays of one parameter."""
        return ("row_var", "col_var") if slot.param.array.ndim > 1 else ("variance",)

    def kept(self, group: Group) -> tuple[str, ...]:
        """Return what every parameter of a group has: it depends on its shape."""
        return ()

    def state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a state array of a parameter of a shape."""
        if name == "row_var":
            return (*shape[:-1], 1)
        return (*shape[:-2], 1, shape[-1]) if name == "col_var" else shape

    def stepped(self, p: Array, g: Array, state: dict[str, Array], group: Group, t: int) -> Array:
        """Return a parameter after step t."""
        share, lr = t ** float(group["beta2_decay"]), float(group["lr"])
        first, second = group["eps"]
        least = float(np.finfo(p.dtype).eps) if first is None else float(first)
        count = max(p.size, 1)
        size = math.sqrt(float(np.square(p, dtype=np.float64).sum()) / count)
        length = max(float(second), size) * min(lr, 1 / math.sqrt(t))
        decay = float(group["weight_decay"])
        weight = p * (1 - lr * decay) if decay else p
        if p.ndim > 1:
            rows, columns = state["row_var"], state["col_var"]
            rows += (np.square(g).mean(-1, keepdims=True) - rows) * share
            columns += (np.square(g).mean(-2, keepdims=True) - columns) * share
            mean = np.maximum(rows.mean(-2, keepdims=True), least)
            v = rows * columns / mean
        else:
            state["variance"] += (np.square(g) - state["variance"]) * share
            v = state["variance"]
        update = g / np.sqrt(np.maximum(v, least * least))
        rms = math.sqrt(float(np.square(update, dtype=np.float64).sum()) / count)
        found: Array = weight - (length / max(1.0, rms / float(group["d"]))) * update
        return found
