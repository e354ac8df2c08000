"""The grammar of indices is PyTorch's: values, gradients and writes of some 2,000 indices."""

from __future__ import annotations

import json
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.engine.index_cases import (
    ALONG,
    OURS,
    REFUSED,
    Case,
    along,
    build,
    drawn,
    evaluate,
    every_case,
    quietly,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "index.npz"
PICKED = GOLDEN.with_name("index_along.json")
NAMES = (
    *("read", "x after a write to what was read", "gradient"),
    *("number written", "its gradient"),
    *("tensor written", "its gradient", "gradient of the tensor"),
    *("row written", "its gradient", "gradient of the row", "added to"),
)


def answers() -> list[list[np.ndarray[Any, Any]] | None]:
    """Return PyTorch's answers in the order of the cases."""
    with np.load(GOLDEN) as held:
        values, shapes, counts = held["values"], held["shapes"].tolist(), held["counts"].tolist()
    found: list[list[np.ndarray[Any, Any]] | None] = []
    at = s = 0
    for count in counts:
        arrays = []
        for _ in range(count):
            shape = shapes[s + 1 : s + 1 + shapes[s]]
            s += 1 + shapes[s]
            size = int(np.prod(shape))
            arrays.append(values[at : at + size].reshape(shape))
            at += size
        found.append(None if count < 0 else arrays)
    return found


def differs(case: Case, got: Any, want: Any) -> str | None:
    """Say in one line where two answers differ."""
    if got is None and want is not None and not want[0].size:
        # PyTorch does not look at the positions where the others leave nothing to select
        with pytest.raises(IndexError, match="out of bounds"):
            mg.zeros(*case[0])[build(mg, case[1])]
        return None
    if got is None or want is None:
        return None if got is want else f"{case}: {'raises' if got is None else 'does not raise'}"
    for name, a, b in zip(NAMES, got, want, strict=True):
        if a.shape != b.shape or (a != b).any():
            return f"{case}: {name}: {a.shape} {a.tolist()}, PyTorch: {b.shape} {b.tolist()}"
    return None


def check(cases: list[Case], wanted: list[Any], device: str = "cpu") -> None:
    found = [
        differs(case, evaluate(mg, case, device), want)
        for case, want in zip(cases, wanted, strict=True)
    ]
    wrong = [line for line in found if line]
    assert not wrong, f"{len(wrong)} of {len(cases)} differ\n" + "\n".join(wrong[:20])


@pytest.mark.slow
def test_as_pytorch() -> None:
    check(every_case(), answers())


def test_as_pytorch_live() -> None:
    torch = pytest.importorskip("torch")
    cases = drawn(random.Random(3).randrange(10**6), 300)
    check(cases, [quietly(torch, case) for case in cases])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("greenlet") is None, reason="needs greenlet")
def test_as_pytorch_on_the_simulated_device() -> None:
    cases, wanted = every_case(), answers()
    chosen = range(0, len(cases), 101)
    check([cases[i] for i in chosen], [wanted[i] for i in chosen], "cuda-sim")


@pytest.mark.parametrize("index", REFUSED, ids=repr)
def test_what_means_two_things_is_refused(index: Any) -> None:
    assert evaluate(mg, ((3, 4, 2), index)) is None


@pytest.mark.parametrize(("index", "same"), OURS, ids=repr)
def test_what_pytorch_lacks(index: Any, same: Any) -> None:
    case = ((3, 4, 2), index)
    got, want = evaluate(mg, case), evaluate(mg, ((3, 4, 2), same))
    assert got is not None and want is not None
    if index[0] == "slice":  # a view, and the list a copy
        assert not got[2].any()
        got[2] = want[2]
    assert differs(case, got, want) is None


@pytest.mark.parametrize(
    ("index", "kind", "message"),
    [
        ([[0, 1], [2, 0]], IndexError, r"a list that holds list .* write x\[tuple\(index\)\] or"),
        ([None, 0], IndexError, "a list that holds NoneType"),
        (np.array([1, 0, 1], np.uint8), IndexError, r"uint8 is a mask to PyTorch .* \.bool\(\)"),
        (mg.tensor([1.0]), TypeError, "integers or a bool mask, got a tensor of float32; use .lo"),
        ([0.0, 1.0], TypeError, r"integers or a bool mask, got \[0.0, 1.0\]"),
        (1.5, TypeError, "expected ints, slices, .* got float: 1.5"),
        ({1}, TypeError, r"got set: \{1\}"),
        (np.array([0, 1], object), TypeError, "a tensor of object"),
        (np.ma.array([0, 1], mask=[0, 1]), TypeError, "masked array; fill or compress it"),
        (([0, [1, 2]],), IndexError, "is no array of positions"),
        (slice(0.5, None), TypeError, "ends and the step of a slice must be ints, got float: 0.5"),
        (slice(mg.tensor([1, 2]), None), TypeError, "slice must be ints, got Tensor"),
        (3, IndexError, "out of bounds"),
        ([0, 3], IndexError, "index 3 is out of range for 3 rows: out of bounds of dim"),
        ((0, [-5]), IndexError, "index -5 .* dimension 1 with size 4"),
        (np.ones((3, 2), bool), IndexError, r"mask has shape \(3, 2\), .* have \(3, 4\)"),
        (([0, 1], [0, 1, 2]), IndexError, r"shapes \(2,\) and \(3,\) do not broadcast"),
        (([0], 0, 0, 0), IndexError, "it has 3 dimensions, 4 were indexed"),
        (np.array([2**64 - 1], np.uint64), IndexError, "18446744073709551615 is out of range"),
    ],
    ids=repr,
)
def test_errors_name_the_form(index: Any, kind: type[Exception], message: str) -> None:
    x = mg.zeros(3, 4, 2)
    with pytest.raises(kind, match=message):
        x[index]
    with pytest.raises(kind, match=message):
        x[index] = 1.0


@pytest.mark.parametrize("how", ["tensor", "array", "mask", "slice"])
def test_an_index_changed_before_backward(how: str) -> None:
    """The gradient goes where the forward pass read."""
    held = {
        "tensor": mg.tensor([0, 2]),
        "array": np.array([0, 2]),
        "mask": np.array([True, False, True]),
        "slice": mg.tensor(1),
    }[how]
    x = mg.zeros(3, requires_grad=True)
    y = x[slice(held, None)] if how == "slice" else x[held]
    held[...] = 0
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == ([0, 1, 1] if how == "slice" else [1, 0, 1])


def test_views_of_an_index_share_memory() -> None:
    x = mg.zeros(2, 3)
    for i in (0, slice(None), None, ..., (0, 1), mg.tensor(1), np.array(1), (..., None, 0)):
        assert np.shares_memory(x[i].numpy(), x.numpy()), i
    for i in ([0], True, range(1), mg.tensor([0]), (0, [1]), mg.tensor([True, False])):
        assert not np.shares_memory(x[i].numpy(), x.numpy()), i


# ---------------------------------------------------------------- along one dimension
@pytest.mark.parametrize(
    ("case", "want"), [*zip(ALONG, json.loads(PICKED.read_text()), strict=True)], ids=repr
)
def test_along_one_dimension(case: Any, want: Any) -> None:
    assert along(mg, case) == want


def test_along_one_dimension_live() -> None:
    torch = pytest.importorskip("torch")
    assert [along(torch, case) for case in ALONG] == json.loads(PICKED.read_text())
