"""The versions of an op beside each other: in float32, fused and plain, on the simulated GPU.

Each is a distance between two ways to the same values and gradients, of the largest of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.checking.samples import OP_SAMPLES, Constant
from minigrad.engine.device import host_copy
from minigrad.engine.op import Op
from minigrad.tensors.tensor import Tensor
from minigrad.tensors.transforms import grad

Array = np.ndarray[Any, Any]
FEW = 4  # samples of an op
ALLOWED = {"float32": 5e-3, "fused": 1e-9, "device": 1e-9}  # of the largest value or gradient


def leaves(arrays: Sequence[Array], dtype: Any, device: str | None) -> list[Tensor]:
    """Return a sample's arrays as leaves of a dtype, on a device."""
    found = []
    for a in arrays:
        plain = np.array(a.view(np.ndarray))
        t = Tensor(plain.astype(dtype) if plain.dtype.kind == "f" else plain)
        t = t if device is None else t.to(device)
        moves = plain.dtype.kind == "f" and not isinstance(a, Constant)
        found.append(t.requires_grad_() if moves else t)
    return found


def results(
    apply: Callable[..., Any],
    arrays: Sequence[Array],
    meta: dict[str, Any],
    dtype: Any = np.float64,
    device: str | None = None,
) -> list[Array]:
    """Return values and gradients of an op at a sample, in float64 on the host."""
    inputs = leaves(arrays, dtype, device)
    found = apply(*inputs, **meta)
    outputs = [y for y in (found if isinstance(found, tuple) else (found,)) if y.requires_grad]
    seeds = [
        np.random.default_rng(k).standard_normal(tuple(y.shape)) for k, y in enumerate(outputs)
    ]
    weights = [Tensor(np.asarray(u).astype(dtype)) for u in seeds]
    if device is not None:
        weights = [w.to(device) for w in weights]
    moving = [t for t in inputs if t.requires_grad]
    parts = grad(outputs, moving, weights, allow_unused=True) if outputs and moving else ()
    every = [*outputs, *(g for g in parts if g is not None)]
    return [np.asarray(host_copy(t.detach().array)).astype(np.float64) for t in every]


def gap(first: Sequence[Array], second: Sequence[Array]) -> float:
    """Return the largest distance, of the largest number of each pair."""
    worst = 0.0
    for a, b in zip(first, second, strict=True):
        finite = np.isfinite(a) & np.isfinite(b)
        size = max(float(np.abs(b[finite]).max(initial=0.0)), 1e-3)
        worst = max(worst, float(np.abs(a - b)[finite].max(initial=0.0)) / size)
    return worst


def versions_of(op: type[Op], device: str | None = None) -> dict[str, float]:
    """Return the distances of an op's versions at a few of its samples; those that it has not, or
    that raise, are left out.
    """
    found: dict[str, float] = {}
    for arrays, meta in OP_SAMPLES.get(op.__name__, [])[:FEW]:
        ways: list[tuple[str, Any, dict[str, Any]]] = []
        if "dtype" not in meta:
            ways.append(("float32", op.apply, {"dtype": np.float32}))
        if op.composite is not None:
            ways.append(("fused", op.composite, {}))
        if device is not None and "device" not in meta:
            ways.append(("device", op.apply, {"device": device}))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                base = results(op.apply, arrays, meta)
            except Exception:
                continue
            for name, apply, how in ways:
                try:
                    other = results(apply, arrays, meta, **how)
                    found[name] = max(found.get(name, 0.0), gap(other, base))
                except Exception:
                    continue
    return found


def too_far(found: dict[str, float]) -> list[str]:
    """Return the versions that differ by more than they may."""
    return [name for name, value in found.items() if value > ALLOWED[name]]
