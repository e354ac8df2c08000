"""PyTorch's own settings of its optimizers (its optim_db), run here and there for ten steps.

`python -m tests.peers.optimizers [NAME...]` prints a line an optimizer, like `tests.peers.op_db`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import Any

import numpy as np

import minigrad as mg
from tests.peers.op_db import OURS, torch_library

STEPS = 10
SHAPES = ((3, 4), (4,), ())


# Whose step sizes PyTorch holds in float32, whatever the parameters are.
HELD_IN_FLOAT32 = {"ASGD"}


def optimizer_entries(names: list[str]) -> list[Any]:
    """Return the optimizers of PyTorch's list that have these names, or all."""
    from torch.testing._internal.common_optimizers import optim_db  # noqa: PLC0415

    return [o for o in optim_db if not names or o.optim_cls.__name__ in names]


def trained(library: Any, make: Any, options: dict[str, Any], dtype: str) -> list[Any]:
    """Return the parameters after every step on a function with a curved valley."""
    rng = np.random.default_rng(0)
    shapes = SHAPES[:1] if make.__name__ == "Muon" else SHAPES
    params = [library.make(rng.normal(size=s).astype(dtype)).requires_grad_() for s in shapes]
    goals = [library.make(rng.normal(size=s).astype(dtype)) for s in shapes]
    optimizer = make(params, **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = sum(
            (((p - g) ** 2).sum() + 0.3 * ((p - g) * 3).sin().sum())
            for p, g in zip(params, goals, strict=True)
        )
        loss.backward()
        return loss

    found = []
    for _ in range(STEPS):
        optimizer.step(closure)
        found += [np.array(library.array(p)) for p in params]
    return found


def compared(name: str, make: Any, options: dict[str, Any], dtype: str) -> str:
    """Say how our optimizer differs with these settings; "" where it does not."""
    given = {k: v for k, v in options.items() if k not in ("foreach", "fused", "capturable")}
    given = {k: float(v) if hasattr(v, "item") else v for k, v in given.items()}
    given.pop("differentiable", None)
    try:
        expected = trained(torch_library(), make, given, dtype)
    except Exception as e:
        return f"no sample: {e}"
    try:
        found = trained(OURS, getattr(mg.optim, name), given, dtype)
    except Exception as e:
        return f"{type(e).__name__}: {e}"[:200]
    tolerance = (1e-7 if name in HELD_IN_FLOAT32 else 1e-9) if dtype == "float64" else 2e-4
    worst = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    return "" if worst <= tolerance else f"off by {worst:.3g}"


def main(argv: list[str] | None = None) -> int:
    """Compare the optimizers that are named, or all; return 1 where one differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.optimizers")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    right, total, missing = 0, 0, []
    for entry in optimizer_entries(given.names):
        name = entry.optim_cls.__name__
        if not hasattr(mg.optim, name):
            missing.append(name)
            continue
        for sample in entry.optim_inputs_func(device="cpu"):
            for dtype in ("float64", "float32"):
                what = compared(name, entry.optim_cls, dict(sample.kwargs), dtype)
                if what.startswith("no sample"):
                    continue
                total += 1
                right += not what
                if what:
                    print(f"{name}({sample.kwargs}, {dtype}): {what}")
    print(f"missing ({len(missing)}): {' '.join(missing)}")
    print(f"{right} of {total} settings agree")
    return int(right < total)


if __name__ == "__main__":
    sys.exit(main())
