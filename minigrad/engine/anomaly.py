"""Looking for faults: `detect_anomaly` and `check_launches`.

Beside the heart: an op that is recorded, a saved input that is used and a rule's gradients go by
the `Anomaly` in `mode.anomaly`, where there is one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import host_copy
from minigrad.engine.dispatch import CHECKED, dispatch, empty, launch
from minigrad.engine.grad_mode import Bare, mode
from minigrad.engine.op import Op, name_of
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
    """The calls that the heart makes while anomaly detection is on."""

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
        """Name the op whose gradient has turned NaN.

        Raises: RuntimeError.
        """
        for i, g in enumerate(parts):
            if g is None or not holds_nan(g.array):
                continue
            bad = int(np.isnan(host_copy(g.array)).sum())
            raise RuntimeError(
                f"the gradient of {name_of(node)} is NaN for its input {i}, shape {g.array.shape}"
                f" ({bad} of {g.array.size} elements)"
            )


ANOMALY = Anomaly()


def checksum(data: Array) -> int:
    """Return a hash of the elements, to notice a write that the tape did not see."""
    return zlib.crc32(data.tobytes())


def holds_nan(a: Any) -> bool:
    """Return whether an array holds a NaN: of one on a device one number is read."""
    if isinstance(a, np.ndarray):
        return bool(np.isnan(a).any())
    if not a.size:
        return False
    found, held = empty((a.size,), np.bool_, a), empty((), np.bool_, a)
    launch("isnan", a, found.reshape(a.shape))
    launch("max", found, (0,), held)
    return bool(held.item())


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

    def _turn(self) -> tuple[Anomaly | None, bool]:
        was = mode.anomaly, CHECKS._turn()
        mode.anomaly = ANOMALY
        mode.recording = mode.level(bool(mode.recording))
        return was

    def _restore(self, was: tuple[Anomaly | None, bool]) -> None:
        mode.anomaly, checked = was
        CHECKS._restore(checked)
        mode.recording = mode.level(bool(mode.recording))
