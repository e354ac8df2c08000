"""What a tensor cannot mean, wherever values come in: masks, other objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.data import DataLoader, TensorDataset

MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
WHOLE = np.ma.array([1.0, 2.0, 3.0])


def assigned(values: Any) -> mg.Tensor:
    x = mg.zeros(3, dtype=mg.float64)
    x[:] = values
    return x


ENTRIES: dict[str, Callable[[Any], Any]] = {
    "tensor": mg.tensor,
    "tensor in a dtype": lambda a: mg.tensor(a, dtype=mg.float64),
    "tensor of a list": lambda a: mg.tensor([a])[0],
    "as_tensor": mg.as_tensor,
    "from_numpy": mg.from_numpy,
    "Tensor": mg.Tensor,
    "Parameter": lambda a: mg.nn.Parameter(mg.Tensor(a)).detach(),
    "right operand": lambda a: mg.zeros(3) + a,
    "left operand": lambda a: a + mg.zeros(3),
    "compared": lambda a: mg.where(mg.zeros(3) < a, a, 0.0),
    "function": lambda a: mg.add(mg.zeros(3), a),
    "assignment": assigned,
    "copy_": lambda a: mg.zeros(3, dtype=mg.float64).copy_(mg.tensor(a)),
    "in place": lambda a: mg.zeros(3, dtype=mg.float64).add_(a),
    "dataset": lambda a: TensorDataset(a).tensors[0],
    "batches": lambda a: next(iter(DataLoader(TensorDataset(a), batch_size=3)))[0],
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_masked_elements_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"1 of 3 elements .* masked.*filled\(value\)"):
        ENTRIES[entry](MASKED)


@pytest.mark.parametrize("entry", ENTRIES)
def test_arrays_without_a_masked_element_are_arrays(entry: str) -> None:
    found = ENTRIES[entry](WHOLE)
    assert found.tolist() == [1.0, 2.0, 3.0]
    assert type(found.array) is np.ndarray
    assert type((found * 1).array) is np.ndarray


def test_the_masked_constant_is_refused() -> None:
    with pytest.raises(ValueError, match="masked"):
        mg.tensor([np.ma.masked, 1.0])


# ---------------------------------------------------------------- what is no tensor
X = np.ones((4, 3), np.float32)
TAKES_TENSORS: dict[str, Callable[[], Any]] = {
    "unary": lambda: mg.exp(X),
    "reduction": lambda: mg.sum(X),
    "activation": lambda: F.relu(X),
    "Linear": lambda: mg.nn.Linear(3, 2)(X),
    "Dropout": lambda: mg.nn.Dropout()(X),
    "Sequential": lambda: mg.nn.Sequential(mg.nn.Linear(3, 2), mg.nn.ReLU())(X),
}


@pytest.mark.parametrize("call", TAKES_TENSORS)
def test_an_array_in_place_of_a_tensor_is_named(call: str) -> None:
    with pytest.raises(TypeError, match=r"(?s)expected a tensor .*numpy.ndarray.*minigrad.tensor"):
        TAKES_TENSORS[call]()


@pytest.mark.parametrize(
    "value", ["a", None, [1], object()], ids=("text", "None", "list", "object")
)
def test_in_takes_numbers_and_tensors(value: Any) -> None:
    with pytest.raises(TypeError, match="in: expected a number or a tensor"):
        _ = value in mg.tensor([1, 2])


# ---------------------------------------------------------------- counting and cutting
@pytest.mark.parametrize("steps", [(0, 5, -1), (5, 0), (1.0, 0.0, 0.5)])
def test_arange_refuses_a_step_that_leads_away(steps: Any) -> None:
    with pytest.raises(ValueError, match="does not lead from"):
        mg.arange(*steps)
    assert mg.arange(2, 2, -1).shape == (0,)


def test_arange_refuses_a_step_that_its_dtype_does_not_hold() -> None:
    with pytest.raises(ValueError, match=r"step 0\.3 is 0 in int64"):
        mg.arange(0, 2, 0.3, dtype=mg.int64)
    assert mg.arange(0, 5, 2.0, dtype=mg.int64).tolist() == [0, 2, 4]


def test_split_refuses_negative_pieces_and_cuts_nothing_into_one() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        mg.ones(2, 3).split([-1, 4], 1)
    assert [p.shape for p in mg.ones(2, 0).split(0, 1)] == [(2, 0)]


# ---------------------------------------------------------------- drawing
@pytest.mark.parametrize("dtype", [mg.int64, mg.uint8, mg.bool], ids=str)
@pytest.mark.parametrize("draw", ["rand", "randn", "rand_like", "randn_like"])
def test_continuous_numbers_are_not_cut_to_integers(draw: str, dtype: Any) -> None:
    f = getattr(mg, draw)
    with pytest.raises(TypeError, match="expected a floating dtype"):
        f(mg.ones(2, dtype=dtype)) if "like" in draw else f(2, dtype=dtype)


@pytest.mark.parametrize("draw", ["uniform_", "normal_", "trunc_normal_", "orthogonal_"])
def test_init_draws_into_floats_only(draw: str) -> None:
    with pytest.raises(TypeError, match="random numbers of int64: expected a floating dtype"):
        getattr(mg.nn.init, draw)(mg.ones(2, 2, dtype=mg.int64))


def test_numpys_attributes_of_memory() -> None:
    x = mg.Tensor(np.arange(6.0).reshape(2, 3).T)
    assert x.flags.f_contiguous and not x.data.flags.c_contiguous  # type: ignore[attr-defined]
    assert x.strides == (8, 24)  # type: ignore[attr-defined]
    assert x.astype(np.float32).dtype == mg.float32
