"""Random numbers as a pure function: Philox4x32-10 of (seed; stream, call, element).

A *stream* is a consumer: the default generator, a Dropout module, an explicit `Generator`.  Each
counts its *calls*.  There is no hidden global order, so a mask is the same on any device, for any
number of threads, and when it is computed a second time in backward.

Threads may draw from one stream: no two draws have the same number, in whichever order they come.
A forked child goes on with its parent's seed and counts, as it does in PyTorch: two children draw
the same numbers, unless each calls `manual_seed` with a seed of its own.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import USED
from minigrad.engine.dispatch import empty, hold_over_fork, launch
from minigrad.engine.recording import each_call, expect

Array = np.ndarray[Any, Any]

EXPLICIT = 0x8000_0000  # the stream of generators with a seed of their own


class _Global:
    """The seed that all streams without one of their own share, and the streams to reset with
    it.
    """

    # Held while a count, the seed or the set of streams changes or is gone through.
    lock = threading.RLock()
    seed = int.from_bytes(os.urandom(6), "little")
    numbers = itertools.count(1)
    streams: ClassVar[weakref.WeakSet[Generator]] = weakref.WeakSet()


hold_over_fork(_Global.lock)


class _Watch(threading.local):
    """refused: raises where random numbers are drawn, set while this thread may draw none."""

    refused: Callable[[], None] | None = None


watch = _Watch()


def floating(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of numbers drawn from a continuous distribution; a TypeError where it would
    cut them to integers.
    """
    wanted: np.dtype[Any] = np.dtype(dtype)
    if wanted.kind != "f":
        raise TypeError(
            f"random numbers of {wanted}: expected a floating dtype; draw integers with randint"
        )
    return wanted


