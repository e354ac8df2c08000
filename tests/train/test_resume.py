"""A fit that was interrupted and resumed ends in the bytes of one that was not."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad.train import Callback, EarlyStopping, ModelCheckpoint, Trainer, steps
from tests.train.resume_toys import (
    CALLBACKS,
    EPOCHS,
    OPTIMIZERS,
    SCHEDULES,
    STEPS,
    KillAt,
    Killed,
    differing,
    left,
    run,
)

MATRIX = [
    *((name, "none", "stopping") for name in OPTIMIZERS),
    *(("momentum", name, "own") for name in SCHEDULES),
    *(("adamw", "plateau", name) for name in CALLBACKS),
]


def reseed() -> None:
    """Set all random numbers elsewhere, as they are in another process."""
    mg.manual_seed(1234)
    random.seed(4321)


def interrupted(
    folder: Path, at: int, *parts: str, keeper: ModelCheckpoint | None = None, **options: Any
) -> Trainer:
    """Return the trainer of a fit that was killed after a step, and gone on with in another."""
    every = options.pop("every_steps", 1)
    first = ModelCheckpoint(folder, every_steps=every)
    random.seed(0)
    trainer, loader, validation = run(*parts, first, KillAt(at), **options)
    with pytest.raises(Killed):
        trainer.fit(loader, validation, epochs=EPOCHS)
    reseed()
    second = ModelCheckpoint(folder, every_steps=every)
    trainer, loader, validation = run(*parts, second, seed=7, **options)
    trainer.fit(loader, validation, epochs=EPOCHS, resume="auto")
    return trainer


def whole(*parts: str, **options: Any) -> dict[str, Any]:
    random.seed(0)
    trainer, loader, validation = run(*parts, **options)
    trainer.fit(loader, validation, epochs=EPOCHS)
    return left(trainer)


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize("parts", MATRIX, ids=" ".join)
def test_every_kind_of_run_ends_in_the_same_bytes(
    parts: tuple[str, str, str],
    capture: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Killed in mid-epoch; with all trials after every step.  The doctor looks on if captured."""
    monkeypatch.setattr(steps, "PAYS", 0)  # capture from the first batch on
    all_trials = request.config.getoption("--all-trials")
    if not (capture or all_trials or parts in MATRIX[::5]):
        pytest.skip("some of the runs without capture in the sample")
    ways = {"capture": capture, "doctor": capture}
    wanted = whole(*parts, **ways)
    for at in range(1, EPOCHS * STEPS) if all_trials else (STEPS + 3,):
        if at >= wanted["ended"][3]:
            break
        found = left(interrupted(tmp_path / str(at), at, *parts, **ways))
        assert not differing(wanted, found), f"killed after step {at}"


@pytest.mark.skipif(os.cpu_count() == 1, reason="there is one thread")
@pytest.mark.parametrize("threads", [(1, 2), (2, 1)])
def test_other_thread_counts_end_in_the_same_bytes(
    threads: tuple[int, int], tmp_path: Path
) -> None:
    before = mg.get_num_threads()
    parts, options = ("adamw", "one cycle", "own"), {"width": 512, "batch_size": 8}
    try:
        mg.set_num_threads(threads[0])
        wanted = whole(*parts, **options)
        random.seed(0)
        first = ModelCheckpoint(tmp_path, every_steps=1)
        trainer, loader, validation = run(*parts, first, KillAt(9), **options)
        with pytest.raises(Killed):
            trainer.fit(loader, validation, epochs=EPOCHS)
        mg.set_num_threads(threads[1])
        reseed()
        trainer, loader, validation = run(*parts, ModelCheckpoint(tmp_path), seed=7, **options)
        trainer.fit(loader, validation, epochs=EPOCHS, resume="auto")
        assert not differing(wanted, left(trainer))
    finally:
        mg.set_num_threads(before)


def test_a_fit_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    wanted = whole("adamw", "plateau", "recipe")
    for _ in range(2):
        random.seed(0)
        trainer, *loaders = run("adamw", "plateau", "recipe", ModelCheckpoint(tmp_path))
        trainer.fit(*loaders, epochs=EPOCHS, resume="auto")
        assert not differing(wanted, left(trainer))
    assert trainer.explain() == ""  # no step was run


def test_more_epochs_go_on_with_a_fit_that_is_done(tmp_path: Path) -> None:
    wanted = whole("adam", "plateau", "none")
    random.seed(0)
    trainer, *loaders = run("adam", "plateau", "none", ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=2, resume="auto")
    reseed()
    trainer, *loaders = run("adam", "plateau", "none", ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=EPOCHS, resume="auto")
    assert not differing(wanted, left(trainer))


