"""A fit that was interrupted and resumed ends in the bytes of one that was not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad.train import ModelCheckpoint, Trainer, steps
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
    """Killed in mid-epoch; with all trials after every step."""
    monkeypatch.setattr(steps, "PAYS", 0)  # capture from the first batch on
    wanted = whole(*parts, capture=capture)
    all_trials = request.config.getoption("--all-trials")
    for at in range(1, EPOCHS * STEPS) if all_trials else (STEPS + 3,):
        if at >= wanted["ended"][3]:
            break
        found = left(interrupted(tmp_path / str(at), at, *parts, capture=capture))
        assert not differing(wanted, found), f"killed after step {at}"
