"""The same kernel side by side: reference, CPU, GPU, other libraries, and the machine's limit.

`run` compares kernels of the table, or your own that `add` names: errors in ULP beside float64,
whether the bits repeat, times (medians of blocks in turns, see timing.py), rates, the share of what
this machine can do, and the size from which a GPU wins.

>>> from minigrad_kernels import compare
>>> report = compare.run("relu", sizes=[1000], targets=["reference", "cpu"], quick=True)
>>> [(row.target, row.max_ulp, row.repeats) for row in report.rows]
[('reference', 0.0, True), ('cpu', 0.0, True)]
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numba
import numpy as np

from minigrad_kernels import machine
from minigrad_kernels.arguments import bind
from minigrad_kernels.compare_html import ON_GPU
from minigrad_kernels.compare_report import BreakEven, Report, Row, machine_of
from minigrad_kernels.compare_statistics import statistics_of
from minigrad_kernels.compare_targets import TARGETS, Entry, Prepared, Target, gpu_targets
from minigrad_kernels.examples import EXAMPLES
from minigrad_kernels.examples_base import SPREADS, Example
from minigrad_kernels.launch import Kernel
from minigrad_kernels.table import KERNELS
from minigrad_kernels.timing import QUICK, Candidate, Case, Pace, Timing, time_case

__all__ = ["BreakEven", "Report", "Row", "add", "remove", "run"]

Array = np.ndarray[Any, Any]
Size = int | str | Sequence[int]
COMMON = (  # what is compared where no kernel is named
    *("gemm", "gemm_activation", "add", "exp", "gelu", "softmax", "cross_entropy_forward"),
    *("layer_norm_forward", "batch_norm_forward", "dropout", "sum", "conv", "adam_step"),
)
SIZES = (4_096, 65_536, 1_048_576)  # elements of the largest array
QUICK_SIZES = (4_096,)
SIMULATED = 192  # elements at most under the simulator, which takes microseconds for an access
NOTHING = 16  # elements of the calls that show the overhead
PACE = Pace(rounds=3, block=0.05, pause=0.15)
GLANCE = Pace(rounds=1, block=0.01, pause=0.0)
SLOW = 0.3  # seconds: what takes longer is timed by its first call alone
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
        of device arrays that launches by `minigrad_kernels.gpu.launching.run`.
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
    kernel = Kernel(reference, cpu, cost, out, inout, cuda)
    ADDED[name] = Entry(name, kernel, Example(example, shape, cancels))


def remove(name: str) -> None:
    """Forget a kernel of `add`."""
    del ADDED[name]


# ---------------------------------------------------------------- what is asked for
def entries(kernels: str | Iterable[str] | None) -> list[Entry]:
    """Return the kernels of these names; "all" for all.  A ValueError suggests the nearest name."""
    names = listed(kernels) or list(COMMON)
    every = [*KERNELS, *ADDED]
    names = every if names == ["all"] else names
    check_known("kernel", names, every)
    return [
        ADDED[name] if name in ADDED else Entry(name, KERNELS[name], EXAMPLES[name])
        for name in names
    ]


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


def listed(names: str | Iterable[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def check_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise a ValueError for a name that is not known, with the nearest that is."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.5)
            few = ", ".join(known[:6])
            hint = f"did you mean {' or '.join(near)}?" if near else f"such as {few}"
            raise ValueError(f"compare: no {what} {name!r}; {hint}")


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
    kernels: str | Iterable[str] | None = None,
    sizes: Iterable[Size] | None = None,
    dtypes: str | Iterable[str] = "float32",
    targets: str | Iterable[str] | None = None,
    *,
    quick: bool = False,
    statistics: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Compare kernels and return the report.

    kernels: names of the table or of `add`, "all", or None for a dozen common ones.
    sizes: elements of the largest array, or shapes such as "512x512x512", as the kernel's example
        takes them (`EXAMPLES[name].shape`); under the simulator a tiny one instead.
    targets: of `TARGETS`; None for all that are here.  The report's notes name those that are not.
    quick: one small size, short blocks: the times mean little.
    statistics: what the CUDA twins compile to, sm_90a; None: where there is no GPU.
    progress: called with a line before each case.

    Raises: ValueError for unknown names, with the nearest, and for sizes that are none.
    """
    found = entries(kernels)
    wanted = [sized(size) for size in sizes or (QUICK_SIZES if quick else SIZES)]
    types = [np.dtype(name) for name in checked_dtypes(dtypes)]
    here, notes = chosen_targets(targets)
    cases = [(e, e.example.sizes(size), d) for e in found for d in types for size in wanted]
    timed = any(target.timed for target in here)
    limits = machine.limits(quick) if timed else None
    gpu = gpu_limits() if any(target.name in ON_GPU for target in here) else None
    rows: list[Row] = []
    threads = numba.get_num_threads()
    try:
        with np.errstate(all="ignore"):
            for entry, sizes_, dtype in cases:
                if progress is not None:
                    progress(f"{entry.name} {'x'.join(map(str, sizes_))} {dtype}")
                rows += compared(
                    entry, sizes_, dtype, [t for t in here if t.timed], limits, gpu, quick
                )
            for target in here:
                if not target.timed:
                    for entry, dtype in dict.fromkeys((e, d) for e, _, d in cases):
                        tiny = entry.example.sizes((SIMULATED,))
                        rows += compared(entry, tiny, dtype, [target], None, None, quick)
    finally:
        numba.set_num_threads(threads)
    order = {entry.name: i for i, entry in enumerate(found)}
    rows.sort(key=lambda row: order[row.kernel])
    stated: list[dict[str, Any]] = []
    if statistics or (statistics is None and TARGETS["cuda"].absent() is not None):
        stated, lacking = statistics_of([entry.name for entry in found])
        notes += lacking
    return Report(
        tuple(rows),
        tuple(notes),
        tuple(stated),
        {**stated_limits(limits), **({"gpu": stated_limits(gpu)} if gpu else {})},
        machine_of(),
    )


