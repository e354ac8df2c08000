"""What cuts a fit short: a number of steps, a time, a few batches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from minigrad.engine import arguments
from minigrad.train.callbacks.base import Callback
from minigrad.train.traceless import untouched


class Limits:
    """The limits of one fit; its time begins with them.

    >>> limits = Limits(max_steps=10)
    >>> limits.epochs(100, steps_per_epoch=4), limits.reached(9), limits.reached(10)
    (3, '', 'max_steps=10 reached')
    """

    def __init__(
        self,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        overfit_batches: int = 0,
        fast_dev_run: bool | int = False,
    ) -> None:
        if max_steps is not None:
            max_steps = arguments.whole("fit", "max_steps", max_steps, 1)
        if max_seconds is not None:
            max_seconds = arguments.number("fit", "max_seconds", max_seconds)
            if not max_seconds > 0:
                raise ValueError(f"fit: expected max_seconds above 0, but got {max_seconds}")
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.overfit = arguments.whole("fit", "overfit_batches", overfit_batches, 0)
        self.dev = arguments.whole("fit", "fast_dev_run", int(fast_dev_run), 0)
        if self.overfit and self.dev:
            raise ValueError("fit: expected overfit_batches or fast_dev_run, but got both")
        self.deadline = None if max_seconds is None else time.perf_counter() + max_seconds

    def loaders(self, train: Any, validation: Any) -> tuple[Any, Any]:
        """Return what to train and to validate on."""
        if self.overfit:
            with untouched({"loader": train}, train):
                kept = list(islice(train, self.overfit))
            return kept, None if validation is None else kept
        if self.dev:
            return First(train, self.dev), None if validation is None else First(
                validation, self.dev
            )
        return train, validation

    def epochs(self, epochs: int, steps_per_epoch: int | None) -> int:
        """Return how many epochs there will be at most, the one that is cut short too."""
        if self.dev:
            return 1
        if self.max_steps is None or not steps_per_epoch:
            return epochs
        return min(epochs, -(-self.max_steps // steps_per_epoch))

    def callbacks(self, callbacks: list[Callback]) -> list[Callback]:
        """Return the callbacks that take part."""
        return [c for c in callbacks if not (self.dev and c.writes_files)]

    def reached(self, step: int) -> str:
        """Return why the fit is to end after this step; "" where it is not."""
        if self.max_steps is not None and step >= self.max_steps:
            return f"max_steps={self.max_steps} reached"
        if self.deadline is not None and time.perf_counter() >= self.deadline:
            return f"max_seconds={self.max_seconds:g} are over"
        return ""


class First:
    """The first batches of a loader.

    >>> list(First(["a", "b", "c"], 2)), len(First(["a"], 2))
    (['a', 'b'], 1)
    """

    def __init__(self, loader: Any, count: int) -> None:
        self.loader = loader
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        return islice(self.loader, self.count)

    def __len__(self) -> int:
        return min(self.count, len(self.loader))


def steps_of(loader: Any, accumulate: int) -> int | None:
    """Return the optimizer steps of an epoch, None where they are not known.

    >>> steps_of(range(10), 4), steps_of(iter([]), 4)
    (3, None)
    """
    try:
        return -(-len(loader) // accumulate)
    except TypeError:
        return None
