"""PyTorch's random numbers, for `minigrad.as_torch`: the same seed gives the same numbers.

A Mersenne twister, one sequence for all that draws; how its words become numbers is what PyTorch
does on a CPU: 24 bits for a float32, 53 for a float64, Box and Muller's method for normal numbers,
in blocks of 16 from 16 numbers on.  Its last bits may differ where a logarithm is rounded.

Source: Matsumoto and Nishimura, "Mersenne twister" (1998); Box and Muller, "A note on the
generation of random normal deviates" (1958).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.random import Array, Generator, check_seed, floating

BLOCK = 16
WIDE = 2**28  # ranges from here on take two words a number
FIRST_SEED = 67280421310721  # what a PyTorch generator starts from


class MersenneTwister(Generator):
    """A sequence of PyTorch's random numbers.

    device: "cpu"; other devices have other numbers, so none.

    >>> MersenneTwister().manual_seed(0).integers(0, 100, (4,)).tolist()
    [44, 39, 33, 60]
    """

    shared = True

    def __init__(self, device: Any = "cpu", seed: int = FIRST_SEED) -> None:
        super().__init__(seed)
        self.device = device
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> MersenneTwister:
        """Start the sequence of a seed; negative ones count from 2^64 down."""
        super().manual_seed(check_seed(seed + 2**64 if -(2**63) <= seed < 0 else seed))
        self._words = np.random.MT19937()
        self._words._legacy_seeding(self.seed & 0xFFFF_FFFF)
        self._second: float | None = None  # of a pair of normal numbers, kept for the next call
        return self

    def initial_seed(self) -> int:
        """Return the seed that the sequence began with."""
        return self.seed

    # ------------------------------------------------------------ words
    def words(self, n: int) -> Array:
        """Return `n` words of 32 bits."""
        return self._words.random_raw(n)

    def wide(self, n: int) -> Array:
        """Return `n` words of 64 bits."""
        both = self.words(2 * n).reshape(n, 2)
        return (both[:, 0] << np.uint64(32)) | both[:, 1]

    def _unit(self, n: int, dtype: np.dtype[Any]) -> Array:
        """Return `n` numbers in [0, 1)."""
        if dtype == np.float32:
            bits = self.words(n) & np.uint64(2**24 - 1)
            return bits.astype(np.float32) * np.float32(2.0**-24)
        return (self.wide(n) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53

    # ------------------------------------------------------------ numbers
    def uniform(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        return self._unit(math.prod(shape), floating(dtype)).reshape(tuple(shape))

    def between(self, a: float, b: float, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        unit = self.uniform(shape, dtype)
        low, high = unit.dtype.type(a), unit.dtype.type(b)
        wide = unit.astype(np.float64) * np.float64(high - low) + np.float64(low)  # rounded once
        return wide.astype(unit.dtype)

    def normal(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        n, wanted = math.prod(shape), floating(dtype)
        drawn = self._few(n).astype(wanted) if n < BLOCK else self._blocks(n, wanted)
        return drawn.reshape(tuple(shape))

    def _few(self, n: int) -> Array:
        """Return fewer normal numbers than a block, in float64, by pairs."""
        found: list[float] = []
        if n and self._second is not None:
            found.append(self._second)
            self._second = None
        while len(found) < n:
            angle, odds = self._unit(2, np.dtype(np.float64))
            radius = np.sqrt(-2.0 * np.log1p(-odds))
            found += [radius * np.cos(2 * np.pi * angle), radius * np.sin(2 * np.pi * angle)]
        if len(found) > n:
            self._second = found.pop()
        return np.array(found)

    def _blocks(self, n: int, dtype: np.dtype[Any]) -> Array:
        """Return normal numbers in blocks; the last block is drawn anew where it is not whole."""
        drawn = self._unit(n, dtype)
        whole = n - n % BLOCK
        drawn[:whole] = transformed(drawn[:whole].reshape(-1, BLOCK)).reshape(-1)
        if whole < n:
            last = self._unit(BLOCK, dtype).reshape(1, BLOCK)
            drawn[n - BLOCK :] = transformed(last).reshape(-1)
        return drawn

    def integers(self, low: int, high: int, shape: Sequence[int]) -> Array:
        if high <= low:
            raise ValueError(f"integers: expected low < high, got low={low}, high={high}")
        n, span = math.prod(shape), high - low
        words = self.wide(n) if span >= WIDE else self.words(n)
        return ((words % np.uint64(span)).astype(np.int64) + low).reshape(tuple(shape))

    def permutation(self, n: int) -> Array:
        order = list(range(n))
        for i, word in enumerate(self.words(max(n - 1, 0)).tolist()):
            j = i + word % (n - i)
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)

    def bernoulli(self, p: Any, shape: Sequence[int]) -> Array:
        n = math.prod(shape)
        kind = np.dtype(np.float64 if np.ndim(p) == 0 else p.dtype)
        return self._unit(n, kind).reshape(tuple(shape)) < p

    def exponential(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        drawn = -np.log1p(-self._unit(math.prod(shape), np.dtype(np.float64)))
        return drawn.astype(floating(dtype)).reshape(tuple(shape))

    def seed64(self) -> int:
        return int(self.wide(1)[0] % np.uint64(2**63))

    # ------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        inner = self._words.state["state"]
        words = [*inner["key"].tolist(), int(inner["pos"])]
        return {**super().state_dict(), "words": words, "second": self._second}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if "words" in state:
            *key, pos = state["words"]
            inner: Any = {"key": np.array(key, np.uint64), "pos": pos}
            self._words.state = {"bit_generator": "MT19937", "state": inner}
            self._second = state["second"]

    def get_state(self) -> Any:
        """Return where the sequence stands, as bytes."""
        state = self.state_dict()
        second = math.nan if state["second"] is None else state["second"]
        held = np.array([state["seed"] % 2**64, *state["words"]], np.uint64)
        return np.concatenate([held.view(np.uint8), np.array([second]).view(np.uint8)])

    def set_state(self, held: Any) -> None:
        """Go on where `get_state` was called."""
        held = np.asarray(held, np.uint8)
        numbers = held[:-8].copy().view(np.uint64).tolist()
        second = float(held[-8:].copy().view(np.float64)[0])
        state = {"seed": numbers[0], "stream": self.stream, "calls": 0, "words": numbers[1:]}
        self.load_state_dict({**state, "second": None if math.isnan(second) else second})


def transformed(unit: Array) -> Array:
    """Return uniform numbers as normal ones, rows of 16: the first eight are radii, the others
    angles.
    """
    kind, half = unit.dtype.type, BLOCK // 2
    radius = np.sqrt(kind(-2) * np.log(kind(1) - unit[:, :half]))
    angle = kind(2 * np.pi) * unit[:, half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
