"""What is written may share memory with what is read: the result is as if that were copied first.

Every way to write, for views that overlap in every manner, below and above each size at which a
kernel changes its way; NumPy with a copy first is the oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.overwrite import overlap, repeats, turns

SIDES = (5, 127, 129, 141, 142, 182, 257)  # squares about 16,384, 20,000, 32,768 and 65,536
DTYPES = (np.float32, np.float64, np.int64, np.int8)
Index = Any

# Of an array of (n, n): what is written, and what is read, of one shape.
PAIRS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "down": (lambda x: x[1:], lambda x: x[:-1]),
    "up": (lambda x: x[:-1], lambda x: x[1:]),
    "right": (lambda x: x[:, 1:], lambda x: x[:, :-1]),
    "left": (lambda x: x[:, :-1], lambda x: x[:, 1:]),
    "diagonal": (lambda x: x[1:, 1:], lambda x: x[:-1, :-1]),
    "transposed": (lambda x: x, lambda x: x.T),
    "onto transposed": (lambda x: x.T, lambda x: x),
    "part transposed": (lambda x: x[:-1, 1:], lambda x: x.T[1:, :-1]),
    "every second": (lambda x: x[::2][: len(x) // 2], lambda x: x[1::2]),
    "doubled": (lambda x: x[: len(x) // 2], lambda x: x[::2][: len(x) // 2]),
    "one line": (lambda x: x.reshape(-1)[1:], lambda x: x.reshape(-1)[:-1]),
    "one line by two": (lambda x: x.reshape(-1)[2:], lambda x: x.reshape(-1)[:-2]),
    "itself": (lambda x: x[1:], lambda x: x[1:]),
}


def flip(x: Any, axis: int) -> Any:
    return np.flip(x, axis) if isinstance(x, np.ndarray) else x.flip(axis)


def repeated(x: Any, row: Any) -> Any:
    return np.broadcast_to(row, x.shape) if isinstance(x, np.ndarray) else row.expand(*x.shape)


PAIRS |= {
    "flipped": (lambda x: x, lambda x: flip(x, 0)),
    "mirrored": (lambda x: x, lambda x: flip(x, 1)),
    "flipped down": (lambda x: x[1:], lambda x: flip(x, 0)[1:]),
    "first row": (lambda x: x, lambda x: repeated(x, x[:1])),
    "last column": (lambda x: x, lambda x: repeated(x, x[:, -1:])),
    "one element": (lambda x: x, lambda x: repeated(x, x[2:3, 2:3])),
}


def numbers(side: int, dtype: Any) -> Any:
    """Return numbers that differ, small enough for sums, products and int8."""
    return (np.arange(side * side).reshape(side, side) * 7 % 113 + 1).astype(dtype)


def put(target: Any, value: Any) -> None:
    target[...] = value


def assign(target: mg.Tensor, source: mg.Tensor) -> None:
    target[...] = source


WRITES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any], bool]] = {
    # the write, the values it leaves, and whether integers can be written so
    "setitem": (assign, lambda t, s: s, True),
    "copy_": (lambda t, s: t.copy_(s), lambda t, s: s, True),
    "add_": (lambda t, s: t.add_(s), np.add, True),
    "sub_": (lambda t, s: t.sub_(s), np.subtract, True),
    "mul_": (lambda t, s: t.mul_(s), np.multiply, True),
    "div_": (lambda t, s: t.div_(s), np.divide, False),
    "+=": (lambda t, s: t.__iadd__(s), np.add, True),
    "mask": (
        lambda t, s: t.__setitem__(t >= 0, s.reshape(-1)),
        lambda t, s: s,
        True,
    ),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("pair", PAIRS)
def test_writes(pair: str, write: str) -> None:
    of_target, of_source = PAIRS[pair]
    function, values, integers = WRITES[write]
    for side in SIDES:
        for dtype in DTYPES if side in (5, 142) else DTYPES[:1]:
            if np.dtype(dtype).kind != "f" and not integers:
                continue
            expected = numbers(side, dtype)
            held = expected.copy()
            want = values(of_target(held), of_source(held)).astype(dtype)
            put(of_target(expected), want)
            x = mg.Tensor(numbers(side, dtype))
            with np.errstate(all="ignore"):
                function(of_target(x), of_source(x))
            wrong = int((x.array != expected).sum())
            assert not wrong, f"{side}x{side} {np.dtype(dtype)}: {wrong} elements are wrong"


ROWS = [(start, step) for start in range(4) for step in (1, 2, 3)]


@pytest.mark.parametrize("turned", [False, True], ids=["ahead", "turned"])
@pytest.mark.parametrize("count", [5, 6_667, 20_001])
def test_rows_of_different_steps(count: int, turned: bool) -> None:
    """NumPy's own `x[::2] = x[:5]` is wrong, so the right values are made from a copy."""
    for start, step in ROWS:
        for at, by in ROWS:
            target = slice(start, start + step * count, step)
            source = slice(at, at + by * count, by)
            x = mg.arange(4 + 3 * count)
            expected = x.array.copy()
            expected[target] = expected[source][:: -1 if turned else 1].copy()
            x[target] = x[source].flip(0) if turned else x[source]
            assert np.array_equal(x.array, expected), f"x[{target}] = x[{source}]"
        if count > 5_000 and start:
            break  # one start each way: the sizes are for the kernels


