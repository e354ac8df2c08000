"""The rounding error of the normalisations beside PyTorch's, where float32 is easy and hard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F

Array = np.ndarray[Any, Any]


def results(kind: str, api: Any, functional: Any, arrays: list[Array], dtype: Any) -> list[Array]:
    """Return y, dx, dw and db as float64."""
    x, w, b, g = (api.tensor(a.astype(dtype)) for a in arrays)
    for t in (x, w, b):
        t.requires_grad = True
    if kind == "layer_norm":
        y = functional.layer_norm(x, (arrays[0].shape[1],), w, b)
    else:
        y = functional.batch_norm(x, None, None, w, b, True)
    y.backward(g)
    found = (y.detach(), x.grad, w.grad, b.grad)
    return [np.asarray(t.numpy(), np.float64) for t in found]


@pytest.mark.parametrize("shape", [(64, 64), (256, 512), (2000, 50)])
@pytest.mark.parametrize(("centre", "spread"), [(0, 1), (100, 1), (1, 1e-3), (1e4, 3)])
@pytest.mark.parametrize("kind", ["layer_norm", "batch_norm"])
def test_no_worse_than_torch(
    kind: str, centre: float, spread: float, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch")
    x = (centre + spread * rng.normal(size=shape)).astype(np.float32)
    w, b = rng.normal(size=(2, shape[1])).astype(np.float32)
    g = rng.normal(size=shape).astype(np.float32)
    arrays = [x, w, b, g]
    exact = results(kind, mg, F, arrays, np.float64)
    ours = results(kind, mg, F, arrays, np.float32)
    theirs = results(kind, torch, torch.nn.functional, arrays, np.float32)
    for name, e, o, t in zip(("y", "dx", "dw", "db"), exact, ours, theirs, strict=True):
        error, peer = (np.sqrt(np.mean((a - e) ** 2)) for a in (o, t))
        unit = np.finfo(np.float32).eps * np.sqrt(np.mean(e**2))
        assert error <= max(1.1 * peer, unit), f"{name}: {error:.2e}, torch {peer:.2e}"
