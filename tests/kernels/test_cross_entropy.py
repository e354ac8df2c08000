"""Cross-entropy from logits against its reference and PyTorch, options and extremes included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.softmax.cross_entropy import KERNELS
from tests.kernels.agreement import check, tolerance
from tests.kernels.samples.cross_entropy import SAMPLES

DTYPES = (np.float32, np.float64)
FORWARD = KERNELS["cross_entropy_forward"].cpu
BACKWARD = KERNELS["cross_entropy_backward"].cpu


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_reference(rng: np.random.Generator, name: str, dtype: Any) -> None:
    check(KERNELS[name], SAMPLES[name](rng, np.dtype(dtype)), *tolerance(dtype, 4))


def forward(
    x: Any, target: Any, weight: Any, ignore: int, smoothing: float, mean: bool, gradient: bool
) -> Any:
    """Return loss, logsum, total, divisor and dx."""
    n, c = x.shape
    loss, total, divisor = (np.empty(k, x.dtype) for k in (n, 1, 1))
    dx = np.empty((n if gradient else 0, c), x.dtype)
    out = (loss, np.empty(n), total, divisor, dx)
    with np.errstate(all="ignore"):
        FORWARD(x, target, np.array(weight, x.dtype), ignore, smoothing, mean, *out)
    return out


def both(x: Any, target: Any, weight: Any = (), ignore: int = -100, smoothing: float = 0.0) -> Any:
    """Return loss and dx of unit gradients; the gradient made with the loss is the same."""
    w = np.array(weight, x.dtype)
    loss, logsum, *_ = forward(x, target, w, ignore, smoothing, False, False)
    dx = np.empty_like(x)
    with np.errstate(all="ignore"):
        BACKWARD(np.ones(len(x), x.dtype), x, target, w, ignore, smoothing, logsum, dx)
    again, *_, fused = forward(x, target, w, ignore, smoothing, False, True)
    rtol, atol = tolerance(x.dtype)
    np.testing.assert_allclose(again, loss, rtol=rtol, atol=atol)
    np.testing.assert_allclose(fused, dx, rtol=rtol, atol=atol)
    return loss, fused


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_divides_by_the_weights_that_count(
    rng: np.random.Generator, dtype: Any, weighted: bool
) -> None:
    x = (3 * rng.normal(size=(50, 7))).astype(dtype)
    target = rng.integers(0, 7, 50)
    target[::4] = -100
    weight = rng.uniform(0.5, 2, 7 if weighted else 0).astype(dtype)
    loss, dx = both(x, target, weight)
    _, _, total, divisor, scaled = forward(x, target, weight, -100, 0.0, True, True)
    counted = target[target >= 0]
    want = weight[counted].sum() if weighted else counted.size
    rtol, atol = tolerance(dtype)
    np.testing.assert_allclose(divisor, want, rtol=rtol)
    np.testing.assert_allclose(total, loss.sum() / want, rtol=rtol)
    np.testing.assert_allclose(scaled, dx / want, rtol=rtol, atol=atol)


def test_a_mean_over_no_row_is_nan() -> None:
    x = np.zeros((2, 3), np.float32)
    loss, _, total, divisor, dx = forward(x, np.array([-1, -1]), (), -1, 0.0, True, True)
    assert loss.tolist() == [0, 0]
    assert np.isnan(total[0])
    assert divisor[0] == 0
    assert (dx == 0).all()


@pytest.mark.parametrize("centre", [0.0, 1e4, -1e4])
def test_float32_gradient_survives_far_logits(rng: np.random.Generator, centre: float) -> None:
    x = (np.round(8 * rng.normal(size=(20, 10))) / 8 + centre).astype(np.float32)
    target = rng.integers(0, 10, 20)
    loss, dx = both(x, target)
    near = x.astype(np.float64) - centre
    want_loss, want_dx = both(near, target)
    np.testing.assert_allclose(loss, want_loss, rtol=1e-6)
    np.testing.assert_allclose(dx, want_dx, rtol=4e-6, atol=1e-7)


def test_a_certain_row_costs_nothing_and_a_wrong_one_its_distance() -> None:
    x = np.array([[1e4, 0.0], [1e4, 0.0]], np.float32)
    loss, dx = both(x, np.array([0, 1]))
    assert loss.tolist() == [0, 1e4]
    assert dx.tolist() == [[0, 0], [1, -1]]


def test_infinite_logits() -> None:
    x = np.array([[-np.inf, 0.0], [-np.inf, 0.0], [np.nan, 0]], np.float32)
    loss, dx = both(x, np.array([1, 0, 0]))
    np.testing.assert_array_equal(loss, [0, np.inf, np.nan])
    np.testing.assert_array_equal(dx, [[0, 0], [-1, 1], [np.nan, np.nan]])


def test_ignored_rows_are_zero_even_with_nan() -> None:
    x = np.array([[np.nan, 1.0], [0.0, 0.0]], np.float32)
    loss, dx = both(x, np.array([-1, 0]), ignore=-1, smoothing=0.1)
    assert loss[0] == 0
    assert dx[0].tolist() == [0, 0]
    assert loss[1] == pytest.approx(np.log(2))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_agrees(
    rng: np.random.Generator, dtype: Any, weighted: bool, smoothing: float
) -> None:
    torch = pytest.importorskip("torch")
    x = (4 * rng.normal(size=(64, 10))).astype(dtype)
    target = rng.integers(0, 10, 64)
    target[::5] = -100
    weight = rng.uniform(0.5, 2, 10 if weighted else 0).astype(dtype)
    loss, dx = both(x, target, weight, smoothing=smoothing)
    t = torch.tensor(x, requires_grad=True)
    want = torch.nn.functional.cross_entropy(
        t,
        torch.tensor(target),
        weight=torch.tensor(weight) if weighted else None,
        label_smoothing=smoothing,
        reduction="none",
    )
    want.sum().backward()
    rtol, atol = tolerance(dtype)
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=rtol, atol=atol)
    np.testing.assert_allclose(dx, t.grad.numpy(), rtol=rtol, atol=atol)
