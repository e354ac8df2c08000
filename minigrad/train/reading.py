"""Reading: where a pass over a loader stands, so that another process goes on with the next batch.

A DataLoader over a dataset remembers its position itself, and so may a loader of one's own, by
`state_dict` and `load_state_dict`.  Of any other the batches are read again up to where the pass
stood, with the random numbers that they were read with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.data.loader import DataLoader
from minigrad.data.random_sources import Sources, set_state, state_of
from minigrad.engine.random import Generator
from minigrad.train.attributes import Attributes


class Reading:
    """One pass after another over a loader.

    done: batches that have been handed out in this pass.

    >>> reading = Reading(["a", "b", "c"])
    >>> reading.watch(Sources({}))
    >>> batches = iter(reading)
    >>> _, state = next(batches), reading.state_dict()
    >>> later = Reading(["a", "b", "c"])
    >>> later.load_state_dict(state, Sources({}))
    >>> list(later)
    ['b', 'c']
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.done = 0
        self._rest: Any = None  # what a resumed pass goes on with
        self._sources: Sources | None = None
        self._attributes: Attributes | None = None
        self._first: Any = {}  # what attributes were before this pass
        self._begin: dict[str, Any] = {}  # where loader and random numbers stood before this pass
        self._drawn: list[tuple[int, str, dict[str, Any]]] = []

    def watch(self, sources: Sources, attributes: Attributes | None = None) -> None:
        """Note from the next pass on what reading it again takes, where it is to be."""
        if not keeps_position(self.loader):
            self._sources = sources
            self._attributes = attributes

    def __iter__(self) -> Iterator[Any]:
        rest, self._rest = self._rest, None
        if rest is None:
            self.done, self._drawn = 0, []
            if self._sources is not None:
                self._begin = beginning(self.loader, self._sources)
                self._first = {} if self._attributes is None else self._attributes.values()
            rest = iter(self.loader)
        if self._sources is not None:
            rest = self._watched(rest, self._sources)
        for batch in rest:
            self.done += 1
            yield batch

    def _watched(self, batches: Iterator[Any], sources: Sources) -> Iterator[Any]:
        """Yield batches; note where a generator stood that both the loader and others draw from."""
        after = marks(sources)
        while True:
            here = sources.everything()
            before = marks(sources)
            moved = [name for name in before if name in after and before[name] != after[name]]
            states = {name: state_of(here[name]) for name in moved}
            try:
                batch = next(batches)
            except StopIteration:
                return
            after = marks(sources)
            for name in moved:
                if name in after and after[name] != before[name]:
                    self._drawn.append((self.done, name, states[name]))
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return where the pass stands.

        Raises: RuntimeError in the middle of a pass that was not watched, but would have to be read
            again.
        """
        state: dict[str, Any] = {"done": self.done, "loader": None, "begin": {}, "drawn": []}
        if keeps_position(self.loader):
            return {**state, "loader": self.loader.state_dict()}
        if not self._begin:
            raise RuntimeError(
                "Reading: this pass cannot be gone on with in its middle, since it was not watched"
            )
        begin = dict(self._begin)
        if self._attributes is not None:
            begin["attributes"] = self._attributes.before(self._attributes.changed(), self._first)
        return {**state, "begin": begin, "drawn": list(self._drawn)}

    def load_state_dict(
        self, state: Mapping[str, Any], sources: Sources, attributes: Attributes | None = None
    ) -> None:
        """Go on in the middle of a pass; leaves the random numbers somewhere, for they are to be
        set after this.
        """
        self.done = done = state["done"]
        self._begin, self._drawn = dict(state["begin"]), list(state["drawn"])
        if state["loader"] is not None:
            self.loader.load_state_dict(state["loader"])
            self._rest = iter(()) if self._is_over(state) else iter(self.loader)
            return
        here = sources.everything()
        sources.load_state_dict(self._begin["sources"])
        if attributes is not None:
            attributes.set(self._begin.get("attributes", {}))
            self._first = attributes.values()
        if self._begin["loader"] is not None:
            self.loader.load_state_dict(self._begin["loader"])
        batches = iter(self.loader)
        for number in range(done):
            for at, name, noted in self._drawn:
                if at == number:
                    set_state(here[name], noted)
            if next(batches, self) is self:
                raise ValueError(
                    f"the training loader ended after {number} batches, but {done} had been read "
                    "when the checkpoint was written; give it the same data"
                )
        self._rest = batches

    @property
    def read_ahead(self) -> bool:
        """Whether a pass that is read again makes batches ahead: its dataset comes to where it was
        by itself, and further.
        """
        return not keeps_position(self.loader) and bool(getattr(self.loader, "prefetch", 0))

    def _is_over(self, state: Mapping[str, Any]) -> bool:
        """Return whether the last batch of the pass has been handed out."""
        if isinstance(self.loader, DataLoader):
            return not state["loader"]["position"]
        try:
            return bool(state["done"] >= len(self.loader))
        except TypeError:
            return False


def keeps_position(loader: Any) -> bool:
    """Return whether a loader's state says where a pass stands.

    >>> keeps_position([1, 2]), keeps_position(DataLoader([1, 2]))
    (False, True)
    """
    if isinstance(loader, DataLoader):
        return loader.keeps_position
    return hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")


def beginning(loader: Any, sources: Sources) -> dict[str, Any]:
    """Return where a loader and the random numbers stand before a pass."""
    has_state = hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")
    state = loader.state_dict() if has_state else None
    return {"loader": state, "sources": sources.state_dict()}


def marks(sources: Sources) -> dict[str, Any]:
    """Return what tells that a generator has drawn in between; of one that is drawn from ahead
    nothing: nobody but the loader draws from it.
    """
    ahead = sources.ahead()
    return {
        name: source.calls if type(source) is Generator else repr_of(source)
        for name, source in sources.everything().items()
        if id(source) not in ahead
    }


def repr_of(source: Any) -> Any:
    """Return the state of a generator that counts no calls, as what can be compared."""
    return comparable(state_of(source))


def comparable(value: Any) -> Any:
    """Return a state with the bytes of its arrays."""
    if isinstance(value, dict):
        return {name: comparable(part) for name, part in value.items()}
    return value.tobytes() if isinstance(value, np.ndarray) else value
