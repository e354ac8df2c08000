"""Normal, LogNormal, HalfNormal and MultivariateNormal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from minigrad.distributions import constraints
from minigrad.distributions.distribution import Distribution, standard_normal, tensors
from minigrad.engine.grad_mode import no_grad
from minigrad.ops.matrices import cholesky, inv, solve_triangular
from minigrad.tensors.functions import matmul
from minigrad.tensors.random_numbers import normal
from minigrad.tensors.tensor import Tensor

LOG_2PI = math.log(2 * math.pi)


class Normal(Distribution):
    """The normal distribution of a mean and a standard deviation.

    >>> import minigrad as mg
    >>> round(Normal(0.0, 2.0).log_prob(mg.tensor(1.0)).item(), 4)
    -1.7371
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale**2

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        shape = self.extended(sample_shape)
        with no_grad():
            return normal(self.loc.expand(*shape), self.scale.expand(*shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return loc + scale e, e normal."""
        return self.loc + standard_normal(self.extended(sample_shape), self.loc) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        squares = (value - self.loc) ** 2 / (2 * self.scale**2)
        return -squares - self.scale.log() - LOG_2PI / 2

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return self.scale.log() + (0.5 + LOG_2PI / 2)

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        return 0.5 * (1 + ((value - self.loc) / self.scale / math.sqrt(2)).erf())

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability."""
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)


class LogNormal(Normal):
    """What has a normal logarithm; loc and scale are of the logarithm.

    >>> import minigrad as mg
    >>> round(LogNormal(0.0, 1.0).mean.item(), 4)
    1.6487
    """

    support = constraints.positive

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self) -> Tensor:
        squares = self.scale**2
        return squares.expm1() * (2 * self.loc + squares).exp()

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        return super().sample(sample_shape).exp()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return exp(loc + scale e), e normal."""
        return super().rsample(sample_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        logarithm = value.log()
        squares = (logarithm - self.loc) ** 2 / (2 * self.scale**2)
        return -squares - self.scale.log() - LOG_2PI / 2 - logarithm

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return super().entropy() + self.loc

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        return super().cdf(value.log())

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability."""
        return super().icdf(value).exp()


class HalfNormal(Distribution):
    """The absolute value of a normal number of mean 0.

    >>> round(HalfNormal(1.0).mean.item(), 4)
    0.7979
    """

    arg_constraints: ClassVar = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = tensors(scale)
        super().__init__(self.scale.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Tensor:
        return self.scale.detach() * 0

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return |scale e|, e normal."""
        return (standard_normal(self.extended(sample_shape), self.scale) * self.scale).abs()

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        squares = value**2 / (2 * self.scale**2)
        return math.log(2) - squares - self.scale.log() - LOG_2PI / 2

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return self.scale.log() + (0.5 + LOG_2PI / 2 - math.log(2))

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        return (value / self.scale / math.sqrt(2)).erf()

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability."""
        return self.scale * value.erfinv() * math.sqrt(2)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors, of one of: covariance, precision, Cholesky factor.

    Shape: loc (*, K), the matrix (*, K, K), values (*, K).

    >>> import minigrad as mg
    >>> normal = MultivariateNormal(mg.zeros(2), mg.eye(2))
    >>> round(normal.log_prob(mg.ones(2)).item(), 4)
    -2.8379
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        named = {name: m for name, m in given.items() if m is not None}
        if loc.ndim < 1 or len(named) != 1:
            raise ValueError(
                "MultivariateNormal: expected a mean of one dimension or more, and exactly one of "
                f"covariance_matrix, precision_matrix and scale_tril; got {sorted(named)}"
            )
        ((name, matrix),) = named.items()
        k = loc.shape[-1]
        batch = (loc.unsqueeze(-1) + matrix.detach() * 0).shape[:-2]
        self.loc = loc.expand(*batch, k)
        self._matrix = name
        self.__dict__[name] = matrix.expand(*batch, k, k)
        super().__init__(batch, (k,), validate_args)
        self._factor = factor(name, matrix)

    def expand(self, batch_shape: Sequence[int]) -> MultivariateNormal:
        """Return the distribution with its parameters repeated to a batch shape."""
        k = self.loc.shape[-1]
        matrix = self.__dict__[self._matrix].expand(*batch_shape, k, k)
        loc = self.loc.expand(*batch_shape, k)
        options: dict[str, Any] = {self._matrix: matrix}
        return MultivariateNormal(loc, **options, validate_args=False)

    def __getattr__(self, name: str) -> Tensor:
        if name not in ("covariance_matrix", "precision_matrix", "scale_tril"):
            raise AttributeError(f"MultivariateNormal has no attribute {name!r}")
        k = self.loc.shape[-1]
        if name == "scale_tril":
            found = self._factor
        else:
            found = matmul(self._factor, self._factor.mT)
            found = inv(found) if name == "precision_matrix" else found
        return found.expand(*self.batch_shape, k, k)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self._factor**2).sum(-1).expand(*self.batch_shape, *self.event_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return loc + L e, e normal."""
        e = standard_normal(self.extended(sample_shape), self.loc)
        return self.loc + matmul(self._factor, e.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        whitened = solve_triangular(
            self._factor, (value - self.loc).unsqueeze(-1), upper=False
        ).squeeze(-1)
        k = self.event_shape[0]
        return -0.5 * (k * LOG_2PI + (whitened**2).sum(-1)) - self._half_log_det()

    def entropy(self) -> Tensor:
        """Return the entropy."""
        k = self.event_shape[0]
        found = self._half_log_det() + 0.5 * k * (1 + LOG_2PI)
        return found.expand(*self.batch_shape)

    def _half_log_det(self) -> Tensor:
        return self._factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def factor(name: str, matrix: Tensor) -> Tensor:
    """Return the Cholesky factor of a covariance, from it or from its inverse."""
    if name == "scale_tril":
        return matrix
    return cholesky(matrix if name == "covariance_matrix" else inv(matrix))
