"""Memory as all lanes see it at once: each access checked, and held against those before it.

A `Log` finds the same races as that of one thread at a time (see `minigrad_cudasim.log`), element
by element, and says nothing of them: `Unsupported` ends the attempt, and the launch is run thread
by thread, which names what there is.  An access is logged as its stamp: block, how many barriers
the block has passed, and thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minigrad_cudasim.lanes.values import (
    EXACT,
    MOST,
    UNSIGNED,
    Array,
    Lanes,
    Mask,
    Unsupported,
    as_kind,
    bounds,
    kind_of,
    raw,
    uints,
    whole,
)
from minigrad_cudasim.memory import SimulatedArray

THREAD = 10  # bits of a stamp for the thread, at most 1024 of a block
EPOCH = 20  # and for the barriers that its block has passed
BLOCK = THREAD + EPOCH
FILLED = 4096  # elements that one assignment writes at most
KEPT = 1 << 22  # reads that are put off at most
LOADED = {
    "f4": "f",
    "f8": "d",
    "b1": "b",
    "c16": "c",
}  # the kind of what arrays of other than whole numbers hold
SMALL = ("i1", "i2", "i4", "u1", "u2")
STORED = (*LOADED, *SMALL, "i8", "u4", "u8")
UPDATES: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "max": np.maximum,
    "min": np.minimum,
    "and_": np.bitwise_and,
    "or_": np.bitwise_or,
    "xor": np.bitwise_xor,
}


class Known(Protocol):
    """Which elements of an allocation are written."""

    def __getitem__(self, at: Any, /) -> Any:
        """Return whether those at some places are."""

    def __setitem__(self, at: Any, value: Any, /) -> None:
        """Count those at some places as written."""

    def all(self) -> Any:
        """Tell whether all are."""


class Written:
    """Which elements of an argument are written: all bytes of one, or none."""

    def __init__(self, words: Array):
        self.words = words

    def __getitem__(self, at: Any, /) -> Any:
        return self.words[at].all(axis=1)

    def __setitem__(self, at: Any, value: Any, /) -> None:
        self.words[at] = value

    def all(self) -> Any:
        """Tell whether all are."""
        return self.words.all()


class Stamps:
    """Who has accessed the elements of an allocation in one way.

    last: the stamp of the last access.  many: 1 after several threads of its block, 2 of several
    blocks.
    """

    def __init__(self, size: int):
        self.last = np.zeros(size, np.int64)
        self.many = np.zeros(size, np.int8)

    def enter(self, at: Array, stamps: Array) -> None:
        """Enter accesses of several lanes, some of them of one element."""
        last, many = self.last[at], self.many[at]
        other = (last != 0) & (last >> BLOCK != stamps >> BLOCK)
        step = last >> THREAD == stamps >> THREAD
        many = np.where(step | (many == 2), many, 0)
        many = np.where(step & (last != stamps) & (many == 0), 1, many)
        self.many[at] = np.where(other, 2, many)
        self.last[at] = stamps
        held = self.last[at]  # of several lanes at one element, one
        shared = held != stamps
        if shared.any():
            places = at[shared]
            self.many[places] = np.maximum(self.many[places], 1)
            far = held[shared] >> BLOCK != stamps[shared] >> BLOCK
            self.many[places[far]] = 2

    def against(self, at: Array, stamps: Array) -> None:
        """Hold later accesses of elements against these.

        Raises: Unsupported where nothing orders two of different threads.
        """
        races(self.last[at], stamps, self.many[at])


class Log:
    """Who has accessed the elements of one allocation, and which of them are written.

    written: for each element, or None where all counts as written.
    checked: whether races are looked for.
    """

    def __init__(self, size: int, written: Known | None, checked: bool):
        self.size = size
        self.written = written
        self.checked = checked
        self.writes: Array | None = None  # the stamp of the last write
        self.reads: Stamps | None = None
        self.atomics: Stamps | None = None
        self.pending: list[tuple[Array, Array]] = []
        self.kept = 0
        self.settle_written()

    def settle_written(self) -> None:
        """Forget which elements are written once all are."""
        if self.written is not None and self.written.all():
            self.written = None

    def forget(self) -> None:
        """Drop the log: a barrier has ordered all of it."""
        self.writes = None
        self.reads = None
        self.atomics = None
        self.pending.clear()
        self.kept = 0
        self.settle_written()

    def read(self, at: Array, stamps: Array) -> None:
        """Log reads.

        Raises: Unsupported for one that races, or of what nothing has written.
        """
        if self.written is not None and not self.written[at].all():
            raise Unsupported("a read of what nothing has written")
        if not self.checked:
            return
        if self.writes is not None:
            races(self.writes[at], stamps)
        if self.atomics is not None:
            self.atomics.against(at, stamps)
        self.pending.append((at, stamps))
        self.kept += at.size
        if self.kept > KEPT:
            self.settle()

    def settle(self) -> None:
        """Enter the reads that were put off: a write is to be held against them."""
        if self.reads is None:
            self.reads = Stamps(self.size)
        for at, stamps in self.pending:
            self.reads.enter(at, stamps)
        self.pending.clear()
        self.kept = 0

    def write(self, at: Array, stamps: Array) -> None:
        """Log writes.

        Raises: Unsupported for one that races.
        """
        if self.written is not None:
            self.written[at] = True
        if not self.checked:
            return
        if self.pending:
            self.settle()
        if self.reads is not None:
            self.reads.against(at, stamps)
        if self.atomics is not None:
            self.atomics.against(at, stamps)
        if self.writes is None:
            self.writes = np.zeros(self.size, np.int64)
        else:
            races(self.writes[at], stamps)
        self.writes[at] = stamps
        if (self.writes[at] != stamps).any():
            raise Unsupported("a race of two writes")

    def update(self, at: Array, stamps: Array) -> None:
        """Log atomic updates, which race with plain accesses and not with each other.

        Raises: Unsupported for one that races, or of what nothing has written.
        """
        if self.written is not None and not self.written[at].all():
            raise Unsupported("an update of what nothing has written")
        if not self.checked:
            return
        if self.pending:
            self.settle()
        if self.reads is not None:
            self.reads.against(at, stamps)
        if self.writes is not None:
            races(self.writes[at], stamps)
        if self.atomics is None:
            self.atomics = Stamps(self.size)
        self.atomics.enter(at, stamps)


def races(last: Array, stamps: Array, many: Array | None = None) -> None:
    """Hold accesses against earlier ones of the same elements.

    many: whether the earlier ones were of several threads (1) or blocks (2).

    Raises: Unsupported where nothing orders two of different threads.
    """
    step = last >> THREAD == stamps >> THREAD
    raced = (last >> BLOCK != stamps >> BLOCK) | (step & (last != stamps))
    if many is not None:
        raced |= (step & (many == 1)) | (many == 2)
    if (raced & (last != 0)).any():
        raise Unsupported("a race")


class Sums:
    """What a launch adds to floats atomically, which is exact in any order or not done at once.

    most: a bound of all sums.  grain: the exponent of two that all terms are multiples of.
    """

    def __init__(self) -> None:
        self.most = 0.0
        self.grain = math.inf

    def exact(self, terms: Array, held: Array, bits: int) -> bool:
        """Add terms to what is held, and tell whether no order of all until now rounds a sum."""
        self.most = max(self.most, float(np.abs(held).max(initial=0))) + float(np.abs(terms).sum())
        self.grain = min(self.grain, grain(terms), grain(held))
        return self.most == 0 or math.log2(self.most) <= bits + self.grain


def grain(values: Array) -> float:
    """Return the exponent of the largest power of two that all float64 values are multiples of."""
    mantissas, exponents = np.frexp(values[values != 0])
    if not mantissas.size:
        return math.inf
    whole_ones = np.ldexp(mantissas, 53).astype(np.int64)
    return float((np.log2(whole_ones & -whole_ones) + exponents).min()) - 53


class LaneArray:
    """An array that a kernel is given, or that all threads of a block share.

    flat: the elements from the array's first on.  steps: elements between neighbours of each
    dimension.  first: each lane's first element, where blocks have arrays of their own.
    offset: of the first element in the log.  sums: what was added to it atomically.
    """

    def __init__(
        self,
        flat: Array,
        shape: tuple[int, ...],
        steps: tuple[int, ...],
        log: Log | None,
        offset: int = 0,
        first: Array | None = None,
        sums: Sums | None = None,
    ):
        self.sums = Sums() if sums is None else sums
        self.flat = flat
        self.shape = shape
        self.steps = steps
        self.log = log
        self.offset = offset
        self.first = first
        self.dtype = flat.dtype
        self.code = flat.dtype.str[1:]
        self.ndim = len(shape)
        self.size = int(np.prod(shape))

    def named(self, index: Any) -> bool:
        """Tell whether an index names one element, not a view."""
        parts = index if type(index) is tuple else (index,)
        return len(parts) == self.ndim and not any(
            isinstance(part, slice) or part is Ellipsis for part in parts
        )

    def place(self, index: Any, mask: Mask, count: int) -> Array:
        """Return which element each lane's index names; the first on lanes outside the mask.

        Raises: Unsupported for an index outside the shape, or of a view.
        """
        parts = index if type(index) is tuple else (index,)
        if len(parts) != self.ndim or 0 in self.shape:
            raise Unsupported("an index of a view")
        total: Any = 0
        for part, size, step in zip(parts, self.shape, self.steps, strict=True):
            data = inside(part, size, mask)
            total = total + (data if step == 1 else data * step)
        if not isinstance(total, np.ndarray):
            total = np.full(count, total, np.int64)
        if self.first is not None:
            total = total + self.first
        return total

    def view(self, index: Any, mask: Mask, count: int) -> LaneArray:
        """Return the array that an index with slices names.

        Raises: Unsupported for an index outside the shape, and for slices in reverse.
        """
        parts = list(index if type(index) is tuple else (index,))
        dots = [i for i, part in enumerate(parts) if part is Ellipsis]
        if dots:
            rest = [slice(None)] * (self.ndim - len(parts) + 1)
            parts[dots[0] : dots[0] + 1] = rest
        parts += [slice(None)] * (self.ndim - len(parts))
        if len(parts) != self.ndim:
            raise Unsupported("an index of more dimensions than there are")
        total: Any = 0 if self.first is None else self.first
        shape, steps = [], []
        for part, size, step in zip(parts, self.shape, self.steps, strict=True):
            if isinstance(part, slice):
                if isinstance(part.start, Lanes):
                    starts, long = window(part, size, mask)
                    shape.append(long)
                    steps.append(step)
                    total = total + starts * step
                    continue
                start, stop, by = part.indices(size)
                if by < 0:
                    raise Unsupported("a slice in reverse")
                shape.append(len(range(start, stop, by)))
                steps.append(step * by)
                total = total + start * step
            else:
                total = total + inside(part, size, mask) * step
        first = total if isinstance(total, np.ndarray) else np.full(count, total, np.int64)
        return LaneArray(
            self.flat, tuple(shape), tuple(steps), self.log, self.offset, first, self.sums
        )

    def load(self, index: Any, mask: Mask, count: int, stamps: Array) -> Lanes:
        """Return the element that each lane reads."""
        at = self.place(index, mask, count)
        if self.log is not None:
            self.logged(self.log.read, at, mask, stamps)
        data = self.flat[at]
        kind = LOADED.get(self.code)
        if kind is not None:
            return Lanes(kind, data)
        if self.code in SMALL:
            limits = np.iinfo(self.dtype)
            return whole(data.astype(np.int64), int(limits.min), int(limits.max))
        if self.code == "i8":
            return whole(data)
        if self.code in ("u4", "u8"):
            return uints("u" if self.code == "u4" else "U", data.astype(np.uint64))
        raise Unsupported(f"elements of type {self.dtype}")

    def store(self, index: Any, value: Any, mask: Mask, count: int, stamps: Array) -> None:
        """Write each lane's value to its element."""
        at = self.place(index, mask, count)
        if self.log is not None:
            self.logged(self.log.write, at, mask, stamps)
        data = converted(value, self.dtype, mask)
        if mask is None or not isinstance(data, np.ndarray):
            self.flat[at if mask is None else at[mask]] = data
        else:
            self.flat[at[mask]] = data[mask]

    def fill(self, value: Any, mask: Mask, count: int, stamps: Array) -> None:
        """Write a value, or an array's elements, to all elements in turn.

        Raises: Unsupported for more elements than are worth their while.
        """
        if self.size > FILLED:
            raise Unsupported("an assignment to very many elements")
        for index in np.ndindex(self.shape):
            element = value
            if isinstance(value, LaneArray):
                element = value.load(index, mask, count, stamps)
            self.store(index, element, mask, count, stamps)

    def update(
        self, name: str, index: Any, value: Any, mask: Mask, count: int, stamps: Array
    ) -> None:
        """Update each lane's element atomically.

        Raises: Unsupported for what comes out differently in another order.
        """
        at = self.place(index, mask, count)
        if self.log is not None:
            self.logged(self.log.update, at, mask, stamps)
        places = at if mask is None else at[mask]
        held = np.broadcast_to(raw(value), (count,))
        given = held if mask is None else held[mask]
        if self.dtype.kind in "iu":
            whole_rule(name, value, given, self.flat, places)
        else:
            float_rule(name, value, given, self.flat, places, self.sums)

    def logged(self, log: Any, at: Array, mask: Mask, stamps: Array) -> None:
        """Log an access of the lanes of a mask."""
        places = at + self.offset if self.offset else at
        if mask is None:
            log(places, stamps)
        else:
            log(places[mask], stamps[mask])


