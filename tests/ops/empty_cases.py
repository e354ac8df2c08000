"""Every function over tensors without elements and without dimensions, in PyTorch's own spelling.

`FUNCTIONS[name] = f(lib, F, x)`, for torch and torch.nn.functional or minigrad and its own; each is
run over each of SHAPES.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.ops.registered import named_as_in_pytorch

Function = Callable[[Any, Any, Any], Any]
SHAPES = ((), (0,), (0, 3), (3, 0), (1,), (2, 0, 3))
DIMS = (0, -1, 1, 2, -2)
SIZES = ((-1,), (0, -1), (0,), (0, 3), (3, 0), (1,), (), (2, -1), (0, 0, -1), (1, 1))
OTHERS = ((0,), (3, 0), (0, 2), (3,), (2, 0, 3, 0), (0, 0), (1,), (2, 3, 0))
REDUCTIONS = ("sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin", "var", "std")
GOLDEN = Path(__file__).parent.parent / "golden" / "empty.npz"
with np.load(GOLDEN) as _held:
    RECORDED = json.loads(_held["answers"].tobytes())
NINE_DIGITS = ("lgamma", "digamma")  # of PyTorch's trigamma, their second derivative
RAISED = (RuntimeError, IndexError, TypeError, ValueError)


def method(name: str, *args: Any, **options: Any) -> Function:
    return lambda lib, F, x: getattr(x, name)(*args, **options)


def layer(name: str, *args: Any, **options: Any) -> Function:
    return lambda lib, F, x: getattr(F, name)(x, *args, **options)


def joined(dim: int, first: bool) -> Function:
    """Return a cat with an empty vector before or behind."""

    def f(lib: Any, F: Any, x: Any) -> Any:
        empty = lib.zeros(0, dtype=x.dtype)
        return lib.cat([empty, x] if first else [x, empty], dim)

    return f


def named() -> Iterator[tuple[str, Function]]:
    """Yield every function with its arguments."""
    for name in (*REDUCTIONS, "any", "all"):
        yield f"{name}()", method(name)
    for dim in DIMS:
        for name in (*REDUCTIONS, "any", "all", "logsumexp"):
            for keep in (False, True):
                yield f"{name}({dim}, {keep})", method(name, dim=dim, keepdim=keep)
        for name in ("cumsum", "softmax", "log_softmax", "unbind", "squeeze", "unsqueeze", "flip"):
            yield f"{name}({dim})", method(name, dim)
        yield f"split({dim})", method("split", 1, dim)
        yield f"split([0], {dim})", method("split", [0], dim)
        yield f"chunk({dim})", method("chunk", 2, dim)
        yield f"transpose({dim})", method("transpose", 0, dim)
        yield f"flatten({dim})", method("flatten", dim)
        yield f"flatten(0, {dim})", method("flatten", 0, dim)
        yield f"stack({dim})", lambda lib, F, x, dim=dim: lib.stack([x, x], dim)
        yield f"cat, empty behind ({dim})", joined(dim, False)
        yield f"cat, empty first ({dim})", joined(dim, True)
    for p in (1.0, 2.0, 3.0, float("inf"), float("-inf")):
        yield f"norm({p})", method("norm", p)
        for dim in DIMS[:3]:
            yield f"norm({p}, {dim})", method("norm", p, dim)
    for size in SIZES:
        for name in ("reshape", "view"):
            yield f"{name}{size}", method(name, size)
        if -1 not in size:
            yield f"expand{size}", method("expand", size)
    for name in (
        *(n for n in named_as_in_pytorch("tensor", RECORDED) if n not in NINE_DIGITS),
        *("rsqrt", "neg", "reciprocal", "isnan", "isfinite", "logical_not", "t"),
        *("clone", "contiguous", "squeeze", "flatten"),
    ):
        yield name, method(name)
    activations = {name[2:] for name in RECORDED if name.startswith("F.")}
    for name in (*named_as_in_pytorch("functional", activations), "relu6"):
        yield f"F.{name}", layer(name)
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy"):
        for how in ("mean", "sum", "none"):
            yield (
                f"F.{name} {how}",
                lambda lib, F, x, name=name, how=how: getattr(F, name)(
                    x, lib.ones_like(x) * 0.5, reduction=how
                ),
            )
    for size in OTHERS:
        yield f"matmul{size}", lambda lib, F, x, s=size: x @ lib.ones(s, dtype=x.dtype)
        yield f"add{size}", lambda lib, F, x, s=size: x + lib.ones(s, dtype=x.dtype)
        yield f"mul{size}", lambda lib, F, x, s=size: x * lib.ones(s, dtype=x.dtype)
    for a, b in ((1.0, 0.0), (1, 0), (True, False), (1, 0.5)):
        yield f"where({a}, {b})", lambda lib, F, x, a=a, b=b: lib.where(x > 0, a, b)
    yield "where", lambda lib, F, x: lib.where(x > 0, x, 1.0)
    yield "masked_fill", lambda lib, F, x: x.masked_fill(x > 0, 2.0)
    yield "clamp", method("clamp", 0, 1)
    yield "power", lambda lib, F, x: x**3
    yield "mT", lambda lib, F, x: x.mT
    yield "outer", lambda lib, F, x: lib.outer(x, x)
    yield "dot", lambda lib, F, x: lib.dot(x, x)
    yield "meshgrid", lambda lib, F, x: lib.meshgrid(x, x, indexing="ij")
    for dim in ((), (0, 1), (0, 0)):
        yield f"sum({dim})", method("sum", dim)
        yield f"amax({dim})", method("amax", dim)
    yield "layer_norm", lambda lib, F, x: F.layer_norm(x, tuple(x.shape)[-1:])
    for n in (0, 3):
        yield (
            f"linear {n}",
            lambda lib, F, x, n=n: F.linear(
                x, lib.ones(2, n, dtype=x.dtype), lib.ones(2, dtype=x.dtype)
            ),
        )
    for how in ("mean", "sum", "none"):
        yield (
            f"cross_entropy {how}",
            lambda lib, F, x, how=how: F.cross_entropy(
                x, lib.zeros(tuple(x.shape)[:1], dtype=lib.int64), reduction=how
            ),
        )
    yield "pad", layer("pad", (1, 1))
    yield "one_hot", lambda lib, F, x: F.one_hot(x.long(), 4)


FUNCTIONS = dict(named())


def listed(t: Any) -> list[Any]:
    """Return the shape and the values of a tensor as what JSON keeps."""
    values = np.round(np.float64(t.detach().numpy()), 9).reshape(-1).tolist()
    return [list(t.shape), [repr(v) if v - v else v for v in values]]


def evaluate(lib: Any, functional: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Return dtypes, values, gradient and second gradient of a case; None where it raises."""
    count = int(np.prod(shape))
    x = lib.tensor(np.linspace(0.4, 0.8, count).tolist(), dtype=lib.float64).reshape(shape)
    x.requires_grad = True
    try:
        made = FUNCTIONS[name](lib, functional, x)
    except RAISED:
        return None
    several = list(made) if isinstance(made, (tuple, list)) else [made]
    found = [[[str(y.dtype).split(".")[-1].replace("bool_", "bool"), *listed(y)] for y in several]]
    moving = [(y * y).sum() for y in several if y.requires_grad]
    if moving:
        grad = lib.grad if hasattr(lib, "grad") else lib.autograd.grad
        (d,) = grad(sum(moving), (x,), create_graph=True)
        found.append(listed(d))
        if d.requires_grad:
            (h,) = grad((d * d).sum(), (x,), allow_unused=True)
            found.append(listed(x * 0 if h is None else h))
    return found
