"""Arguments for the CUDA kernels of convolution: two tiles of channels, of outputs and of taps,
chunks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.samples.conv import Case

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]
CASES = (
    Case(1, 2, (6, 12), 66, (1, 2)),  # two tiles of 64 channels, of outputs
    Case(1, 2, (4, 8), 8, (2, 3), padding=(0, 1)),  # rows of outputs that vectors cover
    Case(2, 8, (7, 6), 16, (3, 2), stride=(2, 3), padding=(2, 1), dilation=(2, 1), groups=2),
)
WIDE = Case(1, 8, (2, 4), 9, (3, 3), padding=(1, 1))  # 72 taps in all, tiles of dx too
LONG = Case(2, 1, (6, 8), 8, (2, 1))  # more outputs than a chunk of dw
FLAT = Case(1, 2, (1, 80), 2, (1, 3), groups=2)  # the same without tiles


def cases(dtype: np.dtype[Any], *others: Case) -> tuple[Case, ...]:
    """Return the cases for tiles, of float32, or for a thread a result."""
    return (*CASES, *others) if dtype == np.float32 else (CASES[-1], FLAT)


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for k, case in enumerate(cases(dtype)):
        x, weight, bias, y = case.arrays(rng, dtype)
        found.append((x, weight, bias[: 0 if k % 2 else None], *case.how, y))
    return found


def backward_input(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for case in cases(dtype, WIDE)[-2:]:
        x, weight, _, dy = case.arrays(rng, dtype)
        found.append((dy, weight, *case.how, x))
    return found


def backward_weight(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for k, case in enumerate(cases(dtype, WIDE, LONG, FLAT)[-5:]):
        x, weight, bias, dy = case.arrays(rng, dtype)
        dy /= max(1, dy[:, 0].size) ** 0.5
        found.append((dy, x, *case.how, weight, bias[: 0 if k == 2 else None]))
    return found


SAMPLES = {
    "conv": forward,
    "conv_backward_input": backward_input,
    "conv_backward_weight": backward_weight,
}
