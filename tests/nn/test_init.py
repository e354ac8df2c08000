"""Initial distributions: bounds, moments, PyTorch's defaults, refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import init

N = 200
SIZE = N * 300


def drawn(fill: object, dtype: object = mg.float32) -> np.ndarray:
    w = mg.empty(N, 300, dtype=dtype)
    assert fill(w) is w
    return w.array.astype(np.float64)


@pytest.mark.parametrize(
    ("fill", "bound"),
    [
        (lambda w: init.uniform_(w, -2.0, 2.0), 2.0),
        (lambda w: init.xavier_uniform_(w, gain=2.0), 2 * math.sqrt(6 / 500)),
        (lambda w: init.kaiming_uniform_(w), math.sqrt(2) * math.sqrt(3 / 300)),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), 1 / math.sqrt(300)),
        (
            lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
            math.sqrt(6 / 200),
        ),
    ],
)
@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_uniforms(fill: object, bound: float, dtype: object) -> None:
    w = drawn(fill, dtype)
    assert np.abs(w).max() <= bound and np.abs(w).max() > 0.999 * bound
    assert abs(w.mean()) < 5 * bound / math.sqrt(3 * SIZE)
    assert w.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize(
    ("fill", "mean", "std"),
    [
        (lambda w: init.normal_(w, 3.0, 0.5), 3.0, 0.5),
        (lambda w: init.xavier_normal_(w), 0.0, math.sqrt(2 / 500)),
        (lambda w: init.kaiming_normal_(w, nonlinearity="tanh"), 0.0, 5 / 3 / math.sqrt(300)),
        (lambda w: init.kaiming_normal_(w, a=0.1, mode="fan_out"), 0.0, math.sqrt(2 / 1.01 / 200)),
    ],
)
def test_normals(fill: object, mean: float, std: float) -> None:
    w = drawn(fill)
    z = (w - mean) / std
    assert abs(z.mean()) < 5 / math.sqrt(SIZE)
    assert z.std() == pytest.approx(1, rel=0.015)
    assert (z**4).mean() == pytest.approx(3, rel=0.06)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0.0, 1.0, -2.0, 2.0), (1.0, 0.5, 0.0, 0.8), (0.0, 1.0, 3.0, 5.0), (0.0, 10.0, -2.0, 2.0)],
)
def test_truncated_normal(mean: float, std: float, a: float, b: float) -> None:
    w = drawn(lambda w: init.trunc_normal_(w, mean, std, a, b), mg.float64)
    assert w.min() >= a and w.max() <= b
    low, high = (a - mean) / std, (b - mean) / std
    mass = 0.5 * (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)))
    density = [math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) for z in (low, high)]
    exact = mean + std * (density[0] - density[1]) / mass
    assert w.mean() == pytest.approx(exact, abs=5 * w.std() / math.sqrt(SIZE))


def test_orthogonal() -> None:
    for shape in ((5, 3), (3, 5), (4, 2, 3), (3, 3)):
        w = init.orthogonal_(mg.empty(*shape, dtype=mg.float64), gain=2.0).array
        flat = w.reshape(shape[0], -1)
        flat = flat.T if flat.shape[0] > flat.shape[1] else flat
        np.testing.assert_allclose(flat @ flat.T, 4 * np.eye(len(flat)), atol=1e-12)
    signs = [init.orthogonal_(mg.empty(2, 2)).array[0, 0] > 0 for _ in range(40)]
    assert 5 < sum(signs) < 35
    assert init.orthogonal_(mg.empty(0, 3)).shape == (0, 3)


def test_constants() -> None:
    assert init.constant_(mg.empty(2), 0.5).tolist() == [0.5, 0.5]
    assert init.ones_(mg.empty(1)).item() == 1 and init.zeros_(mg.empty(1)).item() == 0
    assert init.eye_(mg.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_a_generator_of_ones_own_and_the_version() -> None:
    w, v = mg.empty(3), mg.empty(3)
    before = w._version
    init.normal_(w, generator=mg.Generator(1))
    init.normal_(v, generator=mg.Generator(1))
    assert w.tolist() == v.tolist() and w._version > before
    p = nn.Parameter(mg.empty(2, 2))
    assert init.xavier_uniform_(p) is p and p.requires_grad and p.is_leaf


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1.0),
        ("conv2d", None, 1.0),
        ("sigmoid", None, 1.0),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 0.2, math.sqrt(2 / 1.04)),
        ("selu", None, 0.75),
    ],
)
def test_gains(name: str, param: float | None, gain: float) -> None:
    assert init.calculate_gain(name, param) == pytest.approx(gain, rel=1e-15)


def test_defaults_of_the_layers() -> None:
    layer = nn.Linear(300, 200)
    bound = 1 / math.sqrt(300)
    for p in (layer.weight, layer.bias):
        assert np.abs(p.array).max() <= bound
    assert layer.weight.array.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert abs(layer.bias.array.std() / bound * math.sqrt(3) - 1) < 0.2
    table = nn.Embedding(300, 200, padding_idx=2).weight.array
    assert table.std() == pytest.approx(1, rel=0.02) and not table[2].any()
    norm = nn.BatchNorm1d(3)
    assert norm.weight.tolist() == [1, 1, 1] and norm.bias.tolist() == [0, 0, 0]
    assert nn.Linear(3, 2, dtype=mg.float64).weight.dtype == mg.float64
    assert nn.Linear(0, 2)(mg.ones(4, 0)).shape == (4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.xavier_uniform_(mg.empty(3)), r"at least two dimensions, got shape \(3,\)"),
        (lambda: init.eye_(mg.empty(3)), r"eye_: expected a matrix, got shape \(3,\)"),
        (lambda: init.orthogonal_(mg.empty(3)), "orthogonal_: expected at least two dimensions"),
        (lambda: init.uniform_(mg.empty(3), 2, 1), "expected a <= b, got a=2, b=1"),
        (lambda: init.normal_(mg.empty(3), std=-1), "std must not be negative, got -1"),
        (lambda: init.trunc_normal_(mg.empty(3), a=1, b=1), "expected std > 0 and a < b"),
        (lambda: init.kaiming_normal_(mg.empty(3, 3), mode="in"), "mode must be 'fan_in' or"),
        (lambda: init.calculate_gain("swish"), "calculate_gain: expected .* got 'swish'"),
        (lambda: nn.Linear(-1, 2), "Linear: in_features must not be negative, got -1"),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- convolutions and sparse matrices
@pytest.mark.parametrize(
    ("shape", "groups"), [((4, 2, 3), 1), ((4, 2, 3, 4), 2), ((2, 3, 1, 2, 3), 1)]
)
def test_dirac_is_torchs_live(shape: tuple[int, ...], groups: int) -> None:
    torch = pytest.importorskip("torch")
    want = torch.nn.init.dirac_(torch.empty(shape), groups)
    assert nn.init.dirac_(mg.empty(*shape), groups).tolist() == want.tolist()


def test_sparse_columns() -> None:
    found = nn.init.sparse_(mg.empty(10, 4), 0.25, 2.0).numpy()
    assert ((found == 0).sum(0) == 3).all()
    assert found.std() > 0.5


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.init.dirac_(mg.empty(2, 2)), "3, 4 or 5 dimensions"),
        (lambda: nn.init.dirac_(mg.empty(3, 2, 2), 2), "no multiple of groups=2"),
        (lambda: nn.init.sparse_(mg.empty(2), 0.5), "expected a matrix"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
