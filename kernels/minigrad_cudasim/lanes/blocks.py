"""The threads of some blocks as lanes: where each is, what its block shares, its barriers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_cudasim.cuda import Atomic, Cuda, LocalMemory, Place, SharedMemory
from minigrad_cudasim.lanes.memory import EPOCH, THREAD, LaneArray, LaneRecords, Log, of_arguments
from minigrad_cudasim.lanes.values import (
    Array,
    Lanes,
    Mask,
    Unsupported,
    merged,
    parts_of,
    truth,
    whole,
)
from minigrad_cudasim.log import READS
from minigrad_cudasim.machine import MAX_SHARED, MAX_STATIC, Machine
from minigrad_cudasim.memory import SimulatedArray, as_dtype

BARRIERS = ("syncthreads", "syncthreads_count", "syncthreads_and", "syncthreads_or")
SELF = ("threadfence", "threadfence_block", "threadfence_system")  # order nothing without atomics
LARGEST = 1 << 26  # bytes of shared or local arrays at most


class Blocks:
    """The lanes of some blocks of a launch, thread after thread.

    numbers: of the blocks, x fastest.  arrays: those of the arguments by their identities.
    """

    def __init__(
        self,
        machine: Machine,
        cuda: Cuda,
        numbers: range,
        arrays: dict[int, LaneArray | LaneRecords],
    ):
        self.machine = machine
        self.cuda = cuda
        self.arrays = arrays
        shape, grid = machine.block, machine.grid
        self.threads = shape.x * shape.y * shape.z
        self.blocks = len(numbers)
        self.count = self.blocks * self.threads
        rank = np.tile(np.arange(self.threads), self.blocks)
        number = np.repeat(np.arange(numbers.start, numbers.stop), self.threads)
        self.rank = rank
        self.slot = number - numbers.start
        self.thread = places(rank, shape)
        self.block = places(number, grid)
        self.stamps: Array = ((number + 1) << (THREAD + EPOCH)) | rank
        self.epochs = 0
        self.reads = 0
        self.own: dict[Any, LaneArray] = {}  # shared and local arrays by where they are made
        self.shared: list[Log] = []
        self.static = 0
        self.unused: Any = None  # the call whose result goes nowhere
        whole_grid = grid.x * grid.y * grid.z == 1
        logs = [log for array in arrays.values() for log in logs_of(array)]
        self.single = logs if whole_grid else []

    # ------------------------------------------------------------ what names stand for
    def seen(self, value: Any) -> Any:
        """Return what a value of one thread is for all lanes: its arrays as theirs."""
        if isinstance(value, SimulatedArray):
            if id(value) not in self.arrays:
                self.arrays |= of_arguments((value,), False)
            return self.arrays[id(value)]
        if type(value) is tuple:
            return tuple(map(self.seen, value))
        return value

    def attribute(self, held: Any, name: str) -> Any:
        """Return an attribute of what is no number of a lane."""
        if isinstance(held, Place):
            where = self.thread if held is self.cuda.threadIdx else self.block
            return where["xyz".index(name)]
        if isinstance(held, LaneRecords) and name in held.fields:
            return held.fields[name]
        if isinstance(held, LaneArray | LaneRecords):
            if name not in ("shape", "size", "ndim"):
                raise Unsupported(f"an array's {name}")
            return getattr(held, name)
        if held is self.cuda and name == "laneid":
            return whole(self.rank % 32, 0, 31)
        if isinstance(held, Lanes):
            if held.kind == "c" and name in ("real", "imag"):
                return Lanes("d", np.ascontiguousarray(getattr(held.data, name)))
            raise Unsupported(f"a number's {name}")
        return self.seen(getattr(held, name))

    def known(self, function: Any) -> Callable[..., Any] | None:
        """Return what a function of `cuda` is for all lanes; None for one that is not of it.

        Raises: Unsupported for one that is done thread by thread alone.
        """
        owner = getattr(function, "__self__", None)
        name = getattr(function, "__name__", "")
        if isinstance(owner, SharedMemory):
            return self.shared_array
        if isinstance(owner, LocalMemory):
            return self.local_array
        if isinstance(owner, Atomic):
            return lambda node, mask, *args: self.atomic(name, node, mask, *args)
        if function is self.cuda.const.array_like:
            return lambda node, mask, array: array
        if owner is not self.cuda:
            return None
        if name in BARRIERS:
            return lambda node, mask, *value: self.barrier(name, mask, *value)
        if name in SELF:
            return lambda node, mask: None
        if name in ("grid", "gridsize", "selp"):
            return getattr(self, name)
        raise Unsupported(f"cuda.{name}")

    # ------------------------------------------------------------ places
    def grid(self, node: Any, mask: Mask, ndim: int) -> Any:
        """Return each lane's place in the grid."""
        place = tuple(
            whole(b.data * d + t.data, b.low * d + t.low, b.high * d + t.high)
            for b, d, t in zip(self.block, self.machine.block, self.thread, strict=True)
        )
        return place[0] if ndim == 1 else place[:ndim]

    def gridsize(self, node: Any, mask: Mask, ndim: int) -> Any:
        """Return the threads of the grid."""
        size = [g * b for g, b in zip(self.machine.grid, self.machine.block, strict=True)]
        return size[0] if ndim == 1 else tuple(size[:ndim])

    def selp(self, node: Any, mask: Mask, condition: Any, a: Any, b: Any) -> Any:
        """Return a where the condition is true, else b."""
        bits = truth(condition)
        if not isinstance(bits, np.ndarray):
            return a if bits else b
        return merged(bits, a, b, self.count)

    # ------------------------------------------------------------ arrays of their own
    def shared_array(
        self, node: Any, mask: Mask, shape: Any, dtype: Any, alignment: Any = None
    ) -> LaneArray:
        """Return the array that each block shares, one for each place in the source."""
        if shape in (0, (0,)):
            return self.dynamic_array(dtype)
        if node not in self.own:
            made = self.array(shape, dtype, self.blocks, self.slot, self.machine.races)
            self.static += made.size * made.dtype.itemsize
            if self.static > MAX_STATIC or self.static + self.machine.dynamic > MAX_SHARED:
                raise Unsupported("more shared memory than there is")
            self.own[node] = made
            assert made.log is not None
            self.shared.append(made.log)
        return self.own[node]

    def dynamic_array(self, dtype: Any) -> LaneArray:
        """Return all of each block's dynamic shared memory, of one dtype wherever it is asked for.

        Raises: Unsupported for a second dtype.
        """
        kind = as_dtype(dtype)
        if "dynamic" not in self.own:
            size = self.machine.dynamic // kind.itemsize
            made = self.array(size, kind, self.blocks, self.slot, self.machine.races)
            self.own["dynamic"] = made
            assert made.log is not None
            self.shared.append(made.log)
        if self.own["dynamic"].dtype != kind:
            raise Unsupported("dynamic shared memory of several types")
        return self.own["dynamic"]

    def atomic(self, name: str, node: Any, mask: Mask, array: Any, index: Any, value: Any) -> None:
        """Update an element of each lane's atomically.

        Raises: Unsupported where the old value is used, which depends on the order.
        """
        if node is not self.unused or not isinstance(array, LaneArray):
            raise Unsupported(f"what cuda.atomic.{name} returns")
        for on, part in parts_of(value, mask):
            array.update(name, index, part, on, self.count, self.stamps)

    def local_array(
        self, node: Any, mask: Mask, shape: Any, dtype: Any, alignment: Any = None
    ) -> LaneArray:
        """Return an array of each lane's own, whose content is undefined."""
        return self.array(shape, dtype, self.count, np.arange(self.count), False)

    def array(self, shape: Any, dtype: Any, copies: int, which: Array, races: bool) -> LaneArray:
        """Return an array of which there are several copies.

        which: the copy of each lane.
        """
        sizes = tuple(shape) if isinstance(shape, tuple) else (shape,)
        kind = as_dtype(dtype)
        if not all(type(n) is int and n > 0 for n in sizes):
            raise Unsupported("a shape of other than positive numbers")
        size = int(np.prod(sizes))
        if size * copies * kind.itemsize > LARGEST:
            raise Unsupported("arrays beyond what is held for all lanes")
        steps = tuple(int(np.prod(sizes[i + 1 :])) for i in range(len(sizes)))
        written = np.zeros(size * copies, np.bool_) if self.machine.uninitialised else None
        log = Log(size * copies, written, races)
        return LaneArray(np.zeros(size * copies, kind), sizes, steps, log, 0, which * size)

    # ------------------------------------------------------------ order
    def counted_read(self) -> None:
        """Count a read; a thread that reads very often waits in vain."""
        self.reads += 1
        if self.reads > READS:
            raise Unsupported("reads without end")

    def barrier(self, name: str, mask: Mask, value: Any = True) -> Any:
        """Let the lanes of whole blocks pass a barrier, and return what they come to together.

        Raises: Unsupported where a block's lanes do not all come to it.
        """
        self.reads = 0
        self.epochs += 1
        if self.epochs >= 1 << EPOCH:
            raise Unsupported("very many barriers")
        if mask is None:
            self.stamps = self.stamps + (1 << THREAD)
            for log in (*self.shared, *self.single):
                log.forget()
        else:
            came = mask.reshape(self.blocks, self.threads)
            if (came.any(axis=1) != came.all(axis=1)).any():
                raise Unsupported("a barrier that not all come to")
            self.stamps = self.stamps + (mask.astype(np.int64) << THREAD)
        if name == "syncthreads":
            return None
        bits = truth(value)
        held = bits if isinstance(bits, np.ndarray) else np.full(self.count, bits)
        votes = held.reshape(self.blocks, self.threads)
        rule: Any = {"count": np.sum, "and": np.all, "or": np.any}[name.rpartition("_")[2]]
        found = rule(votes, axis=1).astype(np.int64)
        return whole(np.repeat(found, self.threads), 0, self.threads)


def logs_of(array: LaneArray | LaneRecords) -> list[Log]:
    """Return the logs of an array, or of its fields."""
    held = array.fields.values() if isinstance(array, LaneRecords) else (array,)
    return [a.log for a in held if a.log is not None]


def places(rank: Array, shape: tuple[int, int, int]) -> tuple[Lanes, Lanes, Lanes]:
    """Return the x, y and z of numbers in a block or grid, x fastest."""
    x, y, z = shape
    return (
        Lanes("i", rank % x, 0, x - 1),
        Lanes("i", rank // x % y, 0, y - 1),
        Lanes("i", rank // (x * y), 0, z - 1),
    )
