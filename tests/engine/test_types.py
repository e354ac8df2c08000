"""Dtypes: defaults, promotion, sums, what has a gradient; live against PyTorch where installed."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import minigrad as mg

DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
OPERATIONS = ("add", "sub", "mul", "div", "maximum", "eq")


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.5, 2], "float32"),
        (3, "int64"),
        ([[1, 2]], "int64"),
        (True, "bool"),
        ([True, False], "bool"),
        ([], "float32"),
        (np.zeros(2), "float64"),
        (np.zeros(2, np.float32), "float32"),
        (np.zeros(2, np.int32), "int32"),
        (np.float64(1), "float64"),
    ],
)
def test_defaults(data: Any, dtype: str) -> None:
    assert mg.tensor(data).dtype == getattr(mg, dtype)


def test_literals_keep_all_digits_where_a_dtype_is_given() -> None:
    assert mg.tensor([1e8 + 1, 0.1], dtype=mg.float64).tolist() == [1e8 + 1, 0.1]
    assert mg.tensor(2**53 + 1).item() == 2**53 + 1
    assert mg.tensor([1.7, -1.7], dtype=mg.int64).tolist() == [1, -1]
    assert mg.tensor([0, 2], dtype=mg.bool).tolist() == [False, True]


@pytest.mark.parametrize("factory", ["zeros", "ones", "rand", "randn", "empty"])
def test_creation_makes_float32(factory: str) -> None:
    made = getattr(mg, factory)
    assert made(2).dtype == mg.float32
    assert made(2, dtype=mg.float64).dtype == mg.float64


def of(dtype: str, ndim: int) -> np.ndarray[Any, Any]:
    return np.ones((2,) * ndim, getattr(np, dtype if dtype != "bool" else "bool_"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_promotion_is_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    for a, b in itertools.product(DTYPES, DTYPES):
        for m, n in ((1, 1), (1, 0), (0, 1), (0, 0)):
            if name == "sub" and "bool" in (a, b):
                continue
            mine = [mg.Tensor(np.asarray(of(a, m))), mg.Tensor(np.asarray(of(b, n)))]
            theirs = [torch.from_numpy(np.asarray(x.array)) for x in mine]
            want = str(getattr(torch, name)(*theirs).dtype).removeprefix("torch.")
            got = getattr(mg, name)(*mine).dtype.name
            assert got == want, f"{name}({a} {m}-d, {b} {n}-d)"


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (mg.ones(2), mg.ones(2, dtype=mg.float64), "float64"),
        (mg.ones(2), mg.tensor(1.0, dtype=mg.float64), "float32"),
        (mg.ones(2), 2.0, "float32"),
        (mg.ones(2), 2, "float32"),
        (mg.ones(2, dtype=mg.int32), 2, "int32"),
        (mg.ones(2, dtype=mg.int64), 0.5, "float32"),
        (mg.ones(2, dtype=mg.uint8), mg.ones(2, dtype=mg.int8), "int16"),
        (mg.ones(2, dtype=mg.bool), 1, "int64"),
        (mg.tensor(1), mg.ones(2), "float32"),
    ],
)
def test_promotion(a: Any, b: Any, want: str) -> None:
    assert (a * b).dtype.name == want
    assert (b * a).dtype.name == want


def test_scalars_and_integers() -> None:
    n = mg.tensor([1, 2])
    assert (n / n).dtype == mg.float32
    assert (n / 2).tolist() == [0.5, 1.0]
    assert n.exp().dtype == mg.float32
    assert (n > 1).dtype == mg.bool
    assert (1.0 - mg.ones(2, dtype=mg.float64)).dtype == mg.float64
    assert (2**n).dtype == mg.int64


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_sum_of_integers_is_int64(dtype: str) -> None:
    x = mg.ones(3, dtype=getattr(mg, dtype))
    assert x.sum().dtype == mg.int64
    assert x.sum().item() == 3
    with pytest.raises(TypeError, match=f"mean: expected a floating tensor, got {dtype}"):
        x.mean()


@pytest.mark.parametrize("name", ["matmul", "linear"])
def test_products_of_mixed_dtypes_raise(name: str) -> None:
    function = mg.matmul if name == "matmul" else mg.nn.functional.linear
    with pytest.raises(TypeError, match=f"{name}: dtypes float32 and float64 differ"):
        function(mg.ones(2, 2), mg.ones(2, 2, dtype=mg.float64))
    with pytest.raises(TypeError, match=f"{name}: "):
        function(mg.ones(2, 2), mg.ones(2, 2, dtype=mg.int64))


def test_a_product_of_integers_is_of_integers() -> None:
    a, b = mg.tensor([[1, 2], [3, 2**40]]), mg.tensor([[0, 1], [1, 5]])
    assert (a @ b).tolist() == [[2, 11], [2**40, 3 + 5 * 2**40]]
    assert (a @ b).dtype == mg.int64


def test_gradients_have_their_inputs_dtype() -> None:
    x = mg.ones(2, requires_grad=True)
    y = mg.ones(2, dtype=mg.float64, requires_grad=True)
    ((x * y).exp() + x.double()).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.dtype, y.grad.dtype) == (mg.float32, mg.float64)


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_only_floats_require_grad(dtype: str) -> None:
    expected = f"requires_grad: only floating tensors have gradients, got {dtype}"
    with pytest.raises(TypeError, match=expected):
        mg.ones(2, dtype=getattr(mg, dtype), requires_grad=True)
    with pytest.raises(TypeError, match=expected):
        mg.ones(2, dtype=getattr(mg, dtype)).requires_grad_()


def test_comparisons_positions_and_casts_are_not_differentiable() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    for y in (x > 1, x == x, x.argmax(), x.long(), x.bool(), x.isnan(), x.max(0)[1]):
        assert not y.requires_grad
    assert x.double().requires_grad


def test_dtype_vocabulary() -> None:
    assert repr(mg.float32) == "minigrad.float32"
    assert mg.float32 == np.float32
    assert mg.float32 != mg.float64
    assert np.zeros(2, mg.float64).dtype == np.float64  # type: ignore[call-overload]
    assert mg.zeros(1, dtype=np.float64).dtype == mg.float64
    assert mg.zeros(1, dtype="int32").dtype == mg.int32
    assert {mg.float32: 1}[mg.zeros(1).dtype] == 1
    with pytest.raises(TypeError, match="dtype complex128 is not supported; use one of float32"):
        mg.Tensor(np.zeros(2, complex))
    with pytest.raises(TypeError, match="dtype float16 is not supported"):
        mg.zeros(2, dtype="float16")


def test_to_and_device() -> None:
    x = mg.ones(2)
    assert x.to(mg.float32) is x
    assert x.to("cpu") is x
    assert x.to(mg.float64).dtype == mg.float64
    assert x.to("float64").dtype == mg.float64
    assert x.type_as(mg.ones(1, dtype=mg.int64)).dtype == mg.int64
    assert str(x.device) == "cpu"
    with pytest.raises(ValueError, match="device: expected 'cpu', 'cuda', .* got 'tpu'"):
        x.to("tpu")
