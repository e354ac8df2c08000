"""Arguments for the kernels of activation.py: those of elementwise.py, and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.activation import KERNELS
from minigrad_kernels.examples import NUMBERS
from tests.kernels.samples.elementwise import Arguments, sampler


def with_numbers(
    name: str, sample: Callable[[np.random.Generator, np.dtype[Any]], Arguments]
) -> Callable[[np.random.Generator, np.dtype[Any]], Arguments]:
    numbers = NUMBERS.get(name, ())
    return lambda rng, dtype: [(*args[:-1], *numbers, args[-1]) for args in sample(rng, dtype)]


SAMPLES = {
    name: with_numbers(name, sampler(name, 2 if name.endswith("_backward") else 1))
    for name in KERNELS
}
