"""Batch normalisation against its reference and PyTorch, and where float32 is hard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.norm.batch_norm import KERNELS
from tests.kernels.agreement import check, tolerance
from tests.kernels.samples.batch_norm import SAMPLES

DTYPES = (np.float32, np.float64)
NONE = np.empty(0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_reference(rng: np.random.Generator, name: str, dtype: Any) -> None:
    # Sums over 4,800 float32 values carry some ten roundings relative to the sum of magnitudes.
    check(KERNELS[name], SAMPLES[name](rng, np.dtype(dtype)), *tolerance(dtype, 40))


def forward(x: Any, eps: float = 1e-5) -> list[Any]:
    none = NONE.astype(x.dtype)
    out = [np.empty(x.shape[1], x.dtype) for _ in range(3)]
    y = np.empty_like(x)
    KERNELS["batch_norm_forward"].cpu(x, none, none, eps, *out, y)
    return [*out, y]


@pytest.mark.parametrize("shape", [(64, 5, 1), (257, 200, 1), (16, 3, 49), (9, 2, 3_000)])
@pytest.mark.parametrize("centre", [1e4, -1e4, 1e6])
def test_float32_keeps_unit_variance_far_from_zero(
    rng: np.random.Generator, shape: tuple[int, ...], centre: float
) -> None:
    x = (rng.normal(size=shape) + centre).astype(np.float32)
    mean, var, rstd, y = forward(x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(var, wide.var(axis=(0, 2)), rtol=2e-6)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(wide.var(axis=(0, 2)) + 1e-5), rtol=2e-6)
    np.testing.assert_allclose(mean, wide.mean(axis=(0, 2)), rtol=1e-7)
    # y carries the rounding of the float32 mean, half a unit in its last place, and no more.
    half = np.spacing(np.float32(abs(centre))) / 2
    want = (wide - wide.mean(axis=(0, 2))[:, None]) * rstd[:, None]
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1.2 * half + 1e-6)


def test_an_outlier_in_the_first_row_of_a_chunk_costs_little(rng: np.random.Generator) -> None:
    x = rng.normal(size=(96, 4, 1)).astype(np.float32)
    x[32] = 1e6
    wide = x.astype(np.float64)
    mean, var, _, _ = forward(x)
    # The worst case of sums about the first row: cancellation by 1 + ROWS, some 1e-5 at most.
    np.testing.assert_allclose(mean, wide.mean(axis=(0, 2)), rtol=2e-5)
    np.testing.assert_allclose(var, wide.var(axis=(0, 2)), rtol=5e-5)


@pytest.mark.parametrize("shape", [(40, 3, 1), (4, 3, 50)])
def test_constant_channels_are_exact(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 0.1, np.float32)
    mean, var, rstd, y = forward(x)
    assert (mean == np.float32(0.1)).all()
    assert (var == 0).all()
    np.testing.assert_allclose(rstd, 1e-5**-0.5, rtol=1e-6)
    assert (y == 0).all()


@pytest.mark.parametrize("shape", [(40, 3, 1), (700, 60, 1), (4, 3, 50)])
def test_a_nan_stays_in_its_channel(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    x = rng.normal(size=shape).astype(np.float32)
    x[-1, 1] = np.nan
    y = forward(x)[3]
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, 0]).all()
    assert np.isfinite(y[:, 2]).all()


def test_planes_and_rows_agree(rng: np.random.Generator) -> None:
    x = rng.normal(size=(30, 8, 2))
    flat = np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(60, 8, 1)
    for a, b in zip(forward(x)[:3], forward(flat)[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("shape", [(64, 20, 1), (16, 5, 12)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
def test_torch_agrees(
    rng: np.random.Generator, training: bool, dtype: Any, shape: tuple[int, ...]
) -> None:
    torch = pytest.importorskip("torch")
    c = shape[1]
    x, dy = rng.normal(1, 2, (2, *shape)).astype(dtype)
    weight, bias, running_mean = rng.normal(size=(3, c)).astype(dtype)
    running_var = rng.uniform(0.5, 2, c).astype(dtype)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    stats = [torch.tensor(a) for a in (running_mean, running_var)]
    want = torch.nn.functional.batch_norm(tensors[0], *stats, *tensors[1:], training, 0.1, 1e-5)
    want.backward(torch.tensor(dy))
    mean, var, rstd, dw, db = np.empty((5, c), dtype)
    y, dx = np.empty((2, *shape), dtype)
    if training:
        KERNELS["batch_norm_forward"].cpu(x, weight, bias, 1e-5, mean, var, rstd, y)
        KERNELS["batch_norm_running"].cpu(
            mean, var, x.size // c, np.array([0.1]), running_mean, running_var
        )
        KERNELS["batch_norm_backward"].cpu(dy, x, weight, mean, rstd, dx, dw, db)
    else:
        KERNELS["batch_norm_eval"].cpu(x, weight, bias, running_mean, running_var, 1e-5, y)
        KERNELS["batch_norm_eval_backward"].cpu(
            dy, x, weight, running_mean, running_var, 1e-5, dx, dw, db
        )
    rtol, atol = tolerance(dtype, 10)
    got = (y, running_mean, running_var, dx, dw, db)
    expected = (want.detach(), *stats, *(t.grad for t in tensors))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=rtol, atol=atol)
