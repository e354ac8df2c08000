"""Elementwise ops and a sum, one at a time, on 16 to 10^6 numbers; off the tape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.harness import Array, Benchmark, agree, ours, with_torch
from minigrad_kernels.compare.timing import Candidate, Case

SIZES = (16, 1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = (16, 1_000)
# name -> call on tensors of minigrad and PyTorch, call on NumPy's arrays
OPS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Array, Array], Any]]] = {
    "add": (lambda x, y: x + y, np.add),
    "exp": (lambda x, y: x.exp(), lambda x, y: np.exp(x)),
    "tanh": (lambda x, y: x.tanh(), lambda x, y: np.tanh(x)),
    "sum": (lambda x, y: x.sum(), lambda x, y: np.sum(x)),
}


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Check every op against float64, then yield each op and size."""
    rng = np.random.default_rng(0)
    for op, (on_tensors, on_arrays) in OPS.items():
        for size in QUICK_SIZES if quick else SIZES:
            x, y = rng.standard_normal(size, np.float32), rng.standard_normal(size, np.float32)
            candidates = ours(partial(of_minigrad, on_tensors, x, y))
            if "numpy" in peers:
                candidates.append(Candidate("numpy", partial(partial, on_arrays, x, y)))
            if "torch" in peers:
                candidates += with_torch(partial(of_torch, on_tensors, x, y))
            expected = on_arrays(x.astype(np.float64), y.astype(np.float64))
            for candidate in candidates:
                got = np.asarray(candidate.make()())
                bound = 1e-6 * size**0.5 if op == "sum" else 1e-7
                agree(f"{candidate.name}, {op} of {size}", got, expected, rtol=1e-5, atol=bound)
            yield Case(f"{op:4} {size:>9,}", candidates)


def of_minigrad(f: Callable[[Any, Any], Any], x: Array, y: Array) -> Callable[[], Any]:
    """Return the op on minigrad's tensors."""
    left, right = mg.from_numpy(x), mg.from_numpy(y)
    return lambda: f(left, right)


def of_torch(f: Callable[[Any, Any], Any], x: Array, y: Array) -> Callable[[], Any]:
    """Return the op on PyTorch's tensors."""
    import torch

    left, right = torch.from_numpy(x), torch.from_numpy(y)
    return lambda: f(left, right)


BENCHMARK = Benchmark(
    "elementwise", "One op of float32 numbers, off the tape", ("numpy", "torch"), cases
)
