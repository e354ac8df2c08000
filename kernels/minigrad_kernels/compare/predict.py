"""Predict what a kernel takes on a GPU that is not here.  No prediction was held against hardware.

The launches of a kernel are written down as they would be made on that GPU, and each is compiled
for it where numba-cuda is installed.  A launch takes the most of

* traffic: the bytes of its arrays by the bandwidth of memory, or of the cache where they fit into
  half of it, or of what the threads that are there at once can ask for (Little's law);
* arithmetic: its flops by the peak of the multiprocessors that have a block;
* issue: those flops' instructions, and with them as many others as the machine code has of both, by
  what the multiprocessors issue;

and START more.  Before it stands what numba-cuda needs to launch it; launches that follow each
other overlap with that.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba.core import types

from minigrad_kernels.compare.gpus import Figures, resident
from minigrad_kernels.compare.targets import Entry, cuda_kernel_of
from minigrad_kernels.cuda import compile as cuda_compile
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.simulator import Simulator
from minigrad_kernels.jit.arguments import bind

DISPATCH = 6.6e-6  # seconds of the host for a launch by numba-cuda without arguments,
ARGUMENT = 3.7e-6  # and for each array more
WAIT = 5e-6  # from the driver's call to the first block, and back to a host that waits
START = 1.5e-6  # of a kernel's first and last block
SUSTAINED = 0.9  # of a data sheet's bandwidth
COMPUTED = 0.8  # of its peak
CACHED = 2.5  # times the memory's bandwidth, where the arrays lie in the cache
LATENCY = 600e-9  # of memory
IN_FLIGHT = 16  # bytes that a thread has asked for at a time
LINKED = 0.8  # of PCIe's bandwidth
COPY = 10e-6  # seconds of a copy of nothing
ARITHMETIC = ("FFMA", "FADD", "FMUL", "DFMA", "DADD", "DMUL", "HMMA", "MUFU", "FMNMX")
ASSUMPTIONS = (
    f"numba-cuda launches in {1e6 * DISPATCH:g} us and {1e6 * ARGUMENT:g} us for each array (its "
    "pull request 288, June 2025), on that machine's processor",
    f"a kernel starts {1e6 * WAIT:g} us after the call, runs {1e6 * START:g} us more than its work",
    f"memory gives {100 * SUSTAINED:g} % of the data sheet's bandwidth, the cache {CACHED:g} times "
    f"that, arithmetic {100 * COMPUTED:g} % of the peak at boost clock",
    f"a thread has {IN_FLIGHT} bytes under way, {1e9 * LATENCY:g} ns each; each array moves once a "
    "launch",
    f"PCIe gives {100 * LINKED:g} % of its bandwidth, from pinned memory, and {1e6 * COPY:g} us a "
    "copy",
    "the mix of instructions is that of the whole machine code, loops counted once",
)
UNMEASURED = "its error is not known: no prediction has been held against hardware yet"


@dataclass(frozen=True)
class Launch:
    """One launch as it would be made.  nbytes: of its arrays, each once."""

    kernel: Any
    grid: int
    block: int
    shared: int
    signature: tuple[Any, ...]
    arrays: int
    nbytes: int


@dataclass(frozen=True)
class Prediction:
    """What a case takes on a GPU that is not here, in seconds; see this module for how.

    launch: before and after the kernels.  kernels: themselves.  transfer: of all inputs there and
    outputs back.  there: a call on data that lies on the GPU; travelling: with the transfer.
    occupancy: share of the threads that a multiprocessor can hold.  limit: what takes the most.
    registers, spills: of a thread, None where nothing was compiled.
    """

    kernel: str
    dtype: str
    size: tuple[int, ...]
    elements: int
    gpu: str
    launch: float
    kernels: float
    transfer: float
    there: float
    travelling: float
    launches: int
    occupancy: float
    limit: str
    registers: int | None = None
    spills: int | None = None
    note: str = ""


class Recorder(Simulator):
    """A device that writes launches down and runs none."""

    def __init__(self, processors: int) -> None:
        super().__init__(processors=processors, checks=False)
        self.launches: list[Launch] = []

    def run(self, kernel: Any, grid: Any, block: Any, args: Sequence[Any], shared: int = 0) -> None:
        """Write a launch down."""
        arrays = [a for a in args if isinstance(a, DeviceArray)]
        distinct = {(a.address, a.nbytes): a.nbytes for a in arrays}
        count = int(np.prod(grid)), int(np.prod(block))
        signature = tuple(map(kind_of, args))
        moved = sum(distinct.values())
        self.launches.append(Launch(kernel, *count, shared, signature, len(arrays), moved))


def kind_of(a: Any) -> Any:
    """Return Numba's type of an argument of a launch."""
    if isinstance(a, DeviceArray):
        return types.Array(numba.from_dtype(a.dtype), len(a.shape), "C")
    if isinstance(a, tuple):
        return types.Tuple(tuple(map(kind_of, a)))
    return numba.typeof(a)


def computes_in_float32(signature: Sequence[Any]) -> bool:
    """Tell whether a launch has arrays of float32 and none of float64.

    >>> computes_in_float32([types.float32[::1], types.uint8[::1], types.int64])
    True
    >>> computes_in_float32([types.uint8[::1]])
    False
    """
    found = {kind.dtype for kind in signature if isinstance(kind, types.Array)}
    return types.float32 in found and types.float64 not in found