def checked_dtypes(dtypes: str | Iterable[str]) -> list[str]:
    names = listed(dtypes)
    check_known("dtype", names, ("float32", "float64"))
    return names


def compared(
    entry: Entry,
    sizes: tuple[int, ...],
    dtype: np.dtype[Any],
    targets: Sequence[Target],
    limits: machine.Limits | None,
    gpu: machine.Limits | None,
    quick: bool,
) -> list[Row]:
    """Return one row a target that has the kernel: its errors first, then all times in turns."""
    args = entry.example.make(np.random.default_rng(0), dtype, *sizes)
    exact = bind(entry.kernel, args, np.copy, wide=not entry.example.own_dtype)
    flops, nbytes = map(int, entry.kernel.cost(*exact.args))
    nbytes = nbytes * dtype.itemsize // 8 if exact.tensors else nbytes
    entry.kernel.reference(*exact.args)
    largest = max((a.size for a in exact.args if isinstance(a, np.ndarray)), default=0)
    largest = max(largest, sum(row[0].size for row in exact.tensors))
    floor = None if limits is None else limits.floor(flops, nbytes, dtype.name)
    blank = Row(entry.name, dtype.name, sizes, largest, "", flops, nbytes, floor)
    rows: dict[str, Row] = {}
    for target in targets:
        try:
            row = checked(target, entry, args, exact.written, replace(blank, target=target.name))
        except Exception as error:  # a report of what fails is what was asked for
            row = replace(blank, target=target.name, failure=f"{type(error).__name__}: {error}")
        if row is not None:
            rows[target.name] = row
    alive = [t for t in targets if t.timed and t.name in rows and not rows[t.name].failure]
    timings = times(entry, args, alive, QUICK if quick else PACE)
    few = entry.example.make(np.random.default_rng(0), dtype, *entry.example.sizes((NOTHING,)))
    overheads = times(entry, few, alive, GLANCE)
    for name, timing in timings.items():
        rows[name] = timed_row(
            rows[name], timing, overheads[name], gpu if name in ON_GPU else limits
        )
    return list(rows.values())


def timed_row(row: Row, timing: Timing, overhead: Timing, limits: machine.Limits | None) -> Row:
    """Return a row with its times, its rates and its share of the limits of where it ran."""
    least = None if limits is None else limits.floor(row.flops, row.nbytes, row.dtype)
    return replace(
        row,
        threads=timing.threads,
        seconds=timing.median,
        low=timing.low,
        gflops=1e-9 * row.flops / timing.median,
        gbps=1e-9 * row.nbytes / timing.median,
        share=None if least is None else least / timing.median,
        overhead=overhead.median,
    )


def stated_limits(limits: machine.Limits | None) -> dict[str, Any]:
    """Return limits as plain data, empty where there are none."""
    return {} if limits is None else limits.as_json()


