"""Checkpoints as files: killed at any moment, damaged, swapped, on a full disk, kept, removed."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import minigrad as mg
from minigrad.sealed import encoded
from minigrad.train import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    Timer,
    Trainer,
)
from minigrad.train import checkpoint_files as files
from tests.pages import ROOT
from tests.train.resume_toys import EPOCHS, STEPS, KillAt, Killed, differing, left, run

PARTS = ("adamw", "plateau", "stopping")


def start(*arguments: Any, **environment: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.resume_toys", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, f"{out}\n{err}"


# ---------------------------------------------------------------- killed
@pytest.fixture
def server() -> Iterator[Any]:
    """Return a process that runs what it is told, each in a new process that was forked of it."""
    process = start("serve")
    yield process
    ended(process)


def begin(server: Any, folder: Path, threads: int, every_steps: int) -> int:
    """Have a run begin; return the number of its process."""
    folder.mkdir(exist_ok=True)
    server.stdin.write(f"{folder} {threads} {EPOCHS} {every_steps}\n")
    server.stdin.flush()
    said = server.stdout.readline()
    if not said.startswith("begun "):
        server.stdin.close()
        pytest.fail(f"{said}{server.stderr.read()}")
    return int(said.removeprefix("begun "))


def end(server: Any) -> int:
    """Wait for the run to end; return its status."""
    return int(server.stdout.readline().removeprefix("ended "))


def test_killed_at_random_moments_it_ends_in_the_bytes_of_the_run_that_was_not(
    server: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each run writes a checkpoint after every step, so that most kills fall into a save."""
    kills = 200 if request.config.getoption("--all-trials") else 4
    begin(server, tmp_path / "whole", 2, 1)
    begun = time.monotonic()
    assert end(server) == 0
    seconds = time.monotonic() - begun  # of a run, from its first step on
    wanted = (tmp_path / "whole/left.txt").read_text()
    rng = np.random.default_rng(0)
    killed = runs = while_writing = 0
    while killed < kills:
        folder = tmp_path / f"{runs}"
        runs += 1
        while not (folder / "left.txt").exists():
            process = begin(server, folder, 1 + killed % 2, 1)
            waiting = time.monotonic()
            time.sleep(rng.uniform(0, seconds))
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.kill(process, signal.SIGKILL if killed < kills else 0)
            status = end(server)
            assert status in (0, signal.SIGKILL), status
            killed += status != 0
            while_writing += bool(list(folder.glob(".step-*.tmp")))
            if status == 0:
                seconds = 0.5 * (seconds + time.monotonic() - waiting)
        assert (folder / "left.txt").read_text() == wanted, folder
        assert not list(folder.glob(".step-*.tmp"))
    print(f"{killed} kills in {runs} runs, {while_writing} of them within a write")


