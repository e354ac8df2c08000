"""Every CUDA kernel and signature compiles, without a GPU, to what the committed tables say.

In CI, where MINIGRAD_REQUIRE_CUDA_TOOLS is 1, a missing compiler fails instead of skipping.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from minigrad_kernels.cuda import compile as cuda_compile
from tests.cuda_simulated import make_resources
from tests.cuda_simulated.extras import REQUIRED

MISSING = cuda_compile.missing()
CHECKS = make_resources.checks()
NAMES = [(family, name) for family, group in CHECKS.items() for name in group]
MAX_SHARED = 48 * 1024
TABLES = {family: make_resources.committed(family) for family in CHECKS}


def shown(case: Any) -> str:
    return "-".join(case) if isinstance(case, tuple) else str(case)


@cache
def compiling() -> dict[tuple[str, str], Any]:
    return make_resources.rows(list(CHECKS))


def test_the_tables_hold_every_kernel() -> None:
    assert {family: set(table) for family, table in TABLES.items()} == {
        family: set(group) for family, group in CHECKS.items()
    }
    assert {p.stem for p in make_resources.FOLDER.glob("*.json")} == set(CHECKS)


@pytest.mark.parametrize("target", cuda_compile.TARGETS)
@pytest.mark.parametrize("case", NAMES, ids=shown)
def test_the_table_keeps_the_rules(case: tuple[str, str], target: str) -> None:
    family, name = case
    row, check = TABLES[family][name][target], CHECKS[family][name]
    assert row["stack"] == row["spills"] == 0
    assert row["doubles"] == 0 or check.float64
    assert row["registers"] <= check.registers and row["shared"] <= MAX_SHARED
    assert set(row["opcodes"]) == set(check.opcodes)
    assert all(row["opcodes"].values()), f"{name} lacks what it promises: {row['opcodes']}"


@pytest.mark.skipif(bool(MISSING) and not REQUIRED, reason=f"needs {', '.join(MISSING)}")
@pytest.mark.parametrize("target", cuda_compile.TARGETS)
@pytest.mark.parametrize("case", NAMES, ids=shown)
def test_kernels_compile_to_the_table(case: tuple[str, str], target: str) -> None:
    family, name = case
    assert compiling()[case].result()[target] == TABLES[family][name][target], (
        f"{name} for {target} compiles to something else; if that is meant, run "
        f"python tests/cuda_simulated/make_resources.py {family}"
    )
