"""Write schedulers.npz: what PyTorch's schedulers make of lr and momentum, by hand and composed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.optim import scheduler_cases as cases


def optimizer_for(key: str) -> Any:
    """Return PyTorch's optimizer for a case."""
    first, second = cases.RATES
    groups = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": second}]
    return getattr(torch.optim, cases.optimizer_of(key))(groups, lr=first)


def compute(key: str, by_hand: bool) -> np.ndarray[Any, Any]:
    """Return PyTorch's lr, momentum and beta1 after each step of a case."""
    return cases.run(key, optimizer_for(key), torch.optim.lr_scheduler, by_hand)


def compute_jumps(key: str) -> np.ndarray[Any, Any]:
    """Return the same after each step(epoch)."""
    return cases.jump(key, optimizer_for(key), torch.optim.lr_scheduler)


def main() -> None:
    """Write the file."""
    found = {key: compute(key, False) for key in cases.ALL_KEYS}
    found |= {f"{key}!": compute(key, True) for key in cases.ALL_KEYS}
    found |= {f"{key}?": compute_jumps(key) for key in cases.JUMPS}
    np.savez_compressed(Path(__file__).with_name("schedulers.npz"), **found)


if __name__ == "__main__":
    main()
