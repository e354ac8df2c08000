"""What Muon is compared with PyTorch on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "classical": {"nesterov": False, "momentum": 0.8, "weight_decay": 0.0, "lr": 0.1},
    "matched": {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3, "lr": 0.1},
    "other": {"ns_coefficients": (2.0, -1.5, 0.5), "adjust_lr_fn": "original", "eps": 1e-3},
}
SHAPES = ((3, 4), (5, 2), (1, 1))
STEPS = 4


def run(kit: Any, key: str, leaf: Callable[[Any], Any], read: Callable[[Any], Any]) -> list[Any]:
    """Return the parameters after each step, minigrad's or PyTorch's."""
    rng = np.random.default_rng(1)
    params = [leaf(rng.standard_normal(shape).astype(np.float32)) for shape in SHAPES]
    optimizer = kit.optim.Muon(params, **CASES[key])
    rows = []
    for _ in range(STEPS):
        for p in params:
            p.grad = kit.tensor(rng.standard_normal(tuple(p.shape)).astype(np.float32))
        optimizer.step()
        rows.append([float(v) for p in params for v in read(p).reshape(-1)])
    return rows
