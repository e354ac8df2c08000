"""Modules against PyTorch's: values, gradients, buffers, names and reprs, stored and live."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from tests.nn.module_cases import CASES, KEYS, Kit, Values, run
from tests.nn.nn_cases import unpacked
from tests.npz import arrays_of

FOLDER = Path(__file__).parent.parent / "golden"
GOLDEN = unpacked(arrays_of(FOLDER / "modules.npz"))
DESCRIBED = json.loads((FOLDER / "modules.json").read_text())
MINIGRAD = Kit(
    nn,
    lambda a, requires_grad=False: mg.tensor(a, requires_grad=requires_grad),
    lambda t: t.numpy() if not t.requires_grad else t.detach().numpy(),
)
every = pytest.mark.parametrize(("key", "training"), KEYS)


# PyTorch's gradients of these have a factor rounded to float32.
SINGLE = ("nn.Hardsigmoid()", "nn.CELU(0.7, inplace=False)", "nn.Hardswish()")


def close(key: str, found: Values, want: Values) -> None:
    assert found.keys() == want.keys()
    for name, value in want.items():
        assert found[name].shape == value.shape, name
        rtol = 1e-7 if key in SINGLE else 1e-10
        np.testing.assert_allclose(found[name], value, rtol, 1e-11, err_msg=name)


def test_every_case_is_stored() -> None:
    assert set(GOLDEN) == {f"{key}|{training}" for key, training in KEYS}
    assert set(DESCRIBED) == set(CASES)


@every
def test_a_module_agrees_with_the_stored_answers(key: str, training: bool) -> None:
    close(key, run(MINIGRAD, key, training), GOLDEN[f"{key}|{training}"])


@pytest.mark.parametrize("key", CASES)
def test_names_and_repr_are_pytorchs(key: str) -> None:
    module = eval(key, {"nn": nn})
    assert list(module.state_dict()) == DESCRIBED[key]["state"]
    assert repr(module) == DESCRIBED[key]["repr"]


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, of words of old
def test_modules_agree_with_torch_live() -> None:
    pytest.importorskip("torch")
    live = importlib.import_module("tests.golden.make_modules")
    for key, training in KEYS:
        close(key, run(MINIGRAD, key, training), live.compute(key, training))
    for key in CASES:
        assert live.described(key) == DESCRIBED[key]
