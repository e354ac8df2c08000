"""Every function of minigrad.tensors.functions against NumPy in float64, with gradient checks of
both orders.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad.ops.registry import PUBLIC
from minigrad.tensors import functions
from tests.ops.function_samples import COMPOSED, FUNCTION_SAMPLES

Array = np.ndarray[Any, Any]
CASES = [
    pytest.param(name, *call, id=f"{name}-{k}")
    for name, calls in FUNCTION_SAMPLES.items()
    for k, call in enumerate(calls)
]
ARGUMENTS = ("name", "args", "options", "reference")
cases = pytest.mark.parametrize(ARGUMENTS, CASES)


def leaf(x: Any) -> Any:
    """Return an array as a tensor of the same layout, a list as a list of those."""
    if isinstance(x, list):
        return [leaf(y) for y in x]
    if not isinstance(x, np.ndarray):
        return x
    return mg.Tensor(x, requires_grad=x.dtype.kind == "f")


def flat(args: tuple[Any, ...]) -> list[Any]:
    return [y for x in args for y in (x if isinstance(x, list) else [x])]


def taking_flat(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Callable[..., Any]:
    """Return the function of all arguments, those inside a list included, one by one."""

    def call(*xs: Any) -> Any:
        left = list(xs)
        rebuilt = [[left.pop(0) for _ in x] if isinstance(x, list) else left.pop(0) for x in args]
        return getattr(mg, name)(*rebuilt, **options)

    return call


def test_every_function_has_samples() -> None:
    compositions = {name for entry in PUBLIC for name in entry.names}  # held to PyTorch's
    missing = sorted(set(functions.__all__) - set(FUNCTION_SAMPLES) - compositions - COMPOSED)
    assert missing == [], f"no samples for {missing}: add them to tests/ops/function_samples.py"
    assert sorted(set(FUNCTION_SAMPLES) - set(functions.__all__)) == []


@cases
def test_forward(name: str, args: Any, options: dict[str, Any], reference: Any) -> None:
    got = getattr(mg, name)(*[leaf(x) for x in args], **options)
    want = reference(*args)
    got, want = (x if isinstance(x, tuple) else (x,) for x in (got, want))
    assert len(got) == len(want)
    for y, z in zip(got, want, strict=True):
        z = np.asarray(z)
        assert (y.shape, y.dtype) == (z.shape, z.dtype)
        np.testing.assert_allclose(y.detach().numpy(), z, rtol=1e-12, atol=1e-14)


def of_floats(args: tuple[Any, ...]) -> bool:
    return any(isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in flat(args))


@pytest.mark.parametrize(ARGUMENTS, [case for case in CASES if of_floats(case.values[1])])
def test_gradients(name: str, args: Any, options: dict[str, Any], reference: Any) -> None:
    inputs = [leaf(x) for x in flat(args)]
    fn = taking_flat(name, args, options)
    if name == "clamp" and len(inputs) == 3:  # where both bounds meet PyTorch has slope 1, and we
        whole, fn = fn, lambda x, low, high: whole(x, low, low + 0.1 + high * high)
    assert mg.gradcheck(fn, inputs)
    assert mg.gradgradcheck(fn, inputs)


# ---------------------------------------------------------------- any shape, by hypothesis
numbers = st.floats(-3, 3, allow_subnormal=False).map(lambda x: round(x, 3))


@st.composite
def broadcast(draw: Any) -> tuple[Array, Array]:
    shapes = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0)
    )
    found = (draw(hnp.arrays(np.float64, s, elements=numbers)) for s in shapes.input_shapes)
    return tuple(np.asarray(x) for x in found)  # type: ignore[return-value]


@given(broadcast(), st.sampled_from(["add", "sub", "mul", "maximum", "minimum"]))
def test_binary_shapes(operands: tuple[Array, Array], name: str) -> None:
    a, b = (mg.Tensor(x, requires_grad=True) for x in operands)
    numpy = {"sub": "subtract", "mul": "multiply"}.get(name, name)
    y = getattr(mg, name)(a, b)
    np.testing.assert_array_equal(y.detach().numpy(), getattr(np, numpy)(*operands))
    da, db = mg.grad(y.sum(), (a, b))
    assert (da.shape, db.shape) == (a.shape, b.shape)
    if name == "mul":
        ones = np.ones(y.shape)
        for g, other, x in ((da, operands[1], a), (db, operands[0], b)):
            want = summed(ones * other, x.shape)
            np.testing.assert_allclose(g.numpy(), want, atol=1e-12)


def summed(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum down to a broadcast operand's shape, element by element: slow, and right by
    construction.
    """
    out = np.zeros(shape)
    for index in np.ndindex(g.shape):
        tail = index[len(index) - len(shape) :]
        out[tuple(0 if n == 1 else i for i, n in zip(tail, shape, strict=True))] += g[index]
    return out


@st.composite
def reducible(draw: Any) -> tuple[Array, Any, bool]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=3))
    x = np.asarray(draw(hnp.arrays(np.float64, shape, elements=numbers)))
    order = draw(st.permutations(range(x.ndim)))
    axes = (
        draw(st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda d: d % x.ndim))
        if x.ndim
        else []
    )
    return x.transpose(order), tuple(axes) or None, draw(st.booleans())


@given(reducible(), st.sampled_from(["sum", "mean", "amax", "amin", "var"]))
def test_reduction_shapes(case: tuple[Array, Any, bool], name: str) -> None:
    x, dim, keepdim = case
    t = mg.Tensor(x, requires_grad=True)
    options = {"correction": 0} if name == "var" else {}
    y = getattr(mg, name)(t, dim=dim, keepdim=keepdim, **options)
    want = getattr(np, name)(x, axis=dim, keepdims=keepdim)
    assert y.shape == np.shape(want)
    np.testing.assert_allclose(y.detach().numpy(), want, rtol=1e-12, atol=1e-12)
    (g,) = mg.grad(y.sum(), t)
    assert g.shape == x.shape
    if name in ("sum", "mean"):
        np.testing.assert_allclose(g.numpy().sum(), y.numel() if name == "mean" else x.size)


@given(st.data())
def test_shape_ops_keep_every_element(data: Any) -> None:
    x = np.arange(12.0).reshape(data.draw(st.permutations((1, 2, 3, 2))))
    t = mg.Tensor(x, requires_grad=True)
    y, want = t, x
    for _ in range(data.draw(st.integers(1, 4))):
        order = data.draw(st.permutations(range(want.ndim)))
        y, want = y.permute(*order), want.transpose(order)
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, want.ndim - 1))
            y, want = y.flip(at), np.flip(want, at)
        if data.draw(st.booleans()):
            sizes = data.draw(st.sampled_from([(12,), (3, -1), (2, 6, 1), (2, 1, 3, 2)]))
            y, want = y.reshape(sizes), want.reshape(sizes)
    np.testing.assert_array_equal(y.detach().numpy(), want)
    weight = np.arange(12.0).reshape(want.shape)
    (g,) = mg.grad((y * mg.Tensor(weight)).sum(), t)
    back = np.empty(12)
    back[want.reshape(-1).astype(int)] = weight.reshape(-1)
    np.testing.assert_array_equal(g.numpy().reshape(-1), back)
