"""Write optim.npz: every optimizer with every option, as PyTorch steps it in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.optim import optimizer_cases as cases


def set_grad(p: torch.Tensor, g: np.ndarray[Any, Any] | None) -> None:
    """Give a parameter its gradient."""
    p.grad = None if g is None else torch.tensor(g)


def compute(key: str) -> np.ndarray[Any, Any]:
    """Return PyTorch's parameters after each step of a case."""
    name = cases.case(key)[0]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product in the default dtype
    try:
        return cases.run(
            key,
            lambda groups, options: getattr(torch.optim, name)(groups, foreach=False, **options),
            [torch.tensor(x, requires_grad=True) for x in cases.initial()],
            set_grad,
            lambda p: p.detach().numpy().copy(),
        )
    finally:
        torch.set_default_dtype(before)


def main() -> None:
    """Write the file."""
    found = {key: compute(key) for key in cases.KEYS}
    np.savez_compressed(Path(__file__).with_name("optim.npz"), **found)


if __name__ == "__main__":
    main()
