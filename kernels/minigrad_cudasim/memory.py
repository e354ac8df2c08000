"""Arrays as a simulated kernel sees them: views of a region, each access checked and logged."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from math import prod
from operator import length_hint
from types import FrameType
from typing import Any

import numpy as np
from numba.core import types
from numba.np.numpy_support import as_dtype as as_numpy

from minigrad_cudasim.compilable import may_allocate
from minigrad_cudasim.fault import BoundsFault, Fault, Site, kernel_frame, site_at, site_of
from minigrad_cudasim.log import Region
from minigrad_cudasim.numbers import Number, loader, store_cast
from minigrad_cudasim.reductions import Reductions
from minigrad_cudasim.source import written_negative

Array = np.ndarray[Any, Any]


class Unwritten(np.ndarray):
    """An array that knows which of its bytes a simulated kernel has written."""

    written: bytearray | None = None


NOT_COUNTED: AbstractContextManager[None] = nullcontext()


class SimulatedArray(Reductions):
    """An array as a kernel sees it: a view of one region, each access checked and logged."""

    __slots__ = (
        "_bytes",
        "_items",
        "_load",
        "_record",
        "_tick",
        "data",
        "dtype",
        "name",
        "ndim",
        "region",
        "shape",
        "size",
        "start",
        "strides",
    )

    _items: Any
    _tick: Any

    def __init__(self, region: Region, data: Array, start: int, name: str):
        if data.dtype.kind == "O":
            raise TypeError(f"simulate: {name} holds Python objects, expected numbers or records")
        self.region = region
        self.name = name
        self.data = data
        self.start = start  # of the first element, in bytes from the region's
        self.shape = data.shape
        self.strides = data.strides
        self.ndim = data.ndim
        self.size = data.size
        self.dtype = data.dtype
        self._bytes = data.itemsize
        self._load = loader(data.dtype)
        self._record = data.dtype if data.dtype.names or data.dtype.kind == "V" else None

    def __getattr__(self, name: str) -> Any:
        """Return the view of a field of an array of records."""
        names = self.dtype.names if name != "dtype" else None
        if not names or name not in names:
            raise AttributeError(f"a simulated array has no {name}, nor have numba.cuda's")
        return self._field(name)

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._bytes

    @property
    def real(self) -> SimulatedArray:
        """The view of the real parts."""
        return self._part(self.data.real)

    @property
    def imag(self) -> SimulatedArray:
        """The view of the imaginary parts."""
        return self._part(self.data.imag)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return int(self.data.nbytes)

    @property
    def T(self) -> SimulatedArray:
        """The view with its dimensions in reverse order."""
        return SimulatedArray(self.region, self.data.T, self.start, self.name)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        return self._get(index, sys._getframe(1))

    def _get(self, index: Any, frame: FrameType) -> Any:
        """Return an element or a view, on behalf of a kernel's frame."""
        try:
            offset = self._offset(index)
            if offset is None:
                return self._view(index)
        except Missed:
            return self._nothing()
        if self._record is not None:
            return Record(self.region, self._zero(index), offset, self.name, self.dtype)
        self.region.read(offset, self._bytes, frame, self)
        value = self.data[index]
        return value if self._load is None else self._load(value)

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 1 and self._record is None:
            return (self.load(i) for i in range(self.shape[0]))
        return (self[i] for i in range(self.shape[0]))

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **options: Any) -> Any:
        """Run a ufunc of NumPy over the elements, each read and write checked, into `out`."""
        given = options.get("out") or args[ufunc.nin :]
        inputs = args[: ufunc.nin]
        if method != "__call__" or len(given) != ufunc.nout:
            raise TypeError(
                f"numpy.{ufunc.__name__} of an array makes a new one, which a kernel cannot: give "
                "the array that it writes as its last argument"
            )
        self._elementwise(ufunc, inputs, given)
        return given[0] if len(given) == 1 else given

    def _elementwise(self, ufunc: Any, inputs: Any, outputs: Any) -> None:
        """Apply a ufunc to each element of broadcast arrays."""
        shape = outputs[0].shape
        for index in np.ndindex(shape):
            values = [
                v._broadcast_load(index, len(shape)) if isinstance(v, SimulatedArray) else v
                for v in inputs
            ]
            results = ufunc(*values)
            for out, value in zip(outputs, results if len(outputs) > 1 else (results,)):
                out.store(index if len(index) != 1 else index[0], value)

    def _broadcast_load(self, index: tuple[int, ...], ndim: int) -> Any:
        """Return the element that broadcasting to `ndim` dimensions puts at an index."""
        mine = index[ndim - self.ndim :]
        place = tuple(0 if n == 1 else i for i, n in zip(mine, self.shape))
        return self.load(place if len(place) != 1 else place[0])

    def __setitem__(self, index: Any, value: Any) -> None:
        frame = sys._getframe(1)
        try:
            offset = self._offset(index)
        except Missed:
            return
        if offset is None:
            if isinstance(index, str):
                index, self_ = slice(None), self._field(index)
                self_._fill(self_._view(index), value, frame)
                return
            self._fill(self._view(index), value, frame)
            return
        if self._record is not None:
            Record(self.region, self._zero(index), offset, self.name, self.dtype).fill(value, frame)
            return
        self.region.write(offset, self._bytes, frame, self, index, value)
        self._put(index, value, frame)

    def load(self, index: Any) -> Any:
        """Read one element on behalf of the kernel: for the models of intrinsics."""
        try:
            offset = self._whole(index)
        except Missed:
            return self._nothing()
        self.region.read(offset, self._bytes, kernel_frame(), self)
        value = self.data[index]
        return value if self._load is None else self._load(value)

    def store(self, index: Any, value: Any) -> None:
        """Write one element on behalf of the kernel: for the models of intrinsics."""
        try:
            offset = self._whole(index)
        except Missed:
            return
        frame = kernel_frame()
        self.region.write(offset, self._bytes, frame, self, index, value)
        self._put(index, value, frame)

    def update(self, index: Any, rule: Any) -> Any:
        """Replace one element by `rule(element)`, atomically; return what it was."""
        try:
            offset = self._whole(index)
        except Missed:
            return self._nothing()
        frame = kernel_frame()
        self.region.update(offset, self._bytes, frame, self)
        raw = self.data[index]
        old = raw if self._load is None else self._load(raw)
        self._put(index, rule(old), frame)
        return old

    def vector(self, start: Any, count: int) -> slice:
        """Check an access of `count` neighbours as one word and return the slice it covers."""
        first = operator.index(start)
        for end in (first, first + count - 1):
            self._whole(end)
        address = self.region.address + self.start + first * self._bytes
        width = count * self._bytes
        if address % width:
            machine = self.region.machine
            site = site_of(kernel_frame())
            if not machine.findings.repeated(("misaligned", site)):
                fault = Fault(
                    "misaligned",
                    f"{8 * width}-bit access of {self.describe(self.start + first * self._bytes)}, "
                    f"{address % width} bytes past a multiple of {width}",
                    (machine.thread.party("access", site),),
                    "start at a multiple of the width; give shared arrays alignment=16",
                )
                machine.findings.add(("misaligned", site), fault)
        return slice(first, first + count)

    def load_vector(self, start: Any, count: int) -> tuple[Any, ...]:
        """Read `count` neighbours as one aligned word."""
        span = self.vector(start, count)
        with self._one_access(span, "read"):
            return tuple(self.load(i) for i in range(span.start, span.stop))

    def store_vector(self, start: Any, values: tuple[Any, ...]) -> None:
        """Write neighbours as one aligned word."""
        span = self.vector(start, len(values))
        with self._one_access(span, "write"):
            for i, value in zip(range(span.start, span.stop), values, strict=True):
                self.store(i, value)

    def _one_access(self, span: slice, action: str) -> AbstractContextManager[None]:
        """Return a context in which accesses to neighbours count as one of their width."""
        traffic = self.region.traffic
        if traffic is None:
            return NOT_COUNTED
        address = self.region.address + self.start + span.start * self._bytes
        width = (span.stop - span.start) * self._bytes
        site = site_of(kernel_frame())
        return traffic.together(self.region.space, address, width, action, site)

    def still_holds(self, start: Any, values: tuple[Any, ...], began: Site) -> None:
        """Read neighbours that a copy reads until now, and report where they changed meanwhile.

        values: what they held where the copy began, at `began`.
        """
        held = self.load_vector(start, len(values))
        findings = self.region.machine.findings
        same = np.asarray(held, self.dtype).tobytes() == np.asarray(values, self.dtype).tobytes()
        if same or findings.repeated(("asynchronous", began)):
            return
        thread = self.region.machine.thread
        first = self.start + operator.index(start) * self._bytes
        parties = [thread.party("wait", site_of(kernel_frame())), thread.party("copy", began)]
        record = self.region.writes.get(first)
        if record is not None:
            parties.insert(1, record[0].thread.party("write", site_at(*record[1:])))
        fault = Fault(
            "asynchronous",
            f"{self.describe(first)} is overwritten before the copy that reads it is waited for",
            tuple(parties),
            "a copy may read its source until its wait: write after that, and a barrier",
        )
        findings.add(("asynchronous", began), fault)

    def unwrite(self, span: slice) -> None:
        """Count neighbours as not written: what was begun has not come yet."""
        written = self.region.written
        if written is not None:
            first = self.start + span.start * self._bytes
            count = (span.stop - span.start) * self._bytes
            written[first : first + count] = bytes(count)
            self.region.settled = False

    def ravel(self) -> SimulatedArray:
        """Return the array as one dimension."""
        return self.reshape(self.size)

    def reshape(self, *shape: Any) -> SimulatedArray:
        """Return a view of another shape.

        Raises: ValueError where only a copy could have that shape.
        """
        data = self.data.reshape(shape[0] if len(shape) == 1 else shape)
        if data.size and address_of(data) != address_of(self.data):
            raise ValueError(f"reshape of {self.name} to {data.shape} would have to copy it")
        return SimulatedArray(self.region, data, self.start, self.name)

    def view(self, dtype: Any) -> SimulatedArray:
        """Return a view of the same memory as another dtype."""
        return SimulatedArray(self.region, self.data.view(as_dtype(dtype)), self.start, self.name)

    def item(self) -> Any:
        """Return the element of an array of one."""
        return self.load((0,) * self.ndim)

    def transpose(self, *axes: Any) -> SimulatedArray:
        """Return the view with its dimensions in another order, reversed without one."""
        return SimulatedArray(self.region, self.data.transpose(*axes), self.start, self.name)

    def copy(self) -> SimulatedArray:
        """Return a copy of the thread's own, as numba-cuda makes it where it may allocate.

        Raises: AttributeError where it may not, unless CUDA_ENABLE_NRT is set.
        """
        if not may_allocate():
            raise AttributeError(f"copy of {self.name} makes a new array, which a kernel cannot")
        data, written = poisoned(self.shape, self.dtype)
        made = SimulatedArray(Region(self.region.machine, "local", 0, written), data, 0, self.name)
        made._fill(made, self, kernel_frame())
        return made

    def astype(self, dtype: Any) -> Any:
        """Raise: a kernel cannot make an array."""
        raise TypeError("astype makes a new array, which a kernel cannot: cast the elements")

    def _part(self, data: Array) -> SimulatedArray:
        """Return the view that an array over the same memory is."""
        start = self.start + (address_of(data) - address_of(self.data) if data.size else 0)
        return SimulatedArray(self.region, data, start, self.name)

    def _field(self, name: str) -> SimulatedArray:
        """Return the view of one field of an array of records."""
        data = self.data[name]
        if isinstance(data, np.recarray):
            data = data.view(np.ndarray)
        return SimulatedArray(
            self.region, data, self.start + self.dtype.fields[name][1], f"{self.name}.{name}"
        )

    def describe(self, offset: int) -> str:
        """Return the element at an offset of the region: "shared tile[2, 3]"."""
        name = f"{self.region.space} {self.name}"
        rest = offset - self.start
        if not self.data.flags.c_contiguous:
            return f"{name} at byte {offset}"
        flat = rest // self._bytes
        if not 0 <= flat < self.size:
            return f"{name} at byte {offset}"
        index = np.unravel_index(flat, self.shape)
        return f"{name}[{', '.join(str(int(i)) for i in index)}]"

    def _offset(self, index: Any) -> int | None:
        """Return the offset of one element, or None where the index asks for a view."""
        try:
            if type(index) is not tuple:
                if self.ndim != 1:
                    return None
                i = operator.index(index)
                if not 0 <= i < self.size:
                    return self._offset(self._outside(index))
                return self.start + i * self.strides[0]
            if len(index) != self.ndim:
                return None
            if len(index) == 2:
                i, j = index
                i = operator.index(i)
                j = operator.index(j)
                n, m = self.shape
                if not (0 <= i < n and 0 <= j < m):
                    return self._offset(self._outside(index))
                step, stride = self.strides
                return self.start + i * step + j * stride
            offset = self.start
            for i, n, stride in zip(index, self.shape, self.strides, strict=True):
                i = operator.index(i)
                if not 0 <= i < n:
                    return self._offset(self._outside(index))
                offset += i * stride
            return offset
        except TypeError:  # a slice is no index
            return None

    def _whole(self, index: Any) -> int:
        """Return the offset in bytes of one element.

        Raises: TypeError for an index of several.
        """
        offset = self._offset(index)
        if offset is None:
            raise TypeError(f"index {index!r} of {self.name}: expected one element's")
        return offset

    def _view(self, index: Any) -> SimulatedArray:
        """Return the view of an index with slices, or of the name of a field."""
        if isinstance(index, str):
            return self._field(index)
        for i, n in zip(index if type(index) is tuple else (index,), self.shape, strict=False):
            if not isinstance(i, slice) and i is not Ellipsis and not 0 <= operator.index(i) < n:
                index = self._outside(index)
                break
        data = self.data[index]
        start = self.start + (address_of(data) - address_of(self.data) if data.size else 0)
        return SimulatedArray(self.region, data, start, self.name)

    def _outside(self, index: Any) -> Any:
        """Report an index outside the shape, and return what a negative one stands for.

        Raises: Missed where it stands for nothing.
        """
        machine = self.region.machine
        shown = index if type(index) is tuple else (index,)
        wrapped = tuple(
            i if isinstance(i, slice) or i is Ellipsis else _counted(operator.index(i), n)
            for i, n in zip(shown, self.shape, strict=False)
        )
        inside = all(
            isinstance(i, slice) or i is Ellipsis or 0 <= i < n
            for i, n in zip(wrapped, self.shape, strict=False)
        )
        site = site_of(kernel_frame())
        key = ("bounds", site, self.name, inside)
        meant = inside and (not machine.negative or written_negative(site))
        if not meant and not machine.findings.repeated(key):
            text = ", ".join(
                str(i if isinstance(i, slice) or i is Ellipsis else operator.index(i))
                for i in shown
            )
            negative = any(isinstance(i, int) and i < 0 for i in shown)
            hint = (
                "numba.cuda checks no index, and counts a negative one from the end; negative="
                "False takes that as meant"
            ) * negative
            summary = f"{self.region.space} {self.name}[{text}] lies outside shape {self.shape}"
            party = machine.thread.party("access", site)
            machine.findings.add(key, BoundsFault("bounds", summary, (party,), hint))
        if not inside:
            raise Missed(f"{self.name}{list(shown)}")
        return wrapped if type(index) is tuple else wrapped[0]

    def _zero(self, index: Any) -> Array:
        """Return one element as an array without dimensions, over the same memory."""
        return self.data[(*index, ...) if type(index) is tuple else (index, ...)]

    def _nothing(self) -> Any:
        """Return what a read outside the array yields: zero."""
        if self._record is not None:
            region = Region(self.region.machine, "local", 0, None)
            return Record(region, np.zeros((), self.dtype), 0, self.name, self.dtype)
        value = self.dtype.type()
        return value if self._load is None else self._load(value)

    def holds(self, index: Any, value: Any) -> bool:
        """Tell whether an element has a value already, in the array's dtype."""
        try:
            kept = self.data[index]
            return bool(kept == self.dtype.type(store_cast(value, self.dtype))) or (
                kept != kept and value != value
            )
        except (TypeError, ValueError):
            return False

    def _put(self, index: Any, value: Any, frame: FrameType) -> None:
        """Store a value in the array's dtype.

        Raises: Fault for a double where those are reported.
        """
        machine = self.region.machine
        if machine.float64 and self.dtype == np.float32 and isinstance(value, float):
            site = site_of(frame)
            if not machine.findings.repeated(("float64", site)):
                fault = Fault(
                    "float64",
                    f"a float64 value is stored into float32 {self.name}",
                    (machine.thread.party("write", site),),
                    "write float32(2), not 2.0: a bare literal computes in double precision",
                )
                machine.findings.add(("float64", site), fault)
        self.data[index] = store_cast(value, self.dtype)

    def _fill(self, view: SimulatedArray, value: Any, frame: FrameType) -> None:
        """Write a value, or an array's elements, to all elements of a view."""
        for index in np.ndindex(view.shape):
            if isinstance(value, SimulatedArray):
                element: Number = value.load(index if len(index) != 1 else index[0])
            else:
                element = value
            if view._record is not None:
                view[index if len(index) != 1 else index[0]] = element
                continue
            view.region.write(view._whole(index), view._bytes, frame, view, index, element)
            view._put(index, element, frame)


