"""Write modules.npz and modules.json: outputs, gradients, buffers, names and reprs of PyTorch's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.nn.module_cases import CASES, KEYS, Kit, Values, run
from tests.nn.nn_cases import packed

TORCH = Kit(
    torch.nn,
    lambda a, requires_grad=False: torch.tensor(a, requires_grad=requires_grad),
    lambda t: t.detach().numpy(),
)


def compute(key: str, training: bool) -> Values:
    """Return PyTorch's answers to a case."""
    return {name: np.array(value) for name, value in run(TORCH, key, training).items()}


def described(key: str) -> dict[str, Any]:
    """Return what PyTorch calls a module's state, and how it prints it."""
    module = eval(key, {"nn": torch.nn})
    return {"state": list(module.state_dict()), "repr": repr(module)}


def main() -> None:
    """Write the files."""
    here = Path(__file__).parent
    found = packed({f"{key}|{training}": compute(key, training) for key, training in KEYS})
    np.savez_compressed(here / "modules.npz", **found)
    text = json.dumps({key: described(key) for key in CASES}, indent=1)
    (here / "modules.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
