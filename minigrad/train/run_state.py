"""The state of a whole run, as a checkpoint holds it: gathered, compared, and taken over.

Everything is checked before the first change; where a callback or a scheduler refuses its part only
then, all that was changed becomes what it was.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from minigrad.data.random_sources import Sources
from minigrad.engine.device import get_float32_matmul_precision
from minigrad.lazy import lazy
from minigrad.nn.module import Module
from minigrad.nn.parameter import Uninitialized
from minigrad.nn.state import named_tensors
from minigrad.tensors.tensor import Tensor
from minigrad.train.callbacks.base import Callback
from minigrad.train.modes import modes_of, set_modes
from minigrad.train.scores import Scores

metadata = lazy("importlib.metadata")
FORMAT = 1  # of the state; others are refused
UNKNOWN = "not known before the first batch"
SCHEDULED = ("lr", "momentum", "betas")  # options that schedules write, and what they were before
LEFT = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
SHOWN = 8  # differences that an error lists


class Mismatch(ValueError):
    """A checkpoint is whole, but of a run that was set up differently."""


# ---------------------------------------------------------------- what there is
def run_state(trainer: Any) -> dict[str, Any]:
    """Return all that the rest of a fit depends on, from a hook at the end of a step or an epoch.

    Raises: TypeError that names what a file cannot hold, when it is written.
    """
    model, scores = trainer.model, trainer.epoch_scores
    training, validation = trainer.train_loader, trainer.val_loader
    state = {
        "format": FORMAT,
        "versions": versions(),
        "configuration": trainer.configuration,
        "epoch": trainer.epoch,
        "step": trainer.step,
        "finished": scores is None,  # whether that epoch is
        "stopping": trainer.stopping,
        "history": trainer.history.state_dict(),
        "model": model.state_dict(),
        "buffers": transient(model),
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "evaluating": [name for name, m in model.named_modules() if not m.training],
        "gradients": {n: p.grad for n, p in model.named_parameters() if p.grad is not None},
        "loss": module_state(trainer.loss),
        "optimizer": trainer.optimizer.state_dict(),
        "callbacks": {n: s for n, c in named(trainer.callbacks).items() if (s := c.state_dict())},
        "loaders": {
            "training": loader_state(training) if scores is None else None,
            "validation": None if validation is training else loader_state(validation),
        },
        "random": Sources(roots(trainer)).state_dict(),
        "attributes": attributes_state(trainer.attributes),
    }
    if scores is not None:
        elapsed = time.perf_counter() - trainer.epoch_started
        state["middle"] = {
            "scores": trainer.scores_state(),
            "seconds": elapsed,
            "reading": trainer.reading.state_dict(),
        }
    return state


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"minigrad": own_version(), "numpy": np.__version__, "python": python}


@cache
def own_version() -> str:
    """Return minigrad's version; "unknown" where it was not installed."""
    try:
        return str(metadata.version("minigrad"))
    except metadata.PackageNotFoundError:
        return "unknown"


def roots(trainer: Any) -> dict[str, Any]:
    """Return a fit's objects by name, to be looked through for random generators."""
    training, validation = trainer.train_loader, trainer.val_loader
    return {
        "model": trainer.model,
        "loss": trainer.loss,
        "metrics": trainer.metrics,
        **named(trainer.callbacks),
        "training loader": training,
        "validation loader": validation,
    }


def changing(trainer: Any) -> dict[str, Any]:
    """Return those of a fit's objects whose attributes may change without anybody's saying so;
    callbacks have a `state_dict`.
    """
    kept = {"model", "loss", "metrics", "training loader", "validation loader"}
    return {name: value for name, value in roots(trainer).items() if name in kept}


def attributes_state(attributes: Any) -> dict[str, Any]:
    """Return what attributes have changed since the run began, and what they were then."""
    if attributes is None:
        return {"now": {}, "first": {}}
    now = attributes.changed()
    return {"now": now, "first": attributes.before(now, attributes.first)}


