"""Launching a kernel in every order, for the tests of what the simulator finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad_cudasim as simulate
from minigrad_cudasim.api import Fault

N = 64
Kernel = Callable[..., None]


def fault(kernel: Kernel, grid: Any, block: Any, *args: Any, **options: Any) -> Fault:
    """Return the fault that every order shows: one kind, and one pair of lines."""
    options.setdefault("strict", True)
    found = []
    for order in simulate.ORDERS:
        for seed in (0, 1):
            with pytest.raises(Fault) as caught:
                simulate.launch(kernel, grid, block, *args, order=order, seed=seed, **options)
            found.append(caught.value)
    assert len({f.kind for f in found}) == 1
    return found[0]


def sources(found: Fault) -> list[str]:
    return [party.site.source for party in found.parties if party.site is not None]


def clean(kernel: Kernel, grid: Any, block: Any, *args: Any, **options: Any) -> None:
    for order in simulate.ORDERS:
        simulate.launch(kernel, grid, block, *args, order=order, **options)


def x(n: int = N) -> Any:
    return np.arange(n, dtype=np.float32)
