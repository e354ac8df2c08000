"""A stand-in for numba.cuda's driver: memory of the host's behind addresses, copies by memmove.

It shows that `Gpu` asks for memory, hands it on and keeps it alive as it should.  It shows nothing
of a device: no kernel runs, no copy overlaps, no stream orders anything.
"""

from __future__ import annotations

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np


class Memory:
    """Some bytes, and their address as numba.cuda tells it."""

    def __init__(self, driver: Driver, nbytes: int) -> None:
        self.driver = driver
        self.nbytes = nbytes
        self.held = ctypes.create_string_buffer(nbytes)
        self.device_ctypes_pointer = ctypes.c_void_p(ctypes.addressof(self.held))

    def __del__(self) -> None:
        self.driver.used -= self.nbytes


class Handle:
    """What `as_cuda_array` returns: copies to and from an address; it keeps the owner alive."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.address = owner.__cuda_array_interface__["data"][0]

    def copy_to_device(self, host: Any) -> None:
        ctypes.memmove(self.address, host.ctypes.data, host.nbytes)

    def copy_to_host(self, host: Any) -> None:
        ctypes.memmove(host.ctypes.data, self.address, host.nbytes)


class Driver:
    """The module numba.cuda as far as `Gpu` asks it; limit: the bytes that it has."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.limit = limit
        self.used = self.calls = 0
        self.gpus = [nullcontext()]

    def get_current_device(self) -> Any:
        return SimpleNamespace(MULTIPROCESSOR_COUNT=4, name=b"fake")

    def current_context(self) -> Driver:
        return self

    def memalloc(self, nbytes: int) -> Memory:
        if self.used + nbytes > self.limit:
            raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY")
        self.used += nbytes
        self.calls += 1
        return Memory(self, nbytes)

    def as_cuda_array(self, array: Any, sync: bool = True) -> Handle:
        return Handle(array)

    def synchronize(self) -> None:
        pass


def array(shape: tuple[int, ...]) -> Any:
    """Return an array of another library on the pretended GPU, with what it holds."""
    held = np.arange(float(np.prod(shape)), dtype=np.float32).reshape(shape)
    interface = {**held.__array_interface__, "version": 3, "stream": None}
    return SimpleNamespace(held=held, __cuda_array_interface__=interface)
