"""Module: what holds parameters, buffers and other modules, and finds them again by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minigrad.engine.device import Device, DeviceArray, device_of, moved
from minigrad.engine.dtypes import float32, float64, numpy_dtype
from minigrad.engine.overwrite import Spans, check_writable, copy_of, overwrite
from minigrad.nn.parameter import Parameter
from minigrad.ops.common import converted
from minigrad.tensors.tensor import Handle, Tensor, destination, new

M = TypeVar("M", bound="Module")
Hook = Callable[..., Any]

PARAMETER, BUFFER, MODULE = "parameter", "buffer", "module"

MODULES: dict[str, type[Module]] = {}


def registered(cls: type[M]) -> type[M]:
    """Enter a module class into the registry that the battery walks."""
    if cls.__name__ in MODULES:
        raise ValueError(f"module {cls.__name__} is defined twice")
    MODULES[cls.__name__] = cls
    return cls


class Module:
    """Base of all models: assign parameters and modules in `__init__`, compute in `forward`.

    >>> import minigrad as mg
    >>> from minigrad.nn import Parameter
    >>> class Double(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = Parameter(mg.tensor([2.0]))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> model = Double()
    >>> [name for name, _ in model.named_parameters()], model(mg.ones(1)).tolist()
    (['scale'], [2.0])

    Values live in the instance's `__dict__` alone, where plain attribute access finds them;
    `_kinds` says which of its names are parameters, buffers and modules, in the order of
    registration.
    """

    training: bool
    _kinds: dict[str, str]
    _transient: set[str]  # buffers that are not part of the state
    _hooks: dict[int, tuple[str, Hook]] | None = None

    def __init__(self) -> None:
        self.__dict__.update(_kinds={}, _transient=set(), training=True)

    # ------------------------------------------------------------ registration
    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self.__dict__.get("_kinds")
        kind = None
        if isinstance(value, Parameter):
            kind = PARAMETER
        elif isinstance(value, Module):
            kind = MODULE
        if kinds is None:
            if kind is not None:
                raise AttributeError(self._too_early(f"assign {kind} {name!r}"))
        elif kind is not None:
            self._register(name, kind)
        elif name in kinds:
            self._check_kind(name, kinds[name], value)
        object.__setattr__(self, name, value)

    def _too_early(self, what: str) -> str:
        return (
            f"{type(self).__name__}: cannot {what} before Module.__init__() ran;"
            " call super().__init__() first"
        )

    def _check_kind(self, name: str, kind: str, value: Any) -> None:
        if value is not None and not (kind == BUFFER and isinstance(value, Tensor)):
            wanted = {PARAMETER: "Parameter", BUFFER: "Tensor", MODULE: "Module"}[kind]
            raise TypeError(
                f"{type(self).__name__}.{name} is a {kind}: expected a {wanted} or None,"
                f" got {type(value).__name__}; del it first to assign something else"
            )

    def _register(self, name: str, kind: str) -> None:
        if self._kinds.get(name) != kind:
            self._kinds.pop(name, None)  # a new kind goes to the end
            self._transient.discard(name)
            self._kinds[name] = kind

    # ------------------------------------------------------------ finding
    def _own(self, kind: str) -> Iterator[tuple[str, Any]]:
        """Yield the names and values of one kind that this module itself holds."""
        own = self.__dict__
        for name, k in tuple(self._kinds.items()):
            if k == kind and own[name] is not None:
                yield name, own[name]

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it with dotted names, each once or at every place."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        if remove_duplicate:
            memo.add(id(self))
        yield prefix, self
        for name, child in self._own(MODULE):
            path = f"{prefix}.{name}" if prefix else name
            yield from child.named_modules(memo, path, remove_duplicate)

    def _named(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        modules: Iterable[tuple[str, Module]] = [(prefix, self)]
        if recurse:
            modules = self.named_modules(None, prefix, remove_duplicate)
        seen: set[int] = set()
        for path, module in modules:
            for name, value in module._own(kind):
                if remove_duplicate and id(value) in seen:
                    continue
                seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter); one that is shared appears once, under its first name."""
        return self._named(PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    # ------------------------------------------------------------ computing
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every module has its own."""
        raise NotImplementedError(
            f"Module {type(self).__name__} has no forward(); define what it computes"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    # ------------------------------------------------------------ the parameters end here
    # ------------------------------------------------------------ by name
    def _check_new(self, name: str, kind: str) -> None:
        if "_kinds" not in self.__dict__:
            raise AttributeError(self._too_early(f"register {kind} {name!r}"))
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"{kind} name {name!r}: expected a non-empty string without a dot")
        if hasattr(self, name) and self._kinds.get(name) != kind:
            raise KeyError(f"{type(self).__name__} already has an attribute {name!r}")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None keeps the name free for one."""
        self._check_new(name, PARAMETER)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"register_parameter: expected a Parameter or None, got {type(param).__name__}"
            )
        self._register(name, PARAMETER)
        self.__dict__[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the state but is not learned, such as running statistics.

        persistent: whether it is part of `state_dict()`.
        """
        self._check_new(name, BUFFER)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"register_buffer: expected a Tensor or None, got {type(tensor).__name__}"
            )
        self._register(name, BUFFER)
        if persistent:
            self._transient.discard(name)
        else:
            self._transient.add(name)
        self.__dict__[name] = tensor

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under `name`."""
        self._check_new(name, MODULE)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"add_module: expected a Module or None, got {type(module).__name__}")
        self._register(name, MODULE)
        self.__dict__[name] = module

    register_module = add_module

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._kinds.pop(name, None)
        self._transient.discard(name)

    def __copy__(self: M) -> M:
        """Return a module that shares the members; what is registered with either later is its
        own.
        """
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        for name in ("_kinds", "_transient", "_hooks"):
            if self.__dict__.get(name) is not None:
                made.__dict__[name] = self.__dict__[name].copy()
        return made

    # ------------------------------------------------------------ finding more
    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules assigned to this one, each once."""
        seen: set[int] = set()
        for name, child in self._own(MODULE):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """Yield the modules assigned to this one, each once."""
        return (child for _, child in self.named_children())

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, buffer)."""
        return self._named(BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """Return the module at a dotted name; "" is this one."""
        module = self
        for name in target.split(".") if target else ():
            if module._kinds.get(name) != MODULE:
                have = [n for n, _ in module.named_children()]
                raise AttributeError(
                    f"{type(module).__name__} has no module {name!r} (of {target!r}); it has {have}"
                )
            module = module.__dict__[name]
        return module

    # ------------------------------------------------------------ hooks
    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hooks = tuple((self._hooks or {}).values())
        for when, hook in hooks:
            if when == "before":
                replaced = hook(self, args)
                if replaced is not None:
                    args = replaced if isinstance(replaced, tuple) else (replaced,)
        output = self.forward(*args, **kwargs)
        for when, hook in hooks:
            if when == "after":
                replaced = hook(self, args, output)
                output = output if replaced is None else replaced
        return output

    def register_forward_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments."""
        return self._add_hook("before", hook)

    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the
        output.
        """
        return self._add_hook("after", hook)

    def _add_hook(self, when: str, hook: Hook) -> Handle:
        hooks = self.__dict__.get("_hooks") or {}
        key = max(hooks, default=-1) + 1
        hooks[key] = (when, hook)
        self.__dict__["_hooks"] = hooks

        def remove() -> None:
            hooks.pop(key, None)
            if not hooks and self.__dict__.get("_hooks") is hooks:
                del self.__dict__["_hooks"]

        return Handle(remove)

    # ------------------------------------------------------------ state
    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Return {dotted name: tensor} of parameters and persistent buffers, sharing their memory.

        Copy the values (`{k: v.clone() ...}`) to keep them as they are now.
        """
        return {
            name: value if keep_vars else value.detach()
            for name, value in gathered(self, prefix).items()
        }

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> Loaded:
        """Copy values into the parameters and buffers by name.

        strict: names must agree both ways.  Values may be tensors or arrays.  Nothing is written
            unless all fits.

        Returns: the names that were missing and unexpected (both empty when strict).
        Raises: RuntimeError listing every missing, unexpected and misshapen name.
        """
        return load(self, state_dict, strict)

    # ------------------------------------------------------------ modes
    def train(self: M, mode: bool = True) -> M:
        """Switch this module and all below it to training (dropout, batch statistics), or away from
        it; each child by its own `train`, which may do otherwise, say keep a frozen part in eval.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: M) -> M:
        """Switch to evaluation; recording goes on: use `no_grad()` to stop it."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freeze or unfreeze all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the parameters' gradients, or fill them with zeros."""
        for p in self.parameters():
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad = p.grad.detach()
                p.grad.zero_()

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call `fn` on every module below, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ------------------------------------------------------------ dtypes
    def to(self: M, *args: Any, dtype: Any = None, device: Any = None) -> M:
        """Convert floating parameters and buffers in place, or move all to a device ("cpu", "cuda",
        "cuda-sim"); takes a dtype, a device or a tensor whose dtype and device are taken.
        """
        dtype, device = destination(args, dtype, device)
        if device is not None:
            self._move(Device(device))
        return self if dtype is None else self._convert(dtype)

    def _move(self, device: Device) -> None:
        """Move parameters, their gradients and buffers."""
        for t in (*self.parameters(), *self.buffers()):
            data = moved(t.array, device)
            if data is not t.array:
                t.array = data
                t.bump_version("by Module.to()")
                if t.grad is not None:
                    t.grad = new(moved(t.grad.array, device))

    def cuda(self: M, device: int | None = None) -> M:
        """Move parameters and buffers to an NVIDIA GPU; device: its number."""
        return self.to(Device("cuda", device))

    def cpu(self: M) -> M:
        """Move parameters and buffers to the CPU."""
        return self.to(Device("cpu"))

    def _convert(self: M, dtype: Any) -> M:
        wanted = numpy_dtype(dtype)
        if wanted.kind != "f":
            raise TypeError(f"{type(self).__name__}.to: expected a floating dtype, got {wanted}")
        for t in (*self.parameters(), *self.buffers()):
            if t.array.dtype.kind == "f" and t.array.dtype != wanted:
                t.array = converted(t.array, wanted)
                t.bump_version("by Module.to()")
                if t.grad is not None:
                    t.grad = new(converted(t.grad.array, wanted))
        return self

    def double(self: M) -> M:
        """Convert floating parameters and buffers to float64 in place."""
        return self._convert(float64)

    def float(self: M) -> M:
        """Convert floating parameters and buffers to float32 in place."""
        return self._convert(float32)

    # ------------------------------------------------------------ printing
    def extra_repr(self) -> str:
        """Return what stands between the brackets of the repr."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        inner = [f"({name}): {indented(repr(child))}" for name, child in self._own(MODULE)]
        if len(lines) <= 1 and not inner:
            return f"{self._get_name()}({extra})"
        return "\n  ".join([f"{self._get_name()}(", *lines, *inner]) + "\n)"


def indented(text: str) -> str:
    """Shift all lines but the first by two columns."""
    return text.replace("\n", "\n  ")


# ---------------------------------------------------------------- state
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
    for name, p in module._own(PARAMETER):
        found[prefix + name] = p
    for name, b in module._own(BUFFER):
        if name not in module._transient:
            found[prefix + name] = b
    for name, child in module._own(MODULE):
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
        target.bump_version("by load_state_dict()")
    return Loaded(missing, unexpected)