def test_the_same_objects_go_on_after_ctrl_c(tmp_path: Path) -> None:
    """As in a notebook: the trainer, the loaders and all else stand somewhere in the run."""
    wanted = whole("momentum", "plateau", "recipe")

    class Once(Callback):
        done = False

        def on_step_end(self, trainer: Trainer) -> None:
            trainer.optimizer.param_groups[0]["nesterov"] = True  # an option may change in a run
            if trainer.step == 9 and not self.done:
                self.done = True
                raise KeyboardInterrupt

    keeper = ModelCheckpoint(tmp_path, every_steps=4)
    random.seed(0)
    trainer, *loaders = run("momentum", "plateau", "recipe", keeper, Once())
    assert trainer.fit(*loaders, epochs=EPOCHS).interrupted
    trainer.fit(*loaders, epochs=EPOCHS, resume="auto")
    assert not differing(wanted, left(trainer))


@pytest.mark.parametrize("limit", [{"max_steps": 9}, {"max_steps": STEPS}, {"max_seconds": 1e-9}])
def test_a_fit_that_a_limit_has_cut_short_goes_on_where_it_was_cut(
    limit: dict[str, Any], tmp_path: Path
) -> None:
    wanted = whole("adamw", "plateau", "stopping")
    random.seed(0)
    trainer, *loaders = run("adamw", "plateau", "stopping", ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=EPOCHS, **limit)
    cut = trainer.step
    reseed()
    trainer, *loaders = run("adamw", "plateau", "stopping", ModelCheckpoint(tmp_path))
    if "max_steps" in limit:
        trainer.fit(*loaders, epochs=EPOCHS, resume="auto", **limit)  # the same limit: no step more
        assert trainer.step == cut
        trainer, *loaders = run("adamw", "plateau", "stopping", ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=EPOCHS, resume="auto")
    assert not differing(wanted, left(trainer))


def test_accumulated_steps_go_on(tmp_path: Path) -> None:
    def made(*more: Callback) -> Any:
        trainer, *loaders = run("adamw", "one cycle", "own", *more)
        trainer.accumulate = 4
        return trainer, *loaders

    random.seed(0)
    trainer, *loaders = made()
    trainer.fit(*loaders, epochs=EPOCHS)
    wanted = left(trainer)
    for at in (1, 2, 3, 6):  # of two steps an epoch
        folder = tmp_path / str(at)
        random.seed(0)
        trainer, *loaders = made(ModelCheckpoint(folder, every_steps=1), KillAt(at))
        with pytest.raises(Killed):
            trainer.fit(*loaders, epochs=EPOCHS)
        reseed()
        trainer, *loaders = made(ModelCheckpoint(folder))
        trainer.fit(*loaders, epochs=EPOCHS, resume="auto")
        assert not differing(wanted, left(trainer)), at


# ---------------------------------------------------------------- what is not gone on with
def other(trainer: Trainer, *loaders: Any) -> tuple[Any, ...]:
    return trainer, *loaders


def accumulating(trainer: Trainer, *loaders: Any) -> tuple[Any, ...]:
    trainer.accumulate = 2
    return trainer, *loaders


def with_a_group(trainer: Trainer, *loaders: Any) -> tuple[Any, ...]:
    trainer.optimizer.param_groups[0]["weight_decay"] = 0.5
    return trainer, *loaders


def without_metrics(trainer: Trainer, *loaders: Any) -> tuple[Any, ...]:
    trainer.metrics.pop("f1")
    return trainer, *loaders


def without_validation(trainer: Trainer, loader: Any, _: Any) -> tuple[Any, ...]:
    trainer.callbacks = [c for c in trainer.callbacks if not isinstance(c, EarlyStopping)]
    return trainer, loader


