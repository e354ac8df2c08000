"""A Sequential computes the bits of its modules one by one, and fuses only where that holds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from tests.plain_mode import assert_same_bits

BLOCKS: dict[str, tuple[Callable[[], list[nn.Module]], list[str]]] = {
    "relu": (lambda: [nn.Linear(6, 5), nn.ReLU()], ["LinearActivation"]),
    "no bias": (lambda: [nn.Linear(6, 5, bias=False), nn.ReLU()], ["LinearActivation"]),
    "tanh": (lambda: [nn.Linear(6, 5), nn.Tanh()], ["Linear", "Tanh"]),
    "gelu": (lambda: [nn.Linear(6, 5), nn.GELU()], ["Linear", "Gelu"]),
    "recipe": (
        lambda: [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.4), nn.Linear(5, 2)],
        ["Linear", "BatchNormDropout", "Linear"],
    ),
    "no dropout": (
        lambda: [nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.0)],
        ["BatchNorm", "Relu"],
    ),
    "last of all": (lambda: [nn.ReLU(), nn.Linear(6, 5)], ["Relu", "Linear"]),
}


def one_by_one(modules: list[nn.Module], x: mg.Tensor) -> mg.Tensor:
    for module in modules:
        x = module(x)
    return x


def results(call: Callable[[mg.Tensor], mg.Tensor], model: nn.Module, rows: int) -> list[Any]:
    """Return output, gradients and buffers of a training step."""
    x = mg.tensor(np.random.default_rng(0).normal(size=(rows, 6)).astype(np.float32))
    x.requires_grad_()
    y = call(x)
    (y * y).sum().backward()
    grads = [x.grad, *(p.grad for p in model.parameters())]
    return [t.array.copy() for t in [y, *grads, *model.buffers()]]


@pytest.mark.parametrize("rows", [7, 5000])
@pytest.mark.parametrize("name", BLOCKS)
def test_the_bits_are_those_of_the_modules_one_by_one(name: str, rows: int) -> None:
    mg.manual_seed(0)
    modules = BLOCKS[name][0]()
    twins = copy.deepcopy(modules)
    for module, twin in zip(modules, twins, strict=True):
        if isinstance(module, nn.Dropout) and isinstance(twin, nn.Dropout):
            twin.generator.load_state_dict(module.generator.state_dict())
    together, apart = nn.Sequential(*modules), nn.Sequential(*twins)
    got = results(together, together, rows)
    want = results(lambda x: one_by_one(twins, x), apart, rows)
    # The gradient of a bias before batch norm is 0 but for what rounding leaves of a long sum.
    size = max(float(np.abs(array).max()) for array in want)
    for a, b in zip(got, want, strict=True):
        assert_same_bits(a, b, size)


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_fused(name: str) -> None:
    modules, ops = BLOCKS[name]
    with mg.Tape() as tape:
        nn.Sequential(*modules())(mg.randn(4, 6))
    assert [entry.op for entry in tape] == ops


def test_hooks_subclasses_and_evaluation_are_left_alone() -> None:
    class Loud(nn.ReLU):
        pass

    seen = []
    heard = nn.ReLU()
    heard.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    frozen = nn.Sequential(nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5)).eval()
    for model, ops in (
        (nn.Sequential(nn.Linear(6, 5), heard), ["Linear", "Relu"]),
        (nn.Sequential(nn.Linear(6, 5), Loud()), ["Linear", "Relu"]),
        (frozen, ["BatchNormEval", "Relu"]),
    ):
        with mg.Tape() as tape:
            model(mg.randn(4, 6))
        assert [entry.op for entry in tape] == ops
    assert seen == [(4, 5)]


def test_a_fused_block_counts_its_batches_and_refuses_wrong_shapes() -> None:
    norm = nn.BatchNorm1d(6)
    model = nn.Sequential(norm, nn.ReLU(), nn.Dropout(0.5))
    model(mg.randn(4, 6))
    assert norm.num_batches_tracked is not None
    assert norm.num_batches_tracked.item() == 1
    with pytest.raises(ValueError, match="BatchNorm1d: expected an input of shape .* got"):
        model(mg.randn(4, 5))


def test_an_empty_sequential_returns_its_input() -> None:
    x = mg.randn(2, 3)
    assert nn.Sequential()(x) is x
    assert nn.Sequential(nn.Sequential(), nn.Identity())(x) is x
