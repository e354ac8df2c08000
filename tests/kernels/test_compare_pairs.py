"""Your own pairs: how they are found in a file, compared, and held against others."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.cli.main import main
from minigrad_kernels.compare import api as compare
from minigrad_kernels.compare import extras, measure, pairs, phases, sessions, verdict
from minigrad_kernels.compare import report as report_of_pairs
from minigrad_kernels.compare.extras import extras as measured_extras
from minigrad_kernels.compare.machine import Limits
from minigrad_kernels.compare.pairs import Pair
from minigrad_kernels.compare.phases import Phases
from minigrad_kernels.compare.predict import Prediction, launches_of
from minigrad_kernels.compare.report import Report
from minigrad_kernels.compare.row import Row
from minigrad_kernels.compare.targets import TARGETS
from minigrad_kernels.compare.timing import Pace, cores
from minigrad_kernels.compare.words import what_limits
from tests.html_page import checked_page

HAS_GREENLET = importlib.util.find_spec("greenlet") is not None
MINE = """
import numpy as np
from numba import cuda
from minigrad.compare import Pair


def saxpy(a, x, y, out):
    np.multiply(x, a, out=out)
    out += y


def returning(a, x, y):
    return a * x + y


@cuda.jit
def kernel(a, x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


@cuda.jit
def late(a, x, y, out):
    i = cuda.grid(1)
    if 0 < i < out.size:
        out[i] = a * x[i] + y[i]


def example(rng, dtype, n):
    x, y = rng.random((2, n)).astype(dtype)
    return dtype.type(2.5), x, y, np.empty(n, dtype)


pair = Pair(saxpy, kernel, example=example, block=64)
wrong = Pair(returning, late, example=example, block=64)
_hidden = pair
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "my_kernels.py"
    path.write_text(MINE)
    return path


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let verdicts end at the first look, and take the machine's limits from nowhere."""
    found = Limits({"float32": 100.0, "float64": 50.0}, ((1e3, 50.0), (1e9, 10.0)))
    monkeypatch.setattr(compare.machine, "limits", lambda quick: found)
    monkeypatch.setattr(verdict, "LOOKS", (16,))
    monkeypatch.setattr(sessions, "SESSIONS", 6)
    monkeypatch.setattr(extras, "SPAN", 0.5)


# ---------------------------------------------------------------- what a pair is
def test_a_pair_of_a_file_is_compared_by_the_command(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, path = f"{mine}:pair", tmp_path / "a.json"
    targets = ["cpu", *(["cuda-sim"] if HAS_GREENLET else [])]
    command = ["compare", place, "--sizes", "100", "5000", "--targets", *targets, "--no-phases"]
    assert main([*command, "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    for words in ("pair 5000", "what limits it", "ok: all 8 checks", "PREDICTED, not measured"):
        assert words in printed
    found = json.loads(path.read_text())
    assert found["format"] == 2 and found["ok"]
    assert {check["target"] for check in found["checks"]} == set(targets)
    assert {one["gpu"] for one in found["predictions"]} >= {"A100", "T4"}
    assert {(one["gpu"], one["data"]) for one in found["break_even"]} >= {
        ("H100", "there"),
        ("H100", "travels"),
    }
    counts = [len(one["seconds"]) for one in found["sessions"]]
    used = [(one["size"], one["threads"]) for one in found["sessions"]]
    every = dict.fromkeys((1, cores()))  # one thread and all
    assert used == [([size], count) for size in (100, 5000) for count in every]
    assert counts == [6] * len(used)
    assert {"stolen", "others", "load", "quiet"} <= set(found["conditions"])


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_a_wrong_cuda_kernel_of_a_pair_fails_the_command(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", f"{mine}:wrong", "--sizes", "100", "--targets", "cuda-sim", "--no-phases"]
    assert main([*command, "--no-verdicts"]) == 1
    printed = capsys.readouterr().out
    assert "WRONG: wrong 192 float32 on cuda-sim" in printed
    assert "writes: it leaves 1 of 100 elements of out alone" in " ".join(printed.split())


def test_without_a_name_all_pairs_of_a_file_are_compared(mine: Path) -> None:
    assert [entry.name for entry in compare.entries(str(mine))] == ["pair", "wrong"]


def test_without_a_reference_the_cpu_function_in_float64_is_it(mine: Path) -> None:
    (entry,) = pairs.load(f"{mine}:wrong")
    args = entry.example.make(np.random.default_rng(0), np.dtype(np.float32), 50)
    out = np.empty(50)
    entry.kernel.reference(*args[:-1], out)
    exact = 2.5 * args[1].astype(np.float64) + args[2]
    assert np.abs(out - exact).max() < 1e-15
    assert TARGETS["reference"].prepare(entry, args) is None, "it has none of its own to time"


def test_costs_are_counted_where_none_is_stated() -> None:
    def shift(x: Any, y: Any) -> None:
        y += x

    def example(rng: Any, dtype: Any, n: int) -> tuple[Any, ...]:
        return np.zeros(n, dtype), np.zeros(n, dtype)

    entry = Pair(shift, example=example, inout=("y",), name="shift").entry()
    args = example(None, np.float32, 10)
    assert entry.kernel.cost(*args) == (0, 40 + 2 * 40) and not entry.counted
    assert entry.kernel.out == () and entry.kernel.inout == ("y",)


def test_a_grid_covers_the_largest_array() -> None:
    def example(rng: Any, dtype: Any, n: int) -> tuple[Any, ...]:
        return np.zeros((n, 3), dtype), np.zeros(n, dtype)

    args = example(None, np.float32, 100)
    assert Pair(lambda x, y: None, example=example).geometry(args) == (2, 256)
    two = Pair(lambda x, y: None, example=example, block=(8, 8), grid=lambda x, y: (y.size, 2))
    assert two.geometry(args) == ((100, 2), (8, 8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": "CxN"}, "no shape 'CxN'; expected one of N, NxC"),
        ({"out": ("z",)}, "it writes 'z', but its arguments are x, y"),
        ({"cpu": lambda: None}, "takes 0 arguments, but the example makes 2, of which 1 are"),
    ],
)
def test_what_a_pair_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    def example(rng: Any, dtype: Any, n: int) -> tuple[Any, ...]:
        return np.zeros(n, dtype), np.zeros(n, dtype)

    options = {"cpu": lambda x, y: None, "example": example, "name": "mine", **change}
    with pytest.raises(ValueError, match=message):
        Pair(**options).entry()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere.py:pair", "there is no file nowhere.py"),
        ("{mine}:pear", "has no Pair 'pear'; it has pair, wrong"),
        ("{empty}:pair", "has no Pair 'pair'; it has none: write name = Pair"),
        ("{empty}", "has no Pair; it has none"),
    ],
)
def test_places_without_a_pair_are_named(
    mine: Path, capsys: pytest.CaptureFixture[str], place: str, message: str
) -> None:
    empty = mine.with_name("empty.py")
    empty.write_text("x = 1\n")
    assert main(["compare", place.format(mine=mine, empty=empty)]) == 2
    assert message in capsys.readouterr().err


def test_what_a_file_raises_leaves_no_module_behind(tmp_path: Path) -> None:
    path = tmp_path / "broken_kernels.py"
    path.write_text("raise LookupError('mine')")
    with pytest.raises(LookupError, match="mine"):
        pairs.load(f"{path}:pair")
    assert "broken_kernels" not in sys.modules


# ---------------------------------------------------------------- host functions
HOSTED = """
import numpy as np
from numba import cuda, float32
from minigrad.compare import Pair


@cuda.jit
def partial_sums(x, part):
    total = float32(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        total += x[i]
    part[cuda.grid(1)] = total


@cuda.jit
def last(part, out):
    total = float32(0)
    for i in range(part.size):
        total += part[i]
    out[0] = total


def total(x, out):
    out[0] = x.sum()


def two_launches(x, out):
    part = cuda.device_array(8, x.dtype)
    partial_sums[2, 4](x, part)
    last[1, 1](part, out)


def one_forgotten(x, out):
    last[1, 1](cuda.device_array(8, x.dtype), out)


def example(rng, dtype, n):
    return rng.random(n).astype(dtype), np.empty(1, dtype)


pair = Pair(total, two_launches, example=example)
wrong = Pair(total, one_forgotten, example=example)
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "hosted_kernels.py"
    path.write_text(HOSTED)
    return path


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_a_host_function_launches_several_kernels_and_makes_temporaries(host: Path) -> None:
    options: dict[str, Any] = {"targets": "cuda-sim", "sizes": [50], "phases": False}
    report = compare.run(f"{host}:pair", verdicts=False, predict=["T4"], **options)
    assert report.ok, str(report)
    (row,) = report.rows
    assert row.max_ulp is not None and row.max_ulp < 4 and row.repeats
    assert {check.ok for check in report.checks} == {True} and len(report.checks) == 8
    (one,) = report.predictions
    assert one.launches == 2, "both are written down"


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_faults_of_a_host_functions_launches_are_named(host: Path) -> None:
    options: dict[str, Any] = {"targets": "cuda-sim", "sizes": [50], "phases": False}
    report = compare.run(f"{host}:wrong", verdicts=False, predict=[], **options)
    assert not report.ok
    said = str(report.rows[0].failure)
    assert "read of global part[0], which nothing has written" in said
    assert "hosted_kernels.py" in said and "in last: total += part[i]" in said


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_launches_of_a_host_function_are_compiled_as_its_file_has_them(host: Path) -> None:
    (entry,) = pairs.load(f"{host}:pair")
    args = entry.example.make(np.random.default_rng(0), np.dtype(np.float32), 50)
    first, second = launches_of(entry, args, 80)
    assert hasattr(first.kernel, "py_func") and first.kernel.py_func.__name__ == "partial_sums"
    assert (first.grid, first.block, second.grid, second.block) == (2, 4, 1, 1)
    assert [len(launch.signature) for launch in (first, second)] == [2, 2]


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_a_kernel_of_another_file_is_found_where_it_was_jitted(host: Path) -> None:
    away = host.with_name("jitted_elsewhere.py")
    plain = "def last(part, out):\n    out[0] = part.sum()\n"
    head, _, rest = HOSTED.partition("@cuda.jit\ndef last")
    body = rest[rest.index("\n\n\n") :]
    text = f"{head}from plain_kernels import last as plain\n\nlast = cuda.jit(plain){body}"
    host.with_name("plain_kernels.py").write_text(plain)
    away.write_text(text)
    (entry,) = pairs.load(f"{away}:pair")
    args = entry.example.make(np.random.default_rng(0), np.dtype(np.float32), 50)
    first, second = launches_of(entry, args, 80)
    assert [launch.kernel.py_func.__name__ for launch in (first, second)] == [
        "partial_sums",
        "last",
    ]


def test_notes_of_a_pair_say_what_is_of_its_own(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "torch-cuda", "cupy"):
        monkeypatch.setattr(TARGETS[name], "absent", lambda: "it is not installed")
    options: dict[str, Any] = {"sizes": [64], "phases": False, "verdicts": False}
    report = compare.run(f"{mine}:pair", predict=["T4"], **options)
    assert not [note for note in report.notes if note.startswith(("torch", "cupy"))]
    (one,) = report.predictions
    assert "its flops are not stated (Pair's cost)" in one.note
    text = str(report)
    assert "\nchecks: it writes every element of its outputs; it does not read what its" in text


# ---------------------------------------------------------------- verdicts of one run
SLOW = MINE.replace("np.multiply(x, a, out=out)", "np.multiply(np.sin(np.sin(x)), a, out=out)")


def test_a_slower_pair_is_called_slower_when_both_run_in_turns(mine: Path) -> None:
    slow = mine.with_name("slow.py")
    slow.write_text(SLOW)
    options: dict[str, Any] = {"sizes": [50_000], "targets": "cpu", "phases": False, "predict": []}
    report = compare.run(f"{slow}:pair", against=f"{mine}:pair", **options)
    (one,) = report.verdicts
    assert one.verdict.word == "slower" and one.verdict.ratio > 1.2
    assert (one.new, one.old) == ("cpu", f"{mine}:pair")
    assert "slower" in str(report)


def test_a_run_is_held_against_the_json_of_another(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.json"
    command = ["compare", f"{mine}:pair", "--sizes", "20000", "--targets", "cpu", "--no-phases"]
    assert main([*command, "--no-checks", "--json", str(path)]) == 0
    told = json.loads(path.read_text())
    for one in told["sessions"]:
        one["seconds"] = [t / 8 for t in one["seconds"]]
    path.write_text(json.dumps(told))
    assert main([*command, "--no-checks", "--against", str(path)]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "slower" in words and "old.json" in words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--against", "no.json"], "--against no.json: expected what --json wrote"),
        (["--predict", "H1000"], "no GPU 'H1000'; did you mean H100"),
    ],
)
def test_what_cannot_be_is_said_before_measuring(
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measure(*_: Any, **__: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(compare, "compared", measure)
    assert main(["compare", "exp", *options]) == 2
    assert message in capsys.readouterr().err


def test_statistics_without_their_tools_are_refused_before_measuring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = importlib.import_module("minigrad_kernels.compare.wanted")
    monkeypatch.setattr(wanted, "missing", lambda: ["numba-cuda (pip install minigrad[cuda])"])
    assert main(["compare", "exp", "--statistics"]) == 2
    assert "--statistics needs numba-cuda (pip install" in capsys.readouterr().err


def test_verdicts_stand_beside_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = compare.entries("exp")
    cpu, reference = TARGETS["cpu"], TARGETS["reference"]
    row = Row("exp", "float32", (64,), 64, "cpu", seconds=1e-6, threads=1)
    mine = {
        "cpu": (cpu, row),
        "numpy": (reference, Row("exp", "float32", (64,), 64, "numpy", seconds=1e-6)),
    }
    wanted = importlib.import_module("minigrad_kernels.compare.wanted").Wanted()
    (one,) = extras.beside_baseline(entry, (64,), np.dtype(np.float32), mine, wanted)
    assert (one.new, one.old) == ("numpy", "cpu") and one.verdict.pairs == 16
    assert measured_extras is extras.extras


# ---------------------------------------------------------------- parts of a call
def test_parts_of_a_call_are_measured(mine: Path) -> None:
    (entry,) = pairs.load(f"{mine}:pair")
    found = phases.phases(entry, TARGETS["cpu"], (300_000,), np.dtype(np.float32), 300_000)
    assert found is not None and found.transfer is None and found.to_device is None
    assert found.launch and found.kernel_warm and found.kernel_cold
    assert found.launch < found.kernel_warm


@pytest.mark.skipif(not HAS_GREENLET, reason="needs greenlet")
def test_transfers_and_events_are_measured_on_a_device(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator stands in for the GPU: what is measured means nothing, but it is all there."""
    monkeypatch.setattr(phases, "swept", lambda device: None)
    (entry,) = pairs.load(f"{mine}:pair")
    found = phases.phases(entry, TARGETS["cuda-sim"], (64,), np.dtype(np.float32), 64)
    assert found is not None and found.to_device and found.to_host and found.launch
    assert found.transfer == pytest.approx(found.to_device + found.to_host)
    assert found.kernel_warm and found.kernel_cold


def test_compiling_is_timed_in_processes_of_their_own(mine: Path) -> None:
    jitted = mine.with_name("jitted.py")
    text = MINE.replace("def saxpy", "@njit(cache=True)\ndef saxpy", 1)
    text = text.replace("import cuda", "import cuda, njit")
    body = "    for i in range(x.size):\n        out[i] = a * x[i] + y[i]\n"
    text = text.replace("    np.multiply(x, a, out=out)\n    out += y\n", body)
    jitted.write_text(text)
    cold, warm = phases.compile_times(f"{jitted}:pair", "cpu", (100,), "float32")
    assert cold is not None and warm is not None and 0 <= warm < cold


def test_a_process_that_fails_gives_no_seconds() -> None:
    assert phases.compile_times("no_such_kernel", "cpu", (1,), "float32") == (None, None)


# ---------------------------------------------------------------- words and the page
def test_words_say_what_limits() -> None:
    said = what_limits(1e-5, floor_flops=8e-6, floor_bytes=1e-6, launch=1e-6)
    assert said == "arithmetic: 80 % of the time of the machine's peak"
    said = what_limits(1e-5, floor_flops=0.0, floor_bytes=1e-6, launch=None, counted=False)
    assert said.startswith("neither traffic nor arithmetic: memory traffic accounts for 10 %, ")
    assert "flops are not stated" in said


def test_the_page_holds_the_further_tables(mine: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"sizes": [64, 300], "targets": ["cpu"], "phases": False}
    report = compare.run(f"{mine}:pair", **options)
    made = Phases("pair", "float32", (64,), 64, "cpu", 1.5, 0.25, 1e-6, None, None, 2e-6, 3e-6)
    report = Report(
        report.rows,
        checks=report.checks,
        phases=(made,),
        predictions=report.predictions,
        limits=report.limits,
        machine=report.machine,
    )
    page = checked_page(report.to_html(tmp_path / "a.html").read_text())
    for heading in ("Checks", "Parts of a call", "The GPU wins", "What limits it"):
        assert heading in page.headings
    assert "Predicted for GPUs that are not here" in page.headings
    assert "no prediction has been held against hardware" in page.text
    assert {"1.5 s", "250 ms", "RTX 4090"} <= set(page.cells)


def test_only_kernels_that_are_predicted_are_drawn_beside_predictions() -> None:
    rows = [
        Row(name, "float32", (n,), n, "cpu", seconds=1e-6 * n)
        for name in ("exp", "mine")
        for n in (64, 300)
    ]
    times = {"launch": 1e-5, "kernels": 1e-6, "transfer": 1e-5, "there": 1e-5, "travelling": 2e-5}
    more: dict[str, Any] = {"launches": 1, "occupancy": 1.0, "limit": "launching"}
    made = [Prediction("exp", "float32", (n,), n, "T4", **times, **more) for n in (64, 300)]
    drawn = report_of_pairs.predicted(Report(tuple(rows), predictions=tuple(made)))
    assert "exp: data on the GPU" in drawn and "mine" not in drawn


def test_more_threads_are_taken_only_where_they_pay(mine: Path) -> None:
    (entry,) = pairs.load(f"{mine}:pair")  # NumPy on one thread: two make no difference
    args = entry.example.make(np.random.default_rng(0), np.dtype(np.float32), 20_000)
    pace = Pace(rounds=3, block=0.01, warmups=1, pause=0.0)
    counts = [measure.times(entry, args, [TARGETS["cpu"]], pace)["cpu"].threads for _ in range(3)]
    assert 1 in counts, "on a busy machine not always"


def test_pair_is_public() -> None:
    assert mg.compare.Pair is Pair


def test_compiling_is_asked_for_once_and_where_another_process_finds_it(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def compile_times(*given: Any) -> tuple[float, float]:
        asked.append(given)
        return 2.0, 0.5

    monkeypatch.setattr(extras, "compile_times", compile_times)
    blank = [
        Phases(name, "float32", (n,), n, "cpu") for name in ("pair", "exp", "own") for n in (1, 2)
    ]
    (entry,) = pairs.load(f"{mine}:pair")
    (exp,) = compare.entries("exp")
    found = extras.with_compile(blank, [entry, exp], lambda line: None)
    assert [given[0] for given in asked] == [f"{mine.resolve()}:pair", "exp"]
    assert [one.compile_cold for one in found] == [2.0] * 4 + [None] * 2


# ---------------------------------------------------------------- references
FEW: dict[str, Any] = {
    "sizes": [1000],
    "quick": True,
    "checks": True,
    "targets": ["cpu"],
    "verdicts": False,
    "phases": False,
    "predict": [],
}


def tripled(x: Any, out: Any) -> None:
    np.multiply(x, 3, out=out)


def one_array(rng: np.random.Generator, dtype: np.dtype[Any], n: int) -> tuple[Any, ...]:
    return rng.random(n).astype(dtype), np.empty(n, dtype)


@pytest.mark.parametrize(
    "reference",
    [
        tripled,
        lambda x: 3 * x.astype(np.float64),
        lambda x, out: 3 * x.astype(np.float64),
        lambda x, out: np.multiply(x, 3, out=out),
    ],
    ids=["writes", "returns", "takes both and returns", "does both"],
)
def test_a_reference_writes_its_outputs_or_returns_them(reference: Any) -> None:
    report = compare.run(Pair(tripled, example=one_array, reference=reference), **FEW)
    assert report.ok, str(report)
    worse = Pair(lambda x, out: np.multiply(x, 2, out=out), example=one_array, reference=reference)
    assert not compare.run(worse, **FEW).ok


def test_a_reference_that_does_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="neither wrote its outputs nor returned"):
        compare.run(Pair(tripled, example=one_array, reference=lambda x, out: None), **FEW)
