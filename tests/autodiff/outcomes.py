"""The outcomes of programs as plain numbers, to be kept and compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden" / "autodiff.json"


def plain(value: Any) -> Any:
    """Return a nested outcome with its tensors as lists of numbers."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return [[key, plain(value[key])] for key in sorted(value)]
    if hasattr(value, "detach"):
        return value.detach().tolist()
    return value


def recorded(name: str) -> Any:
    """Return what PyTorch gave for a program."""
    return json.loads(GOLDEN.read_text())["outcomes"][name]


def same(got: Any, want: Any) -> bool:
    """Say whether two outcomes agree, numbers to 1e-9."""
    if isinstance(want, list) and isinstance(got, list):
        return len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, str) or want is None or got is None:
        return bool(got == want)
    return bool(np.isclose(float(got), float(want), rtol=1e-9, atol=1e-9, equal_nan=True))


def compare(program: Callable[[Any], Any], name: str, mg: Any, torch: Any) -> None:
    """Hold a program against the kept outcome, and against PyTorch where it is installed."""
    got = plain(program(mg))
    want = recorded(name)
    assert same(got, want), f"{name}: got {got}, recorded {want}"
    if torch is not None:
        live = plain(program(torch))
        assert same(got, live), f"{name}: got {got}, PyTorch gives {live}"
