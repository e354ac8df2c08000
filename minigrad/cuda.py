"""NVIDIA GPUs: whether there are any, their streams, and what of their memory is held.

    >>> import minigrad as mg
    >>> device = "cuda" if mg.cuda.is_available() else "cpu"
    >>> mg.ones(2).to(device).sum().item()
    2.0

Streams work on "cuda-sim" too, where everything has ended when the call that asks for it returns.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minigrad.engine.device import Device, targets

__all__ = [
    "Event",
    "ExternalStream",
    "Stream",
    "current_stream",
    "default_stream",
    "device_count",
    "empty_cache",
    "get_device_name",
    "graph",
    "host_transfers",
    "is_available",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "memory_summary",
    "reset_peak_memory_stats",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """Return whether tensors can go to "cuda": a GPU, its driver, and the `cuda` extra are there.

    >>> is_available() == (device_count() > 0)
    True
    """
    return device_count() > 0


def device_count() -> int:
    """Return the number of GPUs that can be used, 0 where something is missing."""
    try:
        return int(targets().driver().devices)
    except Exception:  # whatever a part that is missing or broken raises: no GPU can be used
        return 0


def get_device_name(device: Any = None) -> str:
    """Return the name of a GPU; device: "cuda:1" or a number, the first one by default.

    Raises: RuntimeError that says what is missing where there is none.
    """
    return str(_target(device).device_name)


def synchronize(device: Any = None) -> None:
    """Wait until all that was launched on a device has ended: kernels run behind the program."""
    _target(device).synchronize()


def memory_allocated(device: Any = None) -> int:
    """Return the bytes that living tensors of a device hold."""
    return int(_target(device).allocated)


def memory_reserved(device: Any = None) -> int:
    """Return the bytes held of a device, those of freed tensors, kept for the next, among them."""
    return int(_target(device).reserved)


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes that living tensors of a device have held at a time."""
    return int(_target(device).peak)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let `max_memory_allocated` begin again with what is held now."""
    _target(device).reset_peak()


def empty_cache(device: Any = None) -> None:
    """Give memory that no tensor holds back to the device."""
    _target(device).empty_cache()


def memory_summary(device: Any = None) -> str:
    """Return a table of what a device's memory is held by, the most first."""
    return str(_target(device).summary())


def host_transfers(device: Any = None) -> dict[str, int]:
    """Return how often numbers have gone between the host and a GPU so far, by kind.

    "reads": to the host, each a wait, of a whole step the loss alone.  "uploads": from the host.
    "constants": numbers that never change, sent once.  A step whose counts rise from call to call
    waits more than it needs to.

    Raises: RuntimeError that says what is missing where there is no GPU.

    >>> if is_available():
    ...     print(host_transfers()["reads"])
    """
    counts = _target(device).counts
    return {name: int(getattr(counts, name)) for name in ("reads", "uploads", "constants")}


def graph(
    function: Callable[..., Any] | None = None,
    *,
    explain: bool = False,
    most: int = 8,
    device: Any = None,
) -> Any:
    """Return a function that launches all that `function` launches on a GPU by one call.

    As `minigrad.capture`, which does the same where an argument lies on a GPU: the first call runs
    as ever, the second is recorded, all after that replay, where what the function refers to is as
    it was.  A graph keeps the memory of all that it makes, and results are copied out of it.

    explain, most: see `capture`.  device: "cuda:1" or a number; the first GPU by default.

    Raises: RuntimeError that says what is missing where there is no GPU.

    >>> if is_available():
    ...     step = graph(train_one_batch)
    """
    if function is None:
        return functools.partial(graph, explain=explain, most=most, device=device)
    capture = importlib.import_module("minigrad.capturing.captured").capture
    made = capture(function, explain=explain, most=most)
    made.gpu = _target(device)
    return made


