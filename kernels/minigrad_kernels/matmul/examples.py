"""Example arguments of the matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad_kernels.example import Example, Rng, normal, unwritten


def product(*more: str) -> Callable[..., tuple[Any, ...]]:
    """Return what makes a (M, K), b (K, N), and what `more` names."""

    def make(rng: Rng, dtype: Any, m: int, k: int, n: int) -> tuple[Any, ...]:
        known: dict[str, Callable[[], Any]] = {
            "bias": lambda: normal(rng, dtype, n),
            "saved": lambda: normal(rng, dtype, m, n),
            "relu": lambda: "relu",
            "c": lambda: unwritten(dtype, m, n),
            "old": lambda: normal(rng, dtype, m, n),
            "sums": lambda: unwritten(dtype, m),
        }
        made = [known[name]() for name in more]
        return normal(rng, dtype, m, k), normal(rng, dtype, k, n), *made

    return make


def batched(rng: Rng, dtype: Any, b: int, m: int, k: int, n: int) -> tuple[Any, ...]:
    """Return a (B, M, K), b (B, K, N) and c."""
    return normal(rng, dtype, b, m, k), normal(rng, dtype, b, k, n), unwritten(dtype, b, m, n)


EXAMPLES = {
    name: Example(product(*more), "MxKxN", cancels=True)
    for name, more in {
        "gemm": ("c",),
        "gemm_bias": ("bias", "c"),
        "gemm_accumulate": ("old",),
        "gemm_activation": ("bias", "relu", "c"),
        "gemm_activation_saved": ("bias", "relu", "c", "c"),
        "gemm_masked": ("saved", "relu", "c"),
        "gemm_sums": ("c", "sums"),
    }.items()
} | {"bmm": Example(batched, "BxMxKxN", cancels=True)}
