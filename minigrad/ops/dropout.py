"""Dropout: the mask is a pure function of (seed, stream, call, element), recomputed, never
stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine import random, sharding
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.op import Bridge, Op
from minigrad.engine.random import Generator
from minigrad.ops.common import Array, contiguous, op


@op
class Dropout(Op):
    """y = x * scale where a random word is at least p * 2^32, else 0 (also where x is infinite or
    NaN)
    """

    keeps = False

    def forward(
        self, x: Array, p: float, scale: float, seed: int, stream: int, call: Array
    ) -> Array:
        y = empty(x.shape, x.dtype)
        launch("dropout", contiguous(x).reshape(-1), p, scale, seed, stream, call, y.reshape(-1))
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Dropout.apply(g, **self.meta),)


def dropped(input: Any, p: float, scale: float, generator: Generator) -> Any:
    """Draw one mask from `generator` and apply it: of the rows of a batch that this process has,
    where it has a part, the mask that the whole batch would have there.
    """
    shared = random.source(generator)
    if shared.shared:  # its mask is drawn here, and kept
        kept = shared.bernoulli(1 - p, input.array.shape).astype(input.array.dtype)
        kept /= kept.dtype.type(1 / scale)
        return input * Bridge.new(kept)
    stream, first = generator.stream, None
    if sharding.now.shard is not None:
        sharding.hold_recording()
        first = sharding.first_element(input.array.shape)
        if not isinstance(input.array, np.ndarray):  # there every part has a mask of its own
            stream, first = (stream + (first << 8)) & 0xFFFFFFFF, None
    return Dropout.apply(
        input,
        p=p,
        scale=scale,
        seed=generator.seed,
        stream=stream,
        call=generator.next_call(first),
    )
