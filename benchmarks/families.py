"""What the kernels benchmark computes: each op as PyTorch and minigrad write it, and as JAX does.

A family's `f` takes the framework's `nn.functional` and its tensors, so that one line serves both;
`jax` takes the module and arrays; `numpy` returns the result and the gradients, by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import Array

SIZES = ((64, 64), (256, 512), (4096, 1024), (16384, 4096))
EPS = 1e-5
P = 0.2  # dropped

Arrays = tuple[Array, ...]


@dataclass(frozen=True)
class Family:
    """One op forward and backward.

    draw: (rng, *size) -> inputs that have gradients, and those that have none.  saved: how many
        arrays of the first input's size the backward pass cannot do without.  random: whether `f`
        draws masks of its own, so that results are only alike; `jax` takes a key last.
    fused: the same as one op of minigrad's, where that has one.  needs: what minigrad's
        `nn.functional` must have.
    """

    name: str
    f: Callable[..., Any]
    jax: Callable[..., Any] | None = None
    numpy: Callable[..., tuple[Array, ...]] | None = None
    draw: Callable[..., tuple[Arrays, Arrays]] = lambda rng, n, c: ((normal(rng, n, c),), ())
    sizes: tuple[tuple[int, ...], ...] = SIZES
    saved: int = 1
    random: bool = False
    fused: Callable[..., Any] | None = None
    quick: tuple[int, ...] = (8, 6)
    needs: str = "linear"

    def traffic(self, learned: Sequence[Array], constant: Sequence[Array], g: Array | None) -> int:
        """Return the bytes that must move if caches keep nothing between forward and backward.

        Every input is read and the result written in one pass, then its gradient and what was saved
        are read and the inputs' gradients written; what is written counts twice (write-allocate).
        """
        read = sum(a.nbytes for a in (*learned, *constant))
        result = 0 if g is None else g.nbytes
        backward = result + self.saved * learned[0].nbytes + 2 * sum(a.nbytes for a in learned)
        return read + 2 * result + backward


# ---------------------------------------------------------------- inputs
def normal(rng: np.random.Generator, *shape: int) -> Array:
    """Draw float32 normals."""
    return rng.standard_normal(shape, np.float32)


def positive(rng: np.random.Generator, *shape: int) -> tuple[Arrays, Arrays]:
    """Draw one array between 1/2 and 3/2."""
    return (rng.random(shape, np.float32) + np.float32(0.5),), ()


def with_row(rng: np.random.Generator, n: int, c: int) -> tuple[Arrays, Arrays]:
    """Draw (N, C) and (C,)."""
    return (normal(rng, n, c), normal(rng, c)), ()


def with_column(rng: np.random.Generator, n: int, c: int) -> tuple[Arrays, Arrays]:
    """Draw (N, C) and (N, 1)."""
    return (normal(rng, n, c), normal(rng, n, 1)), ()


def two(rng: np.random.Generator, n: int, c: int) -> tuple[Arrays, Arrays]:
    """Draw two of (N, C)."""
    return (normal(rng, n, c), normal(rng, n, c)), ()


def normalised(rng: np.random.Generator, n: int, c: int) -> tuple[Arrays, Arrays]:
    """Draw x, weight and bias."""
    return (normal(rng, n, c), normal(rng, c), normal(rng, c)), ()


def with_running(rng: np.random.Generator, n: int, c: int) -> tuple[Arrays, Arrays]:
    """Draw x, weight and bias, and the running statistics."""
    learned, _ = normalised(rng, n, c)
    return learned, (np.zeros(c, np.float32), np.ones(c, np.float32))


def classified(rng: np.random.Generator, n: int, c: int) -> tuple[Arrays, Arrays]:
    """Draw logits and classes."""
    return (normal(rng, n, c),), (rng.integers(0, c, n),)


# ---------------------------------------------------------------- JAX
def jax_batch_norm(jax: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any) -> Any:
    """Normalise columns; the moved running statistics are in the training step's JAX."""
    centred = x - x.mean(axis=0)
    return centred * jax.lax.rsqrt((centred * centred).mean(axis=0) + EPS) * weight + bias


