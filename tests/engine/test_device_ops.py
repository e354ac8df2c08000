"""Every op on the simulated device: the results and gradients of the CPU, in place and in dtype."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.checking.samples import Constant
from minigrad.engine.op import Op
from tests.ops.test_ops import CASES, outputs, weighted

if find_spec("greenlet") is None:
    pytest.skip("needs greenlet (pip install minigrad[simulate])", allow_module_level=True)

Array = np.ndarray[Any, Any]
SIM = "cuda-sim"
ELEMENTS = 120  # of a sample's inputs: the simulator takes microseconds for each access


def small(case: Any) -> bool:
    """Tell whether a case is quick; what moves to the CPU stays there."""
    elements = sum(np.asarray(a).size for a in case.values[1])
    return case.values[0].__name__ != "Move" and elements <= ELEMENTS


def there(meta: dict[str, Any]) -> dict[str, Any]:
    """Return an op's options with what it writes to on the device."""
    return (
        {**meta, "indices": mg.tensor(meta["indices"], device=SIM).array}
        if "indices" in meta
        else meta
    )


def leaves(arrays: tuple[Array, ...], device: str) -> list[mg.Tensor]:
    found = []
    for a in arrays:
        moves = a.dtype.kind == "f" and not isinstance(a, Constant)
        plain = a.view(np.ndarray)
        t = mg.tensor(plain.astype(np.float32) if a.dtype.kind == "f" else plain, device=device)
        found.append(t.requires_grad_() if moves else t)
    return found


def results(op: type[Op], arrays: Any, meta: dict[str, Any], device: str) -> list[Array]:
    inputs = leaves(arrays, device)
    made = outputs(op, inputs, there(meta) if device == SIM else meta)
    assert all(str(y.device) == device for y in made)
    seeds = [seed.to(device) for seed in weighted(made)]
    total = None
    for y, seed in zip(made, seeds, strict=True):
        if y.requires_grad:
            term = (y * seed).sum()
            total = term if total is None else total + term
    if total is not None:
        total.backward()
    grads = [t.grad for t in inputs if t.grad is not None]
    assert all(str(g.device) == device for g in grads)
    return [t.detach().cpu().numpy() for t in (*made, *grads)]


@pytest.mark.parametrize(("op", "arrays", "meta"), [case for case in CASES if small(case)])
def test_an_op_on_the_simulated_device(op: type[Op], arrays: Any, meta: dict[str, Any]) -> None:
    want = results(op, arrays, meta, "cpu")
    got = results(op, arrays, meta, SIM)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


# ---------------------------------------------------------------- second order
def second_order(op: type[Op], arrays: Any, meta: dict[str, Any], device: str) -> list[Array]:
    """Return the gradients of the sum of squares of the gradients."""
    inputs = leaves(arrays, device)
    made = outputs(op, inputs, there(meta) if device == SIM else meta)
    pairs = zip(made, weighted(made), strict=True)
    terms = [(y * seed.to(device)).sum() for y, seed in pairs if y.requires_grad]
    moving = [t for t in inputs if t.requires_grad]
    if not terms:
        return []
    firsts = mg.grad(sum(terms[1:], terms[0]), moving, create_graph=True, allow_unused=True)
    again = [(g * g).sum() for g in firsts if g is not None and g.requires_grad]
    if not again:
        return []
    found = mg.grad(sum(again[1:], again[0]), moving, allow_unused=True)
    assert all(str(g.device) == device for g in found if g is not None)
    return [g.detach().cpu().numpy() for g in found if g is not None]


def one_each() -> list[Any]:
    """Return the smallest case of each op that is no special one: with four elements, if any."""
    found: dict[str, Any] = {}
    for case in CASES:
        size = sum(np.asarray(a).size for a in case.values[1])
        size = size if size >= 4 else ELEMENTS + 4 - size
        name = case.values[0].__name__
        if small(case) and (name not in found or size < found[name][0]):
            found[name] = (size, case)
    return [case for _, case in found.values()]


