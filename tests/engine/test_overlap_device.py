"""A sample of the batteries on overlap and on memory that cannot be written, on the simulated
device: each launch is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from tests.engine.test_overlap import PAIRS, WRITES, numbers, put

DEVICE = "cuda-sim"
DTYPES = (np.float32, np.int64)


@pytest.mark.parametrize("write", WRITES)
def test_writes_that_overlap(write: str) -> None:
    function, values, integers = WRITES[write]
    for pair, (of_target, of_source) in PAIRS.items():
        for dtype in DTYPES if integers else DTYPES[:1]:
            expected = numbers(5, dtype)
            held = expected.copy()
            put(of_target(expected), values(of_target(held), of_source(held)).astype(dtype))
            x = mg.tensor(numbers(5, dtype), device=DEVICE)
            with mg.check_launches():
                function(of_target(x), of_source(x))
            np.testing.assert_array_equal(x.cpu().numpy(), expected, err_msg=pair)


@pytest.mark.parametrize("pair", PAIRS)
def test_recorded_writes_that_overlap(pair: str) -> None:
    """Values and gradients are those of the CPU, which tests/engine/test_overlap.py holds."""
    of_target, of_source = PAIRS[pair]
    found = []
    for device in ("cpu", DEVICE):
        w = mg.tensor(numbers(5, np.float64), device=device, requires_grad=True)
        x = w * 1
        of_target(x)[...] = of_source(x) * 2
        (x * x).sum().backward()
        assert w.grad is not None
        found.append((x.detach().cpu().numpy(), w.grad.cpu().numpy()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_writes_by_index_arrays(rng: np.random.Generator) -> None:
    for order in (rng.permutation(9), np.roll(np.arange(9), 1), rng.integers(0, 9, 9)):
        expected = np.arange(9, dtype=np.float32)
        expected[order] = expected.copy()
        x = mg.arange(9.0).to(DEVICE)
        with mg.check_launches():
            x[mg.tensor(order, device=DEVICE)] = x
        np.testing.assert_array_equal(x.cpu().numpy(), expected)


def step(make: Callable[[Any], Any]) -> Callable[[mg.Tensor], None]:
    def run(t: mg.Tensor) -> None:
        p = nn.Parameter(t)
        p.grad = mg.ones(*t.shape, device=DEVICE)
        make([p]).step()

    return run


def accumulate(t: mg.Tensor) -> None:
    w = mg.ones(*t.shape, device=DEVICE, requires_grad=True)
    w.grad = t
    w.sum().backward()


EXPANDED: dict[str, Callable[[mg.Tensor], Any]] = {
    "setitem": lambda t: t.__setitem__(slice(None), 2.0),
    "by places": lambda t: t.__setitem__([0, 1], 2.0),
    "by mask": lambda t: t.__setitem__(t > 0, 2.0),
    "add_": lambda t: t.add_(1.0),
    "+=": lambda t: t.__iadd__(t * 1),
    "copy_": lambda t: t.copy_(t * 2),
    "zero_": lambda t: t.zero_(),
    "clamp_": lambda t: t.clamp_(0.0, 0.5),
    "SGD": step(lambda ps: optim.SGD(ps, 0.1)),
    "momentum": step(lambda ps: optim.SGD(ps, 0.1, momentum=0.9)),
    "Adam": step(lambda ps: optim.Adam(ps)),
    "accumulation": accumulate,
}


@pytest.mark.parametrize("write", EXPANDED)
def test_expanded_views_are_refused(write: str) -> None:
    base = mg.ones(1, device=DEVICE)
    with pytest.raises((ValueError, RuntimeError), match="expanded view"):
        EXPANDED[write](base.expand(3))
    assert base.item() == 1


def test_strided_tensors_are_reshaped() -> None:
    """Where only a copy has that shape, it is copied, as on the CPU; views are views."""
    for make in (
        lambda x: x[:, :-1].reshape(-1),
        lambda x: x.T.reshape(2, 10),
        lambda x: x[::2, 1:].flatten(),
        lambda x: x[:1].expand(3, 5).reshape(5, 3),
        lambda x: x[1:].reshape(15),
    ):
        found = []
        for device in ("cpu", DEVICE):
            x = mg.tensor(numbers(5, np.float32)[:4], device=device, requires_grad=True)
            y = make(x)
            (y * y).sum().backward()
            assert x.grad is not None
            with mg.no_grad():
                y.detach()[...] = 0.0  # seen by x where y is a view
            found.append([t.detach().cpu().numpy() for t in (y, x, x.grad)])
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="view: strides .* do not allow shape"):
        mg.ones(4, 5, device=DEVICE)[:, 1:].view(-1)


def test_numbers_out_of_range_are_refused() -> None:
    """No kernel sees them."""
    table = mg.tensor(np.arange(6.0).reshape(3, 2), device=DEVICE, requires_grad=True)
    for bad in (-4, 3, 2**40, -(2**63)):
        i = mg.tensor([0, bad], device=DEVICE)
        calls: list[Callable[[], Any]] = [
            lambda: table[i],  # noqa: B023
            lambda: table[:, None][i, 0],  # noqa: B023
            lambda: mg.gather(table, 0, i.reshape(2, 1)),  # noqa: B023
            lambda: mg.index_select(table, 0, i),  # noqa: B023
            lambda: F.embedding(i, table),  # noqa: B023
            lambda: F.one_hot(i, 3),  # noqa: B023
            lambda: F.cross_entropy(table[:2], i),  # noqa: B023
            lambda: F.nll_loss(table[:2], i),  # noqa: B023
            lambda: table.detach().__setitem__(i, 0.0),  # noqa: B023
        ]
        for call in calls:
            with pytest.raises((IndexError, ValueError), match=str(bad)):
                call()