POINTS = ("os.open 5", "os.fsync 5", "os.replace 3", "pathlib.Path.unlink 2", "os.close 5")


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_point_of_a_save_it_goes_on(
    point: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if point != "os.replace 3" and not request.config.getoption("--all-trials"):
        pytest.skip("one point of a save in the sample")
    ended(start(tmp_path / "whole", 1, 2, 4))
    process = start(tmp_path / "run", 1, 2, 4, KILL_AT=point)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    ended(start(tmp_path / "run", 1, 2, 4))
    wanted = (tmp_path / "whole/left.txt").read_text()
    assert (tmp_path / "run/left.txt").read_text() == wanted


# ---------------------------------------------------------------- damaged
@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was killed in its second epoch, with two checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    keeper = ModelCheckpoint(folder, every_steps=3)
    trainer, *loaders = run(*PARTS, keeper, KillAt(STEPS + 3))
    with pytest.raises(Killed):
        trainer.fit(*loaders, epochs=EPOCHS)
    return folder


def copied(folder: Path, to: Path) -> list[Path]:
    """Copy a run's checkpoints; return them, the newest first."""
    to.mkdir(exist_ok=True)
    for path in files.listed(folder):
        (to / path.name).write_bytes(path.read_bytes())
    return files.listed(to)


def damaged(good: bytes, rng: np.random.Generator) -> bytes:
    """Return a file with something else in it than there was."""
    data, size = bytearray(good), len(good)
    where = int(rng.integers(size))
    if rng.random() < 0.3:
        where = int(rng.integers(min(size, 400)))  # of the beginning: length, seal, first entries
    kind = int(rng.integers(6))
    length = int(rng.integers(1, 64))
    if kind == 0:
        data[where] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data[where : where + length] = rng.bytes(length)
    elif kind == 2:
        del data[where:]
    elif kind == 3:
        del data[where : where + length]
    elif kind == 4:
        data[where:where] = rng.bytes(length)
    else:
        other = int(rng.integers(size))
        data[where : where + length], data[other : other + length] = (
            data[other : other + length],
            data[where : where + length],
        )
    return bytes(data)


def test_every_damaged_checkpoint_is_refused_with_a_reason(
    made: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    trials = 10_000 if request.config.getoption("--all-trials") else 200
    path = copied(made, tmp_path)[0]
    good = path.read_bytes()
    files.read_whole(path)
    rng = np.random.default_rng(1)
    trainer, *loaders = run(*PARTS)
    before = left(trainer)["model"]
    tried = 0
    while tried < trials:
        data = damaged(good, rng)
        if data == good:
            continue
        path.write_bytes(data)
        with pytest.raises(files.Damaged, match="damaged|no checkpoint of a run"):
            files.read_whole(path)
        if tried % 50 == 0:  # and the fit does not begin
            with pytest.raises(ValueError, match="fit: cannot go on: .*(damaged|no checkpoint of)"):
                trainer.fit(*loaders, epochs=EPOCHS, resume=path)
            assert left(trainer)["model"] == before
        tried += 1


def sealed_again(path: Path, change: Callable[[Any], None]) -> None:
    """Change a state and seal it anew, as a programmer might."""
    about, state = files.read_whole(path)
    change(state)
    path.unlink()
    files.write(path.parent, about, state)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "no optimizer": lambda s: s.pop("optimizer"),
    "no random numbers": lambda s: s.pop("random"),
    "another format": lambda s: s.update(format=7),
    "another shape": lambda s: s["model"].update({"0.weight": mg.zeros(3, 3)}),
    "no tensor": lambda s: s["model"].pop("4.bias"),
    "another dtype": lambda s: s["model"].update({"4.bias": "text"}),
    "a step's state": lambda s: s["optimizer"]["state"]["4.bias"].pop("exp_avg"),
    "another group": lambda s: s["optimizer"]["param_groups"].pop(),
    "a callback's state": lambda s: s["callbacks"]["EarlyStopping"].pop("wait"),
    "the loader's state": lambda s: s["middle"]["reading"]["loader"].update(rows=3),
    "the scores": lambda s: s["middle"]["scores"].pop("means"),
    "the history": lambda s: s["history"].pop("rows"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_state_that_lacks_something_leaves_all_as_it_was(
    name: str, made: Path, tmp_path: Path
) -> None:
    path = copied(made, tmp_path)[0]
    sealed_again(path, CHANGES[name])
    wanted = left(run(*PARTS, seed=3)[0])
    trainer, *loaders = run(*PARTS, seed=3)
    with pytest.raises(ValueError, match="fit: cannot go on"):
        trainer.fit(*loaders, epochs=EPOCHS, resume=path)
    assert not [n for n in differing(wanted, left(trainer)) if n not in ("random", "ended")]


def test_a_damaged_newest_checkpoint_is_passed_over_for_the_older_one(
    made: Path, tmp_path: Path
) -> None:
    whole, *loaders = run(*PARTS)
    whole.fit(*loaders, epochs=EPOCHS)
    wanted = left(whole)
    newest, older = copied(made, tmp_path)
    newest.write_bytes(newest.read_bytes()[:-1])
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path), seed=4)
    with pytest.warns(UserWarning) as caught:
        trainer.fit(*loaders, epochs=EPOCHS, resume="auto")
    said = [str(one.message) for one in caught]
    assert "is damaged: its " in said[0] and "do not match their checksum" in said[0]
    assert f"going on from the older {older.name}" in said[0]
    assert "held checkpoints that do not belong to this run; they are in earlier-1" in said[1]
    assert (tmp_path / "earlier-1" / newest.name).exists()  # for whoever wants to look at it
    assert differing(wanted, left(trainer)) in ([], ["random"])  # Python's, which nobody seeded


def test_where_no_checkpoint_is_whole_the_fit_is_refused(made: Path, tmp_path: Path) -> None:
    for path in copied(made, tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    with pytest.raises(ValueError, match="no checkpoint is whole:(.|\n)*do not match their check"):
        trainer.fit(*loaders, epochs=EPOCHS, resume="auto")
    assert len(files.listed(tmp_path)) == 2  # nothing was moved


def test_swapped_files_are_told(made: Path, tmp_path: Path) -> None:
    newest, older = copied(made, tmp_path)
    first, second = newest.read_bytes(), older.read_bytes()
    newest.write_bytes(second)
    older.write_bytes(first)
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    with pytest.raises(ValueError, match="holds another checkpoint than its name says: step-0"):
        trainer.fit(*loaders, epochs=EPOCHS, resume="auto")


def test_checkpoints_of_two_runs_in_one_folder_are_not_chosen_between(
    made: Path, tmp_path: Path
) -> None:
    copied(made, tmp_path / "a")
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path / "b", keep_last=1))
    trainer.fit(*loaders, epochs=EPOCHS)
    (other,) = files.listed(tmp_path / "b")
    other.rename(tmp_path / "a" / other.name)
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path / "a"))
    with pytest.raises(ValueError, match="holds checkpoints of two runs, .* give the path"):
        trainer.fit(*loaders, epochs=EPOCHS, resume="auto")


