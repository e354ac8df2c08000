"""The DataLoader: batches in an order that only seed and epoch decide, resumable in mid-epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count, repeat
from typing import Any, NamedTuple

import numpy as np

from minigrad.cuda import is_available
from minigrad.data.dataset import IterableDataset, collate, fetch
from minigrad.data.prefetching import ahead
from minigrad.data.random_sources import set_state, sources_of, state_of
from minigrad.data.samplers import BatchSampler, RandomSampler, SequentialSampler
from minigrad.data.transforms import Transforms
from minigrad.distributed.group import rank, world_size
from minigrad.engine import arguments
from minigrad.engine.random import Generator
from minigrad.engine.sharding import Shard, now, share_of
from minigrad.tensors.tensor import Tensor


class DataLoader:
    """Iterate over a dataset in batches; each `for` over the loader is one pass, an epoch.

    Shape: rows `(...)` -> batches `(batch_size, ...)`; the last one is shorter unless `drop_last`.

    dataset: anything with `len` and `[]`; array datasets (TensorDataset, a Subset of one) are
        batched without a Python loop over rows.  An IterableDataset is taken as it comes.
    batch_size: None takes rows one by one, without a batch's axis.
    shuffle: a new random order in every epoch.
    sampler, batch_sampler: yield row numbers, or lists of them, in the order that you want; see
        `minigrad.data.RandomSampler` and its siblings.
    collate_fn: turns a list of samples into a batch, instead of `collate`.
    pin_memory: put batches where a GPU reaches them by itself; of no effect where there is none.
    drop_last: leave out the last batch when it is not full (batch-norm cannot train on one row).
    generator: where the orders come from; without one, the loader has a random stream of its own.
    num_workers, timeout, worker_init_fn, prefetch_factor, persistent_workers: PyTorch's.  Rows are
        read in this process, when they are asked for, whatever the number of workers; so what is
        to be done in each worker is not done.

    prefetch: so many batches are made ahead, by a thread of their own: it pays where rows come from
        files or a network, or are unpacked (docs/training.md has figures).  Order, positions and
        bits are those without it, also of rows that draw from a generator of their dataset's; rows
        that draw from minigrad's default generator, or a global one, then draw beside the training
        step, in no fixed order: draw in `transform` instead.
    shard: True deals each batch's rows to the processes of `minigrad.distributed`, consecutive ones
        and equally many to each, the first ones one more where they do not go up; a pair (rank,
        size) does the same for that process.  Batches, their order and positions are those of one
        process, whatever the number of processes, and `batch_size` is that of all together.  A
        process may have no rows of a short last batch.  Only a dataset's own rows of it are read,
        but where there is a `transform`, which sees the whole batch.
    transform: a function of a batch's first field, such as those of `minigrad.data.transforms`; of
        a loader in its own order it is given a NumPy generator `rng` too where it takes one, whose
        numbers depend on seed, epoch and batch alone.

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
        batch_size: int | None = 1,
        shuffle: bool | None = False,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        prefetch: int = 0,
        transform: Callable[..., Any] | None = None,
        shard: bool | tuple[int, int] = False,
    ) -> None:
        self.dataset = dataset
        self.shard = checked_shard(shard)
        self.batch_size: Any = None if batch_size is None else _checked_size(batch_size)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.generator = Generator() if generator is None else generator
        self.collate_fn = collate_fn
        self.num_workers = arguments.whole("DataLoader", "num_workers", num_workers, 0)
        self.pin_memory = bool(pin_memory)
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = bool(persistent_workers)
        self.prefetch = arguments.whole("DataLoader", "prefetch", prefetch, 0)
        self.transform = transform
        self._transforms = None if transform is None else Transforms(transform, self.generator)
        self._streams = isinstance(dataset, IterableDataset)
        self._given = sampler, batch_sampler
        self._check_options()
        # Without any of these, rows are taken by number, many at once, and resumed in mid-epoch.
        self._plain = not (self._streams or sampler or batch_sampler) and batch_size is not None
        self.epoch = 0
        self._position = 0  # batches handed out in this epoch
        self._resuming = False
        self._begin: Any = None  # the generator's state when this epoch began
        self._order: Any = None  # of an epoch that was begun elsewhere
        # Where generators stood, by their ids, after the last batch that was handed out, while
        # further ones are made ahead.
        self._drawn_ahead: dict[int, dict[str, Any]] = {}
        if self._plain:
            self._check_rows()

    def _check_options(self) -> None:
        """Refuse options that contradict each other."""
        sampler, batch_sampler = self._given
        if batch_sampler is not None and (
            self.batch_size != 1 or self.shuffle or sampler is not None or self.drop_last
        ):
            raise ValueError(
                "DataLoader: batch_sampler says all of batch_size, shuffle, sampler and drop_last: "
                "leave these out"
            )
        if sampler is not None and self.shuffle:
            raise ValueError("DataLoader: the sampler says the order: leave shuffle out")
        if self._streams and (self.shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader: an IterableDataset comes in its own order: leave shuffle and samplers "
                "out"
            )
        if self.batch_size is None and self.drop_last:
            raise ValueError("DataLoader: without batches (batch_size=None) none is dropped")
        for name in ("prefetch_factor", "persistent_workers"):
            if getattr(self, name) and not self.num_workers:
                raise ValueError(f"DataLoader: {name} needs num_workers of at least 1")

    # ------------------------------------------------------------ orders
    @property
    def sampler(self) -> Any:
        """What yields the row numbers: the sampler given, or one in order or at random."""
        if self._given[0] is not None:
            return self._given[0]
        if self.batch_sampler_given is not None:
            return getattr(self.batch_sampler_given, "sampler", None)
        if self.shuffle:
            return RandomSampler(self.dataset, generator=self.generator)
        return SequentialSampler(self.dataset)

    @property
    def keeps_position(self) -> bool:
        """Whether `state_dict` in mid-epoch says where the epoch stands, and can be gone on with:
        of a dataset's rows in the loader's own order, not of a sampler's or a stream's.
        """
        return self._plain

    @property
    def samplers_given(self) -> list[Any]:
        """The samplers of rows and of batches that the loader was made with."""
        return [sampler for sampler in self._given if sampler is not None]

    @property
    def batch_sampler_given(self) -> Any:
        """The batch_sampler that the loader was made with."""
        return self._given[1]

    @property
    def batch_sampler(self) -> Any:
        """What yields the lists of row numbers; None where there are no batches."""
        if self.batch_sampler_given is not None or self.batch_size is None or self._streams:
            return self.batch_sampler_given
        return BatchSampler(self.sampler, self.batch_size, self.drop_last)

    def _check_rows(self) -> int:
        rows = len(self.dataset)
        if self.batch_size is None:
            return rows
        if rows == 0:
            raise ValueError("DataLoader: the dataset is empty (0 rows), so there are no batches")
        if self.drop_last and rows < self.batch_size:
            raise ValueError(
                f"DataLoader: drop_last leaves no batch, since {rows} rows do not fill one of "
                f"batch_size={self.batch_size}; use batch_size <= {rows} or drop_last=False"
            )
        return rows

    def __len__(self) -> int:
        if not self._plain and not self._streams:
            return len(self.batch_sampler or self.sampler)
        rows = self._check_rows()
        if self.batch_size is None:
            return rows
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    # ------------------------------------------------------------ batches
    def __iter__(self) -> Iterator[Any]:
        batches = self._by_number() if self._plain else self._as_sampled()
        if self.shard is not None:
            batches = self._dealt(batches)
        if self.pin_memory and is_available():
            return map(pinned, batches)
        return batches

    def _dealt(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield this process's rows of each batch, saying which they are."""
        assert self.shard is not None
        for batch in batches:
            if not isinstance(batch, Dealt):
                rows = rows_of(batch)
                shard = share_of(rows, *self.shard)
                batch = Dealt(shard, part_of(batch, shard, rows))
            now.dealt = batch.shard
            yield batch.rows

    def _ahead(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield batches; some are made ahead where that is asked for."""
        if not self.prefetch:
            return batches
        makers = {"dataset": self.dataset, "functions": (self.collate_fn, self.transform)}
        drawing = [s for s in sources_of(makers).values() if s is not self.generator]
        return self._drawing_ahead(batches, drawing) if drawing else ahead(batches, self.prefetch)

    def _drawing_ahead(self, batches: Iterator[Any], drawing: list[Any]) -> Iterator[Any]:
        """Make batches ahead that draw from generators, and know where these stood after each; who
        leaves the pass finds them there.
        """

        def states() -> dict[int, dict[str, Any]]:
            return {id(source): state_of(source) for source in drawing}

        self._drawn_ahead = states()
        made = ahead(((batch, states()) for batch in batches), self.prefetch)
        try:
            for batch, self._drawn_ahead in made:
                yield batch
        finally:
            made.close()
            for source in drawing:
                set_state(source, self._drawn_ahead[id(source)])
            self._drawn_ahead = {}

    @property
    def drawn_ahead(self) -> dict[int, dict[str, Any]]:
        """Where generators stood after the last batch, by their ids, while batches are made ahead
        that draw from them.
        """
        return self._drawn_ahead

    def _as_sampled(self) -> Iterator[Any]:
        """Yield what the samplers ask for, or what streams in."""
        batches = self._sampled()
        if self._transforms is not None:
            batches = map(self._transforms, repeat(self.epoch), count(), batches)
        yield from self._ahead(batches)
        self.epoch += 1

    def _sampled(self) -> Iterator[Any]:
        made = collate if self.collate_fn is None else self.collate_fn
        single = self.batch_size is None and self.batch_sampler_given is None
        if self._streams:
            if single:
                return iter(self.dataset) if self.collate_fn is None else map(made, self.dataset)
            return map(made, BatchSampler(self.dataset, self.batch_size or 1, self.drop_last))
        order = self.sampler if single else self.batch_sampler
        if self.prefetch:
            order = list(order)  # drawn here and now, not beside a training step
        if single:
            rows = (self.dataset[i] for i in order)
            return rows if self.collate_fn is None else map(made, rows)
        return map(self._fetch, order)

    def _by_number(self) -> Iterator[Any]:
        if self._position and not self._resuming:
            self._next_epoch()  # the pass before was left in its middle
        self._resuming = False
        if self._order is None:
            self._begin = self.generator.state_dict()
        rows, batches, first = len(self.dataset), len(self), self._position
        size = self.batch_size or 1
        order, self._order = self._order, None
        if order is None:
            order = self.generator.permutation(rows) if self.shuffle else np.arange(rows)
        numbers = range(first, batches)
        wanted = (order[n * size : (n + 1) * size] for n in numbers)
        fetch_rows = self._fetch
        if self.shard is not None and self._transforms is None:
            fetch_rows = self._fetch_part
        made = map(fetch_rows, wanted)
        if self._transforms is not None:
            made = map(self._transforms, repeat(self.epoch), numbers, made)
        for number, batch in zip(numbers, self._ahead(made), strict=True):
            if number + 1 < batches:
                self._position = number + 1
            else:
                self._next_epoch()  # with its last batch handed out, an epoch is over
            yield batch

    def _next_epoch(self) -> None:
        self.epoch += 1
        self._position = 0

    def _fetch_part(self, indices: Any) -> Any:
        """Return this process's rows of a batch, and which they are."""
        assert self.shard is not None
        shard = share_of(len(indices), *self.shard)
        if shard.rows:
            return Dealt(shard, self._fetch(indices[shard.first : shard.first + shard.rows]))
        return Dealt(shard, part_of(self._fetch(indices[:1]), shard, 1))

    def _fetch(self, indices: Any) -> Any:
        """Return rows as one batch; by the dataset's own `__getitems__` where it has one."""
        if self.collate_fn is None and isinstance(indices, np.ndarray):
            return fetch(self.dataset, indices)
        many = getattr(self.dataset, "__getitems__", None)
        numbers = indices.tolist() if isinstance(indices, np.ndarray) else indices
        samples = many(numbers) if many else [self.dataset[index] for index in numbers]
        return (collate if self.collate_fn is None else self.collate_fn)(samples)

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
            "rows": len(self.dataset) if not self._streams else 0,
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
        if not self._plain and state.get("position"):
            raise ValueError(
                "DataLoader.load_state_dict: a loader with a sampler, or of a stream, cannot go on "
                "in mid-epoch; save its state between epochs"
            )
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
        if state["position"] and not 0 <= state["position"] < len(self):
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
        # Drawn now: others may draw from the same generator before the next batch is asked for.
        drawn = self._position and self.shuffle
        self._order = self.generator.permutation(len(self.dataset)) if drawn else None
        self._resuming = True

    def __repr__(self) -> str:
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"drop_last={self.drop_last})"
        )


class Dealt(NamedTuple):
    """A process's rows of a batch, and which they are."""

    shard: Shard
    rows: Any


def checked_shard(shard: Any) -> tuple[int, int] | None:
    """Return rank and number of processes; None where batches are not dealt.

    Raises: ValueError for what is neither a bool nor such a pair.
    """
    if isinstance(shard, bool):
        return (rank(), world_size()) if shard else None
    try:
        own, size = shard
        good = 0 <= own < size
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            "DataLoader: expected shard to be True, False or (rank, size) with rank in [0, size), "
            f"got {shard!r}"
        )
    return int(own), int(size)


