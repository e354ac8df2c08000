"""Embedding, one_hot, padding, linear and activations: refusals and corners."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn


def test_embedding_padding_row_gets_no_gradient() -> None:
    layer = nn.Embedding(4, 2, padding_idx=1)
    y = layer(mg.tensor([1, 2, 2, 1]))
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0], [0, 0], [2, 2], [0, 0]]
    table = mg.randn(4, 2)
    frozen = nn.Embedding.from_pretrained(table)
    assert not frozen.weight.requires_grad and frozen.weight.array is table.array
    assert repr(nn.Embedding.from_pretrained(table, padding_idx=-1)) == (
        "Embedding(4, 2, padding_idx=3)"
    )


def test_one_hot() -> None:
    y = F.one_hot(mg.tensor([[2], [0]]), 4)
    assert y.dtype == mg.int64 and y.tolist() == [[[0, 0, 1, 0]], [[1, 0, 0, 0]]]
    assert F.one_hot(mg.zeros(0, dtype=mg.int64), 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.Embedding(4, 2)(mg.tensor([1, 4])),
            IndexError,
            "embedding: row 4 is out of range for 4 rows: expected 0 to 3",
        ),
        (lambda: nn.Embedding(4, 2)(mg.tensor([-1])), IndexError, "row -1 is out of range"),
        (
            lambda: nn.Embedding(4, 2)(mg.tensor([1.0])),
            TypeError,
            "expected integer row numbers, got float32",
        ),
        (
            lambda: nn.Embedding(4, 2, padding_idx=4),
            ValueError,
            "padding_idx 4 is out of range for 4 rows",
        ),
        (
            lambda: nn.Embedding.from_pretrained(mg.ones(3)),
            ValueError,
            r"expected \(rows, size\), got shape \(3,\)",
        ),
        (
            lambda: F.embedding(mg.tensor([0]), mg.ones(3)),
            ValueError,
            r"weight must be \(rows, size\), got shape \(3,\)",
        ),
        (
            lambda: F.one_hot(mg.tensor([0, 3]), 3),
            ValueError,
            "one_hot: class 3 is out of range for 3 classes",
        ),
        (lambda: F.one_hot(mg.tensor([-1])), ValueError, "num_classes must be positive, got 0"),
        (lambda: F.one_hot(mg.tensor([0.5])), TypeError, "expected integer classes, got float32"),
        (
            lambda: F.one_hot(mg.zeros(0, dtype=mg.int64)),
            ValueError,
            "num_classes cannot be told from an empty input",
        ),
        (
            lambda: F.pad(mg.ones(3), (1, 2, 3, 4)),
            ValueError,
            r"expected \(before, after\) for at most 1 dimensions of shape \(3,\), got",
        ),
        (lambda: F.pad(mg.ones(3), (-2, -2)), ValueError, "cuts off more than dim 0"),
        (lambda: F.pad(mg.ones(3), (1, 1), "wrap"), ValueError, "pad: mode must be .* got 'wrap'"),
        (
            lambda: F.pad(mg.ones(3), (3, 0), "reflect"),
            ValueError,
            r"\(3, 0\) is more than mode 'reflect' can take from 3 elements: at most 2",
        ),
        (lambda: F.pad(mg.ones(3), (4, 0), "circular"), ValueError, "at most 3"),
        (
            lambda: F.linear(mg.ones(2, 3), mg.ones(4, 2)),
            ValueError,
            r"linear: input \(2, 3\) does not fit weight \(4, 2\)",
        ),
        (lambda: F.softmax(mg.ones(2)), TypeError, "softmax: say along which dimension"),
        (lambda: F.gelu(mg.ones(2), "fast"), ValueError, "approximate must be .* got 'fast'"),
        (lambda: nn.GELU("fast"), ValueError, "GELU: approximate must be .* got 'fast'"),
        (lambda: F.softplus(mg.ones(2), 0.0), ValueError, "beta must be positive, got 0.0"),
        (lambda: F.hardtanh(mg.ones(2), 1, 0), ValueError, "min_val 1 is above max_val 0"),
        (lambda: nn.Hardtanh(1, 1), ValueError, "expected min_val < max_val, got 1 and 1"),
    ],
)
def test_refusals(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("ends", [(2, 0), (0, 2), (1, 1), (-1, 2)])
@pytest.mark.parametrize(
    ("mode", "numpy_mode"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
def test_padding_is_numpys(ends: tuple[int, int], mode: str, numpy_mode: str) -> None:
    x = np.arange(4.0)
    cut = x[max(0, -ends[0]) :]
    grown = (max(0, ends[0]), ends[1])
    if ends[0] < 0 and mode == "circular":  # as PyTorch: what is cut off does not come round again
        whole = np.pad(cut, grown, numpy_mode)
    elif ends[0] < 0:
        whole = np.pad(x, (0, ends[1]), numpy_mode)[-ends[0] :]
    else:
        whole = np.pad(cut, grown, numpy_mode)
    assert F.pad(mg.Tensor(x), ends, mode).tolist() == whole.tolist()


def test_nan_goes_through_the_activations() -> None:
    x = mg.tensor([math.nan])
    for f in (
        F.relu,
        F.tanh,
        F.sigmoid,
        F.gelu,
        F.silu,
        F.softplus,
        F.leaky_relu,
        F.elu,
        F.hardtanh,
        F.relu6,
        F.logsigmoid,
    ):
        assert math.isnan(f(x).item()), f.__name__


def test_softmax_converts_first_and_log_softmax_is_stable() -> None:
    assert F.softmax(mg.ones(2), 0, dtype=mg.float64).dtype == mg.float64
    assert F.log_softmax(mg.tensor([1e4, -1e4]), 0).tolist() == [0, -2e4]
    assert np.isnan(F.softmax(mg.tensor([-math.inf, -math.inf]), 0).array).all()


def test_normalize_at_zero() -> None:
    x = mg.zeros(1, 3, requires_grad=True)
    y = F.normalize(x)
    y.sum().backward()
    assert y.tolist() == [[0, 0, 0]] and np.isfinite(x.grad.array).all()
