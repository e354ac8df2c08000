"""Writing into memory that a user may hold: a parameter, a gradient, a buffer, a tensor's elements.

Kernels are compiled as if what they write could be written, lay at multiples of its element's size,
and shared no memory with what they read, nor with itself (design: "Kernel").  Memory from `empty`
is so; memory that came from outside may be read-only, repeat elements (an expanded view), or be a
view of what is read.  Whoever hands such memory to a kernel as an output asks here first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import DeviceArray
from minigrad.engine.dispatch import PARALLEL, empty, launch

WORK = 10_000  # steps of the exact search for a shared element before it counts as found


def check_writable(array: Any, name: str = "this tensor") -> None:
    """Raise a ValueError where `array` is read-only memory, or several of its elements share some.

    >>> check_writable(np.broadcast_to(np.zeros(1), 3), "the weight")
    Traceback (most recent call last):
    ...
    ValueError: the weight, shape (3,), cannot be written: it is an expanded view, several ...
    """
    flags = array.flags
    if not flags.writeable or (not flags.forc and repeats(array)):
        refuse(array, name)


def refuse(array: Any, name: str) -> None:
    """Say why an array cannot be written, and what to do."""
    if repeats(array):
        why = "it is an expanded view, several elements share memory; clone() it first"
    else:
        why = (
            "its memory is read-only, as that of an expanded view, a read-only NumPy array, a JAX"
            " array, a bytes object or a file mapped with mmap_mode='r'; clone() it first, or copy"
            " the array with minigrad.tensor(array)"
        )
    raise ValueError(f"{name}, shape {array.shape}, cannot be written: {why}")


def repeats(array: Any) -> bool:
    """Return whether two elements of an array share memory.

    >>> repeats(np.zeros((2, 3)).T), repeats(np.broadcast_to(np.zeros(1), (2, 3)))
    (False, True)
    """
    moving = [(abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1]
    if not array.size:
        return False
    reach = array.itemsize
    for step, n in sorted(moving):
        if step < reach:
            break
        reach += step * (n - 1)
    else:
        return False
    if any(step == 0 for step, _ in moving):
        return True
    where = np.zeros((), np.int64)
    for step, n in moving:
        where = np.add.outer(where, step * np.arange(n))
    return bool((np.diff(np.sort(where, None)) < array.itemsize).any())


def overlap(a: Any, b: Any) -> bool:
    """Return whether two arrays share an element; True where that takes too long to say.

    >>> x = np.zeros(4)
    >>> overlap(x[1:], x[:-1]), overlap(x[::2], x[1::2])
    (True, False)
    """
    both = type(a) is DeviceArray and type(b) is DeviceArray
    if both and a.whole and b.whole and a is not b and a.owner is not b.owner:
        return False  # each is all there is of its memory
    if not np.may_share_memory(a, b):
        return False
    a, b = getattr(a, "geometry", a), getattr(b, "geometry", b)
    try:
        return np.shares_memory(a, b, max_work=WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def same(a: Any, b: Any) -> bool:
    """Return whether two arrays are the same elements in the same order."""
    if a is b:
        return True
    a, b = getattr(a, "geometry", a), getattr(b, "geometry", b)
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.strides == b.strides
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )


def copy_of(array: Any) -> Any:
    """Return the elements in memory of their own."""
    y = empty(array.shape, array.dtype, array)
    launch("copy", array, y)
    return y


def apart(source: Any, target: Any) -> Any:
    """Return `source`, or a copy where the memory of `target` is a part of it."""
    return copy_of(source) if overlap(source, target) else source


def overwrite(target: Any, source: Any) -> None:
    """Copy `source`, broadcast and converted, into `target`, as if it had been copied first.

    `check_writable` comes before, where the error can name the tensor.  Below PARALLEL elements the
    copy is NumPy's, which minds the overlap by itself, but for rows of different steps: `x[::2] =
    x[:5]` is wrong in NumPy 2.

    >>> x = np.arange(4.0)
    >>> overwrite(x[1:], x[:-1])
    >>> x.tolist()
    [0.0, 0.0, 1.0, 2.0]
    """
    if target.size >= PARALLEL or type(target) is DeviceArray:
        if same(source, target):
            return
        source = apart(source, target)
    elif target.ndim == 1 and source.ndim and source.strides[-1] != target.strides[0]:
        source = apart(source, target)
    launch("copy", source, target)


def add_into(target: Any, other: Any) -> None:
    """Add `other` to `target` in place, as if it had been copied first."""
    if (target.size >= PARALLEL or type(target) is DeviceArray) and not same(other, target):
        other = apart(other, target)
    launch("add", target, other, target)


class Spans:
    """The memory of many arrays, to ask quickly whether more memory is a part of it.

    >>> x = np.zeros(8)
    >>> spans = Spans([x[:2], x[4:6]])
    >>> spans.touch(x[1:3]), spans.touch(x[2:4])
    (True, False)
    """

    def __init__(self, arrays: Iterable[Any]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        for start, end in sorted(bounds(a) for a in arrays if a.size):
            if self.ends and start < self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.starts.append(start)
                self.ends.append(end)

    def touch(self, array: Any) -> bool:
        """Return whether an array lies between the bounds of one of them."""
        start, end = bounds(array)
        k = bisect_left(self.starts, end) - 1
        return k >= 0 and self.ends[k] > start


def bounds(array: Any) -> tuple[int, int]:
    """Return the address of an array's first byte, and of the one behind its last."""
    low, high = np.lib.array_utils.byte_bounds(getattr(array, "geometry", array))
    return int(low), int(high)


def turns(arrays: Sequence[Any]) -> list[int]:
    """Return numbers for arrays that are to be written in order: those that share memory differ,
    and rise.

    >>> x = np.zeros(8)
    >>> turns([x[:4], x[2:6], x[6:], x])
    [0, 1, 0, 2]
    """
    found = [0] * len(arrays)
    if all(type(a) is DeviceArray and a.whole for a in arrays):
        owners = {id(a.owner) for a in arrays if a.owner is not None}
        if len(owners) == len(arrays):
            return found  # each is all there is of its memory
    spans = sorted((*bounds(a), i) for i, a in enumerate(arrays) if a.size)
    k = 0
    while k < len(spans):
        last, end = k + 1, spans[k][1]
        while last < len(spans) and spans[last][0] < end:
            end = max(end, spans[last][1])
            last += 1
        crowd = sorted(i for _, _, i in spans[k:last])
        for n, i in enumerate(crowd):
            earlier = [found[j] for j in crowd[:n] if overlap(arrays[i], arrays[j])]
            found[i] = 1 + max(earlier, default=-1)
        k = last
    return found
