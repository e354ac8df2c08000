"""batch_norm, an activation and dropout as one op: the bits of the three."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from tests.plain_mode import assert_same_bits


def outcome(
    fused: bool, shape: tuple[int, ...], dtype: Any, activation: str | None, p: float, affine: bool
) -> list[Any]:
    """Return output, running statistics and gradients of one training call."""
    rng = np.random.default_rng(3)
    c = shape[1]
    x, g = rng.normal(1, 2, (2, *shape)).astype(dtype)
    x = mg.tensor(x, requires_grad=True)
    w, b = (
        mg.tensor(a, requires_grad=True) if affine else None
        for a in rng.normal(size=(2, c)).astype(dtype)
    )
    stats = mg.tensor(np.zeros(c, dtype)), mg.tensor(np.ones(c, dtype))
    generator = mg.random.Generator(11)
    if fused:
        y = F.batch_norm_activation_dropout(
            x, *stats, w, b, True, activation=activation, p=p, generator=generator
        )
    else:
        y = F.batch_norm(x, *stats, w, b, True)
        y = F.dropout(F.relu(y) if activation else y, p, generator=generator)
    y.backward(mg.tensor(g))
    leaves = (x, w, b) if affine else (x,)
    return [y.array, *(t.array for t in stats), *(t.grad.array for t in leaves)]


@pytest.mark.parametrize("shape", [(2, 1), (64, 64), (35, 130), (257, 201), (40, 1030), (6, 3, 5)])
@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_of_three_ops(shape: tuple[int, ...], activation: str | None, dtype: Any) -> None:
    affine = shape != (40, 1030)
    for p in (0.0, 0.3, 1.0):
        one = outcome(True, shape, dtype, activation, p, affine)
        three = outcome(False, shape, dtype, activation, p, affine)
        for a, b in zip(one, three, strict=True):
            assert_same_bits(a, b)


def test_evaluation_is_that_of_three_ops() -> None:
    x, mean, var = mg.randn(5, 3), mg.randn(3), mg.rand(3) + 0.5
    want = F.relu(F.batch_norm(x, mean, var))
    got = F.batch_norm_activation_dropout(x, mean, var, p=0.4)
    np.testing.assert_array_equal(got.array, want.array)
    got = F.batch_norm_activation_dropout(x, mean, var, p=0.4, scaling="classical")
    np.testing.assert_array_equal(got.array, (want * 0.6).array)


def test_errors() -> None:
    x = mg.zeros(2, 3)
    with pytest.raises(ValueError, match="activation must be 'relu' or None, got 'sine'"):
        F.batch_norm_activation_dropout(x, None, None, activation="sine")
    with pytest.raises(ValueError, match=r"expected 0 <= p <= 1, got 1\.5"):
        F.batch_norm_activation_dropout(x, None, None, p=1.5)
    with pytest.raises(ValueError, match="got 1 in an input of shape"):
        F.batch_norm_activation_dropout(x[:1], None, None, training=True)
