"""A caching pool of device memory: what arrays give back is kept for the next of its size.

An allocation of the driver's waits for the device; one from here does not.  Memory is handed on
while kernels that use it are still under way, to arrays of the same stream alone, whose kernels
come after those.  A stream waits for the others that used an array of its own before the array's
memory is handed on.
"""

from __future__ import annotations

import collections
import functools
import threading
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Any

SMALLEST = 9  # bits: 512 bytes, what the driver's own blocks are multiples of
LISTED = 8  # kinds of arrays that a summary names
WORKING = (), "working memory"  # what a summary calls what was lent


class Memory:
    """Memory of a driver, given back when it is let go of; free: what gives it back."""

    __slots__ = ("address", "free")

    def __init__(self, address: int, free: Callable[[int], None]) -> None:
        self.address = address
        self.free = free

    def __del__(self) -> None:
        self.free(self.address)


make = object.__new__


class Block:
    """Memory that one array, and its views, hold.

    stream: the one it was asked for on.  others: further streams whose kernels or copies used it.

    It knows the memory's address alone.  The collector finalises all that a garbage cycle holds, so
    if it held the `Memory` itself, that would be freed while the pool hands its address on.
    """

    __slots__ = ("address", "others", "pool", "size", "stream")

    pool: DevicePool
    address: int
    size: int
    stream: Any
    others: set[Any] | None

    def used_on(self, stream: Any) -> None:
        """Note a further stream that uses it."""
        if stream is not self.stream:
            self.others = (self.others or set()) | {stream}

    def __del__(self) -> None:
        self.pool.returned.append((self.size, self.address, self.stream, self.others))


class DevicePool:
    """Blocks of one device, by size.

    name: the device's.  allocate: bytes -> (memory, address), or a MemoryError; the memory is freed
        when it is let go of, which the pool alone does.  after: lets a stream wait for others.
    """

    def __init__(
        self,
        name: str,
        allocate: Callable[[int], tuple[Any, int]],
        after: Callable[[Any, Iterable[Any]], None],
    ) -> None:
        self.name = name
        self.allocate = allocate
        self.after = after
        self.lock = threading.RLock()
        # Appended to by whoever lets go of an array, a collector's run in any thread included.
        self.returned: collections.deque[tuple[int, int, Any, set[Any] | None]]
        self.returned = collections.deque()
        self.memory: dict[int, Any] = {}  # by address: all that is held of the device
        # Heaps: of a size the lowest address comes first, so that a step that frees what it takes
        # gets the same addresses each time, and tables of addresses stay as they are.
        self.free: dict[tuple[int, Any], list[int]] = {}  # addresses
        self.living: dict[int, tuple[Any, Any, int]] = {}  # address -> shape, dtype, bytes
        self.allocated = self.reserved = self.peak = 0  # bytes: of arrays, of all, most of arrays

    def take(self, nbytes: int, shape: tuple[int, ...], dtype: Any, stream: Any = None) -> Block:
        """Return a block for an array of a stream.

        Raises: MemoryError that says what holds the device's memory.
        """
        size = rounded(nbytes)
        return self.block(size, (shape, dtype, size), stream)

    def block(self, size: int, label: tuple[Any, Any, int], stream: Any) -> Block:
        """Return a block as `take` does; size: rounded.  label: shape, dtype and size."""
        address = self.lend(size, label, stream)
        made = make(Block)  # with no frame for it
        made.pool = self
        made.address = address
        made.size = size
        made.stream = stream
        made.others = None
        return made

    def lend(self, size: int, label: tuple[Any, Any, int], stream: Any) -> int:
        """Return the address of memory that is to be given back on the same stream; as `block`.

        Raises: MemoryError that says what holds the device's memory.
        """
        with self.lock:
            if self.returned:
                self.settle()
            free = self.free.get((size, stream))
            address = heappop(free) if free else self.fresh(*label)
            self.allocated = allocated = self.allocated + size
            if allocated > self.peak:
                self.peak = allocated
            self.living[address] = label
        return address

    def give(self, size: int, address: int, stream: Any) -> None:
        """Take back what was lent."""
        self.returned.append((size, address, stream, None))

    def fresh(self, shape: tuple[int, ...], dtype: Any, size: int) -> int:
        """Return the address of new memory; where there is none, give back what is free first."""
        try:
            memory, address = self.allocate(size)
        except MemoryError:
            self.drop()
            try:
                memory, address = self.allocate(size)
            except MemoryError as error:
                raise MemoryError(
                    f"{self.name} has no {size:,} bytes for an array of {shape} {dtype}; "
                    f"{held_by(self.labels())}"
                ) from error
        self.memory[address] = memory
        self.reserved += size
        return address

    def settle(self) -> None:
        """Enter the blocks that came back; the lock is held."""
        returned, free, living = self.returned, self.free, self.living
        gone = 0
        while returned:
            size, address, stream, others = returned.popleft()
            if others:
                self.after(stream, others)
            held = free.get((size, stream))
            if held is None:
                held = free[size, stream] = []
            heappush(held, address)
            gone += size
            del living[address]
        self.allocated -= gone

    def drop(self) -> None:
        """Give all that is free back to the device; the lock is held."""
        self.settle()
        for (size, _), addresses in self.free.items():
            self.reserved -= size * len(addresses)
            for address in addresses:
                del self.memory[address]
        self.free.clear()

    def empty_cache(self) -> None:
        """Give all that no array holds back to the device."""
        with self.lock:
            self.drop()

    def labels(self) -> Iterable[tuple[Any, int]]:
        """Return shape and dtype, and the bytes, of every living array."""
        with self.lock:
            self.settle()
            return [((shape, str(dtype)), size) for shape, dtype, size in self.living.values()]


@functools.lru_cache(4_096)
def rounded(size: int) -> int:
    """Return a size up to an eighth larger, of few between two powers of two.

    >>> rounded(1), rounded(1000), rounded(1_000_000)
    (512, 1024, 1048576)
    """
    step = 1 << max(SMALLEST, (max(1, size) - 1).bit_length() - 4)
    return -(-max(1, size) // step) * step


def held_by(labels: Iterable[tuple[Any, int]]) -> str:
    """Return what holds memory, arrays of one shape and dtype together, the most first.

    >>> held_by([(((2, 3), "float32"), 512)] * 2)
    'living arrays hold 1,024 bytes: 2 of (2, 3) float32 (1,024 bytes)'
    """
    sums: dict[Any, list[int]] = {}
    for label, size in labels:
        sums.setdefault(label, []).append(size)
    order = sorted(sums.items(), key=lambda item: -sum(item[1]))
    kinds = [f"{len(n)} of {shape} {d} ({sum(n):,} bytes)" for (shape, d), n in order[:LISTED]]
    rest = sum(len(n) for _, n in order[LISTED:])
    kinds += [f"{rest} others"] if rest else []
    total = sum(sum(n) for n in sums.values())
    return f"living arrays hold {total:,} bytes" + (f": {', '.join(kinds)}" if kinds else "")
