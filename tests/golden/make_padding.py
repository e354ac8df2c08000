"""Write padding.json, PyTorch's paddings as checksums, null where it refuses: `python
tests/golden/make_padding.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.nn.padding_cases import cases, outcome

PATH = Path(__file__).with_name("padding.json")


def main() -> None:
    """Pad everything with PyTorch and save what came."""
    found = {name: outcome(torch, *case) for name, *case in cases()}
    PATH.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{len(found)} paddings by torch {torch.__version__} in {PATH.name}")


if __name__ == "__main__":
    main()
