"""The state of a module: gathered by name, and loaded only when all of it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.backend import DeviceArray, device_of, moved
from minigrad.overwrite import Spans, check_writable, copy_of, overwrite
from minigrad.tensors import Tensor

if TYPE_CHECKING:
    from minigrad.nn.module import Module


class Loaded(NamedTuple):
    """What `load_state_dict` found in one and not in the other."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"Loaded(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def gathered(module: Module, prefix: str) -> dict[str, Tensor]:
    """Return the parameters, then the persistent buffers, then the children's, under dotted
    names.
    """
    found: dict[str, Tensor] = {}
    for name, p in module._own("parameter"):
        found[prefix + name] = p
    for name, b in module._own("buffer"):
        if name not in module._transient:
            found[prefix + name] = b
    for name, child in module._own("module"):
        found.update(gathered(child, f"{prefix}{name}."))
    return found


def load(module: Module, state: dict[str, Any], strict: bool) -> Loaded:
    """Check `state` against the module whole, then copy it in."""
    if not hasattr(state, "items"):
        raise TypeError(
            f"load_state_dict: expected a dict of tensors by name, got {type(state).__name__}"
        )
    own = gathered(module, "")
    names = {id(t): f"load_state_dict: {name}" for name, t in own.items()}
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    faults = []
    if strict and unexpected:
        faults.append(f"unexpected: {', '.join(unexpected)}")
    if strict and missing:
        faults.append(f"missing: {', '.join(missing)}")
    values: list[tuple[Tensor, Any]] = []
    for name, target in own.items():
        if name not in state:
            continue
        value = state[name]
        data = value.array if isinstance(value, Tensor) else value
        if not isinstance(data, (np.ndarray, np.generic, DeviceArray)):
            faults.append(f"{name}: expected a tensor, got {type(value).__name__}")
        elif data.shape != target.array.shape:
            faults.append(f"{name}: its shape is {data.shape}, the model's {target.array.shape}")
        elif not np.can_cast(data.dtype, target.array.dtype, "same_kind"):
            faults.append(f"{name}: its dtype is {data.dtype}, the model's {target.array.dtype}")
        else:
            values.append((target, np.asarray(data) if isinstance(data, np.generic) else data))
    if faults:
        listed = "\n  ".join(faults)
        hint = (
            "\n  (strict=False ignores missing and unexpected names)"
            if strict and (missing or unexpected)
            else ""
        )
        raise RuntimeError(
            f"load_state_dict: the state does not fit {type(module).__name__}, nothing was "
            f"loaded:\n  {listed}{hint}"
        )
    for target, _ in values:
        check_writable(target.array, names[id(target)])
    own_memory = Spans(target.array for target, _ in values)
    # What is a part of the model's own memory is read before any of that is written.
    values = [(t, copy_of(d) if d is not t.array and own_memory.touch(d) else d) for t, d in values]
    for target, data in values:
        if data is not target.array:
            overwrite(target.array, moved(data, device_of(target.array)))
        target.bump("by load_state_dict()")
    return Loaded(missing, unexpected)
