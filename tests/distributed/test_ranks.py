"""Operations, failures and whole fits on several ranks."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad.distributed import group
from tests.distributed.ranks import SECONDS, environment, finish, needs_mpi, run, start


@needs_mpi
@pytest.mark.parametrize("size", [2, 3])
def test_operations_and_models_with_odd_parameters(size: int) -> None:
    assert run(size, "operations") == "all well\n"


@needs_mpi
def test_captured_steps_have_the_bits_of_eager_ones() -> None:
    assert run(2, "captured") == "all well\n"


# ---------------------------------------------------------------- no MPI
def test_alone_everything_works_without_mpi() -> None:
    assert (group.init().size, mg.distributed.rank(), mg.distributed.is_first()) == (1, 0, True)
    x = mg.ones(2)
    work = mg.distributed.all_reduce(x, async_op=True)
    assert work is not None and work.wait() and x.tolist() == [1.0, 1.0]
    for wrong, message in (
        (lambda: mg.distributed.all_reduce(x, "mean"), "expected op to be one of sum, avg"),
        (lambda: mg.distributed.broadcast(x, 1), "expected src in \\[0, 1\\), got 1"),
        (lambda: mg.distributed.all_gather([x, x], x), "expected a list of 1 tensors"),
        (lambda: mg.distributed.init(timeout=0), "expected timeout above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


def test_a_launcher_without_mpi4py_is_an_error_and_not_a_run_of_its_own() -> None:
    hidden = (
        "import sys; sys.modules['mpi4py'] = None; import minigrad as mg; mg.distributed.init()"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden],
        env=environment(OMPI_COMM_WORLD_SIZE="2"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "started by mpiexec" in done.stderr and "pip install 'minigrad[mpi]'" in done.stderr


# ---------------------------------------------------------------- failures
FAILURES = {
    "raise": ("ValueError: rank 1 has found no data", "rank 1 of 2 raised ValueError"),
    "hang": ("rank 0 has waited 3 s in all_reduce; what has not come: rank 1",),
    "die": ("signal 9",),
    "exit": ("rank 1 has come to the end of the program, while rank 0 waits for it in all_reduce",),
    "part": ("all ranks must call the same operations",),
}


@needs_mpi
@pytest.mark.parametrize("what", FAILURES)
def test_a_rank_that_fails_ends_all_with_its_message(what: str) -> None:
    done = finish(start(2, "failing", what))
    assert done.status != 0
    for words in FAILURES[what]:
        assert words in done.err, done.err


# ---------------------------------------------------------------- fits
def fitted(size: int, **options: Any) -> Any:
    printed = run(size, "fit", json.dumps(options))
    (found,) = [line for line in printed.splitlines() if line.startswith("result ")]
    return json.loads(found.removeprefix("result "))


@functools.cache
def alone(accumulate: int) -> Any:
    return fitted(0, accumulate=accumulate)


@needs_mpi
@pytest.mark.slow
@pytest.mark.parametrize(("size", "accumulate"), [(2, 1), (5, 1), (2, 3)])
def test_a_fit_is_that_of_one_process(size: int, accumulate: int) -> None:
    (rows, scores, reason), (ours, our_scores, our_reason) = (
        alone(accumulate),
        fitted(size, accumulate=accumulate),
    )
    assert reason == our_reason and len(rows) == len(ours)
    for one, other in zip([*rows, scores], [*ours, our_scores], strict=True):
        for name, value in one.items():
            # The accuracy of a batch is a float32.
            most = 1e-6 if "accuracy" in name else 1e-11
            assert other[name] == pytest.approx(value, rel=most), (name, value, other[name])


@needs_mpi
@pytest.mark.slow
def test_killed_ranks_end_the_job_and_the_fit_goes_on_with_any_number(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    trials = 50 if pytestconfig.getoption("--all-trials") else 2
    draw = random.Random(0)
    whole = alone(1)
    for trial in range(trials):
        options = {"folder": str(tmp_path / str(trial)), "pids": True, "resume": "auto"}
        process = start(2, "fit", json.dumps(options))
        assert process.stdout is not None
        at, victim, done, pids = draw.randrange(1, 24), draw.randrange(2), 0, []
        for line in process.stdout:
            words = line.split()
            if words[0] == "pids":
                pids = list(map(int, words[1:]))
            elif words[0] == "step" and int(words[1]) >= at:
                done = int(words[1])
                os.kill(pids[victim], signal.SIGKILL)
                break
        killed = finish(process, SECONDS)
        done = max([done, *map(int, re.findall(r"^step (\d+)$", killed.out, re.MULTILINE))])
        assert killed.status != 0 and "signal 9" in killed.err, killed.err
        size = (2, 1, 3)[trial % 3]
        printed = run(size, "fit", json.dumps(options))
        (begun,) = re.findall(r"^resumed (\d+)$", printed, re.MULTILINE)
        # The hook that prints comes before the one that writes: a step may be printed alone.
        assert done - int(begun) <= 1
        rows, scores, reason = json.loads(printed.split("result ")[1])
        assert reason == whole[2] and len(rows) == len(whole[0])
        for one, other in zip([*whole[0], whole[1]], [*rows, scores], strict=True):
            assert other["loss"] == pytest.approx(one["loss"], rel=1e-9)


@needs_mpi
@pytest.mark.slow
def test_the_command_trains_on_ranks_and_the_first_one_prints_and_saves(tmp_path: Path) -> None:
    command = ["-m", "minigrad", "train", "--data", "iris", "--epochs", "3", "--out"]
    printed = run(2, *command, str(tmp_path / "run"))
    assert printed.count("test    accuracy") == 1 and printed.count("3 epochs in") == 1
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files[-2:] == ["model.safetensors", "standardizer.safetensors"]
    wrong = finish(start(2, "-m", "minigrad", "train", "--data", "nothing.csv"))
    assert wrong.status == 2 and wrong.err.count("no data set 'nothing.csv'") == 1