class QuickVector(SimulatedArray):
    """A vector that nothing has written yet, so that its reads need no log, only their bounds."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        try:
            if index >= 0:
                self._tick()
                return self._items[index]
        except (IndexError, StopIteration, TypeError):
            pass
        return self._get(index, sys._getframe(1))

    def end_quick(self) -> bool:
        """Become an array whose reads are logged, and tell whether some were not."""
        self.__class__ = SimulatedArray  # type: ignore[assignment]
        return length_hint(self._tick.__self__) < QUICK


class QuickMatrix(QuickVector):
    """A matrix that nothing has written yet."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        try:
            i, j = index
            if i >= 0 and j >= 0:
                self._tick()
                return self._items[i][j]
        except (IndexError, StopIteration, TypeError, ValueError):
            pass
        return self._get(index, sys._getframe(1))


class SharedMatrix(SimulatedArray):
    """A matrix of shared memory, read in a short way where a barrier has ordered all writes."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        frame = sys._getframe(1)
        region = self.region
        if region.settled and not region.writes and not region.atomics:
            try:
                i, j = index
                n, m = self.shape
                if type(i) is int and type(j) is int and 0 <= i < n and 0 <= j < m:
                    thread = region.machine.thread
                    step, stride = self.strides
                    record = (thread.moment, frame.f_code, frame.f_lasti)
                    place = self.start + i * step + j * stride
                    region.pending.append((place, self._bytes, thread.number, record))
                    return self.data[i, j]
            except (TypeError, ValueError):
                pass
        return self._get(index, frame)


QUICK = 2_000_000  # reads of an array that are not logged: a thread may wait for one to change
LISTED = 1 << 18  # elements of an array at most that is held as Python's lists


def quick(array: SimulatedArray) -> None:
    """Let an argument's reads go without a log until something writes its memory."""
    data, load = array.data, array._load
    if array.ndim not in (1, 2) or array._record is not None or not 0 < data.size <= LISTED:
        return
    rows = [data] if array.ndim == 1 else data
    items = [list(row) if load is None else list(map(load, row)) for row in rows]
    array._items = items[0] if array.ndim == 1 else items
    array._tick = repeat(None, QUICK).__next__
    array.__class__ = QuickVector if array.ndim == 1 else QuickMatrix
    array.region.quick.append(array)


