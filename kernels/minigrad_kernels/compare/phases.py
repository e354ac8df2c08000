"""Where the time of a call goes: compile, launch, transfer and kernel, with caches cold and warm.

compile: processor time of the first call, in a process of its own, with an empty cache of machine
code and with the one that this leaves.  launch: a call on next to nothing.  transfer: the inputs to
the device and the outputs back.  kernel: the rest of a call, with its arrays in the caches, as
another call on them has left them, and not.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from minigrad_kernels.compare.targets import Device, Entry, Prepared, Target
from minigrad_kernels.compare.timing import Pace, run_block
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.simd.registers import BYTE_POINTER, address

Array = np.ndarray[Any, Any]
LINE = 64  # bytes of a cache line
COLD_CALLS = 9
GPU_SWEEP = 2**26  # float32 of a copy that leaves nothing else in a GPU's cache: 256 MB
PACE = Pace(rounds=1, block=0.02, warmups=2, pause=0.0)
NOTHING = 16  # elements of a call that shows what a launch costs
PATIENCE = 600.0  # seconds for a process that compiles
IS_X86 = os.uname().machine in ("x86_64", "AMD64") if hasattr(os, "uname") else False


@dataclass(frozen=True)
class Phases:
    """The parts of a call's time in seconds; None where there is none or it was not measured.

    compile_cold: processor time of the first call with an empty cache, less a later one.
    compile_warm: the same in another process that finds the machine code on disk.
    launch: a call on next to nothing, waited for.  to_device, to_host: copies.
    kernel_warm, kernel_cold: a call less its launch, its arrays in the caches or not.
    """

    kernel: str
    dtype: str
    size: tuple[int, ...]
    elements: int
    target: str
    compile_cold: float | None = None
    compile_warm: float | None = None
    launch: float | None = None
    to_device: float | None = None
    to_host: float | None = None
    kernel_warm: float | None = None
    kernel_cold: float | None = None

    @property
    def transfer(self) -> float | None:
        """Both ways."""
        if self.to_device is None or self.to_host is None:
            return None
        return self.to_device + self.to_host


# ---------------------------------------------------------------- caches
@intrinsic
def flush_line(typingctx, where):
    """Write a cache line back and take it out of all caches of the processor."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if IS_X86:
            kind = ir.FunctionType(ir.VoidType(), [BYTE_POINTER])
            name = "llvm.x86.sse2.clflush"
            flush = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(flush, [builder.inttoptr(args[0], BYTE_POINTER)])
        return context.get_dummy_value()

    return types.void(where), codegen


@jit()
def flush(x, nbytes):
    """Take an array out of the caches of a processor that has an instruction for it."""
    start = address(x)
    for offset in range(0, nbytes, LINE):
        flush_line(start + offset)
    if nbytes:
        flush_line(start + nbytes - 1)


@functools.cache
def sweep() -> Array:
    """Return memory to walk through where there is no such instruction: 64 MB."""
    return np.zeros(2**23)


def evict(arrays: Sequence[Any]) -> None:
    """Take arrays of the host out of the caches."""
    if not IS_X86:
        sweep()[...] += 1.0
        return
    for a in arrays:
        if isinstance(a, np.ndarray) and a.flags.c_contiguous and a.nbytes:
            flush(a.reshape(-1).view(np.uint8), a.nbytes)


# ---------------------------------------------------------------- measuring
def phases(
    entry: Entry, target: Target, sizes: tuple[int, ...], dtype: np.dtype[Any], elements: int
) -> Phases | None:
    """Measure the parts of a call on a target but compiling; None where it lacks the kernel."""
    rng = np.random.default_rng(0)
    prepared = target.prepare(entry, entry.example.make(rng, dtype, *sizes))
    few = target.prepare(entry, entry.example.make(rng, dtype, *entry.example.sizes((NOTHING,))))
    if prepared is None or few is None:
        return None
    launch = statistics.median(run_block(few.call, PACE))
    on_gpu = isinstance(target, Device)
    warm = seconds_on_gpu(target, prepared, False) if on_gpu else None
    if warm is None:
        warm = max(0.0, statistics.median(run_block(prepared.call, PACE)) - launch)
    there, back = transfers(target, prepared) if on_gpu else (None, None)
    cold = seconds_on_gpu(target, prepared, True) if on_gpu else cold_seconds(prepared, launch)
    return Phases(
        entry.name, dtype.name, sizes, elements, target.name,
        launch=launch, to_device=there, to_host=back, kernel_warm=warm, kernel_cold=cold,
    )  # fmt: skip


