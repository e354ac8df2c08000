"""Fixtures of all tests; every test starts from the same seed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import settings

# Scripts that write golden files need torch or scikit-learn, and collecting doctests imports them.
collect_ignore_glob = ["*/make_*.py"]

# Examples are the same in every run, and a slow first call (a compilation) is no failure.
settings.register_profile("minigrad", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("minigrad")


@pytest.fixture
def rng() -> np.random.Generator:
    """Return NumPy's generator from a fixed seed, fresh for each test."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _same_seed() -> None:
    """Reset minigrad's random streams before each test, so that no test depends on another.

    Tests of the kernels alone never import the framework, and need no reset.
    """
    random = sys.modules.get("minigrad.engine.random")
    if random is not None:
        random.manual_seed(0)
