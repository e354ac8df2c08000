"""Arguments for the kernels of groups.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arguments = list[tuple[Any, ...]]
Sampler = Callable[[np.random.Generator, np.dtype[Any]], Arguments]

SHAPES = ((2, 1, 3), (1, 5, 1), (3, 4, 2), (0, 4, 2), (7, 3_001, 1), (1, 20_005, 1), (2, 311, 97))


def empty_of(x: Any) -> Any:
    return np.full((x.shape[0], x.shape[2]), np.nan, x.dtype)


SCALES = {  # of a group, over the whole range of the dtype
    np.dtype(np.float32): (1.0, 1e30, 1e-30, 3e38, 1e-44),
    np.dtype(np.float64): (1.0, 1e200, 1e-200, 1e308, 1e-320),
}


def scaled(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    """Return x of every shape and scale, and groups with infinities and NaN."""
    found: Arguments = []
    for shape in (*SHAPES, (3, 0, 2)):
        for scale in SCALES[dtype] if 0 < np.prod(shape) < 100 else (1.0,):
            x = (np.clip(2 + rng.normal(size=shape), -3, 3) / 3 * scale).astype(dtype)
            found.append((x,))
    x = np.ones((3, 4, 2), dtype)
    x[0, 0], x[0, 1, 1] = np.nan, np.inf
    return [*found, (x,), (np.zeros((2, 3, 4), dtype),)]


def products(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    """Return x and z of every shape and scale, the products near it, groups of several runs."""
    found: Arguments = []
    more = [(rng.normal(size=s).astype(dtype),) for s in ((1, 4_200, 37), (1, 70, 1_030))]
    for (x,) in scaled(rng, dtype) + more:
        z = rng.normal(size=x.shape).clip(-1, 1).astype(dtype)
        found.append((x, z, empty_of(x)))
    return found


def norm(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(x, empty_of(x)) for (x,) in scaled(rng, dtype)]


def variance(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for (x,) in scaled(rng, dtype):
        for root in (0, 1):
            if root or np.abs(x).max(initial=0) < 1e15:
                out = empty_of(x).astype(np.float64)
                found.append((x, float(max(x.shape[1] - 1, 0)), root, out, out.copy()))
    far = (1e8 + rng.normal(size=(2, 50, 3)) * 20).astype(dtype)
    out = empty_of(far).astype(np.float64)
    return [*found, (far, 49.0, 0, out, out.copy()), (far, 49.0, 1, out, out.copy())]


def rounded(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Return small whole numbers, a few of them NaN: many ties."""
    x = np.round(rng.normal(size=shape)).astype(dtype)
    x.reshape(-1)[::7] = np.nan
    return x


def tie_count(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in SHAPES:
        x = rounded(rng, dtype, shape)
        found.append((x, rounded(rng, dtype, (shape[0], shape[2])), empty_of(x)))
    return found


def expansion(tied: bool) -> Sampler:
    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        found: Arguments = []
        for shape in SHAPES:
            few = shape[0], shape[2]
            x = rounded(rng, dtype, shape) if tied else rng.normal(size=shape).astype(dtype)
            own = dtype if tied else np.float64
            m = rounded(rng, dtype, few) if tied else 3 + rng.random(few)
            m.reshape(-1)[1::5] = 0
            found.append((rng.normal(size=few).astype(own), m, x, np.full_like(x, np.nan)))
        return found

    return sample


def prod(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in SHAPES:
        x = (1 + rng.normal(size=shape) / 200).astype(dtype)
        if x.shape[0]:
            x[0, 0, 0] = 0
            x[-1, : min(2, shape[1]), -1] = 0
        y = x.astype(np.float64).prod(axis=1).astype(dtype)
        found.append((rng.normal(size=y.shape).astype(dtype), y, x, np.full_like(x, np.nan)))
    return [case for case in found if case[2].shape[1] < 1_000]


SAMPLES = {
    "norm": norm,
    "sum_products": products,
    "variance": variance,
    "tie_count": tie_count,
    "expand_centred": expansion(False),
    "expand_unit": expansion(False),
    "expand_exp": expansion(False),
    "expand_ties": expansion(True),
    "prod_backward": prod,
}