def cold_seconds(prepared: Prepared, launch: float) -> float | None:
    """Return a call's time less its launch with its arrays out of the caches of the host."""
    if prepared.bound is None:
        return None
    arrays = [*prepared.bound.args, *(a for row in prepared.bound.tensors for a in row)]
    found = []
    for _ in range(COLD_CALLS):
        evict(arrays)
        start = time.perf_counter()
        prepared.call()
        found.append(time.perf_counter() - start)
    return max(0.0, statistics.median(found) - launch)


def seconds_on_gpu(target: Target, prepared: Prepared, cold: bool) -> float | None:
    """Return the seconds between two events around one launch, its arrays in the cache or not."""
    device = target.target(False)  # type: ignore[attr-defined]
    stream = device.stream
    found = []
    for _ in range(COLD_CALLS):
        if cold:
            swept(device)
        start, end = device.new_event(timing=True), device.new_event(timing=True)
        start.record(stream)
        prepared.call()
        end.record(stream)
        end.synchronize()
        found.append(1e-3 * start.elapsed_time(end))
    return statistics.median(found)


def swept(device: Any) -> None:
    """Copy so much memory of a GPU that nothing else is left in its cache."""
    limits = importlib.import_module("minigrad_kernels.compare.gpu_limits")
    limits.bandwidth(device, 4 * GPU_SWEEP, least=0.0)


def transfers(target: Target, prepared: Prepared) -> tuple[float, float]:
    """Return the seconds that the inputs take to the device, and the outputs back."""
    assert prepared.bound is not None
    device = target.target(False)  # type: ignore[attr-defined]
    arrays = [a for a in prepared.bound.args if hasattr(a, "target")]
    arrays += [a for row in prepared.bound.tensors for a in row]
    written = [a for a in prepared.bound.written if hasattr(a, "target")]
    inputs = [a for a in arrays if not any(a is w for w in written)] or arrays
    host = [device.read(a) for a in inputs]

    def there() -> None:
        for a, values in zip(inputs, host):
            device.write(a, values)
        device.synchronize()

    def back() -> None:
        for a in written:
            device.read(a)

    return tuple(statistics.median(run_block(call, PACE)) for call in (there, back))  # type: ignore


# ---------------------------------------------------------------- compiling
COMPILES = """
import json, sys, time
from minigrad_kernels.compare import phases
print(json.dumps(phases.first_calls(*json.loads(sys.argv[1]))))
"""


def first_calls(place: str, target: str, sizes: Sequence[int], dtype: str) -> float | None:
    """Return the processor time of a first call less that of later ones, in this process."""
    api = importlib.import_module("minigrad_kernels.compare.api")
    (entry,) = api.entries(place)
    chosen = importlib.import_module("minigrad_kernels.compare.targets").TARGETS[target]
    numba.set_num_threads(1)
    args = entry.example.make(np.random.default_rng(0), np.dtype(dtype), *sizes)
    prepared = chosen.prepare(entry, args)
    if prepared is None:
        return None
    times = []
    for _ in range(4):
        start = time.process_time()
        prepared.call()
        times.append(time.process_time() - start)
    return max(0.0, times[0] - min(times[1:]))


def compile_times(
    place: str,
    target: str,
    sizes: Sequence[int],
    dtype: str,
    run: Callable[..., Any] = subprocess.run,
) -> tuple[float | None, float | None]:
    """Return the seconds of compiling with an empty cache and with the one that this leaves.

    place: a kernel's name, or a file and the name of a pair.  Each is a process of its own.
    """
    asked = json.dumps([place, target, list(sizes), dtype])
    found: list[float | None] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = os.pathsep.join(p for p in sys.path if p)
        caches = {"MINIGRAD_CACHE_DIR": folder, "NUMBA_CACHE_DIR": folder}
        environment = {**os.environ, **caches, "PYTHONPATH": paths}
        for _ in range(2):
            done = run(
                [sys.executable, "-c", COMPILES, asked],
                env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
            if done.returncode:
                return None, None
            found.append(json.loads(done.stdout.splitlines()[-1]))
    return found[0], found[1]
