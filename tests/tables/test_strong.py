"""The stronger recipe for tables: its parts, its file, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.tables.preparation import NumberInput, middle
from minigrad.tables.strong import (
    BETAS,
    StrongNetwork,
    StrongShape,
    coslog4,
    groups,
    of_members,
)


def table(rows: int = 200) -> dict[str, Any]:
    g = np.random.default_rng(0)
    x = g.normal(size=(rows, 2))
    kind = [f"k{i % 15}" for i in range(rows)]
    y = np.sin(3 * x[:, 0]) + x[:, 1] + np.array([i % 15 for i in range(rows)]) / 10
    return {"a": x[:, 0].tolist(), "b": x[:, 1].tolist(), "kind": kind, "y": y.tolist()}


def test_the_schedule_is_the_paper_s() -> None:
    parts = np.linspace(0, 1, 4001)
    factors = np.array([coslog4(part) for part in parts])
    tops = (2.0 ** np.array([0.5, 1.5, 2.5, 3.5]) - 1) / 15
    np.testing.assert_allclose([coslog4(top) for top in tops], 1)
    low = (2.0 ** np.arange(5) - 1) / 15
    np.testing.assert_allclose([coslog4(at) for at in low], 0, atol=1e-12)
    assert factors.min() >= 0 and factors.max() <= 1


def test_numbers_are_centred_by_the_median_and_clipped_smoothly() -> None:
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert middle(values) == (2.0, 2.0)
    assert middle(np.array([0.0, 1, 1, 1, 1, 3])) == (1.0, 1.5)  # quartiles alike: half the range
    assert middle(np.ones(3)) == (1.0, 1.0)
    one = NumberInput("a", "plain", 2.0, -1e9, 1e9, 2.0, 2.0, False, (), True)
    got = one.encode(np.array([2.0, 8.0, 1e9, np.nan]))[:, 0]
    np.testing.assert_allclose(got, [0, 3 / math.sqrt(2), 3, 0], atol=1e-6)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("target", ["y", "kind"])
def test_a_model_learns_is_saved_and_comes_back(
    target: str, periodic: bool, tmp_path: Path
) -> None:
    data = table()
    if target == "kind":
        data["kind"] = ["high" if y > 0.5 else "low" for y in data["y"]]
        del data["y"]
    options = {"recipe": "strong", "hidden": (16,), "periodic": periodic, "folds": 1}
    built = mg.recipe.from_table(data, target, **options)
    assert built.epochs == 96
    built.fit(epochs=40)
    scores = built.evaluate()
    assert scores["r2" if target == "y" else "accuracy"] > 0.7
    path = built.save(tmp_path / "m.safetensors")
    model = mg.load_model(path)
    np.testing.assert_array_equal(model.predict(data), built.predict(data))
    if target == "y":  # within what the training rows held
        y = np.array(data["y"])[built.rows[0]]
        far = {"a": [100.0, -100.0], "b": [1e6, -1e6], "kind": ["k1", "new"]}
        assert (
            y.min() - 1e-3 <= model.predict(far).min() <= model.predict(far).max() <= y.max() + 1e-3
        )
    else:
        np.testing.assert_allclose(model.predict_proba(data).sum(1), 1, rtol=1e-6)


def test_members_are_averaged_as_probabilities() -> None:
    shape = StrongShape(3, (0,), (), (4,), 2, "selu", 0.0, 3, False, True)
    network = shape.build()
    network.weight.array[...] = np.random.default_rng(0).normal(size=(3, 4, 2))
    x = mg.tensor(np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32))
    each = network(x)
    assert each.shape == (3, 5, 2)
    want = each.softmax(2).mean(0).detach().numpy()
    np.testing.assert_allclose(network.eval()(x).exp().detach().numpy(), want, rtol=1e-5)
    assert set(np.unique(network.members.detach().numpy())) == {-1.0, 1.0}


def test_losses_are_means_over_members_and_rows() -> None:
    g = np.random.default_rng(0)
    output, target = g.normal(size=(2, 3, 4)).astype(np.float32), np.array([1, 0, 3])
    flat = mg.tensor(output.reshape(6, 4)), mg.tensor(np.tile(target, 2))
    want = mg.nn.functional.cross_entropy(*flat).item()
    classes = of_members(mg.nn.functional.cross_entropy)
    assert classes(mg.tensor(output), mg.tensor(target)).item() == pytest.approx(want, rel=1e-6)
    amounts = of_members(mg.nn.functional.mse_loss)
    got = amounts(mg.tensor(output[:, :, :1]), mg.tensor(np.ones(3, np.float32))).item()
    assert got == pytest.approx(np.square(output[:, :, 0] - 1).mean(), rel=1e-6)


def test_parameters_have_their_rates() -> None:
    network = StrongShape(3, (0, 1), ((5, 2),), (4,), 1, "mish", 0.1, 2, True, False).build()
    assert isinstance(network, StrongNetwork)
    names = {id(p): name for name, p in network.named_parameters()}
    found = {names[id(p)]: group["lr"] for group in groups(network, 1.0) for p in group["params"]}
    assert found.keys() == set(names.values())
    assert (found["scale"], found["layers.0.bias"], found["layers.0.weight"]) == (6.0, 0.1, 1.0)
    assert (found["embeddings.0.weight"], found["waves.weight"], found["bias"]) == (0.1, 0.1, 0.1)
    built = mg.recipe.from_table(table(60), "y", recipe="strong", hidden=(4,), lr=0.5)
    assert built.recipe.optimizer.param_groups[0]["lr"] == 0.5
    assert built.recipe.optimizer.param_groups[0]["betas"] == BETAS


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="expected recipe to be one of"):
        mg.recipe.from_table(table(), "y", recipe="best")
    with pytest.raises(ValueError, match="members and periodic are for"):
        mg.recipe.from_table(table(), "y", members=4)
    shape = StrongShape(3, (0,), (), (4,), 2, "selu", 0.0, 3, False, True)
    state = shape.state()
    assert StrongShape.from_state(state) == shape
    for wrong in ({"numeric": [3]}, {"members": 0}, {"hidden": []}, {"activation": "sine"}):
        with pytest.raises(ValueError, match="no shape of a network"):
            StrongShape.from_state({**state, **wrong})
