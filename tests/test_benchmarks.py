"""Every benchmark runs in its quick form without peers; the harness times and refuses rightly."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from benchmarks import harness, train_step
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.harness import Candidate, Case, Disagreement, Pace, agree, ratio, time_case
from benchmarks.mlp import exact_losses, loss_and_gradients, problem

PACE = Pace(rounds=3, block=0.0, warmups=0, pause=0.0)


@pytest.fixture(autouse=True)
def _same_threads():
    count = mg.get_num_threads()
    yield
    mg.set_num_threads(count)


def sleeper(seconds: float) -> Callable[[], Callable[[], None]]:
    return lambda: lambda: time.sleep(seconds)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_quick_run_validates_times_and_writes(name: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "result.json"
    assert main([name, "--vs", "--quick", "--rounds", "1", "--out", str(path)]) == 0
    result = json.loads(path.read_text())
    assert result["benchmark"] == name
    assert {row["candidate"].split()[0] for row in result["rows"]} == {"minigrad"}
    assert all(0 < row["min"] <= row["median"] for row in result["rows"])
    assert {"python", "numpy", "numba"} <= result["versions"].keys()
    text = path.read_text()
    assert str(Path.home()) not in text and str(Path.cwd()) not in text
    assert BENCHMARKS[name].title in capsys.readouterr().out


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
    monkeypatch.setattr(harness, "cores", lambda: 6)
    assert harness.thread_counts() == [1, 2, 4, 6]
    monkeypatch.setattr(harness, "cores", lambda: 1)
    assert harness.thread_counts() == [1]


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
