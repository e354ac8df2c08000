"""Attributes of a fit's objects that change while it runs: a sampler's count of epochs, the order
that a dataset shuffles in place, a rate of dropout that falls, a model's count of its calls.

Nobody has said that they are state; so those are taken whose values differ from what they were when
the fit began, and no others: what belongs to a machine or a process stays its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

from minigrad.data.loader import DataLoader
from minigrad.data.random_sources import FOREIGN, attributes, is_own, reached
from minigrad.engine.random import Generator
from minigrad.nn.module import Module

PLAIN = frozenset({bool, int, float, str, type(None), np.float64, np.float32, np.int64})
LONGEST = 1 << 20  # of arrays and lists that are looked at: longer ones are data
MOST = 1_000  # entries of a dict
NO_HOLDER = (
    *(list, tuple, dict, set, frozenset, partial, BuiltinFunctionType, FunctionType, MethodType),
    *(DataLoader, Generator, *FOREIGN),
)
OF_MODULES = frozenset(vars(Module())) | {"training"}  # modes are kept by themselves
Values = dict[str, dict[str, Any]]


class Attributes:
    """The plain attributes of a fit's objects, by the way that leads to each object.

    Plain are numbers, texts, None; lists, tuples and dicts of such; arrays of whole numbers with
    one axis.  A loader that has a `state_dict` of its own keeps what lies below it.

    first: what they were when the fit began.

    >>> from minigrad.nn import Dropout
    >>> layer = Dropout(0.5)
    >>> kept = Attributes({"layer": layer})
    >>> layer.p = 0.2
    >>> kept.changed()
    {'layer': {'p': 0.2}}
    """

    def __init__(self, roots: Mapping[str, Any]) -> None:
        looked = {path: value for path, value in roots.items() if not keeps_itself(value)}
        self.holders = {path: x for path, x in reached(looked) if may_change(x)}
        self.first = self.values()

    def values(self) -> Values:
        """Return copies of all that is plain now."""
        found = {path: dict(plain_of(holder)) for path, holder in self.holders.items()}
        return {path: values for path, values in found.items() if values}

    def changed(self) -> Values:
        """Return copies of what is not as it was when the fit began."""
        found = {}
        for path, values in self.values().items():
            before = self.first.get(path, {})
            new = {n: v for n, v in values.items() if n not in before or not same(v, before[n])}
            if new:
                found[path] = new
        return found

    def before(self, changed: Values, then: Values) -> Values:
        """Return what those that have changed by now were at an earlier time."""
        return {
            path: {name: then[path][name] for name in values if name in then.get(path, {})}
            for path, values in changed.items()
        }

    def missing(self, values: Values) -> list[str]:
        """Return the objects that there were and are not here."""
        return sorted(values.keys() - self.holders.keys())

    def set(self, values: Values) -> None:
        """Give attributes values; lists, dicts and arrays that others may hold too, in place."""
        for path, named in values.items():
            holder = self.holders[path]
            own = dict(attributes(holder))
            for name, value in named.items():
                if not same(own.get(name, holder), value):
                    put(holder, name, own.get(name), value)


def may_change(value: Any) -> bool:
    """Return whether an object is of a program's own class, or of one of minigrad's."""
    kind = type(value).__module__
    return not isinstance(value, NO_HOLDER) and (kind.startswith("minigrad.") or is_own(kind))


def keeps_itself(value: Any) -> bool:
    """Return whether a loader says itself what its state is."""
    if isinstance(value, DataLoader | Module):
        return False
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def plain_of(holder: Any) -> Iterator[tuple[str, Any]]:
    """Yield an object's plain attributes, as copies."""
    of_library = type(holder).__module__.startswith("minigrad.")
    is_module = isinstance(holder, Module)
    for name, value in attributes(holder):
        if (of_library and name.startswith("_")) or (is_module and name in OF_MODULES):
            continue
        if type(value) in PLAIN:
            yield name, value
        elif is_plain(value):
            yield name, value.copy() if hasattr(value, "copy") else value


def is_plain(value: Any) -> bool:
    """Return whether a list, tuple, dict or array holds nothing but plain values.

    >>> is_plain([1, 2]), is_plain([[1]]), is_plain(np.arange(2)), is_plain(np.zeros(2))
    (True, False, True, False)
    """
    if type(value) is np.ndarray:
        return value.ndim == 1 and value.dtype.kind in "iub" and value.size <= LONGEST
    if type(value) in (list, tuple):
        return len(value) <= LONGEST and PLAIN.issuperset(set(map(type, value)))
    if type(value) is dict:
        parts = {*map(type, value), *map(type, value.values())} if len(value) <= MOST else {dict}
        return PLAIN.issuperset(parts)
    return False


def same(one: Any, other: Any) -> bool:
    """Return whether two plain values are of one type and equal.

    >>> same(1, True), same([1, 2], [1, 2]), same(np.arange(2), np.arange(2))
    (False, True, True)
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return bool(one == other)


def put(holder: Any, name: str, own: Any, value: Any) -> None:
    """Give an attribute a value: in what it holds, where that is a list, a dict or an array.

    Raises: AttributeError where it cannot be set.
    """
    if type(own) is list and type(value) is list:
        own[:] = value
    elif type(own) is dict and type(value) is dict:
        own.clear()
        own.update(value)
    elif isinstance(own, np.ndarray) and fits(own, value):
        own[...] = value
    elif isinstance(value, np.ndarray | list | dict):
        setattr(holder, name, value.copy())
    else:
        setattr(holder, name, value)


def fits(own: Any, value: Any) -> bool:
    """Return whether an array can take another's values in place."""
    alike = isinstance(value, np.ndarray) and (own.shape, own.dtype) == (value.shape, value.dtype)
    return alike and bool(own.flags.writeable)