CHANGES: list[tuple[Any, dict[str, Any], dict[str, Any], str]] = [
    (other, {"width": 16}, {}, r"model, 0.weight: 'float32 \(8, 4\)' in the checkpoint, 'float32"),
    (other, {"optimizer": "adam"}, {}, "optimizer, class: 'AdamW' in the checkpoint, 'Adam' here"),
    (other, {"count": 53}, {}, "training data, rows: 45 in the checkpoint, 53 here"),
    (other, {"batch_size": 9}, {}, "training data, batch_size: 8 in the checkpoint, 9 here"),
    (other, {"callbacks": "none"}, {}, "the state of a EarlyStopping in the checkpoint, no such"),
    (other, {"callbacks": "own"}, {}, "callbacks: the state of|callbacks: Average here"),
    (other, {"schedule": "plateau"}, {}, "callbacks: ScheduleLR here, no state of it in the chec"),
    (other, {}, {"epochs": 1}, "epochs: 2 done in the checkpoint, at most 1 asked for"),
    (accumulating, {}, {}, "accumulate: 1 in the checkpoint, 2 here"),
    (with_a_group, {}, {}, "group 0, weight_decay: 0.01 in the checkpoint, 0.5 here"),
    (without_metrics, {}, {}, r"metrics: \['accuracy', 'f1'\] in the checkpoint, \['accuracy'\]"),
    (without_validation, {}, {}, "validation data, class: 'DataLoader' in the checkpoint, nothing"),
]


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two epochs."""
    folder = tmp_path_factory.mktemp("run")
    trainer, *loaders = run("adamw", "none", "stopping", ModelCheckpoint(folder))
    trainer.fit(*loaders, epochs=2)
    return folder


@pytest.mark.parametrize(("change", "parts", "options", "message"), CHANGES)
def test_a_run_that_was_set_up_differently_is_refused_with_the_difference(
    change: Any, parts: Any, options: Any, message: str, two_epochs: Path
) -> None:
    trainer, *loaders = change(*run(**parts))
    before = {n: t.numpy().tobytes() for n, t in trainer.model.state_dict().items()}
    state = repr(trainer.optimizer.state_dict())
    with pytest.raises(ValueError, match=f"set up differently(.|\n)*({message})"):
        trainer.fit(*loaders, resume=two_epochs, **{"epochs": 4, **options})
    assert {n: t.numpy().tobytes() for n, t in trainer.model.state_dict().items()} == before
    assert repr(trainer.optimizer.state_dict()) == state
    trainer.fit(*loaders, epochs=1)  # and nothing else is the matter with it


def test_a_schedule_of_another_length_is_refused(tmp_path: Path) -> None:
    trainer, *loaders = run("sgd", "one cycle", "none", ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=2)
    trainer, *loaders = run("sgd", "one cycle", "none")
    with pytest.raises(ValueError, match="nothing of it was loaded.*total_steps=12, but this one"):
        trainer.fit(*loaders, epochs=3, resume=tmp_path)


def test_settings_of_ones_own_are_compared(tmp_path: Path) -> None:
    def fit(**settings: Any) -> None:
        keeper = ModelCheckpoint(tmp_path, configuration=settings)
        trainer, *loaders = run("sgd", "none", "none", keeper)
        trainer.fit(*loaders, epochs=1, resume="auto")

    fit(seed=1, rows=[1, 2])
    fit(seed=1, rows=[1, 2])
    with pytest.raises(ValueError, match="configuration, seed: 1 in the checkpoint, 2 here"):
        fit(seed=2, rows=[1, 2])


def test_where_a_callback_refuses_its_part_all_is_as_it_was(tmp_path: Path) -> None:
    class Last(Callback):
        order = 50

        def state_dict(self) -> dict[str, Any]:
            return {"here": 1}

        def load_state_dict(self, state: Any) -> None:
            raise RuntimeError("not mine")

    trainer, *loaders = run("adam", "plateau", "own", Last(), ModelCheckpoint(tmp_path))
    trainer.fit(*loaders, epochs=1)
    mg.manual_seed(5)
    trainer, *loaders = run("adam", "plateau", "own", Last(), seed=5)
    wanted = left(trainer)
    mg.manual_seed(5)
    trainer, *loaders = run("adam", "plateau", "own", Last(), seed=5)
    random.seed(0)
    expected = random.random()
    random.seed(0)
    with pytest.raises(ValueError, match="nothing of it was loaded: RuntimeError: not mine"):
        trainer.fit(*loaders, epochs=2, resume=tmp_path)
    assert random.random() == expected
    found = left(trainer)
    assert [n for n in differing(wanted, found) if n not in ("random", "average", "ended")] == []


def test_what_cannot_be_gone_on_from_is_said_before_the_fit(tmp_path: Path) -> None:
    trainer, *loaders = run()
    with pytest.raises(ValueError, match="there is none among the callbacks; add ModelCheckpoint"):
        trainer.fit(*loaders, epochs=1, resume="auto")
    with pytest.raises(FileNotFoundError, match="no checkpoint and no folder '.*gone'"):
        trainer.fit(*loaders, epochs=1, resume=tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="there is no checkpoint in"):
        trainer.fit(*loaders, epochs=1, resume=tmp_path)
    with pytest.raises(TypeError, match='expected resume to be "auto", a path or None'):
        trainer.fit(*loaders, epochs=1, resume=True)
    trainer, *loaders = run("sgd", "none", "none", ModelCheckpoint("a"), ModelCheckpoint("./a"))
    with pytest.raises(ValueError, match="two ModelCheckpoints write to one folder"):
        trainer.fit(*loaders, epochs=1)
