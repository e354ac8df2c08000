"""Compiling ahead: the list is what the first epoch compiles, and another process works it off."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad_kernels import ahead
from minigrad_kernels.jit import cache
from minigrad_kernels.warmup import jobs
from tests.golden.make_signatures import first_step

LINES = jobs(["relu", "sigmoid", "tanh"], ["float32"])[:1] + jobs(["exp", "log"], ["float32"])[:2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache folder, used in this test."""
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("MINIGRAD_AHEAD", "1")
    cache.cache_path.cache_clear()
    yield tmp_path
    cache.cache_path.cache_clear()


def test_another_process_compiles_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.cache_path()
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    assert ahead.missing(LINES) == LINES
    (worker,) = ahead.start(LINES)
    assert worker.wait() == 0
    assert ahead.missing(LINES) == []
    assert ahead.start(LINES) == []


def test_a_process_that_nobody_waits_for_is_held(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python warns of one that is collected before it has ended, and the command waits for none."""
    cache.cache_path()
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    ahead.start(LINES)
    gc.collect()
    assert ahead.RUNNING[-1].wait() == 0
    assert ahead.start(LINES) == [] == ahead.RUNNING


@pytest.mark.parametrize(
    ("lines", "cores", "setting"), [(LINES, 1, "1"), (LINES[:2], 2, "1"), (LINES, 2, "0")]
)
def test_there_is_none_where_it_would_not_pay(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], cores: int, setting: str
) -> None:
    cache.cache_path()
    monkeypatch.setattr(ahead, "usable_cores", lambda: cores)
    monkeypatch.setenv("MINIGRAD_AHEAD", setting)
    assert ahead.start(lines) == []


def test_there_is_none_where_the_cache_cannot_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert ahead.start(LINES) == []


def test_a_worker_ends_when_its_parent_has_gone(folder: Path) -> None:
    path = folder.parent / "out"
    path.write_text("\n".join(LINES))
    with path.open() as lines:
        done = subprocess.run(
            [sys.executable, "-m", "minigrad_kernels.ahead", "1"],
            stdin=lines,
            check=True,
            env={**os.environ},
        )
    assert done.returncode == 0
    assert ahead.missing(LINES) == LINES


def test_a_function_unknown_is_passed_over() -> None:
    assert ahead.missing(["no.such_function(float32)"]) == []


@pytest.mark.slow
def test_the_list_is_what_the_first_epoch_compiles() -> None:
    made = "\n".join(first_step()) + "\n"
    assert made == ahead.FIRST_STEP.read_text(), "run `python -m tests.golden.make_signatures`"
