"""Dropout, with a stream of random numbers of its own."""

from __future__ import annotations

import copy
from typing import Any

from minigrad.engine import arguments
from minigrad.engine.random import Generator
from minigrad.nn.functional.layers import check_dropout
from minigrad.nn.module import Module, registered
from minigrad.ops.dropout import dropped
from minigrad.tensors.tensor import Tensor


@registered
class Dropout(Module):
    """Set each element to 0 with probability `p` in training; do nothing in evaluation.

    scaling: "inverted" multiplies what is kept by 1 / (1 - p) in training; "classical" multiplies
    by 1 - p in evaluation instead, as the paper has it.
    Each module draws from a stream of its own and counts its calls, so a mask is a function of
    (seed, stream, call, element): the same for any number of threads, and drawn anew in every call.
    Source: Srivastava et al., "Dropout" (JMLR 2014).

    >>> import minigrad as mg
    >>> Dropout(0.5).eval()(mg.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5, *, scaling: str = "inverted") -> None:
        super().__init__()
        p = p if type(p) is float else arguments.number("Dropout", "p", p)
        check_dropout(p, scaling)
        self.p = p
        self.scaling = scaling
        self.generator = Generator()

    def forward(self, input: Tensor) -> Tensor:
        p = self.p
        if p == 0:
            return input
        if self.training:
            scale = 1 / (1 - p) if p < 1 and self.scaling == "inverted" else 1.0
            return dropped(input, p, scale, self.generator)
        return input if self.scaling == "inverted" else input * (1.0 - p)

    def __deepcopy__(self, memo: dict[int, Any]) -> Dropout:
        """Copy all but the stream: two modules of one stream would draw the same masks."""
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        for name, value in self.__dict__.items():
            made.__dict__[name] = Generator() if name == "generator" else copy.deepcopy(value, memo)
        return made

    def extra_repr(self) -> str:
        return f"p={self.p}" + ("" if self.scaling == "inverted" else f", scaling={self.scaling!r}")
