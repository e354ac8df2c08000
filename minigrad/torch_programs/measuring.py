"""`torch.profiler`, `torch.autograd.profiler` and `torch.utils.benchmark`: how long things take."""

from __future__ import annotations

import enum
import statistics
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from minigrad.engine.decorators import within


class record_function:
    """Name a part of a program: a context manager and a decorator, timed by a profile around it."""

    def __init__(self, name: str, args: Any = None) -> None:
        self.name, self._start = name, 0.0

    def __enter__(self) -> record_function:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: Any) -> None:
        seconds = time.perf_counter() - self._start
        for around in profile.running:
            around.add(self.name, seconds)

    def __call__(self, function: Any) -> Any:
        """Return a function whose calls are named so."""
        return within("record_function", lambda: record_function(self.name), function)


class ProfilerActivity(enum.Enum):
    """What PyTorch's profiler looks at."""

    CPU = 0
    CUDA = 1
    XPU = 2


class Event:
    """The calls of one named part."""

    def __init__(self, key: str) -> None:
        self.key, self.count, self.cpu_time_total = key, 0, 0.0

    @property
    def cpu_time(self) -> float:
        """The microseconds of a call."""
        return self.cpu_time_total / max(self.count, 1)


class Events(list[Event]):
    """The named parts, with a table of them."""

    def table(self, sort_by: str | None = None, row_limit: int = 100, **_: Any) -> str:
        """Return the parts with their calls and times, the longest first."""
        rows = sorted(self, key=lambda event: -event.cpu_time_total)[: max(row_limit, 0)]
        wide = max([len("Name"), *(len(event.key) for event in rows)])
        lines = [f"{'Name':<{wide}}  {'# of Calls':>10}  {'CPU total':>12}  {'CPU time avg':>12}"]
        lines += [
            f"{event.key:<{wide}}  {event.count:>10}  {event.cpu_time_total:>10.1f}us"
            f"  {event.cpu_time:>10.1f}us"
            for event in rows
        ]
        return "\n".join(lines)

    def total_average(self) -> Event:
        """Return all parts as one."""
        whole = Event("Total")
        whole.count = sum(event.count for event in self)
        whole.cpu_time_total = sum(event.cpu_time_total for event in self)
        return whole


class profile:
    """Time the parts of a program that `record_function` names, and the whole.

    Single ops are not timed here; see cProfile, or `minigrad.Tape` for which ops run.
    """

    running: list[profile] = []  # noqa: RUF012

    def __init__(self, *args: Any, on_trace_ready: Any = None, **options: Any) -> None:
        self.events_by_name: dict[str, Event] = {}
        self.on_trace_ready = on_trace_ready
        self._start = 0.0

    def add(self, name: str, seconds: float) -> None:
        """Count a call of a part."""
        event = self.events_by_name.setdefault(name, Event(name))
        event.count += 1
        event.cpu_time_total += 1e6 * seconds

    def start(self) -> None:
        """Begin."""
        self._start = time.perf_counter()
        profile.running.append(self)

    def stop(self) -> None:
        """End."""
        profile.running.remove(self)
        self.add("[profile]", time.perf_counter() - self._start)
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def step(self) -> None:
        """Count a step of training."""
        self.add("[step]", 0.0)

    def key_averages(self, *_: Any, **__: Any) -> Events:
        """Return the named parts."""
        return Events(self.events_by_name.values())

    def events(self) -> Events:
        """Return the named parts."""
        return self.key_averages()

    def export_chrome_trace(self, path: str) -> None:
        """Refuse: there is no trace of single ops."""
        raise NotImplementedError("profile.export_chrome_trace: single ops are not timed")


def schedule(**_: Any) -> Callable[[int], None]:
    """Return nothing to wait for: all steps are timed."""
    return lambda step: None


def tensorboard_trace_handler(*_: Any, **__: Any) -> Callable[[profile], None]:
    """Return what writes nothing: there is no trace of single ops."""
    return lambda held: None


PROFILER: dict[str, Any] = {
    "ProfilerActivity": ProfilerActivity,
    "profile": profile,
    "record_function": record_function,
    "schedule": schedule,
    "tensorboard_trace_handler": tensorboard_trace_handler,
}


class Measurement:
    """The seconds of one call, in several measurements."""

    def __init__(self, times: list[float], number: int, text: str) -> None:
        self.times, self.number_per_run, self._text = times, number, text

    @property
    def median(self) -> float:
        """The median of the seconds of one call."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """The mean of the seconds of one call."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """The distance between the quartiles."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4)
        return high - low

    def __repr__(self) -> str:
        seconds = self.median
        scale, unit = next(
            (s, u)
            for s, u in ((1.0, "s"), (1e3, "ms"), (1e6, "us"))
            if seconds * s >= 1 or u == "us"
        )
        runs = f"{len(self.times)} measurements, {self.number_per_run} runs per measurement"
        return f"{self._text}\n  {seconds * scale:.2f} {unit}\n  {runs}"


class Timer:
    """Time a statement, given as text with the names in `globals`."""

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = time.perf_counter,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        **_: Any,
    ) -> None:
        self._stmt = compile(stmt, "stmt", "exec")
        self._setup = compile(setup, "setup", "exec")
        self._timer, self._names = timer, dict(globals or {})
        self._text = ": ".join(part for part in (label or stmt, sub_label, description) if part)

    def _seconds(self, number: int) -> float:
        start = self._timer()
        for _ in range(number):
            exec(self._stmt, self._names)
        return self._timer() - start

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """Return the time of one call, the mean of `number`, after a few that do not count."""
        exec(self._setup, self._names)
        self._seconds(max(number // 100, 2))
        return Measurement([self._seconds(number) / number], number, self._text)

    def blocked_autorange(self, min_run_time: float = 0.2, **_: Any) -> Measurement:
        """Return measurements that take `min_run_time` seconds together."""
        exec(self._setup, self._names)
        number = 1
        while self._seconds(number) < min(min_run_time / 20, 0.01):
            number *= 10
        times: list[float] = []
        while sum(times) * number < min_run_time:
            times.append(self._seconds(number) / number)
        return Measurement(times, number, self._text)

    adaptive_autorange = blocked_autorange


class Compare:
    """Several measurements, printed one below the other."""

    def __init__(self, results: list[Measurement]) -> None:
        self._results = list(results)

    def extend_results(self, results: list[Measurement]) -> None:
        """Append measurements."""
        self._results += results

    def print(self) -> None:
        """Print the measurements."""
        print(self)

    def __str__(self) -> str:
        return "\n".join(map(str, self._results))


BENCHMARK: dict[str, Any] = {"Compare": Compare, "Measurement": Measurement, "Timer": Timer}
