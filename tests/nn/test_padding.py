"""Every padding against PyTorch's, values and gradients, and what either refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.nn.padding_cases import MODES, cases, outcome

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "padding.json").read_text())


@pytest.mark.parametrize("mode", MODES)
def test_every_padding_is_the_reference_one(mode: str) -> None:
    wrong, refused = [], 0
    for name, *case in cases():
        if case[2] == mode:
            found, want = outcome(mg, *case), GOLDEN[name]
            refused += want is None
            if found != want:
                wrong.append(f"{name}: {found}, PyTorch {want}")
    assert not wrong, "\n".join([f"{len(wrong)} differ", *wrong[:20]])
    assert mode == "replicate" or refused > 10


def test_the_golden_file_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name, *case in list(cases())[::7]:
        assert outcome(torch, *case) == GOLDEN[name], name


def test_circular_wraps_what_the_negative_end_leaves() -> None:
    x = mg.tensor([0.0, 1.0, 2.0, 3.0], requires_grad=True)
    y = mg.nn.functional.pad(x, (-1, 2), mode="circular")
    assert y.tolist() == [1.0, 2.0, 3.0, 1.0, 2.0]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 2.0, 2.0, 1.0]
    with pytest.raises(ValueError, match="can take from 3 elements: at most 3"):
        mg.nn.functional.pad(x, (-1, 4), mode="circular")


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_padding_of_any_number_of_dimensions(mode: str, dims: int) -> None:
    """Wider than PyTorch: as many dimensions as there are, each as NumPy pads it."""
    rng = np.random.default_rng(dims)
    x = rng.standard_normal((3, 4, 3)[:dims])
    names: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    want = np.pad(x, ((2, 1), (1, 2), (0, 2))[:dims], mode=names[mode])
    ends = (2, 1, 1, 2, 0, 2)[: 2 * dims]
    by_last = tuple(n for k in range(dims) for n in ends[2 * (dims - 1 - k) :][:2])
    found = mg.nn.functional.pad(mg.tensor(x), by_last, mode=mode)
    np.testing.assert_array_equal(found.numpy(), want)
