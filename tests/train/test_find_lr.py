"""The search for a learning rate leaves no trace, and finds one that trains."""

from __future__ import annotations

import gc
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.optim.lr_scheduler import StepLR
from minigrad.train import GradientClipping, Trainer, steps
from minigrad.train.lr_finder import LRCurve
from tests.train.toys import loader, network, rows, trainer


class Counted(nn.Module):
    """A layer that keeps a number of its own, and draws from all sorts of generators."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.own = np.random.default_rng(3)

    def forward(self, x: Any) -> Any:
        self.calls += 1
        noise = random.random() + np.random.random() + self.own.random()  # noqa: NPY002
        return F.dropout(x, 0.1) + noise * 1e-3


def everything(made: Trainer, *loaders: Any) -> list[Any]:
    """Return all that a search might change, as bytes and numbers."""
    found: list[Any] = []
    for name, tensor in [*made.model.named_parameters(), *made.model.named_buffers()]:
        grad = None if tensor.grad is None else tensor.grad.array.tobytes()
        found.append((name, id(tensor), id(tensor.array), tensor.array.tobytes(), grad))
    found.append([(m.training, getattr(m, "calls", None)) for m in made.model.modules()])
    optimizer = made.optimizer
    for slot in optimizer._slots:
        found.append({name: array.tobytes() for name, array in slot.arrays.items()})
    found += [optimizer._steps.tobytes(), optimizer._step_count]
    found.append([{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups])
    found += [repr(each.state_dict()) for each in loaders]
    gc.collect()  # streams of what is gone are in nobody's way
    found.append(sorted((s.stream, s.calls) for s in mg.random._Global.streams))
    found += [repr(np.random.get_state()), random.getstate()]  # noqa: NPY002
    found.append(repr(made.history.rows))
    return found


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("capture", [False, True])
def test_nothing_is_changed(fitted: bool, capture: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "PAYS", 0)
    mg.manual_seed(1)
    model = (
        nn.Sequential(network(dropout=0.3))
        if capture
        else nn.Sequential(Counted(), network(dropout=0.3))
    )
    model[-1][1].eval()
    clipping = GradientClipping(max_norm=1.0)
    optimizer = mg.optim.AdamW(model.parameters(), lr=0.01)
    schedule = StepLR(optimizer, 3)
    made = Trainer(model, optimizer, callbacks=[clipping], capture=capture)
    data = loader(shuffle=True)
    if fitted:
        made.fit(data, epochs=2)
        schedule.step()
    F.cross_entropy(model(mg.Tensor(rows(8)[0])), mg.Tensor(rows(8)[1])).backward()
    next(iter(data))  # in the middle of a pass
    before = everything(made, data)
    clipping.skipped = 7
    curve = made.find_lr(data, steps=30)
    assert everything(made, data) == before
    assert clipping.skipped == 7 and len(curve.losses) > 5


def test_a_fit_after_a_search_is_the_fit_without_one() -> None:
    bits = []
    for search in (False, True):
        mg.manual_seed(2)
        made = trainer(model=network(dropout=0.2))
        data = loader(shuffle=True)
        if search:
            made.find_lr(data, steps=20)
        history = made.fit(data, epochs=2)
        bits.append(
            ([t.array.tobytes() for t in made.model.state_dict().values()], history["loss"])
        )
    assert bits[0] == bits[1]


def test_a_failing_search_changes_nothing_either() -> None:
    made, data = trainer(loss=lambda o, t: 1 / 0), loader()
    before = everything(made, data)
    with pytest.raises(ZeroDivisionError):
        made.find_lr(data)
    assert everything(made, data) == before


def test_the_suggestion_trains() -> None:
    """It beats rates that are a hundred times lower or higher."""
    losses = []
    for factor in (0.01, 1.0, 100.0):
        mg.manual_seed(0)
        model = network(norm=False)
        made = Trainer(model, mg.optim.SGD(model.parameters(), lr=1.0))
        curve = made.find_lr(loader(shuffle=True), min_lr=1e-5)
        assert curve.suggestion is not None
        made.optimizer.param_groups[0]["lr"] = factor * curve.suggestion
        losses.append(made.fit(loader(shuffle=True), epochs=5)["loss"][-1])
    assert losses[1] < losses[0] and not losses[1] > losses[2]


def test_it_stops_where_the_loss_rises_and_groups_keep_their_proportions() -> None:
    model = network(norm=False)
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[-1].parameters()}]
    seen: list[float] = []

    def loss(output: Any, target: Any) -> Any:
        rates = [float(group["lr"]) for group in made.optimizer.param_groups]
        seen.append(rates[1] / rates[0])
        return F.cross_entropy(output, target)

    made = Trainer(model, mg.optim.SGD(groups, lr=0.01), loss, capture=False)
    curve = made.find_lr(loader(), max_lr=1e4)
    assert len(curve.lrs) < 100 and np.allclose(seen, 0.1)
    assert curve.lrs[0] == 1e-6 and np.allclose(np.diff(np.log(curve.lrs)), np.log(1e10) / 99)
    assert made.optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_lr": 1.0, "max_lr": 0.1}, "0 < min_lr < max_lr"),
        ({"steps": 1}, "steps"),
        ({"stop_factor": 1.0}, "stop_factor above 1"),
    ],
)
def test_options_out_of_range(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trainer().find_lr(loader(), **options)


def test_what_cannot_be_searched() -> None:
    made = trainer()
    with pytest.raises(TypeError, match="read only once"):
        made.find_lr(iter(loader()))
    with pytest.raises(ValueError, match="the loss is nan at the first step"):
        trainer(loss=lambda o, t: (o * float("nan")).sum()).find_lr(loader())
    model = nn.Sequential(nn.LazyLinear(3))
    lazy = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="lazy layers"):
        lazy.find_lr(loader())


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_curve_is_drawn(tmp_path: Path) -> None:
    curve = LRCurve([0.1, 1.0, 10.0], [3.0, 1.0, 9.0], [3.0, 2.0, 4.0], 0.3)
    figure = curve.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert figure.axes[0].get_xscale() == "log"