class LaneRecords:
    """An array of records: one of each field, over the same memory."""

    def __init__(self, fields: dict[str, LaneArray], shape: tuple[int, ...]):
        self.fields = fields
        self.shape = shape
        self.ndim = len(shape)
        self.size = int(np.prod(shape))

    def field(self, name: Any) -> LaneArray:
        """Return the array of a field.

        Raises: Unsupported where there is none.
        """
        if not isinstance(name, str) or name not in self.fields:
            raise Unsupported("a record's field")
        return self.fields[name]


@dataclass(frozen=True)
class Row:
    """One record of each lane."""

    records: LaneRecords
    place: Any


def inside(part: Any, size: int, mask: Mask) -> Any:
    """Return one part of an index; 0 on lanes outside the mask where it is none.

    Raises: Unsupported for what is outside, or no whole number.
    """
    if kind_of(part) not in "iuU":
        raise Unsupported("an index that is no whole number")
    low, high = bounds(part)
    data = raw(part)
    if low >= 0 and high < size:
        return data.astype(np.int64, copy=False) if isinstance(part, Lanes) else int(data)
    if not isinstance(part, Lanes):
        raise Unsupported("an index outside")
    within = (data >= 0) & (data < size)
    if not (within if mask is None else within | ~mask).all():
        raise Unsupported("an index outside")
    return np.where(within, data, 0).astype(np.int64, copy=False)