class Record:
    """One element of an array of records: its fields are read and written as attributes or keys."""

    __slots__ = ("_data", "_dtype", "_name", "_region", "_start")

    def __init__(self, region: Region, data: Any, start: int, name: str, dtype: np.dtype[Any]):
        put = object.__setattr__
        put(self, "_region", region)
        put(self, "_data", data)
        put(self, "_start", start)
        put(self, "_name", name)
        put(self, "_dtype", dtype)

    def _held(self, name: Any) -> SimulatedArray:
        """Return a field as an array without dimensions, or of those that the field has."""
        if isinstance(name, int):
            name = self._dtype.names[name]
        data = self._data[name].view(np.ndarray)
        start = self._start + self._dtype.fields[name][1]
        return SimulatedArray(self._region, data, start, f"{self._name}.{name}")

    def __getattr__(self, name: str) -> Any:
        if name not in (self._dtype.names or ()):
            raise AttributeError(f"a record of {self._name} has no field {name}")
        held = self._held(name)
        return held if held.ndim else held[()]

    def __setattr__(self, name: str, value: Any) -> None:
        held = self._held(name)
        frame = sys._getframe(1)
        if "__simulated__" not in frame.f_globals:
            frame = kernel_frame()
        if held.ndim:
            held._fill(held, value, frame)
            return
        if held._record is not None:
            held[()] = value
            return
        held.region.write(held.start, held._bytes, frame, held, (), value)
        held._put((), value, frame)

    def __getitem__(self, name: Any) -> Any:
        held = self._held(name)
        return held if held.ndim else held[()]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def fill(self, value: Any, frame: FrameType) -> None:
        """Write all fields: those of another record, or of a tuple."""
        for i, name in enumerate(self._dtype.names or ()):
            setattr(self, name, value[name if isinstance(value, Record | np.void) else i])


