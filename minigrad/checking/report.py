"""What a check raises, and what it allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


class GradcheckError(AssertionError):
    """The error of a failed check.

    mismatch: the worst element, or None where the fault is another.
    kind: the kind of mistake in a word, see docs/checking.md; "" where no kind explains it.
    """

    def __init__(self, message: str, mismatch: Any = None, kind: str = "") -> None:
        super().__init__(message)
        self.mismatch = mismatch
        self.kind = kind


@dataclass(frozen=True)
class Tolerance:
    """The distance that two derivatives may have: atol + rtol * |numeric|."""

    eps: float
    atol: float
    rtol: float
    noise: float = 1e-15  # of a value, relative: rounding that a difference of two is left with

    def allowed(self, numeric: Any) -> Any:
        return self.atol + self.rtol * np.abs(numeric)
