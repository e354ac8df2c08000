"""The state of modules: gathered under dotted names, checked, and copied in again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minigrad.engine.device import DeviceArray, device_of, moved
from minigrad.engine.overwrite import Spans, check_writable, copy_of, overwrite
from minigrad.nn.hooks import hooks_of
from minigrad.nn.parameter import Parameter, Uninitialized
from minigrad.tensors.tensor import Tensor, new

PARAMETER, BUFFER, MODULE = "parameter", "buffer", "module"
EXTRA = "_extra_state"
F = TypeVar("F", bound=Callable[..., Any])


def named_tensors(module: Any) -> dict[str, Tensor]:
    """Return a module's parameters and buffers by name, buffers that are in no state_dict too.

    >>> import minigrad as mg
    >>> list(named_tensors(mg.nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


class Loaded(NamedTuple):
    """What `load_state_dict` found in one and not in the other."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"Loaded(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Members(MutableMapping[str, Any]):
    """A module's own parameters, buffers or children by name; writing registers them."""

    def __init__(self, module: Any, kind: str) -> None:
        self._module, self._kind = module, kind

    def __getitem__(self, name: str) -> Any:
        if self._module._kinds.get(name) != self._kind:
            raise KeyError(name)
        return self._module.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._module._register(name, self._kind)
        self._module.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self._module, name)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, k in self._module._kinds.items() if k == self._kind])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return repr(dict(self))


def absent(method: F) -> F:
    """Mark a method of the base class that modules with extra state override."""
    method.__dict__["absent"] = True
    return method


def has_extra_state(module: Any) -> bool:
    """Return whether a module has state beside its tensors."""
    return not hasattr(type(module).get_extra_state, "absent")


def gather(module: Any, prefix: str, keep_vars: bool, found: dict[str, Any]) -> None:
    """Enter the parameters, then the persistent buffers, extra state, and the children's, under
    dotted names.
    """
    for entry in hooks_of(module, "_state_hooks", "gather"):
        entry.hook(module, prefix, keep_vars)
    for name, t in own_state(module):
        found[prefix + name] = t if keep_vars else t.detach()
    if has_extra_state(module):
        found[prefix + EXTRA] = module.get_extra_state()
    for name, child in module._own(MODULE):
        gather(child, f"{prefix}{name}.", keep_vars, found)
    for entry in hooks_of(module, "_state_hooks", "gathered"):
        entry.hook(module, found, prefix, {})


def own_state(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield a module's own parameters, then its persistent buffers."""
    yield from module._own(PARAMETER)
    for name, b in module._own(BUFFER):
        if name not in module._transient:
            yield name, b


def holders(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a module and all below it with their prefixes, at every place they have."""
    for path, held in module.named_modules(prefix=prefix, remove_duplicate=False):
        yield (f"{path}." if path else ""), held


def load(module: Any, given: dict[str, Any], strict: bool, assign: bool) -> Loaded:
    """Check a state against the module whole, then copy it in."""
    if not hasattr(given, "items"):
        raise TypeError(
            f"load_state_dict: expected a dict of tensors by name, got {type(given).__name__}"
        )
    state, faults, result = dict(given), list[str](), Loaded([], [])
    places = list(holders(module))
    for prefix, held in places:
        for entry in hooks_of(held, "_state_hooks", "load"):
            entry.hook(held, state, prefix, {}, strict, *result, faults)
    own = {prefix + name: (held, t) for prefix, held in places for name, t in own_state(held)}
    extra = {prefix + EXTRA: held for prefix, held in places if has_extra_state(held)}
    result.missing_keys.extend(name for name in (*own, *extra) if name not in state)
    result.unexpected_keys.extend(name for name in state if name not in own and name not in extra)
    later = [(h, e) for _, h in places for e in hooks_of(h, "_state_hooks", "loaded")]
    wrong = [] if later else unmatched(result, strict)
    values = fitting(own, state, faults)
    if faults or wrong:
        raise misfit(module, [*wrong, *faults], bool(wrong))
    write(values, own, assign)
    for name, held in extra.items():
        if name in state:
            held.set_extra_state(state[name])
    for held, entry in later:
        entry.hook(held, result)
    wrong = unmatched(result, strict)
    if wrong:
        raise misfit(module, wrong, True)
    return result


def unmatched(result: Loaded, strict: bool) -> list[str]:
    """Return what is said of the names that are in one and not in the other."""
    named = ("unexpected", result.unexpected_keys), ("missing", result.missing_keys)
    return [f"{what}: {', '.join(names)}" for what, names in named if names and strict]


def misfit(module: Any, faults: list[str], names: bool) -> RuntimeError:
    """Return the error about a state that does not fit."""
    listed = "\n  ".join(faults)
    hint = "\n  (strict=False ignores missing and unexpected names)" if names else ""
    return RuntimeError(
        f"load_state_dict: the state does not fit {type(module).__name__}, nothing was "
        f"loaded:\n  {listed}{hint}"
    )


def fitting(
    own: dict[str, tuple[Any, Tensor]], state: dict[str, Any], faults: list[str]
) -> dict[str, Any]:
    """Return the values of a state by name, and list what does not fit."""
    values: dict[str, Any] = {}
    for name, (_, target) in own.items():
        if name not in state:
            continue
        value = state[name]
        data = value.array if isinstance(value, Tensor) else value
        blank = isinstance(target, Uninitialized)
        if not isinstance(data, (np.ndarray, np.generic, DeviceArray)):
            faults.append(f"{name}: expected a tensor, got {type(value).__name__}")
        elif not blank and data.shape != target.array.shape:
            faults.append(f"{name}: its shape is {data.shape}, the model's {target.array.shape}")
        elif not np.can_cast(data.dtype, target.array.dtype, "same_kind"):
            faults.append(f"{name}: its dtype is {data.dtype}, the model's {target.array.dtype}")
        elif not (blank and isinstance(value, Uninitialized)):
            values[name] = np.asarray(data) if isinstance(data, np.generic) else data
    return values


def write(values: dict[str, Any], own: dict[str, tuple[Any, Tensor]], assign: bool) -> None:
    """Copy values into tensors, or put them in their places."""
    if assign:
        for name, data in values.items():
            held, old = own[name]
            made: Any = new(data)
            if isinstance(old, Parameter):
                made = Parameter(made, old.requires_grad)
            held.__dict__[name.rpartition(".")[2]] = made
        return
    targets = {name: own[name][1] for name in values}
    for name, t in targets.items():
        if isinstance(t, Uninitialized):
            t.materialize(values[name].shape)
    for name, t in targets.items():
        check_writable(t.array, f"load_state_dict: {name}")
    memory = Spans(t.array for t in targets.values())
    # What is a part of the model's own memory is read before any of that is written.
    parts = {
        name: copy_of(d) if d is not targets[name].array and memory.touch(d) else d
        for name, d in values.items()
    }
    for name, data in parts.items():
        t = targets[name]
        if data is not t.array:
            overwrite(t.array, moved(data, device_of(t.array)))
        t.bump_version("by load_state_dict()")
