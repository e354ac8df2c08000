"""Golden files of arrays, read whole and closed: what is left open warns when it is collected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def arrays_of(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of an `.npz` file by their names."""
    with np.load(path) as file:
        return dict(file)
