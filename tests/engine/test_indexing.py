"""Where NumPy and PyTorch agree, indexing is NumPy's, reading and writing; its gradient is the
scatter of what it read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg

Array = np.ndarray[Any, Any]
SHAPE = (3, 4, 2)


def source() -> Array:
    return np.arange(24.0).reshape(SHAPE)


def as_tensors(index: Any) -> Any:
    """Return an index with its arrays as tensors."""
    parts = index if isinstance(index, tuple) else (index,)
    made = tuple(mg.Tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
    return made if isinstance(index, tuple) else made[0]


def check(index: Any, x: Array) -> None:
    want = x[index]
    for given_index in (index, as_tensors(index)):
        t = mg.Tensor(x.copy(), requires_grad=True)
        y = t[given_index]
        np.testing.assert_array_equal(y.detach().numpy(), want)
        assert y.shape == np.shape(want)
        weight = np.arange(1.0, np.size(want) + 1).reshape(np.shape(want))
        (g,) = mg.grad((y * mg.Tensor(np.asarray(weight))).sum(), t)
        scattered = np.zeros(x.shape)
        np.add.at(scattered, index, weight)
        np.testing.assert_array_equal(g.numpy(), scattered)


basic = hnp.basic_indices(SHAPE, min_dims=0, max_dims=5, allow_newaxis=True, allow_ellipsis=True)


@given(basic)
def test_basic(index: Any) -> None:
    check(index, source())
    x = source()
    assert np.shares_memory(mg.Tensor(x)[index].array, x) or not np.size(x[index])


@given(
    hnp.integer_array_indices(
        SHAPE, result_shape=hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)
    )
)
def test_integer_arrays(index: Any) -> None:
    check(index, source())


@given(hnp.integer_array_indices((5,), result_shape=hnp.array_shapes(min_side=0, max_dims=3)))
def test_rows(index: Any) -> None:
    check(index, np.arange(15.0).reshape(5, 3))


@given(hnp.arrays(bool, SHAPE), st.booleans())
def test_masks(mask: Array, leading: bool) -> None:
    check(mask, source())
    if leading:
        check((mask[:, 0, 0], slice(None, None, -1)), source())


MIXED = [
    (np.array([0, 2]), slice(None), np.array([1, 0])),
    (slice(None), np.array([[0, 3]]), 1),
    (..., np.array([True, False])),
    (np.array([True, False, True]), np.array([1, 2])),
    (slice(None, None, -2), np.array([-1, -4])),
    ([0, 1, 1],),
    [2, 0],
    [True, False, True],
    (True,),
    (False, 1),
    (np.int64(1), np.array(2)),
    (slice(3, 3), np.array([0, 1])),
]


@pytest.mark.parametrize("index", MIXED, ids=repr)
def test_mixed(index: Any) -> None:
    check(index, source())
    check(index, source().transpose(0, 1, 2)[::1])


@given(basic)
def test_writing_through_basic_indices(index: Any) -> None:
    want = source()
    want[index] = -1
    t = mg.Tensor(source())
    t[index] = -1
    np.testing.assert_array_equal(t.numpy(), want)


@pytest.mark.parametrize("index", MIXED, ids=repr)
@pytest.mark.parametrize("contiguous", [True, False])
def test_writing_through_mixed_indices(index: Any, contiguous: bool) -> None:
    x = source() if contiguous else np.asfortranarray(source())
    want = x.copy()
    value = np.arange(np.size(want[index]), dtype=np.float64).reshape(np.shape(want[index])) + 100
    want[index] = value
    t = mg.Tensor(x)
    t[index] = mg.Tensor(np.asarray(value))
    np.testing.assert_array_equal(t.numpy(), want)
    t[index] = mg.tensor(-5.0)
    want[index] = -5
    np.testing.assert_array_equal(t.numpy(), want)


def test_written_values_are_converted() -> None:
    t = mg.zeros(3)
    t[1:] = np.array([1, 2])
    t[0] = mg.tensor(7)
    assert t.tolist() == [7.0, 1.0, 2.0]
    t[t > 1.5] = 0.0
    assert t.tolist() == [0.0, 1.0, 0.0]


def test_repeated_positions_add_their_gradients() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    x[[0, 0, 0, 1]].sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 1.0]


def test_second_derivative_through_indices() -> None:
    x = mg.Tensor(np.linspace(1, 2, 6).reshape(2, 3), requires_grad=True)
    assert mg.gradgradcheck(lambda x: x[:, [0, 0, 2]] ** 3, x)
    assert mg.gradgradcheck(lambda x: x[x > 1.3] ** 3, x)


@pytest.mark.parametrize(
    ("index", "kind", "message"),
    [
        (3, IndexError, "out of bounds"),
        (np.array([0, 3]), IndexError, "index 3 is out of range for 3 rows"),
        (np.array([-4]), IndexError, "index -4 is out of range for 3 rows"),
        ((slice(None), np.array([4])), IndexError, "out of bounds"),
        ((0, 0, 0, 0), IndexError, "too many indices"),
        (np.array([True, False]), IndexError, "boolean index did not match"),
        (mg.tensor([0.0]), TypeError, "index: expected integers or a bool mask, got a tensor of f"),
    ],
    ids=repr,
)
def test_bad_indices(index: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        mg.Tensor(source())[index]


def test_gather_and_index_select_errors() -> None:
    x = mg.Tensor(source())
    with pytest.raises(ValueError, match="gather: index has 1 dimensions, input has 3"):
        x.gather(0, mg.tensor([0]))
    with pytest.raises(IndexError, match="index_select: dim 3 is out of range for 3 dimensions"):
        x.index_select(3, mg.tensor([0]))