def test_a_file_of_another_kind_is_no_checkpoint(tmp_path: Path) -> None:
    path = mg.save({"w": mg.zeros(2)}, tmp_path / "step-00000001.safetensors")
    other = tmp_path / "other.safetensors"
    other.write_bytes(encoded({"w": np.zeros(2)}, {}))
    for file in (path, other):
        with pytest.raises(files.Damaged, match="is no checkpoint of a run"):
            files.read_whole(file)


# ---------------------------------------------------------------- a full disk
def test_a_full_disk_costs_a_checkpoint_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, *loaders = run(*PARTS)
    wanted.fit(*loaders, epochs=3)
    sync = os.fsync

    class Fills(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            def full(handle: int) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(os, "fsync", full if trainer.epoch == 2 else sync)

    keeper = ModelCheckpoint(tmp_path, keep_last=1)
    trainer, *loaders = run(*PARTS, keeper, Fills())
    with pytest.warns(UserWarning, match="epoch-0002.* could not be written .*No space left"):
        trainer.fit(*loaders, epochs=3)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000018-epoch-0003.safetensors"]
    assert left(trainer)["model"] == left(wanted)["model"]


def test_a_file_that_may_not_grow_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    """As a quota has it: the system refuses the bytes within a write."""
    keeper = ModelCheckpoint(tmp_path, keep_last=1)
    trainer, *loaders = run(*PARTS, keeper)
    trainer.fit(*loaders, epochs=1)
    (kept,) = files.listed(tmp_path)
    before = kept.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path, keep_last=1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        try:
            trainer.fit(*loaders, epochs=2, resume="auto")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "could not be written" in str(caught[0].message)
    assert [p.name for p in tmp_path.iterdir()] == [kept.name]
    assert kept.read_bytes() == before
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=2, resume="auto")
    assert len(files.listed(tmp_path)) == 2


