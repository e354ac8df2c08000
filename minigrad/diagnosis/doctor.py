"""The doctor beside a fit: what it looks at and when, and what it does with a finding."""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.diagnosis import data_checks as data_checks
from minigrad.diagnosis import fit_checks as fit_checks
from minigrad.diagnosis import model_checks as model_checks
from minigrad.diagnosis import optimizer_checks as optimizer_checks
from minigrad.diagnosis import output_checks as output_checks
from minigrad.diagnosis import running_checks as running_checks
from minigrad.diagnosis.case import LOSSES, Case
from minigrad.diagnosis.findings import (
    CHECKS,
    DoctorError,
    DoctorWarning,
    Finding,
    Report,
    Seen,
    ignored,
)
from minigrad.diagnosis.looking import Listener, Look, host, named_parameters
from minigrad.engine.grad_mode import no_grad
from minigrad.engine.random import snapshot
from minigrad.engine.trace import PACKAGE
from minigrad.nn.layers.dropout import Dropout
from minigrad.nn.module import Module
from minigrad.tensors.tensor import Tensor

NOT_THE_USERS = (PACKAGE, contextlib.__file__)
ACTIONS = ("warn", "raise", "collect")
PROBED = 512  # rows that the trained model is asked about
NOISE = 1e-3  # change of outputs above which rows may mix
TRIALS = 8  # that say whether it is chance
# Steps that are looked at: the first ones, then ever fewer.
FIRST = (1, 3, 10, 30)
FACTOR = 3
# What is not as it should be, but seldom the reason that nothing is learnt.
HARMLESS = {"MG206", "MG207", "MG303", "MG408", "MG409"}


