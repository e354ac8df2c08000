"""Looking for faults: `detect_anomaly` and `check_launches`.

Beside the heart: an op that is recorded, a saved input that is used and a rule's gradients go by
the `Anomaly` in `mode.anomaly`, where there is one.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.engine.dispatch import CHECKED, dispatch
from minigrad.engine.grad_mode import Bare, mode
from minigrad.engine.op import Op, name_of
from minigrad.engine.origins import Origins
from minigrad.engine.trace import user_line

Array = np.ndarray[Any, Any]


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


class Anomaly:
    """The calls that the heart makes while anomaly detection is on.

    origins: what first made a value that is not finite, see engine/origins.py.
    """

    def __init__(self, origins: Origins | None = None) -> None:
        self.origins = origins or Origins()

    def recorded(self, op: Op, inputs: Sequence[Any]) -> None:
        """Note the line that recorded an op, and a hash of each input's elements."""
        op.where = user_line()
        checksums = [checksum(t.array) for t in inputs]

        def check_saved(i: int, t: Any) -> None:
            if checksums[i] != checksum(t.array):
                raise RuntimeError(
                    f"{name_of(op)} needs its input {i}, shape {t.array.shape}, for its gradient, "
                    "but its memory was written"
                    " through numpy() or another alias since; copy the array before writing to it"
                )

        op.check_saved = check_saved

    def check_gradients(self, node: Op, parts: Iterable[Any]) -> None:
        """Name the op whose gradient has turned NaN or infinite.

        Raises: RuntimeError.
        """
        if self.origins.check_nan:
            self.origins.swept(node, parts)


def checksum(data: Array) -> int:
    """Return a hash of the elements, to notice a write that the tape did not see."""
    return zlib.crc32(data.tobytes())


class detect_anomaly(Bare):
    """Name the first op, forward or backward, that makes a NaN or an infinity, its line in your
    code and what it was given; catch writes through `numpy()`; check each launch of a kernel as
    `check_launches` does.

    A NaN is named where it is made: by the op itself, or, where infinities became one (inf - inf,
    0 * inf), by the op that made the infinity, with both lines.  An infinity is named once a NaN, a
    gradient or the number that is differentiated comes of it, for log(0) under a mask is no fault.
    What enters from outside, data or a parameter, is named as that.

    Slow: every array is read, every saved one hashed.  `where` masks its gradient, so a NaN that it
    brings is 0 * inf from the branch not taken: bring that branch's input into range first.

    check_nan: False looks for writes alone.  save: the path of a repro, `path.npz` with the op's
        inputs and `path.py` that runs it on them, written when a NaN is named.

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

    def __new__(
        cls, function: Any = None, *, check_nan: bool = True, save: str | Path | None = None
    ) -> Any:
        given = function if callable(function) else None
        made = object.__new__(cls)
        made.check_nan = check_nan if function is None or given else bool(function)
        made.save = save
        return made if given is None else made(given)

    def _again(self) -> detect_anomaly:
        again: detect_anomaly = type(self)(check_nan=self.check_nan, save=self.save)
        return again

    check_nan: bool
    save: str | Path | None

    def _turn(self) -> tuple[Anomaly | None, bool, Any]:
        was = mode.anomaly, CHECKS._turn(), mode.tape
        if mode.anomaly is None or (mode.anomaly.origins.save, self.check_nan) != (self.save, True):
            origins = Origins(mode.tape, self.save, self.check_nan)
            mode.anomaly = Anomaly(origins)
            mode.tape = origins if self.check_nan else mode.tape
        mode.recording = mode.level(bool(mode.recording))
        return was

    def _restore(self, was: tuple[Anomaly | None, bool, Any]) -> None:
        inner = mode.anomaly
        mode.anomaly, checked, mode.tape = was
        CHECKS._restore(checked)
        mode.recording = mode.level(bool(mode.recording))
        if inner is not None and inner is not mode.anomaly and sys.exc_info()[0] is None:
            inner.origins.finish()
