"""float16 in a kernel: the type, and `cuda.fp16`.

Two halves give a half, rounded once; a half and a whole number give float64, as Numba types them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np


class Half(np.float16):
    """A float16 whose arithmetic with whole numbers is float64's."""


def lifted(rule: Callable[[Any, Any], Any], turned: bool) -> Callable[[Any, Any], Any]:
    """Return an operator of a half and another number."""

    def apply(self: Any, other: Any) -> Any:
        if isinstance(other, int | np.integer) and not isinstance(other, bool):
            pair: tuple[Any, Any] = (np.float64(self), np.float64(other))
        else:
            pair = (np.float16(self), other)
        value = rule(*reversed(pair)) if turned else rule(*pair)
        return Half(value) if type(value) is np.float16 else value

    return apply


for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Half, f"__{name}__", lifted(getattr(operator, name), False))
    setattr(Half, f"__r{name}__", lifted(getattr(operator, name), True))


def single(rule: Callable[..., Any]) -> Callable[..., Half]:
    """Return a function of halves: computed in float32, rounded to float16."""
    return lambda *args: Half(rule(*(np.float32(a) for a in args)))


class Fp16:
    """`cuda.fp16`: the functions of halves."""

    hadd = staticmethod(single(operator.add))
    hsub = staticmethod(single(operator.sub))
    hmul = staticmethod(single(operator.mul))
    hdiv = staticmethod(single(operator.truediv))
    hfma = staticmethod(lambda a, b, c: Half(np.float64(a) * np.float64(b) + np.float64(c)))
    hneg = staticmethod(single(operator.neg))
    habs = staticmethod(single(abs))
    hsin = staticmethod(single(np.sin))
    hcos = staticmethod(single(np.cos))
    htanh = staticmethod(single(np.tanh))
    hlog = staticmethod(single(np.log))
    hlog2 = staticmethod(single(np.log2))
    hlog10 = staticmethod(single(np.log10))
    hexp = staticmethod(single(np.exp))
    hexp2 = staticmethod(single(np.exp2))
    hexp10 = staticmethod(single(lambda x: math.pow(10, x) if x < 5 else np.inf))
    hsqrt = staticmethod(single(np.sqrt))
    hrsqrt = staticmethod(single(lambda x: np.float32(1) / np.sqrt(x)))
    hrcp = staticmethod(single(lambda x: np.float32(1) / x))
    hceil = staticmethod(single(np.ceil))
    hfloor = staticmethod(single(np.floor))
    htrunc = staticmethod(single(np.trunc))
    hrint = staticmethod(single(np.rint))
    hmax = staticmethod(single(np.fmax))
    hmin = staticmethod(single(np.fmin))
    heq = staticmethod(operator.eq)
    hne = staticmethod(operator.ne)
    hge = staticmethod(operator.ge)
    hgt = staticmethod(operator.gt)
    hle = staticmethod(operator.le)
    hlt = staticmethod(operator.lt)
