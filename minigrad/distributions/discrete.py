"""Distributions of classes and counts: Bernoulli, Categorical, Geometric, Binomial ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from minigrad.distributions import constraints
from minigrad.distributions.constraints import Constraint
from minigrad.distributions.distribution import Distribution, tensors
from minigrad.engine.grad_mode import no_grad
from minigrad.nn.functional import binary_cross_entropy_with_logits, one_hot, softmax
from minigrad.ops.arranging import broadcast_tensors
from minigrad.tensors import creation
from minigrad.tensors.random_numbers import bernoulli, multinomial, poisson
from minigrad.tensors.tensor import Tensor


def clamped(probs: Tensor) -> Tensor:
    """Keep probabilities off 0 and 1, so that their logarithms are finite."""
    eps = float(np.finfo(probs.array.dtype).eps)
    return probs.clamp(min=eps, max=1 - eps)


class TwoWays(Distribution):
    """A distribution given by probabilities or by logits; the other is computed when asked for."""

    @staticmethod
    def _one(probs: Any, logits: Any) -> tuple[str, Any]:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        return ("probs", probs) if logits is None else ("logits", logits)

    def __getattr__(self, name: str) -> Any:
        if name == "probs" and "logits" in self.__dict__:
            return self._to_probs(self.__dict__["logits"])
        if name == "logits" and "probs" in self.__dict__:
            return self._to_logits(self.__dict__["probs"])
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _to_probs(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def _to_logits(self, probs: Tensor) -> Tensor:
        kept = clamped(probs)
        return kept.log() - (-kept).log1p()

    @property
    def param_shape(self) -> Any:
        """The shape of the parameters."""
        return self.__dict__[self._given].shape

    _given: str


class OneChance(TwoWays):
    """A distribution given by one probability, or its logit, an element."""

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._given, value = self._one(probs, logits)
        (self.__dict__[self._given],) = tensors(value)
        super().__init__(self.__dict__[self._given].shape, (), validate_args)


class Bernoulli(OneChance):
    """1 with a probability, else 0.

    >>> import minigrad as mg
    >>> round(Bernoulli(0.3).log_prob(mg.tensor(1.0)).item(), 4)
    -1.204
    """

    support = constraints.boolean

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        likely = (self.probs >= 0.5).to(self.probs.dtype)
        return likely.where(self.probs != 0.5, float("nan"))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        with no_grad():
            return bernoulli(self.probs.expand(*self.extended(sample_shape)).contiguous())

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of 0 or 1."""
        if self._validate:
            self._check_value(value)
        logits, value = broadcast_tensors(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return 0 and 1, along a new first dimension."""
        found = creation.arange(2, dtype=self.probs.dtype).reshape(*self._numbers(self.probs))
        return found.expand(-1, *self.batch_shape) if expand else found


class Categorical(TwoWays):
    """One of K classes; probs need not sum to one.

    Shape: probs or logits (*, K), values (*).

    >>> import minigrad as mg
    >>> round(Categorical(mg.tensor([1.0, 3.0])).log_prob(mg.tensor(1)).item(), 4)
    -0.2877
    """

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._given, value = self._one(probs, logits)
        if value.ndim < 1:
            raise ValueError(f"`{self._given}` parameter must be at least one-dimensional.")
        if self._given == "probs":
            self.probs = value / value.sum(-1, keepdim=True)
        else:
            self.logits = value - value.logsumexp(dim=-1, keepdim=True)
        self._num_events = value.shape[-1]
        super().__init__(value.shape[:-1], (), validate_args)

    def _to_probs(self, logits: Tensor) -> Tensor:
        return softmax(logits, dim=-1)

    def _to_logits(self, probs: Tensor) -> Tensor:
        return clamped(probs).log()

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        return creation.full(tuple(self.batch_shape), float("nan"), dtype=self.probs.dtype)

    variance = mean

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return classes, off the tape."""
        n = int(np.prod(tuple(sample_shape), dtype=np.int64))
        rows = self.probs.detach().reshape(-1, self._num_events)
        return multinomial(rows, n, True).T.reshape(*self.extended(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of classes."""
        if self._validate:
            self._check_value(value)
        indices = value.long().unsqueeze(-1)
        indices, logits = broadcast_tensors(indices, self.logits)
        return logits.gather(-1, indices[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        """Return the entropy."""
        lowest = float(np.finfo(self.logits.array.dtype).min)
        return -(self.logits.clamp(min=lowest) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return all classes, along a new first dimension."""
        found = creation.arange(self._num_events).reshape(*self._numbers(self.probs))
        return found.expand(-1, *self.batch_shape) if expand else found


class OneHotCategorical(Categorical):
    """One of K classes, as a vector with one 1.

    Shape: probs or logits (*, K), values (*, K).

    >>> import minigrad as mg
    >>> OneHotCategorical(mg.tensor([0.0, 1.0])).sample()
    tensor([0., 1.])
    """

    support = constraints.one_hot

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(probs, logits, validate_args)
        self._classes = Categorical(probs, logits, validate_args=False)
        self.event_shape = type(self.batch_shape)((self._num_events,))

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    @property
    def mode(self) -> Tensor:
        return one_hot(self.probs.argmax(-1), self._num_events).to(self.probs.dtype)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return one-hot vectors, off the tape."""
        drawn = self._classes.sample(sample_shape)
        return one_hot(drawn, self._num_events).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of one-hot vectors."""
        if self._validate:
            self._check_value(value)
        return self._classes.log_prob(value.argmax(-1))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return all one-hot vectors, along a new first dimension."""
        n = self._num_events
        found = creation.eye(n, dtype=self.probs.dtype)
        found = found.reshape(n, *([1] * len(self.batch_shape)), n)
        return found.expand(n, *self.batch_shape, n) if expand else found


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot draws whose gradient is that of the probabilities.

    Source: Bengio et al., "Estimating or propagating gradients through stochastic neurons" (2013).

    >>> import minigrad as mg
    >>> probs = mg.tensor([0.2, 0.8], requires_grad=True)
    >>> OneHotCategoricalStraightThrough(probs).rsample().requires_grad
    True
    """

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return one-hot vectors through which gradients reach the probabilities."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Geometric(OneChance):
    """The number of failures before the first success.

    >>> import minigrad as mg
    >>> round(Geometric(0.25).log_prob(mg.tensor(2.0)).item(), 4)
    -1.9617
    """

    support = constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return creation.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return counts, off the tape."""
        probs = self.probs.detach()
        tiny = float(np.finfo(probs.array.dtype).tiny)
        u = probs.new_empty(self.extended(sample_shape)).uniform_(tiny, 1)
        return (u.log() / (-probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of a count."""
        if self._validate:
            self._check_value(value)
        return value * (-self.probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        """Return the entropy."""
        found = binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
        return found / self.probs


class Poisson(Distribution):
    """Counts of a rate.  The draws of a seed are not PyTorch's.

    >>> import minigrad as mg
    >>> round(Poisson(3.0).log_prob(mg.tensor(2.0)).item(), 4)
    -1.4959
    """

    arg_constraints: ClassVar = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return counts, off the tape."""
        return poisson(self.rate.detach().expand(*self.extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of a count."""
        if self._validate:
            self._check_value(value)
        return value.xlogy(self.rate) - self.rate - (value + 1).lgamma()


class Binomial(TwoWays):
    """The number of successes of `total_count` trials.  The draws of a seed are not PyTorch's.

    >>> import minigrad as mg
    >>> round(Binomial(3, 0.5).log_prob(mg.tensor(1.0)).item(), 4)
    -0.9808
    """

    arg_constraints: ClassVar = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._given, value = self._one(probs, logits)
        self.__dict__[self._given], count = tensors(value, total_count)
        self.total_count = count.to(self.__dict__[self._given].dtype)
        super().__init__(self.total_count.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return counts, off the tape."""
        shape = self.extended(sample_shape)
        most = int(self.total_count.max().item()) if self.total_count.numel() else 0
        trials = bernoulli(self.probs.detach().expand(most, *shape).contiguous())
        numbers = creation.arange(most).reshape(most, *([1] * len(shape)))
        return (trials * (numbers < self.total_count)).sum(0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of a count."""
        if self._validate:
            self._check_value(value)
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        # log(1 - p) = -softplus(logits), without overflow.
        softplus = logits.clamp(min=0) + (-logits.abs()).exp().log1p()
        return ways + value * logits - n * softplus


class Multinomial(Categorical):
    """How often each of K classes comes in `total_count` draws.

    Shape: probs or logits (*, K), values (*, K).

    >>> import minigrad as mg
    >>> counts = Multinomial(10, mg.tensor([1.0, 1.0])).sample()
    >>> counts.shape, counts.sum().item()
    ((2,), 10.0)
    """

    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(probs, logits, validate_args)
        self.total_count = total_count
        self._classes = Categorical(probs, logits, validate_args=False)
        self.event_shape = type(self.batch_shape)((self._num_events,))

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return counts, off the tape."""
        drawn = self._classes.sample((self.total_count, *sample_shape))
        return one_hot(drawn, self._num_events).to(self.probs.dtype).sum(0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of counts."""
        if self._validate:
            self._check_value(value)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return ways + (self.logits * value).sum(-1)

    @property
    def mode(self) -> Tensor:
        raise NotImplementedError("Multinomial.mode: there is no closed form")

    def entropy(self) -> Tensor:
        """Refuse: there is no closed form."""
        raise NotImplementedError("Multinomial.entropy: there is no closed form")
