"""What a recording writes down: launches over buffers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

INPUT, OUTSIDE, CELL, CONSTANT, MADE = "input", "outside", "cell", "constant", "made"


@dataclass(eq=False)
class Buffer:
    """A piece of memory that launches read or write.

    kind: "input", an argument of the call; "outside", memory that was there before, such as a
    parameter's; "cell", numbers that each call sets anew (a random counter, the learning rates);
    "constant"; "made", by the function itself.
    start, size: where it lay while recording, and its bytes.  held: what owns that memory.
    initial: the bytes of a constant that the program writes, which each call starts from.
    label: what it is to the user, "" where that is not known.
    first, last: the launches between which it is alive; -1 where it is before the first.
    lasting: whether it outlives the call (a gradient, an output).
    """

    number: int
    kind: str
    start: int
    size: int
    held: Any = field(repr=False)
    label: str = ""
    initial: Any = field(default=None, repr=False)
    first: int = -1
    last: int = -1
    lasting: bool = False


@dataclass(frozen=True)
class Operand:
    """An array argument of a launch: a view of a buffer."""

    buffer: Buffer
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    def of(self, memory: Any) -> Array:
        """Return this view of other memory of the buffer's size: an array of bytes."""
        return np.ndarray(self.shape, self.dtype, memory, self.offset, self.strides)

    def same(self, other: Operand, names: dict[Buffer, Any], others: dict[Buffer, Any]) -> bool:
        """Return whether two recordings mean the same by two operands."""
        mine = names[self.buffer], self.offset, self.shape, self.strides, self.dtype
        return mine == (
            others[other.buffer],
            other.offset,
            other.shape,
            other.strides,
            other.dtype,
        )


@dataclass(frozen=True)
class Table:
    """An argument that holds addresses, of the memory of many tensors.

    places: (row, column, buffer, offset) of each address in `numbers`.
    """

    numbers: Array
    places: tuple[tuple[int, int, Buffer, int], ...]


@dataclass
class Launch:
    """One launch: a kernel's name, its arguments, and the line of the user's code.

    op: what made it: an op, the gradient of one, an optimizer's step.
    seconds: how long it takes, where that has been measured.
    """

    kernel: str
    args: tuple[Any, ...]
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    cost: tuple[int, int]
    where: str
    op: str = ""
    seconds: float | None = None

    def buffers(self) -> Iterator[Buffer]:
        """Yield all buffers of the launch."""
        yield from self.reads
        yield from self.writes


@dataclass
class Program:
    """The launches of one call of a function, in their order, and the buffers between them."""

    name: str
    launches: list[Launch] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    removed: int = 0  # launches whose results nobody reads
    places: dict[Buffer, int] = field(default_factory=dict)  # of buffers, in the arena
    arena: int = 0  # bytes in which all that is made and does not outlive a call has its place

    def __iter__(self) -> Iterator[Launch]:
        return iter(self.launches)

    def __len__(self) -> int:
        return len(self.launches)

    def timed(self) -> bool:
        """Return whether the launches have been timed."""
        return bool(self.launches) and all(x.seconds is not None for x in self.launches)

    def made(self) -> int:
        """Return the bytes of all that is made and does not outlive a call."""
        return sum(b.size for b in self.buffers if b.kind == MADE and not b.lasting)

    def used(self) -> list[Buffer]:
        """Return the buffers of the launches, in the order of their first use."""
        return list(dict.fromkeys(b for launch in self.launches for b in launch.buffers()))

    def release(self) -> None:
        """Let go of the memory that was made on the way: to compare, its places say enough."""
        for buffer in self.buffers:
            if buffer.kind == MADE and not buffer.lasting:
                buffer.held = None

    def __str__(self) -> str:
        lines = [f"{'#':>4}  {'kernel':<28} {'reads -> writes':<48} {'flops':>12} {'bytes':>12}"]
        lines[0] += f"  {'us':>8}  where" if self.timed() else "  where"
        for i, launch in enumerate(self.launches):
            flops, traffic = launch.cost
            flow = f"{shown(launch.reads)} -> {shown(launch.writes)}"
            line = f"{i:>4}  {launch.kernel:<28} {flow:<48} {flops:>12,} {traffic:>12,}  "
            if launch.seconds is not None:
                line += f"{launch.seconds * 1e6:>8.1f}  "
            lines.append(line + launch.where)
        lines += ["", f"{'buffer':<8} {'kind':<9} {'bytes':>12}  {'alive':<12} what"]
        for buffer in self.used():
            alive = "always" if buffer.kind != MADE else f"{buffer.first} to {buffer.last}"
            alive = f"{buffer.first} on" if buffer.lasting else alive
            lines.append(
                f"{name_of(buffer):<8} {buffer.kind:<9} {buffer.size:>12,}  {alive:<12} "
                f"{buffer.label}"
            )
        flops = sum(launch.cost[0] for launch in self.launches)
        lines += [
            "",
            f"{len(self)} launches ({self.removed} more that nobody reads are left out), "
            f"{flops:,} flops; {self.made():,} bytes are made on the way, in {self.arena:,}",
        ]
        if self.timed():
            total = sum(launch.seconds or 0.0 for launch in self.launches)
            lines.append(f"{total * 1e6:,.1f} us, each launch called from Python")
        return "\n".join(lines)

    def to_dot(self) -> str:
        """Return the program in Graphviz's language: boxes are launches, ellipses the memory that
        is there before the call.

        >>> Program("step").to_dot()
        'digraph program {\\n}'
        """
        lines = ["digraph program {"]
        writer: dict[Buffer, int] = {}
        drawn: set[Buffer] = set()
        for i, launch in enumerate(self.launches):
            lines.append(f'  launch{i} [shape=box, label="{launch.kernel}"];')
            for buffer in dict.fromkeys(launch.buffers()):
                if buffer in writer:
                    lines.append(f"  launch{writer[buffer]} -> launch{i};")
                elif buffer.kind != MADE:
                    if buffer not in drawn:
                        label = buffer.label or f"{buffer.kind}, {buffer.size} bytes"
                        lines.append(f'  {name_of(buffer)} [label="{label}"];')
                        drawn.add(buffer)
                    lines.append(f"  {name_of(buffer)} -> launch{i};")
            for buffer in launch.writes:
                writer[buffer] = i
        return "\n".join([*lines, "}"])


