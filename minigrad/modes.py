"""What is on in this thread: recording, anomaly detection, and a `Tape` that listens to what is
recorded.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = str(Path(__file__).parent) + os.sep


WATCHED = 2


class Mode(threading.local):
    """The switches of one thread.

    recording: False, True, or WATCHED when a `Tape` or anomaly detection is on too; the hot path
        reads this alone.
    """

    recording: int = True
    anomaly = False
    tape: Tape | None = None

    def level(self, record: bool) -> int:
        """Return what `recording` is to be."""
        return WATCHED if record and (self.anomaly or self.tape is not None) else record


mode = Mode()


def user_line() -> str:
    """Return "file:line" of the innermost frame outside this package.

    >>> user_line().rpartition(":")[2]
    '1'
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class set_grad_enabled(ContextDecorator):
    """Switch recording on or off in this thread, as a context manager or decorator."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.was: list[int] = []

    def __enter__(self) -> None:
        self.was.append(mode.recording)
        mode.recording = mode.level(self.enabled)

    def __exit__(self, *_: Any) -> None:
        mode.recording = self.was.pop()


class no_grad(set_grad_enabled):
    """Record nothing inside: results do not require grad.  Dropout and batch-norm are not changed
    by it.

    >>> import minigrad as mg
    >>> w = mg.ones(2, requires_grad=True)
    >>> with mg.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):
    """Record inside, also within `no_grad`."""

    def __init__(self) -> None:
        super().__init__(True)


def is_grad_enabled() -> bool:
    """Return whether this thread records.

    >>> is_grad_enabled()
    True
    """
    return bool(mode.recording)


class detect_anomaly(ContextDecorator):
    """Name the op, and its line in your code, whose gradient turns NaN, and catch writes through
    `numpy()`.

    Slow: every saved array is hashed.  `where` masks its gradient, so a NaN that it brings is
    0 * inf from the branch not taken: bring that branch's input into range first.

    >>> import minigrad as mg
    >>> x = mg.zeros(1, requires_grad=True)
    >>> with mg.detect_anomaly():
    ...     (mg.where(x > 0, x.sqrt(), x)).sum().backward()
    Traceback (most recent call last):
    ...
    RuntimeError: the gradient of Sqrt ... is NaN for its input 0, ...
    """

    def __enter__(self) -> None:
        self.was = mode.anomaly, mode.recording
        mode.anomaly = True
        mode.recording = mode.level(bool(mode.recording))

    def __exit__(self, *_: Any) -> None:
        mode.anomaly, mode.recording = self.was


# ---------------------------------------------------------------- looking at the tape
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
        self._watches: list[Callable[[Tape], None]] = []

    def __enter__(self) -> Tape:
        self._watches = [watch() for watch in WATCHES]
        self._was = mode.tape, mode.recording
        mode.tape = self
        mode.recording = mode.level(bool(mode.recording))
        return self

    def __exit__(self, *_: Any) -> None:
        mode.tape, mode.recording = self._was
        for finish in self._watches:
            finish(self)
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

    def _add(self, op: Any, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
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
