"""Parameters that are a module's output: w = parametrization(original)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from minigrad.engine.grad_mode import no_grad
from minigrad.engine.overwrite import overwrite
from minigrad.nn.layers.container import ModuleDict, ModuleList
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensors.tensor import Tensor

M = TypeVar("M", bound=Module)
_cache: dict[tuple[int, str], Any] = {}
_depth = 0


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrised tensor once within the block; leaving it forgets them.

    >>> with cached():
    ...     pass
    """
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, in their order, and its `original` values."""

    def __init__(self, modules: list[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        values = inverse(modules, original)
        self.is_tensor = isinstance(values, Tensor)
        parts = [values] if self.is_tensor else list(values)
        self.ntensors = len(parts)
        for i, part in enumerate(parts):
            name = "original" if self.is_tensor else f"original{i}"
            if isinstance(original, Parameter):
                kept = original if part is original else Parameter(part.detach())
                kept.requires_grad_(original.requires_grad)
                self.register_parameter(name, kept)
            else:
                self.register_buffer(name, part)

    def originals(self) -> list[Tensor]:
        """Return the tensors that the first parametrization takes."""
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    original: Tensor

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrised tensor becomes `value`, where that can be."""
        with no_grad():
            found = inverse(list(self), value)
            parts = [found] if self.is_tensor else list(found)
            for kept, part in zip(self.originals(), parts, strict=True):
                overwrite(kept.array, part.array)
                kept.bump_version("by parametrize")

    def forward(self) -> Any:
        first, *rest = self
        value = first(*self.originals())
        for module in rest:
            value = module(value)
        return value


def inverse(modules: list[Module], value: Any) -> Any:
    """Return what the parametrizations make `value` of; itself where they cannot be undone."""
    with no_grad():
        for module in reversed(modules):
            undo = getattr(module, "right_inverse", None)
            if undo is not None:
                value = undo(value)
    return value


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Return whether a module has parametrised tensors, or that one.

    >>> from minigrad import nn
    >>> is_parametrized(nn.Linear(2, 2))
    False
    """
    held = module.__dict__.get("parametrizations")
    if not isinstance(held, ModuleDict):
        return False
    return bool(len(held)) if tensor_name is None else tensor_name in held


def lists_of(module: Any) -> Any:
    """Return the parametrizations of a module by the names of its tensors."""
    return module.parametrizations


def type_before_parametrizations(module: Module) -> type[Module]:
    """Return a module's class as it was before it had parametrised tensors."""
    kind = type(module)
    return kind.__bases__[0] if is_parametrized(module) else kind


def computed(name: str) -> property:
    """Return the property that computes a parametrised tensor, and sets it by the inverse."""

    def get(self: Any) -> Any:
        if not _depth:
            return self.parametrizations[name]()
        key = id(self), name
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    return property(get, lambda self, value: self.parametrizations[name].right_inverse(value))


def set_parametrized(self: Any, name: str, value: Any) -> None:
    """`Module.__setattr__` of a module with parametrised tensors."""
    if name in self.parametrizations:
        self.parametrizations[name].right_inverse(value)
    else:
        super(type(self), self).__setattr__(name, value)


def register_parametrization(
    module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> M:
    """Let a parameter or buffer be computed by a module from then on.

    Its values stay in `module.parametrizations[tensor_name].original`, or in `original0`, ... where
    the parametrization's `right_inverse` gives several.  Further ones are applied in order.
    unsafe: do not check that shape and dtype stay as they are.
    Raises: ValueError where there is no such tensor, or another shape or dtype comes out.

    >>> from minigrad import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x + x.T
    >>> layer = register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all()), list(layer.state_dict())
    (True, ['bias', 'parametrizations.weight.original'])
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        held = lists_of(module)[tensor_name]
        before = getattr(module, tensor_name)
        check_result(tensor_name, before, parametrization(before), unsafe)
        if hasattr(parametrization, "right_inverse"):
            held.right_inverse(parametrization.right_inverse(before))
        held.append(parametrization)
        return module
    kinds = module._kinds
    if kinds.get(tensor_name) not in ("parameter", "buffer"):
        raise ValueError(
            f"register_parametrization: {type(module).__name__} has no parameter or buffer"
            f" {tensor_name!r}"
        )
    original = module.__dict__[tensor_name]
    made = ParametrizationList([parametrization], original, unsafe)
    with no_grad():
        check_result(tensor_name, original, made(), unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        kind = type(module)
        extra = {"__module__": kind.__module__, "__setattr__": set_parametrized}
        module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), extra)
        module.add_module("parametrizations", ModuleDict())
    setattr(type(module), tensor_name, computed(tensor_name))
    lists_of(module).add_module(tensor_name, made)
    return module


def check_result(name: str, was: Tensor, now: Any, unsafe: bool) -> None:
    """Refuse a parametrised tensor of another shape or dtype."""
    if unsafe:
        return
    if not isinstance(now, Tensor) or now.shape != was.shape or now.dtype != was.dtype:
        got = (
            f"{now.shape} of {now.dtype}" if isinstance(now, Tensor) else f"a {type(now).__name__}"
        )
        raise ValueError(
            f"register_parametrization: {name!r} has shape {was.shape} of {was.dtype}, the"
            f" parametrization gives {got}; pass unsafe=True where that is meant"
        )


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make a parametrised tensor an ordinary one again.

    leave_parametrized: as it is computed now; else its original values.
    Raises: ValueError where it is not parametrised.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"remove_parametrizations: {type(module).__name__}.{tensor_name} is not parametrised"
        )
    lists = lists_of(module)
    held = lists[tensor_name]
    first = held.originals()[0]
    if not leave_parametrized and not held.is_tensor:
        raise ValueError(
            "remove_parametrizations: leave_parametrized=False needs one original tensor, there"
            f" are {held.ntensors}"
        )
    with no_grad():
        value = held().detach() if leave_parametrized else first
    delattr(type(module), tensor_name)
    del lists[tensor_name]
    if not len(lists):
        module.__class__ = type(module).__bases__[0]
        delattr(module, "parametrizations")
    if isinstance(first, Parameter):
        kept = value if isinstance(value, Parameter) else Parameter(value, first.requires_grad)
        module.register_parameter(tensor_name, kept)
    else:
        module.register_buffer(tensor_name, value)
    return module
