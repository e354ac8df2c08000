"""Write down the launches of one call of a function, while it runs as ever.

All launches of a thread go through its table of kernels, all memory through `empty`: for the time
of a recording both are this file's.  An array is known by where it lies: in memory that `empty`
has made, in an argument of the call, in a tensor that the function refers to, or in numbers that
somebody has declared.  What lies elsewhere was computed outside of the kernels, and ends the
recording.
"""

from __future__ import annotations

import sys
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigrad.capturing.program import (
    CELL,
    CONSTANT,
    INPUT,
    MADE,
    OUTSIDE,
    Buffer,
    Launch,
    Operand,
    Program,
    Table,
)
from minigrad.capturing.traced import Traced, plain
from minigrad.engine.allocator import ELSEWHERE, Lease
from minigrad.engine.device import USED, DeviceArray
from minigrad.engine.dispatch import KERNELS, dispatch
from minigrad.engine.overwrite import bounds
from minigrad.engine.profiling import running_op
from minigrad.engine.recording import recording
from minigrad.engine.trace import user_line
from minigrad_kernels.jit.address_table import SIZE, P
from minigrad_kernels.jit.arguments import CONTROL, names

Array = np.ndarray[Any, Any]
EMPTY_BYTES = 1  # memory of an array without elements still has a place of its own
SENTINEL = object()  # in USED: ops take their general ways, which end at the door


