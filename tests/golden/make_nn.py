"""Write nn.npz: layers, losses, activations with every option, as PyTorch has them in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.nn.nn_cases import CASES, Api, Array, packed


def tensor(a: Array, requires_grad: bool = False) -> torch.Tensor:
    """Return an array as a leaf."""
    return torch.tensor(a, requires_grad=requires_grad)


def array(t: Any) -> Array:
    """Return a tensor's values."""
    return t.detach().numpy()


TORCH = Api(torch.nn.functional, torch.nn, tensor, array)


def compute(key: str) -> dict[str, Array]:
    """Return PyTorch's answers to a case."""
    return {name: np.array(value) for name, value in CASES[key](TORCH).items()}


def main() -> None:
    """Write the file."""
    found = packed({key: compute(key) for key in CASES})
    np.savez_compressed(Path(__file__).with_name("nn.npz"), **found)


if __name__ == "__main__":
    main()
