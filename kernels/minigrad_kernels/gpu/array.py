"""Arrays in the memory of a device, with the shapes and views of NumPy's.

The geometry of a `DeviceArray` is a NumPy array over the device's address that nobody reads: so
shapes, strides, views and their errors are NumPy's own.  Under the simulator that memory is the
host's, and can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minigrad_kernels.gpu.targets import Target

Array = np.ndarray[Any, Any]


class Addressed:
    """Memory at an address, for NumPy to lay an array over; `owner` lives as long as that."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: Any, owner: Any) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": tuple(shape),
            "typestr": np.dtype(dtype).str,
        }


class DeviceArray:
    """An array in device memory.  Its elements are reached by kernels and by copies alone.

    geometry: the NumPy array over its memory; never read an element of it but under the simulator.
    target: the device, see targets.py.
    """

    __slots__ = ("__weakref__", "geometry", "handle", "target")

    def __init__(self, geometry: Array, target: Target) -> None:
        self.geometry = geometry
        self.target = target
        self.handle: Any = None  # what numba.cuda takes for it, made at the first launch

    # ------------------------------------------------------------ geometry
    @property
    def shape(self) -> tuple[int, ...]:
        return self.geometry.shape

    @property
    def strides(self) -> tuple[int, ...]:
        return self.geometry.strides

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.geometry.dtype

    @property
    def ndim(self) -> int:
        return self.geometry.ndim

    @property
    def size(self) -> int:
        return self.geometry.size

    @property
    def itemsize(self) -> int:
        return self.geometry.itemsize

    @property
    def nbytes(self) -> int:
        return self.geometry.nbytes

    @property
    def flags(self) -> Any:
        return self.geometry.flags

    @property
    def base(self) -> Any:
        return self.geometry.base

    @property
    def address(self) -> int:
        """Where the first element lies."""
        return int(self.geometry.__array_interface__["data"][0])

    def __len__(self) -> int:
        return len(self.geometry)

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={self.target.name!r})"

    # ------------------------------------------------------------ views
    def like(self, geometry: Array) -> DeviceArray:
        """Return another view of the same memory."""
        return DeviceArray(geometry, self.target)

    @property
    def T(self) -> DeviceArray:
        return self.like(self.geometry.T)

    def transpose(self, *axes: Any) -> DeviceArray:
        return self.like(self.geometry.transpose(*axes))

    def swapaxes(self, a: int, b: int) -> DeviceArray:
        return self.like(self.geometry.swapaxes(a, b))

    def squeeze(self, axis: Any = None) -> DeviceArray:
        return self.like(self.geometry.squeeze(axis))

    def reshape(self, *shape: Any) -> DeviceArray:
        """Return a view of another shape.

        Raises: ValueError where only a copy could have that shape.
        """
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        view = self.geometry.view()
        try:
            view.shape = reshaped(self.shape, tuple(int(n) for n in sizes))
        except AttributeError:
            raise ValueError(
                f"reshape of a strided device array {self.shape} to {tuple(sizes)} would copy it: "
                "make it contiguous first"
            ) from None
        return self.like(view)

    def ravel(self) -> DeviceArray:
        return self.reshape(-1)

    def view(self, dtype: Any = None) -> DeviceArray:
        return self.like(self.geometry.view() if dtype is None else self.geometry.view(dtype))

    def __getitem__(self, index: Any) -> DeviceArray:
        """Return the view of a basic index; arrays as indices would copy, and raise."""
        items = index if isinstance(index, tuple) else (index,)
        if not all(isinstance(i, int | np.integer | slice) or i in (None, ...) for i in items):
            raise TypeError(
                f"a device array takes integers, slices, None and ... as indices, got {index!r}"
            )
        found = self.geometry[(*items, ...)] if ... not in items else self.geometry[index]
        return self.like(found)


def reshaped(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """Return `new` with its -1 replaced; a ValueError says which sizes do not agree."""
    return np.broadcast_to(np.int8(0), old).reshape(new).shape
