"""Predictions: the launches that are written down, the model's limits, what is said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numba import cuda

import minigrad_kernels.compare.predict as of
from minigrad_kernels.compare import api as compare
from minigrad_kernels.compare.gpus import GPUS, resident
from minigrad_kernels.compare.machine import Limits
from minigrad_kernels.compare.pairs import Pair
from minigrad_kernels.compare.predict import (
    ASSUMPTIONS,
    UNMEASURED,
    Prediction,
    launches_of,
    predict,
)
from minigrad_kernels.compare.report import Report
from minigrad_kernels.compare.row import Row
from minigrad_kernels.compare.targets import Entry
from minigrad_kernels.cuda import compile as cuda_compile
from minigrad_kernels.cuda_table import CUDA_KERNELS
from tests.html_page import checked_page

SINGLE = np.dtype(np.float32)


@cuda.jit
def triple(x, y):
    i = cuda.grid(1)
    if i < y.size:
        y[i] = x[i] * x.dtype.type(3)


def example(rng: Any, dtype: Any, n: int) -> tuple[Any, ...]:
    return np.ones(n, dtype), np.empty(n, dtype)


def entry_of(flops: int = 0, block: int = 256) -> Entry:
    return Pair(
        lambda x, y: np.multiply(x, 3, out=y),
        triple,
        example=example,
        cost=lambda x, y: (flops * x.size, x.nbytes + y.nbytes),
        block=block,
        name="triple",
    ).entry()


def predicted(gpu: str, n: int, flops: int = 0, block: int = 256) -> Prediction:
    entry = entry_of(flops, block)
    args = example(None, SINGLE, n)
    amounts = {"flops": flops * n, "nbytes": 8 * n}
    found = predict(
        entry, args, GPUS[gpu], **amounts, dtype="float32", size=(n,), elements=n
    )  # fmt: skip
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predict as where numba-cuda is not installed, wherever this runs."""
    of.compiled.cache_clear()
    monkeypatch.setattr(cuda_compile, "missing", lambda: ["numba-cuda"])


# ---------------------------------------------------------------- launches
def test_launches_are_written_down_and_not_run() -> None:
    args = example(None, SINGLE, 1_000)
    (launch,) = launches_of(entry_of(), args, 132)
    assert (launch.grid, launch.block, launch.arrays, launch.nbytes) == (4, 256, 2, 8_000)
    assert [str(kind) for kind in launch.signature] == ["array(float32, 1d, C)"] * 2


def test_a_grid_stride_launch_has_the_grid_of_the_other_gpu() -> None:
    (entry,) = compare.entries("relu")
    args = entry.example.make(np.random.default_rng(0), SINGLE, 4_000_000)
    grids = [launches_of(entry, args, GPUS[name].processors)[0].grid for name in ("H100", "T4")]
    assert grids[0] > grids[1]


@pytest.mark.parametrize("name", sorted(CUDA_KERNELS))
def test_every_cuda_kernel_of_the_table_is_predicted(name: str) -> None:
    (entry,) = compare.entries(name)
    sizes = entry.example.sizes((600,))
    args = entry.example.make(np.random.default_rng(0), SINGLE, *sizes)
    found = predict(
        entry, args, GPUS["H100"], flops=1e3, nbytes=1e4, dtype="float32", size=sizes, elements=600
    )
    assert found is not None and found.launches >= 1
    assert 5e-6 < found.there < found.travelling < 1e-2
    assert found.there == pytest.approx(found.launch + found.kernels)


def test_what_has_no_cuda_kernel_is_not_predicted() -> None:
    entry = Pair(lambda x, y: None, example=example, name="none").entry()
    args = example(None, SINGLE, 4)
    amounts = {"flops": 0, "nbytes": 0, "dtype": "float32", "size": (4,), "elements": 4}
    assert predict(entry, args, GPUS["T4"], **amounts) is None


# ---------------------------------------------------------------- the model
def test_small_arrays_wait_for_the_launch_and_large_ones_for_memory() -> None:
    small, large = predicted("A100", 100), predicted("A100", 2**25)
    assert small.limit == "launching" and large.limit == "memory"
    assert small.there == pytest.approx(of.DISPATCH + 2 * of.ARGUMENT + of.WAIT, rel=0.2)
    sheet = 8 * 2**25 / (1e9 * GPUS["A100"].memory)
    assert large.kernels == pytest.approx(of.START + sheet / of.SUSTAINED)


def test_arrays_that_fit_the_cache_are_read_faster() -> None:
    n = 2**20  # 8 MB: in half of 50 MB, not in half of 4
    assert predicted("H100", n, 0).kernels < predicted("T4", n, 0).kernels
    entry, args = entry_of(), example(None, SINGLE, n)
    tiny = replace(GPUS["H100"], cache=1.0)
    amounts = {"flops": 0, "nbytes": 8 * n, "dtype": "float32", "size": (n,), "elements": n}
    without = predict(entry, args, tiny, **amounts)
    assert without is not None
    assert without.kernels > 1.5 * predicted("H100", n, 0).kernels


def test_much_arithmetic_limits_by_the_peak() -> None:
    found = predicted("T4", 2**22, flops=2_000)
    assert found.limit == "arithmetic"
    least = 2_000 * 2**22 / GPUS["T4"].peak("float32")
    assert found.kernels == pytest.approx(of.START + least / of.COMPUTED)