def launches_of(entry: Entry, args: Sequence[Any], processors: int) -> list[Launch]:
    """Return the launches that a kernel makes for arguments; none where it has no CUDA kernel."""
    cuda_kernel = cuda_kernel_of(entry)
    if cuda_kernel is None:
        return []
    device = Recorder(processors)

    def place(a: Any) -> DeviceArray:
        made = device.empty(a.shape, a.dtype)
        np.copyto(made.geometry, a)
        return made

    cuda_kernel(*bind(entry.kernel, args, place).args)
    return device.launches


# ---------------------------------------------------------------- what is compiled
@functools.lru_cache(maxsize=256)
def compiled(kernel: Any, signature: tuple[Any, ...], target: str) -> Any:
    """Return what a kernel compiles to; a text that says why it does not; None without tools."""
    if cuda_compile.missing():
        return None
    try:
        return cuda_compile.examine(kernel, signature, target)
    except Exception as error:  # the compiler's, of many kinds: said in the prediction
        return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


# ---------------------------------------------------------------- the model
def predict(
    entry: Entry,
    args: Sequence[Any],
    gpu: Figures,
    *,
    flops: float,
    nbytes: float,
    dtype: str,
    size: tuple[int, ...],
    elements: int,
) -> Prediction | None:
    """Predict a case on a GPU; None where it has no CUDA kernel."""
    launches = launches_of(entry, args, gpu.processors)
    if not launches:
        return None
    moved = sum(launch.nbytes for launch in launches) or 1
    host, done, kernels = 0.0, 0.0, 0.0
    named: list[tuple[float, str]] = []
    occupancies, notes = [], []
    registers: list[int] = []
    spills = 0
    for launch in launches:
        made = compiled(launch.kernel, launch.signature, gpu.target)
        if isinstance(made, str):
            notes.append(f"does not compile for {gpu.target}: {made}")
            made = None
        if made is not None:
            registers.append(made.registers)
            spills += made.spills
            if made.doubles and computes_in_float32(launch.signature):
                notes.append(f"{made.doubles} instructions in double precision on float32 arrays")
        traffic = nbytes if len(launches) == 1 else float(launch.nbytes)
        part = flops * launch.nbytes / moved
        seconds, word, occupancy = kernel_seconds(launch, gpu, made, part, traffic, dtype)
        occupancies.append(occupancy)
        named.append((seconds, word))
        kernels += seconds
        host += DISPATCH + ARGUMENT * launch.arrays
        done = max(done, host + WAIT) + seconds
    inputs, outputs = travels(entry, args)
    link = 1e9 * LINKED * gpu.link
    transfer = (sum(inputs) + sum(outputs)) / link + COPY * (len(inputs) + len(outputs))
    overhead = done - kernels
    limit = max(named)[1] if kernels > overhead else "launching"
    if not entry.counted:
        notes.append("its flops are not stated (Pair's cost): arithmetic in loops is left out")
    if not registers and not notes:
        notes.append("not compiled: registers unknown, 32 taken")
    return Prediction(
        entry.name, dtype, size, elements, gpu.name,
        launch=overhead, kernels=kernels, transfer=transfer, there=done,
        travelling=done + transfer, launches=len(launches), occupancy=min(occupancies),
        limit=limit, registers=max(registers, default=None), spills=spills if registers else None,
        note="; ".join(dict.fromkeys(notes)),
    )  # fmt: skip


def kernel_seconds(
    launch: Launch, gpu: Figures, made: Any, flops: float, traffic: float, dtype: str
) -> tuple[float, str, float]:
    """Return the seconds of one launch's kernel, what takes them, and the occupancy."""
    registers = made.registers if made is not None else 32
    shared = launch.shared + (made.shared if made is not None else 0)
    each = max(1, resident(gpu, launch.block, registers, shared))
    occupancy = min(1.0, each * launch.block / gpu.threads)
    busy = min(1.0, launch.grid / gpu.processors)
    at_once = min(launch.grid, each * gpu.processors) * launch.block
    cached = launch.nbytes <= 0.5e6 * gpu.cache
    bandwidth = 1e9 * gpu.memory * SUSTAINED * (CACHED if cached else 1.0)
    asked = at_once * IN_FLIGHT / LATENCY
    where = "cache" if cached else "memory"
    double = made is not None and made.doubles > made.count(*ARITHMETIC) / 2
    ways = [
        (traffic / min(bandwidth, asked), where if asked > bandwidth else "too few threads"),
        (
            flops / (gpu.peak("float64" if double else dtype) * COMPUTED * busy),
            "arithmetic in double precision" if double and dtype == "float32" else "arithmetic",
        ),
    ]
    if made is not None and not made.count("HMMA") and (counted := made.count(*ARITHMETIC)):
        fused = made.count("FFMA", "DFMA")
        operations = flops / (1 + fused / counted)  # a multiply-add is two flops
        issued = operations * made.instructions / counted
        slots = gpu.processors * busy * gpu.lanes * 1e9 * gpu.clock
        ways.append((issued / slots, "issue"))
    seconds, word = max(ways)
    return START + seconds, word, occupancy


def travels(entry: Entry, args: Sequence[Any]) -> tuple[list[int], list[int]]:
    """Return the bytes of each array that goes to the device, and of each that comes back."""
    bound = bind(entry.kernel, args, np.asarray)
    tensors = [a for row in bound.tensors for a in row]
    only_out = bound.written[len(tensors) : len(tensors) + len(entry.kernel.out)]
    arrays = [*(a for a in bound.args if isinstance(a, np.ndarray)), *tensors]
    inputs = [a.nbytes for a in arrays if not any(a is o for o in only_out)]
    return inputs, [a.nbytes for a in bound.written]
