"""In and out of minigrad: NumPy, DLPack, Python numbers, printing, copies, pickles, iteration."""

from __future__ import annotations

import array
import collections
import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import minigrad as mg


def test_numpy_shares_memory_both_ways() -> None:
    a = np.arange(3.0)
    t = mg.from_numpy(a)
    assert t.array is a
    assert t.numpy() is a
    a[0] = 5
    assert t[0].item() == 5
    assert np.asarray(t) is a
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(t), a)
    with pytest.raises(ValueError, match="an array of float32 from float64 needs a copy"):
        t.__array__(np.float32, copy=False)
    with pytest.raises(TypeError, match=r"from_numpy: expected a NumPy array, got list; use"):
        mg.from_numpy([1.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Tensor: expected a NumPy array, got list"):
        mg.Tensor([1.0])


def test_tensor_copies_and_as_tensor_does_not() -> None:
    a = np.arange(3.0)
    assert not np.shares_memory(mg.tensor(a).array, a)
    assert np.shares_memory(mg.as_tensor(a).array, a)
    t = mg.ones(1)
    assert mg.as_tensor(t) is t
    assert mg.as_tensor([1, 2]).dtype == mg.int64


def test_numpy_refuses_a_tensor_that_requires_grad() -> None:
    t = mg.ones(2, requires_grad=True)
    for read in (t.numpy, lambda: np.asarray(t), lambda: t.__dlpack__()):
        with pytest.raises(RuntimeError, match=r"requires grad, an array cannot; use .detach"):
            read()
    assert t.detach().numpy().tolist() == [1.0, 1.0]


def test_numpy_on_the_left_asks_the_tensor() -> None:
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    a = np.array([3.0, 4.0], np.float32)
    for y in (a + t, a * t, a - t, a / t, a**t, np.float32(2) * t, a > t):
        assert isinstance(y, mg.Tensor)
    (a * t).sum().backward()
    assert t.grad is not None
    assert t.grad.tolist() == [3.0, 4.0]
    assert (t.detach() * a).tolist() == [3.0, 8.0]


def test_dlpack_with_numpy() -> None:
    a = np.arange(6.0).reshape(2, 3)
    t = mg.from_dlpack(a)
    assert np.shares_memory(t.array, a)
    back = np.from_dlpack(t)
    assert np.shares_memory(back, a)


def test_dlpack_with_torch() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.arange(4.0).reshape(2, 2)
    mine = mg.from_dlpack(theirs)
    assert (mine.dtype, mine.shape) == (mg.float32, (2, 2))
    theirs[0, 0] = 7
    assert mine[0, 0].item() == 7
    again = torch.from_dlpack(mg.ones(3, dtype=mg.float64))
    assert again.dtype == torch.float64
    assert torch.from_dlpack(mine).data_ptr() == theirs.data_ptr()


def test_numbers_out() -> None:
    t = mg.tensor([[2.5]])
    assert (t.item(), float(t), int(t), bool(t)) == (2.5, 2.5, 2, True)
    assert [10, 20, 30][mg.tensor(1)] == 20
    assert f"{mg.tensor(2.0):.2f}" == "2.00"
    assert 2.5 in t and 3.0 not in t
    with pytest.raises(ValueError, match=r"item: expected one element, got shape \(2,\)"):
        mg.ones(2).item()
    with pytest.raises(ValueError, match=r"a tensor of shape \(2,\) has no single truth value"):
        bool(mg.ones(2))
    with pytest.raises(TypeError, match="only an integer tensor can be an index, got float32"):
        [1, 2][mg.tensor(1.0)]


def test_length_and_iteration() -> None:
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = t
    assert len(t) == 2
    (first * second).sum().backward()
    assert t.grad is not None
    assert t.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    with pytest.raises(TypeError, match=r"len\(\) of a 0-d tensor"):
        len(mg.tensor(1.0))
    with pytest.raises(TypeError, match="a 0-d tensor cannot be iterated over"):
        list(mg.tensor(1.0))


def test_ragged_and_strange_data() -> None:
    with pytest.raises(ValueError, match="tensor: the nested lists are ragged"):
        mg.tensor([[1.0], [2.0, 3.0]])
    with pytest.raises(TypeError, match="tensor: expected numbers, bools or nested lists of them"):
        mg.tensor("x")
    with pytest.raises(TypeError, match="expected a tensor, a number or an array"):
        mg.ones(2) + "x"  # type: ignore[operator]


# ---------------------------------------------------------------- copies
@pytest.mark.parametrize("make", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_leaves_are_copied_and_pickled(make: Any) -> None:
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    p = mg.nn.Parameter(mg.ones(2))
    for x in (t, p):
        y = make(x)
        assert type(y) is type(x)
        assert (y.tolist(), y.dtype, y.requires_grad) == (x.tolist(), x.dtype, True)
        assert not np.shares_memory(x.array, y.array)


def test_deepcopy_keeps_gradient_and_identity() -> None:
    t = mg.ones(2, requires_grad=True)
    (t * 3).sum().backward()
    a, b = copy.deepcopy([t, t])
    assert a is b
    assert a.grad is not None and t.grad is not None
    assert a.grad.tolist() == [3.0, 3.0]
    assert not np.shares_memory(a.grad.array, t.grad.array)


def test_computed_tensors_are_not_copied_deeply() -> None:
    y = mg.ones(2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="deepcopy: only leaves can be copied deeply; use"):
        copy.deepcopy(y)
    with pytest.raises(RuntimeError, match="pickle: only leaves can be pickled; use"):
        pickle.dumps(y)


def test_dtypes_are_pickled_as_themselves() -> None:
    for dtype in (mg.float32, mg.int64, mg.bool):
        assert pickle.loads(pickle.dumps(dtype)) is dtype
        assert copy.deepcopy(dtype) is dtype


# ---------------------------------------------------------------- printing
PRINTED: list[Any] = [
    1.0,
    2.5,
    3,
    True,
    [],
    [1.0, 2.0],
    [1.5, -2.25],
    [1e-8, 1.0],
    [1e10, 1.0],
    [0.0, 1e-5],
    [1.0, float("nan")],
    [0.5, float("inf"), -float("inf")],
    [float("nan")],
    [1, -20, 300],
    [True, False],
    [[1.0, 2.0], [3.0, 4.5]],
    [[[1, 2], [3, 4]], [[5, 6], [7, 8]]],
    [0.0, 0.0],
    [-0.0, 1.0],
    [100000.0, 0.5],
    [123456789.0],
    [[]],
    list(range(30)),
    [i / 7 for i in range(25)],
]


@pytest.mark.parametrize("data", PRINTED, ids=lambda d: repr(d)[:30])
def test_repr_is_pytorchs(data: Any) -> None:
    torch = pytest.importorskip("torch")
    want = repr(torch.tensor(data)).replace("torch.", "minigrad.")
    assert repr(mg.tensor(data)) == want


@pytest.mark.parametrize("shape", [(2000,), (40, 40), (30, 2, 30), (0, 3), (2, 0)])
@pytest.mark.parametrize("dtype", ["float32", "int64", "float64"])
def test_repr_of_shapes_is_pytorchs(shape: tuple[int, ...], dtype: str) -> None:
    torch = pytest.importorskip("torch")
    a = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    want = repr(torch.from_numpy(a)).replace("torch.", "minigrad.")
    assert repr(mg.from_numpy(a)) == want


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mg.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: mg.tensor([1.0, -2.0]), "tensor([ 1., -2.])"),
        (lambda: mg.tensor(3), "tensor(3)"),
        (lambda: mg.tensor([True, False]), "tensor([ True, False])"),
        (lambda: mg.zeros(0, 3), "tensor([], size=(0, 3))"),
        (lambda: mg.ones(1, dtype=mg.float64), "tensor([1.], dtype=minigrad.float64)"),
        (lambda: mg.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: mg.ones(1, requires_grad=True).exp(), "tensor([2.7183], grad_fn=<Exp>)"),
        (lambda: mg.tensor([1e-8, 1.0]), "tensor([1.0000e-08, 1.0000e+00])"),
        (lambda: mg.tensor([1.0, float("nan")]), "tensor([1., nan])"),
        (lambda: mg.ones(1, dtype=mg.int32), "tensor([1], dtype=minigrad.int32)"),
        (lambda: mg.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
    ],
)
def test_repr(make: Any, text: str) -> None:
    assert repr(make()) == text


# ---------------------------------------------------------------- arrays of other libraries
class Foreign:
    """An array of another library: it speaks one protocol, and has a dtype."""

    def __init__(self, array: Any, protocol: str) -> None:
        held = np.asarray(array)
        found = {
            "__array__": lambda *args, **options: held,
            "__array_interface__": held.__array_interface__,
            "__dlpack__": held.__dlpack__,
        }[protocol]
        self.held = held
        self.given = {protocol: found}

    def __getattr__(self, name: str) -> Any:
        given = self.__dict__.get("given", {})
        if name == "__dlpack_device__" and "__dlpack__" in given:
            return self.held.__dlpack_device__
        if name not in given:
            raise AttributeError(name)
        return given[name]


def speaking(protocol: str, array: Any) -> Any:
    """Return an object whose class has the protocol's methods, as NumPy looks for them."""
    made = Foreign(array, protocol)
    names = [protocol] + (["__dlpack_device__"] if protocol == "__dlpack__" else [])
    members: dict[str, Any] = {}
    for name in names:
        found = getattr(made, name)
        members[name] = staticmethod(found) if callable(found) else found
    return type("Other", (), members)()


SOME = [("float64", [1.5, 2.5]), ("float32", [1.5, 2.5]), ("int32", [3, 4]), ("uint8", [3, 250])]
PROTOCOLS = ("__array__", "__array_interface__", "__dlpack__")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("dtype", "numbers"), SOME)
def test_arrays_of_other_libraries_keep_their_dtype(
    protocol: str, dtype: str, numbers: list[Any]
) -> None:
    held = np.array(numbers, dtype)
    other = speaking(protocol, held)
    made = mg.tensor(other)
    assert (made.dtype.name, made.tolist()) == (dtype, numbers)
    assert not np.shares_memory(made.array, held)
    assert mg.tensor(other, dtype=mg.float64).tolist() == numbers
    assert mg.as_tensor(other).dtype.name == dtype
    beside = mg.zeros(2, dtype=getattr(mg, dtype))
    assert (beside + other).dtype.name == dtype
    assert (beside + other).tolist() == numbers


