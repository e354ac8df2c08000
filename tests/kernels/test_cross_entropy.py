"""Cross-entropy from logits against its reference and PyTorch, options and extremes included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.cross_entropy import KERNELS
from tests.kernels.agreement import check, tolerance
from tests.kernels.samples.cross_entropy import SAMPLES

DTYPES = (np.float32, np.float64)
FORWARD = KERNELS["cross_entropy_forward"].cpu
BACKWARD = KERNELS["cross_entropy_backward"].cpu


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_reference(rng: np.random.Generator, name: str, dtype: Any) -> None:
    check(KERNELS[name], SAMPLES[name](rng, np.dtype(dtype)), *tolerance(dtype, 4))


def both(x: Any, target: Any, weight: Any = (), ignore: int = -100, smoothing: float = 0.0) -> Any:
    """Return loss and dx of unit gradients."""
    w = np.array(weight, x.dtype)
    loss, logsum, dx = np.empty(len(x), x.dtype), np.empty(len(x)), np.empty_like(x)
    with np.errstate(all="ignore"):
        FORWARD(x, target, w, ignore, smoothing, loss, logsum)
        BACKWARD(np.ones(len(x), x.dtype), x, target, w, ignore, smoothing, logsum, dx)
    return loss, dx


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
