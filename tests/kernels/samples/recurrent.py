"""Arguments for the kernels of recurrent/: one task and several, whole registers and parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.recurrent import examples
from minigrad_kernels.recurrent.product import ROWS, SMALL

Arguments = list[tuple[Any, ...]]

SHAPES = (  # T, B, H
    (2, 0, 3),
    (1, 1, 1),
    (3, 2, 3),
    (2, 3, 37),
    (4, 1, 100),
    (2, ROWS + 1, 5),
    (SMALL // (7 * 3 * 64 * 64) + 1, 7, 64),
    (2, 5, 200),
)


def of(make: Any) -> Any:
    """Return the samples of a kernel: every other one with its steps backwards."""

    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        found = []
        for k, shape in enumerate(SHAPES):
            args = make(rng, dtype, *shape)
            found.append(tuple(k % 2 == 1 if a is False else a for a in args))
        return found

    return sample


def without_bias(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    """Return the samples of `gru_forward`, a third of them without a bias."""
    found = of(examples.gru_forward)(rng, dtype)
    none = np.empty(0, dtype)
    return [(a[0], none, *a[2:]) if k % 3 == 1 else a for k, a in enumerate(found)]


SAMPLES = {
    "lstm_forward": of(examples.lstm_forward),
    "lstm_backward": of(examples.lstm_backward),
    "gru_forward": without_bias,
    "gru_backward": of(examples.gru_backward),
}
