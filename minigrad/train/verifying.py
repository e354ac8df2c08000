"""verify_resume: prove of a set-up of one's own that a resumed fit ends in the same bytes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.data.random_sources import Sources
from minigrad.engine import arguments
from minigrad.engine.device import DeviceArray, host_copy
from minigrad.engine.random import manual_seed
from minigrad.nn.state import named_tensors
from minigrad.tensors.tensor import Tensor
from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.model_checkpoint import ModelCheckpoint
from minigrad.train.run_state import named, roots

ELSEWHERE = 0x5EED  # the seed of all random numbers in "another process"
SHOWN = 6  # differences that an error lists
Place = tuple[int, str]  # a step, and which hook after it
Notes = dict[Place, dict[str, str]]


class ResumeError(AssertionError):
    """A resumed fit differs from one that was not interrupted; the message says in what first."""


@dataclass(frozen=True)
class ResumeProof:
    """What was compared, and found to be the same.

    steps, epochs: of the fit that was not interrupted.  resumed_after: the steps after which it was
    gone on with elsewhere.  compared: how many digests of parameters, states, random streams and
    batches.
    """

    steps: int
    epochs: int
    resumed_after: tuple[int, ...]
    compared: int


def verify_resume(make_trainer: Callable[[], Any], *, epochs: int = 2, at: Any = None) -> Any:
    """Prove that a fit of your own ends in the same bytes where it is interrupted and resumed.

    It trains once without a pause, then again up to a step, where a checkpoint is written, and from
    that on with a new Trainer of your function, all random numbers elsewhere set to others, as in
    another process.  After each step it compares the batch, parameters, buffers, the optimizer's
    and the callbacks' states, and the random streams.

    make_trainer: a function without arguments that returns `(trainer, train_loader)` or
        `(trainer, train_loader, val_loader)`, made anew at each call, as a program makes them when
        it starts: small data is enough.  Callbacks that write files are left out.
    epochs: of the fit.  at: steps after which to interrupt it; by default the end of the first
        epoch and the middle of the second.
    Return a ResumeProof of what was compared.
    Raises: ResumeError that names what differs first, and of what kind: a parameter, the
        optimizer's state, a random stream, the order of the data, a callback with state that has no
        state_dict; or that already two runs without a resume differ.  ValueError where the fit is
        too short to be interrupted.

    >>> import minigrad as mg
    >>> train, _, _ = mg.data.load_iris().split(seed=0)
    >>> def make():
    ...     model = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.ReLU(), mg.nn.Dropout(0.5))
    ...     model.append(mg.nn.Linear(8, 3))
    ...     trainer = mg.Trainer(model, mg.optim.AdamW(model.parameters(), lr=0.01))
    ...     return trainer, mg.data.DataLoader(train, 32, shuffle=True)
    >>> proof = verify_resume(make)
    >>> proof.steps, proof.resumed_after
    (8, (4, 6))
    """
    epochs = arguments.whole("verify_resume", "epochs", epochs, 1)
    before = Sources({}).state_dict()
    try:
        return _verified(make_trainer, epochs, at, before)
    finally:
        Sources({}).load_state_dict(before)


def _verified(make: Callable[[], Any], epochs: int, at: Any, before: dict[str, Any]) -> ResumeProof:
    """Train without a pause, then with one at each of some steps; compare."""
    Sources({}).load_state_dict(before)
    whole, recorder = _fit(make, epochs, [])
    steps = whole.step
    ends = [step for step, hook in recorder.notes if hook == "epoch"]
    chosen = _chosen(at, steps, ends)
    compared = 0
    with tempfile.TemporaryDirectory() as folder:
        for step in chosen:
            kept = Path(folder, str(step))
            keeper = ModelCheckpoint(kept, every_steps=1, every_epochs=1, keep_last=1)
            stop = Interrupt(step, step in ends)
            Sources({}).load_state_dict(before)
            _, again = _fit(make, epochs, [keeper, stop])
            uncertain = _repeated(recorder.notes, again.notes)
            _elsewhere()
            _, resumed = _fit(make, epochs, [ModelCheckpoint(kept, every_epochs=None)], "auto")
            compared += _compare(recorder.notes, resumed.notes, uncertain, step)
    return ResumeProof(steps, len(whole.history), tuple(chosen), compared)


def _chosen(at: Any, steps: int, ends: list[int]) -> list[int]:
    """Return the steps after which to interrupt a fit."""
    if at is None:
        first = ends[0] if ends and ends[0] < steps else 0
        chosen = sorted({first, first + (steps - first + 1) // 2} - {0, steps})
    else:
        chosen = sorted(set(at)) if isinstance(at, Iterable) else [at]
    if not chosen or not all(1 <= step < steps for step in chosen):
        raise ValueError(
            f"verify_resume: the fit has {steps} steps, and can be interrupted after 1 to "
            f"{steps - 1}, but got at={at!r}; give it more epochs or smaller batches"
        )
    return chosen


def _fit(
    make: Callable[[], Any], epochs: int, more: list[Callback], resume: Any = None
) -> tuple[Any, Recorder]:
    """Run a fit of the user's set-up; return its trainer, and what was noted on its way."""
    made = make()
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        raise TypeError(
            "verify_resume: expected make_trainer() to return (trainer, train_loader) or (trainer, "
            f"train_loader, val_loader), but got {made!r:.80}"
        )
    trainer, *loaders = made
    recorder = Recorder()
    trainer.callbacks = [c for c in trainer.callbacks if not c.writes_files]
    trainer.callbacks += [*more, recorder]
    try:
        trainer.fit(*loaders, epochs=epochs, resume=resume)
    except Interrupted:
        return trainer, recorder
    recorder.note(trainer, "end")
    return trainer, recorder