def named(callbacks: Iterable[Callback]) -> dict[str, Callback]:
    """Return callbacks by the name of their class, with a number from the second on.

    >>> list(named([Callback(), Callback()]))
    ['Callback', 'Callback 2']
    """
    found: dict[str, Callback] = {}
    for callback in callbacks:
        name, count = type(callback).__qualname__, 1
        while (f"{name} {count}" if count > 1 else name) in found:
            count += 1
        found[f"{name} {count}" if count > 1 else name] = callback
    return found


def transient(model: Module) -> dict[str, Tensor]:
    """Return the buffers that are in no state_dict."""
    kept = model.state_dict()
    return {name: b.detach() for name, b in model.named_buffers() if name not in kept}


def module_state(function: Any) -> dict[str, Any]:
    """Return the state of a loss that is a module; of one that is none there is none."""
    inner = unwrapped(function)
    return inner.state_dict() if isinstance(inner, Module) else {}


def unwrapped(function: Any) -> Any:
    """Return the function that partials stand around.

    >>> unwrapped(partial(partial(max, 1), 2))
    <built-in function max>
    """
    while isinstance(function, partial):
        function = function.func
    return function


def loader_state(loader: Any) -> Any:
    """Return a loader's own state, None where it has none."""
    has_state = hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")
    return loader.state_dict() if has_state else None


# ---------------------------------------------------------------- what must be the same
def configuration(trainer: Any) -> dict[str, Any]:
    """Return what a run is made of, by name, as text and numbers."""
    model, optimizer = trainer.model, trainer.optimizer
    training, validation = trainer.train_loader, trainer.val_loader
    return {
        "model": {
            "class": type(model).__qualname__,
            **{name: kind_of(t) for name, t in named_tensors(model).items()},
        },
        "optimizer": {
            "class": type(optimizer).__qualname__,
            **{f"group {i}": of_group(optimizer, i) for i in range(len(optimizer.param_groups))},
        },
        "modules": {name: module_line(m) for name, m in model.named_modules() if name},
        "loss": name_of(trainer.loss),
        "metrics": list(trainer.metrics),
        "accumulate": trainer.accumulate,
        "training data": of_loader(training),
        "validation data": of_loader(validation),
        "float32_matmul_precision": get_float32_matmul_precision(),
        "configuration": {
            name: simple_dict(value)
            for callback in trainer.callbacks
            for name, value in getattr(callback, "configuration", {}).items()
        },
    }


def module_line(module: Module) -> str:
    """Return a module's class and its options in one line, without what is in it.

    >>> from minigrad.nn import Dropout
    >>> module_line(Dropout(0.2))
    'Dropout(p=0.2, inplace=False)'
    """
    return f"{type(module).__qualname__}({' '.join(module.extra_repr().split())})"


def kind_of(tensor: Tensor) -> str:
    """Return dtype and shape of a tensor.

    >>> kind_of(Tensor(np.zeros((2, 3), np.float32)))
    'float32 (2, 3)'
    """
    if isinstance(tensor, Uninitialized):
        return UNKNOWN
    return f"{tensor.array.dtype} {tuple(tensor.array.shape)}"


def of_group(optimizer: Any, number: int) -> dict[str, Any]:
    """Return a group's parameters and options, as they were before any schedule."""
    group = optimizer.param_groups[number]
    options = {"parameters": [s.name for s in optimizer._slots if s.group == number]}
    for name, value in group.items():
        if name == "params" or name in LEFT or name.startswith(("own_", "scheduled_")):
            continue
        first = group.get(f"own_{name}", value) if name in SCHEDULED else value
        options[name] = first.item() if isinstance(first, Tensor) else simple(first)
    return options


