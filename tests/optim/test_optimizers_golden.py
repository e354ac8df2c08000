"""Every optimizer with every option against PyTorch, stored and live, straight on and resumed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import OPTIMIZERS
from tests.npz import arrays_of
from tests.optim import optimizer_cases as cases

Array = np.ndarray[Any, Any]

GOLDEN = arrays_of(Path(__file__).parent.parent / "golden" / "optim.npz")


def set_grad(p: mg.Tensor, g: Array | None) -> None:
    p.grad = None if g is None else mg.Tensor(g)


def with_names(groups: list[dict[str, Any]], params: list[mg.Tensor]) -> list[dict[str, Any]]:
    names = {id(p): name for p, name in zip(params, cases.NAMES, strict=True)}
    return [{**g, "params": [(names[id(p)], p) for p in g["params"]]} for g in groups]


def compute(key: str, dtype: Any = np.float64, resume: bool = False) -> Array:
    """Return minigrad's parameters after each step of a case."""
    kind = getattr(mg.optim, cases.case(key)[0])
    params = [mg.Tensor(x.astype(dtype), requires_grad=True) for x in cases.initial()]

    def make(groups: list[dict[str, Any]], options: dict[str, Any]) -> Any:
        return kind(with_names(groups, params), **options)

    def make_and_load(old: Any, groups: list[dict[str, Any]], options: dict[str, Any]) -> Any:
        new = kind(with_names([{"params": g["params"]} for g in groups], params), lr=9.0)
        new.load_state_dict(old.state_dict())
        for p in params:
            p.array = p.array.copy()  # elsewhere in memory, as in a new process
        return new

    def give(p: mg.Tensor, g: Array | None) -> None:
        set_grad(p, None if g is None else g.astype(dtype))

    def read(p: mg.Tensor) -> Array:
        return p.array.astype(np.float64)

    return cases.run(key, make, params, give, read, make_and_load if resume else None)


def test_the_cases_and_the_golden_values_are_of_optimizers() -> None:
    assert set(cases.CASES) <= {*OPTIMIZERS, "Adafactor"}
    assert set(GOLDEN) == set(cases.KEYS)


def test_every_optimizer_that_pytorch_has_is_held_to_it() -> None:
    torch = pytest.importorskip("torch")
    stepped = {name for name in OPTIMIZERS if hasattr(torch.optim, name)}
    assert set(cases.CASES) == {*stepped, "Adafactor"}


@pytest.mark.parametrize("key", cases.KEYS)
def test_every_option_is_used_in_a_case(key: str) -> None:
    name = key.split("-")[0]
    used = {option for pair in cases.CASES[name] for part in pair for option in part}
    fixed = {"AdamW": {"decoupled_weight_decay"}}.get(name, set())
    options = getattr(mg.optim, name)([mg.zeros(1)]).defaults.keys()
    assert options - fixed == used


@pytest.mark.parametrize("key", cases.KEYS)
def test_matches_pytorch(key: str) -> None:
    np.testing.assert_allclose(compute(key), GOLDEN[key], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("key", cases.KEYS)
def test_resumed_equals_straight_on(key: str) -> None:
    np.testing.assert_array_equal(compute(key, resume=True), compute(key))


@pytest.mark.parametrize("key", cases.KEYS)
def test_float32_stays_close(key: str) -> None:
    # Where a gradient passes zero, sqrt(v) is far below it and the step keeps few digits.
    np.testing.assert_allclose(compute(key, np.float32), GOLDEN[key], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("key", cases.KEYS)
def test_matches_pytorch_live(key: str) -> None:
    pytest.importorskip("torch")
    live = importlib.import_module("tests.golden.make_optim").compute(key)
    np.testing.assert_allclose(live, GOLDEN[key], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(compute(key), live, rtol=1e-12, atol=1e-14)
