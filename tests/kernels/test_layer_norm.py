"""Layer normalisation against its reference and PyTorch, and far from zero in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.norm.layer_norm import KERNELS
from tests.kernels.agreement import check, tolerance
from tests.kernels.samples.layer_norm import SAMPLES

DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_reference(rng: np.random.Generator, name: str, dtype: Any) -> None:
    check(KERNELS[name], SAMPLES[name](rng, np.dtype(dtype)), *tolerance(dtype, 10))


def test_float32_keeps_unit_variance_far_from_zero(rng: np.random.Generator) -> None:
    x = (rng.normal(size=(8, 3_000)) + 1e4).astype(np.float32)
    none = np.empty(0, np.float32)
    mean, rstd = np.empty((2, 8), np.float32)
    y = np.empty_like(x)
    KERNELS["layer_norm_forward"].cpu(x, none, none, 1e-5, mean, rstd, y)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(axis=1), rtol=1e-7)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(wide.var(axis=1) + 1e-5), rtol=1e-6)


def test_a_nan_stays_in_its_row(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 70)).astype(np.float32)
    x[1, 69] = np.nan
    ones = np.ones(70, np.float32)
    mean, rstd = np.empty((2, 3), np.float32)
    y = np.empty_like(x)
    KERNELS["layer_norm_forward"].cpu(x, ones, ones, 1e-5, mean, rstd, y)
    assert np.isnan(y[1]).all()
    assert np.isfinite(y[[0, 2]]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_agrees(rng: np.random.Generator, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    x, dy = rng.normal(1, 2, (2, 70, 33)).astype(dtype)
    weight, bias = rng.normal(size=(2, 33)).astype(dtype)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    want = torch.nn.functional.layer_norm(tensors[0], (33,), *tensors[1:], 1e-5)
    want.backward(torch.tensor(dy))
    y, dx = np.empty((2, 70, 33), dtype)
    mean, rstd = np.empty((2, 70), dtype)
    dw, db = np.empty((2, 33), dtype)
    KERNELS["layer_norm_forward"].cpu(x, weight, bias, 1e-5, mean, rstd, y)
    KERNELS["layer_norm_backward"].cpu(dy, x, weight, mean, rstd, dx, dw, db)
    rtol, atol = tolerance(dtype, 10)
    for a, b in zip((y, dx, dw, db), (want.detach(), *(t.grad for t in tensors)), strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=rtol, atol=atol)
