"""The checkpoints of a run in a folder: written whole, found again, verified, and pruned."""

from __future__ import annotations

import contextlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from minigrad import trees
from minigrad.engine.dispatch import write_whole
from minigrad.sealed import encoded, fault, is_sealed, metadata_of
from minigrad.serialization import TREE, read

ABOUT = "minigrad.run"
NAME = re.compile(r"step-(\d+)(?:-epoch-(\d+))?\.safetensors")
CLAIMS: set[int] = set()  # handles of the folders that this process writes to
STALE = re.compile(r"\.step-.*-(\d+)-[0-9a-f]+\.tmp")  # of a process that was killed while writing


def forget_claims() -> None:
    """Let go of the parent's folders in a forked process, which may outlive it."""
    while CLAIMS:
        os.close(CLAIMS.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_claims)


class Damaged(ValueError):
    """A file that is no whole checkpoint."""


@dataclass(frozen=True)
class About:
    """What a checkpoint says of itself: of which run it is, and where that stood.

    epoch: of the last finished epoch, None within one.  value: of the metric that decides which
    checkpoint is best, where it was measured.
    """

    run: str
    step: int
    epoch: int | None
    monitor: str | None = None
    value: float | None = None

    @property
    def name(self) -> str:
        """Return the name of the file.

        >>> About("", 120, 3).name, About("", 100, None).name
        ('step-00000120-epoch-0003.safetensors', 'step-00000100.safetensors')
        """
        end = "" if self.epoch is None else f"-epoch-{self.epoch:04}"
        return f"step-{self.step:08}{end}.safetensors"

    @property
    def place(self) -> tuple[int, int]:
        """Return what orders the checkpoints of a run."""
        return self.step, int(self.epoch is not None)


def write(folder: Path, about: About, state: dict[str, Any]) -> Path:
    """Write a checkpoint: whole, and on the disk when this returns.

    Raises: OSError where it cannot be written, with nothing left behind; TypeError naming what a
        file cannot hold.
    """
    arrays, tree = trees.flatten(state, trees.Writer(copying=False))
    path = folder / about.name
    write_whole(path, encoded(arrays, {ABOUT: json.dumps(asdict(about)), TREE: tree}))
    return path


def read_whole(path: Path) -> tuple[About, dict[str, Any]]:
    """Return what a checkpoint says of itself, and its state, once all of it has been verified.

    Raises: Damaged with the reason; FileNotFoundError.
    """
    data = path.read_bytes()
    if not is_sealed(data):
        raise Damaged(f"{path} is no checkpoint of a run, or its beginning is damaged")
    broken = fault(data)
    if broken:
        raise Damaged(f"{path} is damaged: {broken}")
    try:
        about = About(**json.loads(metadata_of(path)[ABOUT]))
        state = read(path)
    except (ValueError, TypeError, KeyError) as error:
        raise Damaged(f"{path} is no checkpoint of a run: {error}") from error
    if NAME.fullmatch(path.name) and path.name != about.name:
        raise Damaged(f"{path} holds another checkpoint than its name says: {about.name}")
    return about, state


