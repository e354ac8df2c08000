"""ONNX files give in onnxruntime what the models give here, for any number of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(path: Path, *inputs: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Slices, reductions, broadcasting, a second use of an input, a layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.register_buffer("shift", mg.tensor([0.5] * 6))

    def forward(self, x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        y = self.first(x).tanh() + x
        y = self.first(y.abs() + self.shift).exp().log1p() * y
        halves = y[:, :3] - y[:, 3:] / 2
        first = y[:, 0].unsqueeze(1) * y[:, None, -1]
        return halves.clamp(-1.0) + first, y.reshape(len(y), 2, 3).mean(2).amax(1)


def points(*size: int) -> Any:
    return np.random.default_rng(0).normal(size=size).astype(np.float32)


MODELS: dict[str, tuple[Any, Any]] = {
    "perceptron": (lambda: mg.recipe(6, 3, (8, 8)).model, points(5, 6)),
    "activations": (
        lambda: nn.Sequential(
            *[nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.GELU(), nn.SiLU(), nn.Tanh()],
            *[nn.SELU(), nn.ELU(0.5), nn.Mish(), nn.LeakyReLU(0.2), nn.Sigmoid(), nn.Softplus()],
            *[nn.LayerNorm(6), nn.Hardtanh(-0.5, 0.5), nn.GELU("tanh"), nn.Softmax(1)],
            *[nn.LogSoftmax(1), nn.ReLU6(), nn.Dropout(0.5), nn.Hardswish()],
            nn.Hardsigmoid(),
        ),
        points(5, 6),
    ),
    "images": (
        lambda: nn.Sequential(
            *[nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()],
            *[nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 8, 3, stride=2, groups=4), nn.GroupNorm(2, 8)],
            *[nn.AvgPool2d(2, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)],
        ),
        points(2, 3, 16, 16),
    ),
    "signals": (
        lambda: nn.Sequential(
            *[nn.Conv1d(2, 4, 3, dilation=2, padding=2), nn.BatchNorm1d(4), nn.AvgPool1d(3, 1, 1)],
            *[nn.MaxPool1d(2), nn.Flatten(), nn.Linear(16, 2)],
        ),
        points(3, 2, 8),
    ),
    "words": (
        lambda: nn.Sequential(nn.Embedding(7, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
        np.array([[1, 6, 3], [2, 0, 5]]),
    ),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), points(3, 5, 8)),
    "residual": (Residual, points(4, 6)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_the_same_in_onnxruntime(name: str, tmp_path: Path) -> None:
    mg.manual_seed(0)
    make, example = MODELS[name]
    model = make()
    for part in model.modules():  # statistics that are not 0 and 1
        if getattr(part, "running_var", None) is not None:
            part.running_mean.array[...] = points(*part.running_mean.shape)
            part.running_var.array[...] = 0.5 + points(*part.running_var.shape) ** 2
    model.train()
    path = mg.onnx.export(model, tmp_path / "m.onnx", example)
    assert model.training
    model.eval()
    for rows in (len(example), 1, 11):
        x = np.resize(example, (rows, *example.shape[1:]))
        with mg.no_grad():
            want = model(mg.tensor(x))
        for got, y in zip(run(path, x), want if isinstance(want, tuple) else [want], strict=True):
            np.testing.assert_allclose(got, y.numpy(), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    class Looks(nn.Module):
        def forward(self, x: mg.Tensor) -> mg.Tensor:
            return x * mg.tensor(np.sign(x.detach().numpy()))

    class Sorted(nn.Module):
        def forward(self, x: mg.Tensor) -> mg.Tensor:
            return x.cumsum(1)

    with pytest.raises(NotImplementedError, match="computed from the inputs off the tape"):
        mg.onnx.export(Looks(), tmp_path / "m.onnx", points(2, 3))
    with pytest.raises(NotImplementedError, match="computed from the inputs off the tape"):
        mg.onnx.export(nn.PReLU(), tmp_path / "m.onnx", points(2, 3))
    with pytest.raises(NotImplementedError, match="op CumSum has no ONNX rule"):
        mg.onnx.export(Sorted(), tmp_path / "m.onnx", points(2, 3))
    assert not list(tmp_path.iterdir())


def table(rows: int = 90) -> dict[str, Any]:
    g = np.random.default_rng(1)
    x = g.normal(size=rows)
    days = g.integers(0, 30_000, rows)
    return {
        "size": [None if i % 9 == 0 else round(float(v), 3) for i, v in enumerate(x)],
        "kind": [("a", "b", None)[i % 3] for i in range(rows)],
        "place": [f"p{int(p)}" for p in g.integers(0, 20, rows)],
        "day": [str(np.datetime64(int(d), "D")) + f" {d % 24:02d}:30" for d in days],
        "y": (2 * x + (np.arange(rows) % 3)).round(3).tolist(),
        "c": [("low", "high")[int(v > 0)] for v in x],
    }


@pytest.mark.parametrize("recipe", ["plain", "strong"])
@pytest.mark.parametrize("target", ["y", "c"])
def test_a_table_s_model_takes_its_columns_along(recipe: str, target: str, tmp_path: Path) -> None:
    data = table()
    built = mg.recipe.from_table(
        data, target, drop=["yc".replace(target, "")], recipe=recipe, hidden=(8,), seed=0
    )
    built.fit(epochs=3)
    model = built.table_model
    path = model.to_onnx(tmp_path / "m.onnx")
    new = {**table(40), "place": [f"p{i}" for i in range(40)]}  # of which some are unknown
    read = {i.name: i.read(model.preprocessor.aligned(new)) for i in model.preprocessor.inputs}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {
        name: np.array(values, object if isinstance(values, list) else np.float64)[:, None]
        for name, values in read.items()
    }
    got = session.run(None, inputs)
    want, p = model.predict_both(new)
    if p is None:
        np.testing.assert_allclose(got[0], want, rtol=1e-5, atol=1e-5)
    else:
        assert got[0].tolist() == want.tolist()
        np.testing.assert_allclose(got[1], p, atol=1e-5)