def window(part: slice, size: int, mask: Mask) -> tuple[Array, int]:
    """Return where a slice begins on each lane, and how long it is on all.

    Raises: Unsupported where it is not within the shape, or not as long on all lanes.
    """
    if part.step is not None or not isinstance(part.stop, Lanes):
        raise Unsupported("a slice of another length on each lane")
    if part.start.kind != "i" or part.stop.kind != "i":
        raise Unsupported("an index that is no whole number")
    first, last = part.start.data, part.stop.data
    live_first, live_last = (first, last) if mask is None else (first[mask], last[mask])
    long = int(live_last[0] - live_first[0])
    if (live_last - live_first != long).any() or live_first.min() < 0 or live_last.max() > size:
        raise Unsupported("a slice of another length on each lane")
    if long < 0:
        raise Unsupported("a slice in reverse")
    return (first if mask is None else np.where(mask, first, 0)), long


def whole_rule(name: str, value: Any, given: Array, flat: Array, places: Array) -> None:
    """Update whole numbers, which come out the same in any order.

    Raises: Unsupported for other values, and operations whose order matters.
    """
    limits = np.iinfo(flat.dtype)
    kinds = "i" if limits.min else "iuU"
    low, high = bounds(value) if kind_of(value) in kinds else (1, 0)
    if low > high or flat.dtype.itemsize < 4 or low < (0 if limits.min == 0 else -MOST):
        raise Unsupported(f"cuda.atomic.{name} of this type")
    if name in ("max", "min") and not limits.min <= low <= high <= limits.max:
        raise Unsupported(f"cuda.atomic.{name} of numbers beyond the type's")
    rule = UPDATES.get(name)
    if rule is None:
        raise Unsupported(f"cuda.atomic.{name}")
    rule.at(flat, places, given.astype(flat.dtype))


