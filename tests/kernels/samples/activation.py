"""Arguments for the kernels of activation.py: those of elementwise.py, and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.compare.examples import NUMBERS
from minigrad_kernels.elementwise.activations import KERNELS, RULES
from tests.kernels.samples.elementwise import Arguments, sampler


def with_numbers(
    name: str, sample: Callable[[np.random.Generator, np.dtype[Any]], Arguments]
) -> Callable[[np.random.Generator, np.dtype[Any]], Arguments]:
    numbers = NUMBERS.get(name, ())
    return lambda rng, dtype: [(*args[:-1], *numbers, args[-1]) for args in sample(rng, dtype)]


def between(
    places: tuple[int, ...], sample: Callable[[np.random.Generator, np.dtype[Any]], Arguments]
) -> Callable[[np.random.Generator, np.dtype[Any]], Arguments]:
    """Return the sampler whose operands at `places` are targets: in [0, 1], or NaN."""

    def made(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        return [
            tuple(np.clip(a, 0, 1) if i in places else a for i, a in enumerate(args))
            for args in sample(rng, dtype)
        ]

    return made


TARGETS = {"bce_logits": (1,), "bce_logits_backward": (2,)}
TARGETS |= dict.fromkeys(("bce_logits_weighted", "bce_logits_slope"), (1, 2))
SAMPLES = {
    name: with_numbers(name, between(TARGETS.get(name, ()), sampler(name, RULES[name][1])))
    for name in KERNELS
}
