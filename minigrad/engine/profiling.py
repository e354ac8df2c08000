"""profile: the time that each kernel and each op takes in a block of a program.

Beside the heart: while nobody profiles, nothing here is loaded.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigrad.engine import device
from minigrad.engine.backward import Sweep
from minigrad.engine.dispatch import KERNELS, dispatch
from minigrad.engine.op import Op
from minigrad.engine.recording import recording

PACKAGE = str(Path(__file__).parent.parent)
MACHINERY = (f"{PACKAGE}{os.sep}engine", f"{PACKAGE}{os.sep}capturing")
MOST = 20  # rows that are printed
ASKED = frozenset(
    {"forward", "run", "differentiate", "apply", "apply_binary", "apply_unary", "_update"}
)


@dataclass
class Spent:
    """What one kernel, or one op, has taken: calls, seconds of all of them, flops and bytes."""

    name: str
    calls: int = 0
    seconds: float = 0.0
    flops: int = 0
    nbytes: int = 0

    def add(self, calls: int, seconds: float, cost: tuple[int, int]) -> None:
        """Add further calls."""
        self.calls += calls
        self.seconds += seconds
        self.flops += cost[0]
        self.nbytes += cost[1]


class profile:
    """Time every launch of a kernel inside the context, by kernel and by op.

    Launches of this thread are timed one by one, those of captured programs too, which then run
    launch by launch.  On a GPU each launch is waited for.  What the timing itself takes, some
    microseconds a launch, is in no number but `profiling_seconds`.

    kernels, ops: lists of `Spent`, the largest first; an op is a forward op ("Linear"), the
    gradient of one ("Linear backward"), or an optimizer's step ("AdamW step").
    seconds: of the whole block, without what the timing takes.  python_seconds: what of that was
    spent outside of kernels.

    >>> import minigrad as mg
    >>> x = mg.ones(8, 8, requires_grad=True)
    >>> with mg.profile() as p:
    ...     (x @ x).sum().backward()
    >>> sorted(spent.name for spent in p.ops)
    ['MatMul', 'MatMul backward', 'Sum', ...]
    >>> p.kernels[0].calls > 0 and p.seconds > 0
    True
    """

    def __init__(self) -> None:
        self._kernels: dict[str, Spent] = {}
        self._ops: dict[str, Spent] = {}
        self._began: float | None = None
        self.wall_seconds = 0.0
        self.profiling_seconds = 0.0

    def __enter__(self) -> profile:
        if self._began is not None:
            raise RuntimeError("profile: this one is open already; make another for a block inside")
        self._were = dispatch.kernels, getattr(dispatch, "small", None), recording.profile
        dispatch.kernels = Timed(self, self._were[0])  # type: ignore[assignment]
        if self._were[1] is not None:
            dispatch.small = Timed(self, self._were[1])
        self._device = device.cuda_kernels
        if device.USED:
            device.CALLERS.clear()  # nothing is launched but by that table
            device.cuda_kernels = self._device_table
        recording.profile = self
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: Any) -> None:
        assert self._began is not None
        self.wall_seconds += time.perf_counter() - self._began
        self._began = None
        kernels, small, outer = self._were
        dispatch.kernels = kernels
        if small is not None:
            dispatch.small = small
        device.cuda_kernels = self._device
        recording.profile = outer

    def _device_table(self) -> Any:
        return Timed(self, self._device(), wait=True)

    # ------------------------------------------------------------ what is seen
    def launched(
        self, name: str, op: str, seconds: float, cost: tuple[int, int], began: float
    ) -> None:
        """Note a launch.  began: when the timing began, all of it."""
        for table, key in ((self._kernels, name), (self._ops, op)):
            if key not in table:
                table[key] = Spent(key)
            table[key].add(1, seconds, cost)
        self.profiling_seconds += time.perf_counter() - began - seconds

    def replayed(self, program: Any, calls: Iterable[tuple[Callable[..., Any], Any]]) -> None:
        """Run the launches of a captured program, and note each."""
        clock = time.perf_counter
        for launch, (kernel, args) in zip(program, calls, strict=True):
            before = clock()
            kernel(*args)
            after = clock()
            self.launched(launch.kernel, launch.op, after - before, launch.cost, before)

    # ------------------------------------------------------------ looking at it
    @property
    def seconds(self) -> float:
        """Seconds of the block, without what the timing takes."""
        return max(0.0, self.wall_seconds - self.profiling_seconds)

    @property
    def kernel_seconds(self) -> float:
        """Seconds of all launches together."""
        return sum(spent.seconds for spent in self._kernels.values())

    @property
    def python_seconds(self) -> float:
        """Seconds outside of kernels: Python, NumPy, reading data."""
        return max(0.0, self.seconds - self.kernel_seconds)

    @property
    def kernels(self) -> list[Spent]:
        """What each kernel has taken, the largest first."""
        return sorted(self._kernels.values(), key=_seconds, reverse=True)

    @property
    def ops(self) -> list[Spent]:
        """What each op has taken in kernels, the largest first."""
        return sorted(self._ops.values(), key=_seconds, reverse=True)

    def __str__(self) -> str:
        calls = sum(spent.calls for spent in self._kernels.values())
        lines = [
            f"{shown(self.seconds)}: {shown(self.kernel_seconds)} in {calls:,} launches, "
            f"{shown(self.python_seconds)} outside of kernels"
        ]
        for what, rows in (("kernel", self.kernels), ("op", self.ops)):
            lines += ["", f"{what:<34} {'calls':>8} {'time':>9} {'a call':>9} {'share':>6} GFLOP/s"]
            lines += [self._line(spent) for spent in rows[:MOST]]
            if len(rows) > MOST:
                rest = sum(spent.seconds for spent in rows[MOST:])
                lines.append(f"and {len(rows) - MOST} more, {shown(rest)}")
        return "\n".join(lines)

    def _line(self, spent: Spent) -> str:
        share = spent.seconds / self.seconds if self.seconds else 0.0
        rate = f"{1e-9 * spent.flops / spent.seconds:7.3g}" if spent.flops and spent.seconds else ""
        return (
            f"{spent.name:<34} {spent.calls:>8,} {shown(spent.seconds):>9} "
            f"{shown(spent.seconds / spent.calls):>9} {100 * share:>4.0f} % {rate}"
        ).rstrip()

    def __repr__(self) -> str:
        return f"<profile: {len(self._kernels)} kernels, {shown(self.seconds)}>"


class Timed:
    """A table of launches, each of which is timed.  wait: for the device."""

    def __init__(self, seen: profile, table: Any, wait: bool = False) -> None:
        self.seen, self.table, self.wait = seen, table, wait

    def __getitem__(self, name: str) -> Callable[..., None]:
        launch = self.table[name]

        def run(*args: Any) -> None:
            clock = time.perf_counter
            began = clock()
            op = running_op()
            target = device.target_of(args) if self.wait else None
            if target is not None:
                target.synchronize()
            before = clock()
            launch(*args)
            if target is not None:
                target.synchronize()
            seconds = clock() - before
            self.seen.launched(name, op, seconds, cost_of(name, args), began)

        return run

    def __contains__(self, name: str) -> bool:
        return name in self.table


def cost_of(name: str, args: tuple[Any, ...]) -> tuple[int, int]:
    """Return flops and bytes of a launch."""
    flops, nbytes = KERNELS[name].cost(*args)
    return int(flops), int(nbytes)


def running_op() -> str:
    """Return what launches a kernel now: an op, the gradient of one, an optimizer's step; or the
    function of minigrad that does.

    >>> running_op()
    ''
    """
    frame: Any = sys._getframe(1)
    found = ""
    function = ""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(PACKAGE):
            name = code.co_name
            if name in ASKED:
                values = frame.f_locals
                this = values.get("self", values.get("cls"))
                if isinstance(this, Sweep):
                    if "node" in values:
                        return f"{type(values['node']).__name__} backward"
                elif name == "_update" and hasattr(this, "param_groups"):
                    return f"{type(this).__name__} step"
                elif not found and isinstance(this, Op):
                    found = type(this).__name__
                elif not found and isinstance(this, type) and issubclass(this, Op):
                    found = this.__name__
            if (not function or is_private(function)) and not code.co_filename.startswith(
                MACHINERY
            ):
                function = code.co_qualname
        frame = frame.f_back
    return found or function


def is_private(function: str) -> bool:
    """Tell whether a function is one that its callers' names say more than.

    >>> is_private("_position"), is_private("Tensor.argmax"), is_private("run.<locals>.<lambda>")
    (True, False, True)
    """
    return function.rpartition(".")[2].startswith(("_", "<"))


def shown(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> shown(1.5e-6), shown(0.0123), shown(12.0)
    ('1.5 us', '12.3 ms', '12 s')
    """
    unit, scale = ("us", 1e6) if seconds < 1e-3 else ("ms", 1e3) if seconds < 1 else ("s", 1.0)
    return f"{seconds * scale:.3g} {unit}"


def _seconds(spent: Spent) -> float:
    return spent.seconds
