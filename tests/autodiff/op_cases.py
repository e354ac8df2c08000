"""Every sample of every op as a function of its floating inputs, for the batteries here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.checking.command import leaves
from minigrad.checking.samples import OP_SAMPLES
from minigrad.ops.registry import OPS

Case = tuple[str, int]
CASES: list[Case] = [
    (name, k) for name, samples in OP_SAMPLES.items() if name in OPS for k in range(len(samples))
]


def function_of(case: Case) -> tuple[Callable[..., Any], list[mg.Tensor]]:
    """Return the op as a function of the inputs that have a gradient, and these."""
    name, k = case
    arrays, meta = OP_SAMPLES[name][k]
    tensors = leaves(arrays)
    moving = [i for i, t in enumerate(tensors) if t.requires_grad]
    fixed = [t.detach() for t in tensors]

    def function(*inputs: mg.Tensor) -> Any:
        given = list(fixed)
        for i, t in zip(moving, inputs, strict=True):
            given[i] = t
        found = OPS[name].apply(*given, **meta)
        several = found if isinstance(found, tuple) else (found,)
        kept = tuple(y for y in several if y.is_floating_point())
        return kept if len(kept) > 1 else kept[0]

    return function, [fixed[i] for i in moving]


def directions(inputs: list[mg.Tensor], seed: int = 3) -> tuple[mg.Tensor, ...]:
    """Return a random tensor for each, of its shape."""
    rng = np.random.default_rng(seed)
    return tuple([mg.Tensor(np.asarray(rng.normal(size=t.shape))) for t in inputs])


def flat(found: Any) -> np.ndarray[Any, Any]:
    """Return all numbers of nested outputs in one vector."""
    leaves_of = found if isinstance(found, tuple | list) else (found,)
    parts = [flat(y) if isinstance(y, tuple | list) else y.numpy().ravel() for y in leaves_of]
    return np.concatenate([np.zeros(0), *parts])
