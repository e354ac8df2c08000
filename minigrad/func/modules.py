"""Modules as functions of their parameters: `functional_call`, `stack_module_state`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from minigrad.nn.module import Module
from minigrad.nn.state import BUFFER, PARAMETER
from minigrad.ops.shape import stack
from minigrad.tensors.tensor import Tensor

State = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: State | Sequence[State],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other parameters and buffers, given by name; it is left as it was.

    parameter_and_buffer_dicts: one dict of tensors or several; names that are not given stay.
    args: a tuple of arguments, or the single one.  tie_weights: a tensor that stands under several
        names is replaced under all of them.  strict: all names must be given, and no others.

    Raises: RuntimeError for names that the module does not have, or, strict, lacks.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(2, 1, bias=False)
    >>> functional_call(layer, {"weight": mg.ones(1, 2)}, mg.tensor([[3.0, 4.0]]))
    tensor([[7.]])
    """
    given: dict[str, Any] = {}
    dicts = parameter_and_buffer_dicts
    for part in (dicts,) if isinstance(dicts, Mapping) else dicts:
        twice = given.keys() & part.keys()
        if twice:
            raise ValueError(f"functional_call: {sorted(twice)} stand in several dicts")
        given.update(part)
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with replaced(module, given, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


def holders(module: Module) -> dict[str, tuple[Module, str]]:
    """Return where each parameter and buffer stands: a module and its own name there."""
    found = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for name, kind in part._kinds.items():
            if kind in (PARAMETER, BUFFER) and part.__dict__[name] is not None:
                found[f"{prefix}.{name}" if prefix else name] = part, name
    return found


@contextmanager
def replaced(
    module: Module, given: Mapping[str, Any], tie_weights: bool, strict: bool
) -> Iterator[None]:
    """Within the context, let tensors stand in the places of a module's own."""
    places = holders(module)
    values = {name: part.__dict__[own] for name, (part, own) in places.items()}
    unknown = sorted(given.keys() - places.keys())
    tied = {id(values[name]): t for name, t in given.items() if name in values and tie_weights}
    missing = [n for n, value in values.items() if n not in given and id(value) not in tied]
    if unknown or (strict and missing):
        raise RuntimeError(
            f"functional_call: unexpected names {unknown}, missing {missing if strict else []}: "
            f"{type(module).__name__} has {sorted(places)}"
        )
    new = {name: tied[id(value)] for name, value in values.items() if id(value) in tied} | {**given}
    try:
        for name, value in new.items():
            part, own = places[name]
            part.__dict__[own] = value
        yield
    finally:
        for name in new:
            part, own = places[name]
            part.__dict__[own] = values[name]


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the parameters and the buffers of models of one kind, stacked: a model an entry of
    dimension 0.  With `functional_call` under `vmap` they run as one.

    Raises: RuntimeError for no model, for models of different classes or in different modes.

    >>> import minigrad as mg
    >>> parameters, buffers = stack_module_state([mg.nn.Linear(2, 3) for _ in range(4)])
    >>> parameters["weight"].shape, buffers
    ((4, 3, 2), {})
    """
    if not models:
        raise RuntimeError("stack_module_state: expected at least one model, got none")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: expected models of one class")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: some models are in train mode, others in eval mode")
    parameters = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return stacked(parameters, True), stacked(buffers, False)


def stacked(states: Sequence[dict[str, Any]], leaves: bool) -> dict[str, Tensor]:
    """Return the tensors of each name stacked."""
    found = {}
    for name in states[0]:
        column = [state[name] for state in states]
        made = stack([t.detach() for t in column])
        wanted = leaves and all(t.requires_grad for t in column)
        found[name] = made.requires_grad_() if wanted else made
    return found
