"""What a function reaches beside its arguments: modules, their parameters and buffers, and leaves
that only its graph shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import CodeType, ModuleType
from typing import Any

from minigrad.engine.op import LEAF
from minigrad.engine.routes import parents
from minigrad.tensors.tensor import Tensor

DEPTH = 5  # how far from a function its modules are looked for
MANY = 1000  # items of a container that are looked at


def distinct(found: Iterable[Any]) -> list[Any]:
    """Return objects without repetitions, in their order."""
    return list({id(x): x for x in found}.values())


def is_module(x: Any) -> bool:
    """Say whether `x` has parameters and buffers, as a Module has."""
    return hasattr(type(x), "named_buffers") and hasattr(type(x), "named_parameters")


def modules_of(fn: Any) -> list[Any]:
    """Return the modules that a function is, closes over, names, is a method of, or that are held
    by what it reaches so.
    """
    found, seen, level = [], {id(fn)}, [fn]
    for _ in range(DEPTH):
        following = []
        for x in level:
            if is_module(x):
                found.append(x)
                continue
            for y in near(x):
                if id(y) not in seen:
                    seen.add(id(y))
                    following.append(y)
        level = following
    return found + [x for x in level if is_module(x)]


def near(x: Any) -> Iterator[Any]:
    """Yield what an object holds: a function's closure and globals, a container's items."""
    if isinstance(x, (list, tuple, set)):
        yield from list(x)[:MANY]
    elif isinstance(x, dict):
        yield from list(x.values())[:MANY]
    elif isinstance(x, type):
        if not x.__module__.startswith(("minigrad", "numpy", "builtins")):
            yield from list(vars(x).values())[:MANY]
    elif isinstance(x, (Tensor, ModuleType, str, bytes, int, float)):
        return
    else:
        yield from held_by(x)


def held_by(x: Any) -> Iterator[Any]:
    """Yield what a callable, or an object with attributes, holds."""
    for cell in getattr(x, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not bound yet
            continue
    for name in ("__self__", "func", "args", "keywords", "__wrapped__", "__defaults__", "__func__"):
        yield getattr(x, name, None)
    scope = getattr(x, "__globals__", None)
    if scope is not None:
        yield from (scope[name] for name in names_in(getattr(x, "__code__", None)) if name in scope)
    elif type(x).__module__ not in ("builtins", "numpy"):
        yield from list(getattr(x, "__dict__", {}).values())[:MANY]


def names_in(code: CodeType | None) -> Iterator[str]:
    """Yield the names that code and the code within it refer to."""
    if code is None:
        return
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def parameters_of(fn: Any) -> list[tuple[str, Tensor]]:
    """Return the parameters that require grad of the module that a function is, or is a method of,
    with their names.
    """
    owner = fn if is_module(fn) else getattr(fn, "__self__", None)
    if not is_module(owner):
        return []
    named: Any = owner
    return [(f"parameter {n}", p) for n, p in named.named_parameters() if p.requires_grad]


def leaves_of(fn: Callable[..., Any], outputs: Iterable[Any]) -> list[tuple[str, Tensor]]:
    """Return the leaves that outputs are functions of, with the names that `fn` has for them."""
    stack = [t.node or t for t in outputs if isinstance(t, Tensor) and t.requires_grad]
    seen: set[int] = set()
    found: list[Any] = []
    while stack:
        edge = stack.pop()
        if id(edge) not in seen:
            seen.add(id(edge))
            if edge.kind == LEAF:
                found.append(edge)
            stack.extend(parents(edge))
    known = names_of(fn)
    named = [known.get(id(t), f"leaf of shape {tuple(t.shape)}") for t in found]
    order = {name: k for k, name in enumerate(known.values())}
    return sorted(zip(named, found, strict=True), key=lambda pair: order.get(pair[0], len(order)))


def names_of(fn: Any) -> dict[int, str]:
    """Return how a function calls the tensors that it reaches, by their id."""
    found: dict[int, str] = {}
    for module in modules_of(fn):
        for name, p in module.named_parameters():
            found.setdefault(id(p), f"parameter {name}")
    code = getattr(fn, "__code__", None)
    cells = getattr(fn, "__closure__", None) or ()
    scope = getattr(fn, "__globals__", {})
    pairs = [(n, scope.get(n)) for n in names_in(code)]
    for name, cell in zip(getattr(code, "co_freevars", ()), cells, strict=False):
        try:
            pairs.append((name, cell.cell_contents))
        except ValueError:
            continue
    for name, x in pairs:
        items = x if isinstance(x, (list, tuple)) else ()
        entries = x.items() if isinstance(x, dict) else ()
        found.setdefault(id(x), name)
        found.update({id(y): f"{name}[{k}]" for k, y in enumerate(items)})
        found.update({id(y): f"{name}[{k!r}]" for k, y in entries})
    return found
