"""Every benchmark runs in its quick form without peers; the harness times and refuses rightly."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from benchmarks import train_step
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.families import FAMILIES
from benchmarks.figures import as_summary, power_law, ratio, speedups
from benchmarks.harness import Disagreement, agree
from benchmarks.kernels import worst_ulp
from benchmarks.launches import cost, references
from benchmarks.mlp import exact_losses, loss_and_gradients, problem
from benchmarks.report import RESULTS
from benchmarks.tables import KEPT
from minigrad.engine.dispatch import dispatch, launch
from minigrad_kernels.compare import timing
from minigrad_kernels.compare.machine import LINES, Limits, aligned, copy_kernel, limits
from minigrad_kernels.compare.timing import Candidate, Case, Pace, Timing, time_case

pytestmark = pytest.mark.slow

HAS_PLOT = importlib.util.find_spec("matplotlib") is not None
REPORTED = ("kernels", "machine", "growth")  # whose results test_report... makes a page of
PACE = Pace(rounds=3, block=0.0, warmups=0, pause=0.0)


@pytest.fixture(autouse=True)
def _same_threads():
    count = mg.get_num_threads()
    yield
    mg.set_num_threads(count)


def sleeper(seconds: float) -> Callable[[], Callable[[], None]]:
    return lambda: lambda: time.sleep(seconds)


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Callable[[str], tuple[Path, str]]:
    """Return what runs a benchmark in its quick form, once, and gives its file and what it said."""
    folder = tmp_path_factory.mktemp("results")

    @functools.cache
    def run(name: str) -> tuple[Path, str]:
        path, printed = folder / f"{name}.json", io.StringIO()
        peers = ["numpy"] if name in REPORTED else []
        with contextlib.redirect_stdout(printed):
            given = [name, "--vs", *peers, "--quick", "--rounds", "1", "--out", str(path)]
            assert main(given) == 0
        return path, printed.getvalue()

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_quick_run_validates_times_and_writes(name: str, quick) -> None:
    path, printed = quick(name)
    result = json.loads(path.read_text())
    assert result["benchmark"] == name
    libraries = {row["candidate"].split()[0] for row in result["rows"]}
    numpy = {"numpy"} if name in REPORTED and "numpy" in BENCHMARKS[name].peers else set()
    assert libraries == {"bare" if name == "machine" else "minigrad"} | numpy
    assert all(0 < row["min"] <= row["median"] for row in result["rows"])
    assert {"python", "numpy", "numba"} <= result["versions"].keys()
    text = path.read_text()
    assert str(Path.home()) not in text and str(Path.cwd()) not in text
    assert BENCHMARKS[name].title in printed


@pytest.mark.slow
def test_a_peer_that_is_not_installed_is_left_out_and_named(monkeypatch, capsys) -> None:
    monkeypatch.setattr("benchmarks.__main__.installed", lambda library: library == "numpy")
    assert main(["gemm", "--quick", "--rounds", "1"]) == 0
    assert "Not installed and left out: torch, jax" in capsys.readouterr().out


def test_a_wrong_result_is_not_timed(monkeypatch, capsys) -> None:
    monkeypatch.setattr(train_step, "exact_losses", lambda given, steps: [1.0] * steps)
    assert main(["train_step", "--vs", "--quick"]) == 1
    printed = capsys.readouterr().out
    assert "minigrad, losses of the first steps: element (0,) is" in printed
    assert "expected 1 within rtol" in printed


def test_rounds_must_be_a_positive_number(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["gemm", "--rounds", "0"])
    assert "expected a number of rounds from 1 on, got '0'" in capsys.readouterr().err


def test_out_takes_one_benchmark(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["all", "--out", str(tmp_path / "x.json")])
    assert "--out takes one file, so name one benchmark" in capsys.readouterr().err


def test_an_option_is_for_the_benchmarks_that_take_it(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["eager", "--sizes", "64x64"])
    assert "eager has no option --sizes; it has none" in capsys.readouterr().err


def test_a_part_is_timed_alone_and_is_no_result(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("benchmarks.__main__.RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.kernels.limits", lambda quick: limits(quick=True))
    assert main(["kernels", "--vs", "--only", "relu", "--sizes", "64x64", "--rounds", "1"]) == 0
    assert "relu, 64x64" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_report_makes_a_page_of_all_results(tmp_path: Path, quick) -> None:
    for name in REPORTED:
        shutil.copy(quick(name)[0], tmp_path)
    assert main(["report", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| softmax, 8x6 |"))
    assert re.fullmatch(
        r"\| softmax, 8x6 \| \S+ \| \S+ \(\S+\) \| \d+% \| \d+% \| \S+ / \S+ \|", row
    )
    assert "times as fast as numpy (geometric mean of" in page
    assert "python -m benchmarks growth" in page
    drawn = {path.stem for path in tmp_path.glob("*.svg")}
    assert drawn == ({"bandwidth", "growth", "roofline", "speedup"} if HAS_PLOT else set())
    assert all(path.stat().st_size < 100_000 for path in tmp_path.glob("*.svg"))


def test_report_keeps_what_people_wrote_above_its_mark(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    shutil.copy(RESULTS / "eager.json", tmp_path)
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert page.read_text().startswith(f"# Results\n\n{KEPT}\n\n## All measurements\n")
    page.write_text(page.read_text().replace("# Results\n", "# Results\n\nIn short: fast.\n", 1))
    first = page.read_text()
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert page.read_text() == first
    assert "In short: fast.\n" in first and "## eager: " in first


def test_the_summary_has_the_figures_of_the_files() -> None:
    """benchmarks/results/README.md begins with a table of train_step.json."""
    page = (RESULTS / "README.md").read_text().partition(KEPT)[0]
    result = json.loads((RESULTS / "train_step.json").read_text())
    assert f"`{result['command']}`" in page and result["date"] in page
    rows = {(row["case"], row["candidate"]): row["median"] for row in result["rows"]}
    names = ("minigrad", "torch", "torch fused AdamW", "jax jit")
    for case in {case for case, _ in rows}:
        (line,) = re.findall(rf"^\| {case} \| (.*) \|$", page, flags=re.MULTILINE)
        *times, share = [float(cell.removesuffix(" ms")) for cell in line.split(" | ")]
        assert times == pytest.approx([rows[case, name] / 1e3 for name in names], rel=5e-3)
        assert share == pytest.approx(rows[case, names[0]] / rows[case, names[1]], abs=5e-3)


# ---------------------------------------------------------------- the harness
def test_candidates_take_turns_and_start_anew_before_every_block() -> None:
    made: list[str] = []

    def maker(name: str) -> Callable[[], Callable[[], None]]:
        def make() -> Callable[[], None]:
            made.append(name)
            return lambda: None

        return make

    time_case(Case("x", [Candidate("a", maker("a")), Candidate("b", maker("b"))]), PACE)
    assert made == ["a", "b"] * PACE.rounds


def test_the_best_thread_count_of_a_name_is_kept() -> None:
    slow, fast = Candidate("a", sleeper(0.02), threads=1), Candidate("a", sleeper(0.0), threads=2)
    (timing,) = time_case(Case("x", [slow, fast]), PACE)
    assert timing.threads == 2
    assert timing.low <= timing.median < 0.02


def test_times_are_of_one_part_and_ratios_minigrads_over_the_peers() -> None:
    candidates = [Candidate("minigrad", sleeper(0.01)), Candidate("torch", sleeper(0.04), "fused")]
    timings = time_case(Case("x", candidates, parts=10, gflop=1.0), PACE)
    mine, peer = timings
    assert 0.001 <= mine.median < 0.004
    assert mine.gflops == pytest.approx(1.0 / (10 * mine.median))
    assert peer.candidate == "torch fused"
    assert ratio(mine, timings) is None
    assert ratio(peer, timings) == pytest.approx(mine.median / peer.median)


def test_a_thread_count_far_behind_in_the_first_round_is_left_out() -> None:
    made: list[int] = []

    def maker(threads: int, seconds: float) -> Candidate:
        def make() -> Callable[[], None]:
            made.append(threads)
            return lambda: time.sleep(seconds)

        return Candidate("a", make, threads=threads)

    (timing,) = time_case(Case("x", [maker(1, 0.02), maker(2, 0.002), maker(3, 0.0021)]), PACE)
    assert made == [1, 2, 3, *[2, 3] * (PACE.rounds - 1)]
    assert timing.threads in (2, 3)


def test_speedups_are_the_peers_times_over_minigrads() -> None:
    def timing(case: str, library: str, seconds: float, variant: str = "") -> Timing:
        name = f"{library} {variant}".strip()
        return Timing(case, name, library, None, seconds, seconds, (seconds, seconds), group="g")

    timings = [timing("x", "minigrad", 1.0), timing("y", "minigrad", 2.0)]
    timings += [timing("x", "torch", 3.0), timing("x", "torch", 2.0, "fused")]
    timings += [timing("y", "torch", 4.0), timing("x", "numpy", 0.5)]
    found = {peer: ratios for group, peer, ratios in speedups(timings)}
    assert found["torch"] == {"x": 2.0, "y": 2.0}
    assert found["numpy"] == {"x": 0.5}
    assert found["best of all"] == {"x": 0.5, "y": 2.0}
    of = as_summary("best of all", found["best of all"])
    assert (of["times_faster"], of["least"], of["at"]) == (1.0, 0.5, "x")


def test_power_law_gives_the_slope_and_its_standard_error(rng: np.random.Generator) -> None:
    n = np.geomspace(1, 1000, 40)
    noise = rng.normal(0, 0.1, 40)
    exponent, error = power_law(n, 5 * n**1.5 * np.exp(noise))
    logs = np.log(n)
    assert error == pytest.approx(0.1 / np.sqrt(((logs - logs.mean()) ** 2).sum()), rel=0.3)
    assert abs(exponent - 1.5) < 4 * error
    assert power_law([1, 10], [1, 100]) == (pytest.approx(2.0), None)


# ---------------------------------------------------------------- costs, limits, errors
def test_cost_counts_what_is_launched_with_write_allocate_and_without_repeats() -> None:
    x, y = np.ones((3, 4), np.float32), np.empty((3, 4), np.float32)
    row = np.broadcast_to(np.ones(4, np.float32), (3, 4))
    before = dispatch.kernels["add"]
    flops, traffic = cost(lambda: (launch("add", x, row, y), launch("add", x, y, y)))
    assert flops == 24
    # x and four numbers read, y written and allocated; then x and y read, y written.
    assert traffic == (48 + 16 + 2 * 48) + 3 * 48
    assert dispatch.kernels["add"] is before  # the door is as it was


def test_the_needed_traffic_counts_what_is_written_twice() -> None:
    x, row = np.ones((8, 4), np.float32), np.ones(4, np.float32)
    by_name = {family.name: family for family in FAMILIES}
    # Forward reads x and the row and writes y; backward reads g and x and writes both gradients.
    assert by_name["mul row"].traffic((x, row), (), x) == 128 + 16 + 256 + 2 * 128 + 2 * (128 + 16)
    # A sum writes a number, whose gradient is 1, and its backward reads nothing.
    assert by_name["sum all"].traffic((x,), (), None) == 128 + 2 * 128


def test_references_compute_in_place_of_the_kernels() -> None:
    x = mg.from_numpy(np.linspace(-3, 3, 7))
    with references():
        exact = x.tanh().numpy()
    assert exact.tolist() == np.tanh(x.numpy()).tolist()


def test_the_roofline_is_the_slower_of_arithmetic_and_traffic() -> None:
    found = Limits({"float32": 100.0}, ((1e3, 50.0), (1e9, 10.0)))
    assert found.bandwidth(1.0) == 50.0
    assert found.bandwidth(1e6) == pytest.approx(30.0)
    assert found.bandwidth(1e12) == 10.0
    assert found.floor(1e9, 1e9) == pytest.approx(0.1)
    assert found.floor(1e12, 1e9) == pytest.approx(10.0)


def test_worst_ulp_counts_units_of_the_number_or_of_the_arrays_size() -> None:
    one = np.float32(1.0)
    assert worst_ulp([np.array([np.nextafter(one, np.float32(2))])], [np.ones(1)]) == 1.0
    exact = np.array([1.0, 0.0])
    got = np.array([1.0, 2.0**-24])  # beside a root mean square of 0.707, whose ulp is 2^-24
    assert worst_ulp([got], [exact]) == 1.0


def test_the_copy_is_whole_for_any_size() -> None:
    x = aligned(1_000_000)
    x[:] = np.arange(x.size) % 251
    for size in (x.size, 8192, 70_000):
        for threads in (1, 2, 3):
            y = aligned(x.size)
            y[:] = 255
            copy_kernel(x, y, size, 1, threads)
            whole = size // LINES * LINES
            assert (y[:whole] == x[:whole]).all() and (y[whole:] == 255).all()


def test_a_case_that_counts_the_first_call_alone_calls_once_a_block() -> None:
    calls: list[int] = []
    case = Case("x", [Candidate("a", lambda: lambda: calls.append(1) or 0.5)], once=True)
    (timing,) = time_case(case, PACE)
    assert len(calls) == PACE.rounds
    assert timing.median == 0.5  # what the call measured itself


def test_agree_names_the_worst_element() -> None:
    agree("sums", [1.0, 2.0], [1.0, 2.0], rtol=0.0)
    expected = r"sums: element \(1,\) is 2.5, expected 2 within rtol 0.1 and atol 0; nothing was"
    with pytest.raises(Disagreement, match=expected):
        agree("sums", [1.05, 2.5], [1.0, 2.0], rtol=0.1)
    with pytest.raises(Disagreement, match=r"element \(0,\) is nan, expected 1"):
        agree("sums", [np.nan, 2.0], [1.0, 2.0], rtol=0.1)
    with pytest.raises(Disagreement, match=r"sums: expected the shape \(2,\), got \(\)"):
        agree("sums", 1.0, [1.0, 2.0], rtol=0.1)


def test_thread_counts_end_with_all_cores(monkeypatch) -> None:
    monkeypatch.setattr(timing, "cores", lambda: 6)
    assert timing.thread_counts() == [1, 2, 4, 6]
    monkeypatch.setattr(timing, "cores", lambda: 1)
    assert timing.thread_counts() == [1]


# ---------------------------------------------------------------- the model that all must compute
def test_the_reference_gradients_are_those_of_its_loss(rng: np.random.Generator) -> None:
    given = problem(6, 4, 5, 3)
    x = given.x.astype(np.float64)
    p = {name: value.astype(np.float64) for name, value in given.parameters.items()}
    _, gradients = loss_and_gradients(p, x, given.target)
    assert gradients.keys() == p.keys()
    for name, value in p.items():
        direction = rng.standard_normal(value.shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = {**p, name: value + step * direction}
            ends.append(loss_and_gradients(moved, x, given.target)[0])
        numeric = (ends[0] - ends[1]) / 2e-6
        assert (gradients[name] * direction).sum() == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_the_reference_learns() -> None:
    losses = exact_losses(problem(32, 8, 16, 3), 20)
    assert losses[-1] < losses[0] - 0.1
