"""What parameters and values of distributions must satisfy: `positive`, `unit_interval` ..."""

from __future__ import annotations

from collections.abc import Callable

from minigrad.ops.matrices import eigvalsh
from minigrad.tensors.tensor import Tensor


class Constraint:
    """A condition on the elements of a tensor, or on its last dimensions.

    text: as it is printed.
    holds: returns a bool for each element, or for each event.
    is_discrete: whether only whole numbers satisfy it.
    event_dim: how many of the last dimensions are judged together.

    >>> import minigrad as mg
    >>> positive.check(mg.tensor([1.0, -1.0]))
    tensor([ True, False])
    """

    def __init__(
        self,
        text: str,
        holds: Callable[[Tensor], Tensor],
        is_discrete: bool = False,
        event_dim: int = 0,
    ) -> None:
        self.text, self.holds = text, holds
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def check(self, value: Tensor) -> Tensor:
        """Return where a value satisfies it."""
        return self.holds(value)

    def __repr__(self) -> str:
        return self.text


def greater_than(lower_bound: float) -> Constraint:
    """Return the constraint to numbers above a bound."""
    return Constraint(f"GreaterThan(lower_bound={lower_bound})", lambda x: x > lower_bound)


def greater_than_eq(lower_bound: float) -> Constraint:
    """Return the constraint to a bound and the numbers above it."""
    return Constraint(f"GreaterThanEq(lower_bound={lower_bound})", lambda x: x >= lower_bound)


def less_than(upper_bound: float) -> Constraint:
    """Return the constraint to numbers below a bound."""
    return Constraint(f"LessThan(upper_bound={upper_bound})", lambda x: x < upper_bound)


def interval(lower_bound: float | Tensor, upper_bound: float | Tensor) -> Constraint:
    """Return the constraint to numbers between two bounds, which belong to them."""
    return Constraint(
        f"Interval(lower_bound={lower_bound}, upper_bound={upper_bound})",
        lambda x: (x >= lower_bound) & (x <= upper_bound),
    )


def integer_interval(lower_bound: int, upper_bound: int | Tensor) -> Constraint:
    """Return the constraint to whole numbers between two bounds, which belong to them."""
    return Constraint(
        f"IntegerInterval(lower_bound={lower_bound}, upper_bound={upper_bound})",
        lambda x: (x % 1 == 0) & (x >= lower_bound) & (x <= upper_bound),
        is_discrete=True,
    )


def whole_from(text: str, lower_bound: int) -> Constraint:
    """Return the constraint to whole numbers from a bound."""
    return Constraint(text, lambda x: (x % 1 == 0) & (x >= lower_bound), is_discrete=True)


def in_simplex(value: Tensor) -> Tensor:
    """Return which rows are probabilities that sum to one."""
    return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


def is_one_hot(value: Tensor) -> Tensor:
    """Return which rows have one 1, and 0 else."""
    return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


def is_lower_cholesky(value: Tensor) -> Tensor:
    """Return which matrices are lower triangles with a positive diagonal."""
    triangle = (value.tril() == value).flatten(-2).all(-1)
    return triangle & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def is_positive_definite(value: Tensor) -> Tensor:
    """Return which matrices are symmetric and have positive eigenvalues."""
    symmetric = (value - value.mT).abs().flatten(-2).amax(-1) <= 1e-5
    return symmetric & (eigvalsh(value.detach()) > 0).all(-1)


real = Constraint("Real()", lambda x: x == x)
real_vector = Constraint("IndependentConstraint(Real(), 1)", lambda x: (x == x).all(-1), False, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
boolean = Constraint("Boolean()", lambda x: (x == 0) | (x == 1), is_discrete=True)
nonnegative_integer = whole_from("IntegerGreaterThan(lower_bound=0)", 0)
positive_integer = whole_from("IntegerGreaterThan(lower_bound=1)", 1)
simplex = Constraint("Simplex()", in_simplex, event_dim=1)
one_hot = Constraint("OneHot()", is_one_hot, is_discrete=True, event_dim=1)
lower_cholesky = Constraint("LowerCholesky()", is_lower_cholesky, event_dim=2)
positive_definite = Constraint("PositiveDefinite()", is_positive_definite, event_dim=2)
