"""The simulated device: memory in the host's, kernels run and checked by `simulate`."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

import minigrad_cudasim as simulate
from minigrad_cudasim.memory import address_of
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.memory import held_by
from minigrad_kernels.cuda.streams import Immediate, Instant, Queues


class Simulator(Queues):
    """Device memory in the host's, kernels run by `simulate`, every access checked.

    seed: of the order of threads, another one for each launch.  most: blocks of a grid at most
        (`processors` stands for what a grid-stride launch would take).
    checks: False turns off the logs of races and of unwritten memory, which halves the time.
    """

    def __init__(
        self, seed: int = 0, processors: int = 2, most: int | None = None, checks: bool = True
    ) -> None:
        super().__init__(Immediate())
        self.name = "cuda-sim"
        self.device_name = "simulated"
        self.seed = seed
        self.processors = processors
        self.most = most
        self.checks = checks
        self.live: weakref.WeakValueDictionary[int, Array] = weakref.WeakValueDictionary()
        self.peak = 0

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        made = simulate.empty(shape, dtype)
        self.live[address_of(made)] = made
        self.peak = max(self.peak, self.allocated)
        return DeviceArray(made, self, True)

    def new_queue(self) -> Any:
        return Immediate()

    def external(self, number: int | None) -> Any:
        """Return the default queue, which is its only one that other libraries could know."""
        if number is not None:
            raise ValueError(f"{self.name} has no stream of another library, got {number}")
        return self.default

    def new_mark(self, timing: bool = False) -> Any:
        return Instant()

    def stream_number(self, queue: Any) -> int:
        return 0

    def ended(self, queue: Any) -> bool:
        return True

    def wait_for(self, queue: Any) -> None:
        pass

    def pinned(self, shape: Any, dtype: Any) -> Array:
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
        """The bytes that living arrays hold; nothing is held beyond them."""
        return sum(array.nbytes for array in self.living())

    reserved = allocated

    def reset_peak(self) -> None:
        self.peak = self.allocated

    def empty_cache(self) -> None:
        pass

    def summary(self) -> str:
        labels = [((a.shape, str(a.dtype)), a.nbytes) for a in self.living()]
        return f"{self.name}: {held_by(labels)}"

    def write(self, array: DeviceArray, values: Any, wait: bool = True) -> None:
        np.copyto(array.geometry, values, casting="no")
        mark_written(array.geometry)

    def read(self, array: DeviceArray, wait: bool = True) -> Array:
        return np.array(array.geometry, subok=False)

    def run(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        args: Sequence[Any],
        shared: int = 0,
    ) -> None:
        held = [a.geometry if isinstance(a, DeviceArray) else a for a in args]
        self.seed += 1
        simulate.launch(
            kernel,
            grid,
            block,
            *held,
            shared=shared,
            seed=self.seed,
            races=self.checks,
            uninitialised=self.checks,
            reach=self.reach,
            float64=not any(np.dtype(getattr(a, "dtype", "b")) == np.float64 for a in held),
        )

    def synchronize(self) -> None:
        pass


def mark_written(view: Array) -> None:
    """Count the elements of a simulated array, which lie without gaps, as written."""
    owner: Any = view
    while getattr(owner, "written", None) is None and isinstance(owner.base, np.ndarray):
        owner = owner.base
    written = getattr(owner, "written", None)
    if written is not None and view.size:
        first = address_of(view) - address_of(owner)
        written[first : first + view.nbytes] = b"\1" * view.nbytes