def jax_layer_norm(jax: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Normalise rows."""
    centred = x - x.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + EPS) * weight + bias


def jax_cross_entropy(jax: Any, x: Any, target: Any) -> Any:
    """Return the mean of -log p[target]."""
    picked = jax.numpy.take_along_axis(jax.nn.log_softmax(x), target[:, None], axis=1)
    return -picked.mean()


def jax_dropout(jax: Any, x: Any, key: Any) -> Any:
    """Drop by a mask of `key`."""
    return jax.numpy.where(jax.random.bernoulli(key, 1 - P, x.shape), x / (1 - P), 0)


# ---------------------------------------------------------------- NumPy, by hand
def numpy_softmax(g: Array, x: Array) -> tuple[Array, ...]:
    """Return the softmax of rows and its gradient."""
    y = np.exp(x - x.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    return y, y * (g - (g * y).sum(axis=1, keepdims=True))


def numpy_layer_norm(g: Array, x: Array, weight: Array, bias: Array) -> tuple[Array, ...]:
    """Return the normalised rows and the gradients."""
    centred = x - x.mean(axis=1, keepdims=True)
    rstd = 1 / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(EPS))
    normal = centred * rstd
    inner = g * weight
    mixed = (inner * normal).mean(axis=1, keepdims=True)
    dx = (inner - inner.mean(axis=1, keepdims=True) - normal * mixed) * rstd
    return normal * weight + bias, dx, (g * normal).sum(axis=0), g.sum(axis=0)


def numpy_tanh(g: Array, x: Array) -> tuple[Array, ...]:
    """Return tanh and its gradient."""
    y = np.tanh(x)
    return y, g * (1 - y * y)


def numpy_exp(g: Array, x: Array) -> tuple[Array, ...]:
    """Return exp and its gradient."""
    y = np.exp(x)
    return y, g * y


def reductions(dim: int | None) -> list[Family]:
    """Return sum, mean, max and var over one axis, or over all (None)."""
    over = "all" if dim is None else f"axis {dim}"

    def spread(g: Array, x: Array) -> Array:
        return np.broadcast_to(g if dim is None else np.expand_dims(g, dim), x.shape)

    def count(x: Array) -> np.float32:
        return np.float32(x.size if dim is None else x.shape[dim])

    def largest(F: Any, x: Any) -> Any:
        return x.max() if dim is None else x.max(dim)[0]

    return [
        Family(
            f"sum {over}",
            lambda F, x: x.sum(dim),
            lambda jax, x: x.sum(axis=dim),
            lambda g, x: (x.sum(axis=dim), spread(g, x).copy()),
            saved=0,
        ),
        Family(
            f"mean {over}",
            lambda F, x: x.mean(dim),
            lambda jax, x: x.mean(axis=dim),
            lambda g, x: (x.mean(axis=dim), spread(g, x) / count(x)),
            draw=positive,
            saved=0,
        ),
        Family(f"max {over}", largest, lambda jax, x: x.max(axis=dim), saved=0),
        Family(
            f"var {over}",
            lambda F, x: x.var(dim),
            lambda jax, x: x.var(axis=dim, ddof=1),
            draw=positive,
        ),
    ]


# ---------------------------------------------------------------- all of them
FAMILIES = (
    Family(
        "batch_norm",
        lambda F, x, w, b, mean, var: F.batch_norm(x, mean, var, w, b, True, 0.1, EPS),
        jax_batch_norm,
        draw=with_running,
    ),
    Family(
        "batch_norm relu dropout",
        lambda F, x, w, b, mean, var: F.dropout(
            F.relu(F.batch_norm(x, mean, var, w, b, True, 0.1, EPS)), P, True
        ),
        lambda jax, x, w, b, mean, var, key: jax_dropout(
            jax, jax.nn.relu(jax_batch_norm(jax, x, w, b, mean, var)), key
        ),
        draw=with_running,
        random=True,
        fused=lambda F, x, w, b, mean, var: F.batch_norm_activation_dropout(
            x, mean, var, w, b, True, 0.1, EPS, "relu", P
        ),
    ),
    Family(
        "layer_norm",
        lambda F, x, w, b: F.layer_norm(x, x.shape[1:], w, b, EPS),
        jax_layer_norm,
        numpy_layer_norm,
        draw=normalised,
    ),
    Family(
        "cross_entropy",
        lambda F, x, t: F.cross_entropy(x, t),
        jax_cross_entropy,
        draw=classified,
        saved=0,
    ),
    Family(
        "softmax",
        lambda F, x: F.softmax(x, 1),
        lambda jax, x: jax.nn.softmax(x),
        numpy_softmax,
    ),
    Family("log_softmax", lambda F, x: F.log_softmax(x, 1), lambda jax, x: jax.nn.log_softmax(x)),
    Family("dropout", lambda F, x: F.dropout(x, P, True), jax_dropout, saved=0, random=True),
    Family(
        "relu",
        lambda F, x: F.relu(x),
        lambda jax, x: jax.nn.relu(x),
        lambda g, x: (np.maximum(x, 0), g * (x > 0)),
    ),
    Family("gelu", lambda F, x: F.gelu(x), lambda jax, x: jax.nn.gelu(x, approximate=False)),
    Family("gelu tanh", lambda F, x: F.gelu(x, approximate="tanh"), lambda jax, x: jax.nn.gelu(x)),
    Family("tanh", lambda F, x: x.tanh(), lambda jax, x: jax.numpy.tanh(x), numpy_tanh),
    Family("sigmoid", lambda F, x: x.sigmoid(), lambda jax, x: jax.nn.sigmoid(x)),
    Family("silu", lambda F, x: F.silu(x), lambda jax, x: jax.nn.silu(x)),
    *reductions(0),
    *reductions(1),
    *reductions(None),
    Family(
        "add row",
        lambda F, x, w: x + w,
        lambda jax, x, w: x + w,
        lambda g, x, w: (x + w, g, g.sum(axis=0)),
        draw=with_row,
        saved=0,
    ),
    Family(
        "mul row",
        lambda F, x, w: x * w,
        lambda jax, x, w: x * w,
        lambda g, x, w: (x * w, g * w, (g * x).sum(axis=0)),
        draw=with_row,
    ),
    Family(
        "mul column",
        lambda F, x, w: x * w,
        lambda jax, x, w: x * w,
        lambda g, x, w: (x * w, g * w, (g * x).sum(axis=1, keepdims=True)),
        draw=with_column,
    ),
    Family(
        "mul",
        lambda F, x, w: x * w,
        lambda jax, x, w: x * w,
        lambda g, x, w: (x * w, g * w, g * x),
        draw=two,
        saved=2,
    ),
    Family("exp", lambda F, x: x.exp(), lambda jax, x: jax.numpy.exp(x), numpy_exp),
    Family(
        "log",
        lambda F, x: x.log(),
        lambda jax, x: jax.numpy.log(x),
        lambda g, x: (np.log(x), g / x),
        draw=positive,
    ),
    Family(
        "transposed copy",
        lambda F, x: x.t().contiguous(),
        lambda jax, x: x.T,
        lambda g, x: (np.ascontiguousarray(x.T), np.ascontiguousarray(g.T)),
        saved=0,
    ),
)
