"""Awkward inputs in PyTorch's own spelling: `CASES[name] = (fn, inputs)`, `fn(lib, F, *tensors)`.

`lib` and `F` are torch and torch.nn.functional, or minigrad and minigrad.nn.functional: the names
are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.ops.registered import named_as_in_pytorch

INF, NAN = math.inf, math.nan
Case = tuple[Callable[..., Any], tuple[list[Any], ...]]

AWKWARD = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 20.0, 20.5, -20.5, 1e4, -1e4, INF, -INF, NAN]
TIES = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, -0.0, -1.0]]
BROKEN = [[1.0, NAN, 3.0], [INF, 2.0, INF], [-INF, -INF, -INF]]
ROWS = [[1e4, -1e4, 0.0], [-INF, 0.0, 1.0], [1.0, 1.0, 1.0], [-1e4, -1e4, -1e4]]
SPOILT = [[-INF, -INF, -INF], [INF, 0.0, 1.0], [NAN, 0.0, 1.0]]
GOLDEN = Path(__file__).parent.parent / "golden" / "ops.npz"
with np.load(GOLDEN) as _held:
    RECORDED = {key.split("/")[0] for key in _held.files}
# PyTorch's slope of digamma at its poles is what rounding makes of them: breadth_cases has it.
POLES = {"digamma"}
UNARY = (*sorted(set(named_as_in_pytorch("tensor", RECORDED)) - POLES), "reciprocal", "rsqrt")


def unary(name: str) -> Case:
    return lambda lib, F, x: getattr(lib, name)(x), (AWKWARD,)


def activation(name: str, **options: Any) -> Case:
    return lambda lib, F, x: getattr(F, name)(x, **options), (AWKWARD,)


def power(exponent: float) -> Case:
    return lambda lib, F, x: x**exponent, (AWKWARD,)


def grid(first: list[float], second: list[float]) -> tuple[list[Any], list[Any]]:
    a, b = np.meshgrid(first, second)
    return a.reshape(-1).tolist(), b.reshape(-1).tolist()


BASES = [0.0, 0.5, 1.0, 2.0, -1.0, -2.0, INF, NAN]
EXPONENTS = [0.0, 1.0, 2.0, 3.0, -1.0, 0.5]

CASES: dict[str, Case] = {
    **{name: unary(name) for name in UNARY},
    **{name: activation(name) for name in named_as_in_pytorch("functional", RECORDED)},
    "gelu_tanh": activation("gelu", approximate="tanh"),
    "relu6": activation("relu6"),
    "relu6_bounds": (lambda lib, F, x: F.relu6(x), ([0.0, 6.0, 3.0, 7.0],)),
    "hardtanh_bounds": (lambda lib, F, x: F.hardtanh(x), ([-1.0, 1.0, 0.0],)),
    "clamp_bounds": (lambda lib, F, x: x.clamp(-1, 1), ([-1.0, 1.0, 0.0, 2.0, INF, NAN],)),
    "clamp_low": (lambda lib, F, x: x.clamp(min=0.5), (AWKWARD,)),
    **{f"power_{p}": power(p) for p in (0, 1, 2, 3, -1, 2.0, -2.5)},
    # pow(-0.0, 0.5) has slope +inf by IEEE's rules, PyTorch computes a root there: left out
    "power_half": (lambda lib, F, x: x**0.5, ([0.0, 1.0, 4.0, -1.0, INF, NAN],)),
    "pow": (lambda lib, F, a, b: a**b, grid(BASES, EXPONENTS)),
    "pow_scalar_base": (lambda lib, F, b: 2.0**b, ([0.0, 1.0, -1.0, 0.5, 1e4, -1e4, NAN],)),
    "pow_zero_base": (lambda lib, F, b: 0.0**b, ([0.0, 1.0, 2.0, 0.5],)),
    "square_twice": (lambda lib, F, x: (x**2) ** 2, ([0.0, 1.0, -2.0],)),
    "div": (lambda lib, F, a, b: a / b, grid([0.0, 1.0, -1.0, INF, NAN], [0.0, 2.0, -INF])),
    "maximum": (lambda lib, F, a, b: lib.maximum(a, b), grid(BASES, BASES)),
    "minimum": (lambda lib, F, a, b: lib.minimum(a, b), grid(BASES, BASES)),
    "max_all": (lambda lib, F, x: x.max(), (TIES,)),
    "min_all": (lambda lib, F, x: x.min(), (TIES,)),
    "max_dim": (lambda lib, F, x: x.max(1)[0], (TIES,)),
    "min_dim": (lambda lib, F, x: x.min(1)[0], (TIES,)),
    "max_broken": (lambda lib, F, x: x.max(1)[0], (BROKEN,)),
    "max_all_nan": (lambda lib, F, x: x.max(), (BROKEN,)),
    "amax": (lambda lib, F, x: x.amax(1), (TIES,)),
    "amin": (lambda lib, F, x: x.amin(0, keepdim=True), (TIES,)),
    "amax_both": (lambda lib, F, x: x.amax((0, 1)), (TIES,)),
    "amax_infinite": (lambda lib, F, x: x.amax(1), ([[INF, 2.0, INF], [-INF, -INF, -INF]],)),
    "sum": (lambda lib, F, x: x.sum(1), (BROKEN,)),
    "mean": (lambda lib, F, x: x.mean(), (BROKEN,)),
    "prod_one_zero": (lambda lib, F, x: x.prod(), ([2.0, 0.0, 3.0],)),
    "prod_two_zeros": (lambda lib, F, x: x.prod(), ([2.0, 0.0, 0.0, 3.0],)),
    "prod_dim": (
        lambda lib, F, x: x.prod(1),
        ([[1.0, 2.0, 0.0], [0.0, 0.0, 4.0], [1.0, 2.0, 3.0]],),
    ),
    "cumsum": (lambda lib, F, x: x.cumsum(1), (BROKEN,)),
    "std": (lambda lib, F, x: x.std(1), ([[1.0, 2.0, 4.0], [3.0, 3.0, 3.5]],)),
    "std_constant": (lambda lib, F, x: x.std(1, correction=0), ([[3.0, 3.0], [0.0, 0.0]],)),
    "std_of_one": (lambda lib, F, x: x.std(), ([3.0],)),
    "var": (lambda lib, F, x: x.var(1), ([[1e8, 1e8 + 1, 1e8 + 2], [3.0, 3.0, 3.0]],)),
    "var_of_one": (lambda lib, F, x: x.var(), ([3.0],)),
    "norm_zero": (lambda lib, F, x: x.norm(), ([0.0, 0.0],)),
    "norm": (lambda lib, F, x: x.norm(dim=1), ([[3.0, -4.0], [0.0, 0.0], [INF, 1.0]],)),
    **{
        f"norm_{p}": (lambda lib, F, x, p=p: x.norm(p, 1), ([[3.0, -4.0], [0.0, 2.0], [0.0, 0.0]],))
        for p in (1, 1.5, 3, 0)
    },
    "norm_inf": (lambda lib, F, x: x.norm(INF, 1), ([[3.0, -4.0], [2.0, 1.0]],)),
    "logsumexp": (lambda lib, F, x: x.logsumexp(1), (ROWS,)),
    "logsumexp_spoilt": (lambda lib, F, x: x.logsumexp(1), (SPOILT,)),
    "softmax": (lambda lib, F, x: lib.softmax(x, 1), (ROWS,)),
    "softmax_spoilt": (lambda lib, F, x: lib.softmax(x, 1), (SPOILT,)),
    "log_softmax": (lambda lib, F, x: lib.log_softmax(x, 1), (ROWS,)),
    "log_softmax_spoilt": (lambda lib, F, x: lib.log_softmax(x, 1), (SPOILT,)),
    "where_masks": (lambda lib, F, x: lib.where(x > 0, x.sqrt(), x * 0), ([1.0, 4.0, 0.0],)),
    "where_nan": (lambda lib, F, x: lib.where(x > 0, x.log(), x), ([1.0, 0.0, -1.0],)),
    "bce_logits": (
        lambda lib, F, x: F.binary_cross_entropy_with_logits(
            x, (x > 0).to(x.dtype), reduction="none"
        ),
        ([1e4, -1e4, 0.0, 1.0, -1.0],),
    ),
    "bce": (
        lambda lib, F, x: F.binary_cross_entropy(x, (x > 0.4).to(x.dtype), reduction="none"),
        ([0.0, 1.0, 0.5, 0.25, 1e-300],),
    ),
    "bce_wrong": (
        lambda lib, F, x: F.binary_cross_entropy(x, (x < 0.4).to(x.dtype), reduction="none"),
        ([0.0, 1.0, 0.5],),
    ),
    "linear_zero_rows": (
        lambda lib, F, x, w: F.linear(x, w),
        ([[NAN, 1.0]], [[0.0, 1.0], [1.0, INF]]),
    ),
    "embedding_like": (lambda lib, F, x: x[[0, 0, 2]], ([1.0, 2.0, 3.0],)),
    "third_power_at_zero": (lambda lib, F, x: x**3, ([0.0, 1.0],)),
}


def weights(shape: tuple[int, ...]) -> Any:
    """Return what an output is weighted by: no two alike, none zero."""
    return (1 + np.arange(int(np.prod(shape))) % 7 / 4).reshape(shape)


def evaluate(lib: Any, functional: Any, name: str, dtype: str = "float64") -> dict[str, Any]:
    """Return the output and the gradients of one case as arrays."""
    fn, inputs = CASES[name]
    kind = getattr(lib, dtype)
    leaves = [lib.tensor(x, dtype=kind, requires_grad=True) for x in inputs]
    y = fn(lib, functional, *leaves)
    y.backward(lib.tensor(weights(tuple(y.shape)).tolist(), dtype=kind))
    found = {"y": np.array(y.detach().numpy())}
    for i, x in enumerate(leaves):
        found[f"d{i}"] = (
            np.zeros(tuple(x.shape), dtype) if x.grad is None else x.grad.numpy().copy()
        )
    return found
