"""What a model says of the validation rows: a confusion matrix, or amounts beside the true ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.grad_mode import no_grad
from minigrad.train import checks as batches
from minigrad.train.modes import modes_kept
from minigrad.train.probing import set_back
from minigrad.train.traceless import untouched

Array = np.ndarray[Any, Any]
MOST_CLASSES = 1_000  # of a confusion matrix


class Outcome:
    """What a model says of some rows: classes, or amounts.

    of_logits: whether one output a row is a logit, its target 0 or 1.
    confusion: `(C, C)` counts, a row a true class, a column a predicted one; None for amounts.
    true, guessed: amounts, a column each, by batches.  rows: how many there were.

    >>> found = Outcome()
    >>> found.add(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    >>> found.confusion.tolist()
    [[1, 1], [0, 0]]
    """

    def __init__(self, of_logits: bool = False) -> None:
        self.of_logits = of_logits
        self.binary: bool | None = None  # not known before the first batch
        self.confusion: Array | None = None
        self.true: list[Array] = []
        self.guessed: list[Array] = []
        self.rows = 0

    def add(self, output: Array, target: Array) -> None:
        """Take a batch.

        Raises: ValueError for outputs that are neither classes nor amounts.
        """
        self.rows += len(output)
        if target.dtype.kind in "iub" and output.ndim == target.ndim + 1:
            classes = output.shape[1]
            if classes > MOST_CLASSES:
                raise ValueError(f"{classes:,} classes are too many for a matrix")
            guess = output.argmax(1).reshape(-1)
            self._count(guess, target.reshape(-1), classes)
        elif output.shape == target.shape and output.ndim in (1, 2):
            if self.binary is None:
                self.binary = bool(np.isin(target, (0, 1)).all()) and self.of_logits
            if self.binary:
                self._count((output > 0).reshape(-1).astype(int), target.reshape(-1), 2)
            else:
                self.true.append(target.reshape(len(target), -1))
                self.guessed.append(output.reshape(len(output), -1))
        else:
            raise ValueError(f"outputs {output.shape} for targets {target.shape}")

    def _count(self, guess: Array, target: Array, classes: int) -> None:
        if self.confusion is None:
            self.confusion = np.zeros((classes, classes), np.int64)
        y = target.astype(np.int64)
        known = (y >= 0) & (y < classes)  # others are ignored by the loss
        np.add.at(self.confusion, (y[known], guess[known]), 1)


def outcome_of(trainer: Any) -> Outcome:
    """Run the model on the validation rows, and leave no trace."""
    name = str(getattr(trainer.loss, "__name__", type(trainer.loss).__name__)).lower()
    found = Outcome("bce" in name or "binary_cross" in name)
    loader = trainer.val_loader
    with (
        untouched({"model": trainer.model, "loader": loader}, loader),
        set_back(trainer.model),
        modes_kept(trainer.model),
        no_grad(),
    ):
        trainer.model.eval()
        for batch in loader:
            x, target = batches.pair(batch, "validation")
            output = trainer.model(batches.to_device(x, trainer.device))
            one = output.ndim == 2 and output.shape[1] == 1 and target.ndim == 1
            shaped = output.squeeze(1) if one else output
            found.add(shaped.numpy(force=True), target.numpy(force=True))
    return found
