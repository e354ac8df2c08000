"""Rounding errors of whole ops, forward and backward, in either framework."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.families import FAMILIES, Family
from benchmarks.layers import LAYER_FAMILIES

Array = np.ndarray[Any, Any]
SIZES = ((64, 64), (256, 512))
LARGEST = 40_000_000  # multiplications of a layer


def cases() -> Iterator[tuple[str, Family, tuple[int, ...]]]:
    """Yield every family that draws no random numbers, at its smaller sizes."""
    for family in (*FAMILIES, *LAYER_FAMILIES):
        if not family.random:
            sizes = SIZES if family in FAMILIES else family.sizes[:2]
            for size in sizes:
                yield f"{family.name} {'x'.join(map(str, size))}", family, size


def inputs(name: str, family: Family, size: tuple[int, ...]) -> tuple[Any, Any, Array]:
    """Return what has gradients, what has none, and the gradient of the result: float32."""
    seed = list(name.encode())
    learned, constant = family.draw(np.random.default_rng(seed), *size)
    made = family.f(mg.nn.functional, *map(mg.tensor, learned), *map(mg.tensor, constant))
    return learned, constant, np.random.default_rng([*seed, 1]).standard_normal(made.shape)


def results(api: Any, family: Family, drawn: tuple[Any, Any, Array], dtype: Any) -> list[Array]:
    """Return the result and the gradients in float64, computed by `api` in a dtype."""
    learned, constant, g = drawn
    kept = [a.astype(dtype) if a.dtype.kind == "f" else a for a in constant]
    tensors = [api.tensor(a.astype(dtype)) for a in learned]
    for t in tensors:
        t.requires_grad = True
    y = family.f(api.nn.functional, *tensors, *[api.tensor(a) for a in kept])
    y.backward(api.tensor(g.astype(np.float32).astype(dtype)))
    return [np.float64(t.numpy()) for t in (y.detach(), *[t.grad for t in tensors])]


def errors(found: list[Array], exact: list[Array]) -> list[float]:
    """Return the root mean square error of each, in units of its root mean square."""
    made = []
    for a, e in zip(found, exact, strict=True):
        unit = np.sqrt(np.mean(e**2))
        made.append(float(np.sqrt(np.mean((a - e) ** 2)) / unit) if unit else 0.0)
    return made
