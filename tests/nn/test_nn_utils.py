"""Normalised and parametrised weights, vectors of parameters, beside PyTorch's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.utils import parametrizations, parametrize

X = np.random.default_rng(0).standard_normal((2, 3))
WARNING = "ignore:.*weight_norm.*:FutureWarning"


def paired(path: str, make: str, **options: Any) -> tuple[Any, Any]:
    """Return a module that a function of nn.utils was called on, ours and PyTorch's, equal."""
    torch = pytest.importorskip("torch")
    made = []
    for kit in (nn, torch.nn):
        function: Any = kit.utils
        for name in path.split("."):
            function = getattr(function, name)
        made.append(function(eval(make, {"nn": kit}).double(), **options))
    ours, theirs = made
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    return ours, theirs


def same_step(ours: Any, theirs: Any, x: Any = X) -> None:
    torch = pytest.importorskip("torch")
    y, z = ours(mg.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), 1e-10)
    (y * y).sum().backward()
    (z * z).sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), 1e-8, 1e-10)


CASES = [
    ("weight_norm", "nn.Linear(3, 4)", {}),
    ("weight_norm", "nn.Linear(3, 4)", {"dim": 1}),
    ("weight_norm", "nn.Linear(3, 4)", {"dim": None}),
    ("spectral_norm", "nn.Linear(3, 4)", {}),
    ("spectral_norm", "nn.Linear(3, 4)", {"dim": 1, "n_power_iterations": 3}),
    ("parametrizations.weight_norm", "nn.Linear(3, 4)", {}),
    ("parametrizations.weight_norm", "nn.Linear(3, 4)", {"name": "bias"}),
    ("parametrizations.weight_norm", "nn.Linear(3, 4)", {"dim": None}),
    ("parametrizations.spectral_norm", "nn.Linear(3, 4)", {}),
]


@pytest.mark.filterwarnings(WARNING)
@pytest.mark.parametrize(("path", "make", "options"), CASES)
@pytest.mark.parametrize("training", [True, False])
def test_normalised_weights_are_torchs_live(
    path: str, make: str, options: dict[str, Any], training: bool
) -> None:
    ours, theirs = paired(path, make, **options)
    same_step(ours.train(training), theirs.train(training))
    for (name, b), c in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(b.numpy(), c.numpy(), 1e-10, err_msg=name)


@pytest.mark.filterwarnings(WARNING)
def test_weight_norm_of_a_convolution_is_torchs_live() -> None:
    ours, theirs = paired("weight_norm", "nn.Conv1d(3, 4, 2)")
    same_step(ours, theirs, np.random.default_rng(1).standard_normal((2, 3, 5)))


def test_weight_norm_trains_and_goes_away() -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 2))
    x = mg.tensor(X.astype(np.float32))
    before = layer(x).detach().numpy()
    assert mg.optim.SGD(layer.parameters(), lr=0.1)
    layer.weight_g.detach().mul_(2.0)
    after = layer(x).detach().numpy() - layer.bias.detach().numpy()
    np.testing.assert_allclose(after, 2 * (before - layer.bias.detach().numpy()), rtol=1e-5)
    same = nn.utils.remove_weight_norm(layer)
    assert list(same.state_dict()) == ["bias", "weight"]
    assert layer._hooks is None
    np.testing.assert_allclose(
        layer(x).detach().numpy() - layer.bias.detach().numpy(), after, rtol=1e-5
    )
    with pytest.raises(ValueError, match="remove_weight_norm: Linear has none of 'weight'"):
        nn.utils.remove_weight_norm(layer)
    nn.utils.weight_norm(layer)
    with pytest.raises(RuntimeError, match="normalised already"):
        nn.utils.weight_norm(layer)


def test_spectral_norm_finds_the_largest_singular_value() -> None:
    for make in (nn.utils.spectral_norm, parametrizations.spectral_norm):
        layer: Any = make(nn.Linear(3, 4))
        for _ in range(20):
            layer(mg.ones(1, 3))
        assert np.linalg.svd(layer.weight.detach().numpy())[1][0] == pytest.approx(1, abs=1e-4)
    layer = nn.utils.remove_spectral_norm(nn.utils.spectral_norm(nn.Linear(3, 4)))
    assert list(layer.state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_normalised_layers(copier: Any) -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 2))
    with mg.no_grad():
        layer(mg.ones(1, 3))
        twin = copier(layer)
        twin.weight_g.mul_(3.0)
        assert not np.array_equal(twin(mg.ones(1, 3)).numpy(), layer(mg.ones(1, 3)).numpy())


