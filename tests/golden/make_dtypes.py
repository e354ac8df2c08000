"""Write dtypes.npz, PyTorch's answers to tests/engine/dtype_cases.py: `python -m
tests.golden.make_dtypes`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from tests.engine.dtype_cases import FAMILIES, answer

PATH = Path(__file__).with_name("dtypes.npz")


def main() -> None:
    """Ask every case and save dtypes, counts and values a family."""
    warnings.simplefilter("ignore")  # masks of uint8 are deprecated
    found = {}
    for family, cases in FAMILIES.items():
        answers = [answer(torch, case) for _, case in cases]
        found[f"{family}/dtypes"] = np.array([dtype for dtype, _ in answers], np.int8)
        found[f"{family}/counts"] = np.array([len(values) for _, values in answers], np.int16)
        found[f"{family}/values"] = np.array([v for _, values in answers for v in values])
    np.savez_compressed(PATH, **found)
    total = sum(map(len, FAMILIES.values()))
    print(f"{total} answers of torch {torch.__version__} in {PATH.name}")


if __name__ == "__main__":
    main()
