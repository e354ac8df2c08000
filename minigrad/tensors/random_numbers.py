"""Random numbers of other distributions, as functions and written in place.

`generator=` draws from a stream of your own; results are off the tape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine import arguments, random
from minigrad.engine.device import host_copy, moved
from minigrad.engine.errors import ArgumentTypeError
from minigrad.engine.random import Generator
from minigrad.ops.registry import public
from minigrad.tensors import creation
from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]
WHOLE = {"float32": 2**24, "float64": 2**53}  # up to here each integer has its float


def given_back(array: Any, like: Tensor) -> Tensor:
    """Return drawn numbers as a tensor where another lies."""
    return new(moved(np.asarray(array), like.device))


# ---------------------------------------------------------------- new tensors
@public("function")
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return normal numbers; mean and std: tensors, one for each number, or numbers, with `size`.

    >>> import minigrad as mg
    >>> normal(mg.tensor([1.0, 2.0]), 0.0)
    tensor([1., 2.])
    >>> normal(0.0, 1.0, (2, 3)).shape
    (2, 3)
    """
    if size is not None:
        made = creation.randn(size, generator=generator, dtype=dtype, device=device)
        return (made * std + mean).detach().requires_grad_(requires_grad)
    tensors = [t.detach() for t in (mean, std) if isinstance(t, Tensor)]
    if not tensors:
        raise ArgumentTypeError("normal: expected size=, or mean or std as a tensor")
    like = tensors[0] if len(tensors) == 1 else tensors[0] + tensors[1]
    drawn = random.source(generator).normal(like.shape, like.dtype)
    std, mean = (t.detach() if isinstance(t, Tensor) else t for t in (std, mean))
    return given_back(drawn, like) * std + mean