def test_expanded_targets_are_not_needed() -> None:
    assert PAIRS["first row"][1](mg.zeros(3, 3)).shape == (3, 3)


@pytest.mark.parametrize("side", SIDES)
def test_writes_by_index_arrays(side: int, rng: np.random.Generator) -> None:
    n = side * side
    for order in (rng.permutation(n), np.roll(np.arange(n), 1), rng.integers(0, n, n)):
        for source in (lambda x: x, lambda x: flip(x, 0)):
            expected = np.arange(n, dtype=np.float32)
            expected[order] = source(expected.copy())
            x = mg.arange(float(n))
            x[mg.tensor(order)] = source(x)
            np.testing.assert_array_equal(x.array, expected)
    positions = rng.permutation(n)  # an index that is written by itself
    expected = positions.copy()
    expected[positions] = positions
    x = mg.tensor(positions)
    x[x] = x
    np.testing.assert_array_equal(x.array, expected)


@pytest.mark.parametrize("side", SIDES)
def test_limits_from_the_tensor_itself(side: int) -> None:
    expected = numbers(side, np.float32)
    x = mg.tensor(expected)
    limited = mg.clamp(x, x.T, x.flip(0))
    expected = np.minimum(np.maximum(expected, expected.T), expected[::-1])
    np.testing.assert_array_equal(limited.array, expected)
    x.copy_(mg.where(x > 50, x.T, x.flip(1)))
    held = numbers(side, np.float32)
    np.testing.assert_array_equal(x.array, np.where(held > 50, held.T, held[:, ::-1]))


@pytest.mark.parametrize("side", (5, 142))
@pytest.mark.parametrize("pair", PAIRS)
def test_recorded_writes(pair: str, side: int) -> None:
    of_target, of_source = PAIRS[pair]
    expected = numbers(side, np.float64)
    put(of_target(expected), of_source(expected.copy()))
    x = mg.tensor(numbers(side, np.float64), requires_grad=True)
    y = x * 1
    of_target(y)[...] = of_source(y)
    np.testing.assert_array_equal(y.array, expected)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.sum().item() == expected.size


@pytest.mark.parametrize("side", (5, 142))
def test_gradients_are_added_as_if_copied_first(side: int) -> None:
    n = side * side
    held = np.arange(n + 1, dtype=np.float32)
    w = mg.zeros(n, requires_grad=True)
    memory = mg.tensor(held)
    w.grad = memory[1:]
    w.view(n).backward(memory[:-1])
    np.testing.assert_array_equal(memory.array[1:], held[1:] + held[:-1])


@pytest.mark.parametrize("side", (5, 142))
def test_a_state_of_the_models_own_memory(side: int) -> None:
    model = mg.nn.Sequential(mg.nn.Linear(side, side, bias=False), mg.nn.Linear(side, side, False))
    first, second = (p.array.copy() for p in model.parameters())
    names = list(model.state_dict())
    held = model.state_dict()
    model.load_state_dict({names[0]: held[names[1]], names[1]: held[names[0]]})
    np.testing.assert_array_equal(model[0].weight.array, second)
    np.testing.assert_array_equal(model[1].weight.array, first)
    model.load_state_dict({names[0]: model[0].weight.T, names[1]: model[1].weight.flip(0)})
    np.testing.assert_array_equal(model[0].weight.array, second.T)
    np.testing.assert_array_equal(model[1].weight.array, first[::-1])


# ---------------------------------------------------------------- optimizers
STEPS: dict[str, Callable[[Any], Any]] = {
    **{
        name: partial(kind, lr=0.1, **({} if name == "Rprop" else {"weight_decay": 0.1}))
        for name, kind in mg.optim.OPTIMIZERS.items()
    },
    "momentum": partial(mg.optim.SGD, lr=0.1, momentum=0.9),
}


