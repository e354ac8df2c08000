"""The state of optimizers as it is saved: gathered by name, checked whole, and taken over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.engine import device
from minigrad.nn.parameter import Uninitialized
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]


class States(Mapping[Tensor, dict[str, Any]]):
    """What an optimizer keeps, by parameter: the tensors share its memory.

    steps: how often each was stepped; None where a class of the user's keeps what it likes.
    """

    def __init__(self, slots: list[Any], steps: Array | None) -> None:
        self._slots, self._steps = slots, steps

    def __getitem__(self, param: Tensor) -> dict[str, Any]:
        for i, slot in enumerate(self._slots):
            if slot.param is param:
                return self._of(i, slot)
        raise KeyError(f"no parameter of this optimizer: a tensor of shape {param.shape}")

    def _of(self, i: int, slot: Any) -> dict[str, Any]:
        own: dict[str, Any] = slot.own
        if self._steps is None:
            return own
        if not self._steps[i]:
            return {}
        step = Tensor(np.array(self._steps[i], np.float32))
        return {"step": step, **{name: Tensor(a) for name, a in slot.arrays.items()}}

    def __iter__(self) -> Iterator[Tensor]:
        return iter([slot.param for i, slot in enumerate(self._slots) if self._of(i, slot)])

    def __len__(self) -> int:
        return len(list(iter(self)))


def save_state(optimizer: Any) -> dict[str, Any]:
    """Return a copy of all that an optimizer needs to go on: see `Optimizer.state_dict`."""
    state: dict[str, Any] = {}
    for slot, step in zip(optimizer._slots, optimizer._steps, strict=True):
        tensors = {name: Tensor(array.copy()) for name, array in slot.arrays.items()}
        own = {
            name: x.detach().clone() if isinstance(x, Tensor) else x for name, x in slot.own.items()
        }
        state[slot.name] = own if optimizer.states is None else {"step": int(step), **tensors}
    groups = [
        {**group, "params": [s.name for s in optimizer._slots if s.group == i]}
        for i, group in enumerate(optimizer.param_groups)
    ]
    return {
        "optimizer": type(optimizer).__name__,
        "step_count": optimizer._step_count,
        "state": state,
        "param_groups": groups,
    }


def load_state(optimizer: Any, saved: dict[str, Any]) -> None:
    """Check a saved state whole, then take it over: see `Optimizer.load_state_dict`."""
    kind = type(optimizer).__name__
    if (
        isinstance(saved, dict)
        and "scheduler" in saved
        and isinstance(saved.get("optimizer"), dict)
    ):
        saved = saved["optimizer"]  # of a saved scheduler
    problems = _frame_problems(optimizer, saved) or _group_problems(optimizer, saved)
    arrays: list[dict[str, Array]] = []
    if not problems:
        arrays, problems = _read_arrays(optimizer, saved)
    if problems:
        raise ValueError(
            f"{kind}: this state does not fit and was not loaded:\n  " + "\n  ".join(problems)
        )
    for i, slot in enumerate(optimizer._slots):
        entry = saved["state"][slot.name]
        if optimizer.states is None:
            slot.own = {n: x.clone() if isinstance(x, Tensor) else x for n, x in entry.items()}
            continue
        optimizer._steps[i] = entry["step"]
        slot.arrays = arrays[i]
    for group, stored in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        for key, value in stored.items():
            if key != "params":
                group[key] = tuple(value) if isinstance(value, list) else value
    optimizer._step_count = int(saved["step_count"])


def _frame_problems(optimizer: Any, saved: Any) -> list[str]:
    """Return what is wrong with a saved state as a whole, nothing where it fits."""
    kind = type(optimizer).__name__
    if not isinstance(saved, dict):
        return [f"expected a dict as {kind}.state_dict() returns, got {type(saved).__name__}"]
    missing = {"optimizer", "step_count", "state", "param_groups"} - saved.keys()
    if missing:
        return [f"it has no {sorted(missing)}; expected what {kind}.state_dict() returns"]
    if saved["optimizer"] != kind:
        return [f"it was saved by {saved['optimizer']}; make that optimizer, or start afresh"]
    counts = len(saved["param_groups"]), len(optimizer.param_groups)
    if counts[0] != counts[1]:
        return [f"it has {counts[0]} parameter groups, this optimizer has {counts[1]}"]
    return []


def _group_problems(optimizer: Any, saved: dict[str, Any]) -> list[str]:
    """Return where the saved parameter groups do not fit, by the names of their parameters."""
    problems = []
    for i, stored in enumerate(saved["param_groups"]):
        mine = [slot.name for slot in optimizer._slots if slot.group == i]
        theirs = stored.get("params", [])
        missing = [name for name in mine if name not in theirs]
        unknown = [name for name in theirs if name not in mine]
        if missing:
            problems.append(f"group {i} lacks the parameters {missing}")
        if unknown:
            problems.append(f"group {i} has parameters that this optimizer does not: {unknown}")
        lacking = sorted(optimizer.defaults.keys() - stored.keys())
        if lacking:
            problems.append(f"group {i} lacks the options {lacking}")
    names = {slot.name for slot in optimizer._slots}
    entries = saved["state"].keys()
    if names - entries and not problems:
        problems.append(f"there is no state of the parameters {sorted(names - entries)}")
    if entries - names and not problems:
        problems.append(f"there is state of unknown parameters: {sorted(entries - names)}")
    return problems


def _read_arrays(optimizer: Any, saved: dict[str, Any]) -> tuple[list[dict[str, Array]], list[str]]:
    """Return the saved state arrays of each parameter, and what is wrong with them."""
    problems: list[str] = []
    found: list[dict[str, Array]] = []
    if optimizer.states is None:
        return found, problems  # what a class of the user's keeps is taken as it is
    for slot in optimizer._slots:
        entry = saved["state"][slot.name]
        arrays = {}
        expected = optimizer.kept(saved["param_groups"][slot.group])
        if "step" not in entry:
            problems.append(f"{slot.name}: there is no step count")
        elif entry["step"] > 0:
            missing = [name for name in expected if name not in entry]
            problems += [f"{slot.name}: there is no {name}" for name in missing]
        for name, value in entry.items():
            if name == "step":
                continue
            data = value.array if isinstance(value, Tensor) else value
            array = data.read() if type(data) is device.DeviceArray else np.asarray(data)
            known = shape_of(slot)
            shape = array.shape if known is None else optimizer.state_shape(name, known)
            dtype = np.float64 if name in optimizer.scalars else slot.param.array.dtype
            if name not in optimizer.states and name not in optimizer.scalars:
                problems.append(f"{slot.name}: it has a {name}, which this optimizer does not keep")
            elif array.shape != shape:
                problems.append(f"{slot.name}: {name} has shape {array.shape}, expected {shape}")
            else:
                home = device.device_of(slot.param.array)
                arrays[name] = device.moved(np.array(array, dtype, order="C"), home)
        found.append(arrays)
    return found, problems


def shape_of(slot: Any) -> tuple[int, ...] | None:
    """Return the shape of a parameter, of a lazy module's too once it has one; None before that."""
    if slot.shape is None and not isinstance(slot.param, Uninitialized):
        return tuple(slot.param.array.shape)
    found: tuple[int, ...] | None = slot.shape
    return found
