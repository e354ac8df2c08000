"""What is on in this thread: recording, anomaly detection, and a `Tape` that listens to what is
recorded.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import sys
import threading
import types
import warnings
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from minigrad.engine.dispatch import CHECKED, dispatch

PACKAGE = str(Path(__file__).parent.parent) + os.sep


WATCHED = 2


class Mode(threading.local):
    """The switches of one thread.

    recording: False, True, or WATCHED when a `Tape` or anomaly detection is on too; the hot path
        reads this alone.
    """

    recording: int = True
    anomaly = False
    tape: Tape | None = None

    def __init__(self) -> None:
        # Contexts that this thread is inside of, with what each has to restore, the last last.
        self.entered: list[tuple[Any, Any]] = []

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


# ---------------------------------------------------------------- contexts and decorators
F = TypeVar("F", bound=Callable[..., Any])
NOT_HERE = object()


class Switch:
    """What is switched for a while, as a context manager or a decorator.

    A subclass says what `_turn` switches, and what that was before.  One instance may be entered
    again while it is entered, and by several threads: what each entry has to restore is kept with
    the thread, not with the instance.
    """

    def _turn(self) -> Any:
        """Switch, and return what `_restore` takes."""
        raise NotImplementedError

    def _restore(self, was: Any) -> None:
        raise NotImplementedError

    def _again(self) -> Switch:
        """Return a context like this one for one call of what it decorates."""
        return type(self)()

    def __enter__(self) -> Any:
        mode.entered.append((self, self._turn()))

    def __exit__(self, *_: Any) -> None:
        was = leave(self)
        if was is not NOT_HERE:
            self._restore(was)

    def __call__(self, function: F) -> F:
        """Return a function, generator function or coroutine function whose body runs so.

        A generator's body does while it runs, and what consumes it does not; so a coroutine's
        between its waits.

        Raises: TypeError for what cannot be called.
        """
        if inspect.isclass(function):
            warnings.warn(
                f"{type(self).__name__} on a class gives a function that makes its instances: "
                "decorate __init__, or the methods that are meant",
                FutureWarning,
                stacklevel=2,
            )
            return cast(F, call_within(self._again, lambda *a, **k: function(*a, **k)))
        if not callable(function):
            raise TypeError(
                f"{type(self).__name__}: expected a function to decorate, got "
                f"{type(function).__name__}: {function!r:.60}"
            )
        if inspect.isgeneratorfunction(function):
            return cast(F, generate_within(self._again, function))
        if inspect.iscoroutinefunction(function):
            return cast(F, await_within(self._again, function))
        if inspect.isasyncgenfunction(function):
            return cast(F, generate_async_within(self._again, function))
        return cast(F, call_within(self._again, function))


def leave(context: Any) -> Any:
    """Take a context's last entry in this thread away; return what it is to restore.

    A generator may be closed by a thread that never entered it: there is nothing to restore there.
    """
    entered = mode.entered
    for i in range(len(entered) - 1, -1, -1):
        if entered[i][0] is context:
            return entered.pop(i)[1]
    return NOT_HERE


def call_within(make: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with each call inside a new context."""

    @functools.wraps(function)
    def within(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return within


def resume(make: Callable[[], Any], step: Callable[..., Any], *args: Any) -> Any:
    """Run a suspended body on to its next stop inside a new context."""
    with make():
        return step(*args)


def drive(make: Callable[[], Any], body: Any) -> Generator[Any, Any, Any]:
    """Yield what a generator or coroutine yields, with each stretch of it inside a context."""
    step: Callable[..., Any] = body.send
    args: tuple[Any, ...] = (None,)
    while True:
        try:
            value = resume(make, step, *args)
        except StopIteration as end:
            return end.value
        try:
            step, args = body.send, ((yield value),)
        except GeneratorExit:
            resume(make, body.close)
            raise
        except BaseException as error:
            step, args = body.throw, (error,)


def generate_within(make: Callable[[], Any], function: Callable[..., Any]) -> Any:
    """Return a generator function whose body runs inside a context, its consumer not."""

    @functools.wraps(function)
    def within(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from drive(make, function(*args, **kwargs)))

    return within


def await_within(make: Callable[[], Any], function: Callable[..., Any]) -> Any:
    """Return a coroutine function whose body runs inside a context, other tasks not."""

    @types.coroutine
    def steps(body: Any) -> Generator[Any, Any, Any]:
        return (yield from drive(make, body))

    @functools.wraps(function)
    async def within(*args: Any, **kwargs: Any) -> Any:
        return await steps(function(*args, **kwargs))

    return within


def generate_async_within(make: Callable[[], Any], function: Callable[..., Any]) -> Any:
    """Return an async generator function whose body runs inside a context, its consumer not."""

    @types.coroutine
    def steps(awaitable: Any) -> Generator[Any, Any, Any]:
        return (yield from drive(make, awaitable.__await__()))

    @functools.wraps(function)
    async def within(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = function(*args, **kwargs)
        step, sent = body.asend, None
        try:
            while True:
                try:
                    value = await steps(step(sent))
                except StopAsyncIteration:
                    return
                try:
                    step, sent = body.asend, (yield value)
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step, sent = body.athrow, error
        finally:
            await steps(body.aclose())

    return within


class set_grad_enabled(Switch):
    """Switch recording on or off in this thread: at once, and, used by `with`, until its end.

    Also a decorator, `@mg.set_grad_enabled(False)`, which switches for the decorated function
    alone.  At the end of a `with` recording is as it was when the instance was made.

    enabled: whether to record.  Raises: TypeError where it is no bool.

    >>> import minigrad as mg
    >>> _ = mg.set_grad_enabled(False)
    >>> mg.is_grad_enabled()
    False
    >>> with mg.set_grad_enabled(True):
    ...     print(mg.is_grad_enabled())
    True
    >>> _ = mg.set_grad_enabled(True)
    """

    def __init__(self, enabled: bool) -> None:
        if type(enabled).__name__ not in ("bool_", "bool"):  # Python's or NumPy's
            raise TypeError(
                f"set_grad_enabled: expected True or False, got {type(enabled).__name__}: "
                f"{enabled!r:.60}"
            )
        self.enabled = bool(enabled)
        self._maker = threading.get_ident()
        self._before = self._turn()

    def __call__(self, function: F) -> F:
        if self._maker == threading.get_ident():
            self._restore(self._before)
        return super().__call__(function)

    def _turn(self) -> bool:
        was = bool(mode.recording)
        mode.recording = mode.level(self.enabled)
        # In the thread that made it, the statement has switched already: its end undoes that.
        return getattr(self, "_before", was) if self._maker == threading.get_ident() else was

    def _restore(self, was: bool) -> None:
        mode.recording = mode.level(was)

    def _again(self) -> Switch:
        return set_grad_enabled(self.enabled)

    def __repr__(self) -> str:
        return f"set_grad_enabled({self.enabled})"


class Bare(Switch):
    """A switch without arguments: its class is a decorator by itself, without parentheses."""

    def __new__(cls, function: Any = None) -> Any:
        made = object.__new__(cls)
        return made if function is None else made(function)


class Recording(Bare):
    """Switch recording to what `record` says."""

    record: bool

    # Every evaluation and every decorated call comes through these two: nothing is called twice.
    def __enter__(self) -> None:
        now = mode.recording
        mode.entered.append((self, bool(now)))
        if now is not self.record:
            mode.recording = self.record and mode.level(True)

    def __exit__(self, *_: Any) -> None:
        entered = mode.entered
        was = entered.pop()[1] if entered and entered[-1][0] is self else leave(self)
        if was is not NOT_HERE and mode.recording is not was:
            mode.recording = was and mode.level(True)

    def _turn(self) -> bool:
        was = bool(mode.recording)
        mode.recording = self.record and mode.level(True)
        return was

    def _restore(self, was: bool) -> None:
        mode.recording = mode.level(was)


class no_grad(Recording):
    """Record nothing inside: results do not require grad.  Dropout and batch-norm are not changed
    by it.

    Also a decorator, `@mg.no_grad()` or `@mg.no_grad`, of functions, methods, generators and
    coroutines.  It is of this thread alone; as in PyTorch, a `with mg.no_grad():` that stands
    around an `await` holds for other tasks of the thread meanwhile: decorate the coroutine instead.
    **Ours:** one instance may be entered again while it is entered.

    >>> import minigrad as mg
    >>> w = mg.ones(2, requires_grad=True)
    >>> with mg.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    >>> @mg.no_grad
    ... def double(x):
    ...     return x * 2
    >>> double(w).requires_grad
    False
    """

    record = False


class enable_grad(Recording):
    """Record inside, also within `no_grad`; a context manager or decorator, see `no_grad`.

    >>> import minigrad as mg
    >>> w = mg.ones(2, requires_grad=True)
    >>> with mg.no_grad(), mg.enable_grad():
    ...     y = w * 2
    >>> y.requires_grad
    True
    """

    record = True


def is_grad_enabled() -> bool:
    """Return whether this thread records.

    >>> is_grad_enabled()
    True
    """
    return bool(mode.recording)


class check_launches(Bare):
    """Check each launch of a kernel in this thread: that its arrays are what it is compiled for.

    What a kernel writes can be written, is aligned, repeats no element and shares no memory with
    what it reads; indices lie inside their arrays.  minigrad sees to that by itself: this is for
    those who write ops or kernels, or look for what changed memory behind their back.  The
    environment variable `MINIGRAD_CHECKED=1` does so in all threads, from the import on.

    Slow: 10 to 100 us a launch, and where indices lie on a GPU they are read to the host.
    A context manager or decorator, see `no_grad`.
    Raises: RuntimeError that names the kernel and the arguments.

    >>> import numpy as np
    >>> from minigrad.engine.dispatch import launch
    >>> x = np.zeros(4)
    >>> with check_launches():
    ...     launch("exp", x[1:], x[:-1])
    Traceback (most recent call last):
    ...
    RuntimeError: kernel exp: y, float64 (3,), shares memory with its argument a0, float64 (3,)
    """

    def _turn(self) -> bool:
        was = dispatch.checked
        if not was:
            dispatch.check(True)
        return was

    def _restore(self, was: bool) -> None:
        if dispatch.checked != (was or CHECKED):
            dispatch.check(not dispatch.checked)


CHECKS = check_launches()


class detect_anomaly(Bare):
    """Name the op, and its line in your code, whose gradient turns NaN, and catch writes through
    `numpy()`; check each launch of a kernel as `check_launches` does.

    Slow: every saved array is hashed.  `where` masks its gradient, so a NaN that it brings is
    0 * inf from the branch not taken: bring that branch's input into range first.

    A context manager, and (**ours**) a decorator, with and without parentheses; of this thread
    alone (PyTorch's is of the process).

    >>> import minigrad as mg
    >>> x = mg.zeros(1, requires_grad=True)
    >>> with mg.detect_anomaly():
    ...     (mg.where(x > 0, x.sqrt(), x)).sum().backward()
    Traceback (most recent call last):
    ...
    RuntimeError: the gradient of Sqrt ... is NaN for its input 0, ...
    """

    def _turn(self) -> tuple[bool, bool]:
        was = mode.anomaly, CHECKS._turn()
        mode.anomaly = True
        mode.recording = mode.level(bool(mode.recording))
        return was

    def _restore(self, was: tuple[bool, bool]) -> None:
        mode.anomaly, checked = was
        CHECKS._restore(checked)
        mode.recording = mode.level(bool(mode.recording))


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
