"""Fixtures of all tests; every test starts from the same seed."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from minigrad_kernels.jit import plain
from tests.plain_mode import ABSENT, why_absent

QUICK_CASES = 5  # of each parametrized test that --quick runs

# Scripts that write golden files need torch or scikit-learn, and collecting doctests imports them.
# PyTorch's programs are run in processes of their own, see tests/as_torch.
collect_ignore_glob = [
    "*/make_*.py",
    "as_torch/programs/*",
    "as_torch/run_all.py",
    "distributed/programs/*",
]

# Examples are the same in every run, and a slow first call (a compilation) is no failure.
settings.register_profile("minigrad", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("minigrad")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--quick`: what to run at each change, the same tests every time."""
    parser.addoption(
        "--quick",
        action="store_true",
        help=f"leave out tests marked slow, and of each parametrized test all but {QUICK_CASES} "
        "cases, evenly spread",
    )
    parser.addoption(
        "--all-trials",
        action="store_true",
        help="try all mutated tables (200), damaged files (10,000), mutants of rules: no sample",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what plain mode has not; keep what `--quick` runs, in the order of the whole."""
    for item in items if plain.ON else ():
        why = why_absent(item.nodeid)
        if why is not None:
            item.add_marker(pytest.mark.skip(reason=f"plain mode: {why}"))
    if not config.getoption("--quick"):
        return
    tests: dict[Any, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("slow") is None:
            tests[item.parent, getattr(item, "originalname", item.name)].append(item)
    kept = {item for cases in tests.values() for item in spread(cases, QUICK_CASES)}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def spread(cases: list[Any], most: int) -> list[Any]:
    """Return at most so many of the cases, the first, the last, and others evenly between."""
    if len(cases) <= most:
        return cases
    return [cases[i * (len(cases) - 1) // (most - 1)] for i in range(most)]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """In plain mode leave out the folders that `tests/plain_mode.py` names."""
    folders = [config.rootpath / name for name in ABSENT if "." not in name]
    left_out = plain.ON and any(collection_path.is_relative_to(folder) for folder in folders)
    return left_out or None  # None: whatever else pytest would say


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
