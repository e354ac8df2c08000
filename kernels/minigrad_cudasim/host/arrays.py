"""Device arrays of the simulated device: NumPy arrays behind numba.cuda's interface.

What moves them about is Numba's own stand-in for its simulator; here are unwritten elements and
what that leaves out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

from minigrad_cudasim.memory import Array, Unwritten, mark_written, poison


class DeviceArray(FakeCUDAArray):
    """An array on the simulated device: copied to and from, sliced, and given to kernels."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        """Return a copy on the host, as a real device array does."""
        return np.array(self.copy_to_host(), dtype=dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """What other libraries and `cuda.as_cuda_array` read."""
        held = dict(self._ary.__array_interface__)
        return {**held, "version": 3, "stream": None}

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its elements."""
        return self._ary.dtype

    def copy_to_device(self, ary: Any, stream: Any = 0) -> None:
        """Copy from a host or device array of the same shape and dtype."""
        super().copy_to_device(ary, stream=stream)
        mark_written(self._ary)

    def __getitem__(self, key: Any) -> Any:
        part = self._ary[key]
        return DeviceArray(part) if isinstance(part, np.ndarray | np.void) else part

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        part = self._ary[key]
        if isinstance(part, np.ndarray):
            mark_written(part)
        elif not isinstance(key, str):
            mark_written(self._ary[(*key, ...) if isinstance(key, tuple) else (key, ...)])

    @property
    def gpu_data(self) -> DeviceArray:
        """What holds its memory: itself."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name in ("_ary", "__copy__", "__deepcopy__", "__setstate__"):  # a copy is one of its own
            raise AttributeError(name)
        return super().__getattr__(name)

    def __hash__(self) -> int:
        return id(self)


def device_array(
    shape: Any, dtype: Any = np.float64, strides: Any = None, order: Any = "C", stream: Any = 0
) -> DeviceArray:
    """Return an array on the simulated device, whose elements count as unwritten."""
    held = np.ndarray.__new__(Unwritten, shape, dtype, strides=strides, order=order)
    poison(held)
    return DeviceArray(held, stream=stream)


class AnyDeviceArray(type(DeviceArray)):  # type: ignore[misc]
    """Takes all device arrays for instances."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, DeviceArray)


class DeviceNDArray(DeviceArray, metaclass=AnyDeviceArray):
    """A device array of a shape and strides over another's memory."""

    def __init__(
        self, shape: Any, strides: Any, dtype: Any, stream: Any = 0, gpu_data: Any = None
    ) -> None:
        data = getattr(gpu_data, "_ary", gpu_data)
        shape = (shape,) if isinstance(shape, int) else shape
        held = data if data is None else np.lib.stride_tricks.as_strided(data, shape, strides)
        super().__init__(np.ndarray(shape, dtype) if held is None else held, stream)
