"""Derivatives in programs, against PyTorch: golden, and live where it is installed."""

from __future__ import annotations

import importlib.util

import pytest

import minigrad as mg
from tests.autodiff.outcomes import compare
from tests.autodiff.programs import ALL


@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("ignore")
def test_a_program_gives_what_pytorch_does(name: str) -> None:
    torch = pytest.importorskip("torch") if importlib.util.find_spec("torch") else None
    compare(ALL[name], name, mg, torch)
