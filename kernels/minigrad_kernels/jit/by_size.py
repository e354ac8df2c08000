"""A loop compiled twice, for small arrays and for large ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad_kernels.jit.compile import jit


def small_and_large(name: str, function: Callable[..., Any]) -> tuple[Any, Any]:
    """Compile one source twice: sequential, where `prange` is `range`, and parallel.

    name: of the pair; the cache knows the two as name.small and name.large.
    """
    small = jit(name=f"{name}.small")(function)
    return small, jit(name=f"{name}.large", parallel=True)(function)
