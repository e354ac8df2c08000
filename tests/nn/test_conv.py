"""Convolution and pooling: PyTorch's answers, any order of derivatives, errors that say why."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from tests.nn.conv_cases import CASES
from tests.nn.nn_cases import unpacked
from tests.nn.test_nn_golden import MINIGRAD
from tests.npz import arrays_of

GOLDEN = unpacked(arrays_of(Path(__file__).parent.parent / "golden" / "conv.npz"))


def close(key: str, expected: dict[str, Any]) -> None:
    found = CASES[key](MINIGRAD)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        np.testing.assert_allclose(found[name], value, 1e-12, 1e-12, err_msg=f"{key}: {name}")


def test_every_case_is_stored() -> None:
    assert set(GOLDEN) == set(CASES)


@pytest.mark.parametrize("key", CASES)
def test_agrees_with_the_stored_answers(key: str) -> None:
    close(key, GOLDEN[key])


def test_agrees_with_torch_live() -> None:
    pytest.importorskip("torch")
    live = importlib.import_module("tests.golden.make_conv")
    for key in CASES:
        close(key, live.compute(key))


# ---------------------------------------------------------------- convolution
def test_third_derivatives() -> None:
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(1, 2, 4, 3)), requires_grad=True)
    w = mg.tensor(rng.normal(size=(2, 2, 2, 2)), requires_grad=True)

    def penalty(x: mg.Tensor, w: mg.Tensor) -> mg.Tensor:
        y = F.conv2d(x, w, stride=(2, 1), padding=1)
        (g,) = mg.grad((y * y * y).sum(), [x], create_graph=True)
        return (g * g).sum()

    assert mg.gradcheck(penalty, (x, w))
    assert mg.gradgradcheck(penalty, (x, w))


def test_only_the_gradients_asked_for() -> None:
    x, w, b = mg.ones(1, 1, 3, 3), mg.ones(1, 1, 2, 2), mg.tensor([0.0])
    for leaf, expected in ((x, [1, 2, 1, 2, 4, 2, 1, 2, 1]), (w, [4] * 4), (b, [4])):
        leaf.requires_grad = True
        F.conv2d(x, w, b).sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.array.ravel().tolist() == expected
        leaf.requires_grad = False
    assert [t.grad is not None for t in (x, w, b)] == [True] * 3


def test_an_image_is_the_sum_of_its_kernel() -> None:
    """A picture of one bright point gives the kernel back, turned around."""
    w = mg.arange(9.0).reshape(1, 1, 3, 3)
    x = mg.zeros(1, 1, 5, 5)
    x.array[0, 0, 2, 2] = 1
    assert F.conv2d(x, w).array[0, 0].tolist() == w.array[0, 0, ::-1, ::-1].tolist()


def test_nan_and_infinity_stay_where_they_are() -> None:
    x = mg.ones(1, 1, 3, 40)
    x.array[0, 0, 1, 20] = np.nan
    y = F.conv2d(x, mg.ones(2, 1, 3, 3), padding=1).array
    assert np.isnan(y).sum() == 2 * 9
    assert np.isnan(y[:, :, :, 19:22]).all()


def test_no_images() -> None:
    x, w, b = mg.zeros(0, 2, 5, 5), mg.ones(3, 2, 3, 3), mg.ones(3)
    for t in (x, w, b):
        t.requires_grad = True
    y = F.conv2d(x, w, b)
    assert y.shape == (0, 3, 3, 3)
    y.sum().backward()
    assert x.grad is not None and w.grad is not None and b.grad is not None
    assert x.grad.shape == x.shape
    assert not w.grad.array.any() and not b.grad.array.any()
    assert F.max_pool2d(x, 2).shape == (0, 2, 2, 2)


def test_layouts_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(2, 6, 5, 3)), rng.normal(size=(3, 3, 2, 4))
    y = F.conv2d(mg.Tensor(x.transpose(0, 3, 2, 1)), mg.Tensor(w.transpose(3, 1, 2, 0)[:, :, ::-1]))
    turned = (np.ascontiguousarray(a) for a in (x.transpose(0, 3, 2, 1), w.transpose(3, 1, 2, 0)))
    a, b = turned
    want = F.conv2d(mg.Tensor(a), mg.Tensor(b[:, :, ::-1].copy()))
    np.testing.assert_array_equal(y.array, want.array)


def test_initial_values() -> None:
    mg.manual_seed(0)
    layer = nn.Conv2d(16, 64, (3, 5), groups=2)
    bound = 1 / math.sqrt(8 * 15)
    assert (layer.weight.shape, layer.bias.shape) == ((64, 8, 3, 5), (64,))
    for t in (layer.weight, layer.bias):
        assert 0.9 * bound < np.abs(t.array).max() <= bound
    assert np.std(layer.weight.array) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert list(nn.Conv1d(2, 3, 4, bias=False).state_dict()) == ["weight"]


SHAPE = r"\(1, 3, 8, 8\)"


@pytest.mark.parametrize(
    ("x", "weight", "options", "message"),
    [
        ((1, 3, 8, 8), (4, 2, 3, 3), {}, SHAPE + " has 3 channels, weight .* expects 2"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"groups": 3}, "groups=3 does not divide the 4 output"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"groups": 0}, "groups=0 does not divide"),
        ((8, 8), (4, 3, 3, 3), {}, r"expected an input \(N, C, H, W\), .* got shape \(8, 8\)"),
        ((1, 3, 8, 8), (4, 3, 3), {}, r"expected a weight .* got shape \(4, 3, 3\)"),
        ((1, 3, 8, 8), (4, 3, 0, 3), {}, r"without zeros, got shape \(4, 3, 0, 3\)"),
        ((1, 3, 2, 8), (4, 3, 3, 3), {}, r"kernel \(3, 3\) .* larger than the input \(2, 8\)"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"dilation": 4}, r"with dilation \(4, 4\) is larger"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"stride": 0}, "stride must be at least 1, got 0"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"stride": (1, 2, 3)}, "an int or 2 of them"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": -1}, "padding must be at least 0, got -1"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": "full"}, "'same' or 'valid', got 'full'"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": "same", "stride": 2}, "needs a stride of 1"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"bias": mg.ones(3)}, r"shape \(3,\), expected \(4,\)"),
    ],
)
def test_errors_of_conv2d(x: Any, weight: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match="conv2d: .*" + message):
        F.conv2d(mg.ones(*x), mg.ones(*weight), **options)


def test_errors_of_types_and_modules() -> None:
    with pytest.raises(TypeError, match="conv1d: dtypes float32 and float64 differ"):
        F.conv1d(mg.ones(1, 1, 3), mg.ones(1, 1, 2).double())
    with pytest.raises(ValueError, match="in_channels must be a positive multiple of groups"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="Conv1d: padding_mode must be one of .* got 'mirror'"):
        nn.Conv1d(3, 4, 3, padding_mode="mirror")
    with pytest.raises(ValueError, match="Conv2d: kernel_size must be at least 1, got 0"):
        nn.Conv2d(3, 4, 0)


# ---------------------------------------------------------------- pooling
def test_ties_and_nan() -> None:
    x = mg.tensor([[[1.0, 1.0, np.nan, 2.0], [1.0, 0.0, 3.0, np.nan]]], requires_grad=True)
    y, index = F.max_pool2d(x, 2, return_indices=True)
    assert (index.dtype, index.tolist()) == (mg.int64, [[[0, 2]]])
    assert y.array[0, 0, 0] == 1 and np.isnan(y.array[0, 0, 1])
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[1, 0, 1, 0], [0, 0, 0, 0]]]


def test_windows_of_minus_infinity() -> None:
    y, index = F.max_pool1d(mg.tensor([[-np.inf] * 4]), 2, 2, 1, return_indices=True)
    assert (y.tolist(), index.tolist()) == ([[-np.inf] * 3], [[0, 1, 3]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.max_pool2d(x, 2, padding=2), "max_pool2d: padding 2 is more than half of the"),
        (lambda x: F.max_pool2d(x, 9), "a window of 9 elements is larger than the input, 5"),
        (lambda x: F.avg_pool2d(x, 0), "avg_pool2d: kernel_size must be at least 1, got 0"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "divisor_override must not be 0"),
        (lambda x: F.avg_pool1d(x, 2), r"avg_pool1d: expected an input \(N, C, L\), .* \(2, 3, 5,"),
        (lambda x: F.adaptive_avg_pool2d(x, 0), "output_size must be at least 1, got"),
        (lambda x: F.adaptive_max_pool2d(x, (1, 2, 3)), "output_size must be an int or 2 of them"),
        (lambda x: F.max_pool2d(x[:, :, :0], 1), r"got shape \(2, 3, 0, 6\)"),
    ],
)
def test_errors_of_pooling(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(mg.ones(2, 3, 5, 6))


def test_means_of_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="avg_pool2d: expected a floating input, got int64"):
        F.avg_pool2d(mg.ones(1, 2, 2).long(), 2)


def test_integers_stay_integers() -> None:
    x = mg.tensor([[[3, 1], [2, 9]]])
    y, index = F.max_pool2d(x, 2, return_indices=True)
    assert (y.tolist(), y.dtype, index.tolist()) == ([[[9]]], mg.int64, [[[3]]])
    y = F.conv2d(x, mg.tensor([[[[1, -1]]]]))
    assert (y.tolist(), y.dtype) == ([[[2], [-7]]], mg.int64)
