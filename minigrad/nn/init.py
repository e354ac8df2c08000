"""Initial values of parameters, written in place.  `generator=` draws from a stream of your own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine import random
from minigrad.engine.errors import ArgumentError
from minigrad.engine.overwrite import check_writable as _check_writable
from minigrad.engine.random import Generator
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that keeps the variance of signals through a nonlinearity.

    param: the negative slope of "leaky_relu", 0.01 by default.

    >>> calculate_gain("relu")
    1.4142135623730951
    """
    if nonlinearity in ("linear", "identity", "sigmoid") or nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity == "tanh":
        return 5 / 3
    if nonlinearity == "relu":
        return math.sqrt(2)
    if nonlinearity == "selu":
        return 0.75
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2 / (1 + slope * slope))
    raise ArgumentError(
        "calculate_gain: expected 'linear', 'sigmoid', 'tanh', 'relu', 'leaky_relu' or 'selu', "
        f"got {nonlinearity!r}"
    )


def fans(tensor: Tensor) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight (out, in, ...).

    >>> import minigrad as mg
    >>> fans(mg.zeros(3, 5))
    (5, 3)
    """
    shape = tensor.array.shape
    if len(shape) < 2:
        raise ArgumentError(
            f"fan in and fan out need a weight of at least two dimensions, got shape {shape}"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _write(tensor: Tensor, values: Any) -> Tensor:
    """Write values into a tensor and count its version up."""
    _check_writable(tensor.array)
    tensor.array[...] = values
    tensor.bump_version("by nn.init")
    return tensor


# ---------------------------------------------------------------- constants
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    >>> import minigrad as mg
    >>> constant_(mg.zeros(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return _write(tensor, val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1.

    >>> import minigrad as mg
    >>> ones_(mg.empty(2))
    tensor([1., 1.])
    """
    return _write(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0.

    >>> import minigrad as mg
    >>> zeros_(mg.empty(2))
    tensor([0., 0.])
    """
    return _write(tensor, 0)


def eye_(tensor: Tensor) -> Tensor:
    """Write ones on the diagonal of a matrix, zeros elsewhere.

    >>> import minigrad as mg
    >>> eye_(mg.empty(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if tensor.array.ndim != 2:
        raise ArgumentError(f"eye_: expected a matrix, got shape {tensor.array.shape}")
    return _write(tensor, np.eye(*tensor.array.shape))


# ---------------------------------------------------------------- distributions
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the uniform distribution on [a, b).

    >>> import minigrad as mg
    >>> w = uniform_(mg.empty(100), -2, 2)
    >>> bool((w >= -2).all() and (w < 2).all())
    True
    """
    if b < a:
        raise ArgumentError(f"uniform_: expected a <= b, got a={a}, b={b}")
    drawn = random.source(generator)
    return _write(tensor, drawn.between(a, b, tensor.array.shape, tensor.array.dtype))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the normal distribution.

    >>> import minigrad as mg
    >>> normal_(mg.empty(2, 3), std=0.02).shape
    (2, 3)
    """
    if std < 0:
        raise ArgumentError(f"normal_: std must not be negative, got {std}")
    values = random.source(generator).normal(tensor.array.shape, tensor.array.dtype)
    kind = tensor.array.dtype.type
    values *= kind(std)
    values += kind(mean)
    return _write(tensor, values)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the normal distribution on [a, b] alone (bounds in units of the tensor, not of
    std).

    By rejection: normals where [a, b] holds a quarter of them, else uniforms kept with the
    density's odds.

    >>> import minigrad as mg
    >>> w = trunc_normal_(mg.empty(100), std=5.0)
    >>> float(w.abs().max()) <= 2
    True
    """
    random.floating(tensor.array.dtype)
    mean, std, a, b = float(mean), float(std), float(a), float(b)
    if std <= 0 or b <= a:
        raise ArgumentError(
            f"trunc_normal_: expected std > 0 and a < b, got std={std}, a={a}, b={b}"
        )
    source = random.source(generator)
    low, high = (a - mean) / std, (b - mean) / std
    mass = 0.5 * (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)))
    if source.shared and mass > 0.3:
        return _write(tensor, _redrawn(source, tensor, mean, std, a, b))
    top = (
        min(max(low, 0.0), high) if low <= high else 0.0
    )  # where the density is highest in [low, high]
    values = np.empty(tensor.array.size, np.float64)
    missing = np.arange(values.size)
    while missing.size:
        if mass > 0.25:
            drawn = source.normal(missing.shape, np.float64)
            kept = (drawn >= low) & (drawn <= high)
        else:
            drawn = low + (high - low) * source.uniform(missing.shape, np.float64)
            odds = np.exp(0.5 * (top * top - drawn * drawn))
            kept = source.uniform(missing.shape, np.float64) < odds
        values[missing[kept]] = drawn[kept]
        missing = missing[~kept]
    return _write(tensor, np.clip(values * std + mean, a, b).reshape(tensor.array.shape))


def _redrawn(
    source: Generator, tensor: Tensor, mean: float, std: float, a: float, b: float
) -> Array:
    """Return normal numbers of [a, b] in PyTorch's order: all are drawn anew while any lies
    outside.
    """
    shape, kind = tensor.array.shape, tensor.array.dtype.type
    values = source.normal(shape, kind) * kind(std) + kind(mean)
    while True:
        outside = (values < kind(a)) | (values > kind(b))
        if not outside.any():
            return values
        values = np.where(outside, source.normal(shape, kind) * kind(std) + kind(mean), values)


# ---------------------------------------------------------------- scaled by the fans
def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from U(-l, l), l = gain sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010), equation 16.

    >>> import minigrad as mg
    >>> float(xavier_uniform_(mg.empty(3, 3)).abs().max()) <= 1
    True
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from N(0, s^2), s = gain sqrt(2 / (fan_in + fan_out)); see `xavier_uniform_`.

    >>> import minigrad as mg
    >>> xavier_normal_(mg.empty(3, 3)).shape
    (3, 3)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """Return the standard deviation gain / sqrt(fan) of Kaiming's initialisations."""
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from U(-l, l), l = gain sqrt(3 / fan).

    a: the negative slope of a leaky ReLU.  mode: "fan_in" keeps the variance forwards, "fan_out"
        backwards.
    Source: He et al., "Delving deep into rectifiers" (2015), section 2.2.

    >>> import minigrad as mg
    >>> float(kaiming_uniform_(mg.empty(3, 6)).abs().max()) <= 1
    True
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(0, s^2), s = gain / sqrt(fan); see `kaiming_uniform_`.

    >>> import minigrad as mg
    >>> kaiming_normal_(mg.empty(3, 6), nonlinearity="relu").shape
    (3, 6)
    """
    return normal_(
        tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator
    )


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Write a random matrix (out, rest) with orthonormal rows or columns, whichever are fewer,
    times `gain`.

    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning"
        (2013).

    >>> import minigrad as mg
    >>> w = orthogonal_(mg.empty(2, 2))
    >>> abs(float((w[0] * w[1]).sum())) < 1e-6
    True
    """
    shape = tensor.array.shape
    if len(shape) < 2:
        raise ArgumentError(f"orthogonal_: expected at least two dimensions, got shape {shape}")
    rows, columns = shape[0], math.prod(shape[1:])
    random.floating(tensor.array.dtype)
    if not tensor.array.size:
        return tensor
    source = random.source(generator)
    if source.shared:  # drawn as PyTorch draws it
        drawn = source.normal((rows, columns), tensor.array.dtype).astype(np.float64)
        square = drawn if rows >= columns else drawn.T
    else:
        square = source.normal((max(rows, columns), min(rows, columns)), np.float64)
    q, r = np.linalg.qr(square)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # without it the distribution is not uniform
    return _write(tensor, gain * (q if rows >= columns else q.T).reshape(shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Write a convolution's weight that passes each input channel on, as far as there are outputs.

    Shape: (out, in, ...) of three to five dimensions; groups: each has its own identity.

    >>> import minigrad as mg
    >>> dirac_(mg.empty(2, 1, 3), groups=2).tolist()
    [[[0.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]]
    """
    shape = tensor.array.shape
    if len(shape) not in (3, 4, 5):
        raise ArgumentError(f"dirac_: expected 3, 4 or 5 dimensions, got shape {shape}")
    if shape[0] % groups:
        raise ArgumentError(f"dirac_: {shape[0]} outputs are no multiple of groups={groups}")
    values, own = np.zeros(shape), shape[0] // groups
    centre = tuple(n // 2 for n in shape[2:])
    for group in range(groups):
        for i in range(min(own, shape[1])):
            values[(group * own + i, i, *centre)] = 1
    return _write(tensor, values)


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Draw a matrix from N(0, std^2), and set a share of each column to 0.

    Source: Martens, "Deep learning via Hessian-free optimization" (ICML 2010).

    >>> import minigrad as mg
    >>> (sparse_(mg.empty(4, 3), 0.5) == 0).sum(0).tolist()
    [2, 2, 2]
    """
    if tensor.array.ndim != 2:
        raise ArgumentError(f"sparse_: expected a matrix, got shape {tensor.array.shape}")
    rows, columns = tensor.array.shape
    zeros = int(np.ceil(sparsity * rows))
    normal_(tensor, 0.0, std, generator)
    order = Tensor(np.empty((rows, columns)))
    uniform_(order, generator=generator)
    values = np.array(tensor.detach().cpu().numpy())
    for j, first in enumerate(np.argsort(order.array, axis=0)[:zeros].T):
        values[first, j] = 0
    return _write(tensor, values)
