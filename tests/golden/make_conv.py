"""Write conv.npz: convolutions and pooling with every option, as PyTorch has them in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.golden.make_nn import TORCH
from tests.nn.conv_cases import CASES
from tests.nn.nn_cases import Array, packed


def compute(key: str) -> dict[str, Array]:
    """Return PyTorch's answers to a case."""
    return {name: np.array(value) for name, value in CASES[key](TORCH).items()}


def main() -> None:
    """Write the file."""
    found = packed({key: compute(key) for key in CASES})
    np.savez_compressed(Path(__file__).with_name("conv.npz"), **found)


if __name__ == "__main__":
    main()