def listed(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first; none where there is no folder."""
    found = [path for path in folder.glob("step-*.safetensors") if NAME.fullmatch(path.name)]
    return sorted(found, key=place_of, reverse=True)


def place_of(path: Path) -> tuple[int, int]:
    """Return the place of a checkpoint by its name: a finished epoch comes after its last step.

    >>> place_of(Path("step-00000120-epoch-0003.safetensors"))
    (120, 1)
    """
    match = NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} has no name of a checkpoint")
    return int(match[1]), int(match[2] is not None)


def newest(folders: list[Path]) -> tuple[Path, About, dict[str, Any]] | None:
    """Return the newest whole checkpoint of some folders; None where they hold none at all.

    Raises: Damaged where there are some and none is whole.
    Warns: UserWarning for each damaged one that is passed over.
    """
    paths = [path for folder in folders for path in listed(folder)]
    paths.sort(key=place_of, reverse=True)
    faults: list[str] = []
    for path in paths:
        try:
            about, state = read_whole(path)
        except (Damaged, OSError) as error:
            faults.append(str(error))
            continue
        check_runs(about, paths)
        for reason in faults:
            warnings.warn(
                f"fit: {reason}; going on from the older {path.name}", UserWarning, stacklevel=5
            )
        return path, about, state
    if faults:
        raise Damaged("no checkpoint is whole:\n  " + "\n  ".join(faults))
    return None


def check_runs(about: About, paths: list[Path]) -> None:
    """Refuse to choose between the checkpoints of several runs.

    Raises: Damaged that names one of each.
    """
    for path in paths:
        other = about_of(path)
        if other is not None and other.run != about.run:
            raise Damaged(
                f"{path.parent} holds checkpoints of two runs, {about.name} and {path.name} say; "
                "give the path of the one to go on from"
            )


class Folder:
    """The checkpoints of one run in a folder.

    keep_last: how many of the newest stay, None for all.  keep_best: how many of the best stay
    beside them, in `mode` "min" or "max".
    """

    def __init__(self, path: Path, keep_last: int | None, keep_best: int, mode: str) -> None:
        self.path = path
        self.keep_last = keep_last
        self.keep_best = keep_best
        self.mode = mode
        self.kept: list[About] = []  # by rising place
        self.claimed = False
        self._claim: int | None = None

    def claim(self) -> None:
        """Make the folder, and keep other fits out of it until `release`, or this process's end.

        Raises: RuntimeError where another fit has it; OSError where nothing can be written to it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(
                f"ModelCheckpoint: {self.path} is write-protected; permit writing, or give another "
                "folder"
            )
        if fcntl is not None:
            handle = os.open(self.path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                raise RuntimeError(
                    f"ModelCheckpoint: another fit is writing checkpoints to {self.path}, and each "
                    "would remove the other's; end it first, or give this one a folder of its own"
                ) from None
            except OSError:  # a file system without locks
                os.close(handle)
            else:
                self._claim = handle
                CLAIMS.add(handle)
        self.claimed = True

    def release(self) -> None:
        """Let others write to the folder; remove it where there is nothing in it."""
        if self.claimed and not self.kept:
            with contextlib.suppress(OSError):
                self.path.rmdir()
        self.claimed = False
        handle, self._claim = self._claim, None
        if handle in CLAIMS:
            CLAIMS.remove(handle)
            os.close(handle)

    def begin(self, run: str, place: tuple[int, int]) -> Path | None:
        """Make the folder ready for a run that stands at a place: what is of another run, what is
        damaged, and what was written after that place is moved to a folder of its own.

        Return that folder, None where nothing was moved.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        sweep(self.path)
        self.kept, strange = [], []
        for path in listed(self.path):
            about = about_of(path)
            if about is not None and about.run == run and about.place <= place:
                self.kept.insert(0, about)
            else:
                strange.append(path)
        return move_aside(self.path, strange)

    def write(self, about: About, state: dict[str, Any]) -> Path:
        """Write a checkpoint, then remove those that are not to be kept; return its path."""
        path = write(self.path, about, state)
        self.kept = [*(other for other in self.kept if other.place != about.place), about]
        best = {other.place for other in self.best()}
        last = len(self.kept) if self.keep_last is None else self.keep_last
        newest = {other.place for other in self.kept[len(self.kept) - last :]}
        for other in list(self.kept):
            if other.place not in best | newest | {about.place}:
                self.kept.remove(other)
                (self.path / other.name).unlink(missing_ok=True)
        return path

    def best(self) -> list[About]:
        """Return the checkpoints with the best values, the best first."""
        sign = 1 if self.mode == "min" else -1
        measured = [a for a in self.kept if a.value is not None and a.value == a.value]
        ranked = sorted(measured, key=lambda a: (sign * (a.value or 0.0), a.place))
        return ranked[: self.keep_best]

    def would_be_best(self, value: float) -> bool:
        """Return whether a checkpoint with this value would be among the best that are kept."""
        best = self.best()
        if value != value or not self.keep_best:
            return False
        if len(best) < self.keep_best:
            return True
        worst = best[-1].value or 0.0
        return value < worst if self.mode == "min" else value > worst


def about_of(path: Path) -> About | None:
    """Return what a file says of itself in its header, which is not verified; None for nothing."""
    try:
        about = About(**json.loads(metadata_of(path)[ABOUT]))
        return about if about.name == path.name else None
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        return None


def sweep(folder: Path) -> None:
    """Remove what processes have left that were killed while they wrote."""
    for path in folder.glob(".step-*.tmp"):
        match = STALE.fullmatch(path.name)
        if match and not runs(int(match[1])):
            path.unlink(missing_ok=True)


def runs(process: int) -> bool:
    """Return whether a process is there."""
    if process == os.getpid():
        return False  # this one writes nothing now
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def move_aside(folder: Path, paths: list[Path]) -> Path | None:
    """Move files to a folder of their own within a folder; return it, None for no files."""
    if not paths:
        return None
    aside = next(p for p in _numbered(folder) if not p.exists())
    aside.mkdir()
    for path in paths:
        path.rename(aside / path.name)
    return aside


def _numbered(folder: Path) -> Iterator[Path]:
    number = 1
    while True:
        yield folder / f"earlier-{number}"
        number += 1
