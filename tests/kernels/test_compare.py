"""compare: what it finds of right and wrong kernels, its report, its examples, its command."""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.cli.main import main as minigrad_main
from minigrad_kernels.__main__ import main
from minigrad_kernels.compare import api as compare
from minigrad_kernels.compare import gpu_limits
from minigrad_kernels.compare.api import BreakEven, Report, Row
from minigrad_kernels.compare.examples import example_of
from minigrad_kernels.compare.machine import Limits
from minigrad_kernels.compare.measure import checked, ulps
from minigrad_kernels.compare.peers import ARRAYS, BLAS, TORCH, array_peer, torch_peer
from minigrad_kernels.compare.report import STATISTICS, sections, shown_time
from minigrad_kernels.compare.statistics import COUNTED, checks_of
from minigrad_kernels.compare.targets import TARGETS, Library, cuda_kernel_of
from minigrad_kernels.cuda import targets
from minigrad_kernels.cuda.plan import Planned
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.jit.arguments import bind
from minigrad_kernels.table import FAMILIES, KERNELS, ROOMS
from tests.html_page import checked_page

pytestmark = pytest.mark.slow

HAS_GREENLET = importlib.util.find_spec("greenlet") is not None
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
HOST = ["reference", "cpu"]
BIT_SUMS = 64.0  # ULP allowed to libraries that sum in another order