def _elsewhere() -> None:
    """Set all random numbers to others, as they are in another process."""
    manual_seed(ELSEWHERE)
    for source in Sources({}).everything().values():
        if isinstance(source, np.random.RandomState) or hasattr(source, "getstate"):
            source.seed(ELSEWHERE)


def _repeated(first: Notes, second: Notes) -> set[str]:
    """Return the names of what two runs without a resume note differently, of callbacks that a
    checkpoint does not know; refuse other differences.
    """
    uncertain: set[str] = set()
    for place, noted in second.items():
        for name in _differing(first.get(place, {}), noted):
            if not name.startswith("attribute "):
                raise ResumeError(
                    f"verify_resume: two runs without a resume differ already after step {place[0]}"
                    f": {name}; seed what your function draws, and make everything in it anew"
                )
            uncertain.add(name)
    return uncertain


def _compare(whole: Notes, resumed: Notes, uncertain: set[str], step: int) -> int:
    """Compare a resumed fit with one that was not interrupted; return how many digests."""
    count = 0
    for place, noted in resumed.items():
        at, hook = place
        hook = _before(whole, at) if hook == "resume" else hook
        wanted = whole.get((at, hook), {})
        if place[1] == "resume":
            wanted = {n: d for n, d in wanted.items() if n != BATCH}
        wrong = [name for name in _differing(wanted, noted) if name not in uncertain]
        count += len(noted)
        if wrong:
            when = f"after step {at}" if place[1] != "resume" else "right after the resume"
            raise ResumeError(_said(wrong, when, step))
    return count


def _before(whole: Notes, step: int) -> str:
    """Return the last hook that was called after a step, before the next one."""
    return "epoch" if (step, "epoch") in whole else "step"