class Doctor:
    """Looks at a fit, and says what is wrong with it.

    action: "warn" gives a `DoctorWarning` for each finding, "raise" raises a `DoctorError` at the
        first, "collect" only keeps them.
    ignore: codes that are not looked for.

    The setup is looked at before the first step, the first rows and a step's tape in the first
    epoch, some more steps later on (1, 3, 10, 30, 90, 270, ...), and the trained model at the
    end.  None of that changes a bit of the training: a step that is looked at runs as ever, but is
    not replayed from a capture.  What may be meant is said at the end only, and only where the
    model has not learnt its training rows.

    `report` holds the findings of the last fit.

    Raises: ValueError for an unknown action or code.

    >>> import minigrad as mg
    >>> from minigrad.diagnosis import Doctor
    >>> model = mg.nn.Sequential(mg.nn.Linear(4, 3), mg.nn.Softmax(1))
    >>> optimizer = mg.optim.AdamW(model.parameters(), lr=0.01)
    >>> doctor = Doctor("collect")
    >>> trainer = mg.Trainer(model, optimizer, doctor=doctor)
    >>> loader = mg.data.DataLoader(mg.data.load_iris(), 32, shuffle=True)
    >>> _ = trainer.fit(loader, epochs=2)
    >>> "MG101" in doctor.report
    True
    """

    def __init__(self, action: str = "warn", ignore: Iterable[str] = ()) -> None:
        if action not in ACTIONS:
            raise ValueError(f"Doctor: expected action to be one of {ACTIONS}, but got {action!r}")
        self.action = action
        self.ignore = ignored(ignore, "Doctor")
        self.case: Case | None = None
        self._found: list[Finding] = []
        self._doubtful: list[Finding] = []
        self._told: set[tuple[str, str]] = set()
        self._quiet: set[str] = set()
        self._next = 1
        self._look: Look | None = None
        self._set_up = False

    @property
    def report(self) -> Report:
        """Return what was found in the last fit, or is so far."""
        return Report(self._found)

    def begin(self, case: Case, quiet: Iterable[str] = ()) -> None:
        """Take a new case.  quiet: codes of which somebody else has warned."""
        self.case = case
        self._found, self._doubtful, self._told = [], [], set()
        self._quiet = set(quiet)
        self._next = 1
        self._look = None
        self._set_up = False

    # ------------------------------------------------------------ steps
    def due(self, step: int) -> bool:
        """Return whether a step is one to look at; the answer is yes once for each."""
        if step < self._next:
            return False
        self._next = next((n for n in FIRST if n > step), step * FACTOR)
        return True

    @contextmanager
    def looking(self, step: int, target: Any, optimizer: Any = None) -> Any:
        """Listen while the block runs forward and backward; keep the look for `stepped`.

        optimizer: before whose step the gradients are to be read; None where `before_update` says
            when.
        """
        case = self.case
        assert case is not None
        model = case.model
        look = Look(step, {id(p): name for name, p in model.named_parameters()})
        look.named = named_parameters(model)
        look.target = target if isinstance(target, Tensor) else None
        note_modes(case, look)
        self.set_up()
        handles = [model.register_forward_hook(look.take_output)]
        if optimizer is not None:
            handles.append(optimizer.register_step_pre_hook(look.take_gradients))
        listener = Listener()
        try:
            with listener:
                yield look
        except Exception as error:
            case.probe["failed loss"] = failed_loss(error)
            look.heard(listener.nodes)
            self._read(look)
            raise
        finally:
            for handle in handles:
                handle.remove()
        look.heard(listener.nodes)
        self._look = look

    def set_up(self) -> None:
        """Look at model, optimizer and loaders as they stand before the first step."""
        if not self._set_up:
            self._set_up = True
            self.examine("setup")

    def before_update(self) -> None:
        """Read the gradients of the step that is looked at."""
        if self._look is not None and not self._look.gradients:
            self._look.take_gradients()

    def stepped(self) -> None:
        """Run the checks on the step that was looked at, now that the optimizer has stepped."""
        look, self._look = self._look, None
        if look is not None:
            self._read(look)

    def watch(self, trainer: Any, steps: Any, x: Any, target: Any) -> Any:
        """Run a training step as it stands, and look at it."""
        optimizer = trainer.optimizer if steps.updates else None
        with self.looking(trainer.step, target, optimizer) as look:
            found = steps.step(x, target, True)
            look.loss = found.loss.value
        if steps.summed:
            self.stepped()  # of a step of several batches the first one's forward pass
        return found

    def _read(self, look: Look) -> None:
        """Run the checks on a step that was heard, and let it go."""
        case = self.case
        assert case is not None
        look.take_updates()
        look.summarise()
        if isinstance(look.loss, Tensor) and look.loss.numel() == 1:
            case.losses.append((look.step, float(look.loss.item())))
        case.looks.append(look)
        case.step_looks = look
        try:
            remember(case)
            self.set_up()
            self.examine("step", "running")
        finally:
            case.step_looks = None
            look.forget()

    # ------------------------------------------------------------ beside a Trainer
    def fit_begins(self, trainer: Any) -> None:
        """Take the case of a fit."""
        case = Case(trainer.model, "trainer")
        case.optimizers = [trainer.optimizer]
        case.loss = trainer.loss
        case.train_loader, case.val_loader = trainer.train_loader, trainer.val_loader
        case.callbacks = list(trainer.callbacks)
        case.schedules = [
            (callback.scheduler, callback.per, getattr(callback, "monitor", ""))
            for callback in trainer.callbacks
            if getattr(callback, "scheduler", None) is not None and hasattr(callback, "per")
        ]
        case.epochs = trainer.epochs
        case.steps_per_epoch = trainer.steps_per_epoch
        case.history = trainer.history
        case.probe["trained"] = bool(trainer.optimizer.state)
        self.begin(case, quiet=("MG401",))  # the Trainer warns of these itself

    def saw(self, which: str, x: Any, target: Any) -> None:
        """Keep rows of the first epoch."""
        case = self.case
        assert case is not None
        sample = case.train if which == "training" else case.validation
        sample.take(x, target)

    def epoch_ends(self, trainer: Any) -> None:
        """Look at the rows of the first epoch, and whether the loss is a number."""
        case = self.case
        assert case is not None
        case.steps = trainer.step
        loss = trainer.history.last["loss"]
        if not np.isfinite(loss):
            case.losses.append((trainer.step, loss))
            self.examine("running")
        if trainer.epoch == 1:
            case.train.whole = case.validation.whole = case.train.looked = True
            self.examine("data")

    def fit_ends(self, trainer: Any, error: BaseException | None) -> BaseException | None:
        """Look at the whole fit; return its error, or the doctor's where it had none."""
        case, self.case = self.case, None
        if case is None or isinstance(error, DoctorError):
            return error
        case.error, case.steps = error, trainer.step
        self.case = case
        try:
            if error is None:
                probe(case)
            self.end()
        except BaseException as another:
            return another if error is None else error
        finally:
            self.case = None
        return error

    # ------------------------------------------------------------ checks
    def examine(self, *whens: str) -> None:
        """Run the checks of some moments, and say what is sure at once."""
        case = self.case
        assert case is not None
        for entry in list(CHECKS.values()):
            if entry.when not in whens or entry.code in self.ignore or entry.code in self._quiet:
                continue
            for seen in self._looked(entry, case):
                self._take(entry, seen)

    @staticmethod
    def _looked(entry: Any, case: Case) -> list[Seen]:
        """Return what a check sees; one that fails is no reason to end a training."""
        try:
            return list(entry.look(case))
        except Exception as error:
            warn(f"{entry.code} could not be looked for: {type(error).__name__}: {error}")
            return []

    def _take(self, entry: Any, seen: Seen) -> None:
        key = entry.code, seen.layer
        if key in self._told:
            return
        self._told.add(key)
        found = Finding(
            entry.code,
            entry.title,
            seen.seen,
            entry.why,
            seen.fix,
            seen.layer,
            seen.line,
            seen.sure,
        )
        if seen.sure:
            self._say(found)
        else:
            self._doubtful.append(found)

    def _say(self, found: Finding) -> None:
        self._found.append(found)
        if self.action == "raise":
            raise DoctorError(str(found))
        if self.action == "warn":
            warn(str(found))

    def end(self, only: Iterable[str] | None = None) -> None:
        """Look at the trained model and the whole fit; say what was doubtful if it has failed.

        only: codes of the end to look for; all by default.
        """
        case = self.case
        assert case is not None
        if only is not None:
            self._quiet |= {c.code for c in CHECKS.values() if c.when == "end"} - set(only)
        looked = case.train.looked and case.error is None
        self.examine(*(() if looked else ("data",)), "running", "end")
        doubtful, self._doubtful = self._doubtful, []
        if doubtful and to_be_said(case):
            for found in doubtful:
                if found.code not in HARMLESS or case.failing or case.way == "static":
                    self._say(found)