def test_tensors_of_torch_keep_their_dtype() -> None:
    torch = pytest.importorskip("torch")
    for dtype, numbers in SOME:
        theirs = torch.tensor(numbers, dtype=getattr(torch, dtype))
        assert mg.tensor(theirs).dtype.name == dtype
        assert mg.tensor([theirs, theirs]).dtype.name == dtype
        mine = mg.ones(2, dtype=getattr(mg, dtype))
        assert (mine * theirs).tolist() == (theirs * mine).tolist() == numbers
        assert (mine * theirs).dtype.name == (theirs * mine).dtype.name == dtype
    with pytest.raises(TypeError, match="BFloat16"):
        mg.tensor(torch.ones(2, dtype=torch.bfloat16))


def test_buffers_keep_their_dtype() -> None:
    assert mg.tensor(array.array("d", [1.5, 2.5])).dtype == mg.float64
    assert mg.tensor(memoryview(array.array("i", [1, 2]))).dtype == mg.int32
    assert mg.tensor(collections.UserList([1.5, 2])).dtype == mg.float32


@pytest.mark.parametrize(
    "made",
    [
        np.zeros(2, complex),
        np.zeros(2, np.float16),
        np.zeros(2, np.uint16),
        np.zeros(2, np.uint64),
        np.zeros(2, "M8[s]"),
        np.array(["a"]),
        np.array([1, None], object),
        np.zeros(2, ">f4"),
        np.zeros(2, [("x", np.float32)]),
        np.datetime64("2020-01-01"),
        np.float16(1),
        np.complex64(1),
        1j,
        None,
        "x",
        b"x",
        {1, 2},
        {1: 2},
        object(),
        [None],
        [1.0, None],
        ["a"],
        [[1], ["a"]],
        [1j],
        [np.float16(1)],
        (x for x in [1]),
    ],
    ids=lambda made: f"{type(made).__name__} {getattr(made, 'dtype', '')}",
)
def test_what_has_no_numeric_dtype_is_refused(made: Any) -> None:
    with pytest.raises(TypeError, match="not supported; use one of|expected numbers|byte order"):
        mg.tensor(made)


@pytest.mark.parametrize(
    "made", [1j, None, "x", [1.0, 2.0], (1, 2), np.complex64(1), np.zeros(2, ">f4"), object()]
)
def test_operands_that_are_no_numbers_are_refused(made: Any) -> None:
    x = mg.ones(2)
    for f in (operator.add, operator.mul, operator.pow, operator.lt, operator.mod):
        with pytest.raises(TypeError):
            f(x, made)
    if not isinstance(made, np.ndarray | np.generic):
        assert (x == made) is False


def test_a_tensor_is_not_none() -> None:
    x = mg.ones(2)
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert (x == "a") is False and [None, x].index(x) == 1
