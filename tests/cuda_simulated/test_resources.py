"""Every CUDA kernel and signature compiles, without a GPU, to what the committed tables say.

In CI, where MINIGRAD_REQUIRE_CUDA_TOOLS is 1, a missing compiler fails instead of skipping.

A kernel whose row says that it was made from the same code by the same versions is not compiled
again, but for one in SAMPLE; `--all-trials` compiles all, some five minutes of two cores.
"""

from __future__ import annotations

from dataclasses import replace
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
SAMPLE = 40
TABLES = {family: make_resources.committed(family) for family in CHECKS}


def shown(case: Any) -> str:
    return "-".join(case) if isinstance(case, tuple) else str(case)


@cache
def changed() -> list[tuple[str, str]]:
    """Return the kernels that are not what their rows were made from."""
    return [
        (family, name)
        for family, name in NAMES
        if TABLES[family][name].get(make_resources.MADE_FROM)
        != make_resources.made_from(family, name)
    ]


@cache
def compiling(everything: bool) -> dict[tuple[str, str], Any]:
    return make_resources.rows(NAMES if everything else {*changed(), *NAMES[::SAMPLE]})


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
def test_kernels_compile_to_the_table(
    case: tuple[str, str], target: str, pytestconfig: pytest.Config
) -> None:
    family, name = case
    begun = compiling(bool(pytestconfig.getoption("--all-trials")))
    if case not in begun:  # a compilation finds what it found
        return
    assert begun[case].result()[target] == TABLES[family][name][target], (
        f"{name} for {target} compiles to something else; if that is meant, run "
        f"python tests/cuda_simulated/make_resources.py {family}"
    )


def test_a_row_notes_what_it_was_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    case = "softmax", "softmax.vectors.1x4/float32"
    before = make_resources.made_from(*case)
    check = CHECKS[case[0]][case[1]]
    other = CHECKS["softmax"]["softmax.elements.1x4/float32"]
    group = CHECKS["softmax"] | {case[1]: replace(check, kernel=other.kernel)}
    monkeypatch.setitem(CHECKS, "softmax", group)
    assert make_resources.made_from(*case) != before
    monkeypatch.setitem(group, case[1], replace(check, signature=other.signature[:-1]))
    assert make_resources.made_from(*case) != before
    monkeypatch.setitem(group, case[1], check)
    assert make_resources.made_from(*case) == before
