"""What other files tell a recording of this thread, if there is one: see minigrad/capturing.

Beside the heart: while nothing is recorded nor a device in use, `USED` is empty and nobody comes
here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

# Kernels that take part in what other processes do: a replay has all of them, in their order.
ORDERED: set[str] = set()


class Recording(threading.local):
    """The recorder that writes down this thread's launches, and the `profile` that times them;
    None while there is none.
    """

    recorder: Any = None
    profile: Any = None


recording = Recording()


def refuse_recording(reason: str) -> None:
    """Say that what happens here cannot be replayed: the recording ends, the call goes on."""
    if recording.recorder is not None:
        recording.recorder.refuse(reason)


def each_call(refresh: Callable[..., Any], array: Any = None) -> None:
    """Have `refresh()` called at each replay, before its launches, in the order of the recording.

    array: what it writes the call's numbers into, as `refresh(array)`; launches of the recording
    that have this array as an argument read a copy of their own, which replays renew.
    """
    if recording.recorder is not None:
        recording.recorder.each_call(refresh, array)


def each_input(check: Callable[[Any], Any], array: Any) -> None:
    """Have `check(array)` called at each replay, with the memory that stands for `array` there."""
    if recording.recorder is not None:
        recording.recorder.each_input(check, array)


def expect(owner: Any, name: str, value: Any) -> None:
    """Replay only where the attribute `name` of `owner` is still `value`."""
    if recording.recorder is not None:
        recording.recorder.expect(owner, name, value)


def constant(array: Any) -> None:
    """Say that an array which NumPy made holds the same numbers in every call."""
    if recording.recorder is not None:
        recording.recorder.constant(array)
