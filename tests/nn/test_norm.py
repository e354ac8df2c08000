"""Batch and layer normalisation beyond PyTorch's answers: extremes, refusals, what they touch."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn


@pytest.mark.parametrize(
    ("layer", "shape", "training"),
    [
        (nn.BatchNorm1d(3), (1, 3), True),
        (nn.BatchNorm2d(3), (1, 3, 1, 1), True),
        (nn.BatchNorm1d(3, track_running_stats=False), (1, 3), False),
    ],
)
def test_one_value_a_channel_is_refused(
    layer: nn.Module, shape: tuple[int, ...], training: bool
) -> None:
    before = {k: v.array.copy() for k, v in layer.state_dict().items()}
    with pytest.raises(ValueError, match=r"more than one value per channel .*, got 1 .*") as e:
        layer.train(training)(mg.zeros(shape))
    assert "drop_last=True" in str(e.value) and "eval()" in str(e.value)
    assert all(np.array_equal(v.array, before[k]) for k, v in layer.state_dict().items())


def test_one_row_is_fine_in_eval_and_over_a_length() -> None:
    assert nn.BatchNorm1d(3).eval()(mg.ones(1, 3)).shape == (1, 3)
    assert nn.BatchNorm1d(3)(mg.randn(1, 3, 2)).shape == (1, 3, 2)


def test_biased_inside_unbiased_stored() -> None:
    layer = nn.BatchNorm1d(1).double()
    y = layer(mg.tensor([[1.0], [3.0]], dtype=mg.float64))
    assert y.array[1, 0] == pytest.approx(1 / np.sqrt(1 + 1e-5), rel=1e-12)  # biased variance 1
    assert layer.running_var.item() == pytest.approx(0.9 + 0.1 * 2)  # unbiased variance 2
    assert layer.running_mean.item() == pytest.approx(0.2)


def test_cumulative_average() -> None:
    layer = nn.BatchNorm1d(1, momentum=None).double()
    means = []
    for k in range(4):
        x = np.random.default_rng(k).standard_normal((6, 1)) + k
        layer(mg.Tensor(x))
        means.append(x.mean())
        assert layer.running_mean.item() == pytest.approx(np.mean(means), rel=1e-12)
    assert layer.num_batches_tracked.item() == 4
    layer.reset_running_stats()
    assert layer.running_var.item() == 1 and layer.num_batches_tracked.item() == 0


def test_large_mean_keeps_its_variance_in_float32() -> None:
    x = (np.random.default_rng(0).standard_normal((512, 4)) + 1e4).astype(np.float32)
    layer = nn.BatchNorm1d(4)
    y = layer(mg.Tensor(x)).array
    exact = x.astype(np.float64)
    np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(y, (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5), atol=1e-3)
    z = nn.LayerNorm(512)(mg.Tensor(np.ascontiguousarray(x.T))).array
    np.testing.assert_allclose(z, y.T, atol=2e-3)


def test_nan_propagates_in_its_channel_alone() -> None:
    layer = nn.BatchNorm1d(2)
    x = mg.randn(4, 2)
    x.array[1, 0] = np.nan
    x.requires_grad_()
    y = layer(x)
    assert np.isnan(y.array[:, 0]).all() and np.isfinite(y.array[:, 1]).all()
    assert np.isnan(layer.running_mean.array[0]) and np.isfinite(layer.running_mean.array[1])
    y.sum().backward()
    assert np.isnan(x.grad.array[:, 0]).all()


def test_eval_does_not_depend_on_no_grad() -> None:
    layer = nn.BatchNorm1d(2)
    with mg.no_grad():
        layer(mg.randn(8, 2))
    assert layer.num_batches_tracked.item() == 1  # no_grad does not change batch-norm
    x = mg.randn(8, 2, requires_grad=True)
    layer.eval()(x).sum().backward()  # eval does not stop recording
    assert x.grad is not None and layer.num_batches_tracked.item() == 1


def test_a_change_of_the_running_statistics_is_noticed() -> None:
    layer = nn.BatchNorm1d(2).eval()
    y = layer(mg.randn(4, 2, requires_grad=True)).sum()
    layer.train()(mg.randn(4, 2))
    with pytest.raises(RuntimeError, match="changed in place by batch_norm"):
        y.backward()


def test_create_graph_leaves_the_running_statistics_alone() -> None:
    layer = nn.BatchNorm1d(3).double()
    x = mg.randn(5, 3, dtype=mg.float64, requires_grad=True)
    y = (layer(x) ** 3).sum()
    before = layer.running_mean.array.copy()
    (dx,) = mg.grad(y, x, create_graph=True)
    (dx * dx).sum().backward()
    assert np.array_equal(before, layer.running_mean.array) and x.grad is not None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.BatchNorm1d(3)(mg.zeros(2, 4)),
            ValueError,
            r"BatchNorm1d: expected an input of shape \(N, C\) or \(N, C, L\) with C = 3, got "
            r"\(2, 4\)",
        ),
        (lambda: nn.BatchNorm2d(3)(mg.zeros(2, 3)), ValueError, r"\(N, C, H, W\) with C = 3"),
        (
            lambda: nn.BatchNorm1d(3).double()(mg.zeros(2, 3)),
            TypeError,
            "dtypes float32 and float64 differ; convert one",
        ),
        (
            lambda: nn.BatchNorm1d(3)(mg.zeros(2, 3, dtype=mg.int64)),
            TypeError,
            "expected a floating input, got int64",
        ),
        (lambda: nn.BatchNorm1d(3, momentum=2), ValueError, r"momentum must lie in \[0, 1\]"),
        (
            lambda: F.batch_norm(mg.zeros(2, 3), None, None),
            ValueError,
            "training=False needs running_mean and running_var",
        ),
        (
            lambda: F.batch_norm(mg.zeros(2, 3), None, None, mg.ones(2), training=True),
            ValueError,
            r"weight has shape \(2,\), expected \(3,\)",
        ),
        (
            lambda: nn.LayerNorm((4, 3))(mg.zeros(2, 3)),
            ValueError,
            r"an input of shape \(2, 3\) does not end in normalized_shape \(4, 3\)",
        ),
        (
            lambda: F.layer_norm(mg.zeros(2, 3), (3,), mg.ones(2)),
            ValueError,
            r"layer_norm: weight has shape \(2,\), expected \(3,\)",
        ),
        (
            lambda: F.layer_norm(mg.zeros(2, 3), (3,), None, mg.ones(3, dtype=mg.float64)),
            TypeError,
            "layer_norm: bias is float64, the input float32",
        ),
    ],
)
def test_refusals(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_weight_or_bias_alone() -> None:
    x = mg.randn(4, 3, dtype=mg.float64)
    for norm in (
        lambda w, b: F.batch_norm(x, None, None, w, b, training=True),
        lambda w, b: F.layer_norm(x, (3,), w, b),
    ):
        plain = norm(None, None).array
        w = mg.full((3,), 2.0, dtype=mg.float64, requires_grad=True)
        b = mg.full((3,), 5.0, dtype=mg.float64, requires_grad=True)
        np.testing.assert_allclose(norm(w, None).array, plain * 2)
        np.testing.assert_allclose(norm(None, b).array, plain + 5)
        norm(None, b).sum().backward()
        np.testing.assert_allclose(b.grad.array, 4)
        (norm(w, None) * mg.Tensor(plain)).sum().backward()
        np.testing.assert_allclose(w.grad.array, (plain * plain).sum(0))


def test_not_contiguous_inputs() -> None:
    x = mg.randn(6, 4)
    turned = mg.Tensor(np.asfortranarray(x.array), requires_grad=True)
    layer = nn.BatchNorm1d(4)
    assert np.array_equal(layer(turned).array, layer(x).array)
    layer(turned)[:, ::2].sum().backward()
    assert turned.grad.shape == (6, 4)