@pytest.mark.parametrize("n", (7, 20_001))
@pytest.mark.parametrize("name", STEPS)
def test_a_gradient_in_the_parameters_memory(name: str, n: int) -> None:
    """It is read as it was before the step, whichever parameter it belongs to."""
    start = np.linspace(-1, 1, 2 * n + 1).astype(np.float32)
    memory = start.copy()
    views = {
        "itself": (memory[:n], memory[n : 2 * n]),
        "shifted": (memory[1 : n + 1], memory[n + 1 :]),
        "crossed": (memory[n : 2 * n], memory[:n]),
    }
    for grads in views.values():
        memory[...] = start
        params = [mg.Tensor(memory[:n]), mg.Tensor(memory[n : 2 * n])]
        apart = [mg.tensor(p) for p in params]
        for p, q, g in zip(params, apart, grads, strict=True):
            p.requires_grad_().grad, q.requires_grad_().grad = mg.Tensor(g), mg.tensor(g)
        mine, other = STEPS[name](params), STEPS[name](apart)
        mine.step()
        other.step()
        for p, q in zip(params, apart, strict=True):
            np.testing.assert_array_equal(p.array, q.array)


@pytest.mark.parametrize("n", (7, 20_001))
@pytest.mark.parametrize("name", STEPS)
def test_parameters_that_share_memory_are_stepped_in_order(name: str, n: int) -> None:
    memory = np.linspace(-1, 1, 2 * n).astype(np.float32)
    expected = memory.copy()
    cuts = [slice(0, n), slice(n // 2, 2 * n), slice(0, 2 * n, 2)]
    params = [mg.Tensor(memory[cut]).requires_grad_() for cut in cuts]
    for p in params:
        p.grad = mg.full(p.shape, 0.5)
    optimizer = STEPS[name](params)
    optimizer.step()
    for cut in cuts:
        single = mg.tensor(expected[cut], requires_grad=True)
        single.grad = mg.full(single.shape, 0.5)
        STEPS[name]([single]).step()
        expected[cut] = single.array
    np.testing.assert_array_equal(memory, expected)


def test_clipping_of_gradients_that_share_memory() -> None:
    n = 20_001
    memory = np.full(2 * n, 2.0, np.float32)
    a, b = (mg.zeros(n, requires_grad=True) for _ in range(2))
    a.grad, b.grad = mg.Tensor(memory[:n]), mg.Tensor(memory[1 : n + 1])
    norm = mg.optim.clip_grad_norm_([a, b], 1.0).item()
    assert norm == pytest.approx(2 * (2 * n) ** 0.5)
    scale = 1 / (norm + 1e-6)
    assert memory[0] == pytest.approx(2 * scale)
    np.testing.assert_allclose(memory[1:n], 2 * scale * scale, rtol=1e-5)


# ---------------------------------------------------------------- what tells that memory is shared
def test_overlap_is_exact(rng: np.random.Generator) -> None:
    base = np.zeros(64)
    found = set()
    for _ in range(400):
        a, b = (
            base[start : start + span : step]
            for start, span, step in zip(
                *rng.integers((0, 1, 1), (40, 24, 5), (2, 3)).T, strict=True
            )
        )
        base[...] = 0
        a += 1
        b += 1
        assert overlap(a, b) == bool((base > 1).any())
        found.add(overlap(a, b))
    assert found == {True, False}


@pytest.mark.parametrize(
    ("shape", "strides", "expected"),
    [
        ((3, 4), (32, 8), False),
        ((4, 3), (8, 32), False),
        ((3,), (0,), True),
        ((1,), (0,), False),
        ((3, 3), (8, 8), True),
        ((3, 2), (-16, 8), False),
        ((2, 3), (24, 16), False),  # 0 16 32 24 40 56
        ((3, 3), (16, 24), False),
        ((3, 4), (24, 16), True),
        ((0, 3), (0, 0), False),
    ],
)
def test_repeats(shape: tuple[int, ...], strides: tuple[int, ...], expected: bool) -> None:
    memory = np.zeros(64)
    view = np.lib.stride_tricks.as_strided(memory[32:], shape, strides)
    where = {
        32 + sum(i * s // 8 for i, s in zip(index, strides, strict=True))
        for index in np.ndindex(*shape)
    }
    assert (len(where) < view.size) == expected  # the case itself is right
    assert repeats(view) == expected


def test_turns_rise_among_what_overlaps() -> None:
    x = np.zeros((4, 4))
    assert turns([x[0], x[1], x[:, 0], x[:, 1], x[3:], x]) == [0, 0, 1, 1, 2, 3]
    assert turns([x[::2], x[1::2]]) == [0, 0]
