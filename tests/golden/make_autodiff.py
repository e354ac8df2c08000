"""Write autodiff.json: what PyTorch gives for the programs of tests/autodiff.

Run: python -m tests.golden.make_autodiff
"""

from __future__ import annotations

import json
import warnings

import torch
import torch.utils.checkpoint

from tests.autodiff.outcomes import GOLDEN, plain
from tests.autodiff.programs import ALL


def main() -> None:
    warnings.simplefilter("ignore")
    outcomes = {name: plain(program(torch)) for name, program in ALL.items()}
    found = {"torch": torch.__version__.partition("+")[0], "outcomes": outcomes}
    GOLDEN.write_text(json.dumps(found, indent=None, separators=(",", ":")) + "\n")
    print(f"{len(outcomes)} programs in {GOLDEN}")


if __name__ == "__main__":
    main()
