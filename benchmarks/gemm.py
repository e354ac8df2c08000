"""Matrix products: squares and those of the training steps, bare, and with bias and ReLU on top.

The machine's limit is the multiply-adds its registers do (machine.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import Array, Benchmark, agree, ours, with_numpy, with_torch
from benchmarks.layers import LAYERS
from minigrad.engine.dispatch import launch
from minigrad_kernels.compare.machine import limits
from minigrad_kernels.compare.timing import Candidate, Case, Pace

SQUARES = (64, 128, 256, 512, 1024, 2048)
QUICK_SQUARES = (32,)
QUICK_LAYERS = ((8, 30, 16),)
PRODUCTS, FUSED = "a b", "relu(x W^T + bias)"

Call = Callable[[], Any]


def products(quick: bool, dtype: str) -> Iterator[tuple[str, Array, Array]]:
    """Yield label, a and b: squares, then a linear layer's x W^T, g W and g^T x."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape, dtype)

    for n in QUICK_SQUARES if quick else SQUARES:
        yield f"{n} x {n} x {n}", draw(n, n), draw(n, n)
    for batch, n_in, n_out in QUICK_LAYERS if quick else LAYERS:
        x, weight, g = draw(batch, n_in), draw(n_out, n_in), draw(batch, n_out)
        sizes = f"{batch}, {n_in} -> {n_out}"
        yield f"x W^T  {sizes}", x, weight.T
        yield f"g W    {sizes}", g, weight
        yield f"g^T x  {sizes}", g.T, x


def cases(peers: Sequence[str], quick: bool, dtype: str = "float32") -> Iterator[Case]:
    """Check every product against float64 (float64's against itself), then yield it."""
    peak = limits(quick).peak[dtype]
    for label, a, b in products(quick, dtype):
        bias = np.linspace(-1, 1, b.shape[1], dtype=dtype)
        exact = a.astype(np.float64) @ b.astype(np.float64)
        gflop = 2e-9 * exact.size * a.shape[1]
        rows = [(PRODUCTS, label, product_calls(a, b), exact)]
        if not label.startswith("g"):
            fused = np.maximum(exact + bias, 0)
            rows.append((FUSED, f"{label}, bias, ReLU", fused_calls(a, b, bias), fused))
        for group, name, calls, expected in rows:
            candidates = candidates_of(calls, peers)
            for candidate in candidates:
                got = np.asarray(candidate.make()())
                bound = 8 * np.finfo(dtype).eps * np.sqrt(a.shape[1])
                agree(f"{candidate.name}, {name}", got, expected, rtol=1e-4, atol=8 * bound)
            moved = a.nbytes + b.nbytes + 2 * got.nbytes  # c is written, and read for that
            floor = gflop / peak
            yield Case(name, candidates, gflop=gflop, gbyte=1e-9 * moved, floor=floor, group=group)


def candidates_of(calls: dict[str, Callable[[], Call]], peers: Sequence[str]) -> list[Candidate]:
    """Return minigrad's candidates and the peers'."""
    candidates = ours(calls["minigrad"])
    if "numpy" in peers:
        candidates += with_numpy(calls["numpy"])
    if "torch" in peers:
        candidates += with_torch(calls["torch"])
    if "jax" in peers:
        candidates.append(Candidate("jax", calls["jax"]))
    return candidates


# ---------------------------------------------------------------- the product alone
def product_calls(a: Array, b: Array) -> dict[str, Callable[[], Call]]:
    """Return what makes each library's call."""
    makers = (minigrad_product, numpy_product, torch_product, jax_product)
    return {f.__name__.partition("_")[0]: partial(f, a, b) for f in makers}


def minigrad_product(a: Array, b: Array) -> Call:
    """Return minigrad's kernel, into an array that is there."""
    c = np.empty((a.shape[0], b.shape[1]), a.dtype)

    def call() -> Array:
        launch("gemm", a, b, c)
        return c

    return call


def numpy_product(a: Array, b: Array) -> Call:
    """Return NumPy's BLAS, into an array that is there."""
    c = np.empty((a.shape[0], b.shape[1]), a.dtype)
    return lambda: np.matmul(a, b, out=c)


def torch_product(a: Array, b: Array) -> Call:
    """Return PyTorch's BLAS, into a tensor that is there."""
    import torch

    left, right = torch.from_numpy(a), torch.from_numpy(b)
    c = torch.empty((a.shape[0], b.shape[1]), dtype=left.dtype)
    return lambda: torch.mm(left, right, out=c)


def jax_product(a: Array, b: Array) -> Call:
    """Return a compiled product; JAX has no output to write to."""
    import jax
    import jax.numpy as jnp

    multiply = jax.jit(lambda a, b: jnp.matmul(a, b, precision="highest"))
    left, right = jnp.asarray(a), jnp.asarray(b)
    return lambda: multiply(left, right).block_until_ready()


# ---------------------------------------------------------------- with bias and ReLU
def fused_calls(a: Array, b: Array, bias: Array) -> dict[str, Callable[[], Call]]:
    """Return what makes each library's call."""
    makers = (minigrad_fused, numpy_fused, torch_fused, jax_fused)
    return {f.__name__.partition("_")[0]: partial(f, a, b, bias) for f in makers}


def minigrad_fused(a: Array, b: Array, bias: Array) -> Call:
    """Return minigrad's kernel, into an array that is there."""
    c = np.empty((a.shape[0], b.shape[1]), a.dtype)

    def call() -> Array:
        launch("gemm_activation", a, b, bias, "relu", c)
        return c

    return call


def numpy_fused(a: Array, b: Array, bias: Array) -> Call:
    """Return NumPy's BLAS, then a pass for the bias and one for ReLU."""
    c = np.empty((a.shape[0], b.shape[1]), a.dtype)

    def call() -> Array:
        np.matmul(a, b, out=c)
        np.add(c, bias, out=c)
        return np.maximum(c, 0, out=c)

    return call


def torch_fused(a: Array, b: Array, bias: Array) -> Call:
    """Return PyTorch's linear layer, whose BLAS adds the bias, then a pass for ReLU."""
    import torch

    left, right, row = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(bias)
    c = torch.empty((a.shape[0], b.shape[1]), dtype=left.dtype)
    return lambda: torch.addmm(row, left, right, out=c).relu_()


def jax_fused(a: Array, b: Array, bias: Array) -> Call:
    """Return one compiled program."""
    import jax
    import jax.numpy as jnp

    def layer(a: Any, b: Any, bias: Any) -> Any:
        return jax.nn.relu(jnp.matmul(a, b, precision="highest") + bias)

    program = jax.jit(layer)
    left, right, row = jnp.asarray(a), jnp.asarray(b), jnp.asarray(bias)
    return lambda: program(left, right, row).block_until_ready()


BENCHMARK = Benchmark(
    "gemm",
    "Matrix products",
    ("numpy", "torch", "jax"),
    cases,
    options=("dtype",),
    pace=Pace(rounds=5),
    limited=True,
)
