"""Lazy modules before, at and after their first input."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

CASES = {
    "nn.LazyLinear(4)": (2, 3),
    "nn.LazyLinear(4, bias=False)": (2, 5, 3),
    "nn.LazyConv1d(4, 2, groups=2)": (2, 6),
    "nn.LazyConv2d(4, 2, padding='same')": (1, 3, 4, 4),
    "nn.LazyBatchNorm1d()": (5, 3),
    "nn.LazyBatchNorm2d(affine=False)": (5, 3, 2, 2),
}
every = pytest.mark.parametrize("key", CASES)


def x_of(key: str) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(0).standard_normal(CASES[key]).astype(np.float32))


@every
def test_it_becomes_an_ordinary_module(key: str) -> None:
    module = eval(key, {"nn": nn})
    before = list(module.state_dict())
    kind = type(module).cls_to_become
    assert type(module).__name__ == f"Lazy{kind.__name__}"
    held = list(module.parameters())
    module(x_of(key))
    assert type(module) is kind
    assert list(module.state_dict()) == before
    assert [id(p) for p in module.parameters()] == [id(p) for p in held]
    assert all(type(p) is nn.Parameter for p in held)


@every
def test_a_state_gives_the_shapes(key: str) -> None:
    first, second = eval(key, {"nn": nn}), eval(key, {"nn": nn})
    first(x_of(key))
    second.load_state_dict(first.state_dict())
    want, got = (m.eval()(x_of(key)).detach().numpy() for m in (first, second))
    np.testing.assert_array_equal(want, got)


@every
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_is_as_lazy(key: str, copier: Any) -> None:
    module = eval(key, {"nn": nn})
    twin = copier(module)
    assert repr(twin) == repr(module)
    module(x_of(key))
    assert twin.has_uninitialized_params()
    twin(x_of(key))
    assert repr(twin) == repr(module)


@every
def test_names_and_repr_are_torchs_live(key: str) -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's: lazy modules are under development
        module, other = eval(key, {"nn": nn}), eval(key, {"nn": torch.nn})
        assert list(module.state_dict()) == list(other.state_dict())
        assert repr(module) == repr(other)
        module(x_of(key))
        other(torch.tensor(x_of(key).numpy()))
    assert repr(module) == repr(other)
    assert [tuple(p.shape) for p in other.parameters()] == [p.shape for p in module.parameters()]


def test_what_a_lazy_module_cannot_do_yet_says_so() -> None:
    module = nn.LazyLinear(2)
    with pytest.raises(RuntimeError, match="its shape is not known yet"):
        _ = module.weight.shape
    with pytest.raises(ValueError, match="multiple of groups=2 channels, got 3"):
        nn.LazyConv1d(4, 1, groups=2)(mg.ones(3, 5))


def test_an_optimizer_may_be_made_before_the_first_input() -> None:
    module = nn.LazyLinear(2)
    optimizer = mg.optim.Adam(module.parameters(), lr=0.5)
    module(mg.ones(1, 3)).sum().backward()
    before = module.bias.detach().clone()
    optimizer.step()
    assert (before - module.bias).detach().numpy() == pytest.approx(0.5)


def test_a_lazy_module_of_ones_own() -> None:
    class Scale(nn.LazyModuleMixin):
        def __init__(self) -> None:
            super().__init__()
            self.weight: Any = nn.UninitializedParameter()

        def initialize_parameters(self, x: mg.Tensor) -> None:
            if self.has_uninitialized_params():
                self.weight.materialize(x.shape[-1:])
                nn.init.constant_(self.weight, 2.0)

        def forward(self, x: mg.Tensor) -> mg.Tensor:
            return x * self.weight

    module = Scale()
    assert module(mg.ones(3)).tolist() == [2, 2, 2]
    assert type(module.weight) is nn.Parameter
    assert module.double().weight.dtype == mg.float64
