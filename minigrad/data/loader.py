"""The DataLoader: batches in an order that only seed and epoch decide, resumable in mid-epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.data.dataset import Array, fetch
from minigrad.engine import arguments
from minigrad.engine.random import Generator


class DataLoader:
    """Iterate over a dataset in batches; each `for` over the loader is one pass, an epoch.

    Shape: rows `(...)` -> batches `(batch_size, ...)`; the last one is shorter unless `drop_last`.

    dataset: anything with `len` and `[]`; array datasets (TensorDataset, a Subset of one) are
        batched without a Python loop over rows.
    shuffle: a new random order in every epoch.
    drop_last: leave out the last batch when it is not full (batch-norm cannot train on one row).
    generator: where the orders come from; without one, the loader has a random stream of its own.
    collate_fn: turns a list of samples into a batch, instead of `collate`.

    One epoch takes one call of the generator.  So epoch e has the same order in every run with the
    same seed, whatever else draws random numbers; `state_dict` in mid-epoch remembers the position,
    and the next `for` after `load_state_dict` goes on with the batch that would have come.

    Raises: ValueError for a batch size below 1, an empty dataset, a `drop_last` that leaves none.

    Source: PyTorch's `torch.utils.data.DataLoader`, which has no state to save.

    >>> from minigrad.data import TensorDataset
    >>> data = TensorDataset(np.arange(5))
    >>> [x.tolist() for (x,) in DataLoader(data, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    >>> len(DataLoader(data, batch_size=2, drop_last=True))
    2
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        generator: Generator | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = _checked_size(batch_size)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.generator = Generator() if generator is None else generator
        self.collate_fn = collate_fn
        self.epoch = 0
        self._position = 0  # batches handed out in this epoch
        self._resuming = False
        self._begin: Any = None  # the generator's state when this epoch began
        self._check_rows()

    def _check_rows(self) -> int:
        rows = len(self.dataset)
        if rows == 0:
            raise ValueError("DataLoader: the dataset is empty (0 rows), so there are no batches")
        if self.drop_last and rows < self.batch_size:
            raise ValueError(
                f"DataLoader: drop_last leaves no batch, since {rows} rows do not fill one of "
                f"batch_size={self.batch_size}; use batch_size <= {rows} or drop_last=False"
            )
        return rows

    def __len__(self) -> int:
        rows = self._check_rows()
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if self._position and not self._resuming:
            self._next_epoch()  # the pass before was left in its middle
        self._resuming = False
        self._begin = self.generator.state_dict()
        rows, batches, first = len(self.dataset), len(self), self._position
        order = self.generator.permutation(rows) if self.shuffle else np.arange(rows)
        for batch in range(first, batches):
            if batch + 1 < batches:
                self._position = batch + 1
            else:
                self._next_epoch()  # with its last batch handed out, an epoch is over
            yield self._fetch(order[batch * self.batch_size : (batch + 1) * self.batch_size])

    def _next_epoch(self) -> None:
        self.epoch += 1
        self._position = 0

    def _fetch(self, indices: Array) -> Any:
        if self.collate_fn is None:
            return fetch(self.dataset, indices)
        return self.collate_fn([self.dataset[int(index)] for index in indices])

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader stands: epoch, batches handed out of it, and the random state.

        >>> from minigrad.data import TensorDataset
        >>> loader = DataLoader(TensorDataset(np.arange(6)), batch_size=2, shuffle=True)
        >>> batches = iter(loader)
        >>> first, state = next(batches), loader.state_dict()
        >>> rest = [x.tolist() for (x,) in batches]
        >>> loader.load_state_dict(state)
        >>> rest == [x.tolist() for (x,) in loader]
        True
        """
        started = self._position > 0
        return {
            "epoch": self.epoch,
            "position": self._position,
            "rows": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "generator": self._begin if started else self.generator.state_dict(),
            "seed": self.generator.seed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was saved; the loader must have the same rows and options.

        Raises: ValueError naming what is missing or differs.
        """
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(
                f"DataLoader.load_state_dict: expected the keys {sorted(own)}, "
                f"but got {sorted(state)}"
            )
        for key in ("rows", "batch_size", "shuffle", "drop_last"):
            if state[key] != own[key]:
                raise ValueError(
                    f"DataLoader.load_state_dict: the state was saved with {key}={state[key]}, but "
                    f"this loader has {key}={own[key]}; build it with the same data and options"
                )
        if not 0 <= state["position"] < len(self):
            raise ValueError(
                f"DataLoader.load_state_dict: position {state['position']} is outside an epoch of "
                f"{len(self)} batches"
            )
        self.generator.load_state_dict(state["generator"])
        if self.generator.seed != state["seed"]:  # saved under another manual_seed: keep that one
            self.generator.load_state_dict({**state["generator"], "seed": state["seed"]})
        self._begin = self.generator.state_dict()
        self.epoch = int(state["epoch"])
        self._position = int(state["position"])
        self._resuming = True

    def __repr__(self) -> str:
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"drop_last={self.drop_last})"
        )


def _checked_size(batch_size: Any) -> int:
    """Return a batch size.

    Raises: ValueError where it is no whole number of at least 1.
    """
    try:
        return arguments.whole("DataLoader", "batch_size", batch_size, 1)
    except ValueError:
        raise ValueError(
            f"DataLoader: batch_size must be a whole number of at least 1, but got {batch_size!r}"
        ) from None
