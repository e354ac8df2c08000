"""Checkpoints of `minigrad train`, and how `--resume` goes on from them."""

from __future__ import annotations

import argparse
import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minigrad.cli.options import INTERRUPTED, field
from minigrad.diagnosis.findings import DoctorWarning
from minigrad.distributed.group import is_first
from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.history import History
from minigrad.train.callbacks.model_checkpoint import ModelCheckpoint
from minigrad.train.checkpoint_files import listed

FOLDER = "checkpoints"
MODEL = "model.safetensors"
OURS = ("ModelCheckpoint: ", "fit: ")  # how warnings begin that are of checkpoints
SECONDS = 1.0  # that lie between two checkpoints at least: what a kill costs
# Options that make another run of it, beside those that the checkpoint itself compares.
COMPARED = (
    *("target", "classes", "regression", "drop", "types", "delimiter", "no_header", "encoding"),
    *("class_weights", "recipe", "seed", "hidden", "lr"),
)


class Told(Callback):
    """Say where a run goes on."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.resumed = False

    def on_resume(self, trainer: Any) -> None:
        self.resumed = True
        if not self.quiet:
            where = f"epoch {trainer.epoch} of {trainer.epochs}, step {trainer.step}"
            print(field("resume", f"goes on after {where}"))


def callbacks_for(out: Path, arguments: argparse.Namespace, table: Path | None) -> list[Any]:
    """Return what writes checkpoints, and what tells of a resume.

    table: the file whose bytes must be the same; None for a built-in data set.
    """
    settings = {name: getattr(arguments, name) for name in COMPARED}
    settings["device"] = str(arguments.device)
    if table is not None:
        settings["table"] = hashlib.sha256(table.read_bytes()).hexdigest()
    folder = out / FOLDER
    if arguments.resume and not listed(folder) and not arguments.quiet:
        done = ", and its model is written: it is done" if (out / MODEL).exists() else ""
        print(field("resume", f"the run in {out} has no checkpoint{done}; it begins anew"))
    keeper = ModelCheckpoint(folder, min_seconds=SECONDS, configuration=settings)
    return [Told(arguments.quiet), keeper]


def way(arguments: argparse.Namespace) -> str | None:
    """Return what `fit` takes as `resume`."""
    return "auto" if arguments.resume else None


def ended(history: History, keeper: ModelCheckpoint) -> int:
    """Return the exit status of a run whose files are written; of one that is done, the checkpoints
    have served.
    """
    if history.interrupted:
        return INTERRUPTED
    if is_first():
        keeper.remove()
    return 0


@contextmanager
def warnings_as_notes(quiet: bool) -> Iterator[None]:
    """Print what is said of checkpoints, and what the doctor finds, as lines of the command.

    quiet: leave the doctor's out.
    """
    shown = warnings.showwarning

    def show(message: Warning | str, *rest: Any, **options: Any) -> None:
        words = " ".join(str(message).split())
        if isinstance(message, DoctorWarning):
            if not quiet:
                print(field("doctor", words))
        elif str(message).startswith(OURS):
            print(field("note", words))
        else:
            shown(message, *rest, **options)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", "|".join(OURS), UserWarning)
        warnings.filterwarnings("always", category=DoctorWarning)
        warnings.showwarning = show
        yield
