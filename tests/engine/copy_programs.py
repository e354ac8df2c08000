"""What is copied, and what is seen of a copy, for minigrad and PyTorch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

COPIERS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "pickle 2": lambda x: pickle.loads(pickle.dumps(x, protocol=2)),
    "copy": lambda x: [copy.copy(t) for t in x],
}


def leaf(lib: Any, **attributes: Any) -> Any:
    t = lib.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], dtype=lib.float64, requires_grad=True)
    for name, value in attributes.items():
        setattr(t, name, value)
    return t


def with_gradient(lib: Any) -> list[Any]:
    t, p = leaf(lib), lib.Parameter(leaf(lib).detach())
    ((t * 3) * p).sum().backward()
    return [t, p]


def hooked(lib: Any) -> list[Any]:
    t = leaf(lib)
    t.register_hook(lambda g: g * 10)
    return [t]


def views(lib: Any, dtype: Any) -> list[Any]:
    t = lib.arange(6).to(dtype)
    return [t, t[1:], t.reshape(2, 3), t.reshape(2, 3).T, t[::2], t[4], t]


def views_alone(lib: Any) -> list[Any]:
    t = lib.arange(6.0)
    return [t[2:4], t.reshape(2, 3)[:, 1:], t[3:]]


def expanded(lib: Any) -> list[Any]:
    t = lib.arange(3.0)
    return [t.expand(2, 3), t]


def detached(lib: Any) -> list[Any]:
    t = leaf(lib)
    return [t, t.detach(), t.detach()[2:]]


SUBJECTS: dict[str, Callable[[Any], list[Any]]] = {
    "leaf": lambda lib: [leaf(lib)],
    "no gradient": lambda lib: [leaf(lib).detach()],
    "attributes": lambda lib: [leaf(lib, tag=1, note=["a", {"b": 2}])],
    "tensor attribute": lambda lib: [leaf(lib, other=lib.ones(2))],
    "twice": lambda lib: [leaf(lib)] * 2,
    "parameter": lambda lib: [lib.Parameter(lib.ones(2)), lib.Parameter(lib.ones(2), False)],
    "gradient": with_gradient,
    "hooked": hooked,
    "views": lambda lib: views(lib, lib.float32),
    "views of integers": lambda lib: views(lib, lib.int32),
    "views alone": views_alone,
    "expanded": expanded,
    "detached": detached,
    "empty": lambda lib: [lib.ones(0, 3), lib.ones(2, 0)[1:]],
    "number": lambda lib: [lib.tensor(3.0), lib.tensor(True)],
    "transposed": lambda lib: [lib.arange(6.0).reshape(2, 3).T],
}


def seen(lib: Any, subject: str, copier: str) -> Any:
    """Return what can be told of a copy: of its tensors one by one, and who shares with whom."""
    made = COPIERS[copier](SUBJECTS[subject](lib))
    facts = [
        {
            "kind": type(t).__name__,
            "values": t.tolist(),
            "dtype": str(t.dtype).rpartition(".")[2],
            "grad": None if t.grad is None else t.grad.tolist(),
            "flags": [t.requires_grad, t.is_leaf],
            "attributes": attributes(t),
        }
        for t in made
    ]
    same = [[a is b for b in made] for a in made]
    shared = []
    with lib.no_grad():
        for t in made:
            if subject != "expanded" and t.numel():
                t.fill_(7 if len(shared) % 2 else 9)
                shared.append([other.tolist() for other in made])
    hooks = None
    if subject == "hooked":
        made[0].sum().backward()
        hooks = made[0].grad.tolist()
    return {"facts": facts, "same": same, "shared": shared, "hooks": hooks}


def attributes(t: Any) -> dict[str, Any]:
    """Return the attributes that the programs set, as what can be compared."""
    found = {name: getattr(t, name) for name in ("tag", "note", "other") if hasattr(t, name)}
    if "other" in found:
        found["other"] = found["other"].tolist()
    return found
