"""Clipping of gradients: PyTorch's norm and factor, NaN that is seen, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import clip_grad_norm_, clip_grad_value_

ORDERS = (2.0, math.inf, 1.0, 3.5)


def parameters(rng: np.random.Generator, dtypes: tuple[Any, ...]) -> list[mg.Tensor]:
    found = []
    for dtype, shape in zip(dtypes, ((4, 3), (), (7,), (0,)), strict=True):
        p = mg.Tensor(np.ones(shape, dtype), requires_grad=True)
        p.grad = mg.Tensor(np.asarray(rng.normal(size=shape)).astype(dtype))
        found.append(p)
    return [*found, mg.zeros(2, requires_grad=True)]  # the last one has no gradient


def flat(params: list[mg.Tensor]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.float64(p.grad.array).ravel() for p in params if p.grad is not None])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e6])
@pytest.mark.parametrize("dtypes", [(np.float64,) * 4, (np.float32, np.float64) * 2])
def test_norm_and_factor(
    rng: np.random.Generator, dtypes: tuple[Any, ...], max_norm: float, order: float
) -> None:
    params = parameters(rng, dtypes)
    before = flat(params)
    versions = [p.grad._version for p in params if p.grad is not None]
    norm = clip_grad_norm_(params, max_norm, order)
    expected = np.linalg.norm(before, order)
    assert norm.shape == ()
    np.testing.assert_allclose(norm.item(), expected, rtol=1e-12)
    rtol = 1e-14 if dtypes[0] == np.float64 else 1e-6
    factor = min(1.0, max_norm / (expected + 1e-6))
    np.testing.assert_allclose(flat(params), before * factor, rtol=rtol)
    after = [p.grad._version for p in params if p.grad is not None]
    assert all(a > b for a, b in zip(after, versions, strict=True))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_matches_pytorch_live(rng: np.random.Generator, max_norm: float, order: float) -> None:
    torch = pytest.importorskip("torch")
    params = parameters(rng, (np.float64,) * 4)
    theirs = []
    for p in params[:-1]:
        q = torch.zeros(p.shape, dtype=torch.float64, requires_grad=True)
        q.grad = torch.tensor(p.grad.array.copy())  # type: ignore[union-attr]
        theirs.append(q)
    if order == math.inf:
        theirs = [q for q in theirs if q.numel()]  # PyTorch knows no largest of nothing
    norm = torch.nn.utils.clip_grad_norm_(theirs, max_norm, order)
    ours = clip_grad_norm_(params, max_norm, order)
    np.testing.assert_allclose(ours.item(), norm.item(), rtol=1e-14)
    expected = np.concatenate([q.grad.numpy().ravel() for q in theirs])
    np.testing.assert_allclose(flat(params), expected, rtol=1e-14)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtypes", [(np.float64,) * 4, (np.float32, np.float64) * 2])
def test_a_nan_reaches_every_gradient(
    rng: np.random.Generator, dtypes: tuple[Any, ...], order: float
) -> None:
    params = parameters(rng, dtypes)
    params[0].grad.array[1, 1] = np.nan  # type: ignore[union-attr]
    assert math.isnan(clip_grad_norm_(params, 1.0, order).item())
    assert np.isnan(flat(params)).all()


def test_an_infinity_zeroes_the_rest_and_turns_nan_itself(rng: np.random.Generator) -> None:
    params = parameters(rng, (np.float64,) * 4)
    params[0].grad.array[1, 1] = np.inf  # type: ignore[union-attr]
    assert clip_grad_norm_(params, 1.0).item() == math.inf
    found = flat(params)
    assert np.isnan(found).sum() == 1
    assert (found[~np.isnan(found)] == 0).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_error_if_nonfinite_changes_nothing(rng: np.random.Generator, value: float) -> None:
    params = parameters(rng, (np.float64,) * 4)
    params[0].grad.array[1, 1] = value  # type: ignore[union-attr]
    before = flat(params)
    with pytest.raises(RuntimeError, match=f"the norm of order 2.0 of the gradients is {value}"):
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(flat(params), before)


def test_one_tensor_a_generator_and_no_gradient_at_all() -> None:
    p = mg.tensor([3.0, 4.0], requires_grad=True)
    assert clip_grad_norm_(p, 1.0).item() == 0.0
    p.grad = mg.tensor([3.0, 4.0])
    assert clip_grad_norm_((q for q in [p]), 10.0).item() == 5.0
    assert p.grad.tolist() == [3.0, 4.0]


def test_a_gradient_that_is_not_contiguous() -> None:
    p = mg.Tensor(np.zeros((2, 3)), requires_grad=True)
    p.grad = mg.Tensor(np.arange(6.0).reshape(3, 2).T)
    clip_grad_norm_([p], 1.0)
    expected = np.arange(6.0).reshape(3, 2).T
    np.testing.assert_allclose(p.grad.array, expected / (np.linalg.norm(expected) + 1e-6))


def test_clip_value() -> None:
    p = mg.tensor([0.0] * 5, requires_grad=True)
    p.grad = mg.tensor([-3.0, 0.2, math.inf, math.nan, 0.5])
    clip_grad_value_([p], 0.5)
    np.testing.assert_array_equal(p.grad.array, np.float32([-0.5, 0.2, 0.5, math.nan, 0.5]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: clip_grad_norm_(p, -1.0), ValueError, "expected max_norm >= 0, got -1.0"),
        (lambda p: clip_grad_norm_(p, math.nan), ValueError, "expected max_norm >= 0, got nan"),
        (lambda p: clip_grad_norm_(p, 1.0, 0), ValueError, "norm_type > 0 or math.inf, got 0"),
        (lambda p: clip_grad_value_(p, -1.0), ValueError, "expected clip_value >= 0, got -1.0"),
        (lambda p: clip_grad_norm_([1.0], 1.0), TypeError, "got float; pass model.parameters"),
        (lambda p: clip_grad_value_(["a"], 1.0), TypeError, "clip_grad_value_: expected tensors"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call([mg.zeros(1)])
