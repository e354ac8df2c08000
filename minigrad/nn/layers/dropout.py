"""Dropout, with a stream of random numbers of its own."""

from __future__ import annotations

import copy
from typing import Any

from minigrad.engine import arguments
from minigrad.engine.random import Generator
from minigrad.nn import functional
from minigrad.nn.functional.layers import check_dropout
from minigrad.nn.module import Module, registered
from minigrad.ops.dropout import dropped
from minigrad.tensors.registry import function_in_place
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

    def __init__(self, p: float = 0.5, inplace: bool = False, *, scaling: str = "inverted") -> None:
        super().__init__()
        p = p if type(p) is float else arguments.number(self._get_name(), "p", p)
        check_dropout(p, scaling)
        self.p = p
        self.inplace = inplace
        self.scaling = scaling
        self.generator = Generator()

    def forward(self, input: Tensor) -> Tensor:
        if self.inplace:
            made: Tensor = function_in_place("Dropout", self.compute)(input)
            return made
        return self.compute(input)

    def compute(self, input: Tensor) -> Tensor:
        """Return the result, in memory of its own where it differs from the input."""
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
        scaling = "" if self.scaling == "inverted" else f", scaling={self.scaling!r}"
        return f"p={self.p}, inplace={self.inplace}{scaling}"


class OfChannels(Dropout):
    """The base of the dropouts that are functions of nn.functional."""

    function = ""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(p, inplace)

    def forward(self, input: Tensor) -> Any:
        function = getattr(functional, self.function)
        return function(input, self.p, self.training, self.inplace, generator=self.generator)


@registered
class Dropout1d(OfChannels):
    """Set whole channels of signals to 0 in training: (N, C, L) or (C, L).

    >>> import minigrad as mg
    >>> Dropout1d().eval()(mg.ones(1, 2, 3)).shape
    (1, 2, 3)
    """

    function = "dropout1d"


@registered
class Dropout2d(OfChannels):
    """Set whole channels of images to 0 in training: (N, C, H, W) or (C, H, W).

    >>> import minigrad as mg
    >>> Dropout2d().eval()(mg.ones(1, 2, 3, 3)).shape
    (1, 2, 3, 3)
    """

    function = "dropout2d"


@registered
class Dropout3d(OfChannels):
    """Set whole channels of volumes to 0 in training: (N, C, D, H, W) or (C, D, H, W).

    >>> import minigrad as mg
    >>> Dropout3d().eval()(mg.ones(1, 2, 3, 3, 3)).shape
    (1, 2, 3, 3, 3)
    """

    function = "dropout3d"


@registered
class AlphaDropout(OfChannels):
    """Dropout that keeps mean and variance, for SELU; see `functional.alpha_dropout`.

    >>> import minigrad as mg
    >>> AlphaDropout().eval()(mg.ones(2))
    tensor([1., 1.])
    """

    function = "alpha_dropout"


@registered
class FeatureAlphaDropout(OfChannels):
    """`AlphaDropout` of whole channels.

    >>> import minigrad as mg
    >>> FeatureAlphaDropout().eval()(mg.ones(1, 2))
    tensor([[1., 1.]])
    """

    function = "feature_alpha_dropout"
