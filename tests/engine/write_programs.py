"""Random programs of views, writes in place and results, for minigrad and PyTorch.

A program is a list of steps over a growing list of tensors; each step names what it does and to
which of them, so that both libraries run the same.
"""

from __future__ import annotations

import random
from typing import Any

VIEWS: dict[str, Any] = {
    "flat": lambda t: t.reshape(-1),
    "rows": lambda t: t.reshape(-1)[: t.numel() // 2 * 2].reshape(2, -1),
    "turned": lambda t: t.reshape(-1)[: t.numel() // 2 * 2].reshape(2, -1).T,
    "tail": lambda t: t[1:] if t.ndim and t.shape[0] > 1 else t.reshape(-1),
    "head": lambda t: t[:-1] if t.ndim and t.shape[0] > 1 else t.reshape(-1),
    "every other": lambda t: t.reshape(-1)[::2],
    "first": lambda t: t[0] if t.ndim else t.reshape(1),
    "last column": lambda t: t[..., -1:] if t.ndim else t.reshape(1),
    "deeper": lambda t: t.unsqueeze(0),
}
RESULTS: dict[str, Any] = {
    "double": lambda a, b: a * 2,
    "square": lambda a, b: a * a,
    "sum": lambda a, b: a + b.sum() * 0.5,
    "product": lambda a, b: a * b.sum(),
    "copy": lambda a, b: a.clone(),
}
WRITES: dict[str, Any] = {
    "mul_": lambda a, b: a.mul_(2),
    "add_": lambda a, b: a.add_(b.sum()),
    "mul_ by": lambda a, b: a.mul_(b.reshape(-1)[0] * 0.5),
    "sub_": lambda a, b: a.sub_(1),
    "fill_": lambda a, b: a.fill_(0.5),
    "copy_": lambda a, b: a.copy_(b.reshape(-1)[-1].clone()),
    "all": lambda a, b: a.__setitem__(..., b.reshape(-1)[0].clone()),
    "by its square": lambda a, b: a.mul_(a * a),
}
STEPS = ("view", "view", "write", "write", "result", "detach", "unrecorded write", "hook", "retain")


def program(seed: int) -> list[tuple[str, str, int, int]]:
    """Return the steps of program number `seed`: (kind, name, first tensor, second tensor)."""
    rng = random.Random(seed)
    steps = []
    names = {"view": list(VIEWS), "write": list(WRITES), "result": list(RESULTS)}
    for count in range(rng.randint(3, 9)):
        kind = rng.choice(STEPS)
        name = rng.choice(names.get(kind.rpartition(" ")[2], [""]))
        steps.append((kind, name, rng.randrange(3 + count), rng.randrange(3 + count)))
    return steps


def run(lib: Any, seed: int) -> Any:
    """Return what the program leaves behind, or "raises"."""
    x = lib.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], dtype=lib.float64, requires_grad=True)
    w = lib.tensor([[0.5, -1.0], [2.0, 4.0]], dtype=lib.float64, requires_grad=True)
    tensors = [x * 1, w * 2, lib.ones(4, dtype=lib.float64)]
    log: list[Any] = []
    hooked: set[int] = set()
    try:
        for kind, name, i, j in program(seed):
            a, b = tensors[i % len(tensors)], tensors[j % len(tensors)]
            if kind == "view":
                tensors.append(VIEWS[name](a))
            elif kind == "detach":
                tensors.append(a.detach())
            elif kind == "result":
                tensors.append(RESULTS[name](a, b))
            elif kind == "write":
                WRITES[name](a, b)
            elif kind == "unrecorded write":
                with lib.no_grad():
                    WRITES[name](a, b)
            elif a.requires_grad and kind == "retain":
                a.retain_grad()
            elif a.requires_grad and i % len(tensors) < 2 and i not in hooked:
                hooked.add(i)  # PyTorch loses the hooks of views that are written to
                log.append([])
                a.register_hook(lambda g, calls=log[-1]: calls.append(g.tolist()) or g * 0.5)
            for t in tensors:
                _ = t.requires_grad and t.grad_fn  # else PyTorch may take a view for a leaf
        loss = sum(((t * t).sum() for t in tensors), (x * x).sum() + (w * w).sum())
        first = lib.grad(loss, [x, w], create_graph=True)
        again = (first[0] * first[0]).sum() + first[1].sum()
        heard = [len(calls) for calls in log]
        second = lib.grad(again, [x, w], retain_graph=True, allow_unused=True)
        for calls, count in zip(log, heard, strict=True):
            del calls[count:]  # a gradient of zero is a gradient here, and none on PyTorch
        loss.backward()
    except (RuntimeError, TypeError, ValueError):
        return "raises"
    kept = [t.grad.tolist() if t.retains_grad and t.grad is not None else None for t in tensors]
    return {
        "values": [t.tolist() for t in tensors],
        "versions": [t._version for t in tensors if t.numel()],
        "flags": [(t.requires_grad, t.is_leaf) for t in tensors],
        "grads": [g.tolist() for g in (x.grad, w.grad, *first)],
        "again": [(x * 0 if g is None else g).tolist() for g in second],
        "kept": kept,
        "log": log,
    }