def name_of(buffer: Buffer) -> str:
    """Return a short name of a buffer: a letter for its kind, and its number."""
    return f"{buffer.kind[0]}{buffer.number}"


def shown(buffers: Sequence[Buffer], most: int = 6) -> str:
    """Return the names of buffers, of many the first."""
    names = [name_of(b) for b in dict.fromkeys(buffers)]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")


# ---------------------------------------------------------------- two recordings of one function
def difference(first: Program, second: Program) -> str | None:
    """Say where two recordings of one function part; None where they are the same."""
    if len(first) != len(second):
        return f"one call makes {len(first)} launches, another {len(second)}"
    names: dict[Buffer, Any] = {}
    others: dict[Buffer, Any] = {}
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        place = f"launch {i}, {b.kernel} at {b.where},"
        if a.kernel != b.kernel or len(a.args) != len(b.args):
            return f"{place} was {a.kernel} in the call before"
        for x, y in zip(a.buffers(), b.buffers(), strict=False):
            names.setdefault(x, identity(x, len(names)))
            others.setdefault(y, identity(y, len(others)))
        for x, y in zip(a.args, b.args, strict=True):
            if not same_argument(x, y, names, others):
                return f"{place} has other arguments than in the call before"
    return None


def identity(buffer: Buffer, place: int) -> Any:
    """Return what tells a buffer from others across recordings: its memory, or where it came up."""
    if buffer.kind == OUTSIDE:
        # A gradient that is added to lies elsewhere from call to call, until those before replay.
        return OUTSIDE, buffer.label if buffer.label.endswith(".grad") else buffer.start
    if buffer.kind == CONSTANT:
        return CONSTANT, bytes_of(buffer)
    return buffer.kind, buffer.label if buffer.kind == INPUT else place


def bytes_of(buffer: Buffer) -> bytes:
    """Return what a constant holds."""
    return bytes(buffer.initial)


def same_argument(x: Any, y: Any, names: dict[Buffer, Any], others: dict[Buffer, Any]) -> bool:
    """Return whether two recordings give one argument the same meaning."""
    if isinstance(x, Operand) and isinstance(y, Operand):
        return x.same(y, names, others)
    if isinstance(x, Table) and isinstance(y, Table):
        blank = [t.numbers.copy() for t in (x, y)]
        for t, numbers in zip((x, y), blank, strict=True):
            for row, column, _, _ in t.places:
                numbers[row, column] = 0
        where = [(r, c, names[b], o) for r, c, b, o in x.places]
        return np.array_equal(blank[0], blank[1]) and where == [
            (r, c, others[b], o) for r, c, b, o in y.places
        ]
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        return type(x) is type(y) and x.shape == y.shape and x.dtype == y.dtype
    return type(x) is type(y) and bool(x == y or x != x)
