"""TransformedDistribution and the transforms; mixtures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad.distributions import constraints
from minigrad.distributions.constraints import Constraint
from minigrad.distributions.discrete import Categorical
from minigrad.distributions.distribution import Distribution, Independent, summed
from minigrad.nn.functional import log_softmax, logsigmoid, softplus
from minigrad.tensors.tensor import Tensor


class Transform:
    """A one-to-one function with the logarithm of its slope.

    A subclass has `_call`, `_inverse` and `log_abs_det_jacobian`.
    event_dim: how many of the last dimensions one value takes.

    >>> import minigrad as mg
    >>> round(ExpTransform().inv(mg.tensor(1.0)).item(), 4)
    0.0
    """

    bijective = True
    event_dim = 0
    domain: Constraint = constraints.real
    codomain: Constraint = constraints.real

    def __init__(self, cache_size: int = 0) -> None:
        self._cached: tuple[Any, Any] = (None, None)
        self._keeps = cache_size > 0

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return Inverse(self)

    def __call__(self, x: Tensor) -> Tensor:
        if self._keeps and x is self._cached[0]:
            return self._cached[1]
        y = self._call(x)
        if self._keeps:
            self._cached = x, y
        return y

    def inverted(self, y: Tensor) -> Tensor:
        """Return what it makes y of: of the last draw the very tensor, with a cache."""
        if self._keeps and y is self._cached[1]:
            return self._cached[0]
        return self._inverse(y)

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}._call")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}._inverse")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logarithm of the slope at x, where y is the value."""
        raise NotImplementedError(f"{type(self).__name__}.log_abs_det_jacobian")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Inverse(Transform):
    """The inverse of a transform."""

    def __init__(self, forward: Transform) -> None:
        super().__init__()
        self._forward = forward
        self.event_dim = forward.event_dim
        self.domain, self.codomain = forward.codomain, forward.domain

    @property
    def inv(self) -> Transform:
        return self._forward

    def _call(self, x: Tensor) -> Tensor:
        return self._forward.inverted(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self._forward(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logarithm of the slope at x, where y is the value."""
        return -self._forward.log_abs_det_jacobian(y, x)


class AffineTransform(Transform):
    """y = loc + scale x.

    >>> import minigrad as mg
    >>> AffineTransform(1.0, 2.0)(mg.tensor(3.0))
    tensor(7.)
    """

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self.event_dim = loc, scale, event_dim

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log |scale|."""
        s = self.scale
        slope = s.abs().log() if isinstance(s, Tensor) else math.log(abs(s))
        return summed(x.detach() * 0 + slope, self.event_dim)


class ExpTransform(Transform):
    """y = exp(x)."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return x."""
        return x


class SigmoidTransform(Transform):
    """y = 1 / (1 + exp(-x))."""

    codomain = constraints.unit_interval

    def _call(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logarithm of the slope at x, where y is the value."""
        return logsigmoid(x) + logsigmoid(-x)


class TanhTransform(Transform):
    """y = tanh(x)."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logarithm of the slope at x, where y is the value."""
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class SoftplusTransform(Transform):
    """y = log(1 + exp(x))."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logarithm of the slope at x, where y is the value."""
        return -softplus(-x)


class PowerTransform(Transform):
    """y = x ** exponent, of positive numbers."""

    domain = codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logarithm of the slope at x, where y is the value."""
        return (self.exponent * y / x).abs().log()


class ComposeTransform(Transform):
    """Several transforms, one after the other.

    >>> import minigrad as mg
    >>> ComposeTransform([AffineTransform(0.0, 2.0), AffineTransform(1.0, 1.0)])(mg.tensor(1.0))
    tensor(3.)
    """

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)
        self.event_dim = max((part.event_dim for part in self.parts), default=0)
        if self.parts:
            self.domain, self.codomain = self.parts[0].domain, self.parts[-1].codomain

    def _call(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part.inverted(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logarithm of the slope at x, where y is the value."""
        total: Any = 0.0
        for part in self.parts:
            value = part(x)
            slope = part.log_abs_det_jacobian(x, value)
            total = total + summed(slope, self.event_dim - part.event_dim)
            x = value
        return total if isinstance(total, Tensor) else x.detach() * 0


class TransformedDistribution(Distribution):
    """What becomes of a distribution's draws by transforms.

    >>> import minigrad as mg
    >>> from minigrad.distributions import Normal
    >>> log_normal = TransformedDistribution(Normal(0.0, 1.0), [ExpTransform()])
    >>> round(log_normal.log_prob(mg.tensor(2.0)).item(), 4)
    -1.8523
    """

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        base = base_distribution
        events = max([len(base.event_shape), *(t.event_dim for t in self.transforms)])
        more = events - len(base.event_shape)
        self.base_dist = Independent(base, more) if more else base
        self.has_rsample = base.has_rsample
        super().__init__(self.base_dist.batch_shape, self.base_dist.event_shape, validate_args)

    @property
    def support(self) -> Constraint:
        return self.transforms[-1].codomain if self.transforms else self.base_dist.support

    def expand(self, batch_shape: Sequence[int]) -> TransformedDistribution:
        """Return the distribution with its parameters repeated to a batch shape."""
        return TransformedDistribution(self.base_dist.expand(batch_shape), self.transforms)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        return self._transformed(self.base_dist.sample(sample_shape)).detach()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws through which gradients reach the parameters."""
        return self._transformed(self.base_dist.rsample(sample_shape))

    def _transformed(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        events, y, slopes = len(self.event_shape), value, []
        for transform in reversed(self.transforms):
            x = transform.inverted(y)
            slope = transform.log_abs_det_jacobian(x, y)
            slopes.append(summed(slope, events - transform.event_dim))
            y = x
        found = self.base_dist.log_prob(y)
        for slope in slopes:
            found = found - slope
        return found

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one, of rising transforms."""
        for transform in reversed(self.transforms):
            value = transform.inverted(value)
        return self.base_dist.cdf(value)

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability, of rising transforms."""
        return self._transformed(self.base_dist.icdf(value))

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist}, {self.transforms})"


class MixtureSameFamily(Distribution):
    """A mixture: the last dimension of the components' batch is what is chosen from.

    >>> import minigrad as mg
    >>> from minigrad.distributions import Normal
    >>> mix = MixtureSameFamily(Categorical(mg.ones(2)), Normal(mg.tensor([-1.0, 1.0]), 0.5))
    >>> mix.mean.item(), mix.sample((3,)).shape
    (0.0, (3,))
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        parts = component_distribution
        if tuple(parts.batch_shape)[-1:] != tuple(mixture_distribution.probs.shape)[-1:]:
            raise ValueError(
                "MixtureSameFamily: expected as many components as the mixture has classes, got "
                f"batch_shape {tuple(parts.batch_shape)} for {mixture_distribution}"
            )
        self.mixture_distribution, self.component_distribution = mixture_distribution, parts
        super().__init__(parts.batch_shape[:-1], parts.event_shape, validate_args)

    @property
    def support(self) -> Constraint:
        return self.component_distribution.support

    def _weighted(self, value: Tensor) -> Tensor:
        events = len(self.event_shape)
        probs = self.mixture_distribution.probs
        weights = probs.reshape(*probs.shape, *([1] * events))
        return (weights * value).sum(-1 - events)

    @property
    def mean(self) -> Tensor:
        return self._weighted(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        events = len(self.event_shape)
        within = self._weighted(self.component_distribution.variance)
        away = self.component_distribution.mean - self.mean.unsqueeze(-1 - events)
        return within + self._weighted(away**2)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        events, at = len(self.event_shape), len(sample_shape) + len(self.batch_shape)
        chosen = self.mixture_distribution.sample(sample_shape)
        drawn = self.component_distribution.sample(sample_shape)
        index = chosen.expand(*self.extended(sample_shape)[:at])
        index = index.reshape(*index.shape, *([1] * (events + 1)))
        index = index.expand(*index.shape[: at + 1], *self.event_shape)
        return drawn.gather(at, index).squeeze(at)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        if self._validate:
            self._check_value(value)
        value = value.unsqueeze(-1 - len(self.event_shape))
        each = self.component_distribution.log_prob(value)
        weights = log_softmax(self.mixture_distribution.logits, dim=-1)
        return (each + weights).logsumexp(dim=-1)

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        value = value.unsqueeze(-1 - len(self.event_shape))
        return (self.component_distribution.cdf(value) * self.mixture_distribution.probs).sum(-1)

    def expand(self, batch_shape: Sequence[int]) -> MixtureSameFamily:
        """Return the distribution with its parameters repeated to a batch shape."""
        parts = self.component_distribution
        each = parts.expand((*batch_shape, *tuple(parts.batch_shape)[-1:]))
        return MixtureSameFamily(self.mixture_distribution.expand(batch_shape), each)

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
        )
