"""Weights go to PyTorch and come back by safetensors: the same names, the same outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("safetensors.torch")


def table() -> dict[str, Any]:
    g = np.random.default_rng(0)
    x = g.normal(size=80)
    return {"a": x, "b": g.normal(size=80), "y": np.where(x > 0, "up", "down").tolist()}


def layers(n_in: int, n_out: int) -> Any:
    return torch.nn.Sequential(
        torch.nn.Linear(n_in, 8, bias=False),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(8, n_out),
    )


class Network(torch.nn.Module):  # type: ignore[misc,name-defined]
    """What a table's network is in PyTorch."""

    def __init__(self, n_dense: int, tables: Any, n_out: int) -> None:
        super().__init__()
        self.n_dense = n_dense
        self.embeddings = torch.nn.ModuleList([torch.nn.Embedding(*table) for table in tables])
        n_in = n_dense + sum(width for _, width in tables)
        self.layers = layers(n_in, n_out)
        self.skip = torch.nn.Linear(n_in, n_out)
        self.wide = torch.nn.ModuleList([torch.nn.Embedding(rows, n_out) for rows, _ in tables])

    def forward(self, x: Any) -> Any:
        codes = x[:, self.n_dense :].long()
        parts = [table(codes[:, i]) for i, table in enumerate(self.embeddings)]
        whole = torch.cat([x[:, : self.n_dense], *parts], 1)
        wide = sum(table(codes[:, i]) for i, table in enumerate(self.wide))
        return self.layers(whole) + self.skip(whole) + wide


def test_a_table_s_model_loads_in_pytorch_and_comes_back(tmp_path: Path) -> None:
    built = mg.recipe.from_table(table(), "y", hidden=(8,), folds=1)
    built.fit(epochs=3)
    path = built.save(tmp_path / "model.safetensors")
    network = Network(2, (), 2)
    network.load_state_dict(theirs.load_file(path))
    network.eval()
    x = built.preprocessor.transform(table())
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(built.table_model.outputs(table()), expected, atol=1e-6)

    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.from_numpy(x)).square().mean().backward()
    optimizer.step()
    network.eval()
    theirs.save_file(network.state_dict(), tmp_path / "theirs.safetensors")
    built.recipe.model.load_state_dict(mg.load(tmp_path / "theirs.safetensors"))
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(built.table_model.outputs(table()), expected, atol=1e-6)


def test_embeddings_and_the_layer_beside_go_along(tmp_path: Path) -> None:
    data = {**table(), "group": [f"g{i % 20}" for i in range(80)]}
    built = mg.recipe.from_table(data, "a", drop=["y"], hidden=(8,), folds=1)
    built.fit(epochs=2)
    path = built.save(tmp_path / "model.safetensors")
    network = Network(built.shape.n_dense, built.shape.tables, 1)
    network.load_state_dict(theirs.load_file(path))
    network.eval()
    with torch.no_grad():
        x = torch.from_numpy(built.preprocessor.transform(data))
        expected = network(x).numpy()
    np.testing.assert_allclose(built.table_model.outputs(data), expected, atol=1e-5)