def float_rule(name: str, value: Any, given: Array, flat: Array, places: Array, sums: Sums) -> None:
    """Update floats where no sum is rounded, so that the order does not matter.

    Raises: Unsupported where one may be, for NaN and zeros of both signs.
    """
    known = name in ("add", "sub", "max", "min") and kind_of(value) not in UNSIGNED
    if flat.dtype.str[1:] not in ("f4", "f8") or not known:
        raise Unsupported(f"cuda.atomic.{name} of {flat.dtype}")
    wide = np.asarray(as_kind(value, "d") if not isinstance(value, Lanes) else given, np.float64)
    wide = np.broadcast_to(wide, places.shape)
    old = flat[places].astype(np.float64)
    if not (np.isfinite(wide).all() and np.isfinite(old).all()):
        raise Unsupported("atomics of floats that are not finite")
    if name in ("max", "min"):
        both = np.concatenate([wide, old])
        if (np.signbit(both) & (both == 0)).any() or (wide != wide.astype(flat.dtype)).any():
            raise Unsupported("zeros of both signs, or doubles into floats")
    else:
        if not sums.exact(wide, old, np.finfo(flat.dtype).nmant + 1):
            raise Unsupported("a sum of floats that is rounded in an order of its own")
    UPDATES[name].at(flat, places, wide.astype(flat.dtype))