def _differing(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return the names of what differs."""
    return [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]


def _said(wrong: list[str], when: str, step: int) -> str:
    """Return the message of an error that names what differs."""
    first = wrong[0]
    hint = ""
    if first.startswith("attribute "):
        hint = (
            "; the callback has a state that no checkpoint holds: give it state_dict() and "
            "load_state_dict(state)"
        )
    elif first == BATCH:
        hint = (
            "; the loader gives other batches than it would have: draw its order from a generator "
            "that it, its sampler or its dataset holds, or give it state_dict() and load_state_dict"
        )
    rest = f" (and {', '.join(wrong[1:SHOWN])})" if len(wrong) > 1 else ""
    return (
        f"verify_resume: a fit that was interrupted after step {step} differs {when} from one that "
        f"was not: {first}{rest}{hint}"
    )


class Interrupted(BaseException):
    """The fit ends here."""


class Interrupt(Callback):
    """Interrupt a fit after a step, or after the epoch that it ends, when all others are done."""

    order = 3_000_001

    def __init__(self, step: int, after_epoch: bool) -> None:
        self.step = step
        self.after_epoch = after_epoch

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self.step and not self.after_epoch:
            raise Interrupted

    def on_epoch_end(self, trainer: Any) -> None:
        if trainer.step == self.step and self.after_epoch:
            raise Interrupted


BATCH = "the order of the data: the batch"


class Recorder(Callback):
    """Note digests of all that a fit is made of, after each step and epoch."""

    order = 3_000_000

    def __init__(self) -> None:
        self.notes: Notes = {}

    def on_resume(self, trainer: Any) -> None:
        self.note(trainer, "resume")

    def on_step_end(self, trainer: Any) -> None:
        self.note(trainer, "step")

    def on_epoch_end(self, trainer: Any) -> None:
        self.note(trainer, "epoch")

    def note(self, trainer: Any, hook: str) -> None:
        """Note the digests of now, what causes other differences first."""
        found: dict[str, str] = {}
        if hook == "step":
            found[BATCH] = digest(trainer._batch[2:])
        held = {name: c for name, c in named(trainer.callbacks).items() if c is not self}
        held = {n: c for n, c in held.items() if not isinstance(c, ModelCheckpoint | Interrupt)}
        for name, callback in held.items():
            state = callback.state_dict()
            for key, value in state.items():
                found[f"the state of callback {name}: {key}"] = digest(value)
            if not state and not type(callback).__module__.startswith("minigrad."):
                for key, value in vars(callback).items():
                    found[f"attribute {key!r} of callback {name}"] = digest(value)
        sources = Sources({n: v for n, v in roots(trainer).items() if n not in SELF})
        for name, state in sources.state_dict()["own"].items():
            found[f"the random stream {name}"] = digest(state)
        optimizer = trainer.optimizer.state_dict()
        for i, group in enumerate(optimizer["param_groups"]):
            found[f"the options of the optimizer's group {i}"] = digest(group)
        for name, entry in optimizer["state"].items():
            found[f"the optimizer's state of {name}"] = digest(entry)
        for name, tensor in named_tensors(trainer.model).items():
            found[f"parameter or buffer {name}"] = digest(tensor)
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history.rows]
        found["the history"] = digest(rows)
        self.notes[trainer.step, hook] = found


SELF = ("Recorder", "Interrupt", "ModelCheckpoint")


def digest(value: Any) -> str:
    """Return a digest of numbers, texts, arrays and what holds such; of other objects the class.

    >>> digest({"a": [1, np.zeros(2)]}) == digest({"a": [1, np.zeros(2)]}) != digest({"a": [1]})
    True
    """
    made = hashlib.sha256()
    _enter(made, value, 0)
    return made.hexdigest()


def _enter(made: Any, value: Any, depth: int) -> None:
    """Enter a value into a hash."""
    if isinstance(value, Tensor | np.ndarray | DeviceArray):  # wherever it lies
        array = host_copy(value.array if isinstance(value, Tensor) else value)
        made.update(f"{array.dtype}{array.shape}".encode())
        made.update(array.tobytes())
        return
    made.update(type(value).__name__.encode())
    if isinstance(value, Mapping):
        for name, part in value.items():
            made.update(repr(name).encode())
            _enter(made, part, depth + 1)
    elif isinstance(value, list | tuple):
        for part in value:
            _enter(made, part, depth + 1)
    elif isinstance(value, str | bytes | int | float | complex | set | np.generic | None):
        made.update(repr(value).encode())
    elif hasattr(value, "state_dict") and not isinstance(value, type) and depth < 8:
        _enter(made, value.state_dict(), depth + 1)
