"""Write modes.json: what PyTorch says in each program of tests/engine/mode_programs.py.

Run: python -m tests.golden.make_modes
"""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import torch

from tests.engine.mode_programs import COUNT, outcome


def main() -> None:
    outcomes = [outcome(torch, seed) for seed in range(COUNT)]
    crc = [f"{crc32(text.encode()):08x}" for text in outcomes]
    found = {"torch": torch.__version__.partition("+")[0], "outcomes": "".join(crc)}
    (Path(__file__).parent / "modes.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
