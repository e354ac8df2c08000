"""Compare a kernel on its reference, CPU, GPU and other libraries with the machine's limit.

`run` compares kernels of the table, or your own that `add` names: errors in ULP beside float64,
whether the bits repeat, times (medians of blocks in turns, see compare/timing.py), rates, the share
of what this machine can do, and the size from which a GPU wins.

>>> from minigrad_kernels.compare import api as compare
>>> report = compare.run("relu", sizes=[1000], targets=["reference", "cpu"], quick=True)
>>> [(row.target, row.max_ulp, row.repeats) for row in report.rows]
[('reference', 0.0, True), ('cpu', 0.0, True)]
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np

from minigrad_kernels.compare import machine, pairs
from minigrad_kernels.compare.conditions import Watch
from minigrad_kernels.compare.examples import example_of
from minigrad_kernels.compare.extras import Extra, distinct, extras
from minigrad_kernels.compare.measure import compared
from minigrad_kernels.compare.pairs import Pair
from minigrad_kernels.compare.parts import ON_GPU
from minigrad_kernels.compare.report import Report, machine_of
from minigrad_kernels.compare.row import BreakEven, Row
from minigrad_kernels.compare.statistics import statistics_of
from minigrad_kernels.compare.targets import TARGETS, Entry, Target, gpu_targets
from minigrad_kernels.compare.verdict import LIMIT, MARGIN
from minigrad_kernels.compare.wanted import Wanted, check_known, listed
from minigrad_kernels.example import SPREADS, Example
from minigrad_kernels.jit import plain
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.table import KERNELS

__all__ = ["BreakEven", "Pair", "Report", "Row", "add", "remove", "run"]

Array = np.ndarray[Any, Any]
Size = int | str | Sequence[int]
COMMON = (  # what is compared where no kernel is named
    *("gemm", "gemm_activation", "add", "exp", "gelu", "softmax", "cross_entropy_forward"),
    *("layer_norm_forward", "batch_norm_forward", "dropout", "sum", "conv", "adam_step"),
)
SIZES = (4_096, 65_536, 1_048_576)  # elements of the largest array
QUICK_SIZES = (4_096,)
SIMULATED = 192  # elements at most under the simulator, which takes microseconds for an access
ADDED: dict[str, Entry] = {}


# ---------------------------------------------------------------- your own kernels
def add(
    name: str,
    *,
    reference: Callable[..., None],
    cpu: Callable[..., None],
    cost: Callable[..., tuple[int, int]],
    example: Callable[..., tuple[Any, ...]],
    cuda: Callable[..., None] | None = None,
    out: tuple[str, ...] = ("y",),
    inout: tuple[str, ...] = (),
    shape: str = "N",
    cancels: bool = False,
) -> None:
    """Add a kernel of your own to what `run` can compare; a name added before is replaced.

    reference, cpu, cuda: `f(inputs..., scalars..., outputs...)`, which write the arguments named in
        `out` and `inout` and return nothing.  reference: NumPy, float64 inside.  cuda: a function
        of device arrays that launches by `minigrad_kernels.cuda.launch.run`.
    cost: `(*args) -> (flops, bytes)`.
    example: `(rng, dtype, *sizes) -> args`; shape: what the sizes are, "N", "NxC", "MxKxN" ...
    cancels: its sums may cancel: count errors in ULP of the array's root mean square.

    Raises: ValueError where the table has that name, or for an unknown shape.

    >>> def reference(x, y):
    ...     y[...] = 2 * x.astype(np.float64)
    >>> def twice(x, y):
    ...     np.add(x, x, out=y)
    >>> def example(rng, dtype, n):
    ...     return rng.random(n).astype(dtype), np.empty(n, dtype)
    >>> def cost(x, y):
    ...     return x.size, x.nbytes + y.nbytes
    >>> add("twice", reference=reference, cpu=twice, cost=cost, example=example)
    >>> report = run("twice", sizes=[100], targets=["cpu"], quick=True)
    >>> report.rows[0].max_ulp, report.ok
    (0.0, True)
    >>> remove("twice")
    """
    if name in KERNELS:
        raise ValueError(f"compare.add: the table has a kernel {name!r}; choose another name")
    if shape not in SPREADS:
        known = ", ".join(SPREADS)
        raise ValueError(f"compare.add: no shape {shape!r}; expected one of {known}")
    made = Example(example, shape, cancels)
    kernel = Kernel(reference, cpu, cost, out, inout, example=made)
    ADDED[name] = Entry(name, kernel, made, cuda)


def remove(name: str) -> None:
    """Forget a kernel of `add`."""
    del ADDED[name]


# ---------------------------------------------------------------- what is asked for
def entries(kernels: str | Pair | Iterable[str | Pair] | None) -> list[Entry]:
    """Return the kernels of these names, "all" for all, pairs, and those at places: my.py:pair.

    Raises: ValueError that suggests the nearest name.
    """
    asked = [kernels] if isinstance(kernels, str | Pair) else list(kernels or COMMON)
    every = [*KERNELS, *ADDED]
    asked = list(every) if asked == ["all"] else asked
    words = [name for name in asked if isinstance(name, str)]
    check_known("kernel", [name for name in words if not pairs.is_place(name)], every)
    found: list[Entry] = []
    for name in asked:
        if isinstance(name, Pair):
            found.append(name.entry())
        elif pairs.is_place(name):
            found += pairs.load(name)
        elif name in ADDED:
            found.append(ADDED[name])
        else:
            found.append(Entry(name, KERNELS[name], example_of(name)))
    return found


def chosen_targets(targets: str | Iterable[str] | None) -> tuple[list[Target], list[str]]:
    """Return the targets that are here, and one line about each that is not."""
    names = listed(targets) or list(TARGETS)
    check_known("target", names, list(TARGETS))
    here, notes = [], []
    for name in names:
        reason = TARGETS[name].absent()
        if reason is None:
            here.append(TARGETS[name])
        else:
            notes.append(f"{name}: {reason}")
    return here, notes


def sized(size: Size) -> tuple[int, ...]:
    """Return a size as numbers: 4096, "256x1024" or (256, 1024).

    Raises: ValueError for anything else.
    """
    parts = str(size).split("x") if isinstance(size, str | int) else list(map(str, size))
    if not parts or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(
            f"compare: expected a size as a number of elements or as 256x1024, got {size!r}"
        )
    return tuple(map(int, parts))


# ---------------------------------------------------------------- comparing
def run(
    kernels: str | Pair | Iterable[str | Pair] | None = None,
    sizes: Iterable[Size] | None = None,
    dtypes: str | Iterable[str] = "float32",
    targets: str | Iterable[str] | None = None,
    *,
    quick: bool = False,
    statistics: bool | None = None,
    checks: bool | None = None,
    verdicts: bool | None = None,
    phases: bool | None = None,
    predict: str | Iterable[str] | None = None,
    against: str | Path | None = None,
    sessions: bool | None = None,
    margin: float = MARGIN,
    limit: float = LIMIT,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Compare kernels and return the report.

    kernels: names of the table or of `add`, "all", or None for a dozen common ones; your own pairs,
        or places of them such as "my_kernels.py:pair" (other processes compile those anew, so that
        they alone have a time of compiling).
    sizes: elements of the largest array, or shapes such as "512x512x512", as the kernel's example
        takes them (`minigrad compare --list` shows its shape); under the simulator a tiny one.
    targets: of `TARGETS`; None for all that are here.  The report's notes name those that are not.
    quick: one small size, short blocks: the times mean little.
    statistics: what the CUDA kernels compile to, sm_90a; None: where there is no GPU.
    checks: run the battery against mistakes.  verdicts: measure in turns which is faster.
        phases: measure compiling, launch, transfer and kernel.  None: for up to three kernels,
        unless `quick`; checks for all own pairs.
    predict: GPUs that are not here, of A100, H100, H200, RTX 4090, T4; None: all of them for own
        pairs where there is no GPU.
    against: the JSON of another run, or the place of another pair, to measure in turns.
    sessions: time up to three kernels in short sessions over 40 s, so that another run can be held
        against this one; None: where this one is held against a file.
    margin: relative difference that counts as the same.  limit: seconds for each verdict.
    progress: called with a line before each case.

    Raises: ValueError for unknown names, with the nearest, for sizes that are none, and for files
        that are not there; RuntimeError in plain mode.
    """
    plain.refuse("comparing kernels")
    found = entries(kernels)
    wanted = Wanted(
        statistics,
        checks,
        verdicts,
        phases,
        tuple(listed(predict)) or None,
        None if against is None else str(against),
        sessions,
        margin,
        limit,
    ).settled(found, quick)
    amounts = [sized(size) for size in sizes or (QUICK_SIZES if quick else SIZES)]
    types = [np.dtype(name) for name in checked_dtypes(dtypes)]
    here, notes = chosen_targets(targets)
    if targets is None and all(entry.own for entry in found):  # which no library knows
        notes = [note for note in notes if TARGETS[note.partition(":")[0]].ours]
    cases = [(e, e.example.sizes(size), d) for e in found for d in types for size in amounts]
    timed = any(target.timed for target in here)
    limits = machine.limits(quick) if timed else None
    gpu = gpu_limits() if any(target.name in ON_GPU for target in here) else None
    say = progress or (lambda line: None)
    rows: list[Row] = []
    extra = Extra()
    threads = numba.get_num_threads()
    try:
        with np.errstate(all="ignore"), Watch(gpu=gpu is not None) as watch:
            for entry, sizes_, dtype in cases:
                say(f"{entry.name} {'x'.join(map(str, sizes_))} {dtype}")
                mine = [t for t in here if t.timed]
                rows += compared(entry, sizes_, dtype, mine, limits, gpu, quick)
            for target in here:
                if not target.timed:
                    for entry, dtype in distinct(cases):
                        tiny = entry.example.sizes((SIMULATED,))
                        rows += compared(entry, tiny, dtype, [target], None, None, quick)
            extra = extras(wanted, cases, rows, here, say)
            rows = extra.rows
    finally:
        numba.set_num_threads(threads)
        for target in here:
            target.reset_threads()
    order = {entry.name: i for i, entry in enumerate(found)}
    rows.sort(key=lambda row: order[row.kernel])
    stated: list[dict[str, Any]] = []
    if wanted.statistics:
        stated, lacking = statistics_of([entry.name for entry in found if not entry.own])
        notes += lacking
    return Report(
        tuple(rows),
        (*notes, *extra.notes),
        tuple(stated),
        {**stated_limits(limits), **({"gpu": stated_limits(gpu)} if gpu else {})},
        machine_of(),
        tuple(extra.checks),
        tuple(extra.verdicts),
        tuple(extra.phases),
        tuple(extra.predictions),
        watch.conditions,
        tuple(extra.sessions),
    )


def checked_dtypes(dtypes: str | Iterable[str]) -> list[str]:
    """Return the dtypes that are asked for.

    Raises: ValueError for one that kernels do not have.
    """
    names = listed(dtypes)
    check_known("dtype", names, ("float32", "float64"))
    return names


def gpu_limits() -> machine.Limits:
    """Measure the limits of the GPU."""
    found = importlib.import_module("minigrad_kernels.compare.gpu_limits")
    return found.limits(gpu_targets().gpu())


def stated_limits(limits: machine.Limits | None) -> dict[str, Any]:
    """Return limits as plain data, empty where there are none."""
    return {} if limits is None else limits.as_json()
