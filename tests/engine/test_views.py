"""Every combination of views, detach, hooks, `retain_grad` and writes in place, held to PyTorch."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from tests.engine.view_programs import SOURCES, VIEWS, programs, run

PATH = Path(__file__).parents[1] / "golden" / "views.json.gz"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(PATH.read_bytes()))
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_every_program_does_what_it_does_on_pytorch(golden: dict[str, Any], source: str) -> None:
    outcomes = golden["outcomes"]
    wrong = []
    for p, number in zip(programs(), golden["programs"], strict=True):
        if p.source == source:
            found = json.loads(json.dumps(run(mg, p, VIEWS)))
            if found != outcomes[number]:
                wrong.append(f"{p}\n  ours: {found}\n  PyTorch: {outcomes[number]}")
    assert not wrong, f"{len(wrong)} programs differ, the first:\n" + "\n".join(wrong[:3])
