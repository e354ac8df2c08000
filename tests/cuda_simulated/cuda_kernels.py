"""Running a CUDA kernel on the samples of its kernel, under the simulator."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from minigrad_kernels.cuda.array import Addressed, DeviceArray
from minigrad_kernels.cuda.targets import Simulator, upload
from minigrad_kernels.jit.address_table import build_table
from minigrad_kernels.jit.arguments import CONTROL, names, positions
from minigrad_kernels.kernel import Kernel
from tests.kernels import test_table
from tests.kernels.tables import Tensors
from tests.kernels.test_table import SAMPLES as CPU_SAMPLES
from tests.kernels.test_table import holder

Array = np.ndarray[Any, Any]
ELEMENTS = 700  # of all arrays of a sample: the simulator takes microseconds for each access
SPREAD = 12  # of the CPU's samples, evenly spread
FOLDER = Path(__file__).with_name("samples")
MODULES = [
    importlib.import_module(f"tests.cuda_simulated.samples.{path.stem}")
    for path in sorted(FOLDER.glob("*.py"))
    if path.stem != "__init__"
]
OWN_SAMPLES = {name: sample for module in MODULES for name, sample in module.SAMPLES.items()}


def samples(name: str, dtype: Any, most: int = ELEMENTS) -> list[tuple[Any, ...]]:
    """Return the arguments on which a CUDA kernel is held to its reference.

    The CPU's where they are small enough, and those that tests/cuda_simulated/samples adds for the
    GPU's tiles and warps.
    """
    rng = np.random.default_rng(0)
    found = [args for args in CPU_SAMPLES[name](rng, dtype) if elements(args) <= most]
    found = found[:: -(-len(found) // SPREAD) or 1]
    if name in OWN_SAMPLES:
        found += OWN_SAMPLES[name](rng, dtype)
    return found


def elements(args: tuple[Any, ...]) -> int:
    held = holder(args)
    arrays = args if held is None else [a for row in held.rows for a in row]
    return sum(a.size for a in arrays if isinstance(a, np.ndarray))


def strided(target: Simulator, host: Array) -> DeviceArray:
    """Return a device copy of a host array with its strides, gaps and zeros among them, kept."""
    if host.flags.c_contiguous or not host.size:
        return upload(target, host)
    low = sum(min(0, (n - 1) * s) for n, s in zip(host.shape, host.strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(host.shape, host.strides, strict=True))
    count = (high - low) // host.itemsize + 1
    made = upload(target, line_at(host, low, count))
    view = np.ndarray(host.shape, host.dtype, made.geometry, -low, host.strides)
    return made.like(view)


def line_at(host: Array, low: int, count: int) -> Array:
    """Return the line of `count` elements that starts `low` bytes from the first of `host`."""
    where = host.__array_interface__["data"][0] + low
    return np.asarray(Addressed(where, (count,), host.dtype, host))


def moved(target: Simulator, held: Tensors) -> list[list[DeviceArray]]:
    """Return the arrays of a table on a device, those of every second row at odd addresses."""
    rows = []
    for k, row in enumerate(held.rows):
        rows.append([])
        for a in row:
            shift = int(k % 2 == 1 and a.size > 1)
            whole = upload(target, np.concatenate([a[:1], a]) if shift else a)
            rows[-1].append(whole[shift:])
    return rows


def run(
    name: str, cuda_kernel: Any, kernel: Kernel, args: tuple[Any, ...], target: Any
) -> list[Array]:
    """Run a CUDA kernel on device copies of `args` and return what it wrote."""
    which = positions(kernel, args)
    out = which[: len(kernel.out)]
    held = holder(args)
    rows = [] if held is None else moved(target, held)
    mine: list[Any] = []
    for i, (label, value) in enumerate(zip(names(kernel, args), args, strict=True)):
        if not isinstance(value, np.ndarray):
            mine.append(value)
        elif held is not None and label == "table":
            mine.append(build_table([tuple(row) for row in rows], held.groups))
        elif label in CONTROL:
            mine.append(value.copy() if i in which else value)
        elif i in out:
            mine.append(target.empty(value.shape, value.dtype))
        else:
            mine.append(strided(target, value))
    cuda_kernel(*mine)
    target.synchronize()
    tensors = [target.read(a) for row in rows for a in row]
    return tensors + [
        mine[i] if isinstance(mine[i], np.ndarray) else target.read(mine[i]) for i in which
    ]


def expected(name: str, kernel: Kernel, args: tuple[Any, ...]) -> list[Array]:
    """Return what the reference writes, in float64 but behind tables of addresses."""
    mine, held = test_table.fresh(kernel, args, np.nan)
    tables = holder(args) is not None
    found = test_table.oracle(mine, kernel, args, tables or name in test_table.OWN_DTYPE)
    return held if tables else found


def agree(name: str, got: list[Array], want: list[Array], message: str, dtype: Any) -> None:
    """Hold what a CUDA kernel wrote to what is expected, within the CPU's roundings."""
    for a, b in zip(got, want, strict=True):
        test_table.agree(name, a, b, message, dtype)