@pytest.mark.parametrize(("op", "arrays", "meta"), one_each())
def test_second_order_on_the_simulated_device(op: Any, arrays: Any, meta: dict[str, Any]) -> None:
    want = second_order(op, arrays, meta, "cpu")
    got = second_order(op, arrays, meta, SIM)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- positions that stay there
ROWS, PLACES = np.array([1, 0, 2, 1]), np.array([[2, 0], [1, 1], [0, 2], [2, 2]])
# name -> what is computed of x: (4, 3), rows: (4,), places: (4, 2)
POSITIONS: dict[str, Any] = {
    "gather": lambda x, rows, places: x.gather(1, places),
    "gather rows": lambda x, rows, places: x.gather(0, places),
    "gather three": lambda x, rows, places: x.reshape(2, 2, 3).gather(2, places.reshape(2, 2, 2)),
    "index_select": lambda x, rows, places: x.index_select(0, rows),
    "index_select columns": lambda x, rows, places: x.index_select(1, rows),
    "index_select middle": lambda x, rows, places: x.reshape(1, 4, 3).index_select(1, rows),
    "x[rows]": lambda x, rows, places: x[rows],
    "x[places]": lambda x, rows, places: x[places],
    "x[rows - 4]": lambda x, rows, places: x[rows - 4],
    "take_along_dim": lambda x, rows, places: x.take_along_dim(places - 3, 1),
    "take_along_dim spread": lambda x, rows, places: x.take_along_dim(places[:1], 1),
    "scatter": lambda x, rows, places: (x * 1).scatter(1, places[:, :1], x * 2),
    "scatter number": lambda x, rows, places: (x * 1).scatter(1, places[:, :1], 5.0),
    "scatter_add": lambda x, rows, places: (x * 1).scatter_add(1, places, x[:, :2]),
    "embedding": lambda x, rows, places: mg.nn.functional.embedding(places, x),
    "embedding padded": lambda x, rows, places: mg.nn.functional.embedding(rows, x, padding_idx=-3),
    "one_hot": lambda x, rows, places: mg.nn.functional.one_hot(rows, 3) * x,
    "multi_margin_loss": lambda x, rows, places: mg.nn.functional.multi_margin_loss(x, rows),
    "interpolate": lambda x, rows, places: mg.nn.functional.interpolate(
        x.reshape(1, 1, 4, 3), size=(3, 5), mode="bilinear"
    ),
    "causal": lambda x, rows, places: mg.nn.functional.scaled_dot_product_attention(
        x, x, x, is_causal=True
    ),
    "cosine_similarity": lambda x, rows, places: mg.nn.functional.cosine_similarity(x, x * x),
}


def computed(name: str, device: str) -> tuple[Array, Array]:
    x = mg.tensor(np.arange(12, dtype=np.float32).reshape(4, 3) / 7 - 0.5, device=device)
    x.requires_grad_()
    rows, places = mg.tensor(ROWS, device=device), mg.tensor(PLACES, device=device)
    y = POSITIONS[name](x, rows, places)
    weights = np.arange(1, y.array.size + 1, dtype=np.float32).reshape(y.shape)
    (y * mg.tensor(weights, device=device)).sum().backward()
    return y.detach().cpu().numpy(), x.grad.cpu().numpy()


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_on_a_device_select_what_they_do_on_the_cpu(name: str) -> None:
    for found, wanted in zip(computed(name, SIM), computed(name, "cpu"), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["gather", "index_select", "x[rows]", "scatter_add", "embedding", "one_hot"]
)
@pytest.mark.parametrize("wrong", [5, -5])
def test_wrong_positions_on_a_device_are_told_as_on_the_cpu(name: str, wrong: int) -> None:
    said = []
    for device in ("cpu", SIM):
        x = mg.ones(4, 3, device=device)
        rows, places = (
            mg.tensor(np.where(a == 2, wrong, a), device=device) for a in (ROWS, PLACES)
        )
        with pytest.raises((IndexError, ValueError)) as error:
            POSITIONS[name](x, rows, places)
        said.append((type(error.value), str(error.value)))
    assert said[0] == said[1]
