"""Every kernel of the table: right, repeatable, and writing only where it may.

Samples stand in samples/<family>.py; an elementwise kernel's are derived from its rule, and one
without is run on its example, so a new row is tested as soon as it stands in the table.  How far it
may be from its reference, its row says.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest

from minigrad_kernels import table
from minigrad_kernels.compare.examples import example_of
from minigrad_kernels.jit.arguments import positions
from minigrad_kernels.kernel import PARALLEL, Kernel
from minigrad_kernels.table import KERNELS
from tests.kernels import tables

Array = np.ndarray[Any, Any]
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
FOLDER = Path(__file__).with_name("samples")
MODULES = [importlib.import_module(f"tests.kernels.samples.{p.stem}") for p in FOLDER.glob("*.py")]
SAMPLES = {name: sample for module in MODULES for name, sample in module.SAMPLES.items()}


def of_example(name: str) -> Any:
    """Return the samples of a kernel that states none: its example in small, odd and large."""

    def sample(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
        example = example_of(name)
        return [example.make(rng, dtype, *example.sizes((n,))) for n in EXAMPLE_SIZES]

    return sample


EXAMPLE_SIZES = (1, 37, 300, PARALLEL + 37)
SAMPLES |= {name: of_example(name) for name in KERNELS if name not in SAMPLES}
# Another dtype is another number here: float64 takes twice the random bits.
OWN_DTYPE = {"uniform", "normal"}


def holder(args: tuple[Any, ...]) -> tables.Tensors | None:
    """Return the tensors behind an address table, where the first argument is one."""
    return next((t for t in tables.alive if t.table is args[0]), None)


def fresh(kernel: Kernel, args: tuple[Any, ...], garbage: float) -> tuple[list[Any], list[Array]]:
    """Return arguments with written ones in memory of their own, `out` ones full of garbage, and
    those.
    """
    held = holder(args)
    mine = list(args)
    for i in positions(kernel, args):
        mine[i] = args[i].copy()
    for i in positions(kernel, args)[: len(kernel.out)]:
        whole = 1 if np.isnan(garbage) else 0
        mine[i].fill(garbage if mine[i].dtype.kind == "f" else whole)
    if held is None:
        return mine, [mine[i] for i in positions(kernel, args)]
    copy = held.copy()
    mine[0] = copy.table
    if len(args) > 3 and args[3] is held.steps:
        mine[3] = copy.steps
    written = [a for row in copy.rows for a in row]
    return mine, written + [mine[i] for i in range(1, len(mine)) if mine[i] is not args[i]]


def run(function: Any, mine: list[Any], threads: int) -> None:
    most = numba.get_num_threads()
    numba.set_num_threads(min(threads, most))
    try:
        with np.errstate(all="ignore"):
            function(*mine)
    finally:
        numba.set_num_threads(most)


def shown(args: tuple[Any, ...]) -> str:
    return ", ".join(f"{a.dtype}{a.shape}" if isinstance(a, np.ndarray) else repr(a) for a in args)


def oracle(args: list[Any], kernel: Kernel, of: tuple[Any, ...], own_dtype: bool) -> list[Array]:
    """Run the reference, into float64 outputs unless `own_dtype`, and return them."""
    if not own_dtype:
        for i in positions(kernel, of):
            if args[i].dtype.kind == "f":
                args[i] = args[i].astype(np.float64)
    run(kernel.reference, args, 1)
    return [args[i] for i in positions(kernel, of)]


def agree(name: str, got: Array, want: Array, message: str, dtype: Any) -> None:
    """Hold `got` to `want`, in ULPs of the kernel's dtype; NaN and infinities at the same
    places.
    """
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        same = (got == rounded) | ((got != got) & (rounded != rounded))
        if same.all():
            return
        assert got.dtype.kind == "f", f"{message}: {got[~same][:5]}, expected {want[~same][:5]}"
        ulps, floor = KERNELS[name].rounding
        info = np.finfo(dtype)
        unit = float(info.eps) * (np.abs(want) + floor) + float(info.smallest_subnormal)
        error = np.abs(got.astype(np.float64) - want) / unit
        bad = ~same & ~(error <= ulps)
    if bad.any():
        k = int(np.argmax(np.where(bad, np.nan_to_num(error, nan=np.inf), -1)))
        pytest.fail(
            f"{message}: {bad.sum()} of {got.size} elements are off, the worst at"
            f" {[int(j) for j in np.unravel_index(k, got.shape)]}: {got.flat[k]!r}, expected "
            f"{want.flat[k]!r},"
            f" {error.flat[k]:.3g} ulp, allowed {ulps}"
        )


def test_samples_are_of_kernels_that_exist() -> None:
    unknown = sorted(set(SAMPLES) - set(KERNELS))
    assert unknown == [], f"samples for {unknown}, which the table does not have"


def test_no_kernel_has_samples_twice() -> None:
    names = [name for module in MODULES for name in module.SAMPLES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name: str, dtype: np.dtype[Any], rng: np.random.Generator) -> None:
    kernel = KERNELS[name]
    samples = SAMPLES[name](rng, dtype)
    assert samples, f"the samples of {name} are empty"
    for args in samples:
        message = f"{name}({shown(args)})"
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        single, first = fresh(kernel, args, -7.0)
        run(kernel.cpu, single, 1)
        double, second = fresh(kernel, args, np.nan)
        run(kernel.cpu, double, 2)
        for a, b in zip(first, second, strict=True):
            assert a.tobytes() == b.tobytes() or np.array_equal(
                a, b, equal_nan=a.dtype.kind == "f"
            ), f"{message}: other bits on two threads, or over other garbage"
        for now, then in zip(args, before, strict=True):
            if isinstance(now, np.ndarray):
                np.testing.assert_array_equal(now, then, err_msg=f"{message} writes to an input")
        mine, held = fresh(kernel, args, np.nan)
        own = holder(args) is not None
        found = oracle(mine, kernel, args, own or name in OWN_DTYPE)
        for got, want in zip(first, held if own else found, strict=True):
            agree(name, got, want, message, dtype)
        flops, nbytes = kernel.cost(*args)
        for cost in (flops, nbytes):
            assert isinstance(cost, (int, np.integer)) and cost >= 0, f"{message} costs {cost!r}"


def test_a_name_that_stands_twice_is_refused() -> None:
    two = ModuleType("two")
    two.KERNELS = {"add_2": KERNELS["add"], "add": KERNELS["add"]}  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="kernel 'add' stands in two files, the second is two"):
        table.add(two)
    assert "add_2" not in KERNELS and two not in table.FAMILIES


@pytest.mark.parametrize(
    ("got", "message"),
    [(1.0 + 1e-5, r"1 of 2 elements are off, the worst at \[1\]: "), (np.nan, "1 of 2 elements")],
)
def test_a_wrong_element_is_named(got: float, message: str) -> None:
    found = np.array([1.0, got], np.float32)
    with pytest.raises(pytest.fail.Exception, match=message):
        agree("exp", found, np.array([1.0, 1.0]), "exp", found.dtype)
