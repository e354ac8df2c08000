"""Checks of numbers on a GPU that do not wait for it: judged there, told at the next read.

A kernel writes where the first wrong element lies to a word of the check's own.  Whoever reads
anything of the device, the loss say, gets these words in the same wait, and the error there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad_kernels.cuda.array import Array, DeviceArray

WORDS = 64  # checks between two reads that are told apart
FINE = 2**31 - 1  # what a word says where no element is wrong


class Pending(NamedTuple):
    """A check that was launched.  refuse: raises the error about `array`, looking at it again."""

    array: DeviceArray
    refuse: Callable[[Any], None]


class LateChecks:
    """The checks of a device whose outcome nobody has read yet.

    pending: by the number of their word.
    """

    def __init__(self, target: Any) -> None:
        self.target = target
        self.pending: dict[int, Pending] = {}
        self.words: DeviceArray | None = None
        self.each: list[DeviceArray] = []  # each word as an array of one element
        self.next = 0
        self.said: Any = None  # pinned memory for the words

    def add(
        self,
        array: DeviceArray,
        launch: Callable[[DeviceArray], None],
        refuse: Callable[[Any], None],
    ) -> None:
        """Launch a check of an array.

        launch: given a word, an int32 array of one element, has a kernel lower it to the index of
            the first wrong element.  refuse: given the array's numbers, raises the error.
        """
        target = self.target
        if self.words is None:
            self.words = words = target.lasting(np.full(WORDS, FINE, np.int32))
            self.each = [words[i : i + 1] for i in range(WORDS)]
        number = self.next % WORDS
        self.next += 1
        launch(self.each[number])
        self.pending[number] = Pending(array, refuse)
        graph = target.ready.graph
        if graph is not None:
            graph.checks.append((number, self.pending[number]))

    def asked(self, stream: Any) -> Array:
        """Return memory of the host that the words are copied to, once the stream comes to it."""
        assert self.words is not None
        if self.said is None:
            self.said = self.target.pinned(WORDS, np.int32)
        said: Array = self.said
        self.target.driver.copy_out(
            said.ctypes.data, self.words.address, said.nbytes, stream.number
        )
        return said

    def judge(self, said: Array) -> None:
        """Raise the error of the first check that failed; the others are forgotten with it."""
        pending, self.pending = self.pending, {}
        wrong = np.flatnonzero(said != FINE)
        if not wrong.size:
            return
        assert self.words is not None
        self.target.write(self.words, FINE)
        for number in wrong.tolist():
            check = pending.get(number)
            if check is not None:
                check.refuse(check.array.read())
        at = int(said[wrong[0]])
        raise ValueError(
            f"a number at position {at} of a target or an input was out of range on "
            f"{self.target.name}; it has been overwritten since: check such numbers before they "
            "are sent there"
        )
