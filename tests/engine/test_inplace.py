"""Writes in place: versions, leaves, views, and messages that name the op and the line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


def gradient(t: mg.Tensor) -> Any:
    assert t.grad is not None
    return t.grad.tolist()


WRITES: dict[str, Callable[[mg.Tensor], Any]] = {
    "add_": lambda t: t.add_(1),
    "sub_": lambda t: t.sub_(1, alpha=2),
    "mul_": lambda t: t.mul_(2),
    "div_": lambda t: t.div_(2),
    "pow_": lambda t: t.pow_(2),
    "clamp_": lambda t: t.clamp_(0, 1),
    "copy_": lambda t: t.copy_(mg.zeros(2)),
    "fill_": lambda t: t.fill_(3),
    "zero_": lambda t: t.zero_(),
    "setitem": lambda t: t.__setitem__(0, 5.0),
    "view": lambda t: t[:1].mul_(2),
    "detached": lambda t: t.detach().add_(1),
    "bump": lambda t: t.bump_version("by hand"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_changed_saved_input_raises(write: Any) -> None:
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y * y
    write(y)
    with pytest.raises(RuntimeError, match=r"Mul needs its input \d, shape \(2,\), for its grad"):
        z.sum().backward()


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_changed_saved_output_raises(write: Any) -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    write(y)
    with pytest.raises(RuntimeError, match=r"Exp needs its output, shape \(2,\), for its gradient"):
        (y * 2).sum().backward()


def test_the_message_names_the_line() -> None:
    x = leaf(1.0)
    y = x * 1
    z = y * y
    y += 1
    with pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    found = re.search(
        r"changed in place at (.*):(\d+); make the change out of place", str(caught.value)
    )
    assert found is not None
    assert found[1] == __file__
    line = Path(__file__).read_text().splitlines()[int(found[2]) - 1]
    assert line.strip() == "y += 1"


def test_what_is_not_saved_may_change() -> None:
    x = leaf(1.0, 2.0)
    y = x + 1
    z = y + y
    y.mul_(3)
    (z.sum() + y.sum()).backward()
    assert gradient(x) == [5.0, 5.0]


def test_a_leaf_that_requires_grad_is_protected() -> None:
    x = leaf(1.0, 2.0)
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 1.0), lambda: x[:1].zero_()):
        expected = r"a leaf of shape \(2,\) that requires grad is changed in place; do it under no"
        with pytest.raises(RuntimeError, match=expected):
            write()
    with mg.no_grad():
        x.add_(1)
        x[0] = 7.0
    assert x.tolist() == [7.0, 3.0]
    assert x._version == 2


def test_versions_count_writes_and_are_shared_by_views() -> None:
    x = mg.zeros(4)
    view, other = x[1:], x.reshape(2, 2)
    assert x._version == 0
    view += 1
    other[0, 0] = 5.0
    x.bump_version()
    assert (x._version, view._version, other._version) == (3, 3, 3)
    assert x.tolist() == [5.0, 1.0, 1.0, 1.0]
    assert x.clone()._version == 0


def test_gradients_through_in_place_operators() -> None:
    x = leaf(2.0, 3.0)
    y = x * 1
    y += x
    y *= x.detach()
    y -= 1
    y /= 2
    y.sum().backward()
    assert gradient(x) == [2.0, 3.0]
    z = x * x
    z **= 2
    (g,) = mg.grad(z.sum(), x)
    assert g.tolist() == [4 * 8.0, 4 * 27.0]


def test_in_place_from_a_plain_tensor_takes_over_the_gradient() -> None:
    x = leaf(2.0)
    y = mg.zeros(1, dtype=mg.float64)
    y += x * 3
    assert y.requires_grad
    y.sum().backward()
    assert gradient(x) == [3.0]


def test_setitem_sends_each_gradient_where_it_belongs() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(10.0)
    y = x * 2
    y[1] = v * 5
    weight = mg.tensor([1.0, 10.0, 100.0], dtype=mg.float64)
    (y * weight).sum().backward()
    assert (gradient(x), gradient(v)) == ([2.0, 0.0, 200.0], [50.0])


def test_augmented_setitem() -> None:
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[0] += 1
    y[1:] *= 3
    assert y.tolist() == [3.0, 12.0, 18.0]
    y.sum().backward()
    assert gradient(x) == [2.0, 6.0, 6.0]
    plain = mg.zeros(3)
    plain[0] += 1
    assert plain.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "view",
    [
        lambda y: y[1:],
        lambda y: y.reshape(2, 2),
        lambda y: y[::-1][:3],
        lambda y: y.reshape(2, 2).T[1],
        lambda y: y.split(2)[1],
    ],
)
def test_writing_through_a_view_is_known_to_its_base(view: Any) -> None:
    x = mg.Tensor(np.array([1.0, 2.0, 3.0, 4.0]), requires_grad=True)

    def fn(x: mg.Tensor) -> Any:
        y = x * 2
        v = view(y)
        v.mul_(x[: v.numel()].reshape(v.shape))
        return y * y, v.exp()

    assert mg.gradcheck(fn, x, rtol=1e-2, atol=1e-4)
    assert mg.gradgradcheck(lambda x: fn(x)[0], x)


def test_a_view_taken_before_a_write_follows_its_base() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    view = y[:1]
    y.mul_(3)
    (view * 2 + y.sum()).sum().backward()
    assert gradient(x) == [18.0, 6.0]


def test_an_expanded_view_is_not_written() -> None:
    x = mg.zeros(1)
    with pytest.raises(ValueError, match="clone"):
        x.expand(3).add_(1)


def test_results_must_fit() -> None:
    x = mg.zeros(2)
    with pytest.raises(ValueError, match=r"Add: the result has shape \(3, 2\) and does not fit"):
        x += mg.zeros(3, 2)
    n = mg.zeros(2, dtype=mg.int64)
    with pytest.raises(TypeError, match="Add: the result is float32 and cannot be written"):
        n += 0.5
    with pytest.raises(ValueError, match=r"setitem: a value of shape \(3,\) does not broadcast"):
        x[:] = mg.zeros(3)


def test_writes_are_in_place_indeed() -> None:
    x = mg.zeros(2)
    memory = x.array
    same = x
    x += 1
    x *= 3
    x[0] = 9.0
    assert x is same
    assert x.array is memory
    assert memory.tolist() == [9.0, 3.0]


def test_gradients_may_be_scaled_in_place() -> None:
    x = leaf(1.0)
    (x * 3).sum().backward()
    assert x.grad is not None
    x.grad.mul_(2)
    x.grad[0] += 1
    assert gradient(x) == [7.0]
