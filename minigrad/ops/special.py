"""Special functions, each with gradients to any order: `minigrad.special` has them all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError
from minigrad.engine.op import Op
from minigrad.ops.common import Array, floating, op
from minigrad.ops.elementwise import two, where
from minigrad.ops.logarithms import Exp2, logit
from minigrad.ops.pairs import xlogy
from minigrad.ops.reduce import logsumexp
from minigrad.ops.registry import public
from minigrad.ops.steps import round as round_
from minigrad.ops.trigonometry import FloatBinary
from minigrad.ops.unary import Erf, Exp, Expm1, FromOutput, Log, Log1p, Sigmoid, Unary, sign

ROOT_PI, ROOT_2 = math.sqrt(math.pi), math.sqrt(2)


# ---------------------------------------------------------------- error functions
@op
class Erfc(Unary):
    """y = 1 - erf a, right to its last bits where that is small"""

    kernel = "erfc"

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (g * Exp.apply(-(a * a)) * (-2 / ROOT_PI),)


@op
class Erfinv(FromOutput):
    """y with erf y = a; NaN beyond -1 and 1"""

    kernel = "erfinv"
    domain = "inside"

    def backward(self, g: Any) -> tuple[Any, ...]:
        y = self.output()
        return (g * Exp.apply(y * y) * (ROOT_PI / 2),)


# ---------------------------------------------------------------- the gamma function
@op
class Lgamma(Unary):
    """y = log |gamma(a)|; infinite at 0 and at whole numbers below"""

    kernel = "lgamma"
    domain = "positive"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * Digamma.apply(self.saved(0)),)


@op
class Digamma(Unary):
    """y = the derivative of log gamma(a); NaN at whole numbers below 0"""

    kernel = "digamma"
    domain = "positive"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * Polygamma.apply(self.saved(0), n=1),)


@op
class Polygamma(Op):
    """y = the n-th derivative of digamma at a, for n >= 1: (-1)^(n + 1) n! zeta(n + 1, a)"""

    @staticmethod
    def samples(draw: Any) -> Any:
        return draw.layouts(draw.positive_wave, n=1) + draw.layouts(draw.positive_wave, n=2)[3:5]

    def forward(self, a: Array, n: int) -> Array:
        a = floating(a)
        y = empty(a.shape, a.dtype, a)
        launch("zeta", np.asarray(n + 1.0, a.dtype), a, y)
        launch("mul", y, np.asarray((-1.0) ** (n + 1) * math.factorial(n), a.dtype), y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * Polygamma.apply(self.saved(0), n=self.meta["n"] + 1),)


@public("function", "special")
def polygamma(n: int, input: Any) -> Any:
    """Return the n-th derivative of digamma; as a method, `x.polygamma(n)`.

    >>> import minigrad as mg
    >>> polygamma(1, mg.tensor([1.0, 0.5]))
    tensor([1.6449, 4.9348])
    """
    n = arguments.whole("polygamma", "n", n)
    if n < 0:
        raise ArgumentError(f"polygamma: n must be at least 0, got {n}")
    return Polygamma.apply(input, n=n) if n else Digamma.apply(input)


def method_of(function: Any) -> Any:
    """Return a function with its first two arguments exchanged, as a method of its name."""

    def method(input: Any, n: int) -> Any:
        return function(n, input)

    method.__name__ = method.__qualname__ = function.__name__
    method.__doc__ = function.__doc__
    return method


public("method", inplace=True)(method_of(polygamma))


@public("tensor", "special", also=("multigammaln",), inplace=True)
def mvlgamma(input: Any, p: int) -> Any:
    """Return the logarithm of the multivariate gamma function of dimension `p`.

    >>> import minigrad as mg
    >>> mvlgamma(mg.tensor([2.0]), 1)
    tensor([0.])
    """
    if p < 1:
        raise ArgumentError(f"mvlgamma: p must be at least 1, got {p}")
    x = input if input.array.dtype.kind == "f" else input.float()
    total = Lgamma.apply(x)
    for k in range(1, p):
        total = total + Lgamma.apply(x - k / 2)
    return total + p * (p - 1) / 4 * math.log(math.pi)


@op
class Zeta(FloatBinary):
    """y = the sum of (b + k)^-a over k >= 0, Hurwitz's zeta function

    The gradient of the first is not known here: a tensor that requires one is refused.
    """

    kernel = "zeta"
    public = "special"
    domains = ("above one", "positive")

    @staticmethod
    def samples(draw: Any) -> Any:
        return [((draw.Constant(draw.above_one(3)), draw.positive(3)), {})]

    @classmethod
    def apply(cls, a: Any, b: Any) -> Any:
        if a.tracked:
            raise RuntimeError("zeta: no gradient is known of the first argument; detach() it")
        return super().apply(a, b)

    def backward(self, g: Any) -> tuple[Any, ...]:
        s = self.saved(0)
        return None, -(g * s * Zeta.apply(s + 1.0, self.saved(1)))


# ---------------------------------------------------------------- sin(x) / x, Bessel functions
class Derived(Op):
    """A function of one tensor whose kernel takes the order of its derivative."""

    kernel = ""
    keeps = True

    def launched(self, a: Array, first: float, second: float) -> Array:
        """Launch the kernel with two numbers."""
        a = floating(a)
        y = empty(a.shape, a.dtype, a)
        launch(self.kernel, a, first, second, y)
        return y


@op
class Sinc(Derived):
    """y = sin(pi a) / (pi a), 1 at 0; the derivative of that order"""

    kernel = "sinc"

    @staticmethod
    def samples(draw: Any) -> Any:
        return [*draw.layouts(draw.wave), ((np.array([0.0, 1.0, -2.5, 4.0]),), {"order": 1})]

    def forward(self, a: Array, order: int = 0) -> Array:
        return self.launched(a, float(order), 0.0)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * Sinc.apply(self.saved(0), order=self.meta.get("order", 0) + 1),)


@op
class BesselI(Derived):
    """y = I_order(a), the modified Bessel function of the first kind; scaled: times e^-|a|"""

    kernel = "bessel_i"

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            *draw.layouts(draw.wave, order=0, scaled=False)[2:5],
            ((np.array([0.5, -3.0, 25.0]),), {"order": 1, "scaled": True}),
            ((np.array([0.5, -3.0, 12.0]),), {"order": 2, "scaled": True}),
        ]

    def forward(self, a: Array, order: int, scaled: bool) -> Array:
        return self.launched(a, float(order), float(scaled))

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, (order, scaled) = self.saved(0), (self.meta["order"], self.meta["scaled"])
        near = [BesselI.apply(a, order=abs(order + k), scaled=scaled) for k in (-1, 1)]
        slope = (near[0] + near[1]) * 0.5
        if scaled:
            slope = slope - BesselI.apply(a, order=order, scaled=True) * sign(a)
        return (g * slope,)


@public("tensor", "special", inplace=True)
def sinc(input: Any) -> Any:
    """Return sin(pi x) / (pi x), 1 at 0.

    >>> import minigrad as mg
    >>> sinc(mg.tensor([0.0, 0.5]))
    tensor([1.0000, 0.6366])
    """
    return Sinc.apply(input)


@public("tensor", "special", inplace=True)
def i0(input: Any) -> Any:
    """Return the modified Bessel function of the first kind, order 0.

    >>> import minigrad as mg
    >>> i0(mg.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    return BesselI.apply(input, order=0, scaled=False)


@public("special")
def i0e(input: Any) -> Any:
    """Return i0(x) e^-|x|."""
    return BesselI.apply(input, order=0, scaled=True)


@public("special")
def i1(input: Any) -> Any:
    """Return the modified Bessel function of the first kind, order 1."""
    return BesselI.apply(input, order=1, scaled=False)


@public("special")
def i1e(input: Any) -> Any:
    """Return i1(x) e^-|x|."""
    return BesselI.apply(input, order=1, scaled=True)


# ---------------------------------------------------------------- compositions
@public("special")
def xlog1py(input: Any, other: Any) -> Any:
    """Return x log(1 + y), 0 where x is 0; NaN where y is.

    >>> import minigrad as mg
    >>> xlog1py(mg.tensor([0.0, 2.0]), mg.tensor([-1.0, 0.0]))
    tensor([0., 0.])
    """
    a, b = two(input, other)
    flat = (a == 0) & ((b <= -1) | (b == math.inf))
    return a * Log1p.apply(where(flat, 0, b))


@public("special")
def entr(input: Any) -> Any:
    """Return -x log x: 0 at 0, -inf below.

    >>> import minigrad as mg
    >>> entr(mg.tensor([0.0, 0.5, -1.0]))
    tensor([0.0000, 0.3466,   -inf])
    """
    x = input if input.array.dtype.kind == "f" else input.float()
    inside = -(x * Log.apply(where(x == 0, 1.0, x)))
    return where(x < 0, -math.inf, where(x == 0, 0.0, inside))


@public("special")
def ndtr(input: Any) -> Any:
    """Return the normal distribution's cumulative probability.

    >>> import minigrad as mg
    >>> ndtr(mg.tensor([0.0, 1.0]))
    tensor([0.5000, 0.8413])
    """
    return Erfc.apply(input * -math.sqrt(0.5)) * 0.5


@public("special")
def log_ndtr(input: Any) -> Any:
    """Return the logarithm of `ndtr`, right far below 0, too.

    >>> import minigrad as mg
    >>> log_ndtr(mg.tensor([0.0, -20.0]))
    tensor([  -0.6931, -203.9172])
    """
    x = input if input.array.dtype.kind == "f" else input.float()
    low = x < -1
    t = x * math.sqrt(0.5)
    tail = Log.apply(erfcx(where(low, -t, 0.0)) * 0.5) - where(low, t * t, 0.0)
    near = Log1p.apply(Erfc.apply(where(low, 0.0, t)) * -0.5)
    return where(low, tail, near)


@public("special")
def ndtri(input: Any) -> Any:
    """Return x with ndtr(x) = the input: -inf at 0, inf at 1.

    >>> import minigrad as mg
    >>> ndtri(mg.tensor([0.5, 0.8413447]))
    tensor([0.0000, 1.0000])
    """
    return Erfinv.apply(input * 2.0 - 1.0) * ROOT_2


@op
class Erfcx(FromOutput):
    """y = e^(a^2) erfc a"""

    kernel = "erfcx"
    public = "special"
    keeps = True

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * (self.saved(0) * self.output() * 2.0 - 2 / ROOT_PI),)


def erfcx(input: Any) -> Any:
    """Return e^(x^2) erfc x."""
    return Erfcx.apply(input)


# ---------------------------------------------------------------- functions of other rooms
OF_OTHERS = {
    "erf": Erf,
    "erfc": Erfc,
    "erfinv": Erfinv,
    "exp2": Exp2,
    "expm1": Expm1,
    "expit": Sigmoid,
    "log1p": Log1p,
    "gammaln": Lgamma,
    "digamma": Digamma,
    "psi": Digamma,
}


def of_special(name: str, cls: Any) -> Any:
    """Return an op as a function of `minigrad.special`."""

    def function(input: Any) -> Any:
        return cls.apply(input)

    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = f"Compute {cls.__doc__}"
    return function


for _name, _cls in OF_OTHERS.items():
    public("special")(of_special(_name, _cls))


for _function in (logit, xlogy, logsumexp, round_):
    public("special")(_function)
