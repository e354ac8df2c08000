"""What an optimizer holds for each parameter, its launches over them, and its saved state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import backend
from minigrad.overwrite import Spans
from minigrad.tensors import Tensor
from minigrad_kernels.address_table import G, address

if TYPE_CHECKING:
    from minigrad.optim.optimizer import Optimizer

Array = np.ndarray[Any, Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def contiguous(array: Array) -> Array:
    """Return an array itself where it is C-contiguous, else a copy that is.

    >>> contiguous(np.zeros((2, 3)).T).flags.c_contiguous
    True
    """
    return array if array.flags.c_contiguous else array.copy(order="C")


@dataclass(eq=False, slots=True)
class Slot:
    """One parameter of an optimizer: its name, its group's number and its state arrays."""

    name: str
    named: bool  # by the user, not by its position
    param: Tensor
    group: int
    shape: tuple[int, ...]
    arrays: dict[str, Array] = field(default_factory=dict)


def as_pair(kind: str, entry: Any) -> tuple[str | None, Tensor]:
    """Return a tensor with its name or None, after checking that it can be stepped."""
    name, p = entry if isinstance(entry, tuple) and len(entry) == 2 else (None, entry)
    if not isinstance(p, Tensor) or not (name is None or isinstance(name, str)):
        raise TypeError(
            f"{kind}: expected tensors or (name, tensor) pairs, got {type(entry).__name__}:"
            f" {entry!r:.80}"
        )
    label = "a parameter" if name is None else f"parameter {name!r}"
    if not p.is_leaf:
        raise ValueError(
            f"{kind}: {label} of shape {tuple(p.shape)} is the result of an op, not a leaf, so it"
            " never gets a .grad; pass the tensors that it was computed from"
        )
    if p.array.dtype not in FLOATS:
        raise TypeError(f"{kind}: expected {label} in float32 or float64, got {p.array.dtype}")
    return name, p


# ---------------------------------------------------------------- launches
def fitting_gradient(slot: Slot, gradient: Tensor) -> Array:
    """Return a parameter's gradient as a C-contiguous array, or say why it cannot be used."""
    data = slot.param.array
    grad = gradient.array
    if grad.shape != data.shape:
        raise ValueError(
            f"the gradient of parameter {slot.name!r} has shape {grad.shape}, the parameter"
            f" {data.shape}; assign a .grad of the parameter's shape"
        )
    if grad.dtype != data.dtype:
        raise TypeError(
            f"the gradient of parameter {slot.name!r} is {grad.dtype}, the parameter {data.dtype};"
            " assign a .grad of the parameter's dtype"
        )
    return contiguous(grad)


class Stepped(Spans):
    """The memory of all parameters of a step, which a gradient may be a part of.

    owners: ids of the arrays that own it, one of which such a gradient is, or is a view of.
    """

    def __init__(self, arrays: list[Array]) -> None:
        super().__init__(arrays)
        self.owners = {id(a) for a in arrays} | {id(a.base) for a in arrays}


class Launch:
    """Parameters of one dtype that one kernel steps, with the table that says where they are."""

    def __init__(
        self,
        kernel: str,
        table: Array,
        slots: list[Slot],
        buffers: list[Array],
        stepped: Stepped,
    ) -> None:
        self.stepped = stepped
        self.kernel = kernel
        self.table = table
        self.params = [slot.param for slot in slots]
        self.like = backend.empty(0, buffers[0].dtype, buffers[0])
        self.members = [
            (slot, slot.param, slot.param.array, buffer.shape, buffer.strides)
            for slot, buffer in zip(slots, buffers, strict=True)
        ]
        # A parameter that is not C-contiguous is stepped in a copy.
        self.copied = [
            (p, buffer)
            for p, buffer in zip(self.params, buffers, strict=True)
            if buffer is not p.array
        ]
        self.held: list[Array] = []

    def gather(self) -> bool:
        """Write the gradients' addresses into the table; False where a parameter has moved."""
        addresses = []
        held = []
        dtype = self.like.dtype
        owners = self.stepped.owners
        for slot, p, data, shape, strides in self.members:
            if p.array is not data or not data.flags.writeable:
                return False
            grad = p._grad
            if grad is None:
                return False  # another thread has taken it away
            g: Any = grad.array
            if g.strides != strides or g.shape != shape or g.dtype != dtype:
                g = fitting_gradient(slot, grad)
            if (g.base is not None or id(g) in owners) and self.stepped.touch(g):
                g = g.copy()  # it is read as it was before the step
            held.append(g)  # maybe a copy, and `.grad` may be replaced: it must outlive the launch
            addresses.append(address(g) if type(g) is np.ndarray else g.address)
        self.table[:, G] = addresses
        self.held = held
        return True

    def run(self, hyper: Array, steps: Array) -> None:
        """Step the parameters, and mark them as written."""
        for p, buffer in self.copied:
            buffer[...] = p.array
        backend.launch(self.kernel, self.table, hyper, self.like, steps)
        for p, buffer in self.copied:
            p.array[...] = buffer
        for p in self.params:
            p.bump()
        self.held = []


# ---------------------------------------------------------------- saved state
def save_state(optimizer: Optimizer) -> dict[str, Any]:
    """Return a copy of all that an optimizer needs to go on: see `Optimizer.state_dict`."""
    state: dict[str, Any] = {}
    for slot, step in zip(optimizer._slots, optimizer._steps, strict=True):
        tensors = {name: Tensor(array.copy()) for name, array in slot.arrays.items()}
        state[slot.name] = {"step": int(step), **tensors}
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


def load_state(optimizer: Optimizer, saved: dict[str, Any]) -> None:
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
        optimizer._steps[i] = saved["state"][slot.name]["step"]
        slot.arrays = arrays[i]
    for group, stored in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        for key, value in stored.items():
            if key != "params":
                group[key] = tuple(value) if isinstance(value, list) else value
    optimizer._step_count = int(saved["step_count"])


def _frame_problems(optimizer: Optimizer, saved: Any) -> list[str]:
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


def _group_problems(optimizer: Optimizer, saved: dict[str, Any]) -> list[str]:
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


def _read_arrays(
    optimizer: Optimizer, saved: dict[str, Any]
) -> tuple[list[dict[str, Array]], list[str]]:
    problems = []
    found = []
    for slot in optimizer._slots:
        entry = saved["state"][slot.name]
        arrays = {}
        _, expected = optimizer.rule(saved["param_groups"][slot.group])
        if "step" not in entry:
            problems.append(f"{slot.name}: there is no step count")
        elif entry["step"] > 0:
            missing = [name for name in expected if name not in entry]
            problems += [f"{slot.name}: there is no {name}" for name in missing]
        for name, value in entry.items():
            if name == "step":
                continue
            data = value.array if isinstance(value, Tensor) else value
            array = data.read() if type(data) is backend.DeviceArray else np.asarray(data)
            shape = (1,) if name in optimizer.scalars else slot.shape
            dtype = np.float64 if name in optimizer.scalars else slot.param.array.dtype
            if name not in optimizer.states:
                problems.append(f"{slot.name}: it has a {name}, which this optimizer does not keep")
            elif array.shape != shape:
                problems.append(f"{slot.name}: {name} has shape {array.shape}, expected {shape}")
            else:
                home = backend.device_of(slot.param.array)
                arrays[name] = backend.moved(np.array(array, dtype, order="C"), home)
        found.append(arrays)
    return found, problems
