"""What is known of a value of a kernel before it runs: its type, and of integers their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import types
from numba.np.numpy_support import from_dtype

from minigrad_cudasim.memory import Record, SimulatedArray
from minigrad_cudasim.typed.rules import KINDS, kind_of, unified, whole

PLACES = 31  # bits of what counts threads, and of sizes of arrays
GROWN = 20  # bits that a number gains by being added to in a loop
FULL = 64


@dataclass(frozen=True)
class Num:
    """A number.  bits: an integer is smaller than two to their power; 64 where nothing is known."""

    kind: Any
    bits: int = FULL


@dataclass(frozen=True)
class Arr:
    """An array, or a view of one."""

    dtype: Any
    ndim: int


@dataclass(frozen=True)
class Rec:
    """A record."""

    dtype: Any


@dataclass(frozen=True)
class Tup:
    """A tuple."""

    items: tuple[Any, ...]


@dataclass(frozen=True)
class Each:
    """What a loop goes over: ranges and what is zipped or counted."""

    item: Any


@dataclass(frozen=True, eq=False)
class Const:
    """A value that is known: a function, a module, a type.  origin: as the program has it."""

    value: Any
    origin: Any = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


Shape = Any  # one of these; None where nothing is known


def number(kind: Any, bits: int | None = None) -> Num:
    """Return a number of a type, as large as its type lets it be."""
    if not whole(kind):
        return Num(kind, 1 if kind == types.boolean else 0)
    most = kind.bitwidth - 1 if kind.signed and kind.bitwidth < FULL else kind.bitwidth
    return Num(kind, most if bits is None else min(bits, most))


def element(dtype: Any) -> Shape:
    """Return what an element of an array is."""
    if dtype.subdtype is not None:
        return Arr(dtype.subdtype[0], len(dtype.subdtype[1]))
    if dtype.names:
        return Rec(dtype)
    kind = KINDS.get(dtype.type)
    return None if kind is None else number(kind)


def of_value(value: Any) -> Shape:
    """Return what is known of an argument or a global."""
    if isinstance(value, SimulatedArray):
        return Arr(value.dtype, value.ndim)
    if isinstance(value, Record):
        return Rec(value._dtype)
    if isinstance(value, tuple):
        return Tup(tuple(map(of_value, value)))
    kind = kind_of(value)
    if kind is None:
        return None
    return number(kind, of_size(value) if whole(kind) else None)


def of_argument(value: Any, held: Any) -> Shape:
    """Return what is known of an argument: of the number that was given, of the array it became."""
    if isinstance(value, np.generic) and value.dtype.kind in "iu":
        return number(from_dtype(value.dtype), PLACES if of_size(value) <= PLACES else FULL)
    if isinstance(value, tuple) and isinstance(held, tuple):
        return Tup(tuple(map(of_argument, value, held)))
    if type(held) is int:
        if held > np.iinfo(np.int64).max:
            return None
        return number(types.int64, PLACES if of_size(held) <= PLACES else FULL)
    return of_value(held)


def of_size(value: Any) -> int:
    """Return the bits of a whole number."""
    return int(value).bit_length()


def joined(a: Shape, b: Shape) -> Shape:
    """Return what is known of a name that has one of two values."""
    if a == b:
        return a
    if isinstance(a, Num) and isinstance(b, Num):
        kind = unified(a.kind, b.kind)
        return None if kind is None else number(kind, max(a.bits, b.bits))
    if isinstance(a, Tup) and isinstance(b, Tup) and len(a.items) == len(b.items):
        return Tup(tuple(map(joined, a.items, b.items)))
    return None


def widened(old: Shape, new: Shape, often: bool) -> Shape:
    """Return what is known of a name after a further turn of a loop: integers that grow, do so."""
    if isinstance(old, Num) and isinstance(new, Num) and old.kind == new.kind:
        if whole(new.kind) and new.bits > old.bits:
            return number(new.kind, FULL if often else new.bits + GROWN)
    if isinstance(old, Tup) and isinstance(new, Tup) and len(old.items) == len(new.items):
        return Tup(tuple(widened(a, b, often) for a, b in zip(old.items, new.items, strict=True)))
    return new
