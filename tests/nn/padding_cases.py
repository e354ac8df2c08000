"""Paddings to hold to PyTorch: every mode, one to three dimensions, ends of every kind."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MODES = ("constant", "reflect", "replicate", "circular")
SHAPES = {2: ((3, 4), (2, 3, 4), (2, 3, 1)), 4: ((2, 3, 4), (1, 2, 3, 4)), 6: ((1, 2, 3, 2, 4),)}
ENDS = (-2, -1, 0, 1, 2, 3, 4, 5)


def cases() -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...], str]]:
    """Yield a name, a shape, ends and a mode."""
    rng = np.random.default_rng(0)
    for count, shapes in SHAPES.items():
        for shape in shapes:
            pairs = list(itertools.product(ENDS, repeat=2))
            ends = pairs if count == 2 else [tuple(rng.integers(-1, 4, count)) for _ in range(60)]
            for some in ends:
                given = tuple(int(n) for n in some)
                for mode in MODES:
                    if mode == "circular" and not defined(shape, given):
                        continue
                    if mode == "replicate" and empty(shape, given):
                        continue
                    yield f"{mode} {shape} {given}", shape, given, mode


def defined(shape: tuple[int, ...], ends: tuple[int, ...]) -> bool:
    """Say whether no end takes more than the other's cutting leaves: PyTorch then gives back memory
    that it has not written, other numbers each time; minigrad refuses.
    """
    for k in range(len(ends) // 2):
        pair = ends[2 * k : 2 * k + 2]
        kept = shape[len(shape) - 1 - k] + sum(min(n, 0) for n in pair)
        if min(pair) < 0 and max(pair) > kept:
            return False
    return True


def empty(shape: tuple[int, ...], ends: tuple[int, ...]) -> bool:
    """Say whether nothing is left: PyTorch's replicate refuses that in some numbers of dimensions
    and takes it in others; minigrad refuses.
    """
    sizes = [shape[-1 - k] + sum(ends[2 * k : 2 * k + 2]) for k in range(len(ends) // 2)]
    return min(sizes) == 0


def operand(shape: tuple[int, ...]) -> Array:
    """Return 1, 2, 3 ...: whoever stands where can be told."""
    return np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)


def outcome(api: Any, shape: tuple[int, ...], ends: tuple[int, ...], mode: str) -> int | None:
    """Return a checksum of the result and its gradient, or None where it is refused."""
    x = api.tensor(operand(shape))
    x.requires_grad = True
    try:
        y = api.nn.functional.pad(x, ends, mode=mode)
    except (ValueError, RuntimeError, NotImplementedError):
        return None
    found = y.detach().numpy()
    weight = np.arange(1.0, 1.0 + found.size).reshape(found.shape)
    gradient = np.zeros(shape)
    if found.size:
        y.backward(api.tensor(weight))
        gradient = x.grad.numpy()
    parts = (np.array(found.shape, np.int64), found, gradient)
    return zlib.crc32(b"".join(np.ascontiguousarray(a + 0.0).tobytes() for a in parts))
