"""Every small program about views, detach, hooks and writes in place, for minigrad and PyTorch.

A program makes a tensor `s`, a view `v` of it, and then, in an order that its name says: hooks,
`retain_grad`, writes in place through one or both, products that save one or both, and a sweep.
All numbers are powers of two or small integers, so that results agree to the last digit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

SOURCES = ("leaf", "product", "root", "plain")
VIEWS: dict[str, Callable[[Any], Any]] = {
    "none": lambda t: t,
    "slice": lambda t: t[1:3],
    "step": lambda t: t[::2],
    "reshape": lambda t: t.reshape(2, 2),
    "transposed": lambda t: t.reshape(2, 2).T,
    "chain": lambda t: t[1:].reshape(3, 1)[:2],
    "split": lambda t: t.split(2)[1],
    "unbind": lambda t: t.reshape(2, 2).unbind()[0],
}
# PyTorch refuses writes into one of several views made by one call; slices of the same places
# take the same gradients, and say what ours must give.
AS_SLICES: dict[str, Callable[[Any], Any]] = {
    "split": lambda t: t[2:4],
    "unbind": lambda t: t.reshape(2, 2)[0],
}
FEW = ("none", "slice", "transposed", "unbind")  # with which hooks and saved values are combined
MODES = ("recorded", "no_grad", "detached")
# A look at grad_fn makes PyTorch notice that a view has come onto the tape with its base.
WRITES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "none": lambda lib, s, v, w: None,
    "base": lambda lib, s, v, w: s.mul_(2),
    "view": lambda lib, s, v, w: v.mul_(2),
    "base by w": lambda lib, s, v, w: s.mul_(w),
    "view by w": lambda lib, s, v, w: v.mul_(part(w, v)),
    "base, view": lambda lib, s, v, w: (s.mul_(2), v.add_(part(w, v))),
    "view, base": lambda lib, s, v, w: (v.mul_(part(w, v)), s.add_(4)),
    "view, base, view": lambda lib, s, v, w: (v.add_(4), s.mul_(w), v.grad_fn, v.mul_(2)),
    "view element": lambda lib, s, v, w: v.__setitem__(0, 8.0),
    "base element": lambda lib, s, v, w: s.__setitem__(1, w[3]),
    "view unrecorded": lambda lib, s, v, w: unrecorded(lib, v),
    "base unrecorded": lambda lib, s, v, w: unrecorded(lib, s),
}
ASKS = ("backward", "grad", "grad recorded", "backward recorded")
HOOKS = ("none", "v before", "v after", "s before", "s after")
RETAINS = ("none", "v before", "v after", "s before", "s before twice")
SAVED = ("none", "v", "s", "v root", "s root")


@dataclass(frozen=True)
class Program:
    """One row of the table; every field is one of the words above."""

    source: str
    view: str
    mode: str
    write: str
    ask: str
    hook: str = "none"
    retain: str = "none"
    saved: str = "none"  # what a product, or a root, has saved before the write

    def __str__(self) -> str:
        return "; ".join(f"{k} {v}" for k, v in vars(self).items() if v != "none")


def part(w: Any, v: Any) -> Any:
    """Return as much of w as fits v."""
    return w[: v.numel()].reshape(*v.shape)


def unrecorded(lib: Any, t: Any) -> None:
    """Write without recording."""
    with lib.no_grad():
        t.mul_(2)


def programs() -> Iterator[Program]:
    """Yield all programs that mean something, and whose outcome PyTorch can say."""
    for source, view, mode, write, ask in itertools.product(SOURCES, VIEWS, MODES, WRITES, ASKS):
        if view == "none" and (mode == "no_grad" or "," in write):
            continue
        row = Program(source, view, mode, write, ask)
        yield row
        if view in FEW:
            yield from filter(stands, (replace(row, saved=saved) for saved in SAVED[1:]))
            both = itertools.product(HOOKS, RETAINS)
            rows = (replace(row, hook=hook, retain=retain) for hook, retain in both)
            yield from filter(stands, rows)


def stands(p: Program) -> bool:
    """Say whether a program with hooks, or with something saved, is one to be compared.

    Where PyTorch contradicts itself ours goes one way.  Of a view changed by its own old value it
    calls the hooks in the second sweep, not in the first; ours never.  `grad` of a view that was
    changed under no_grad leaves out what had been computed from it; ours does not.
    """
    if p.saved != "none":
        part_of_view = p.saved == "v root" and p.write.endswith("unrecorded") and p.ask == "grad"
        return p.source != "leaf" and not part_of_view
    if p.hook == p.retain == "none" or p.ask == "backward recorded":
        return False
    if ("v" in p.hook or "v" in p.retain) and (p.mode != "recorded" or p.view == "none"):
        return False
    if p.source == "plain" and ("before" in p.hook or "before" in p.retain):
        return False
    by_itself = p.write in ("view by w", "view, base") and p.ask == "grad recorded"
    return not (p.hook == "v before" and by_itself)


def run(lib: Any, p: Program, views: dict[str, Callable[[Any], Any]]) -> Any:
    """Return what a program leaves behind, or "raises"."""
    try:
        return outcome(lib, p, views)
    except (RuntimeError, TypeError, ValueError):
        return "raises"


def outcome(lib: Any, p: Program, views: dict[str, Callable[[Any], Any]]) -> Any:
    x = lib.tensor([1.0, 4.0, 16.0, 64.0], dtype=lib.float64, requires_grad=True)
    w = lib.tensor([4.0, 4.0, 16.0, 4.0], dtype=lib.float64, requires_grad=True)
    if p.source == "leaf":
        s = x
    elif p.source == "product":
        s = x * w
    elif p.source == "root":
        s = x.sqrt()
    else:
        s = lib.tensor([4.0, 1.0, 4.0, 1.0], dtype=lib.float64)
    with lib.no_grad() if p.mode == "no_grad" else nullcontext():
        v = views[p.view](s.detach() if p.mode == "detached" else s)
    log: dict[str, list[Any]] = {"s": [], "v": []}
    tensors = {"s": s, "v": v}

    def prepare(when: str) -> None:
        _ = v.requires_grad and v.grad_fn  # see WRITES; register_hook would even crash
        if p.hook.endswith(when):
            name = p.hook[0]
            tensors[name].register_hook(lambda g: log[name].append(g.tolist()) or g * 8)
        if when in p.retain:
            tensors[p.retain[0]].retain_grad()
            if p.retain.endswith("twice"):
                tensors[p.retain[0]].retain_grad()

    prepare("before")
    loss = (x * w).sum()
    if p.saved != "none":
        t = tensors[p.saved[0]]
        loss = loss + ((t * 4).sqrt() if p.saved.endswith("root") else t * t).sum()
    WRITES[p.write](lib, s, v, w)
    prepare("after")
    loss = loss + (v * v * 2).sum() + (s * 4).sum()
    tracked = s.requires_grad
    found: dict[str, Any] = {}
    if p.ask == "grad":
        asked = [("x, w", [x, w]), ("s", [s] if tracked else [])]
        asked.append(("v", [v] if p.mode == "recorded" and v.requires_grad else []))
        for name, wanted in asked:
            if wanted:
                got = lib.grad(loss, wanted, retain_graph=True, allow_unused=True)
                found[name] = [plain(g) for g in got]
    elif p.ask == "grad recorded":
        got = lib.grad(loss, [x, w], create_graph=True, allow_unused=True)
        found["x, w"] = [plain(g) for g in got]
        found["again"] = second(lib, got, [x, w])
    else:
        loss.backward(create_graph=p.ask == "backward recorded")
        found["x, w"] = [plain(x.grad), plain(w.grad)]
        if p.ask == "backward recorded":
            found["again"] = second(lib, [x.grad, w.grad], [x, w])
    kept = {"s": s} if p.mode == "no_grad" else tensors
    found["kept"] = [None if t.is_leaf and t is not x else plain(grad_of(t)) for t in kept.values()]
    found["flags"] = [(t.requires_grad, t.is_leaf, t.grad_fn is None) for t in kept.values()]
    found["values"] = [s.tolist(), v.tolist(), s._version, v._version]
    found["log"] = log
    return found


def grad_of(t: Any) -> Any:
    """Return `.grad` of a leaf, or of a result that was told to keep it."""
    return t.grad if t.is_leaf or t.retains_grad else None


def second(lib: Any, firsts: Any, inputs: Any) -> Any:
    """Return the gradients of the gradients' sum of squares."""
    roots = [(g * g).sum() for g in firsts if g is not None and g.requires_grad]
    if not roots:
        return None
    return [plain(g) for g in lib.grad(sum(roots), inputs, allow_unused=True)]


def plain(g: Any) -> Any:
    return None if g is None else g.tolist()
