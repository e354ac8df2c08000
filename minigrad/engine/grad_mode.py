"""The modes of this thread: recording, anomaly detection, a `Tape` that listens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from minigrad.engine.decorators import within

WATCHED = 2


class Mode(threading.local):
    """The switches of one thread.

    recording: False, True, or WATCHED when a `Tape` or anomaly detection is on too; the hot path
        reads this alone.
    anomaly: what looks for faults while `detect_anomaly` is on, see engine/anomaly.py.
    tape: the `Tape` that is open, see engine/trace.py.
    early: what sweeps in the next backward(), see engine/early.py.
    """

    recording: int = True
    anomaly: Any = None
    tape: Any = None
    early: Any = None

    def __init__(self) -> None:
        # Contexts that this thread is inside of, with what each has to restore, the last last.
        self.entered: list[tuple[Any, Any]] = []

    def level(self, record: bool) -> int:
        """Return what `recording` is to be."""
        watched = self.anomaly is not None or self.tape is not None
        return WATCHED if record and watched else record


mode = Mode()


F = TypeVar("F", bound=Callable[..., Any])
NOT_HERE = object()


class Switch:
    """A mode that is switched for a while, as a context manager or a decorator.

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
        return cast(F, within(type(self).__name__, self._again, function))


def leave(context: Any) -> Any:
    """Take a context's last entry in this thread away; return what it is to restore.

    A generator may be closed by a thread that never entered it: there is nothing to restore there.
    """
    entered = mode.entered
    for i in range(len(entered) - 1, -1, -1):
        if entered[i][0] is context:
            return entered.pop(i)[1]
    return NOT_HERE


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
