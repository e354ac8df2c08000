"""Functions that `public` enters get their names, methods and methods in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import minigrad as mg
from minigrad.ops.registry import PUBLIC, public
from minigrad.tensors import registry


@pytest.fixture
def names() -> Iterator[None]:
    """Take back what a test enters."""
    before = {place: dict(found) for place, found in registry.FUNCTIONS.items()}
    methods = set(vars(mg.Tensor))
    yield
    for place, found in registry.FUNCTIONS.items():
        for name in set(found) - set(before[place]):
            del found[name]
            for namespace in registry.NAMESPACES[place]:
                namespace.pop(name, None)
                if name in namespace.get("__all__", []):
                    namespace["__all__"].remove(name)
    for name in set(vars(mg.Tensor)) - methods:
        delattr(mg.Tensor, name)
    while PUBLIC and PUBLIC[-1].function.__module__ == __name__:
        PUBLIC.pop()


def test_a_function_stands_in_its_places(names: None) -> None:
    @public("tensor", also=("shift",), inplace=True)
    def shifted_by(input: Any, other: Any, times: int = 1) -> Any:
        return input + other * times

    x = mg.tensor([1.0, 2.0])
    for call in (mg.shifted_by, mg.shift, mg.Tensor.shift):  # type: ignore[attr-defined]
        assert call(x, x, times=2).tolist() == [3.0, 6.0]
    x.shift_(mg.tensor([1.0, 1.0]), 3)  # type: ignore[attr-defined]
    assert x.tolist() == [4.0, 5.0]


def test_a_write_in_place_is_recorded(names: None) -> None:
    @public("method", inplace=True)
    def cubed(input: Any) -> Any:
        return input * input * input

    w = mg.tensor([1.0, 2.0], requires_grad=True)
    x = w * 1
    part = x[:1]
    part.cubed_()  # type: ignore[attr-defined]
    x.sum().backward()
    assert w.grad is not None and w.grad.tolist() == [3.0, 1.0]
    assert not hasattr(mg, "cubed")


def test_another_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of tensor, .*got 'tensors'"):
        public("tensors")


def test_elementwise_ops_have_methods_in_place() -> None:
    x = mg.tensor([0.25, 4.0])
    assert x.sqrt_().tolist() == [0.5, 2.0]  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="leaf"):
        mg.ones(2, requires_grad=True).exp_()  # type: ignore[attr-defined]
