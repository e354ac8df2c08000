"""An optimizer of other parameters than the model's is named before anything is trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

import minigrad as mg
from minigrad.train import Trainer
from tests.train.toys import loader, network, same, snapshot


def sgd(parameters: Any) -> Any:
    return mg.optim.SGD(parameters, lr=0.1)


def of_another() -> tuple[Any, Any]:
    return network(), sgd(network().parameters())


def before_a_copy() -> tuple[Any, Any]:
    model = network()
    return copy.deepcopy(model), sgd(model.parameters())


def one_layer_replaced() -> tuple[Any, Any]:
    model = network()
    optimizer = sgd(model.parameters())
    model[0] = mg.nn.Linear(4, 8)
    return model, optimizer


def one_parameter_replaced() -> tuple[Any, Any]:
    model = network()
    optimizer = sgd(model.parameters())
    model[4].weight = mg.nn.Parameter(mg.zeros(3, 8))
    return model, optimizer


def half_of_another() -> tuple[Any, Any]:
    model = network()
    return model, sgd([*network()[0].parameters(), *model[4].parameters()])


REFUSED: dict[str, tuple[Callable[[], tuple[Any, Any]], str]] = {
    "another model": (of_another, "steps none of the model's 6 parameters"),
    "copied": (before_a_copy, "or before this one was copied or built anew"),
    "layer replaced": (one_layer_replaced, "not its 0.weight, 0.bias; they were replaced after"),
    "parameter replaced": (one_parameter_replaced, "steps 1 parameters .* not its 4.weight"),
    "half": (half_of_another, r"steps 2 parameters .* 0.weight, 0.bias, 1.weight and 1 more"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_trained(case: str) -> None:
    make, message = REFUSED[case]
    model, optimizer = make()
    before = snapshot(model)
    with pytest.raises(ValueError, match=message):
        Trainer(model, optimizer).fit(loader(), epochs=1)
    assert same(snapshot(model), before)


def test_parts_left_out_are_said_unless_they_are_frozen() -> None:
    model = network()
    head = sgd(model[4].parameters())
    with pytest.warns(UserWarning, match="does not step 0.weight, 0.bias, 1.weight and 1 more"):
        Trainer(model, head).fit(loader(), epochs=1)
    for layer in model[:4]:
        layer.requires_grad_(False)
    before = snapshot(model)
    Trainer(model, head).fit(loader(), epochs=1)
    assert not same(snapshot(model), before)


@pytest.mark.parametrize("more", ["another model too", "of the loss", "frozen"])
def test_what_is_no_mistake(more: str) -> None:
    model = network()
    parameters = list(model.parameters())
    loss: Any = mg.nn.functional.cross_entropy
    if more == "another model too":
        parameters += network().parameters()
    elif more == "frozen":
        model[0].requires_grad_(False)
    else:

        class Scaled(mg.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.scale = mg.nn.Parameter(mg.ones(()))

            def forward(self, o: Any, t: Any) -> Any:
                return mg.nn.functional.cross_entropy(o * self.scale, t)

        loss = Scaled()
        parameters += loss.parameters()
    before = snapshot(model)
    Trainer(model, sgd(parameters), loss).fit(loader(), epochs=1)
    assert not same(snapshot(model), before)


def test_copied_together_and_moved_they_fit() -> None:
    model = network()
    both = copy.deepcopy((model, sgd(model.parameters())))
    Trainer(*both).fit(loader(), epochs=1)
    model = network()
    optimizer = sgd(model.parameters())
    model.load_state_dict(network().state_dict())
    model.float()
    Trainer(model, optimizer).fit(loader(), epochs=1)


def test_layers_that_are_unfrozen_by_a_callback_fit() -> None:
    class Unfreeze(mg.train.Callback):
        def on_fit_begin(self, trainer: Trainer) -> None:
            trainer.model[0].requires_grad_(True)
            trainer.optimizer.add_param_group({"params": list(trainer.model[0].parameters())})

    model = network()
    model[0].requires_grad_(False)
    optimizer = sgd([p for p in model.parameters() if p.requires_grad])
    Trainer(model, optimizer, callbacks=[Unfreeze()]).fit(loader(), epochs=1)
