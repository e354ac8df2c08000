"""What a gradient is computed from later is kept, or watched: index arrays, places of maxima and
classes that change after forward; and operands whose elements lie at odd places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F

Array = np.ndarray[Any, Any]
DEVICES = ("cpu", "cuda-sim")

# y from a table of n rows and their numbers.
BY_INDEX: dict[str, Callable[[mg.Tensor, mg.Tensor], mg.Tensor]] = {
    "rows": lambda w, i: w[i],
    "elements": lambda w, i: w[i, i % 2],
    "behind": lambda w, i: w[:2, i % 2],
    "gather": lambda w, i: mg.gather(w, 0, i.reshape(-1, 1)),
    "gather 1": lambda w, i: mg.gather(w, 1, (i % 2).reshape(-1, 1)),
    "index_select": lambda w, i: mg.index_select(w, 0, i),
    "embedding": lambda w, i: F.embedding(i, w),
    "nll_loss": lambda w, i: F.nll_loss(w, i % 2, reduction="none"),
}


def gradient(how: Any, n: int, i: Any, device: str, change: bool) -> Array:
    w = mg.tensor(np.arange(2.0 * n).reshape(n, 2) / n, device=device, requires_grad=True)
    y = how(w, i)
    if change:
        i[:] = 0
    (g,) = mg.grad(y.square().sum(), w)
    return g.cpu().numpy()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [np.int32, np.int64], ids=["int32", "int64"])
@pytest.mark.parametrize("name", BY_INDEX)
def test_an_index_changed_after_forward(name: str, dtype: Any, device: str) -> None:
    """PyTorch raises; here the gradient is that of the index as it was."""
    for n in (3, 30_000) if device == "cpu" else (3,):
        numbers = np.arange(n)[::-1].astype(dtype)
        found = []
        for change in (False, True):
            i = mg.tensor(numbers.copy(), device=device)
            found.append(gradient(BY_INDEX[name], n, i, device, change))
        np.testing.assert_array_equal(*found)
        if name in ("rows", "elements", "behind"):
            own = numbers.copy()
            how = {
                "rows": lambda w, i: w[i],
                "elements": lambda w, i: w[i, i * 0],
                "behind": lambda w, i: w[:, None, ...][i, :, 0],
            }[name]
            want = gradient(how, n, own.copy(), device, False)
            np.testing.assert_array_equal(gradient(how, n, own, device, True), want)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "how",
    [
        lambda x: x.max(1),
        lambda x: x.min(1),
        lambda x: F.max_pool1d(x[None], 2, return_indices=True),
        lambda x: F.adaptive_max_pool1d(x[None], 2, return_indices=True),
    ],
)
def test_places_changed_after_forward(how: Any, device: str) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4))
    found = []
    for change in (False, True):
        x = mg.tensor(values, device=device, requires_grad=True)
        y, places = how(x)
        if change:
            places[:] = 0 * places + 10**6
        (g,) = mg.grad((y * y).sum(), x, create_graph=True)
        (h,) = mg.grad((g * g).sum(), x)
        found.append([t.detach().cpu().numpy() for t in (g, h)])
    np.testing.assert_array_equal(*found)


def second_sweep(loss: mg.Tensor, x: mg.Tensor) -> None:
    loss.sum().backward(retain_graph=True)
    loss.sum().backward()


def of_second_order(loss: mg.Tensor, x: mg.Tensor) -> None:
    (g,) = mg.grad(loss.sum(), x, create_graph=True)
    g.square().sum().backward()


CLASSES = [0, 2, 1]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("sweep", [second_sweep, of_second_order])
@pytest.mark.parametrize("dtype", [mg.int64, mg.int32], ids=["int64", "int32"])
def test_classes_changed_after_forward(sweep: Any, reduction: str, dtype: Any, device: str) -> None:
    """int64 ones raise as in PyTorch; others were converted, and are as they were."""
    found = []
    for change in (False, True):
        x = mg.tensor(np.arange(9.0).reshape(3, 3), device=device, requires_grad=True)
        classes = mg.tensor(CLASSES, device=device).to(dtype)
        loss = F.cross_entropy(x, classes, reduction=reduction)
        if change:
            classes[:] = 1
        if change and dtype == mg.int64:
            with pytest.raises(RuntimeError, match="CrossEntropy needs its input 1, .* in place"):
                sweep(loss, x)
            return
        sweep(loss, x)
        assert x.grad is not None
        found.append(x.grad.cpu().numpy())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("shape", [(3, 3), (3,), (2, 3, 2)])
@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("beyond", [-1, 3, 10**12, -(2**63)])
def test_classes_beyond_written_through_numpy(
    beyond: int, reduction: str, shape: tuple[int, ...]
) -> None:
    """Kernels would write where they say: no memory outside is touched."""
    x = mg.tensor(np.zeros(shape), requires_grad=True)
    size = shape[:1] + shape[2:] if len(shape) > 1 else ()
    numbers = np.ones(size, np.int64)
    loss = F.cross_entropy(x, mg.Tensor(numbers), reduction=reduction).sum()
    if reduction == "mean":
        loss.backward(retain_graph=True)
    numbers[...] = beyond
    if len(shape) == 2:
        with pytest.raises(RuntimeError, match="target, shape .* written through numpy"):
            loss.backward()
    else:  # they were copied
        loss.backward()


# ---------------------------------------------------------------- elements at odd places
def odd(a: Array) -> Array:
    """Return the numbers one byte off."""
    memory = bytearray(a.nbytes + 1)
    found = np.frombuffer(memory, a.dtype, offset=1).reshape(a.shape)
    found[...] = a
    return found


def packed(a: Array) -> Array:
    """Return the numbers as a field of records of 9 bytes."""
    record = np.zeros(a.shape, [("flag", "i1"), ("value", a.dtype)])
    record["value"] = a
    return record["value"]


ODD: dict[str, Callable[[mg.Tensor, Any], Any]] = {
    "add": lambda t, a: t + a,
    "radd": lambda t, a: a + t,
    "rsub": lambda t, a: a - t,
    "mul": lambda t, a: (t + 1) * a,
    "pow": lambda t, a: (t + 2) ** (a * 0 + 1) + a - 2,
    "where": lambda t, a: mg.where(t == 0, a, t),
    "maximum": lambda t, a: mg.maximum(t, mg.tensor(a)),
    "tensor": lambda t, a: mg.tensor(a),
    "lists": lambda t, a: mg.tensor([a])[0],
    "setitem": lambda t, a: t.__setitem__(slice(None), a) or t,
    "setitem by places": lambda t, a: t.__setitem__(np.arange(len(t)), a) or t,
    "iadd": lambda t, a: t.__iadd__(a),
}


@pytest.mark.parametrize("make", [odd, packed])
@pytest.mark.parametrize("n", [5, 30_000])
@pytest.mark.parametrize("name", ODD)
def test_operands_at_odd_places(name: str, n: int, make: Any) -> None:
    for dtype in (np.float64, np.float32, np.int64):
        values = np.arange(n).astype(dtype)
        with mg.check_launches():
            got = ODD[name](mg.zeros(n, dtype=mg.tensor(values).dtype), make(values))
        np.testing.assert_array_equal(got.array, values)


@pytest.mark.parametrize("make", [odd, packed])
def test_indices_at_odd_places(make: Any) -> None:
    t = mg.tensor(np.arange(6.0).reshape(3, 2))
    where = make(np.array([2, 0]))
    with mg.check_launches():
        assert t[where].tolist() == [[4, 5], [0, 1]]
        assert t[:, None][where, 0, where * 0].tolist() == [4, 0]
        t[where] = 0.0
    assert t.tolist() == [[0, 0], [2, 3], [0, 0]]
