"""`checked`: every op is verified as it runs."""

from __future__ import annotations

from typing import Any

from minigrad.checking.blaming import TOLERANCE, Listener, Suspect, accused
from minigrad.checking.report import GradcheckError
from minigrad.engine.grad_mode import Bare, mode


class checked(Bare):
    """Verify the rule of every op as it runs: its gradients against differences along random
    directions, at the values that it has.

    Some ten evaluations an op: for small models, and the first step of a program.  An op is
    verified again where its shapes or options are others than before, up to `each` times.

    each: how often the same op at the same shapes is verified.
    A context manager or decorator, see `no_grad`.
    Raises: GradcheckError that names the op, its line in your code and the kind of mistake.

    >>> import minigrad as mg
    >>> x = mg.ones(3, requires_grad=True)
    >>> with checked() as seen:
    ...     y = (x * x).sum()
    >>> seen.count
    2
    """

    each = 3

    def __new__(cls, function: Any = None, *, each: int = 3) -> Any:
        made = object.__new__(cls)
        made.each, made.count, made.seen, made.busy = each, 0, {}, False
        return made if function is None else made(function)

    def _again(self) -> checked:
        again: checked = type(self)(each=self.each)
        return again

    def __enter__(self) -> checked:
        super().__enter__()
        return self

    count: int
    busy: bool
    seen: dict[Any, int]

    def _turn(self) -> Any:
        was = mode.tape
        mode.tape = Listener(was, self.hear)
        mode.recording = mode.level(bool(mode.recording))
        return was

    def _restore(self, was: Any) -> None:
        mode.tape = was
        mode.recording = mode.level(bool(mode.recording))

    def hear(self, suspect: Suspect) -> None:
        """Verify an op, unless it was at these shapes before."""
        if self.busy:
            return
        shapes = tuple((a.shape, a.dtype) for a in suspect.inputs)
        key = suspect.op, shapes, repr(suspect.meta), suspect.moving
        times = self.seen.get(key, 0)
        if times >= self.each:
            return
        self.seen[key] = times + 1
        self.busy = True
        was, mode.tape = mode.tape, None
        try:
            self.count += accused(suspect, TOLERANCE)
        except GradcheckError as error:
            words = str(error).replace("blame: ", "checked: ")
            raise GradcheckError(words, error.mismatch, error.kind) from None
        finally:
            self.busy, mode.tape = False, was
            mode.recording = mode.level(bool(mode.recording))
