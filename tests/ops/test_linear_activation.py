from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.ops.linalg import ACTIVATIONS


def operands(
    rng: np.random.Generator, *shape: int, n_out: int = 7, dtype: type = np.float32
) -> list[mg.Tensor]:
    sizes = (shape, (n_out, shape[-1]), (n_out,))
    return [mg.tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in sizes]


def gradients(y: mg.Tensor, inputs: list[mg.Tensor], rng: np.random.Generator) -> list[mg.Tensor]:
    g = mg.tensor(rng.standard_normal(y.shape).astype(y.array.dtype))
    return list(mg.grad(y, inputs, g))


@pytest.mark.parametrize("shape", [(5, 3), (300, 200), (2, 4, 3), (3,), (0, 3)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_is_linear_and_the_activation(
    activation: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    inputs = operands(rng, *shape, dtype=np.float64)
    y = F.linear_activation(*inputs, activation=activation)
    want = getattr(F, activation)(F.linear(*inputs))
    np.testing.assert_allclose(y.array, want.array, rtol=1e-13, atol=1e-14)
    seed = rng.integers(2**32)
    ours = gradients(y, inputs, np.random.default_rng(seed))
    theirs = gradients(want, inputs, np.random.default_rng(seed))
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got.array, expected.array, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 3), (300, 200)])
def test_relu_has_the_bits_of_two_ops(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    inputs = operands(rng, *shape, n_out=90)
    y = F.linear_activation(*inputs)
    want = F.relu(F.linear(*inputs))
    np.testing.assert_array_equal(y.array, want.array)
    seed = rng.integers(2**32)
    ours = gradients(y, inputs, np.random.default_rng(seed))
    theirs = gradients(want, inputs, np.random.default_rng(seed))
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(got.array, expected.array)


def test_no_bias_is_a_bias_of_zeros(rng: np.random.Generator) -> None:
    x, weight, _ = operands(rng, 4, 3)
    got = F.linear_activation(x, weight, activation="tanh")
    np.testing.assert_array_equal(
        got.array, F.linear_activation(x, weight, mg.zeros(7), "tanh").array
    )


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_same_without_a_tape(activation: str, rng: np.random.Generator) -> None:
    inputs = operands(rng, 4, 3)
    with_tape = F.linear_activation(*inputs, activation=activation)
    with mg.no_grad():
        without = F.linear_activation(*inputs, activation=activation)
    assert not without.requires_grad
    np.testing.assert_array_equal(with_tape.array, without.array)


def test_bits_of_the_bias_gradient_come_from_the_weights_way(rng: np.random.Generator) -> None:
    x, weight, bias = operands(rng, 300, 20)
    g = rng.standard_normal((300, 7)).astype(np.float32)
    both = mg.grad(F.linear(x, weight, bias), [weight, bias], mg.tensor(g))
    alone = mg.grad(F.linear(x, weight, bias), [bias], mg.tensor(g))
    exact = g.astype(np.float64).sum(0)
    for db in (both[1], alone[0]):
        np.testing.assert_allclose(db.array, exact, rtol=0, atol=300 * 1.2e-7)


def test_an_output_written_to_raises(rng: np.random.Generator) -> None:
    inputs = operands(rng, 4, 3)
    y = F.linear_activation(*inputs)
    y += 1.0
    with pytest.raises(RuntimeError, match=r"LinearActivation .*needs its output, shape \(4, 7\)"):
        y.sum().backward()


def test_errors_name_the_function_and_the_shapes() -> None:
    x, weight = mg.ones(2, 3), mg.ones(4, 3)
    with pytest.raises(
        ValueError,
        match="expected an activation of relu, tanh, sigmoid, gelu, silu, softplus, got 'swish'; "
        "apply another to the result of linear",
    ):
        F.linear_activation(x, weight, activation="swish")
    with pytest.raises(
        ValueError, match=r"linear_activation: input \(2, 3\) does not fit weight \(4, 2\)"
    ):
        F.linear_activation(x, mg.ones(4, 2))
    with pytest.raises(
        ValueError, match=r"linear_activation: bias \(3,\) does not fit weight \(4, 3\): .*\(4,\)"
    ):
        F.linear_activation(x, weight, mg.ones(3))