# ---------------------------------------------------------------- parametrizations
class Symmetric(nn.Module):
    def forward(self, x: Any) -> Any:
        return (x + x.T) / 2

    def right_inverse(self, x: Any) -> Any:
        return x


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2

    def right_inverse(self, x: Any) -> Any:
        return x / 2


def test_a_parametrised_weight() -> None:
    layer: Any = nn.Linear(2, 2, bias=False)
    first = layer.weight.detach().numpy().copy()
    parametrize.register_parametrization(layer, "weight", Doubled())
    np.testing.assert_allclose(layer.weight.detach().numpy(), first, rtol=1e-6)
    assert type(layer).__name__ == "ParametrizedLinear"
    assert isinstance(layer, nn.Linear)
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    np.testing.assert_allclose(layer.weight.detach().numpy(), (first + first.T) / 2, rtol=1e-6)
    layer.weight = mg.tensor([[1.0, 2.0], [2.0, 3.0]])
    assert layer.weight.tolist() == [[1, 2], [2, 3]]
    assert layer.parametrizations.weight.original.tolist() == [[0.5, 1], [1, 1.5]]
    layer(mg.ones(1, 2)).sum().backward()
    assert layer.parametrizations.weight.original.grad.tolist() == [[2, 2], [2, 2]]
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert isinstance(layer.weight, nn.Parameter)
    assert list(layer.state_dict()) == ["weight"]


def test_the_original_may_be_left() -> None:
    layer: Any = nn.Linear(2, 2)
    original = layer.weight
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight is original


def test_a_cached_weight_is_computed_once() -> None:
    layer: Any = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert layer.weight is not layer.weight
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


def test_one_class_per_parametrised_module() -> None:
    one: Any = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    other: Any = parametrize.register_parametrization(nn.Linear(2, 2), "bias", Doubled())
    assert isinstance(other.weight, nn.Parameter)
    assert isinstance(one.bias, nn.Parameter)
    twin = copy.deepcopy(one)
    assert twin.weight.tolist() == one.weight.tolist()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: parametrize.register_parametrization(m, "scale", Doubled()), "no parameter"),
        (lambda m: parametrize.register_parametrization(m, "weight", nn.Flatten(0)), "shape"),
        (lambda m: parametrize.remove_parametrizations(m, "weight"), "is not parametrised"),
        (lambda m: parametrizations.spectral_norm(m, n_power_iterations=0), ">= 1"),
        (lambda m: nn.utils.spectral_norm(m, n_power_iterations=0), ">= 1"),
        (lambda m: nn.utils.remove_spectral_norm(m), "has none of 'weight'"),
        (lambda m: nn.utils.vector_to_parameters(mg.ones(5), m.parameters()), "of 6 elements"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call(nn.Linear(2, 2))


# ---------------------------------------------------------------- vectors and norms
def test_parameters_as_a_vector() -> None:
    layer = nn.Linear(2, 2)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (6,)
    nn.utils.vector_to_parameters(vector * 0 + 3, layer.parameters())
    assert layer.bias is not None
    assert layer.bias.tolist() == [3, 3]
    assert vector.requires_grad


def test_norms_of_gradients() -> None:
    w = mg.tensor([3.0, 4.0], requires_grad=True)
    (w * w).sum().backward()
    assert w.grad is not None
    assert nn.utils.get_total_norm([w.grad]).item() == 10
    nn.utils.clip_grads_with_norm_([w], 5.0, mg.tensor(10.0), foreach=True)
    np.testing.assert_allclose(w.grad.numpy(), [3, 4], rtol=1e-5)
    with pytest.raises(RuntimeError, match="the norm of order 2.0 is nan"):
        nn.utils.get_total_norm([mg.tensor([float("nan")])], error_if_nonfinite=True)
