"""Tensors without elements or dimensions, as PyTorch: values, two gradients, and what raises."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.empty_cases import FUNCTIONS, GOLDEN, SHAPES, evaluate

# Refused here: a dim that an empty vector lacks; PyTorch drops all empty vectors before it looks.
STRICTER = {
    *((f"cat, empty {where} ({dim})", (0,)) for where in ("first", "behind") for dim in (1, 2, -2)),
}


def answers() -> Any:
    with np.load(GOLDEN) as held:
        return json.loads(held["answers"].tobytes())


def differences(wanted: Any) -> list[str]:
    """Say in a line each what differs; a second gradient that one side does not record is 0."""
    found = []
    for name in FUNCTIONS:
        for shape, want in zip(SHAPES, wanted[name], strict=True):
            got = json.loads(json.dumps(evaluate(mg, F, name, shape)))
            if got == want or ((name, shape) in STRICTER and got is None):
                continue
            if got and want and got[:2] == want[:2] and not any((got + want)[-1][1]):
                continue
            found.append(f"{name} of {shape}: {str(got)[:150]}, PyTorch {str(want)[:150]}")
    return found


def test_as_pytorch() -> None:
    wrong = differences(answers())
    assert not wrong, "\n".join(wrong[:30])


def test_golden_file_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name in list(FUNCTIONS)[::7]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = [evaluate(torch, torch.nn.functional, name, s) for s in SHAPES]
        assert json.loads(json.dumps(got)) == answers()[name], name
