"""How much of what a trained network has learnt is kept beside the linear model it began with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.grad_mode import no_grad
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
SHARES = tuple(k / 10 for k in range(11))
ERRORS = 0.5  # standard errors that a smaller share may be worse by


def best_share(losses: Array) -> int:
    """Return the number of the smallest share whose loss is near enough to the least one.

    losses: of each validation row at each share, (shares, rows), shares rising.
    Near enough: within half a standard error, of the differences row by row, of the least mean.
    With few rows the least loss is chance to a good part, and the smaller share the safer one.

    Source: Breiman et al. 1984, "Classification and regression trees", section 3.4.3 (with one
    standard error in place of a half).

    >>> best_share(np.array([[2.0, 2.0], [1.0, 1.0], [0.5, 1.5]]))
    1
    """
    means = losses.mean(1)
    least = int(means.argmin())
    apart = losses - losses[least]
    errors = apart.std(1, ddof=1) / np.sqrt(losses.shape[1])
    near = means - means[least] <= ERRORS * errors
    return int(np.flatnonzero(near)[0])


class Begun:
    """The linear part of a network as it begins, and what the share of the rest is to be.

    linear: parameters of the linear part.  last: those that what the rest says is proportional to.

    >>> import minigrad as mg
    >>> linear, last = mg.tensor([1.0]), mg.tensor([3.0])
    >>> begun = Begun([linear], [last])
    >>> linear += 1.0
    >>> begun.keep(0.5)
    >>> linear.item(), last.item()
    (1.5, 1.5)
    """

    def __init__(self, linear: Sequence[Tensor], last: Sequence[Tensor]) -> None:
        self.linear = list(linear)
        self.last = list(last)
        self.values = copies(self.linear)

    def keep(self, share: float) -> None:
        """Move the network back towards its beginning: (1 - share) of the linear model."""
        with no_grad():
            for part, value in zip(self.linear, self.values, strict=True):
                part.copy_(share * part + (1 - share) * value)
            for part in self.last:
                part.copy_(share * part)

    def begin_anew(self, begin: Callable[[], None]) -> None:
        """Take another linear model as the beginning: what `begin` writes into the linear part."""
        trained = copies(self.linear)
        begin()
        self.values = copies(self.linear)
        write(self.linear, trained)

    def losses(self, losses: Callable[[], Array]) -> Array:
        """Return the losses of rows, (rows,), at each of `SHARES`: (shares, rows); nothing is
        changed.
        """
        parts = [*self.linear, *self.last]
        trained = copies(parts)
        found = []
        for share in SHARES:
            self.keep(share)
            found.append(losses())
            write(parts, trained)
        return np.array(found)


def copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return copies of tensors, without their graphs."""
    return [tensor.detach().clone() for tensor in tensors]


def write(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Write values into tensors."""
    with no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)