class Recorder:
    """What one call of a function launches.

    reason: why it cannot be replayed, None so far.
    host: what each call does beside its launches, as (function, the numbers that it renews or
    None); checks: what it asks of its inputs; expected: attributes that must not change.
    """

    def __init__(self, name: str, memory: int | None = None) -> None:
        self.program = Program(name)
        self.memory = memory  # bytes that may be made, all of which are held; None: any number
        self.reason: str | None = None
        self.checking = False
        self.host: list[tuple[Callable[..., Any], Buffer | None, Any]] = []
        self.checks: list[tuple[Callable[[Any], Any], Operand]] = []
        self.expected: list[tuple[Any, str, Any]] = []
        self.starts: list[int] = []
        self.at: dict[int, Buffer] = {}

    # ------------------------------------------------------------ what others tell
    def refuse(self, reason: str) -> None:
        """Keep the first reason, with the line of the user's code."""
        if self.reason is None:
            self.reason = f"{reason}, at {user_line()}"

    def each_call(self, refresh: Callable[..., Any], array: Any) -> None:
        """Note what each call does first, and the numbers that it sets anew."""
        buffer = None
        if array is not None:
            buffer = self.add(CELL, array, "numbers of the call")
        like = None if array is None else (array.shape, array.dtype)
        self.host.append((refresh, buffer, like))

    def each_input(self, check: Callable[[Any], Any], array: Any) -> None:
        """Check an input now, and in each call."""
        self.checking = True
        try:
            check(plain(array))
        finally:
            self.checking = False
        operand = self.operand(array)
        if operand is None:
            return
        if operand.buffer.kind not in (INPUT, OUTSIDE):
            self.refuse("numbers that the function itself computes are checked by Python")
            return
        self.checks.append((check, operand))

    def expect(self, owner: Any, name: str, value: Any) -> None:
        """Note an attribute that must stay as it is."""
        self.expected.append((owner, name, value))

    def constant(self, array: Any) -> None:
        """Note an array of numbers that are the same in every call."""
        if isinstance(array, np.ndarray) and not isinstance(array, Traced):
            self.add(CONSTANT, array, "constant")

    # ------------------------------------------------------------ memory
    def add(self, kind: str, array: Array, label: str) -> Buffer:
        """Enter the memory of an array, from its first byte to its last."""
        low, high = bounds(array) if array.size else (address_of(array),) * 2
        buffer = Buffer(len(self.program.buffers), kind, low, high - low, array, label)
        if kind in (CONSTANT, CELL):
            buffer.initial = np.ascontiguousarray(plain(array)).tobytes()
        self.program.buffers.append(buffer)
        if low not in self.at:
            insort(self.starts, low)
        self.at[low] = buffer
        return buffer

    def place(self, shape: Any, dtype: Any, like: Any) -> Any:
        """Return memory for `empty`: what the engine may keep without a copy, as its own is."""
        if recording.recorder is not self:
            return ELSEWHERE[1](shape, dtype, like) if len(ELSEWHERE) > 1 else None
        if type(like) is DeviceArray:
            self.refuse("an array lies on a device")
            return ELSEWHERE[1](shape, dtype, like)
        kind = np.dtype(dtype)
        sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        count = 1
        for n in sizes:
            count *= int(n)
        size = max(EMPTY_BYTES, count * kind.itemsize)
        if self.memory is not None:
            self.memory -= size
            if self.memory < 0:
                self.refuse("a recording holds all that is made on the way, and it is too much")
        lease = Lease(size, np.uint8)
        if self.reason is None:
            self.add(MADE, lease, "")
        return Traced(sizes, kind, lease)

    def lying(self, array: Array) -> Buffer | None:
        """Return the buffer that an array is a part of, if there is one."""
        low, high = bounds(array)
        found = bisect_right(self.starts, low) - 1
        buffer = self.at[self.starts[found]] if found >= 0 else None
        return buffer if buffer is not None and high <= buffer.start + buffer.size else None

    def operand(self, array: Array, label: str = "") -> Operand | None:
        """Return where an array lies; None, and a reason, where that is not known."""
        buffer = self.lying(array)
        if buffer is None:
            if array.ndim and label not in CONTROL:  # a number of Python's has no dimensions
                self.refuse(
                    f"an array of shape {array.shape} was not made by a kernel, nor is it an"
                    " argument or a tensor that the function refers to"
                )
                return None
            buffer = self.add(CONSTANT, array, "constant")
        offset = address_of(array) - buffer.start
        return Operand(buffer, offset, array.shape, array.strides, array.dtype)

    # ------------------------------------------------------------ launches
    def __getitem__(self, name: str) -> Callable[..., None]:
        """Return the launch of a kernel: this is the thread's table for now."""

        def run(*args: Any) -> None:
            if recording.recorder is self:
                self.note(name, args)
            self.kernels[name](*[plain(a) for a in args])

        return run

    def note(self, name: str, args: tuple[Any, ...]) -> None:
        """Write a launch down."""
        if self.reason is not None:
            return
        kernel = KERNELS[name]
        labels = names(kernel, args)
        written = {*kernel.out, *kernel.inout}
        if not written <= set(labels):
            self.refuse(f"kernel {name} does not say which arguments it writes")
            return
        reads: list[Buffer] = []
        writes: list[Buffer] = []
        kept: list[Any] = []
        for label, value in zip(labels, args, strict=True):
            if not isinstance(value, np.ndarray):
                if type(value) is DeviceArray:
                    self.refuse("an array lies on a device")
                kept.append(value)
            elif not value.size:
                kept.append(np.empty(value.shape, value.dtype))
            elif label == "table":
                table = self.table(value, args[labels.index("like")].dtype.itemsize)
                kept.append(table)
                touched = [buffer for _, _, buffer, _ in table.places]
                reads += touched
                writes += [] if kernel.out else touched
            else:
                operand = self.operand(value, label)
                if operand is None:
                    return
                kept.append(operand)
                if label in written:
                    writes.append(operand.buffer)
                if label not in kernel.out:
                    reads.append(operand.buffer)
        flops, traffic = kernel.cost(*[plain(a) for a in args])
        cost = int(flops), int(traffic)
        self.program.launches.append(
            Launch(
                name, tuple(kept), unique(reads), unique(writes), cost, user_line(), running_op()
            )
        )

    def table(self, numbers: Array, item: int) -> Table:
        """Return a table of addresses, with what lies there."""
        copy = np.array(plain(numbers))
        places = []
        for row in range(len(copy)):
            for column in range(P, copy.shape[1]):
                start = int(copy[row, column])
                found = bisect_right(self.starts, start) - 1
                buffer = self.at[self.starts[found]] if found >= 0 else None
                size = int(copy[row, SIZE]) * item
                if buffer is None or start >= buffer.start + max(buffer.size, 1):
                    self.refuse(f"a launch writes {size} bytes of memory that is not known")
                    continue
                places.append((row, column, buffer, start - buffer.start))
        return Table(copy, tuple(places))

    # ------------------------------------------------------------ begin and end
    def __enter__(self) -> Recorder:
        self.kernels = dispatch.kernels
        self.small = getattr(dispatch, "small", None)
        recording.recorder = self
        dispatch.kernels = self  # type: ignore[assignment]
        if self.small is not None:
            dispatch.small = self
        ELSEWHERE.insert(0, self.place)
        USED.append(SENTINEL)
        return self

    def __exit__(self, *_: Any) -> None:
        USED.remove(SENTINEL)
        ELSEWHERE.remove(self.place)
        if self.small is not None:
            dispatch.small = self.small
        dispatch.kernels = self.kernels
        recording.recorder = None

    def enter(self, items: Iterable[tuple[str, str, Array]]) -> None:
        """Enter memory that was there before the call, as (kind, label, array).

        Tensors of the function that overlap are one piece of memory; an argument overlaps with
        nothing.
        """
        spans = sorted(
            (*bounds(a), kind, label, i, a) for i, (kind, label, a) in enumerate(items) if a.size
        )
        last: Buffer | None = None
        for low, high, kind, label, _, array in spans:
            if last is not None and low < last.start + last.size:
                if INPUT in (last.kind, kind):
                    self.refuse(f"{label} shares memory with {last.label}")
                last.size = max(last.size, high - last.start)
                last.held = (last.held, array)
                continue
            last = self.add(kind, array, label)

    def survivors(self) -> list[Buffer]:
        """Return the buffers made that somebody holds, beside this recording."""
        # The list, the loop and the count's own: whoever else refers to a lease is an array.
        return [
            b
            for b in self.program.buffers
            if b.kind == MADE and not b.lasting and sys.getrefcount(b.held) > HELD
        ]


def address_of(array: Any) -> int:
    """Return the address of an array's first element."""
    return int(array.__array_interface__["data"][0])


def unique(buffers: list[Buffer]) -> tuple[Buffer, ...]:
    """Return buffers without repetition, in their order."""
    return tuple(dict.fromkeys(buffers))


# References to a lease that nobody outside holds, as `survivors` counts them.
HELD = 2
