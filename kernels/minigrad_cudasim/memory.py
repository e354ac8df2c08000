"""Arrays as a simulated kernel sees them: views of a region, each access checked and logged."""

from __future__ import annotations

import operator
import sys
from math import prod
from types import FrameType
from typing import Any

import numpy as np

from minigrad_cudasim.fault import Fault, site_of
from minigrad_cudasim.log import Region
from minigrad_cudasim.numbers import Number, loader, store_cast

Array = np.ndarray[Any, Any]


class SimulatedArray:
    """An array as a kernel sees it: a view of one region, each access checked and logged."""

    __slots__ = (
        "_bytes",
        "_load",
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

    def __init__(self, region: Region, data: Array, start: int, name: str):
        if data.dtype.kind not in "biufc":
            raise TypeError(f"simulate: {name} holds {data.dtype}, expected numbers or booleans")
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

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._bytes

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.data.nbytes

    @property
    def T(self) -> SimulatedArray:
        """The view with its dimensions in reverse order."""
        return SimulatedArray(self.region, self.data.T, self.start, self.name)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        offset = self._offset(index)
        if offset is None:
            return self._view(index)
        self.region.read(offset, self._bytes, sys._getframe(1), self)
        value = self.data[index]
        return value if self._load is None else self._load(value)

    def __setitem__(self, index: Any, value: Any) -> None:
        frame = sys._getframe(1)
        offset = self._offset(index)
        if offset is None:
            self._fill(self._view(index), value, frame)
            return
        self.region.write(offset, self._bytes, frame, self)
        self._put(index, value, frame)

    def load(self, index: Any) -> Any:
        """Read one element on behalf of the kernel: for the models of intrinsics."""
        offset = self._whole(index)
        self.region.read(offset, self._bytes, kernel_frame(), self)
        value = self.data[index]
        return value if self._load is None else self._load(value)

    def store(self, index: Any, value: Any) -> None:
        """Write one element on behalf of the kernel: for the models of intrinsics."""
        offset = self._whole(index)
        frame = kernel_frame()
        self.region.write(offset, self._bytes, frame, self)
        self._put(index, value, frame)

    def update(self, index: Any, rule: Any) -> Any:
        """Replace one element by `rule(element)`, atomically; return what it was."""
        offset = self._whole(index)
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
            party = self.region.machine.thread.party("access", site_of(kernel_frame()))
            raise Fault(
                "misaligned",
                f"{8 * width}-bit access of {self.describe(self.start + first * self._bytes)}, "
                f"{address % width} bytes past a multiple of {width}",
                (party,),
                "start at a multiple of the width; give shared arrays alignment=16",
            )
        return slice(first, first + count)

    def load_vector(self, start: Any, count: int) -> tuple[Any, ...]:
        """Read `count` neighbours as one aligned word."""
        span = self.vector(start, count)
        return tuple(self.load(i) for i in range(span.start, span.stop))

    def store_vector(self, start: Any, values: tuple[Any, ...]) -> None:
        """Write neighbours as one aligned word."""
        span = self.vector(start, len(values))
        for i, value in zip(range(span.start, span.stop), values, strict=True):
            self.store(i, value)

    def unwrite(self, span: slice) -> None:
        """Count neighbours as not written: what was begun has not come yet."""
        written = self.region.written
        if written is not None:
            first = self.start + span.start * self._bytes
            count = (span.stop - span.start) * self._bytes
            written[first : first + count] = bytes(count)

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
                    raise self._outside(index)
                return self.start + i * self.strides[0]
            if len(index) != self.ndim:
                return None
            if len(index) == 2:
                i, j = index
                i = operator.index(i)
                j = operator.index(j)
                n, m = self.shape
                if not (0 <= i < n and 0 <= j < m):
                    raise self._outside(index)
                step, stride = self.strides
                return self.start + i * step + j * stride
            offset = self.start
            for i, n, stride in zip(index, self.shape, self.strides, strict=True):
                i = operator.index(i)
                if not 0 <= i < n:
                    raise self._outside(index)
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
        """Return the view of an index with slices."""
        for i, n in zip(index if type(index) is tuple else (index,), self.shape, strict=False):
            if not isinstance(i, slice) and i is not Ellipsis and not 0 <= operator.index(i) < n:
                raise self._outside(index)
        data = self.data[index]
        start = self.start + (address_of(data) - address_of(self.data) if data.size else 0)
        return SimulatedArray(self.region, data, start, self.name)

    def _outside(self, index: Any) -> Fault:
        """Return the Fault of an index outside the shape."""
        shown = index if type(index) is tuple else (index,)
        text = ", ".join(str(i if isinstance(i, slice) else operator.index(i)) for i in shown)
        name = f"{self.region.space} {self.name}"
        party = self.region.machine.thread.party("access", site_of(kernel_frame()))
        sizes = f"shape {self.shape}"
        negative = any(not isinstance(i, slice) and operator.index(i) < 0 for i in shown)
        hint = "numba.cuda checks no index, and counts a negative one from the end" * negative
        return Fault("bounds", f"{name}[{text}] lies outside {sizes}", (party,), hint)

    def _put(self, index: Any, value: Any, frame: FrameType) -> None:
        """Store a value in the array's dtype.

        Raises: Fault for a double where those are reported.
        """
        machine = self.region.machine
        if machine.float64 and self.dtype == np.float32 and isinstance(value, float):
            party = machine.thread.party("write", site_of(frame))
            raise Fault(
                "float64",
                f"a float64 value is stored into float32 {self.name}",
                (party,),
                "write float32(2), not 2.0: a bare literal computes in double precision",
            )
        self.data[index] = store_cast(value, self.dtype)

    def _fill(self, view: SimulatedArray, value: Any, frame: FrameType) -> None:
        """Write a value, or an array's elements, to all elements of a view."""
        for index in np.ndindex(view.shape):
            if isinstance(value, SimulatedArray):
                element: Number = value.load(index if len(index) != 1 else index[0])
            else:
                element = value
            view.region.write(view._whole(index), view._bytes, frame, view)
            view._put(index, element, frame)


def address_of(data: Array) -> int:
    """Return the address of an array's first element."""
    return data.__array_interface__["data"][0]


def kernel_frame() -> FrameType:
    """Return the innermost frame that belongs to a kernel."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and "__simulated__" not in frame.f_globals:
        frame = frame.f_back
    return sys._getframe(1) if frame is None else frame


def as_dtype(kind: Any) -> np.dtype[Any]:
    """Return the NumPy dtype of what a kernel may call a dtype: Numba's type, NumPy's, a cast."""
    name = getattr(kind, "name", None)
    if isinstance(name, str) and not isinstance(kind, np.dtype):
        kind = {"bool": "bool", "boolean": "bool"}.get(name, name)
    return np.dtype(kind)


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
