"""What the battery over the table cannot show: integers, an output that is an input, collapsing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.kernel import PARALLEL
from minigrad_kernels.table import KERNELS

INTEGERS = ("add", "sub", "mul", "maximum", "minimum", "neg", "abs", "square", "sign", "copy")
SIZES = (7, PARALLEL + 3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers(name: str, dtype: Any, size: int, rng: np.random.Generator) -> None:
    count = 2 if name in INTEGERS[:5] else 1
    inputs = rng.integers(-5, 6, (count, size)).astype(dtype)
    got, want = np.empty((2, size), dtype)
    KERNELS[name].cpu(*inputs, got)
    KERNELS[name].reference(*inputs, want)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum"])
def test_the_output_may_be_an_input(
    name: str, slot: int, size: int, rng: np.random.Generator
) -> None:
    inputs = list(rng.uniform(1, 2, (2, size)).astype(np.float32))
    want = np.empty(size, np.float32)
    KERNELS[name].cpu(*inputs, want)
    KERNELS[name].cpu(*inputs, inputs[slot])
    np.testing.assert_array_equal(inputs[slot], want)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("slot", [1, 2])
def test_where_may_write_to_an_input(slot: int, size: int, rng: np.random.Generator) -> None:
    c = rng.random(size) < 0.5
    inputs = [c, *rng.normal(size=(2, size))]
    want = np.where(*inputs)
    KERNELS["where"].cpu(*inputs, inputs[slot])
    np.testing.assert_array_equal(inputs[slot], want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copy_converts_between_dtypes(dtype: Any) -> None:
    y = np.empty(3, np.int64)
    KERNELS["copy"].cpu(np.array([1.7, -1.7, 0.0], dtype), y)
    assert y.tolist() == [1, -1, 0]
    truth = np.empty(3, bool)
    KERNELS["copy"].cpu(np.array([1.7, np.nan, 0.0], dtype), truth)
    assert truth.tolist() == [True, True, False]


def test_small_and_large_arrays_agree_at_the_threshold(rng: np.random.Generator) -> None:
    x = rng.normal(size=PARALLEL + 1).astype(np.float32)
    for name in ("exp", "tanh", "sigmoid", "gelu", "sqrt", "relu"):
        small, large = np.empty(PARALLEL - 1, np.float32), np.empty_like(x)
        a = np.abs(x) if name == "sqrt" else x
        KERNELS[name].cpu(a[:-2], small)
        KERNELS[name].cpu(a, large)
        np.testing.assert_allclose(small, large[:-2], rtol=1e-6, atol=1e-7)


# Rows shorter and longer than what is packed whole, longer than a call takes, and short of a share.
SHAPES = [(100, 255), (100, 256), (100, 257), (3, 7001), (2, 33_001), (40, 6, 257), (5, 1, 5000)]


def layouts(shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> list[Any]:
    """Return arrays that broadcast to a shape: dense, repeated along axes, strided, backwards."""
    dense = rng.normal(size=shape).astype(dtype)
    wide = rng.normal(size=[2 * n for n in shape]).astype(dtype)
    kept = [[k >> axis & 1 for axis in range(len(shape))] for k in range(2 ** len(shape))]
    repeated = [
        rng.normal(size=[n if keep else 1 for n, keep in zip(shape, keeps, strict=True)])
        for keeps in kept
    ]
    every_other = wide[tuple(slice(None, None, 2) for _ in shape)]
    transposed = rng.normal(size=shape[::-1]).astype(dtype).T
    return [dense, dense[..., ::-1], every_other, transposed, *[r.astype(dtype) for r in repeated]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_operands_of_all_layouts_meet(
    shape: tuple[int, ...], dtype: Any, rng: np.random.Generator
) -> None:
    operands = layouts(shape, dtype, rng)
    for i, a in enumerate(operands):
        b = operands[(3 * i + 1) % len(operands)]
        y = np.full(shape, np.nan, dtype)
        KERNELS["mul"].cpu(a, b, y)
        np.testing.assert_array_equal(y, np.broadcast_to(a * b, shape))
        KERNELS["copy"].cpu(np.broadcast_to(a, shape), y)
        np.testing.assert_array_equal(y, np.broadcast_to(a, shape))


@pytest.mark.parametrize("reduced", [1, 3, 4, 7, 63, 64, 65, 130])
def test_sums_over_few_rows(reduced: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, reduced, 7001)).astype(np.float32)
    y = np.empty((3, 7001), np.float32)
    KERNELS["sum"].cpu(x, (1,), y)
    np.testing.assert_allclose(y, x.sum(1, dtype=np.float64), rtol=1e-6, atol=2e-6 * reduced)