@pytest.fixture(autouse=True)
def limits_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reports of this file share one measurement of the machine, which takes seconds."""
    monkeypatch.setattr(compare.machine, "limits", LIMITS)


LIMITS = functools.cache(compare.machine.limits)


# ---------------------------------------------------------------- examples
def test_cuda_kernels_of_the_table_are_timed_as_tensors_launch_them() -> None:
    (entry,) = compare.entries("gelu")
    launched = cuda_kernel_of(entry)
    assert isinstance(launched, Planned) and launched.kernel is CUDA_KERNELS["gelu"]


def test_a_kernel_without_an_example_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KERNELS, "relu", replace(KERNELS["relu"], example=None))
    with pytest.raises(LookupError, match="kernel relu has no example: state one in its row"):
        example_of("relu")


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_have_no_examples_of_other_kernels(room: str) -> None:
    found = importlib.util.find_spec(f"minigrad_kernels.{room}.examples")
    if found is None:
        return
    examples = importlib.import_module(found.name).EXAMPLES
    mine = {n for f in FAMILIES if f.__name__.split(".")[1] == room for n in f.KERNELS}
    assert set(examples) == {name for name in mine if KERNELS[name].example is None}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_examples_suit_their_kernels(name: str, dtype: np.dtype[Any]) -> None:
    (entry,) = compare.entries(name)
    for size in ((1,), (300,)):
        sizes = entry.example.sizes(size)
        args = entry.example.make(np.random.default_rng(0), dtype, *sizes)
        exact = bind(entry.kernel, args, np.copy, wide=not entry.example.own_dtype)
        with np.errstate(all="ignore"):
            entry.kernel.reference(*exact.args)
            row = Row(name, dtype.name, sizes, 1, "cpu")
            found = checked(TARGETS["cpu"], entry, args, exact.written, row)
        assert found is not None and found.max_ulp is not None
        assert found.max_ulp < 100 and found.repeats and found.any_threads, found


@pytest.mark.parametrize("name", ("gemm", "softmax", "conv", "adam_step", "extreme", "max_pool"))
def test_examples_have_about_the_size_asked_for(name: str) -> None:
    report = compare.run(name, sizes=[5_000], targets="cpu", quick=True)
    (row,) = report.rows
    assert 2_000 < row.elements <= 10_000


# ---------------------------------------------------------------- what is found
def report_of(*kernels: str, **options: Any) -> Report:
    return compare.run(kernels, quick=True, statistics=False, **options)


def test_a_kernel_is_compared_on_all_that_is_here() -> None:
    report = report_of("gemm", sizes=["5x6x7", 64], dtypes=["float32", "float64"], targets=HOST)
    assert report.ok
    assert [(r.size, r.dtype, r.target) for r in report.rows] == [
        (size, dtype, target)
        for dtype in ("float32", "float64")
        for size in ((5, 6, 7), (8, 8, 8))
        for target in HOST
    ]
    for row in report.rows:
        assert row.flops == 2 * int(np.prod(row.size))
        assert row.max_ulp is not None and row.rms_ulp is not None
        assert 0 <= row.rms_ulp <= row.max_ulp < 20
        assert row.seconds and row.low and row.low <= row.seconds and row.overhead
        assert row.gflops == pytest.approx(1e-9 * row.flops / row.seconds)
        assert row.share is not None and row.share > 0


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_the_simulator_is_asked_for_tiny_arrays_and_not_timed() -> None:
    report = report_of("dropout", sizes=[100_000], targets=["cuda-sim"])
    (row,) = report.rows
    assert row.elements <= compare.SIMULATED
    assert row.seconds is None and row.share is None
    assert row.max_ulp is not None and row.max_ulp < 1 and row.any_threads


def test_without_a_gpu_the_report_says_so() -> None:
    if TARGETS["cuda"].absent() is None:
        pytest.skip("there is a GPU")
    report = compare.run("relu", targets=["cpu", "cuda"], quick=True)
    assert any(note.startswith("cuda: no CUDA: ") for note in report.notes)
    missing = any("PTX/SASS statistics: needs" in note for note in report.notes)
    assert missing or report.statistics or not checks_of(["relu"])


def twice(x: Any, y: Any) -> None:
    np.multiply(x, 2, out=y)


def twice_example(rng: np.random.Generator, dtype: Any, n: int) -> tuple[Any, ...]:
    return rng.random(n).astype(dtype), np.empty(n, dtype)


def twice_cost(x: Any, y: Any) -> tuple[int, int]:
    return x.size, x.nbytes + y.nbytes


@pytest.fixture
def own() -> Iterator[dict[str, Any]]:
    yield {"reference": twice, "cpu": twice, "cost": twice_cost, "example": twice_example}
    compare.ADDED.clear()


def test_an_own_kernel_is_compared(own: dict[str, Any]) -> None:
    mg.compare.add("twice", **own)
    report = mg.compare.run("twice", sizes=[1_000], targets=[*HOST, "cuda-sim"], quick=True)
    assert report.ok
    assert [row.target for row in report.rows] == HOST, "no CUDA kernel was given"
    assert [row.max_ulp for row in report.rows] == [0, 0]


def test_a_wrong_kernel_is_found(own: dict[str, Any]) -> None:
    def wrong(x: Any, y: Any) -> None:
        twice(x, y)
        y[-1] += 1

    compare.add("twice", **{**own, "cpu": wrong})
    report = report_of("twice", sizes=[100], targets=HOST)
    assert not report.ok
    assert [row.target for row in report.wrong] == ["cpu"]
    assert report.wrong[0].max_ulp is not None and report.wrong[0].max_ulp > 1e6
    assert "WRONG: twice 100 float32 on cpu" in str(report)


def test_bits_that_do_not_repeat_are_found(own: dict[str, Any]) -> None:
    calls = iter(range(1_000_000))

    def restless(x: Any, y: Any) -> None:
        twice(x, y)
        y[0] = np.nextafter(y[0], np.float32(next(calls) % 2 * 10), dtype=y.dtype)

    compare.add("twice", **{**own, "cpu": restless})
    (row,) = report_of("twice", sizes=[100], targets="cpu").rows
    assert row.repeats is False


def test_a_kernel_that_raises_is_reported(own: dict[str, Any]) -> None:
    def broken(x: Any, y: Any) -> None:
        raise RuntimeError("out of luck")

    compare.add("twice", **{**own, "cpu": broken})
    report = report_of("twice", sizes=[100], targets=HOST)
    assert [row.failure for row in report.rows] == [None, "RuntimeError: out of luck"]
    assert not report.ok
    assert "on cpu: RuntimeError: out of luck" in str(report)


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_an_own_cuda_kernel_is_simulated(own: dict[str, Any]) -> None:
    def cuda_kernel(x: Any, y: Any) -> None:
        CUDA_KERNELS["dropout"](x, 0.0, 2.0, 1, 2, np.array([3]), y)

    compare.add("twice", **own, cuda=cuda_kernel)
    report = report_of("twice", targets=["cuda-sim"])
    assert report.ok and len(report.rows) == 1


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_a_gpu_is_timed_below_limits_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator stands in for the GPU: what is measured means nothing, but it is all there."""
    found = Limits({"float32": 1e3, "float64": 1e3}, ((1e3, 10.0), (1e9, 10.0)))
    monkeypatch.setattr(targets, "driver", lambda: None)
    monkeypatch.setattr(targets, "gpu", lambda: targets.Simulator(checks=False))
    monkeypatch.setattr(gpu_limits, "limits", lambda target: found)
    monkeypatch.setattr(TARGETS["cuda"], "parts", 1)
    report = compare.run("dropout", sizes=[4, 64], targets=["cpu", "cuda"], quick=True)
    assert report.ok and report.limits["gpu"] == found.as_json()
    assert not report.statistics and not report.notes
    for row in report.rows:
        assert row.seconds and row.overhead and row.share
        if row.target == "cuda":
            floor = found.floor(row.flops, row.nbytes)
            assert row.share == pytest.approx(floor / row.seconds)
    (even,) = report.break_even
    assert even.kernel == "dropout"
    titles = [title for title, _ in sections(report)]
    assert titles[:2] == ["Roofline of the CPU, float32", "Roofline of the GPU, float32"]


