"""`mg.doctor`: look at what is to be trained, before it is."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.diagnosis.case import KEPT, Case
from minigrad.diagnosis.doctor import Doctor, probe, untouched
from minigrad.diagnosis.findings import Report
from minigrad.engine.device import host_copy
from minigrad.nn.functional import cross_entropy
from minigrad.nn.module import Module
from minigrad.tensors.tensor import Tensor

TRIED = 100  # steps of the trial on one batch
# Of the checks of a fit's end, those that a trial on one batch can say something about.
TRIAL = {"MG311", "MG312", "MG406", "MG407", "MG609"}


def doctor(
    model: Module,
    optimizer: Any = None,
    loader: Any = None,
    loss: Any = cross_entropy,
    *,
    val_loader: Any = None,
    callbacks: Iterable[Any] = (),
    epochs: int = 0,
    ignore: Iterable[str] = (),
    trial: bool = True,
) -> Report:
    """Look for mistakes in a model and what is to train it; change none of it.

    model: a Module.  optimizer: one, or a list of them.  loader: gives (x, target) batches; its
        first rows are looked at, and its first batch is what a copy of the model is tried on.
    loss: of (output, target).  val_loader, callbacks, epochs: as they will be given to `fit`.
    ignore: codes of checks to leave out.
    trial: whether a copy of model and optimizer takes up to 100 steps on the first batch, to see
        whether one batch can be learnt at all.

    Returns: a `Report`, to iterate over, to print, or `to_json()`.  A finding that is not `sure`
        may be meant; it is given where the trial did not learn its batch, or there was none.
    Raises: TypeError where model is no Module, ValueError for unknown codes.

    >>> import minigrad as mg
    >>> model = mg.nn.Sequential(mg.nn.Linear(4, 16), mg.nn.ReLU(), mg.nn.Linear(16, 1))
    >>> loader = mg.data.DataLoader(mg.data.load_iris(), 32, shuffle=True)
    >>> optimizer = mg.optim.AdamW(model.parameters(), lr=0.01)
    >>> mg.doctor(model, optimizer, loader, mg.nn.functional.cross_entropy).codes
    ['MG103', 'MG201']
    """
    if not isinstance(model, Module):
        raise TypeError(f"doctor: expected a Module as model, but got {type(model).__name__}")
    seer = Doctor("collect", ignore)
    case = Case(model, "static")
    given = [] if optimizer is None else optimizer
    case.optimizers = list(given) if isinstance(given, list | tuple) else [given]
    case.loss = loss
    case.train_loader, case.val_loader = loader, val_loader
    case.callbacks = list(callbacks)
    case.schedules = [
        (callback.scheduler, callback.per, getattr(callback, "monitor", ""))
        for callback in case.callbacks
        if getattr(callback, "scheduler", None) is not None and hasattr(callback, "per")
    ]
    case.epochs = epochs
    case.steps_per_epoch = length(loader)
    seer.begin(case)
    seer.examine("setup")
    if loader is None:
        seer.end(only=TRIAL)
        return seer.report
    with untouched(model, modes=False):
        first = read(loader, case.train)
        read(val_loader, case.validation)
        if first is not None:
            attempt(seer, case, first, TRIED if trial and case.optimizers else 1)
    seer.end(only=TRIAL)
    return seer.report


def length(loader: Any) -> int | None:
    """Return the number of a loader's batches, None where it does not say."""
    try:
        return len(loader)
    except TypeError:
        return None


def read(loader: Any, sample: Any) -> tuple[Any, Any] | None:
    """Read the first rows of a loader, as a copy of it gives them; return the first batch."""
    if loader is None or isinstance(loader, Tensor | np.ndarray) or iter(loader) is loader:
        return None
    first = None
    for batch in copy.copy(loader):
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            return first
        x, y = (Tensor(part) if isinstance(part, np.ndarray) else part for part in batch)
        if first is None:
            first = x, y
        if sample.rows >= KEPT:
            break
        sample.take(x, y)
    else:
        sample.whole = True
    return first


def attempt(seer: Doctor, case: Case, batch: tuple[Any, Any], steps: int) -> None:
    """Train a copy on one batch, looked at as a fit is; an error ends it."""
    x, y = batch
    try:
        model, optimizers = copy.deepcopy((case.model, case.optimizers))
    except Exception:  # what cannot be copied is looked at for one step, without an update
        model, optimizers, steps = case.model, [], 1
    originals = case.model, case.optimizers
    case.model, case.optimizers = model, optimizers
    optimizer = optimizers[0] if len(optimizers) == 1 else None
    model.train()
    try:
        for step in range(1, (steps if optimizer is not None else 1) + 1):
            if seer.due(step):
                with seer.looking(step, y, optimizer) as look:
                    look.loss = one_step(model, optimizer, case.loss, x, y)
                    if optimizer is None:
                        look.take_gradients()
                seer.stepped()
            else:
                value = float(one_step(model, optimizer, case.loss, x, y).item())
                case.losses.append((step, value))
                if not np.isfinite(value):
                    break
            case.steps = step
    except Exception as error:
        case.error = error
    if case.error is None and optimizer is not None and steps > 1:
        rows, targets = case.train.inputs, case.train.targets
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            whole = list(rows), list(targets)
            rows[:], targets[:] = [host_copy(x.array)], [host_copy(y.array)]
            probe(case)
            case.probe["skill"] = case.skill
            rows[:], targets[:] = whole
    case.model, case.optimizers = originals


def one_step(model: Any, optimizer: Any, loss: Any, x: Any, y: Any) -> Any:
    """Take one step; return the loss."""
    value = loss(model(x), y)
    value = value[0] if isinstance(value, tuple) else value
    value.backward()
    if optimizer is not None:
        optimizer.step()
        optimizer.zero_grad()
    return value