def simple(value: Any) -> Any:
    """Return a number, a text or a tuple of such as it is; of anything else its name."""
    if isinstance(value, list | tuple):
        return [simple(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int | float | str | None) else name_of(value)


def simple_dict(value: Any) -> Any:
    """Return a setting as a checkpoint holds it."""
    if isinstance(value, Mapping):
        return {str(name): simple_dict(part) for name, part in value.items()}
    return simple(value)


def name_of(value: Any) -> str:
    """Return the name of a function or of an object's class.

    >>> name_of(partial(max)), name_of(3)
    ('max', 'int')
    """
    inner = unwrapped(value)
    return str(getattr(inner, "__name__", None) or type(inner).__qualname__)


def of_loader(loader: Any) -> dict[str, Any]:
    """Return what tells one loader from another: its class, batches, rows and options."""
    if loader is None:
        return {}
    found: dict[str, Any] = {"class": type(loader).__qualname__}
    counted: dict[str, Any] = {"batches": loader, "rows": getattr(loader, "dataset", None)}
    for name, value in counted.items():
        try:
            found[name] = len(value)
        except TypeError:
            continue
    for name in ("batch_size", "shuffle", "drop_last"):
        if hasattr(loader, name):
            found[name] = simple(getattr(loader, name))
    sampler = getattr(loader, "batch_sampler_given", None) or getattr(loader, "sampler", None)
    return {**found, "sampler": name_of(sampler)} if sampler is not None else found


def differences(saved: Any, here: Any, path: str = "") -> list[str]:
    """Return what differs between two configurations, a line each.

    >>> differences({"a": {"b": 1}}, {"a": {"b": 2}})
    ['a, b: 1 in the checkpoint, 2 here']
    """
    if UNKNOWN in (saved, here) or saved == here:
        return []
    if not (isinstance(saved, dict) and isinstance(here, dict)):
        return [f"{path}: {saved!r} in the checkpoint, {here!r} here"]
    found = []
    for name in {**saved, **here}:
        place = f"{path}, {name}" if path else str(name)
        if name not in here:
            found.append(f"{place}: {saved[name]!r} in the checkpoint, nothing of that name here")
        elif name not in saved:
            found.append(f"{place}: {here[name]!r} here, nothing of that name in the checkpoint")
        else:
            found += differences(saved[name], here[name], place)
    return found


# ---------------------------------------------------------------- taking it over
def check(trainer: Any, state: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse a state that is of another run.  here: the configuration of this fit.

    Raises: Mismatch that names what differs.
    """
    if state.get("format") != FORMAT:
        raise Mismatch(f"it has the format {state.get('format')!r}, but only {FORMAT} is known")
    saved, mine = dict(state["configuration"]), dict(here)
    modules = saved.pop("modules", None), mine.pop("modules", None)
    wrong = differences(saved, mine)
    if not wrong and None not in modules:  # other shapes say the same
        wrong = differences(*modules, "modules")
    attributes = state.get("attributes", {"now": {}})["now"]
    if trainer.attributes is not None:
        for path in trainer.attributes.missing(attributes):
            wrong.append(f"{path}: it changed in the run, and is not there now")
    stateful = {n: s for n, c in named(trainer.callbacks).items() if (s := c.state_dict())}
    for name in sorted(state["callbacks"].keys() - named(trainer.callbacks).keys()):
        wrong.append(f"callbacks: the state of a {name} in the checkpoint, no such callback here")
    for name in sorted(stateful.keys() - state["callbacks"].keys()):
        wrong.append(f"callbacks: {name} here, no state of it in the checkpoint")
    done = state["epoch"] - (not state["finished"])
    if done > trainer.epochs or (not state["finished"] and state["epoch"] > trainer.epochs):
        wrong.append(f"epochs: {done} done in the checkpoint, at most {trainer.epochs} asked for")
    wrong += Sources(roots(trainer)).differences(state["random"])
    if wrong:
        more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise Mismatch("\n  " + "\n  ".join(wrong[:SHOWN]) + more)


def restore(trainer: Any, state: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Bring a fit that has just begun to where a state was taken.  here: its configuration.

    Raises: Mismatch where the run is another; whatever a callback raises on its state: then all is
        as before.
    Warns: UserWarning where the state is of other versions.
    """
    check(trainer, state, here)
    _warn_of_versions(state["versions"])
    undo = undoing(trainer)
    try:
        _take_over(trainer, state)
    except BaseException:
        for step in undo:
            step()
        raise


def undoing(trainer: Any) -> list[Callable[[], Any]]:
    """Return what makes all that a state changes what it is now."""
    model, sources = trainer.model, Sources(roots(trainer))
    kept = {n: t.array.copy() for n, t in named_tensors(model).items() if kind_of(t) != UNKNOWN}
    required = [(p, p.requires_grad) for p in model.parameters()]
    steps: list[Callable[[], Any]] = [
        partial(write_arrays, named_tensors(model), kept),
        partial(set_modes, modes_of(model)),
        *(partial(p.requires_grad_, required) for p, required in required),
        partial(trainer.optimizer.load_state_dict, trainer.optimizer.state_dict()),
    ]
    for callback in trainer.callbacks:
        before = callback.state_dict()
        if before:
            steps.append(partial(callback.load_state_dict, before))
    for loader in (trainer.train_loader, trainer.val_loader):
        state = loader_state(loader)
        if state is not None:
            steps.append(partial(loader.load_state_dict, state))
    if trainer.attributes is not None:
        steps.append(partial(trainer.attributes.set, trainer.attributes.values()))
    return [*steps, partial(sources.load_state_dict, sources.state_dict())]


def write_arrays(targets: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write arrays into tensors by name."""
    for name, value in values.items():
        targets[name].array[...] = value
        targets[name].bump_version("by a checkpoint")


def _warn_of_versions(saved: Mapping[str, str]) -> None:
    """Say where the bits may come to differ."""
    mine = versions()
    other = [f"{n} {saved[n]} (now {mine[n]})" for n in mine if saved.get(n, "") != mine[n]]
    if other:
        warnings.warn(
            f"fit: the checkpoint was written with {', '.join(other)}; the run goes on, but may end"
            " in other bits than it would have",
            UserWarning,
            stacklevel=5,
        )


def _take_over(trainer: Any, state: Mapping[str, Any]) -> None:
    """Bring a fit to a state that fits it."""
    model = trainer.model
    model.load_state_dict(state["model"])
    buffers = dict(model.named_buffers())
    write_arrays(buffers, {name: b.numpy() for name, b in state["buffers"].items()})
    frozen, evaluating = set(state["frozen"]), set(state["evaluating"])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
        gradient = state["gradients"].get(name)
        parameter.grad = None if gradient is None else gradient.to(parameter.device)
    set_modes([(m, name not in evaluating) for name, m in model.named_modules()])
    if state["loss"]:
        unwrapped(trainer.loss).load_state_dict(state["loss"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    for name, callback in named(trainer.callbacks).items():
        if name in state["callbacks"]:
            callback.load_state_dict(state["callbacks"][name])
    for loader, saved in zip(
        (trainer.train_loader, trainer.val_loader), state["loaders"].values(), strict=True
    ):
        if saved is not None:
            loader.load_state_dict(saved)
    attributes = trainer.attributes
    if attributes is not None:
        changed = state.get("attributes", {"now": {}, "first": {}})
        for path, values in changed["first"].items():
            attributes.first.setdefault(path, {}).update(values)
        attributes.set(attributes.first)  # some may have changed since, of the same objects
    sources = Sources(roots(trainer))
    middle, scores = state.get("middle"), None
    if middle is not None:
        scores = Scores(trainer.metrics)
        scores.load_state_dict(middle["scores"])
        scores = trainer.own_scores(scores)
        trainer.reading.load_state_dict(middle["reading"], sources, trainer.attributes)
        trainer.epoch_started = time.perf_counter() - middle["seconds"]
    sources.load_state_dict(state["random"])
    if attributes is not None:
        now = changed["now"]
        if middle is not None and trainer.reading.read_ahead:
            now = {path: v for path, v in now.items() if not path.startswith("training loader.")}
        attributes.set(now)
    trainer.history.load_state_dict(state["history"])
    trainer.go_on(state["epoch"], state["step"], state["stopping"], scores)