def gpu_limits() -> machine.Limits:
    """Measure the limits of the GPU."""
    found = importlib.import_module("minigrad_kernels.gpu.limits")
    return found.limits(gpu_targets().gpu())  # type: ignore[no-any-return]


def checked(
    target: Target, entry: Entry, args: Sequence[Any], exact: Sequence[Array], row: Row
) -> Row | None:
    """Return the row with errors and repeatability, None where the target lacks the kernel."""
    first = results(target, target.prepare(entry, args), most(target))
    if first is None:
        return None
    again = results(target, target.prepare(entry, args), most(target))
    other = results(target, target.prepare(entry, args, other=True), 1)
    assert again is not None and other is not None
    several = bool(target.threads()) or not isinstance(target, type(TARGETS["reference"]))
    errors = [
        ulps(a, b, np.dtype(row.dtype), entry.example.cancels).reshape(-1)
        for a, b in zip(first, exact, strict=True)
        if a is not None and a.size
    ]
    joined = np.concatenate(errors) if errors else None
    return replace(
        row,
        max_ulp=None if joined is None else float(joined.max()),
        rms_ulp=None if joined is None else float(np.sqrt(np.mean(np.square(joined)))),
        repeats=None if joined is None else same(first, again),
        any_threads=same(first, other) if several and joined is not None else None,
    )


def results(target: Target, prepared: Prepared | None, threads: int) -> list[Array | None] | None:
    """Run once and return what was written, None where there is nothing to run."""
    if prepared is None:
        return None
    target.set_threads(threads)
    prepared.call()
    return prepared.read()


def most(target: Target) -> int:
    return max(target.threads(), default=1)


def same(one: Sequence[Array | None], other: Sequence[Array | None]) -> bool:
    """Tell whether two results have the same bits."""
    pairs = zip(one, other, strict=True)
    return all(a is None or b is None or a.tobytes() == b.tobytes() for a, b in pairs)


def ulps(got: Array, exact: Array, dtype: np.dtype[Any], cancels: bool = False) -> Array:
    """Return the error of each element in units of the last place of the kernel's dtype.

    cancels: in those of the array's root mean square, where the element is smaller.

    >>> exact = np.array([1.0, 2.0 + 2.0**-22])
    >>> ulps(np.float32([1.0, 2.0]), exact, np.dtype(np.float32)).tolist()
    [0.0, 1.0]
    """
    with np.errstate(all="ignore"):
        return _ulps(got, exact.reshape(got.shape), dtype, cancels)


def _ulps(got: Array, exact: Array, dtype: np.dtype[Any], cancels: bool) -> Array:
    wanted, rounded = exact.astype(np.float64), exact.astype(got.dtype)
    equal = (got == rounded) | ((got != got) & (rounded != rounded))
    if got.dtype.kind != "f":
        return np.where(equal, 0.0, np.inf)
    size = np.abs(wanted)
    if cancels:
        finite = size[np.isfinite(size)]
        size = np.maximum(size, np.sqrt(np.mean(np.square(finite))) if finite.size else 0)
    error = np.abs(got.astype(np.float64) - wanted) / np.spacing(size.astype(dtype))
    exactly = got.astype(np.float64) == wanted
    return np.where(exactly | (equal & ~np.isfinite(error)), 0.0, np.nan_to_num(error, nan=np.inf))


def times(
    entry: Entry, args: Sequence[Any], targets: Sequence[Target], pace: Pace
) -> dict[str, Timing]:
    """Time a kernel on all targets in turns; each on its best thread count."""
    found: dict[str, Timing] = {}
    slow: list[Timing] = []
    candidates: list[Candidate] = []
    label = entry.name
    for target in targets:
        counts: Sequence[int | None] = target.threads() or (None,)
        made = [candidate(target, entry, args, count) for count in counts]
        if target.name == "reference":
            glance = time_case(Case(label, made), replace(GLANCE, warmups=0, block=0.0))
            if glance[0].median > SLOW:
                slow += glance
                continue
        candidates += made
    if candidates:
        slow += time_case(Case(label, candidates), pace)
    for timing in slow:
        found[timing.candidate] = timing
    return found


def candidate(target: Target, entry: Entry, args: Sequence[Any], threads: int | None) -> Candidate:
    """Return what is timed: a launch on arguments that stay, so that they are made once."""
    prepared = target.prepare(entry, args)
    assert prepared is not None

    def make() -> Callable[[], Any]:
        if threads is not None:
            target.set_threads(threads)
        return prepared.many

    return Candidate(target.name, make, threads=threads, parts=target.parts)
