"""Write index.npz and index_along.json, what PyTorch makes of tests/engine/index_cases.py: `python
tests/golden/make_index.py`.

One row of numbers, one of shapes, one of how many arrays each case gave (-1: it raised).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from tests.engine.index_cases import ALONG, along, every_case, quietly

PATH = Path(__file__).with_name("index.npz")


def main() -> None:
    """Evaluate every case and save the arrays."""
    found = [quietly(torch, case) for case in every_case()]
    arrays = [a for arrays in found if arrays is not None for a in arrays]
    counts = [-1 if arrays is None else len(arrays) for arrays in found]
    shapes = [n for a in arrays for n in (a.ndim, *a.shape)]
    values = np.concatenate([a.reshape(-1) for a in arrays])
    assert abs(values).max() < 2**15 and (values == values.round()).all()
    np.savez_compressed(
        PATH,
        values=values.astype(np.int16),
        shapes=np.array(shapes, np.int8),
        counts=np.array(counts, np.int8),
    )
    picked = [along(torch, case) for case in ALONG]
    PATH.with_name("index_along.json").write_text(json.dumps(picked) + "\n")
    print(f"{len(found)} cases, {counts.count(-1)} raise, by torch {torch.__version__}")


if __name__ == "__main__":
    main()
