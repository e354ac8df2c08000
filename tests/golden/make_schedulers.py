"""Write schedulers.npz: what PyTorch's schedulers make of lr and momentum, by hand and composed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.optim import scheduler_cases as cases


def compute(key: str, by_hand: bool) -> np.ndarray[Any, Any]:
    """Return PyTorch's lr, momentum and beta1 after each step of a case."""
    first, second = cases.RATES
    groups = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": second}]
    optimizer = getattr(torch.optim, cases.optimizer_of(key))(groups, lr=first)
    return cases.run(key, optimizer, torch.optim.lr_scheduler, by_hand)


def main() -> None:
    """Write the file."""
    found = {key: compute(key, False) for key in cases.ALL_KEYS}
    found |= {f"{key}!": compute(key, True) for key in cases.ALL_KEYS}
    np.savez_compressed(Path(__file__).with_name("schedulers.npz"), **found)


if __name__ == "__main__":
    main()
