"""Hooks of modules: what is called before and after `forward`, and when gradients go through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minigrad.engine.grad_mode import mode
from minigrad.engine.hooks import Handle
from minigrad.engine.op import Op, share
from minigrad.tensors.tensor import Tensor

Hook = Callable[..., Any]


class Registered(NamedTuple):
    """A hook of a module: when it is called, whether with the keywords, whether after an error."""

    when: str
    hook: Hook
    with_kwargs: bool = False
    always: bool = False


def add_hook(module: Any, place: str, entry: Registered, prepend: bool = False) -> Handle:
    """Enter a hook into one of a module's dicts, made at first need; first or last of them."""
    hooks: dict[int, Registered] = module.__dict__.get(place) or {}
    key = max(hooks, default=-1) + 1
    later = list(hooks.items()) if prepend else []
    for other, _ in later:
        del hooks[other]
    hooks[key] = entry
    hooks.update(later)
    module.__dict__[place] = hooks

    def remove() -> None:
        hooks.pop(key, None)
        if not hooks and module.__dict__.get(place) is hooks:
            del module.__dict__[place]

    return Handle(remove)


def hooks_of(module: Any, place: str, when: str) -> list[Registered]:
    """Return a module's hooks of one kind, in their order."""
    entries = (getattr(module, place) or {}).values()
    return [entry for entry in entries if entry.when == when]


# ---------------------------------------------------------------- the call
def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a module's `forward` gives, as its hooks leave it."""
    for entry in hooks_of(module, "_hooks", "before"):
        args, kwargs = before(module, entry, args, kwargs)
    watch = Watch.of(module)
    if watch is not None:
        args = watch.inputs(args)
    after = hooks_of(module, "_hooks", "after")
    try:
        output = module.forward(*args, **kwargs)
    except Exception:
        for entry in after:
            if entry.always:
                run_after(module, entry, args, kwargs, None)
        raise
    for entry in after:
        replaced = run_after(module, entry, args, kwargs, output)
        output = output if replaced is None else replaced
    return output if watch is None else watch.outputs(output)


def before(
    module: Any, entry: Registered, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments as a hook leaves them."""
    if not entry.with_kwargs:
        replaced = entry.hook(module, args)
        if replaced is None:
            return args, kwargs
        return (replaced if isinstance(replaced, tuple) else (replaced,)), kwargs
    replaced = entry.hook(module, args, kwargs)
    if replaced is None:
        return args, kwargs
    if not isinstance(replaced, tuple) or len(replaced) != 2:
        raise RuntimeError(
            "forward pre-hook: expected None or (args, kwargs), got"
            f" {type(replaced).__name__}: {replaced!r:.60}"
        )
    return replaced


def run_after(
    module: Any, entry: Registered, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> Any:
    """Call a hook with the output; return what it gives."""
    if entry.with_kwargs:
        return entry.hook(module, args, kwargs, output)
    return entry.hook(module, args, output)


# ---------------------------------------------------------------- backward
class Through(Op):
    """y_i = x_i; `seen` is called with the gradients, and gives those that go on."""

    keeps = False
    several = True

    def forward(self, *arrays: Any, seen: Any) -> Any:
        return arrays

    def backward(self, *grads: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.meta["seen"](grads)
        return found


class Watch:
    """One call of a module with backward hooks: it keeps the outputs' gradients for them."""

    def __init__(self, module: Any, first: list[Registered], full: list[Registered]) -> None:
        self.module, self.first, self.full = module, first, full
        self.count = 0  # of the arguments
        self.places: list[int] = []  # of those that want a gradient
        self.given: tuple[Any, ...] = ()  # the gradients of the outputs

    @staticmethod
    def of(module: Any) -> Watch | None:
        """Return the watch over a call, None where no hook asks for gradients."""
        first = hooks_of(module, "_hooks", "backward_before")
        full = hooks_of(module, "_hooks", "backward")
        return Watch(module, first, full) if (first or full) and mode.recording else None

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments, their gradients watched."""
        self.count = len(args)
        self.places = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.tracked]
        return replaced_at(args, self.places, self.arrived)

    def outputs(self, output: Any) -> Any:
        """Return the output, its gradient watched."""
        listed = list(output) if isinstance(output, tuple | list) else [output]
        at = [i for i, y in enumerate(listed) if isinstance(y, Tensor) and y.tracked]
        self.slots, self.width = at, len(listed)
        listed = list(replaced_at(listed, at, self.began))
        if not isinstance(output, tuple | list):
            return listed[0]
        return type(output)(*listed) if hasattr(output, "_fields") else type(output)(listed)

    def began(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Run what is called before the module's own backward."""
        self.given = spread(grads, self.slots, self.width)
        for entry in self.first:
            self.given = taken(entry.hook(self.module, self.given), self.given)
        if not self.places:
            for entry in self.full:
                entry.hook(self.module, (None,) * self.count, self.given)
        return tuple(self.given[i] for i in self.slots)

    def arrived(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Run what is called after the module's own backward."""
        found = spread(grads, self.places, self.count)
        for entry in self.full:
            found = taken(entry.hook(self.module, found, self.given), found)
        return tuple(found[i] for i in self.places)


def replaced_at(values: Sequence[Any], places: list[int], seen: Any) -> tuple[Any, ...]:
    """Return values of which some tensors have gone through `Through`."""
    made = list(values)
    if places:
        chosen = [values[i] for i in places]
        for i, x, y in zip(places, chosen, Through.apply(*chosen, seen=seen), strict=True):
            share(x, y)
            made[i] = y
    return tuple(made)


def spread(grads: tuple[Any, ...], places: list[int], count: int) -> tuple[Any, ...]:
    """Return gradients at their places among others that are None."""
    made = [None] * count
    for i, g in zip(places, grads, strict=True):
        made[i] = g
    return tuple(made)


def taken(given: Any, was: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the gradients that a hook gave, or those that there were."""
    if given is None:
        return was
    made = given if isinstance(given, tuple) else (given,)
    if len(made) != len(was):
        raise RuntimeError(
            f"backward hook: expected {len(was)} gradients in place of as many, got {len(made)}"
        )
    return made