class Generator:
    """A stream of random numbers with its own count of calls.

    seed: a number makes the stream independent of `manual_seed`, and two generators of one seed
    equal; None takes the global seed and the next stream number.

    >>> Generator(7).uniform((2,)).tolist() == Generator(7).uniform((2,)).tolist()
    True
    """

    shared = False  # whether it stands for all streams, see engine/mersenne.py

    def __init__(self, seed: int | None = None, *, stream: int | None = None) -> None:
        if seed is not None:
            seed = check_seed(seed)
        self._seed = seed
        self.stream = (
            (next(_Global.numbers) if seed is None else EXPLICIT) if stream is None else stream
        )
        self.calls = 0
        with _Global.lock:
            _Global.streams.add(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on as a copy, or what was pickled, did; a new stream takes none of its numbers."""
        self.__dict__.update(state)
        if self._seed is None:
            following = next(_Global.numbers)
            _Global.numbers = itertools.count(max(following, self.stream + 1))
        _Global.streams.add(self)

    @property
    def seed(self) -> int:
        """The key of this stream: its own seed, else the global one."""
        return _Global.seed if self._seed is None else self._seed

    def manual_seed(self, seed: int) -> Generator:
        """Give this stream a seed of its own and start its count anew."""
        seed = check_seed(seed)
        with _Global.lock:
            self._seed = seed
            self.calls = 0
        return self

    def next_call(self, first: int | None = None) -> Array:
        """Count one use and return its number in a one-element array, as kernels take it; with
        `first`, the number of the first element that is drawn, behind it.
        """
        if watch.refused is not None:
            watch.refused()
        with _Global.lock:
            number = self.calls
            self.calls = number + 1
        made = np.array([number] if first is None else [number, first], np.int64)
        if USED:
            expect(self, "seed", self.seed)
            each_call(self._count, made)
        return made

    def _count(self, call: Array) -> None:
        """Count one use and write its number."""
        with _Global.lock:
            call[0] = self.calls
            self.calls += 1

    def _draw(self, kernel: str, size: int, dtype: Any) -> Array:
        y = empty(size, dtype)
        launch(kernel, self.seed, self.stream, self.next_call(), y)
        return y

    def uniform(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        """Return numbers uniform in [0, 1)."""
        return self._draw("uniform", math.prod(shape), floating(dtype)).reshape(tuple(shape))

    def normal(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        """Return standard normal numbers."""
        return self._draw("normal", math.prod(shape), floating(dtype)).reshape(tuple(shape))

    def between(self, a: float, b: float, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        """Return numbers uniform in [a, b)."""
        drawn = self.uniform(shape, dtype)
        drawn *= drawn.dtype.type(b - a)
        drawn += drawn.dtype.type(a)
        return drawn

    def bernoulli(self, p: Any, shape: Sequence[int]) -> Array:
        """Return bools that are true with probability `p`, one for all or one for each."""
        kind = np.float64 if np.ndim(p) == 0 else p.dtype
        return self.uniform(shape, kind) < p

    def exponential(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        """Return numbers of the exponential distribution of mean 1."""
        drawn: Array = -np.log1p(-self.uniform(shape, np.float64)).astype(floating(dtype))
        return drawn

    def seed64(self) -> int:
        """Return a seed for another generator."""
        return int(self._draw("random_bits", 2, np.uint32).view(np.uint64)[0] >> np.uint64(1))

    def integers(self, low: int, high: int, shape: Sequence[int]) -> Array:
        """Return int64 numbers uniform in [low, high)."""
        if high <= low:
            raise ValueError(f"integers: expected low < high, got low={low}, high={high}")
        words = self._draw("random_bits", 2 * math.prod(shape), np.uint32).view(np.uint64)
        return ((words % np.uint64(high - low)).astype(np.int64) + low).reshape(tuple(shape))

    def permutation(self, n: int) -> Array:
        """Return 0 ... n-1 in random order: the order of n random 64-bit words."""
        words = self._draw("random_bits", 2 * n, np.uint32).view(np.uint64)
        return order_of_words(words)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs: seed, stream and count of calls."""
        return {"seed": self._seed, "stream": self.stream, "calls": self.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        missing = {"seed", "stream", "calls"} - set(state)
        if missing:
            raise KeyError(
                f"Generator: the state lacks {sorted(missing)}; it must come from state_dict()"
            )
        self._seed, self.stream, self.calls = (
            state["seed"],
            int(state["stream"]),
            int(state["calls"]),
        )


def order_of_words(words: Array) -> Array:
    """Return the stable order of n random 64-bit words, as int64.

    Upper bits with a place in the lower ones are sorted, by NumPy's vector instructions; where two
    words agree in the upper bits, the words are.
    """
    bits = np.uint64(len(words).bit_length())
    packed = words >> bits
    packed <<= bits
    packed |= np.arange(len(words), dtype=np.uint64)
    packed.sort()
    upper = packed >> bits
    if (upper[1:] == upper[:-1]).any():
        return np.argsort(words, kind="stable")
    upper <<= bits
    packed ^= upper
    return packed.view(np.int64)


def check_seed(seed: int) -> int:
    """Return `seed`; a ValueError where it is not an int in [0, 2^64)."""
    try:
        found = arguments.whole("seed", "it", seed, 0)
    except ValueError:
        found = -1
    if not 0 <= found < 2**64:
        raise ValueError(f"seed: expected an int in [0, 2**64), got {seed!r}")
    return found


default = Generator(stream=0)


def source(generator: Generator | None) -> Generator:
    """Return where numbers are drawn: a generator, or the default one for None, and in the place
    of any stream where that one is shared.
    """
    if generator is None or (default.shared and not generator.shared):
        return default
    return generator


def manual_seed(seed: int) -> Generator:
    """Set the global seed, start every stream's count anew, and number new streams from 1.

    Modules made after it draw the same numbers again; returns the default generator.  Call it in
    each child of a fork, with a seed of its own: they all go on with their parent's numbers.

    >>> import minigrad as mg
    >>> _ = mg.manual_seed(0)
    >>> a = mg.rand(2)
    >>> _ = mg.manual_seed(0)
    >>> bool((a == mg.rand(2)).all())
    True
    """
    seed = check_seed(seed)
    with _Global.lock:
        _Global.seed = seed
        _Global.numbers = itertools.count(1)
        for stream in list(_Global.streams):
            stream.calls = 0
    return default


def snapshot() -> Callable[[], None]:
    """Return a function that sets the seed and every stream's count back to what they are now, as
    often as called.

    A stream made since starts anew, and those made after it get the same numbers again.
    """
    with _Global.lock:
        seed, number = _Global.seed, next(_Global.numbers)
        streams = list(_Global.streams)
        counts = {id(stream): (stream, stream._seed, stream.calls) for stream in streams}

    def rewind() -> None:
        with _Global.lock:
            _Global.seed, _Global.numbers = seed, itertools.count(number)
            for stream in list(_Global.streams):
                _, own, calls = counts.get(id(stream), (stream, stream._seed, 0))
                stream._seed, stream.calls = own, calls

    rewind()
    return rewind


def initial_seed() -> int:
    """Return the global seed."""
    return _Global.seed
