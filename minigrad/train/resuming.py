"""Go on with a run: find its newest whole checkpoint, and bring the fit to where it stood."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from minigrad.data.random_sources import Sources
from minigrad.train.attributes import Attributes
from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.model_checkpoint import ModelCheckpoint
from minigrad.train.checkpoint_files import About, Damaged, newest, read_whole
from minigrad.train.run_state import Mismatch, changing, configuration, restore, roots

AUTO = "auto"
Found = tuple[Path, About, dict[str, Any]]


def keepers(callbacks: Iterable[Callback]) -> list[ModelCheckpoint]:
    """Return the callbacks that write checkpoints."""
    return [callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]


def check_resume(resume: Any, callbacks: Iterable[Callback]) -> None:
    """Refuse what `fit` cannot go on from, before anything is done.

    Raises: TypeError, ValueError, FileNotFoundError.
    """
    kept = [os.path.realpath(keeper.folder) for keeper in keepers(callbacks)]
    if len(set(kept)) < len(kept):
        raise ValueError("fit: two ModelCheckpoints write to one folder; give each its own")
    if resume is None:
        return
    if not isinstance(resume, str | PathLike):
        raise TypeError(f'fit: expected resume to be "auto", a path or None, but got {resume!r}')
    if resume == AUTO:
        if not kept:
            raise ValueError(
                'fit: resume="auto" looks for checkpoints in the folder of a ModelCheckpoint, but '
                "there is none among the callbacks; add ModelCheckpoint(folder), or give a path"
            )
    elif not Path(resume).exists():
        raise FileNotFoundError(
            f"fit: there is no checkpoint and no folder {str(resume)!r} to go on from"
        )


def begin(trainer: Any, resume: Any, callbacks: list[Callback]) -> bool:
    """Bring a fit that has just begun to where it is to go on; make the folders ready for it.
    Return whether it goes on with a run.

    Raises: ValueError where no checkpoint is whole, where it is of a run that was set up
        differently, and where a part of it does not fit: nothing has been changed then.
    """
    kept = keepers(callbacks)
    found = None
    if trainer.is_first:
        found = find(resume, [keeper.folder for keeper in kept])
    found, run = trainer.decided((found, secrets.token_hex(8)))
    place = (0, 0)
    here = configuration(trainer)
    earlier, trainer.attributes = trainer.attributes, None
    if kept or found is not None:
        trainer.attributes = Attributes(changing(trainer))
    if found is not None:
        path, about, state = found
        if about.run == trainer.run:  # what was changed since then is the run's own
            own = trainer.configuration
            here |= {name: own[name] for name in ("optimizer", "modules") if name in own}
            if earlier is not None:
                trainer.attributes.first = earlier.first
        try:
            restore(trainer, state, here)
        except Mismatch as error:
            raise ValueError(
                f"fit: cannot go on from {path}, which is of a run that was set up differently: "
                f"{error}\nSet it up in the same way, or begin anew in another folder"
            ) from None
        except Exception as error:
            raise ValueError(
                f"fit: cannot go on from {path}, and nothing of it was loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
        run, place, here = about.run, about.place, state["configuration"]
    trainer.run, trainer.configuration = run, here
    for keeper in kept if trainer.is_first else ():
        keeper.begin_run(run, place)
    if any(keeper.every_steps for keeper in kept) or (kept and trainer.limited):
        trainer.reading.watch(Sources(roots(trainer)), trainer.attributes)
    return found is not None


def find(resume: Any, folders: list[Path]) -> Found | None:
    """Return the checkpoint to go on from; None to begin anew."""
    if resume is None:
        return None
    try:
        if resume == AUTO:
            return newest(folders)
        path = Path(resume)
        if path.is_dir():
            found = newest([path])
            if found is None:
                raise FileNotFoundError(f"fit: there is no checkpoint in {path} to go on from")
            return found
        return path, *read_whole(path)
    except Damaged as error:
        raise ValueError(f"fit: cannot go on: {error}") from None
