"""A pool of large blocks of memory, so that the next array need not fault its pages in again.

An array that NumPy frees goes back to the system from some size on, and the next one of its size
costs a page fault every 4 KB: more than the arithmetic of most elementwise kernels.  Here the
block behind a large array returns to the pool when the array and all views of it are gone, and an
array takes a free block of its size or up to twice as large.  Sizes that take turns leave holes
nonetheless, so the process may own half as much again as it once had in use at one time.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import math
import mmap
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.cuda.array import DeviceArray

Array = np.ndarray[Any, Any]
Shape = int | tuple[int, ...]

POOLED = 1 << 20  # bytes from which arrays come from the pool; below, malloc keeps its pages itself
LESSON = 31 << 20
SLACK = 1.5  # times what was once in use is the most that is owned
NEAR = 2  # times what is asked for: a free block so much larger is taken before a new one
HUGE = 1 << 22  # bytes from which 2 MB pages are asked for
# A child process after a fork must not write into its parent's arrays.
PRIVATE: dict[str, int] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
)


class Lease(np.ndarray[Any, Any]):
    """The base of a pooled array: alive while the array or a view of it is.

    NumPy lets a view of a view refer to the first one's base, unless that is of another type: so a
    pooled array stays alive behind its views, this lease with it, and its end is theirs.  Its own
    base must not be an array, which they would refer to in its place.
    """

    pool: Pool | None = None
    block: mmap.mmap

    def __reduce_ex__(self, protocol: Any) -> Any:
        return np.frombuffer, (bytearray(self), np.uint8)  # plain memory wherever it is read again

    def __del__(self) -> None:
        if self.pool is not None:
            self.pool.returned.append(self.block)


class Pool:
    """Blocks that are free, by size.

    >>> pool = Pool()
    >>> x = pool.take((512, 1024), np.float32)
    >>> where = x.ctypes.data
    >>> del x
    >>> pool.take((1024, 512), np.float32).ctypes.data == where
    True
    """

    def __init__(self) -> None:
        # A finalizer that the collector runs while it is held may ask for memory too.
        self.lock = threading.RLock()
        # Appended to by whoever lets go of an array, a collector's run in any thread included: the
        # sums below change under the lock alone.
        self.returned: collections.deque[mmap.mmap] = collections.deque()
        self.free: dict[int, list[mmap.mmap]] = {}  # the size last used is the last
        self.held = self.used = self.peak = 0  # bytes: free here, in arrays, most ever in arrays

    def take(self, shape: Shape, dtype: Any) -> Array:
        """Return an array of undefined content; its block returns to the pool when it goes."""
        dtype = np.dtype(dtype)
        count = shape if isinstance(shape, int) else math.prod(shape)
        size = rounded(max(1, count * dtype.itemsize))
        with self.lock:
            self.settle()
            found = size if size in self.free else self.larger(size)
            blocks = self.free.pop(found, [])
            block = blocks.pop() if blocks else None
            if blocks:
                self.free[found] = blocks
            if block is not None:
                size = found
                self.held -= size
            self.used += size
            self.peak = max(self.peak, self.used)
            self.shrink(int(SLACK * self.peak) - self.used)
        if block is None:
            try:
                block = self.allocate(size)
            except BaseException:
                with self.lock:
                    self.used -= size
                raise
        lease = Lease(size, np.uint8, buffer=block)
        lease.block = block
        lease.pool = self
        return np.ndarray(shape, dtype, buffer=lease)

    def allocate(self, size: int) -> mmap.mmap:
        """Return new pages; where there are none, give up what is held and try once more."""
        try:
            block = mmap.mmap(-1, size, **PRIVATE)
        except (OSError, OverflowError, ValueError):
            self.clear()
            try:
                block = mmap.mmap(-1, size, **PRIVATE)
            except (OSError, OverflowError, ValueError):
                raise MemoryError(
                    f"cannot allocate {size:,} bytes: large arrays in use hold {self.peak:,}"
                ) from None
        if hasattr(mmap, "MADV_HUGEPAGE") and size >= HUGE:
            with contextlib.suppress(OSError):  # a kernel without them
                block.madvise(mmap.MADV_HUGEPAGE)  # a fault each 2 MB in place of 512
        return block

    def larger(self, size: int) -> int:
        """Return the least size of a free block that holds a smaller one, 0 where none is near."""
        return min((held for held in self.free if size < held <= NEAR * size), default=0)

    def settle(self) -> None:
        """Enter the blocks that came back; the lock is held."""
        while self.returned:
            block = self.returned.popleft()
            size = len(block)
            blocks = self.free.pop(size, [])
            blocks.append(block)
            self.free[size] = blocks
            self.held += size
            self.used -= size

    def shrink(self, limit: int) -> None:
        """Let go of the sizes unused for longest until at most `limit` bytes are held; the lock is
        held.
        """
        while self.held > limit:
            size = next(iter(self.free))
            self.free[size].pop()
            self.held -= size
            if not self.free[size]:
                del self.free[size]

    def clear(self) -> None:
        """Return all that is free to the system."""
        with self.lock:
            self.settle()
            self.shrink(0)
            self.peak = self.used


def rounded(size: int) -> int:
    """Return a size up to an eighth larger, one of eight between two powers of two.

    >>> rounded(1_000_000), rounded(1 << 20)
    (1048576, 1048576)
    """
    step = 1 << max(0, (size - 1).bit_length() - 4)
    return -(-size // step) * step


POOL = Pool()


def give_back_freed() -> None:
    """Return to the system what the pool and malloc hold and nobody uses, where they can."""
    POOL.clear()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:  # glibc's: it keeps holes between blocks otherwise
        trim(0)


def teach_malloc() -> None:
    """Have glibc keep up to twice LESSON bytes of what is freed at the end of its heap.

    It begins by giving all beyond 128 KB back to the system, which a training step then faults in
    anew, a page at a time: a fifth of the time of a small convolutional net.  It learns from the
    largest block that is freed, up to 32 MB (mallopt(3), M_MMAP_THRESHOLD); this one is never
    touched, so it costs a few microseconds and no memory.
    """
    with contextlib.suppress(MemoryError):
        np.empty(LESSON, np.uint8)


teach_malloc()

# Once a device is in use: (shape, dtype, like) -> an array there, or None for the host.
ELSEWHERE: list[Callable[..., Any]] = []


def empty(shape: Shape, dtype: Any, like: Any = None) -> Array:
    """Return an array of undefined content: NumPy's, or from the pool where it is large.

    On the device of `like`, if that is an array, else where the running op computes.

    >>> empty((2, 3), np.float32).shape
    (2, 3)
    """
    if ELSEWHERE:
        placed = ELSEWHERE[0](shape, dtype, like)
        if placed is not None:
            return placed
    y = np.empty(shape, dtype)
    # None of its pages has been touched, so that giving it up for a pooled one costs nothing.
    return y if y.nbytes < POOLED else POOL.take(y.shape, y.dtype)


def owns(array: Any) -> bool:
    """Return whether an array is all there is of its memory: no view, and nobody else's."""
    if type(array) is DeviceArray:
        return array.whole
    return array.flags.owndata if array.base is None else type(array.base) is Lease
