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
import time
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad.distributed import group
from tests.distributed.ranks import PROGRAMS, SECONDS, environment, finish, needs_mpi, run, start


@needs_mpi
@pytest.mark.parametrize("size", [2, 3])
def test_operations_and_models_with_odd_parameters(size: int) -> None:
    assert run(size, "operations") == "all well\n"


@needs_mpi
@pytest.mark.parametrize("program", ["captured", "corners"])
def test_captured_steps_have_the_bits_of_eager_ones_and_odd_models_train(program: str) -> None:
    assert run(2, program) == "all well\n"


@needs_mpi
def test_scale_takes_latency_and_bandwidth_from_messages() -> None:
    command = ["-m", "minigrad", "scale", "--measure", "--step", "10ms", "--nodes", "1..2"]
    printed = run(2, *command)
    assert printed.count("(measured here)") == 1 and printed.count("(given)") == 1
    found = re.search(r"^network +([\d.e+-]+) GB/s, ([\d.e+-]+) us", printed, re.MULTILINE)
    assert found is not None and float(found[1]) > 0 and float(found[2]) > 0


@needs_mpi
def test_a_program_for_pytorch_prints_what_it_prints_there() -> None:
    # What PyTorch prints, by two processes that it starts itself with gloo.
    expected = PROGRAMS.with_name("expected") / "for_pytorch.txt"
    command = ["-m", "minigrad", "run", str(PROGRAMS / "for_pytorch.py")]
    assert run(2, *command) == expected.read_text()
    wrong = finish(start(3, *command))
    assert wrong.status != 0
    assert "the program asks for 2 processes, but 3 are there" in wrong.err
    assert "mpiexec -n 2 minigrad run script.py" in wrong.err


def test_torchruns_processes_are_refused_with_advice() -> None:
    told = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    done = finish(start(0, "-m", "minigrad", "run", PROGRAMS / "torchrun.py", **told))
    assert done.status != 0 and "run `mpiexec -n 2 minigrad run script.py`" in done.err


@needs_mpi
def test_a_program_that_asks_the_environment_gets_torchruns_answers() -> None:
    printed = run(2, "-m", "minigrad", "run", PROGRAMS / "torchrun.py")
    assert sorted(printed.splitlines()) == ["0 of 2, 0 of 2 here", "1 of 2, 1 of 2 here"]
    wrong = finish(start(2, "-m", "minigrad", "run", PROGRAMS / "torchrun.py", RANK="0"))
    assert "said to be rank 0, but mpiexec has made it rank 1" in wrong.err


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
    "stop": ("rank 0 has waited 3 s in all_reduce; what has not come: rank 1",),
    "die": ("signal 9",),
    "vanish": ("exited without calling",),
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
    # One fit, killed again and again, each time gone on with by other ranks.
    every = bool(pytestconfig.getoption("--all-trials"))
    kills, epochs = (50, 60) if every else (2, 4)
    draw = random.Random(0)
    options = {"epochs": epochs, "patience": 99, "every": 2}
    whole = fitted(0, **options)
    options |= {"folder": str(tmp_path), "pids": True, "resume": "auto"}
    done = 0
    for kill in range(kills):
        process = start((2, 3)[kill % 2], "fit", json.dumps(options))
        assert process.stdout is not None
        wait, pids, printed = draw.randrange(8), [], ""
        for line in process.stdout:
            printed += line
            words = line.split()
            if words[0] == "pids":
                pids = list(map(int, words[1:]))
            wait -= words[0] == "step"
            if pids and wait < 0:
                break
        time.sleep(draw.random() / 20)  # at any point of a step
        begun = time.monotonic()
        os.kill(draw.choice(pids), signal.SIGKILL)
        killed = finish(process, SECONDS)
        took = time.monotonic() - begun
        assert killed.status != 0 and "signal 9" in killed.err, killed.err
        assert took < 10 or not every, f"kill {kill}: the job ended after {took} s"
        done = went_on(printed + killed.out, done)
        if every:
            print(f"kill {kill}: ended in {took:.1f} s, {done} steps done", flush=True)
    printed = run(1, "fit", json.dumps(options))
    assert went_on(printed, done) == whole_steps(whole)
    rows, scores, reason = json.loads(printed.split("result ")[1])
    assert reason == whole[2] and len(rows) == len(whole[0]) == epochs
    for one, other in zip([*whole[0], whole[1]], [*rows, scores], strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-9)


def went_on(printed: str, done: int) -> int:
    """Return how many steps are done after a run, which went on where another one stood."""
    begun = re.findall(r"^resumed (\d+)$", printed, re.MULTILINE)
    steps = list(map(int, re.findall(r"^step (\d+)$", printed, re.MULTILINE)))
    if steps and done:
        # A checkpoint every two steps; the hook that prints comes before the one that writes.
        assert len(begun) == 1 or done <= 2, f"{done} steps done, and it began anew"
        assert done - int(begun[0] if begun else 0) <= 2
    return max([done, *steps])


def whole_steps(whole: Any) -> int:
    """Return the steps of a fit of 99 rows in batches of 16."""
    return 7 * len(whole[0])


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