@public("tensor")
def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Return 1 with probability x, or `p`, else 0, in the dtype of x.

    >>> import minigrad as mg
    >>> bernoulli(mg.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    odds = host_copy(input.array) if p is None else p
    if p is None and odds.size and not (odds.min() >= 0 and odds.max() <= 1):
        raise RuntimeError("bernoulli: expected probabilities in [0, 1]")
    drawn = random.source(generator).bernoulli(odds, input.shape)
    return given_back(drawn.astype(input.array.dtype), input)


@public("function")
def poisson(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Return Poisson numbers of the rates x, in its dtype."""
    rates = host_copy(input.array)
    seed = random.source(generator).seed64()
    drawn = np.random.default_rng(seed).poisson(rates)
    return given_back(drawn.astype(rates.dtype), input)


@public("tensor")
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Return positions drawn with odds in proportion to x, for each row of it.

    Shape: input: (K,) or (N, K) -> (num_samples,) or (N, num_samples), int64.
    Raises: RuntimeError for odds that are none, and for more samples than odds without
        replacement.

    >>> import minigrad as mg
    >>> multinomial(mg.tensor([0.0, 0.0, 3.0]), 2, replacement=True)
    tensor([2, 2])
    """
    num_samples = arguments.whole("multinomial", "num_samples", num_samples, 1)
    odds = host_copy(input.array)
    if odds.dtype.kind != "f" or odds.ndim not in (1, 2):
        raise RuntimeError(
            f"multinomial: expected floating odds of shape (K,) or (N, K), got {odds.dtype} of "
            f"shape {odds.shape}"
        )
    if not (np.isfinite(odds).all() and (odds >= 0).all() and (odds.sum(-1) > 0).all()):
        raise RuntimeError("multinomial: expected odds of 0 and above, finite, with a sum above 0")
    if not replacement and num_samples > odds.shape[-1]:
        raise RuntimeError(
            f"multinomial: {num_samples} samples without replacement from {odds.shape[-1]} odds"
        )
    rows = odds.reshape(-1, odds.shape[-1])
    source = random.source(generator)
    drawn = (with_replacement if replacement and num_samples > 1 else races)(
        rows, num_samples, source
    )
    return given_back(drawn.reshape(*odds.shape[:-1], num_samples), input)


def races(rows: Array, n: int, source: Generator) -> Array:
    """Draw without replacement: the `n` that win a race of exponential times."""
    with np.errstate(all="ignore"):
        speed = rows / source.exponential(rows.shape, rows.dtype)
    if n == 1:
        return speed.argmax(-1)[:, None]
    return np.argsort(-speed, axis=-1, kind="stable")[:, :n]


def with_replacement(rows: Array, n: int, source: Generator) -> Array:
    """Draw with replacement, by the running sums of the odds."""
    sums = np.cumsum(rows, axis=-1)
    sums /= sums[:, -1:]
    unit = source.uniform((len(rows), n), np.float64)
    found = [np.searchsorted(row, u) for row, u in zip(sums, unit, strict=True)]
    return np.minimum(np.array(found, np.int64).reshape(len(rows), n), rows.shape[-1] - 1)


# ---------------------------------------------------------------- in place
def written(tensor: Tensor, drawn: Any) -> Tensor:
    """Write drawn numbers into a tensor, as `copy_` does."""
    return tensor.copy_(given_back(np.asarray(drawn).astype(tensor.array.dtype), tensor))


@public("method")
def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Write normal numbers."""
    if std < 0:
        raise RuntimeError(f"normal_: expected std >= 0, got {std}")
    drawn = random.source(generator).normal(self.shape, random.floating(self.array.dtype))
    kind = drawn.dtype.type
    return written(self, drawn * kind(std) + kind(mean))


@public("method")
def uniform_(
    self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Write numbers uniform in [a, b)."""
    if b < a:
        raise RuntimeError(f"uniform_: expected a <= b, got a={a}, b={b}")
    kind = random.floating(self.array.dtype)
    return written(self, random.source(generator).between(a, b, self.shape, kind))


@public("method")
def random_(
    self: Tensor, low: int = 0, high: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Write integers uniform in [low, high); `random_(high)` from 0, `random_()` all there are."""
    if high is None:
        low, high = 0, low or whole_up_to(self.array.dtype)
    return written(self, random.source(generator).integers(low, high, self.shape))


def whole_up_to(dtype: np.dtype[Any]) -> int:
    """Return the number of integers from 0 on that a dtype holds exactly."""
    if dtype.kind == "f":
        return WHOLE[dtype.name] + 1
    return 2 if dtype.kind == "b" else min(int(np.iinfo(dtype).max) + 1, 2**63)


@public("method")
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Write 1 with probability `p`, a number or one for each element, else 0."""
    odds = np.broadcast_to(host_copy(p.array), self.shape) if isinstance(p, Tensor) else float(p)
    return written(self, random.source(generator).bernoulli(odds, self.shape))


@public("method")
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Write numbers of the exponential distribution of mean 1 / lambd."""
    if lambd <= 0:
        raise RuntimeError(f"exponential_: expected lambd > 0, got {lambd}")
    kind = random.floating(self.array.dtype)
    return written(self, random.source(generator).exponential(self.shape, kind) / lambd)


@public("method")
def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Write numbers whose logarithms are normal."""
    kind = random.floating(self.array.dtype)
    return written(self, np.exp(random.source(generator).normal(self.shape, kind) * std + mean))


@public("method")
def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Write how many draws it takes until one of probability `p` succeeds."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_: expected 0 < p < 1, got {p}")
    unit = random.source(generator).uniform(self.shape, np.float64)
    return written(self, np.ceil(np.log(unit) / np.log1p(-p)).clip(1))


@public("method")
def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Write numbers of the Cauchy distribution."""
    unit = random.source(generator).uniform(self.shape, np.float64)
    return written(self, median + sigma * np.tan(np.pi * (unit - 0.5)))


# ---------------------------------------------------------------- the state
@public("function")
def get_rng_state() -> Any:
    """Return where the default stream stands; `set_rng_state` goes on there."""
    own = getattr(random.default, "get_state", None)
    return random.default.state_dict() if own is None else new(own())


@public("function")
def set_rng_state(new_state: Any) -> None:
    """Go on where `get_rng_state` was called."""
    if isinstance(new_state, Tensor):
        getattr(random.default, "set_state")(new_state.array)  # noqa: B009
    else:
        random.default.load_state_dict(new_state)


@public("function")
def seed() -> int:
    """Seed all streams with a number that differs every time; return it."""
    found = int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) >> 1
    random.manual_seed(found)
    return found
