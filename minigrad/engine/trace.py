"""Looking at the tape: a `Tape` keeps what is computed, and `user_line` says where.

Beside the heart: `Op.show` gives each op to the open `Tape`, if there is one.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigrad.engine.grad_mode import NOT_HERE, leave, mode

PACKAGE = str(Path(__file__).parent.parent) + os.sep


def user_line() -> str:
    """Return "file:line" of the innermost frame outside this package.

    >>> user_line().rpartition(":")[2]
    '1'
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@dataclass(frozen=True)
class Entry:
    """One op as a `Tape` saw it.  inputs, outputs: positions of values on that tape; nbytes: of its
    outputs.
    """

    op: str
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    where: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


# Called when a Tape opens, for engines beside the tensors': each returns what adds its ops when
# the tape closes.
WATCHES: list[Callable[[], Callable[[Any], None]]] = []


class Tape:
    """Keep what is computed inside the context, to print or to draw.

    >>> import minigrad as mg
    >>> x = mg.ones(2, 3, requires_grad=True)
    >>> with mg.Tape() as tape:
    ...     y = (x * 2).sum()
    >>> [entry.op for entry in tape]
    ['Mul', 'Sum']
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._numbers: dict[int, int] = {}
        self._held: list[Any] = []
        self._next = itertools.count()
        self._open = 0  # how many `with` blocks it is inside of

    def __enter__(self) -> Tape:
        mode.entered.append((self, (mode.tape, [watch() for watch in WATCHES])))
        mode.tape = self
        mode.recording = mode.level(bool(mode.recording))
        self._open += 1
        return self

    def __exit__(self, *_: Any) -> None:
        was = leave(self)
        if was is NOT_HERE:
            return
        mode.tape, watches = was
        mode.recording = mode.level(bool(mode.recording))
        for finish in watches:
            finish(self)
        self._open -= 1
        if not self._open:
            self._held.clear()  # ids are free to be used again from here
            self._numbers.clear()

    def _number(self, t: Any) -> int:
        if id(t) not in self._numbers:
            self._numbers[id(t)] = self.fresh()
            self._held.append(t)
        return self._numbers[id(t)]

    def fresh(self) -> int:
        """Return a number that no value on this tape has yet."""
        return next(self._next)

    def add(self, op: Any, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Write down an op that was computed."""
        first = outputs[0].array
        self.entries.append(
            Entry(
                type(op).__name__,
                tuple(t.array.shape for t in inputs),
                first.shape,
                str(first.dtype),
                sum(t.array.nbytes for t in outputs),
                user_line(),
                tuple(self._number(t) for t in inputs),
                tuple(self._number(t) for t in outputs),
            )
        )

    def __iter__(self) -> Any:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        lines = [f"{'#':>4}  {'op':<16} {'inputs -> output':<44} {'bytes':>10}  where"]
        for i, e in enumerate(self.entries):
            shapes = ", ".join(str(list(s)) for s in e.shapes) + f" -> {list(e.shape)} {e.dtype}"
            lines.append(f"{i:>4}  {e.op:<16} {shapes:<44} {e.nbytes:>10,}  {e.where}")
        total = sum(e.nbytes for e in self.entries)
        lines.append(f"{len(self.entries)} ops, {total:,} bytes of outputs")
        return "\n".join(lines)

    def to_dot(self) -> str:
        """Return the graph in Graphviz's language: boxes are ops, ellipses are the values that came
        from outside.

        >>> Tape().to_dot()
        'digraph tape {\\n}'
        """
        lines = ["digraph tape {"]
        made: dict[int, int] = {}
        outside: set[int] = set()
        for i, e in enumerate(self.entries):
            lines.append(f'  op{i} [shape=box, label="{e.op}\\n{list(e.shape)}"];')
            for shape, value in zip(e.shapes, e.inputs, strict=True):
                if value in made:
                    lines.append(f"  op{made[value]} -> op{i};")
                    continue
                if value not in outside:
                    lines.append(f'  value{value} [label="{list(shape)}"];')
                    outside.add(value)
                lines.append(f"  value{value} -> op{i};")
            for value in e.outputs:
                made[value] = i
        return "\n".join([*lines, "}"])
