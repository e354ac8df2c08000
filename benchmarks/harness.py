"""What all benchmarks share: their form, our candidates and the peers', and validation.

The timing itself is `minigrad_kernels.compare.timing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad as mg
from minigrad_kernels.compare.timing import (
    OURS,
    STANDARD,
    Candidate,
    Case,
    Pace,
    installed,
    on_threads,
)

Array = np.ndarray[Any, Any]
PEERS = ("numpy", "torch", "jax", "micrograd")


class Disagreement(Exception):
    """A candidate computes something else than the reference, so that its time means nothing."""


@dataclass(frozen=True)
class Benchmark:
    """A named benchmark.

    cases: (peers, quick, **options) -> cases, each validated before it is yielded to be timed.
    options: those of the command line that `cases` takes.
    limited: whether its cases have a floor, so that the machine's limits belong to the results.
    """

    name: str
    title: str
    peers: tuple[str, ...]
    cases: Callable[..., Iterator[Case]]
    unit: str = "us"
    options: tuple[str, ...] = ()
    pace: Pace = STANDARD
    limited: bool = False


# ---------------------------------------------------------------- peers and validation
def ours(
    make: Callable[[], Callable[[], Any]], variant: str = "", threads: Sequence[int] = ()
) -> list[Candidate]:
    """Return minigrad's candidates, one for each thread count."""
    return on_threads(OURS, mg.set_num_threads, make, variant, threads)


def with_torch(
    make: Callable[[], Callable[[], Any]], variant: str = "", threads: Sequence[int] = ()
) -> list[Candidate]:
    """Return PyTorch's candidates, one for each thread count."""
    import torch

    return on_threads("torch", torch.set_num_threads, make, variant, threads)


def with_numpy(make: Callable[[], Callable[[], Any]]) -> list[Candidate]:
    """Return NumPy's candidates: its BLAS at each thread count where threadpoolctl can set that,
    else at its default alone.
    """
    if not installed("threadpoolctl"):
        return [Candidate("numpy", make)]
    import threadpoolctl

    blas = threadpoolctl.ThreadpoolController().select(internal_api="openblas")
    return on_threads("numpy", lambda count: blas.limit(limits=count), make, "", ())


def agree(what: str, got: Any, expected: Any, rtol: float, atol: float = 0.0) -> None:
    """Raise a Disagreement that names the worst element where `got` is not `expected`."""
    actual = np.asarray(got, np.float64)
    wanted = np.asarray(expected, np.float64)
    if actual.shape != wanted.shape:
        raise Disagreement(f"{what}: expected the shape {wanted.shape}, got {actual.shape}")
    error = np.abs(actual - wanted)
    excess = error - (atol + rtol * np.abs(wanted))
    if not (excess <= 0).all():
        at = np.unravel_index(
            int(np.nanargmax(np.where(np.isnan(excess), np.inf, excess))), error.shape
        )
        raise Disagreement(
            f"{what}: element {tuple(int(i) for i in at)} is {actual[at]:.9g}, expected"
            f" {wanted[at]:.9g} within rtol {rtol:g} and atol {atol:g}; nothing was timed"
        )