class Missed(Exception):
    """An index outside an array: what it reads is nothing, what it writes goes nowhere."""


def _counted(index: int, size: int) -> int:
    """Return an index counted from the end where it is negative."""
    return index + size if index < 0 else index


def address_of(data: Array) -> int:
    """Return the address of an array's first element."""
    return data.__array_interface__["data"][0]


def as_dtype(kind: Any) -> np.dtype[Any]:
    """Return the NumPy dtype of what a kernel may call a dtype: Numba's type, NumPy's, a cast."""
    if isinstance(kind, types.Type):
        return np.dtype(as_numpy(kind))
    name = getattr(kind, "name", None)
    if isinstance(name, str) and not isinstance(kind, np.dtype):
        kind = {"bool": "bool", "boolean": "bool"}.get(name, name)
    return np.dtype(kind)


def poison(made: Unwritten) -> None:
    """Fill a new array with bytes 0xAB, floats with NaN, and count none of it as written."""
    held = np.ndarray(made.nbytes, np.uint8, made.reshape(-1, order="A"))
    held[...] = 0xAB
    if made.dtype.kind in "fc":
        made.fill(np.nan)
    made.written = bytearray(made.nbytes)


def mark_written(view: Array) -> None:
    """Count all elements of an array, or of a view of one, as written."""
    owner: Any = view
    while getattr(owner, "written", None) is None and isinstance(owner.base, np.ndarray):
        owner = owner.base
    written = getattr(owner, "written", None)
    if written is None or not view.size:
        return
    first = address_of(view) - address_of(owner)
    held = np.frombuffer(written, np.uint8)
    if min((s for s in view.strides), default=0) < 0:
        held[...] = 1
        return
    place = np.ndarray((*view.shape, view.itemsize), np.uint8, held, first, (*view.strides, 1))
    place[...] = 1


def aligned(nbytes: int) -> Array:
    """Return bytes that start at a multiple of 256, as a device allocation does."""
    held = np.zeros(nbytes + 256, np.uint8)
    skip = -address_of(held) % 256
    return held[skip : skip + nbytes]


def poisoned(shape: Any, dtype: np.dtype[Any], misalign: int = 0) -> tuple[Array, bytearray]:
    """Return an array full of poison (NaN, or bytes 0xAB) and its map of written bytes."""
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    nbytes = prod(int(n) for n in sizes) * dtype.itemsize
    held = aligned(nbytes + misalign)[misalign:]
    held[:] = 0xAB
    data = held.view(dtype).reshape(sizes)
    if dtype.kind in "fc":
        data[...] = np.nan
    return data, bytearray(nbytes)
