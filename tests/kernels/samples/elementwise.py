"""Arguments for every elementwise kernel, derived from its rule: every layout, every special value,
both sides of PARALLEL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.kernel import PARALLEL, Rule
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 20.0, 20.5, 88.0, -80.0, 1e4, -1e4, np.inf, -np.inf, np.nan)
LARGE = PARALLEL + 37


def small(count: int, rng: np.random.Generator) -> list[tuple[Array, ...]]:
    """Return operands below PARALLEL: 0-d, empty, one, odd, transposed, broadcast, repeated."""
    x = rng.normal(size=(6, 7))
    if count == 1:
        shapes = ((), (0,), (1,), (7,), (3, 0, 2), (2, 3, 4))
        return [*((np.asarray(rng.normal(size=s)),) for s in shapes), (x.T,), (x[::2, ::-3],)]
    row, column = rng.normal(size=7), rng.normal(size=(6, 1))
    scalar = np.asarray(rng.normal())
    if count == 3:
        return [(scalar,) * 3, (x, row, column), (x.T, x.T, row[:6]), (row[:0],) * 3]
    return [
        (scalar, scalar),
        (row[:0], row[:1]),
        (x, row),
        (column, row),
        (x.T, column[:, 0]),
        (x, x),
    ]


def large(count: int, rng: np.random.Generator) -> list[tuple[Array, ...]]:
    """Return operands above PARALLEL: flat, transposed, broadcast, with gaps, deep."""
    found = [tuple(rng.normal(size=(count, LARGE)))]
    x = rng.normal(size=(131, 2, 157))
    wide, row, column = rng.normal(size=(37, 701)), rng.normal(size=701), rng.normal(size=(37, 1))
    deep = rng.normal(size=(3, 5, 7, 11, 19))[::-1, :, ::2, :, ::2]
    if count == 1:
        found += [(x.T,), (x.transpose(2, 0, 1),), (wide[:, ::2].T,)]
    elif count == 3:
        found += [(wide, row, column), (wide.T, wide.T, row[:, None])]
    else:
        found += [(x.T, rng.normal(size=(2, 1))), (wide, row), (column, wide), (column, row)]
        found += [(x.reshape(-1, 2), row[:2]), (wide, row[0:1]), (wide.T, row[:, None])]
    found.append((np.broadcast_to(deep, (2, *deep.shape)),) * count)
    return found


def special(count: int) -> list[tuple[Array, ...]]:
    """Return the special values, each with each where there are two operands, small and large."""
    values = np.array(SPECIAL)
    a, b = (v.reshape(-1) for v in np.meshgrid(values, values))
    repeats = LARGE // a.size + 1
    few = (values,) if count == 1 else (a, b) if count == 2 else (a, b, np.roll(a, 5))
    many = (a,) if count == 1 else few
    return [few, tuple(np.tile(v, repeats) for v in many)]


def sampler(rule: Rule) -> Callable[[np.random.Generator, np.dtype[Any]], Arguments]:
    """Return the sampler of one kernel: inputs, its numbers, then an output full of garbage."""

    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        count = rule.operands
        found = []
        for some in small(count, rng) + large(count, rng) + special(count):
            if count == 1 and rule.draws == "positive":  # half of the results would be NaN
                some = tuple(abs(x) for x in some)
            inputs = [layout_kept(x, dtype) for x in some]
            for k, draw in enumerate(rule.drawn()):
                if draw == "truth":
                    inputs[k] = inputs[k] > 0
                elif draw == "unit":
                    inputs[k] = np.clip(inputs[k], 0, 1)
            shape = np.broadcast_shapes(*(x.shape for x in inputs))
            y = np.full(shape, True) if rule.truth else np.full(shape, np.nan, dtype)
            found.append((*inputs, *rule.numbers, y))
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


def whole(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    """Return integers, small and large, wide and narrow, and shifts beyond their bits."""
    a = np.array([0, 1, -1, 3, -5, 64, 2**62, -(2**63), 2**63 - 1])
    grid = np.meshgrid(a, np.array([0, 1, 5, 31, 63, 64, 70, -1]))
    narrow = rng.integers(-128, 128, (4, 6)).astype(np.int8)
    many = rng.integers(0, 60, (2, LARGE))
    pairs = [tuple(grid), (narrow, narrow[0]), tuple(many), (many[0].astype(np.uint8),) * 2]
    return [(p, q, np.full(p.shape, 1, p.dtype)) for p, q in pairs]


RULES = {name: row.rule for name, row in KERNELS.items() if row.rule is not None}
SAMPLES = {name: whole if "bits" in rule.drawn() else sampler(rule) for name, rule in RULES.items()}
