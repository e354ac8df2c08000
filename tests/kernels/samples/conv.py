"""Arguments for the kernels of conv.py."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]


class Case(NamedTuple):
    """One convolution: batch, channels, size of the image, of the kernel, and how it slides."""

    batch: int
    channels: int
    image: tuple[int, int]
    out: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def how(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups

    def arrays(self, rng: np.random.Generator, dtype: Any) -> tuple[Array, Array, Array, Array]:
        """Return x, weight, bias and a y or dy."""
        x = rng.normal(size=(self.batch, self.channels, *self.image))
        weight = rng.normal(size=(self.out, self.channels // self.groups, *self.kernel))
        grid = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(self.image, self.kernel, *self.how[:3], strict=True)
        ]
        weight /= weight[0].size ** 0.5
        y = rng.normal(size=(self.batch, self.out, *grid))
        bias = rng.normal(size=self.out)
        return tuple(a.astype(dtype) for a in (x, weight, bias, y))  # type: ignore[return-value]


CASES = (
    Case(0, 2, (5, 5), 3, (3, 3)),
    Case(1, 1, (1, 1), 1, (1, 1)),
    Case(3, 1, (28, 28), 6, (5, 5), padding=(2, 2)),
    Case(2, 6, (14, 14), 16, (5, 5)),
    Case(2, 64, (6, 6), 33, (1, 1)),
    Case(2, 3, (1, 41), 7, (1, 5), stride=(1, 2), padding=(0, 3), dilation=(1, 3)),
    Case(2, 4, (9, 11), 6, (3, 2), stride=(2, 3), padding=(1, 2), groups=2),
    Case(2, 4, (7, 7), 8, (3, 3), padding=(1, 1), groups=4),  # depthwise
    Case(1, 40, (5, 5), 3, (3, 3), stride=(3, 3), padding=(4, 4)),  # margins wider than the reach
    Case(2, 2, (7, 6), 2, (2, 2), stride=(3, 4)),  # elements of x that nothing sees
    Case(1, 3, (8, 8), 5, (3, 3), padding=(2, 2), dilation=(2, 2)),
    Case(1, 2, (90, 300), 3, (3, 3), padding=(1, 0)),  # several bands
    Case(2, 3, (12, 13), 20, (3, 3), padding=(1, 1)),  # patches packed, more filters than MANY
    Case(9, 40, (8, 8), 13, (3, 3), padding=(1, 1)),  # more taps than a panel, more than a part
    # Filters enough to be lanes of the weight's gradient, images enough to pack the weights first.
    Case(9, 6, (9, 11), 70, (3, 2), stride=(2, 3), padding=(1, 2)),
    Case(5, 8, (12, 9), 80, (2, 3), dilation=(2, 1), groups=2),
    Case(1, 2, (60, 300), 33, (3, 3)),  # in several bands
)


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for k, case in enumerate(CASES):
        x, weight, bias, y = case.arrays(rng, dtype)
        found.append((x, weight, bias[: 0 if k % 3 == 2 else None], *case.how, y))
    return found


def backward_input(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for case in CASES:
        x, weight, _, dy = case.arrays(rng, dtype)
        found.append((dy, weight, *case.how, x))
    return found


def backward_weight(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for k, case in enumerate(CASES):
        x, weight, bias, dy = case.arrays(rng, dtype)
        dy /= max(1, dy[:, 0].size) ** 0.5
        found.append((dy, x, *case.how, weight, bias[: 0 if k % 3 == 2 else None]))
    return found


SAMPLES = {
    "conv": forward,
    "conv_backward_input": backward_input,
    "conv_backward_weight": backward_weight,
}
