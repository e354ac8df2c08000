"""Write windows.npz: pooling and convolutions over every small window, as PyTorch has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.nn.window_cases import Library, cases, joined, run

TORCH = Library(
    torch.nn.functional,
    lambda a, grad: torch.from_numpy(a).requires_grad_(grad),
    lambda y, inputs, weight: torch.autograd.grad(y, inputs, weight),
    lambda t: np.asarray(t.detach().numpy(), np.float64),
)


def main() -> None:
    """Write the file."""
    found = joined([run(TORCH, case) for case in cases()])
    np.savez_compressed(Path(__file__).with_name("windows.npz"), **found)


if __name__ == "__main__":
    main()