def to_be_said(case: Case) -> bool:
    """Return whether what may be meant is said: where the model has not learnt its own rows."""
    if case.way == "static":
        tried = case.probe.get("skill")
        return tried is None or tried < 0.9
    known = case.skill
    if fit_checks.short(case):
        return False
    if known is None:
        return bool(case.losses) and not np.isfinite(case.losses[-1][1])
    return not case.learnt


def remember(case: Case) -> None:
    """Have the case note what is read off the tape, before the tape goes."""
    for name in ("loss_kind", "head", "units"):
        getattr(case, name)
    data_checks.normalised_first(case)
    model_checks.note_norms(case)


def note_modes(case: Case, look: Look) -> None:
    """Note which layers are in eval mode though the model is trained."""
    kinds = (
        []
        if case.model.training
        else [
            name
            for name, module in case.model.named_modules()
            if not module.training and moving(module)
        ]
    )  # a part in eval mode of a model in training mode is meant
    look.training = not kinds
    if kinds:
        case.probe["eval modules"] = kinds


def failed_loss(error: BaseException) -> str:
    """Return the name of the loss of the library that an error came out of, "" for none."""
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside = [c.co_name for c in frames if c.co_filename.startswith(PACKAGE)]
    return next((name for name in inside if name in LOSSES), "")


def moving(module: Module) -> bool:
    """Return whether a module computes otherwise in training than in evaluation."""
    if isinstance(module, Dropout):
        return module.p > 0
    return getattr(module, "running_mean", None) is not None


