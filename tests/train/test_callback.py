"""Callbacks: misspelled hooks, the order in which they run."""

from __future__ import annotations

import pytest

from minigrad.train import Callback, Trainer
from minigrad.train.callbacks.base import HOOKS, hooks_of
from tests.train.toys import loader, trainer


@pytest.mark.parametrize("name", ["on_epoch_ends", "on_batch_end", "after_backwards", "before_fit"])
def test_a_misspelled_hook_fails_at_class_creation(name: str) -> None:
    with pytest.raises(
        TypeError, match=f"Wrong.{name} is no hook; did you mean one of on_fit_begin"
    ):
        type("Wrong", (Callback,), {name: lambda self, trainer: None})


def test_options_and_other_methods_are_free() -> None:
    kind = type("Fine", (Callback,), {"on_nan": "stop", "helper": lambda self: None})
    assert issubclass(kind, Callback)


def test_every_hook_exists_and_does_nothing() -> None:
    for name in HOOKS:
        assert getattr(Callback(), name)(None) is None
        assert hooks_of([Callback()], name) == []


def test_they_run_by_order_then_as_given() -> None:
    seen: list[str] = []

    class Named(Callback):
        def __init__(self, name: str, order: int) -> None:
            self.name = name
            self.order = order

        def on_fit_begin(self, trainer: Trainer) -> None:
            seen.append(self.name)

    trainer(Named("last", 5), Named("a", 0), Named("b", 0), Named("first", -5)).fit(
        loader(), epochs=1
    )
    assert seen == ["first", "a", "b", "last"]
