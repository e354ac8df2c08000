"""Launch CUDA kernels: size their grids, flatten their operands.

A CUDA kernel is a plain function with its row's arguments: `DeviceArray`s, numbers, and small host
arrays for what steers a step (hyperparameters, counts, the number of a random call), which it reads
or hands on.  It launches kernels on the device of its arrays and returns without waiting.

Kernels take C-contiguous arrays, uint32 or int32 sizes and numbers in the arrays' dtype, walk their
work in steps of the grid, so that any number of blocks computes the same, and give the same bits
whatever that number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.plan import Counter, Steering
from minigrad_kernels.cuda.targets import BLOCKS_A_PROCESSOR, Target, upload

THREADS = 256  # of a block, where nothing speaks for another number
MAX_ELEMENTS = 2**31 - 1  # of an array, so that 32-bit indices reach all


def target_of(args: Sequence[Any]) -> Target:
    """Return the device of the first device array.

    Raises: TypeError where there is none.
    """
    for a in args:
        if isinstance(a, DeviceArray):
            return a.target
    raise TypeError("a CUDA kernel was given no device array")


def run(
    kernel: Any,
    work: int | tuple[int, ...],
    block: int | tuple[int, ...],
    *args: Any,
    shared: int = 0,
) -> None:
    """Launch a kernel that walks `work` blocks' worth of work in steps of the grid.

    work: the blocks that would do it in one step, as an int or a tuple of up to three; the grid is
        cut to what fills the device.
    args: device arrays; NumPy scalars; ints (int64 in the kernel: wrap them, np.uint32(n)); small
        host arrays, which are copied to the device.
    """
    target = target_of(args)
    for a in args:
        if isinstance(a, DeviceArray) and a.size > MAX_ELEMENTS:
            raise ValueError(f"a CUDA kernel's array has at most {MAX_ELEMENTS} elements: {a!r}")
    held = [upload(target, a) if isinstance(a, np.ndarray) else a for a in args]
    target.run(kernel, grid_of(target, work), block, held, shared)


def grid_of(target: Target, work: int | tuple[int, ...]) -> int | tuple[int, ...]:
    """Return how many blocks to launch: at most what the device holds, at least one."""
    most = getattr(target, "most", None) or target.processors * BLOCKS_A_PROCESSOR
    if isinstance(work, tuple):
        first, *rest = work
        rest = [max(1, min(n, 65_535)) for n in rest]
        return (max(1, min(first, most)), *rest)
    return max(1, min(work, most))


def blocks(count: int, each: int = THREADS) -> int:
    """Return how many blocks of `each` it takes for `count`.

    >>> blocks(1000, 256), blocks(0)
    (4, 0)
    """
    return -(-count // each)


def number(value: float, like: Any) -> Any:
    """Return a number in the dtype of an array, as kernels take it."""
    return like.dtype.type(value)


def counter(array: Any, convert: Callable[[Any], Any]) -> Any:
    """Return the first number of a small host array, as a kernel's parameter that a plan reads anew
    at each run.

    convert: the number -> NumPy scalar; a global, so that plans know it again.
    """
    if type(array) is Steering:
        return Counter(array.array, convert, array.place)
    return convert(array[0])


class Word:
    """The low 32 bits of a whole number: the number of a random call, as kernels take it."""

    def __call__(self, value: Any) -> Any:
        """Return them as a NumPy scalar."""
        return np.uint32(self.bits(value))

    def bits(self, value: Any) -> int:
        """Return them as a plan writes them."""
        return int(value) & 0xFFFFFFFF


word = Word()


def scratch(shape: Any, dtype: Any, like: DeviceArray) -> DeviceArray:
    """Return working memory on the device of `like`, which may go once the launches are made."""
    return like.target.empty(shape, dtype)


def flat(a: DeviceArray) -> DeviceArray:
    """Return a contiguous array as one line; a ValueError where it is not contiguous."""
    return a.reshape(-1)


def vectors(*arrays: DeviceArray) -> bool:
    """Tell whether all are contiguous float32 that 128-bit accesses cover exactly."""
    return all(
        a.dtype == np.float32 and a.flags.c_contiguous and not a.size % 4 and not a.address % 16
        for a in arrays
    )