# ---------------------------------------------------------------- what is asked for wrongly
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": "sofmax"}, "compare: no kernel 'sofmax'; did you mean softmax"),
        ({"kernels": "zzzzz"}, "compare: no kernel 'zzzzz'; such as "),
        ({"targets": ["gpu", "cpu"]}, "compare: no target 'gpu'; did you mean cpu"),
        ({"dtypes": "float23"}, "compare: no dtype 'float23'; did you mean float32"),
        ({"kernels": "gemm", "sizes": ["4x"]}, "as 256x1024, got '4x'"),
        ({"kernels": "gemm", "sizes": [0]}, "as 256x1024, got 0"),
        ({"kernels": "gemm", "sizes": ["4x5"]}, "number of elements or MxKxN, got 4x5"),
    ],
)
def test_bad_input_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare.run(**options)


def test_own_names_and_shapes_are_checked(own: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the table has a kernel 'gemm'"):
        compare.add("gemm", **own)
    with pytest.raises(ValueError, match="no shape 'CxN'; expected one of N, NxC"):
        compare.add("twice", **own, shape="CxN")


# ---------------------------------------------------------------- ULP and the break-even size
def test_errors_count_in_units_of_the_last_place() -> None:
    single = np.dtype(np.float32)
    got = np.array([1, np.nan, np.inf, 0, np.nan, 1], np.float32)
    exact = np.array([1 + 2.0**-24, np.nan, np.inf, 2.0**-149, 1, np.inf])
    found = ulps(got, exact, single)
    assert found[:4].tolist() == [0.5, 0, 0, 1]
    assert not (found[4:] < np.inf).any()
    small = ulps(np.float32([1e-6, 1]), np.array([0.0, 1.0]), single, cancels=True)
    assert small[0] == pytest.approx(1e-6 / np.spacing(np.float32(0.5**0.5)), rel=1e-3)
    whole = ulps(np.array([1, 2]), np.array([1, 3]), single)
    assert whole.tolist() == [0, np.inf]


def rows_of(target: str, times: list[float]) -> list[Row]:
    blank = Row("gemm", "float32", (1,), 0, target)
    return [
        replace(blank, elements=10**k, floor=10.0 ** (k - 9), seconds=t)
        for k, t in enumerate(times, 3)
    ]


@pytest.mark.parametrize(
    ("gpu", "elements"),
    [
        ([1e-5 + 1e-10 * n for n in (1e3, 1e4, 1e5)], 1e4),  # 1e-9 n = 1e-5 + 1e-10 n - 1e-6
        ([1e-9 * n for n in (1e3, 1e4, 1e5)], 0.0),
        ([2e-5 + 2e-9 * n for n in (1e3, 1e4, 1e5)], None),
    ],
)
def test_the_break_even_size_is_fitted(gpu: list[float], elements: float | None) -> None:
    cpu = [1e-6 + 1e-9 * n for n in (1e3, 1e4, 1e5)]
    report = Report((*rows_of("cpu", cpu), *rows_of("cuda", gpu)))
    (found,) = report.break_even
    expected = elements if not elements else pytest.approx(elements, rel=1e-6)
    assert found == BreakEven("gemm", "float32", expected)
    assert ("no size on" in str(report)) == (elements is None)


# ---------------------------------------------------------------- other libraries
def right(target: Library, name: str) -> None:
    (entry,) = compare.entries(name)
    for dtype in DTYPES:
        args = entry.example.make(np.random.default_rng(0), dtype, *entry.example.sizes((300,)))
        exact = bind(entry.kernel, args, np.copy, wide=True)
        row = Row(name, dtype.name, (300,), 300, target.name)
        with np.errstate(all="ignore"):
            entry.kernel.reference(*exact.args)
            found = checked(target, entry, args, exact.written, row)
        assert found is not None
        assert found.max_ulp is None or found.max_ulp < BIT_SUMS, found


@pytest.mark.parametrize("name", [n for n in KERNELS if array_peer(np, n, KERNELS[n])])
def test_numpy_and_so_cupy_compute_the_same(name: str) -> None:
    right(Library("arrays", "numpy", array_peer), name)


@pytest.mark.parametrize("name", KERNELS)
def test_torch_computes_the_same(name: str) -> None:
    torch = pytest.importorskip("torch")
    if torch_peer(torch, name, KERNELS[name]) is None:
        pytest.skip("torch has none")
    right(Library("torch", "torch", torch_peer), name)


def test_peers_are_found_by_name() -> None:
    found = {name for name in KERNELS if array_peer(np, name, KERNELS[name])}
    assert {"neg", "sub", "gt", "expm1", "maximum", "left_shift", "where", "relu"} <= found
    assert not {"erf", "silu", "softmax", "bce_logits", "larger_share"} & found


def test_a_row_states_its_own_peers() -> None:
    row = replace(KERNELS["exp"], peers={"numpy": None})
    assert array_peer(np, "exp", row) is None


def test_libraries_get_their_threads_back() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads(), mg.get_num_threads()
    compare.run("relu", targets=["cpu", "torch", "cpu-blas"], quick=True, statistics=False)
    assert (torch.get_num_threads(), mg.get_num_threads()) == before


def test_peers_are_of_kernels_that_exist() -> None:
    assert {*ARRAYS, *BLAS, *TORCH} <= set(KERNELS)


# ---------------------------------------------------------------- report and command
KEYS = {"format", "machine", "limits", "notes", "rows", "break_even", "statistics", "ok"}
KEYS |= {"checks", "verdicts", "phases", "predictions", "conditions", "sessions"}


@pytest.mark.parametrize("command", (main, minigrad_main))
def test_the_command_prints_and_writes(
    command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    arguments = ["compare", "exp", "--quick", "--targets", *HOST, "--json", str(path)]
    assert command(arguments) == 0
    printed = capsys.readouterr().out
    assert "exp 4096" in printed and "max ulp" in printed and f"wrote {path}" in printed
    found = json.loads(path.read_text())
    assert set(found) == KEYS and found["ok"] is True
    assert {"date", "cpu", "cores", "versions"} == set(found["machine"])
    assert {"peak_gflops", "copy_mb_gbps"} == set(found["limits"])
    for row in found["rows"]:
        assert {"kernel", "dtype", "size", "target", "max_ulp", "seconds", "gbps"} <= set(row)


def test_the_command_lists_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(KERNELS)
    assert any(line.split() == ["gemm", "MxKxN"] for line in lines)


def test_the_command_fails_on_wrong_kernels(own: dict[str, Any]) -> None:
    compare.add("twice", **{**own, "cpu": lambda x, y: y.fill(0)})
    assert main(["compare", "twice", "--quick", "--targets", "cpu"]) == 1


@pytest.mark.parametrize("command", (main, minigrad_main))
def test_the_command_refuses_unknown_names(
    command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["compare", "sofmax"]) == 2
    assert "no kernel 'sofmax'; did you mean softmax" in capsys.readouterr().err


def test_the_page_holds_all_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # charts are made here
    report = report_of("exp", "gemm", sizes=[64, 300], targets=HOST)
    text = report.to_html(tmp_path / "report.html").read_text()
    page = checked_page(text)
    assert [h for h in page.headings if h.startswith("Roofline")] == [
        "Roofline of the CPU, float32"
    ]
    for name in ("exp", "gemm"):  # every point has a name, in a drawing for each of three widths
        assert page.svg_texts.count(name) == 3 * len(HOST)
    for row in report.rows:
        assert [f"{row.kernel} {'x'.join(map(str, row.size))}", row.dtype] in [
            cells[:2] for cells in page.rows
        ]
        assert shown_time(row.seconds) in page.cells


@pytest.mark.parametrize("option", ["--html", "--json"])
def test_a_place_that_cannot_be_written_is_said_before_measuring(
    tmp_path: Path,
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measure(*_: Any, **__: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(compare, "run", measure)
    assert minigrad_main(["compare", "exp", option, str(tmp_path / "no" / "a")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert minigrad_main(["compare", "exp", option, str(tmp_path)]) == 2
    assert "expected the path of a file" in capsys.readouterr().err


def test_the_page_escapes_what_it_is_told(tmp_path: Path) -> None:
    (row,) = rows_of("cpu", [1e-6])
    bad = replace(row, kernel="<script>alert(1)</script>", failure="<b>&", repeats=False)
    report = Report((bad,), notes=("<img src=x>",), machine={"cpu": "<i>"})
    page = checked_page(report.to_html(tmp_path / "report.html").read_text())
    assert not {"script", "b", "img", "i"} & page.tags
    assert "Wrong: <script>alert(1)</script>" in page.text


def test_statistics_name_the_checks_of_the_kernels() -> None:
    found = checks_of(["dropout"])
    assert {check.name for check in found} >= {"dropout.vectors", "dropout/float32"}
    assert checks_of([]) == []
    statistics = {"kernel", "registers", "stack", "shared", "spills", "doubles", "instructions"}
    assert statistics | set(COUNTED) == set(STATISTICS.values())


def test_statistics_are_shown() -> None:
    row = {name: i for i, name in enumerate(STATISTICS.values())}
    text = str(Report((), statistics=({**row, "kernel": "dropout.vectors"},)))
    assert "load128" in text and "dropout.vectors" in text
