"""Losses: refusals by message, extremes in float32, masks, what is divided by."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.nn.functional import classification

LOGITS = mg.zeros(2, 3)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize(
    ("target", "bad", "at"), [([0, 3], 3, 1), ([-1, 0], -1, 0), ([5, -9], 5, 0)]
)
def test_targets_out_of_range(loss: object, target: list[int], bad: int, at: int) -> None:
    with pytest.raises(ValueError, match="is out of range for 3 classes") as e:
        loss(LOGITS, mg.tensor(target))
    assert f"target {bad} at position {at}" in str(e.value)
    assert "expected 0 to 2, or ignore_index=-100" in str(e.value)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.cross_entropy(LOGITS, mg.tensor([0])),
            ValueError,
            r"an input of shape \(2, 3\) .* needs a target of shape \(2,\), got \(1,\)",
        ),
        (
            lambda: F.cross_entropy(LOGITS, mg.tensor([0.0, 1.0])),
            ValueError,
            r"probabilities .* must have the input's shape \(2, 3\), got \(2,\); class numbers",
        ),
        (
            lambda: F.cross_entropy(LOGITS, mg.tensor([True, False])),
            TypeError,
            "expected integer class numbers, got bool",
        ),
        (
            lambda: F.nll_loss(LOGITS, mg.tensor([0.0, 1.0])),
            TypeError,
            "nll_loss: expected integer class numbers, got float32",
        ),
        (
            lambda: F.cross_entropy(mg.zeros(2, 3, dtype=mg.int64), mg.tensor([0, 1])),
            TypeError,
            "expected a floating input, got int64",
        ),
        (
            lambda: F.cross_entropy(mg.tensor(1.0), mg.tensor(0)),
            ValueError,
            r"expected an input of shape \(N, C\), got a single number",
        ),
        (
            lambda: F.cross_entropy(LOGITS, mg.tensor([0, 1]), mg.ones(2)),
            ValueError,
            r"weight has shape \(2,\), expected \(3,\): one a class",
        ),
        (
            lambda: F.cross_entropy(LOGITS, mg.tensor([0, 1]), mg.ones(3, dtype=mg.float64)),
            TypeError,
            "weight is float64, the input float32",
        ),
        (
            lambda: F.cross_entropy(LOGITS, mg.tensor([0, 1]), label_smoothing=1.5),
            ValueError,
            r"label_smoothing must lie in \[0, 1\], got 1.5",
        ),
        (
            lambda: F.cross_entropy(LOGITS, LOGITS, ignore_index=0),
            ValueError,
            "ignore_index=0 applies to class numbers",
        ),
        (
            lambda: nn.MSELoss(reduction="avg"),
            ValueError,
            "MSELoss: reduction must be 'none', 'mean' or 'sum', got 'avg'",
        ),
        (
            lambda: F.binary_cross_entropy(mg.tensor([1.5]), mg.tensor([1.0])),
            ValueError,
            r"expected probabilities in \[0, 1\], got 1.5; apply sigmoid",
        ),
        (
            lambda: F.binary_cross_entropy(mg.tensor([math.nan]), mg.tensor([1.0])),
            ValueError,
            r"expected probabilities in \[0, 1\], got nan",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(LOGITS, LOGITS, pos_weight=mg.ones(2)),
            ValueError,
            r"pos_weight has shape \(2,\), which does not broadcast to the input's \(2, 3\)",
        ),
        (
            lambda: F.mse_loss(LOGITS, LOGITS, weight=mg.ones(3)),
            ValueError,
            r"mse_loss: weight has shape \(3,\), expected the input's \(2, 3\)",
        ),
        (lambda: nn.HuberLoss(delta=0.0), ValueError, "delta must be positive, got 0.0"),
        (lambda: nn.SmoothL1Loss(beta=-1.0), ValueError, "beta must not be negative, got -1.0"),
        (
            lambda: F.mse_loss(mg.tensor([1]), mg.tensor([1])),
            TypeError,
            "expected a floating input, got int64",
        ),
    ],
)
def test_refusals(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "loss",
    [
        F.mse_loss,
        F.l1_loss,
        F.smooth_l1_loss,
        F.huber_loss,
        F.binary_cross_entropy,
        F.binary_cross_entropy_with_logits,
    ],
)
def test_nothing_is_broadcast(loss: object) -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(4,\) and \(4, 1\); nothing is broadc"):
        loss(mg.zeros(4), mg.zeros(4, 1))


def test_mean_over_weights_of_what_counts_and_nan_if_nothing_does() -> None:
    x = mg.tensor([[0.0, 1.0], [2.0, 0.0], [5.0, 5.0]], requires_grad=True)
    w, t = mg.tensor([3.0, 0.5]), mg.tensor([0, 1, -100])
    each = F.cross_entropy(x, t, w, reduction="none").array
    assert F.cross_entropy(x, t, w).item() == pytest.approx(each.sum() / 3.5, rel=1e-6)
    assert each[2] == 0
    for loss in (F.cross_entropy, F.nll_loss):
        assert math.isnan(loss(x, mg.full((3,), -100)).item())
        assert loss(x, mg.full((3,), -100), reduction="sum").item() == 0
    F.cross_entropy(x, t).backward()
    assert x.grad.array[2].tolist() == [0, 0]


def test_an_ignored_row_may_hold_anything() -> None:
    x = mg.tensor([[0.0, 1.0], [math.nan, -math.inf]], requires_grad=True)
    for loss in (F.cross_entropy, F.nll_loss):
        x.grad = None
        y = loss(x, mg.tensor([1, 7]), ignore_index=7)
        y.backward()
        assert math.isfinite(y.item()) and np.isfinite(x.grad.array).all()


def test_ignore_index_may_be_a_class() -> None:
    x = mg.tensor([[0.0, 1.0], [1.0, 0.0]])
    only = F.cross_entropy(x[:1], mg.tensor([0]))
    assert F.cross_entropy(x, mg.tensor([0, 1]), ignore_index=1).item() == only.item()
    assert F.nll_loss(x, mg.tensor([0, 1]), ignore_index=1).item() == 0


def test_extreme_logits_in_float32() -> None:
    x = mg.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    y = F.cross_entropy(x, mg.tensor([0, 0]), reduction="none")
    assert y.tolist() == [0, 2e4]
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0], [-1, 1]]
    z = mg.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    y = F.binary_cross_entropy_with_logits(z, mg.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    assert y.tolist() == [0, 0, 1e4, 1e4]
    y.sum().backward()
    assert z.grad.tolist() == [0, 0, 1, -1]
    w = mg.zeros(1, requires_grad=True)
    F.binary_cross_entropy_with_logits(w, mg.ones(1)).backward()
    assert w.grad.tolist() == [-0.5]  # exact where max(x, 0) and |x| have their kinks


def test_large_gaps_do_not_overflow_and_equal_values_have_no_gradient() -> None:
    x = mg.tensor([3e38, -math.inf, 0.0], requires_grad=True)
    for loss in (F.huber_loss, F.smooth_l1_loss):
        x.grad = None
        y = loss(x, mg.zeros(3), reduction="none")
        y.sum().backward()
        assert x.grad.tolist() == [1, -1, 0]
    F.l1_loss(x[2:], mg.zeros(1)).backward()
    assert x.grad.array[2] == 0


def test_binary_cross_entropy_caps_its_logs() -> None:
    x = mg.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    y = F.binary_cross_entropy(x, mg.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert y.tolist() == [0, 0, 100, 100]
    y.sum().backward()
    assert np.allclose(x.grad.array, [0, 0, -1e12, 1e12])


def test_targets_of_other_integer_types_and_layouts() -> None:
    x = mg.randn(4, 3)
    t = np.array([0, 2, 1, 2])
    expected = F.cross_entropy(x, mg.tensor(t)).item()
    for kind in (np.int32, np.uint8, np.int8):
        assert F.cross_entropy(x, mg.Tensor(t.astype(kind))).item() == expected
    strided = mg.Tensor(np.repeat(t, 2)[::2])
    assert F.cross_entropy(x, strided).item() == expected
    assert F.nll_loss(x.log_softmax(1), strided).item() == pytest.approx(expected, rel=1e-6)


def test_no_rows() -> None:
    x, t = mg.zeros(0, 3), mg.zeros(0, dtype=mg.int64)
    for loss in (F.cross_entropy, F.nll_loss):
        assert math.isnan(loss(x, t).item()) and loss(x, t, reduction="sum").item() == 0
        assert loss(x, t, reduction="none").shape == (0,)
    assert math.isnan(F.mse_loss(x, x).item())


def test_weights_are_buffers_that_move_with_the_module() -> None:
    loss = nn.CrossEntropyLoss(mg.ones(3)).double()
    assert list(loss.state_dict()) == ["weight"]
    assert loss(mg.zeros(1, 3, dtype=mg.float64), mg.tensor([0])).dtype == mg.float64
    assert list(nn.CrossEntropyLoss().state_dict()) == []


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_nll_by_comparing_is_nll(ignore_index: int, weighted: bool, reduction: str) -> None:
    """What a GPU computes without reading the class numbers is what the CPU computes."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((9, 4))
    scores[3, 1] = np.inf  # of no class that is asked for
    classes = np.array([0, 1, 2, 0, 3, 2, 1, 0, 3])
    weight = mg.tensor(rng.random(4)) if weighted else None
    found = []
    for compute in (
        lambda x: F.nll_loss(
            x, mg.tensor(classes), weight, ignore_index=ignore_index, reduction=reduction
        ),
        lambda x: classification._compared(x, classes, weight, ignore_index, reduction, (9,)),
    ):
        x = mg.tensor(scores).requires_grad_()
        loss = compute(x)
        loss.backward(mg.ones_like(loss))
        assert x.grad is not None
        found.append((loss.detach().numpy(), x.grad.numpy()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-14)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-14)
