"""Write minigrad/data/embedded/*.npz from scikit-learn's bundled files.

`python tests/data/make_datasets.py` needs the `data` extra; the same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from sklearn import datasets

FOLDER = Path(__file__).resolve().parents[2] / "minigrad" / "data" / "embedded"
SOURCES = {
    "digits": datasets.load_digits,
    "breast_cancer": datasets.load_breast_cancer,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
}


def main() -> None:
    """Write one .npz a data set and print the checksum of its arrays."""
    for name, load in SOURCES.items():
        source = load()
        x = np.ascontiguousarray(source.data, np.float32)
        y = np.ascontiguousarray(source.target, np.int64)
        whole = np.array_equal(x, x.astype(np.uint8))
        np.savez_compressed(
            FOLDER / f"{name}.npz",
            x=x.astype(np.uint8) if whole else x,
            y=y.astype(np.uint8),
            feature_names=np.array(source.feature_names, dtype=str),
            target_names=np.array(source.target_names, dtype=str),
        )
        digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
        size = (FOLDER / f"{name}.npz").stat().st_size
        print(f'"{name}": "{digest}",  # {x.shape}, {size} bytes')


if __name__ == "__main__":
    main()