def converted(value: Any, dtype: np.dtype[Any], mask: Mask) -> Any:
    """Return a value as an array's dtype holds it; whole numbers wrap as C's do.

    Raises: Unsupported for a dtype that is not held, and floats that are no whole numbers' size.
    """
    if dtype.str[1:] not in STORED:
        raise Unsupported(f"elements of type {dtype}")
    kind = kind_of(value)
    if kind == "c" and dtype.kind != "c":
        raise Unsupported("a complex number as a real one")
    data = np.asarray(raw(value))
    if kind == "i" and dtype.kind == "f" and max(map(abs, bounds(value))) > EXACT:
        raise Unsupported("whole numbers of more than 53 bits as floats")
    if dtype.kind == "b":
        data = data != 0
    elif dtype.kind in "iu" and kind in "pfd":
        held = data if mask is None or not data.ndim else np.where(mask, data, 0)
        if not (np.abs(held) < MOST).all():
            raise Unsupported("floats beyond whole numbers")
        data = held.astype(np.int64)
    data = data.astype(dtype)
    return data if data.ndim else data[()]


def of_arguments(
    held: tuple[SimulatedArray, ...], races_checked: bool
) -> dict[int, LaneArray | LaneRecords]:
    """Return the arrays of arguments, by their identities; those of one allocation share a log.

    Raises: Unsupported for views that are not whole elements apart.
    """
    by_region: dict[int, list[SimulatedArray]] = {}
    for array in held:
        by_region.setdefault(id(array.region), []).append(array)
    made: dict[int, LaneArray | LaneRecords] = {}
    for arrays in by_region.values():
        if len(arrays) == 1 and arrays[0].dtype.names:
            made[id(arrays[0])] = of_records(arrays[0], races_checked)
            continue
        region = arrays[0].region
        item = arrays[0].dtype.itemsize
        size = 0
        for array in arrays:
            apart = [*array.strides, array.start, item]
            if array.dtype.itemsize != item or any(n % item or n < 0 for n in apart):
                raise Unsupported("elements of several sizes, or in reverse")
            if array.dtype.str[0] == ">":
                raise Unsupported("bytes in the other order")
            size = max(size, array.start // item + extent(array, item))
        known = None
        if region.written is not None:
            words = np.frombuffer(region.written, np.uint8, size * item).reshape(size, item)
            known = Written(words)
        log = None
        if region.space != "const" and (races_checked or known is not None):
            log = Log(size, known, races_checked and region.space == "global")
        for array in arrays:
            flat = np.lib.stride_tricks.as_strided(array.data, (extent(array, item),), (item,))
            steps = tuple(n // item for n in array.strides)
            made[id(array)] = LaneArray(flat, array.shape, steps, log, array.start // item)
    return made


def of_records(array: SimulatedArray, checked: bool) -> LaneRecords:
    """Return the fields of an array of records as arrays.

    Raises: Unsupported for records within records, and views.
    """
    dtype, region = array.dtype, array.region
    plain = all(dtype[name].str[1:] in STORED for name in dtype.names or ())
    if not plain or not dtype.names or array.start or not array.data.flags.c_contiguous:
        raise Unsupported("records that are not whole, of numbers alone")
    steps = tuple(n // dtype.itemsize for n in array.strides)
    fields = {}
    for name in dtype.names:
        flat = array.data.reshape(-1).view(np.ndarray)[name]
        known = None
        if region.written is not None:
            words = np.frombuffer(region.written, np.uint8).reshape(-1, dtype.itemsize)
            first = (dtype.fields or {})[name][1]
            known = Written(words[: array.size, first : first + flat.itemsize])
        log = None
        if region.space != "const" and (checked or known is not None):
            log = Log(array.size, known, checked and region.space == "global")
        fields[name] = LaneArray(flat, array.shape, steps, log)
    return LaneRecords(fields, array.shape)


def extent(array: SimulatedArray, item: int) -> int:
    """Return how many elements of memory an array reaches over."""
    if not array.size:
        return 0
    return 1 + sum((n - 1) * (s // item) for n, s in zip(array.shape, array.strides, strict=True))