# ---------------------------------------------------------------- streams
class Stream:
    """A sequence of a device's work, run in the order it came and beside other streams.

    device: "cuda:1", a number, "cuda-sim"; the first GPU by default.

    A tensor may be used on another stream than the one it was made on, once that is waited for;
    its memory is handed on only when the streams that used it have come past that.

    >>> import minigrad as mg
    >>> side = Stream("cuda-sim")
    >>> with stream(side):
    ...     x = mg.ones(3, device="cuda-sim")
    >>> current_stream("cuda-sim").wait_stream(side)
    >>> x.sum().item()
    3.0
    """

    def __init__(self, device: Any = None) -> None:
        self._target = _target(device)
        self._stream = self._target.new_stream()

    @property
    def device(self) -> Device:
        """The device that its work runs on."""
        return Device(self._target.name)

    @property
    def cuda_stream(self) -> int:
        """The driver's number of it, for other libraries; 0 is the default one."""
        return int(self._target.stream_number(self._stream))

    def synchronize(self) -> None:
        """Wait until all of its work has ended."""
        self._target.wait_for(self._stream)

    def query(self) -> bool:
        """Return whether all of its work has ended."""
        return bool(self._target.ended(self._stream))

    def record_event(self, event: Event | None = None) -> Event:
        """Set an event, a new one by default, at the end of its work; return it."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what comes from now on wait for an event."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Let what comes from now on wait for all that another stream has been given so far."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self._stream is other._stream

    def __hash__(self) -> int:
        return hash(self._stream)

    def __repr__(self) -> str:
        kind = "default stream" if self._stream is self._target.default else "stream"
        return f"<{kind} of {self._target.name}>"


class ExternalStream(Stream):
    """A stream of another library, which keeps it alive; number: the driver's, as in PyTorch's
    and CuPy's `cuda_stream` or `ptr`.

    >>> ExternalStream(0, "cuda-sim") == default_stream("cuda-sim")
    True
    """

    def __init__(self, number: int, device: Any = None) -> None:
        self._target = _target(device)
        self._stream = self._target.external(number or None)


class Event:
    """A place in a stream, to be waited for.

    enable_timing: whether `elapsed_time` may be asked.

    >>> start, end = Event(enable_timing=True), Event(enable_timing=True)
    >>> start.record(current_stream("cuda-sim"))
    >>> end.record(current_stream("cuda-sim"))
    >>> start.elapsed_time(end) >= 0
    True
    """

    def __init__(self, enable_timing: bool = False) -> None:
        self.enable_timing = enable_timing
        self._target: Any = None
        self._event: Any = None

    def record(self, stream: Stream | None = None) -> None:
        """Set it at the end of a stream's work; the current one's of the first GPU by default.

        Raises: RuntimeError where it was set on another device before.
        """
        stream = stream or current_stream()
        if self._event is None:
            self._target = stream._target
            self._event = self._target.new_event(self.enable_timing)
        elif self._target is not stream._target:
            raise RuntimeError(
                f"record: the event belongs to {self._target.name}, the stream to "
                f"{stream._target.name}: use an event for each device"
            )
        self._event.record(stream._stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let what a stream is given from now on wait for it; at once where it was never set."""
        if self._event is not None:
            self._event.wait((stream or current_stream(self._target.name))._stream)

    def query(self) -> bool:
        """Return whether all before it has ended, True where it was never set."""
        return self._event is None or bool(self._event.query())

    def synchronize(self) -> None:
        """Wait until all before it has ended."""
        if self._event is not None:
            self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Return the milliseconds from it to another event that was set.

        Raises: RuntimeError where one was not set, or not with `enable_timing`.
        """
        for name, event in (("the start", self), ("the end", end_event)):
            if event._event is None or not event.enable_timing:
                raise RuntimeError(
                    f"elapsed_time: {name} must be an Event(enable_timing=True) that was recorded"
                )
        end_event.synchronize()
        return float(self._event.elapsed_time(end_event._event))


def current_stream(device: Any = None) -> Stream:
    """Return the stream that this thread's work on a device goes to."""
    target = _target(device)
    return _stream_of(target, target.stream)


def default_stream(device: Any = None) -> Stream:
    """Return the stream that is current until another is chosen."""
    target = _target(device)
    return _stream_of(target, target.default)


@contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """Let this thread's work on a stream's device go to it; None changes nothing."""
    if stream is None:
        yield
        return
    with stream._target.using(stream._stream):
        yield


def _stream_of(target: Any, stream: Any) -> Stream:
    """Return the public object of a device's stream."""
    made = Stream.__new__(Stream)
    made._target, made._stream = target, stream
    return made


def _target(device: Any) -> Any:
    """Return a device's target; the first GPU's by default.

    Raises: ValueError for the CPU.
    """
    if isinstance(device, int):
        return Device("cuda", device).target()
    chosen = Device("cuda" if device is None else device)
    if chosen.type == "cpu":
        raise ValueError("expected a CUDA device, got 'cpu'")
    return chosen.target()
