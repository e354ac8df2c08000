"""Members: what a module holds, under names.  `module.py` builds Module on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from minigrad.nn.parameter import Parameter
from minigrad.tensors import Tensor

if TYPE_CHECKING:
    from minigrad.nn.module import Module

PARAMETER, BUFFER, MODULE = "parameter", "buffer", "module"


class Members:
    """Finds parameters, buffers and modules among the attributes assigned to it.

    Values live in the instance's `__dict__` alone, where plain attribute access finds them;
    `_kinds` says which of its names are parameters, buffers and modules, in the order of
    registration.
    """

    _kinds: dict[str, str]
    _transient: set[str]  # buffers that are not part of the state

    def __init__(self) -> None:
        own = self.__dict__
        own["_kinds"] = {}
        own["_transient"] = set()

    def __copy__(self: Any) -> Any:
        """Return a module that shares the members; what is registered with either later is its
        own.
        """
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        for name in ("_kinds", "_transient", "_hooks"):
            if self.__dict__.get(name) is not None:
                twin.__dict__[name] = self.__dict__[name].copy()
        return twin

    # ------------------------------------------------------------ registration
    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self.__dict__.get("_kinds")
        kind = None
        if isinstance(value, Parameter):
            kind = PARAMETER
        elif isinstance(value, Members):
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

    def _check_new(self, name: str, kind: str) -> None:
        if "_kinds" not in self.__dict__:
            raise AttributeError(self._too_early(f"register {kind} {name!r}"))
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"{kind} name {name!r}: expected a non-empty string without a dot")
        if hasattr(self, name) and self._kinds.get(name) != kind:
            raise KeyError(f"{type(self).__name__} already has an attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._kinds.pop(name, None)
        self._transient.discard(name)

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
        if module is not None and not isinstance(module, Members):
            raise TypeError(f"add_module: expected a Module or None, got {type(module).__name__}")
        self._register(name, MODULE)
        self.__dict__[name] = module

    register_module = add_module

    # ------------------------------------------------------------ finding
    def _own(self, kind: str) -> Iterator[tuple[str, Any]]:
        """Yield the names and values of one kind that this module itself holds."""
        own = self.__dict__
        for name, k in tuple(self._kinds.items()):
            if k == kind and own[name] is not None:
                yield name, own[name]

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

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it with dotted names, each once or at every place."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        if remove_duplicate:
            memo.add(id(self))
        yield prefix, cast("Module", self)
        for name, child in self._own(MODULE):
            path = f"{prefix}.{name}" if prefix else name
            yield from child.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        modules: Iterable[tuple[str, Members]] = [(prefix, self)]
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
        module = cast("Module", self)
        for name in target.split(".") if target else ():
            if module._kinds.get(name) != MODULE:
                have = [n for n, _ in module.named_children()]
                raise AttributeError(
                    f"{type(module).__name__} has no module {name!r} (of {target!r}); it has {have}"
                )
            module = module.__dict__[name]
        return module
