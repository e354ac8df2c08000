"""Transformations of functions nested at random, run alike over minigrad and over PyTorch (`T`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

COUNT = 40
Function = Callable[[Any], Any]


def functions(T: Any) -> list[Function]:
    """Functions of three numbers to three."""
    w = T.tensor([[0.2, -0.5, 0.3], [0.7, 0.1, -0.4], [0.05, 0.6, 0.9]], dtype=T.float64)
    return [
        lambda x: x.sin() * x,
        lambda x: (w @ x).tanh(),
        lambda x: x.softmax(0) * x.exp(),
        lambda x: T.where(x > 0, x * x, x * 0.5) * x.sum(),
        lambda x: T.cat([x[1:], x[:1] * x[2]]).sigmoid(),
        lambda x: (x.unsqueeze(0) * x.unsqueeze(1)).logsumexp(0),
        lambda x: T.nn.functional.linear(x, w).pow(3),
        lambda x: x.cumsum(0) / (1 + x * x),
    ]


def transformed(T: Any, name: str, f: Function) -> Function:
    """Return a function of three numbers to three, made of another by a transformation."""
    F = T.func
    w = T.tensor([0.5, -0.3, 0.8], dtype=T.float64)
    rows = T.tensor([[1.0, 0.5, -0.2], [0.3, -0.7, 1.1]], dtype=T.float64)
    ways: dict[str, Function] = {
        "grad": lambda x: F.grad(lambda x: f(x).sum())(x),
        "jvp": lambda x: F.jvp(f, (x,), (w * x,))[1],
        "vjp": lambda x: F.vjp(f, x)[1](w * x)[0],
        "vmap": lambda x: F.vmap(lambda a: f(a * x))(rows).sum(0),
        "columns": lambda x: F.vmap(f, in_dims=1, out_dims=1)((rows * x).T).sum(1),
        "jacrev": lambda x: F.jacrev(f)(x).sum(0),
        "jacfwd": lambda x: F.jacfwd(f)(x).sum(1),
        "each": lambda x: F.vmap(F.grad(lambda a: (f(a) * w).sum()))(rows * x).sum(0),
        "twice": lambda x: f(x) * x + f(x * 0.5),
        "again": lambda x: T.utils.checkpoint.checkpoint(f, x),
    }
    return ways[name] if name != "again" or T.__name__ == "minigrad" else f


NAMES = (*("grad", "jvp", "vjp", "vmap", "columns", "jacrev", "jacfwd", "each", "twice", "again"),)
FIXED = ((2, ("jvp", "jacrev", "jvp")), (2, ("columns", "jacrev", "jacrev")), (5, ("jacfwd",) * 2))


def draw(seed: int) -> tuple[int, tuple[str, ...]]:
    """Return the number of a function, and what is made of it."""
    if seed < len(FIXED):
        return FIXED[seed]
    random = Random(seed)
    function = random.randrange(8)
    names = [random.choice(NAMES) for _ in range(random.randint(2, 4))]
    mapped = [n for n in names if n in ("vmap", "columns", "jacrev", "jacfwd", "each")]
    return function, tuple(names if len(mapped) < 4 else names[:2])


def nested(seed: int, T: Any) -> Any:
    """Return what the program of a seed gives."""
    number, names = draw(seed)
    f = functions(T)[number]
    for name in names:
        f = transformed(T, name, f)
    return [f(T.tensor([0.4, -0.9, 0.6], dtype=T.float64))]


PROGRAMS: dict[str, Any] = {str(seed): partial(nested, seed) for seed in range(COUNT)}
