"""The simulated device, whose memory is the host's and whose kernels minigrad_cudasim runs."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

import minigrad_cudasim
from minigrad_cudasim.memory import address_of
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.memory import held_by
from minigrad_kernels.cuda.streams import ImmediateEvent, ImmediateStream, Streams


class Simulator(Streams):
    """A device whose memory is the host's; it runs kernels one thread at a time, accesses checked.

    seed: of the order of threads, another one for each launch.  most: blocks of a grid at most
        (`processors` stands for what a grid-stride launch would take).
    checks: False turns off the logs of races and of unwritten memory, which halves the time.
    strict: whether what our own kernels are held to is a fault: no doubles stored into float32
        arrays, and nothing that `minigrad_cudasim.launch` calls strict.
    """

    def __init__(
        self, seed: int = 0, processors: int = 2, most: int | None = None, checks: bool = True
    ) -> None:
        super().__init__(ImmediateStream())
        self.name = "cuda-sim"
        self.reshapes = False  # the geometry is what its kernels read
        self.device_name = "simulated"
        self.seed = seed
        self.processors = processors
        self.most = most
        self.checks = checks
        self.strict = True
        self.live: weakref.WeakValueDictionary[int, Array] = weakref.WeakValueDictionary()
        self.peak = 0

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        """Return an array of a shape and dtype whose elements count as unwritten."""
        made = minigrad_cudasim.empty(shape, dtype)
        self.live[address_of(made)] = made
        self.peak = max(self.peak, self.allocated)
        return DeviceArray(made, self, True)

    def new_stream(self) -> Any:
        """Return a stream, whose work ends within each call."""
        return ImmediateStream()

    def external(self, number: int | None) -> Any:
        """Return the default stream, the only one that another library can name.

        Raises: ValueError for any number.
        """
        if number is not None:
            raise ValueError(f"{self.name} has no stream of another library, got {number}")
        return self.default

    def new_event(self, timing: bool = False) -> Any:
        """Return an event, which always tells the time."""
        return ImmediateEvent()

    def stream_number(self, stream: Any) -> int:
        """Return 0: its streams have no number of a driver."""
        return 0

    def ended(self, stream: Any) -> bool:
        """Return True: the work of a stream ends within each call."""
        return True

    def wait_for(self, stream: Any) -> None:
        """Do nothing: the work of a stream ends within each call."""

    def pinned(self, shape: Any, dtype: Any) -> Array:
        """Raise a RuntimeError: pinned memory is a GPU's."""
        raise RuntimeError("pinned memory is a GPU's: the simulator has none")

    def reach(self, address: int) -> Array | None:
        """Return the living allocation that holds an address."""
        for owner in self.living():
            start = address_of(owner)
            if start <= address < start + max(1, owner.nbytes):
                return owner
        return None

    def living(self) -> list[Array]:
        """Return the living allocations; other threads may make new ones meanwhile."""
        found = [reference() for reference in self.live.valuerefs()]
        return [array for array in found if array is not None]

    @property
    def allocated(self) -> int:
        """The bytes that living arrays hold."""
        return sum(array.nbytes for array in self.living())

    reserved = allocated

    def reset_peak(self) -> None:
        """Begin a new peak of `allocated`, at what it is now."""
        self.peak = self.allocated

    def empty_cache(self) -> None:
        """Do nothing: no memory is kept."""

    def summary(self) -> str:
        """Return a table of what its memory is held by, the most first."""
        labels = [((a.shape, str(a.dtype)), a.nbytes) for a in self.living()]
        return f"{self.name}: {held_by(labels)}"

    def write(self, array: DeviceArray, values: Any, wait: bool = True) -> None:
        """Copy values of the array's shape and dtype into an array."""
        np.copyto(array.geometry, values, casting="no")
        mark_written(array.geometry)

    def read(self, array: DeviceArray, wait: bool = True) -> Array:
        """Return a copy of an array as NumPy's."""
        return np.array(array.geometry, subok=False)

    def run(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        args: Sequence[Any],
        shared: int = 0,
    ) -> None:
        """Launch a kernel over a grid of blocks, and check each access of its threads.

        args: device arrays, numbers, tuples of them.  shared: bytes of dynamic shared memory.

        Raises: minigrad_cudasim.Fault, where a rule is broken.
        """
        held = [a.geometry if isinstance(a, DeviceArray) else a for a in args]
        self.seed += 1
        minigrad_cudasim.launch(
            kernel,
            grid,
            block,
            *held,
            shared=shared,
            seed=self.seed,
            races=self.checks,
            uninitialised=self.checks,
            strict=self.strict,
            reach=self.reach,
            float64=self.strict
            and not any(np.dtype(getattr(a, "dtype", "b")) == np.float64 for a in held),
        )

    def synchronize(self) -> None:
        """Do nothing: launches end before they return."""


def mark_written(view: Array) -> None:
    """Count all elements of a contiguous simulated array as written."""
    owner: Any = view
    while getattr(owner, "written", None) is None and isinstance(owner.base, np.ndarray):
        owner = owner.base
    written = getattr(owner, "written", None)
    if written is not None and view.size:
        first = address_of(view) - address_of(owner)
        written[first : first + view.nbytes] = b"\1" * view.nbytes