def rows_of(batch: Any) -> int:
    """Return how many rows a batch has: those of its first tensor, array or list.

    >>> rows_of({"x": np.zeros((3, 2))})
    3
    """
    if isinstance(batch, Mapping):
        return rows_of(list(batch.values()))
    inner = isinstance(batch, list | tuple) and len(batch)
    if inner and isinstance(batch[0], Tensor | np.ndarray | list | tuple | Mapping):
        return rows_of(batch[0])
    return len(batch)


def part_of(batch: Any, shard: Shard, rows: int) -> Any:
    """Return the rows of a batch that a shard has; what has another number of rows is kept whole.

    >>> part_of((np.arange(4), "name"), Shard(2, 2, 4), 4)
    (array([2, 3]), 'name')
    """
    if isinstance(batch, Mapping):
        return {name: part_of(value, shard, rows) for name, value in batch.items()}
    if isinstance(batch, Tensor | np.ndarray):
        whole = batch.ndim and len(batch) == rows
        return batch[shard.first : shard.first + shard.rows] if whole else batch
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(part_of(value, shard, rows) for value in batch))
    if isinstance(batch, list | tuple):
        if len(batch) == rows and not any(isinstance(v, Tensor | np.ndarray) for v in batch):
            return batch[shard.first : shard.first + shard.rows]
        return type(batch)(part_of(value, shard, rows) for value in batch)
    return batch


def pinned(batch: Any) -> Any:
    """Return a batch whose tensors lie where a GPU reaches them by itself."""
    if isinstance(batch, Tensor):
        return batch.pin_memory()
    if isinstance(batch, Mapping):
        return {name: pinned(value) for name, value in batch.items()}
    if isinstance(batch, list | tuple) and not hasattr(batch, "_fields"):
        return type(batch)(map(pinned, batch))
    return batch


def get_worker_info() -> None:
    """Return None: rows are read in the program's own process."""


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