def test_one_block_has_too_few_threads_for_the_memory() -> None:
    entry = Pair(lambda x, y: None, triple, example=example, grid=1, block=32, name="one").entry()
    args = example(None, SINGLE, 2**22)
    amounts = {"flops": 0, "nbytes": 2**25, "dtype": "float32", "size": (1,), "elements": 2**22}
    found = predict(entry, args, GPUS["H200"], **amounts)
    assert found is not None and found.limit == "too few threads"


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "blocks"),
    [
        (256, 32, 0, 8),  # 2048 threads
        (256, 255, 0, 1),  # 65536 registers, of 255 taken as 256
        (1_024, 64, 0, 1),
        (32, 16, 0, 32),  # blocks
        (128, 32, 100 * 1_024, 2),  # 228 KB, 1 KB of each block the system's
        (128, 32, 228 * 1_024, 0),
    ],
)
def test_blocks_that_a_multiprocessor_holds(
    threads: int, registers: int, shared: int, blocks: int
) -> None:
    assert resident(GPUS["H100"], threads, registers, shared) == blocks


def made(registers: int, opcodes: dict[str, int]) -> cuda_compile.Compiled:
    return cuda_compile.Compiled(registers, 0, 0, 3, 0, opcodes)


def test_machine_code_says_registers_spills_occupancy_and_issue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(of, "compiled", lambda *_: made(128, {"FFMA": 10, "IMAD": 90}))
    found = predicted("H100", 2**22, flops=2_000)
    assert (found.registers, found.spills, found.occupancy) == (128, 3, 0.25)
    assert found.limit == "issue" and found.note == ""
    gpu = GPUS["H100"]
    issued = 2_000 * 2**22 / 2 * 10
    least = issued / (gpu.processors * gpu.lanes * 1e9 * gpu.clock)
    assert found.kernels == pytest.approx(of.START + least)


def test_double_precision_on_single_arrays_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    code = cuda_compile.Compiled(32, 0, 0, 0, 40, {"DFMA": 40, "FADD": 2})
    monkeypatch.setattr(of, "compiled", lambda *_: code)
    found = predicted("RTX 4090", 2**22, flops=200)
    assert found.limit == "arithmetic in double precision"
    assert found.note == "40 instructions in double precision on float32 arrays"


def test_a_kernel_that_does_not_compile_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of, "compiled", lambda *_: "NvvmError: no such instruction")
    found = predicted("T4", 100)
    assert found.note == "does not compile for sm_75: NvvmError: no such instruction"


def test_what_the_compiler_raises_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(*_: Any) -> Any:
        raise TypeError("unsupported\nand more")

    monkeypatch.setattr(cuda_compile, "missing", lambda: [])
    monkeypatch.setattr(cuda_compile, "examine", examine)
    assert of.compiled(triple, (), "sm_75") == "TypeError: unsupported"


def test_data_sheets_are_consistent() -> None:
    for gpu in GPUS.values():
        peak = 2e-3 * gpu.processors * gpu.lanes * gpu.clock  # a multiply-add a lane and cycle
        assert gpu.float32 == pytest.approx(peak, rel=0.02), gpu.name
        assert gpu.target in cuda_compile.CAPABILITIES


# ---------------------------------------------------------------- what is said
def test_predictions_state_their_assumptions_and_give_break_even_sizes(tmp_path: Any) -> None:
    sizes = (2**12, 2**16, 2**22)
    limits = Limits({"float32": 100.0, "float64": 50.0}, ((1e3, 50.0), (1e9, 10.0)))
    rows = tuple(
        Row(
            *("triple", "float32", (n,), n, "cpu"),
            nbytes=8 * n,
            floor=limits.floor(0, 8 * n),
            seconds=1e-6 + 2e-9 * n,
        )
        for n in sizes
    )
    predictions = tuple(predicted(gpu, n) for n in sizes for gpu in ("A100", "T4"))
    report = Report(rows, predictions=predictions)
    found = {(b.gpu, b.data): b.elements for b in report.break_even}
    assert set(found) == {(gpu, data) for gpu in ("A100", "T4") for data in ("there", "travels")}
    there, travels = found["A100", "there"], found["A100", "travels"]
    assert there is not None and travels is not None and 2e3 < there < 5e4 < 5 * travels
    words = " ".join(str(report).split())
    assert "PREDICTED, not measured" in words and UNMEASURED in words
    page = checked_page(report.to_html(tmp_path / "a.html").read_text())
    for assumption in ASSUMPTIONS:
        assert assumption in page.text
    assert "A100, predicted" in page.text and "triple: data travels" in page.text
    told = report.as_json()
    assert {one["gpu"] for one in told["predictions"]} == {"A100", "T4"}


def test_many_sizes_of_one_fault_are_told_once(tmp_path: Any) -> None:
    rows = tuple(Row("exp", "float32", (n,), n, "cuda", failure="no <b>") for n in range(1, 9))
    page = checked_page(Report(rows).to_html(tmp_path / "a.html").read_text())
    assert page.text.count("exp float32 at 8 sizes on cuda") == 2  # at the head, and why
    assert page.text.count("no <b>") == 1
    few = checked_page(Report(rows[:2]).to_html(tmp_path / "b.html").read_text())
    assert "Wrong: exp 1, 2 float32 on cuda" in few.text
