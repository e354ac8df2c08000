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
