"""The battery: each way to be wrong or to cheat is caught by the check that is there for it."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numba import cuda

import minigrad_kernels.compare.battery as of
from minigrad_kernels.compare import api as compare
from minigrad_kernels.compare.battery import CHECKS, battery
from minigrad_kernels.compare.examples import example_of
from minigrad_kernels.compare.extras import tried
from minigrad_kernels.compare.pairs import Pair
from minigrad_kernels.compare.targets import TARGETS, Entry, Host, Prepared
from minigrad_kernels.table import KERNELS

SINGLE = np.dtype(np.float32)
SIZE = (3_000,)
HAS_GREENLET = importlib.util.find_spec("greenlet") is not None


def right(x: Any, y: Any) -> None:
    np.multiply(x, 3, out=y)


def example(rng: np.random.Generator, dtype: Any, n: int) -> tuple[Any, ...]:
    return rng.standard_normal(n).astype(dtype), np.empty(n, dtype)


def checks_of(
    cpu: Callable[..., Any], target: str = "cpu", size: tuple[int, ...] = SIZE, **options: Any
) -> dict[str, str]:
    """Return what the battery says of a function that should triple its input."""
    entry = Pair(cpu, example=example, reference=right, name="triple", **options).entry()
    with np.errstate(all="ignore"):
        found = battery(entry, TARGETS[target], size, SINGLE)
    assert [check.name for check in found] == list(CHECKS)
    assert all(check.ok == (not check.said) for check in found)
    return {check.name: check.said for check in found if not check.ok}


def test_what_is_right_passes() -> None:
    assert checks_of(right) == {}
    assert checks_of(lambda x: 3 * x) == {}, "one that returns its result, too"


# ---------------------------------------------------------------- cheats and mistakes
def test_a_kernel_that_writes_nothing() -> None:
    found = checks_of(lambda x, y: None)
    assert found["writes"] == "it leaves 3000 of 3000 elements of y alone"


def test_a_kernel_that_leaves_the_tail() -> None:
    def lazy(x: Any, y: Any) -> None:
        right(x[: x.size // 4 * 4], y[: x.size // 4 * 4])

    assert checks_of(lazy, size=(1_003,))["writes"] == "it leaves 3 of 1003 elements of y alone"
    assert "sizes" in checks_of(lazy, size=(1_000,)), "where the size that is checked suits it"


def test_a_kernel_that_reads_its_old_output() -> None:
    def accumulates(x: Any, y: Any) -> None:
        y += 3 * x

    found = checks_of(accumulates)
    assert found["old outputs"] == "3000 of 3000 elements of y depend on what stood there"
    assert "writes" not in found


def test_a_kernel_that_changes_its_inputs() -> None:
    def spoils(x: Any, y: Any) -> None:
        right(x, y)
        x[7] = 0

    assert checks_of(spoils)["inputs"] == "it changes its input x: 4 bytes of 12000"


def test_a_kernel_that_writes_around_its_output() -> None:
    def beyond(x: Any, y: Any) -> None:
        right(x, y)
        np.lib.stride_tricks.as_strided(y, (y.size + 2,), y.strides)[-1] = 7

    found = checks_of(beyond)
    assert found["bounds"] == "it writes 4 bytes around y"


def test_a_kernel_that_works_on_another_thread() -> None:
    started: list[threading.Thread] = []

    def elsewhere(x: Any, y: Any) -> None:
        gate = threading.Event()

        def work() -> None:
            gate.wait(0.01)
            right(x, y)

        started.append(threading.Thread(target=work))
        started[-1].start()

    found = checks_of(elsewhere)
    assert found["afterwards"] == ("it returns before its work has ended: y is written afterwards")
    for thread in started:
        thread.join()


def test_a_kernel_that_works_on_another_stream() -> None:
    """The target waits for its own stream alone; what another one has left comes afterwards."""

    class Deferring(Host):
        def prepare(self, entry: Entry, args: Any, other: bool = False) -> Prepared | None:
            made = super().prepare(entry, args, other)
            assert made is not None and made.bound is not None
            waiting: list[Callable[[], Any]] = []

            def get(a: Any) -> Any:  # a copy to the host waits for all streams
                while waiting:
                    waiting.pop()()
                return np.copy(a)

            def call() -> None:
                waiting.append(made.call)

            def read() -> list[Any]:
                return [np.copy(a) for a in made.bound.written]

            return replace(made, call=call, read=read, get=get)

    entry = Pair(right, example=example, reference=right, name="triple").entry()
    found = {c.name for c in battery(entry, Deferring("cpu"), SIZE, SINGLE) if not c.ok}
    assert {"writes", "precision"} <= found


def test_a_kernel_that_returns_its_last_result() -> None:
    held: list[Any] = []

    def stale(x: Any, y: Any) -> None:
        if not held:
            held.append(3 * x)
        y[...] = held[0]

    def by_address() -> Callable[..., None]:
        known: dict[int, Any] = {}

        def run(x: Any, y: Any) -> None:
            y[...] = known.setdefault(x.ctypes.data, 3 * x)

        return run

    found = checks_of(stale)
    assert found["new inputs"].startswith("with new numbers in its inputs, its result is not")
    assert checks_of(by_address())["new inputs"] == found["new inputs"]


def test_a_kernel_that_remembers_inputs() -> None:
    known: dict[bytes, Any] = {}

    def memo(x: Any, y: Any) -> None:
        key = x.tobytes()
        if key not in known:
            known[key] = np.array([3 * v for v in x], x.dtype)
        y[...] = known[key]

    found = checks_of(memo, size=(60_000,))
    assert found["new inputs"].startswith("it remembers: ")
    assert found["new inputs"].endswith(" times as fast on inputs that it has seen")


def test_a_kernel_that_is_right_at_one_size_only() -> None:
    def fixed(x: Any, y: Any) -> None:
        right(x, y)
        if x.size != SIZE[0]:
            y[-1] = 0

    found = checks_of(fixed)
    assert set(found) == {"sizes"} and found["sizes"].startswith("at size 3001 it is ")

    def refuses(x: Any, y: Any) -> None:
        if x.size % 8:
            raise RuntimeError("of eight alone\nmore")
        right(x, y)

    found = checks_of(refuses)
    assert found["sizes"] == "at size 3001 it fails: RuntimeError: of eight alone"


def bfloat16(x: Any) -> Any:
    return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize(
    ("lower", "said"),
    [
        (lambda x: (3 * x.astype(np.float16)).astype(x.dtype), "float16 or TF32"),
        (lambda x: bfloat16(np.float32(3) * x), "bfloat16"),
        (lambda x: 3 * bfloat16(x), "float16 or TF32"),
        (lambda x: (3 * x.astype(np.float64) + 1e-3).astype(x.dtype), "less precise than its"),
    ],
)
def test_a_kernel_that_lowers_the_precision(lower: Any, said: str) -> None:
    found = checks_of(lower)
    assert said in found["precision"] and "ULP off, 256 are allowed" in found["precision"]


def test_double_precision_is_not_computed_in_single() -> None:
    entry = Pair(
        lambda x: (3 * x.astype(np.float32)).astype(x.dtype), example=example, reference=right
    ).entry()
    found = battery(entry, TARGETS["cpu"], SIZE, np.dtype(np.float64))
    (said,) = [check.said for check in found if check.name == "precision"]
    assert said.startswith("its results have no more bits than float32: ")


def test_results_that_are_short_numbers_may_have_few_bits() -> None:
    def truth(x: Any, y: Any) -> None:
        np.greater(x, 0, out=y, casting="unsafe")

    entry = Pair(truth, example=example, reference=truth, name="greater").entry()
    assert all(check.ok for check in battery(entry, TARGETS["cpu"], SIZE, SINGLE))


# ---------------------------------------------------------------- what it costs and who is tried
def test_a_kernel_that_raises_is_a_failed_check() -> None:
    def broken(x: Any, y: Any) -> None:
        raise RuntimeError("out of luck")

    entry = Pair(broken, example=example, reference=right, name="broken").entry()
    (found,) = tried(entry, TARGETS["cpu"], SIZE, SINGLE)
    assert not found.ok and found.said == "it fails: RuntimeError: out of luck"


@pytest.mark.parametrize("name", [n for i, n in enumerate(KERNELS) if i % 6 == 0])
def test_kernels_of_the_table_pass(name: str) -> None:
    (entry,) = compare.entries(name)
    with np.errstate(all="ignore"):
        found = battery(entry, TARGETS["cpu"], entry.example.sizes((300,)), SINGLE)
    assert found and [check for check in found if not check.ok] == []


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_cuda_kernels_are_tried_on_the_simulator() -> None:
    @cuda.jit
    def triple(x, y):
        i = cuda.grid(1)
        if i < y.size:
            y[i] = x[i] * x.dtype.type(3)

    @cuda.jit
    def one_block(x, y):
        i = cuda.threadIdx.x
        if i < y.size:
            y[i] = x[i] * x.dtype.type(3)

    assert checks_of(right, "cuda-sim", (64,), cuda=triple, block=32) == {}

    @cuda.jit
    def double(x, y):
        i = cuda.grid(1)
        if i < y.size:
            y[i] = 3.0 * x[i]

    assert checks_of(right, "cuda-sim", (64,), cuda=double, block=32) == {}, "a user's may"
    found = checks_of(right, "cuda-sim", (64,), cuda=one_block, block=64, grid=1)
    assert found == {"sizes": found["sizes"]} and found["sizes"].startswith("at size 65 it is ")


def test_large_cases_are_cut() -> None:
    shape = example_of("softmax")
    assert of.cut(shape, (4_096, 4_096), of.MOST) == (256, 256)
    assert of.cut(shape, (3, 5), of.MOST) == (3, 5)
