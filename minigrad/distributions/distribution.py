"""Distribution: what all have in common; and Independent, which sums over dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from minigrad.distributions import constraints
from minigrad.distributions.constraints import Constraint
from minigrad.engine.grad_mode import no_grad
from minigrad.engine.values import default_dtype
from minigrad.ops.arranging import broadcast_tensors
from minigrad.tensors import creation
from minigrad.tensors.shapes import Size
from minigrad.tensors.tensor import Tensor

D = TypeVar("D", bound="Distribution")


class Distribution:
    """A distribution of random tensors.

    batch_shape: parameters of one shape are as many distributions side by side.
    event_shape: the shape of one draw of one of them.
    Draws and values are of shape (*sample_shape, *batch_shape, *event_shape), `log_prob` is of
    shape (*sample_shape, *batch_shape).
    Raises: ValueError for parameters or values outside what the distribution is of, unless
    `validate_args=False`.
    """

    arg_constraints: ClassVar[Mapping[str, Constraint]] = {}
    support: Any = constraints.real
    has_rsample = False
    _validate = True

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self.batch_shape, self.event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate = validate_args
        if self._validate:
            for name, constraint in self.arg_constraints.items():
                if name in self.__dict__:  # what a property computes is not given
                    self._check_parameter(name, getattr(self, name), constraint)

    def _check_parameter(self, name: str, value: Tensor, constraint: Constraint) -> None:
        if not bool(constraint.check(value).all()):
            raise ValueError(
                f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"of distribution {self!r} to satisfy the constraint {constraint!r}, but found "
                f"invalid values:\n{value}"
            )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Let parameters and values be checked, or not, where `validate_args` is not given."""
        Distribution._validate = bool(value)

    def _check_value(self, value: Any) -> None:
        """Refuse a value of another shape, or outside of the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        events = len(self.event_shape)
        got = tuple(value.shape)
        if got[len(got) - events :] != tuple(self.event_shape):
            raise ValueError(
                f"log_prob: expected a value that ends in event_shape {tuple(self.event_shape)}, "
                f"got {got}"
            )
        np.broadcast_shapes(got, tuple(self.batch_shape) + tuple(self.event_shape))
        if not bool(self.support.check(value.detach()).all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {got}) to be within the "
                f"support ({self.support!r}) of the distribution {self!r}, but found invalid "
                f"values:\n{value}"
            )

    def extended(self, sample_shape: Sequence[int] = ()) -> Size:
        """Return the shape of `sample_shape` draws."""
        return Size((*sample_shape, *self.batch_shape, *self.event_shape))

    _extended_shape = extended

    # ------------------------------------------------------------ draws
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws through which gradients reach the parameters, where there are any."""
        raise NotImplementedError(f"{type(self).__name__}.rsample: draws have no gradient")

    def sample_n(self, n: int) -> Tensor:
        """Return n draws, off the tape."""
        return self.sample((n,))

    # ------------------------------------------------------------ what it is
    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density, or of the probability, of a value."""
        raise NotImplementedError(f"{type(self).__name__}.log_prob")

    def entropy(self) -> Tensor:
        """Return the entropy, in nats."""
        raise NotImplementedError(f"{type(self).__name__}.entropy")

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to this one."""
        raise NotImplementedError(f"{type(self).__name__}.cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which there is this probability."""
        raise NotImplementedError(f"{type(self).__name__}.icdf")

    def perplexity(self) -> Tensor:
        """Return the exponential of the entropy."""
        return self.entropy().exp()

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}.mean")

    @property
    def mode(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}.mode")

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}.variance")

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return all values of a discrete distribution, along a new first dimension."""
        raise NotImplementedError(f"{type(self).__name__}.enumerate_support")

    # ------------------------------------------------------------ copies
    def expand(self: D, batch_shape: Sequence[int]) -> D:
        """Return the distribution with its parameters repeated to a batch shape."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        events = {name: c.event_dim for name, c in self.arg_constraints.items()}
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                event = events.get(name, 0)
                kept = tuple(value.shape)[value.ndim - event :] if event else ()
                made.__dict__[name] = value.expand(*batch_shape, *kept)
            elif isinstance(value, Distribution):
                made.__dict__[name] = value.expand(batch_shape)
        made.batch_shape = Size(batch_shape)
        return made

    def _numbers(self, value: Tensor) -> list[int]:
        """Return the shape of draws' values, for an enumeration of them."""
        return [-1, *([1] * len(self.batch_shape))]

    def __repr__(self) -> str:
        held = [n for n in self.arg_constraints if n in self.__dict__]
        parts = [f"{n}: {shown(self.__dict__[n])}" for n in held]
        return f"{type(self).__name__}({', '.join(parts)})"


def shown(value: Any) -> str:
    """Return one number as it is, the shape of more."""
    if not isinstance(value, Tensor):
        return str(value)
    return str(value) if value.numel() == 1 else f"torch.Size({list(value.shape)})"


def tensors(*values: Any) -> list[Tensor]:
    """Return numbers and tensors as tensors of one shape.

    >>> [t.shape for t in tensors(0.0, creation.ones(3))]
    [(3,), (3,)]
    """
    given = [v for v in values if isinstance(v, Tensor)]
    kind = given[0].dtype if given and given[0].array.dtype.kind == "f" else default_dtype()
    device = given[0].device if given else None
    made = [
        v if isinstance(v, Tensor) else creation.tensor(v, dtype=kind, device=device)
        for v in values
    ]
    return list(broadcast_tensors(*made))


def standard_normal(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return normal numbers of a tensor's dtype, where it lies."""
    return creation.randn(*shape, dtype=like.dtype, device=like.device)


def summed(value: Tensor, dims: int) -> Tensor:
    """Sum over the last dimensions."""
    return value.flatten(-dims).sum(-1) if dims else value


class Independent(Distribution):
    """The last dimensions of the batch taken as parts of one event.

    >>> from minigrad.distributions import Normal
    >>> normal = Independent(Normal(creation.zeros(2, 3), creation.ones(2, 3)), 1)
    >>> normal.batch_shape, normal.event_shape, normal.log_prob(creation.zeros(2, 3)).shape
    ((2,), (3,), (2,))
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        shape = tuple(base_distribution.batch_shape)
        if reinterpreted_batch_ndims > len(shape):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), got "
                f"{reinterpreted_batch_ndims} and {len(shape)}"
            )
        cut = len(shape) - reinterpreted_batch_ndims
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.has_rsample = base_distribution.has_rsample
        event = shape[cut:] + tuple(base_distribution.event_shape)
        super().__init__(shape[:cut], event, validate_args)

    def expand(self, batch_shape: Sequence[int]) -> Independent:
        """Return the distribution with its parameters repeated to a batch shape."""
        kept = tuple(self.event_shape)[: self.reinterpreted_batch_ndims]
        base = self.base_dist.expand((*batch_shape, *kept))
        return Independent(base, self.reinterpreted_batch_ndims)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws, off the tape."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws through which gradients reach the parameters."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density of a value."""
        return summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        """Return the entropy."""
        return summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    @property
    def support(self) -> Constraint:
        return self.base_dist.support

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