def warn(message: str) -> None:
    """Warn of a finding, at the line of the user's program that is being run."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(NOT_THE_USERS):
        frame = frame.f_back
    warnings.warn_explicit(
        message, DoctorWarning, frame.f_code.co_filename, frame.f_lineno, module="minigrad"
    )


# ---------------------------------------------------------------- after the fit
def modes_of(model: Any) -> list[tuple[Any, bool]]:
    """Return the modules with their modes."""
    return [(module, module.training) for module in model.modules()]


@contextmanager
def untouched(model: Any, modes: bool = True) -> Any:
    """Give modes and random streams back at the end.

    modes: run in eval mode between.
    """
    before = modes_of(model)
    rewind = snapshot()
    try:
        if modes:
            model.eval()
        yield
    finally:
        for module, training in before:
            module.training = training
        rewind()


def probe(case: Case) -> None:
    """Ask the trained model about its training rows, in eval mode; leave it as it was."""
    x, model = case.train.x, case.model
    if x is None or not isinstance(model, Module) or not len(x) or has_hooks(model):
        return
    rows = x[:PROBED]
    device = next((p.device for p in model.parameters()), None)
    with untouched(model):
        try:
            with no_grad():
                inputs = Tensor(rows.copy())
                inputs = inputs if device is None else inputs.to(device)
                output = model(inputs)
                if not isinstance(output, Tensor) or not output.ndim or len(output) != len(rows):
                    return
                case.outputs = np.array(host(output, None))
                note_evaluation(case, output)
                few = min(3, len(rows) - 1)
                if few > 0:
                    alone = np.array(host(model(inputs[:few]), None))
                    case.probe["mixing"] = mixing(model, inputs, alone, case.outputs)
        except Exception:  # a model that takes its inputs in its own way is not asked
            case.outputs = None


def mixing(model: Any, inputs: Any, alone: Any, together: Any) -> float:
    """Return by how much outputs of a few rows change in the company of others; the least of some
    trials where they do, as a model may draw numbers of its own.
    """
    few = len(alone)
    found = change(alone, together[:few])
    again = [together[:few]]
    for _ in range(TRIALS if found > NOISE else 0):
        alone = np.array(host(model(inputs[:few]), None))
        again.append(np.array(host(model(inputs), None))[:few])
        found = min(found, *(change(alone, other) for other in again))
    return found


def note_evaluation(case: Case, output: Any) -> None:
    """Note the loss in eval mode beside the last one in training mode, where the two differ."""
    y, curve = case.train.y, case.curve
    changing = any(moving(module) for module in case.model.modules())
    if y is None or case.loss is None or not curve or not changing:
        return
    value = case.loss(output, Tensor(y[: len(output)].copy()).to(output.device))
    value = value[0] if isinstance(value, tuple) else value
    case.probe["modes"] = curve[-1], float(value.item())


def has_hooks(model: Any) -> bool:
    """Return whether somebody listens to a model, who is not to hear more than the fit."""
    return any(module._hooks is not None for module in model.modules())


def change(alone: Any, together: Any) -> float:
    """Return by how much outputs differ, against their size."""
    if alone.shape != together.shape or alone.dtype.kind != "f":
        return 0.0
    size = float(np.abs(together).max())
    return float(np.abs(alone - together).max()) / size if np.isfinite(size) and size else 0.0


def as_doctor(doctor: Any) -> Doctor | None:
    """Return the Doctor that a Trainer's option asks for.

    Raises: ValueError for another option.

    >>> as_doctor(False), as_doctor("raise").action
    (None, 'raise')
    """
    if doctor is None or doctor is False:
        return None
    if isinstance(doctor, Doctor):
        return doctor
    if doctor is True:
        return Doctor()
    if isinstance(doctor, str) and doctor in ACTIONS:
        return Doctor(doctor)
    raise ValueError(
        f"Trainer: expected doctor to be True, False, one of {ACTIONS} or a Doctor, but got "
        f"{doctor!r}"
    )
