"""Every op of the registry: gradients of first and second order, composites, float32, layouts.

An op without samples fails, so a new one is checked as soon as it is registered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.checking.command import leaves as tensors
from minigrad.checking.samples import OP_SAMPLES
from minigrad.engine.op import Op
from minigrad.ops.registry import OPS

Array = np.ndarray[Any, Any]
CASES = [
    pytest.param(OPS[name], arrays, meta, id=f"{name}-{k}")
    for name, samples in OP_SAMPLES.items()
    if name in OPS
    for k, (arrays, meta) in enumerate(samples)
]
FUSED = [case for case in CASES if case.values[0].composite is not None]
cases = pytest.mark.parametrize(("op", "arrays", "meta"), CASES)


def outputs(op: type[Op], inputs: list[mg.Tensor], meta: dict[str, Any]) -> tuple[mg.Tensor, ...]:
    """Return what has a gradient: places of maxima have none."""
    found = op.apply(*inputs, **meta)
    several = found if isinstance(found, tuple) else (found,)
    return tuple(y for y in several if y.is_floating_point())


def weighted(found: tuple[mg.Tensor, ...]) -> list[mg.Tensor]:
    rng = np.random.default_rng(2)
    return [mg.Tensor(np.asarray(rng.normal(size=y.shape)).astype(y.array.dtype)) for y in found]


def test_every_op_has_samples() -> None:
    missing = sorted(set(OPS) - set(OP_SAMPLES))
    assert missing == [], (
        f"no samples for the ops {missing}: add them to minigrad/checking/samples.py"
    )
    assert sorted(set(OP_SAMPLES) - set(OPS)) == [], "samples for ops that do not exist"


def test_every_op_has_a_docstring_of_its_own() -> None:
    assert [name for name, op in OPS.items() if "__doc__" not in vars(op) or not op.__doc__] == []


@cases
def test_gradients(op: type[Op], arrays: tuple[Array, ...], meta: dict[str, Any]) -> None:
    assert mg.gradcheck(lambda *xs: op.apply(*xs, **meta), tensors(arrays))


@cases
def test_second_derivatives(op: type[Op], arrays: tuple[Array, ...], meta: dict[str, Any]) -> None:
    assert mg.gradgradcheck(lambda *xs: op.apply(*xs, **meta), tensors(arrays))


@cases
def test_float32_stays_near_float64(
    op: type[Op], arrays: tuple[Array, ...], meta: dict[str, Any]
) -> None:
    wide, narrow = tensors(arrays), tensors(arrays, np.float32)
    first, second = outputs(op, wide, meta), outputs(op, narrow, meta)
    for y, z in zip(first, second, strict=True):
        assert z.dtype == meta.get("dtype", mg.float32)
        np.testing.assert_allclose(z.detach().numpy(), y.detach().numpy(), rtol=2e-5, atol=2e-5)
    moving = [i for i, x in enumerate(wide) if x.requires_grad]
    grads = [
        mg.grad(found, [inputs[i] for i in moving], weighted(found))
        for found, inputs in ((first, wide), (second, narrow))
    ]
    for i, g, h in zip(moving, *grads, strict=True):
        assert (h.dtype, h.shape) == (mg.float32, narrow[i].shape)
        np.testing.assert_allclose(h.numpy(), g.numpy(), rtol=1e-3, atol=2e-4)


@cases
def test_layout_and_inputs_do_not_matter(
    op: type[Op], arrays: tuple[Array, ...], meta: dict[str, Any]
) -> None:
    """C-ordered copies give the same numbers, and neither sweep writes to an input."""
    strided, plain = tensors(arrays), tensors(tuple(a.copy(order="C") for a in arrays))
    before = [x.array.copy() for x in strided]
    results = []
    for inputs in (strided, plain):
        found = outputs(op, inputs, meta)
        moving = [x for x in inputs if x.requires_grad]
        grads = mg.grad(found, moving, weighted(found))
        results.append([t.detach().numpy().copy() for t in (*found, *grads)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)
    for x, value in zip(strided, before, strict=True):
        np.testing.assert_array_equal(x.array, value)


@pytest.mark.parametrize(("op", "arrays", "meta"), FUSED)
def test_composite_equals_the_fused_op(
    op: type[Op], arrays: tuple[Array, ...], meta: dict[str, Any]
) -> None:
    inputs = tensors(arrays)
    want = op.composite(*inputs, **meta)
    got = op.apply(*inputs, **meta)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-12, atol=1e-13)


def test_fused_ops_are_found() -> None:
    names = {case.values[0].__name__ for case in FUSED}
    assert {"Linear", "BatchNorm", "LayerNorm", "Softmax", "CrossEntropy", "Gelu"} <= names


@pytest.mark.parametrize(
    ("name", "shape"),
    [(n, (2, 3)) for n in ("Add", "Sub", "Mul", "Div", "Pow")] + [("MatMul", (3, 3))],
)
def test_the_same_tensor_in_two_slots(name: str, shape: tuple[int, ...]) -> None:
    x = mg.Tensor(np.random.default_rng(3).uniform(0.5, 1.5, shape), requires_grad=True)
    op = OPS[name]
    assert mg.gradcheck(lambda x: op.apply(x, x), x)
    assert mg.gradgradcheck(lambda x: op.apply(x, x), x)


def test_the_same_tensor_in_slots_of_fused_ops() -> None:
    rng = np.random.default_rng(3)
    x = mg.Tensor(rng.normal(size=(3, 3)), requires_grad=True)
    v = mg.Tensor(rng.normal(size=3), requires_grad=True)
    for fn, given in (
        (lambda x: OPS["Linear"].apply(x, x, x[0]), x),
        (lambda x: OPS["Cat"].apply(x, x, axis=0), x),
        (lambda v: OPS["LayerNorm"].apply(v, v, v, dims=1, eps=1e-5), v),
        (lambda x: OPS["BatchNorm"].apply(x, x[0], x[0], eps=1e-5), x),
        (lambda v: OPS["Where"].apply(mg.tensor([True, False, True]), v, v), v),
    ):
        assert mg.gradcheck(fn, given)
        assert mg.gradgradcheck(fn, given)
