"""Distributions of numbers: Uniform, Exponential, Laplace, Cauchy, Gumbel, Gamma, Beta ..."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from minigrad.distributions import constraints
from minigrad.distributions.constraints import Constraint
from minigrad.distributions.distribution import Distribution, tensors
from minigrad.engine import random
from minigrad.engine.device import host_copy
from minigrad.tensors import creation
from minigrad.tensors.functions import stack
from minigrad.tensors.random_numbers import given_back
from minigrad.tensors.tensor import Tensor

EULER = 0.57721566490153286060


class Uniform(Distribution):
    """Numbers in [low, high).

    >>> import minigrad as mg
    >>> round(Uniform(0.0, 4.0).log_prob(mg.tensor(1.0)).item(), 4)
    -1.3863
    """

    arg_constraints: ClassVar = {"low": constraints.real, "high": constraints.real}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = tensors(low, high)
        super().__init__(self.low.shape, (), validate_args)
        if self._validate and not bool((self.low < self.high).all()):
            raise ValueError("Uniform is not defined when low>= high")

    @property
    def support(self) -> Constraint:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return low + (high - low) u, u in [0, 1)."""
        shape = self.extended(sample_shape)
        u = creation.rand(*shape, dtype=self.low.dtype, device=self.low.device)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        inside = ((self.low <= value) & (self.high > value)).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability."""
        return value * (self.high - self.low) + self.low


class Exponential(Distribution):
    """Waiting times of a rate.

    >>> import minigrad as mg
    >>> round(Exponential(2.0).log_prob(mg.tensor(1.0)).item(), 4)
    -1.3069
    """

    arg_constraints: ClassVar = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        return creation.zeros_like(self.rate)

    @property
    def variance(self) -> Tensor:
        return 1 / self.rate**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return e / rate, e exponential of rate 1."""
        drawn = self.rate.detach().new_empty(self.extended(sample_shape)).exponential_()
        return drawn / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        return self.rate.log() - self.rate * value

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return 1 - self.rate.log()

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability."""
        return -(-value).log1p() / self.rate


class Located(Distribution):
    """A distribution of a location and a scale."""

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    def _drawn(self, sample_shape: Sequence[int]) -> Tensor:
        return self.loc.detach().new_empty(self.extended(sample_shape))

    @property
    def mode(self) -> Tensor:
        return self.loc


class Laplace(Located):
    """Two exponentials back to back.

    >>> import minigrad as mg
    >>> round(Laplace(0.0, 1.0).log_prob(mg.tensor(1.0)).item(), 4)
    -1.6931
    """

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2

    @property
    def stddev(self) -> Tensor:
        return math.sqrt(2) * self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return loc - scale sign(u) log(1 - |u|), u in (-1, 1)."""
        eps = float(np.finfo(self.loc.array.dtype).eps)
        u = self._drawn(sample_shape).uniform_(eps - 1, 1)
        return self.loc - self.scale * u.sign() * (-u.abs()).log1p()

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return 1 + (2 * self.scale).log()

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        away = value - self.loc
        return 0.5 - 0.5 * away.sign() * (-away.abs() / self.scale).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability."""
        away = value - 0.5
        return self.loc - self.scale * away.sign() * (-2 * away.abs()).log1p()


class Cauchy(Located):
    """A ratio of two normal numbers, which has no mean.

    >>> import minigrad as mg
    >>> round(Cauchy(0.0, 1.0).log_prob(mg.tensor(1.0)).item(), 4)
    -1.8379
    """

    @property
    def mean(self) -> Tensor:
        return creation.full_like(self.loc, float("nan"))

    @property
    def variance(self) -> Tensor:
        return creation.full_like(self.loc, float("inf"))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return loc + scale c, c Cauchy of scale 1."""
        return self.loc + self._drawn(sample_shape).cauchy_() * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        squares = ((value - self.loc) / self.scale) ** 2
        return -math.log(math.pi) - self.scale.log() - squares.log1p()

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return math.log(4 * math.pi) + self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability."""
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc


class Gumbel(Located):
    """The largest of many numbers; its draws added to logits choose classes.

    >>> import minigrad as mg
    >>> round(Gumbel(0.0, 1.0).log_prob(mg.tensor(1.0)).item(), 4)
    -1.3679
    """

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * EULER

    @property
    def stddev(self) -> Tensor:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return loc - scale log(-log u), u in (0, 1)."""
        limits = np.finfo(self.loc.array.dtype)
        low, high = float(limits.tiny), 1 - float(limits.eps)
        shape = self.extended(sample_shape)
        u = creation.rand(*shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc - self.scale * (-(low + u * (high - low)).log()).log()

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return self.scale.log() + (1 + EULER)

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        return (-((self.loc - value) / self.scale).exp()).exp()


# ---------------------------------------------------------------- by way of the gamma distribution
def standard_gamma(alpha: Tensor) -> Tensor:
    """Return gamma numbers of rate 1, one for each concentration, off the tape.

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).
    """
    stream = random.source(None)
    found = np.array([gamma_number(float(a), stream) for a in host_copy(alpha.array).ravel()])
    kind = alpha.array.dtype
    least = np.finfo(kind).tiny
    return given_back(np.maximum(found, least).astype(kind).reshape(alpha.array.shape), alpha)


def gamma_number(alpha: float, stream: random.Generator) -> float:
    """Return one number by rejection: normal numbers bent, below 1 by way of alpha + 1."""
    scale = 1.0
    if alpha < 1:
        scale = (1 - float(stream.uniform((1,), np.float64)[0])) ** (1 / alpha)
        alpha += 1
    d = alpha - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        x = float(stream.normal((1,), np.float64)[0])
        y = 1 + c * x
        if y <= 0:
            continue
        v = y**3
        u = 1 - float(stream.uniform((1,), np.float64)[0])
        if u < 1 - 0.0331 * x**4 or math.log(u) < 0.5 * x * x + d * (1 - v + math.log(v)):
            return scale * d * v


class Gamma(Distribution):
    """Waiting times of several events; draws have no gradient to the concentration.

    >>> import minigrad as mg
    >>> round(Gamma(2.0, 1.0).log_prob(mg.tensor(1.0)).item(), 4)
    -1.0
    """

    arg_constraints: ClassVar = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.nonnegative

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = tensors(concentration, rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        shape = self.extended(sample_shape)
        return standard_gamma(self.concentration.detach().expand(*shape)) / self.rate.detach()

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        a, rate = self.concentration, self.rate
        return a.xlogy(rate) + (a - 1).xlogy(value) - rate * value - a.lgamma()

    def entropy(self) -> Tensor:
        """Return the entropy."""
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()


class Chi2(Gamma):
    """The sum of `df` squared normal numbers; draws have no gradient.

    >>> round(Chi2(3.0).mean.item(), 4)
    3.0
    """

    arg_constraints: ClassVar = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (half,) = tensors(df)
        super().__init__(0.5 * half, 0.5, validate_args)

    @property
    def df(self) -> Tensor:
        return self.concentration * 2


class StudentT(Distribution):
    """A normal number over the root of a chi-squared one; draws have no gradient.

    >>> import minigrad as mg
    >>> round(StudentT(3.0).log_prob(mg.tensor(0.0)).item(), 4)
    -1.0009
    """

    arg_constraints: ClassVar = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = tensors(df, loc, scale)
        super().__init__(self.df.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc.where(self.df > 1, float("nan"))

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        found = (self.scale**2 * self.df / (self.df - 2)).where(self.df > 2, float("inf"))
        return found.where(self.df > 1, float("nan"))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        shape, df = self.extended(sample_shape), self.df.detach()
        x = creation.randn(*shape, dtype=df.dtype, device=df.device)
        z = standard_gamma((0.5 * df).expand(*shape)) / 0.5
        return self.loc.detach() + self.scale.detach() * (x * (z / df).rsqrt())

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        y, df = (value - self.loc) / self.scale, self.df
        whole = self.scale.log() + 0.5 * df.log() + 0.5 * math.log(math.pi)
        whole = whole + (0.5 * df).lgamma() - (0.5 * (df + 1)).lgamma()
        return -0.5 * (df + 1) * (y**2 / df).log1p() - whole


class Dirichlet(Distribution):
    """Probabilities of K classes; draws have no gradient.

    Shape: concentration (*, K), values (*, K).

    >>> import minigrad as mg
    >>> round(Dirichlet(mg.ones(3)).log_prob(mg.tensor([0.2, 0.3, 0.5])).item(), 4)
    0.6931
    """

    arg_constraints: ClassVar = {
        "concentration": constraints.Constraint(
            "IndependentConstraint(GreaterThan(lower_bound=0.0), 1)", lambda x: x > 0, False, 1
        )
    }
    support = constraints.simplex

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        alpha = self.concentration.detach().expand(*self.extended(sample_shape))
        drawn = standard_gamma(alpha)
        return drawn / drawn.sum(-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        a = self.concentration
        powers = (a - 1.0).xlogy(value).sum(-1)
        return powers + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Tensor:
        """Return the entropy."""
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        found = a.lgamma().sum(-1) - total.lgamma() - (k - total) * total.digamma()
        return found - ((a - 1.0) * a.digamma()).sum(-1)


class Beta(Distribution):
    """Probabilities of one of two classes; draws have no gradient.

    >>> import minigrad as mg
    >>> round(Beta(2.0, 2.0).log_prob(mg.tensor(0.5)).item(), 4)
    0.4055
    """

    arg_constraints: ClassVar = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = tensors(concentration1, concentration0)
        super().__init__(self.concentration1.shape, (), validate_args)

    def _pair(self) -> Dirichlet:
        a, b = self.concentration1, self.concentration0
        return Dirichlet(stack([a, b], -1), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return (self.concentration1 - 1) / (self.concentration1 + self.concentration0 - 2)

    @property
    def variance(self) -> Tensor:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        return self._pair().sample(sample_shape).select(-1, 0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        return self._pair().log_prob(stack([value, 1.0 - value], -1))

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return self._pair().entropy()
