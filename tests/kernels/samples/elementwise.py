"""Arguments for the kernels of elementwise.py: every layout, every special value, both sides of
PARALLEL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.elementwise import KERNELS
from minigrad_kernels.launch import PARALLEL

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 20.0, 20.5, 88.0, -80.0, 1e4, -1e4, np.inf, -np.inf, np.nan)
TESTS = {"isnan", "isfinite", "logical_not"}
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or"}
UNARY = {
    *("neg", "abs", "sign", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "erf"),
    *("reciprocal", "square", "sigmoid", "relu", "softplus", "logsigmoid", "silu", "gelu"),
    *("gelu_tanh", "floor", "copy"),
    *TESTS,
}
POSITIVE = {"log", "log1p", "sqrt"}
# A large strided loop compiles for a second: one factory makes them all, so a few stand for
# float64.
STRIDED_IN_FLOAT64 = {"add", "mul", "exp", "where", "gelu_backward"}
LARGE = PARALLEL + 37


def small(name: str, rng: np.random.Generator) -> list[tuple[Array, ...]]:
    """Return operands below PARALLEL: 0-d, empty, one, odd, transposed, broadcast, repeated."""
    x = rng.normal(size=(6, 7))
    if name in UNARY:
        shapes = ((), (0,), (1,), (7,), (3, 0, 2), (2, 3, 4))
        return [*((np.asarray(rng.normal(size=s)),) for s in shapes), (x.T,), (x[::2, ::-3],)]
    row, column = rng.normal(size=7), rng.normal(size=(6, 1))
    scalar = np.asarray(rng.normal())
    return [
        (scalar, scalar),
        (row[:0], row[:1]),
        (x, row),
        (column, row),
        (x.T, column[:, 0]),
        (x, x),
    ]


def large(name: str, rng: np.random.Generator, strided: bool) -> list[tuple[Array, ...]]:
    """Return operands above PARALLEL: flat, and, where asked for, transposed and broadcast."""
    count = 1 if name in UNARY else 2
    found = [tuple(rng.normal(size=(count, LARGE)))]
    if strided:
        x = rng.normal(size=(131, 2, 157))
        found.append((x.T,) if count == 1 else (x.T, rng.normal(size=(2, 1))))
        deep = rng.normal(size=(3, 5, 7, 11, 19))[::-1, :, ::2, :, ::2]
        found.append((np.broadcast_to(deep, (2, *deep.shape)),) * count)
    return found


def special(name: str) -> list[tuple[Array, ...]]:
    """Return the special values, each with each where there are two operands, small and large."""
    values = np.array(SPECIAL)
    a, b = (v.reshape(-1) for v in np.meshgrid(values, values))
    repeats = LARGE // a.size + 1
    few = (values,) if name in UNARY else (a, b)
    many = (a,) if name in UNARY else (a, b)
    return [few, tuple(np.tile(v, repeats) for v in many)]


def sampler(name: str) -> Callable[[np.random.Generator, np.dtype[Any]], Arguments]:
    """Return the sampler of one kernel: inputs, then an output full of garbage."""

    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        jitted = KERNELS[name].reference is not KERNELS[name].cpu and name != "copy"
        strided = jitted and (dtype == np.float32 or name in STRIDED_IN_FLOAT64)
        operands = small(name, rng) + large(name, rng, strided)
        if name in POSITIVE:
            operands = [tuple(abs(x) for x in some) for some in operands]
        operands += special(name)
        found = []
        for some in operands:
            inputs = [layout_kept(x, dtype) for x in some]
            if name == "where":
                inputs.insert(0, inputs[0] > 0)
            shape = np.broadcast_shapes(*(x.shape for x in inputs))
            truth = name in TESTS or name in COMPARISONS
            y = np.full(shape, True) if truth else np.full(shape, np.nan, dtype)
            found.append((*inputs, y))
        return found

    return sample


def layout_kept(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return `x` in `dtype`, broadcast and reversed dimensions as they are."""
    if 0 in x.strides and x.size:
        inner = x[tuple(slice(0, 1) if s == 0 else slice(None) for s in x.strides)]
        return np.broadcast_to(inner.astype(dtype), x.shape)
    if any(s < 0 for s in x.strides):
        flip = tuple(slice(None, None, -1) if s < 0 else slice(None) for s in x.strides)
        return x[flip].astype(dtype)[flip]
    return x.astype(dtype)


SAMPLES = {name: sampler(name) for name in KERNELS}