# ---------------------------------------------------------------- kept and removed
class Values(Callback):
    """Give the metric values of one's own, one an epoch."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def on_epoch_end(self, trainer: Trainer) -> None:
        trainer.history.last["val_loss"] = self.values[trainer.epoch - 1]


def epochs_in(folder: Path) -> list[int]:
    return sorted(int(path.stem.rpartition("-")[2]) for path in files.listed(folder))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [5, 6]),
        ({"keep_last": 1}, [6]),
        ({"keep_last": None}, [1, 2, 3, 4, 5, 6]),
        ({"keep_last": 1, "monitor": "val_loss"}, [4, 6]),
        ({"keep_last": 1, "monitor": "val_loss", "keep_best": 3}, [1, 4, 5, 6]),
        ({"keep_last": 1, "monitor": "val_loss", "mode": "max"}, [2, 6]),
        ({"keep_last": 1, "monitor": "val_loss", "keep_best": 0}, [6]),
        ({"keep_last": 2, "every_epochs": 2}, [4, 6]),
        ({"keep_last": 2, "every_epochs": 4}, [4, 6]),  # the last epoch is always written
        ({"keep_last": 1, "every_epochs": None, "monitor": "val_loss"}, [4, 6]),
        ({"keep_last": None, "min_seconds": 1e6}, [6]),
    ],
)
def test_the_newest_and_the_best_stay(options: Any, kept: list[int], tmp_path: Path) -> None:
    keeper = ModelCheckpoint(tmp_path, **options)
    values = Values(3.0, 5.0, float("nan"), 1.0, 2.0, 4.0)
    trainer, *loaders = run("sgd", "none", "none", values, keeper)
    trainer.fit(*loaders, epochs=6)
    assert epochs_in(tmp_path) == kept
    assert keeper.last_path is not None and keeper.last_path.name.endswith("-0006.safetensors")
    if keeper.keep_best:
        best = 2 if keeper.mode == "max" else 4
        assert keeper.best_path is not None and f"epoch-000{best}" in keeper.best_path.name
        assert keeper.best_value == values.values[best - 1]


def test_the_best_of_before_is_known_after_a_resume(tmp_path: Path) -> None:
    def fit(epochs: int) -> ModelCheckpoint:
        keeper = ModelCheckpoint(tmp_path, keep_last=1, monitor="val_loss")
        values = Values(3.0, 1.0, 4.0, 5.0, 0.5)
        trainer, *loaders = run("sgd", "none", "none", values, keeper)
        trainer.fit(*loaders, epochs=epochs, resume="auto")
        return keeper

    assert fit(3).best_value == 1.0
    assert fit(4).best_value == 1.0 and epochs_in(tmp_path) == [2, 4]
    assert fit(5).best_value == 0.5 and epochs_in(tmp_path) == [5]


def test_a_new_run_moves_the_earlier_one_aside(made: Path, tmp_path: Path) -> None:
    names = [path.name for path in copied(made, tmp_path)]
    for number in (1, 2):
        trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
        with pytest.warns(UserWarning, match=f"earlier-{number} now; fit.*would have gone on with"):
            trainer.fit(*loaders, epochs=1)
    assert sorted(p.name for p in (tmp_path / "earlier-1").iterdir()) == sorted(names)
    assert epochs_in(tmp_path) == [1]


def test_an_older_checkpoint_can_be_gone_on_from(made: Path, tmp_path: Path) -> None:
    newest, older = copied(made, tmp_path)
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    with pytest.warns(UserWarning, match="they are in earlier-1 now$"):
        trainer.fit(*loaders, epochs=EPOCHS, resume=older)
    assert (tmp_path / "earlier-1" / newest.name).exists()


def test_a_fast_run_for_a_look_leaves_no_checkpoint(made: Path, tmp_path: Path) -> None:
    copied(made, tmp_path)
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=EPOCHS, fast_dev_run=True, resume="auto")
    assert len(files.listed(tmp_path)) == 2 and trainer.step == 1


def test_any_reader_reads_a_checkpoint(made: Path) -> None:
    path = files.listed(made)[0]
    weights = mg.load(path)["model"]
    read = load_file(path)
    for name, tensor in weights.items():
        np.testing.assert_array_equal(read[f"model.{name}"], tensor.numpy())
    model = run(*PARTS)[0].model
    model.load_state_dict(weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_steps": 0}, "every_steps"),
        ({"keep_last": 0}, "keep_last"),
        ({"keep_best": -1}, "keep_best"),
        ({"monitor": "score"}, "whether 'score' should rise or fall is not known"),
        ({"monitor": "val_loss", "mode": "up"}, "expected 'min' or 'max'"),
    ],
)
def test_options_out_of_range_are_refused(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(tmp_path, **options)


def test_a_metric_that_the_fit_has_not_is_refused(tmp_path: Path) -> None:
    trainer, loader, _ = run("sgd", "none", "none", ModelCheckpoint(tmp_path, monitor="val_loss"))
    with pytest.raises(ValueError, match="ModelCheckpoint monitors 'val_loss'"):
        trainer.fit(loader, epochs=1)


def test_a_finished_epoch_comes_after_its_last_step(tmp_path: Path) -> None:
    keeper = ModelCheckpoint(tmp_path, every_steps=STEPS, keep_last=None)
    trainer, *loaders = run(*PARTS, keeper)
    trainer.fit(*loaders, epochs=2)
    names = [path.stem for path in files.listed(tmp_path)]
    assert names[:2] == ["step-00000012-epoch-0002", "step-00000012"]
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=2, resume="auto")  # nothing is moved aside
    assert trainer.explain() == ""


# ---------------------------------------------------------------- whose folder it is
def test_two_fits_do_not_write_to_one_folder(tmp_path: Path) -> None:
    """In this process and in another; a process that is gone holds nothing."""

    class Another(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            other, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
            with pytest.raises(
                RuntimeError, match="another fit is writing checkpoints to .* end it"
            ):
                other.fit(*loaders, epochs=1, resume="auto")

    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path), Another())
    trainer.fit(*loaders, epochs=2)
    assert len(files.listed(tmp_path)) == 2 and not (tmp_path / "earlier-1").exists()
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=3, resume="auto")  # the folder is free again


def test_a_forked_child_does_not_hold_the_folder(tmp_path: Path) -> None:
    folder = files.Folder(tmp_path / "run", 2, 0, "min")
    folder.claim()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.read(read, 1)  # outlives the claim
        os._exit(0)
    folder.release()
    other = files.Folder(tmp_path / "run", 2, 0, "min")
    other.claim()
    other.release()
    os.write(write, b"x")
    os.waitpid(child, 0)


def test_one_folder_by_two_names_is_told(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    keepers = ModelCheckpoint(tmp_path / "real"), ModelCheckpoint(tmp_path / "link")
    trainer, *loaders = run("sgd", "none", "none", *keepers)
    with pytest.raises(ValueError, match="two ModelCheckpoints write to one folder"):
        trainer.fit(*loaders, epochs=1)


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # for who may write everywhere
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    with pytest.raises(PermissionError, match="is write-protected; permit writing, or give"):
        trainer.fit(*loaders, epochs=1)
    assert not trainer.history.rows


@pytest.mark.parametrize("name", ["with spaces", "naïve-日本", "[a]*?", "x" * 200, "a.b/c"])
def test_folders_of_any_name(name: str, tmp_path: Path) -> None:
    wanted, *loaders = run(*PARTS)
    wanted.fit(*loaders, epochs=2)
    for epochs in (1, 2):
        trainer, *loaders = run(*PARTS, ModelCheckpoint(str(tmp_path / name)))
        trainer.fit(*loaders, epochs=epochs, resume="auto")
    assert left(trainer)["model"] == left(wanted)["model"]
    trainer.fit(*loaders, epochs=2, resume=tmp_path / name)


def test_a_system_that_syncs_no_folders_and_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    opened = os.open

    def no_folders(path: Any, flags: int, *rest: Any) -> int:
        if flags & getattr(os, "O_DIRECTORY", 0):
            refused()
        return opened(path, flags, *rest)

    monkeypatch.setattr(files.fcntl, "flock", refused)
    monkeypatch.setattr(os, "open", no_folders)
    trainer, *loaders = run(*PARTS, ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=1)
    assert len(files.listed(tmp_path)) == 1


# ---------------------------------------------------------------- how a run ends, and goes on
def test_what_ends_after_the_last_step_of_an_epoch_has_its_checkpoint(tmp_path: Path) -> None:
    """As time does that is over in the validation: it is of this epoch, not of the one before."""
    keeper = ModelCheckpoint(tmp_path, every_epochs=None, every_steps=1_000)

    class Slow(Callback):
        order = 500

        def on_train_epoch_end(self, trainer: Any) -> None:
            trainer._limits.deadline = 0.0

    trainer, *loaders = run("sgd", "none", "none", keeper, Slow())
    trainer.fit(*loaders, epochs=3, max_seconds=1e6)
    assert [path.stem for path in files.listed(tmp_path)] == ["step-00000006-epoch-0001"]
    assert "are over" in trainer.history.stop_reason
    trainer, *loaders = run("sgd", "none", "none", ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=3, resume="auto")
    assert len(trainer.history) == 3


def test_more_patience_or_time_goes_on_with_a_run_that_was_stopped(tmp_path: Path) -> None:
    def fit(patience: int, seconds: float | None) -> Trainer:
        parts = EarlyStopping(patience=patience), Timer(seconds), ModelCheckpoint(tmp_path)
        values = Values(1.0, *(2.0 + i for i in range(8)))
        trainer, *loaders = run("sgd", "none", "none", values, *parts)
        trainer.fit(*loaders, epochs=8, resume="auto")
        return trainer

    assert len(fit(2, None).history) == 3
    assert len(fit(2, None).history) == 3  # it is done
    assert len(fit(4, None).history) == 5
    assert len(fit(5, 1e-9).history) == 6  # another reason, of another callback
    assert len(fit(7, 1e-9).history) == 6
    assert len(fit(9, None).history) == 8


def test_the_checkpoint_of_a_long_run_is_small_and_quick(tmp_path: Path) -> None:
    """Numbers of each step and rows of each epoch lie in arrays: in the header, of which files may
    have 100 MB, they would be the end of a run of a few million steps.
    """
    rates = LearningRateMonitor()
    trainer, *loaders = run("sgd", "none", "none", rates, ModelCheckpoint(tmp_path))

    class Old(Callback):
        order = 999_999

        def on_epoch_end(self, trainer: Any) -> None:
            rates.steps = list(range(100_000))
            rates.rates = {"lr": [0.1, math.nan] * 50_000}
            trainer.history.rows = [{**trainer.history.last, "epoch": i} for i in range(1, 5_001)]

    trainer.callbacks.append(Old())
    trainer.fit(*loaders, epochs=1)
    (path,) = files.listed(tmp_path)
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert header < 40_000
    again, *loaders = run("sgd", "none", "none", LearningRateMonitor(), ModelCheckpoint(tmp_path))
    again.fit(*loaders, epochs=1, resume="auto")
    assert repr(again.history.rows) == repr(trainer.history.rows)
    assert repr(again.callbacks[0].state_dict()) == repr(rates.state_dict())
