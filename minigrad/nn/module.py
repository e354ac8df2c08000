"""Module: what holds parameters, buffers and other modules, and finds them again by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from minigrad.engine.device import Device, moved
from minigrad.engine.dtypes import float32, float64, numpy_dtype
from minigrad.nn.hooks import Hook, Registered, add_hook, call_with_hooks
from minigrad.nn.parameter import Parameter
from minigrad.nn.state import BUFFER, MODULE, PARAMETER, Loaded, Members, absent, gather, load
from minigrad.ops.common import converted
from minigrad.tensors.tensor import Handle, Tensor, destination, new

M = TypeVar("M", bound="Module")

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
    _hooks: dict[int, Registered] | None = None

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
        return call_with_hooks(self, args, kwargs)

    # ------------------------------------------------------------ the parameters end here
    _state_hooks: dict[int, Registered] | None = None

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
        for name in ("_kinds", "_transient", "_hooks", "_state_hooks"):
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

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter at a dotted name."""
        found: Parameter = self._member(target, PARAMETER)
        return found

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer at a dotted name."""
        found: Tensor = self._member(target, BUFFER)
        return found

    def _member(self, target: str, kind: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if owner._kinds.get(name) != kind:
            have = [n for n, _ in owner._own(kind)]
            raise AttributeError(
                f"{type(owner).__name__} has no {kind} {name!r} (of {target!r}); it has {have}"
            )
        return owner.__dict__[name]

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a dotted name; strict: only in place of one that is there."""
        if not target:
            raise ValueError("set_submodule: expected a dotted name, got an empty one")
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if strict:
            owner.get_submodule(name)
        owner.add_module(name, module)

    @property
    def _parameters(self) -> Members:
        """The module's own parameters by name, as PyTorch's modules keep them."""
        return Members(self, PARAMETER)

    @property
    def _buffers(self) -> Members:
        """The module's own buffers by name."""
        return Members(self, BUFFER)

    @property
    def _modules(self) -> Members:
        """The module's own children by name."""
        return Members(self, MODULE)

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
    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments.

        with_kwargs: call `hook(module, args, kwargs)`, which returns None or both.
        """
        return add_hook(self, "_hooks", Registered("before", hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> Handle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the
        output.

        with_kwargs: call `hook(module, args, kwargs, output)`.  always_call: after an error too,
            with None.
        """
        entry = Registered("after", hook, with_kwargs, always_call)
        return add_hook(self, "_hooks", entry, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> Handle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are there.

        Both are tuples, None for what has no gradient; a tuple that it returns replaces grad_input.
        """
        return add_hook(self, "_hooks", Registered("backward", hook), prepend)

    # PyTorch's older name, whose hooks see the gradients of the last op alone there.
    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> Handle:
        """Call `hook(module, grad_output)` before the module's backward; what it returns replaces
        the gradients.
        """
        return add_hook(self, "_hooks", Registered("backward_before", hook), prepend)

    def register_state_dict_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` gathers."""
        return add_hook(self, "_state_hooks", Registered("gather", hook))

    def register_state_dict_post_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict` gathered; it
        may edit the dict.
        """
        return add_hook(self, "_state_hooks", Registered("gathered", hook))

    def register_load_state_dict_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before a state is loaded; it may edit the dict, a copy.
        """
        return add_hook(self, "_state_hooks", Registered("load", hook))

    def register_load_state_dict_post_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, incompatible_keys)` after a state was loaded; it may edit the lists,
        and with strict what is left in them is an error.
        """
        return add_hook(self, "_state_hooks", Registered("loaded", hook))

    # ------------------------------------------------------------ state
    def state_dict(
        self,
        *,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """Return {dotted name: tensor} of parameters and persistent buffers, sharing their memory.

        Copy the values (`{k: v.clone() ...}`) to keep them as they are now.
        destination: a dict to enter them into.
        """
        found: dict[str, Any] = {} if destination is None else destination
        gather(self, prefix, keep_vars, found)
        return found

    @absent
    def get_extra_state(self) -> Any:
        """Return what else belongs to the state; a module that has some overrides this and
        `set_extra_state`.
        """
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state()")

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` gave."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define set_extra_state()")

    def load_state_dict(
        self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False
    ) -> Loaded:
        """Copy values into the parameters and buffers by name.

        strict: names must agree both ways.  Values may be tensors or arrays.  Nothing is written
            unless all fits.  assign: put the tensors themselves in place of the module's own.

        Returns: the names that were missing and unexpected (both empty when strict).
        Raises: RuntimeError listing every missing, unexpected and misshapen name.
        """
        return load(self, state_dict, strict, assign)

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

    def half(self: M) -> M:
        """Refuse: there is no float16."""
        raise NotImplementedError(
            f"{type(self).__name__}.half: there are float32 and float64 only; leave it out"
        )

    bfloat16 = half

    def type(self: M, dst_type: Any) -> M:
        """Convert floating parameters and buffers to a dtype in place."""
        return self._convert(dst_type)

    def to_empty(self: M, *, device: Any, recurse: bool = True) -> M:
        """Move parameters and buffers to a device; their values come along."""
        return self.to(device=device)

    def share_memory(self: M) -> M:
        """Return the module: its memory belongs to one process."""
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the kernels are compiled already, and nothing is fused across modules."""

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
