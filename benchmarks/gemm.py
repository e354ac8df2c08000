"""Matrix products c = a @ b in float32: squares, and those of the training steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import (
    Array,
    Benchmark,
    Candidate,
    Case,
    agree,
    ours,
    with_numpy,
    with_torch,
)
from minigrad.backend import launch

SQUARES = (64, 128, 256, 512, 1024, 2048)
LAYERS = ((64, 64, 64), (128, 256, 256), (256, 784, 512), (1024, 1024, 1024))  # batch, in, out
QUICK_SQUARES = (32,)
QUICK_LAYERS = ((8, 30, 16),)


def operands(rng: np.random.Generator) -> Callable[..., Array]:
    """Return what draws a float32 matrix of a shape."""
    return lambda *shape: rng.standard_normal(shape, np.float32)


def products(quick: bool) -> Iterator[tuple[str, Array, Array]]:
    """Yield label, a and b: squares, then a linear layer's x W^T, g W and g^T x."""
    draw = operands(np.random.default_rng(0))
    for n in QUICK_SQUARES if quick else SQUARES:
        yield f"{n} x {n} x {n}", draw(n, n), draw(n, n)
    for batch, n_in, n_out in QUICK_LAYERS if quick else LAYERS:
        x, weight, g = draw(batch, n_in), draw(n_out, n_in), draw(batch, n_out)
        sizes = f"{batch}, {n_in} -> {n_out}"
        yield f"x W^T  {sizes}", x, weight.T
        yield f"g W    {sizes}", g, weight
        yield f"g^T x  {sizes}", g.T, x


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Check every product against float64, then yield it."""
    for label, a, b in products(quick):
        shape = (a.shape[0], b.shape[1])
        exact = a.astype(np.float64) @ b.astype(np.float64)
        candidates = ours(partial(minigrad_product, a, b, shape))
        if "numpy" in peers:
            candidates += with_numpy(partial(numpy_product, a, b, shape))
        if "torch" in peers:
            candidates += with_torch(partial(torch_product, a, b, shape))
        if "jax" in peers:
            candidates.append(Candidate("jax", partial(jax_product, a, b)))
        for candidate in candidates:
            got = np.asarray(candidate.make()())
            bound = 1e-6 * np.sqrt(a.shape[1]) * 8
            agree(f"{candidate.name}, {label}", got, exact, rtol=1e-4, atol=bound)
        yield Case(label, candidates, gflop=2e-9 * exact.size * a.shape[1])


def minigrad_product(a: Array, b: Array, shape: tuple[int, int]) -> Callable[[], Any]:
    """Return minigrad's kernel, into an array that is there."""
    c = np.empty(shape, np.float32)

    def call() -> Array:
        launch("gemm", a, b, c)
        return c

    return call


def numpy_product(a: Array, b: Array, shape: tuple[int, int]) -> Callable[[], Any]:
    """Return NumPy's BLAS, into an array that is there."""
    c = np.empty(shape, np.float32)
    return lambda: np.matmul(a, b, out=c)


def torch_product(a: Array, b: Array, shape: tuple[int, int]) -> Callable[[], Any]:
    """Return PyTorch's BLAS, into a tensor that is there."""
    import torch

    left, right, c = torch.from_numpy(a), torch.from_numpy(b), torch.empty(shape)
    return lambda: torch.mm(left, right, out=c)


def jax_product(a: Array, b: Array) -> Callable[[], Any]:
    """Return a compiled product; JAX has no output to write to."""
    import jax
    import jax.numpy as jnp

    multiply = jax.jit(lambda a, b: jnp.matmul(a, b, precision="highest"))
    left, right = jnp.asarray(a), jnp.asarray(b)
    return lambda: multiply(left, right).block_until_ready()


BENCHMARK = Benchmark("gemm", "Matrix products, float32", ("numpy", "torch", "jax"), cases)
