"""Copies by `copy` and `pickle`: what comes along, and who shares memory with whom afterwards."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.allocator import POOLED
from minigrad.engine.random import Generator
from minigrad.optim import lr_scheduler
from tests.engine.copy_programs import COPIERS, SUBJECTS, seen

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "copies.json").read_text())
DEEP: dict[str, Callable[[Any], Any]] = {
    name: copier for name, copier in COPIERS.items() if name != "copy"
}


@pytest.mark.parametrize(("subject", "copier"), list(itertools.product(SUBJECTS, COPIERS)))
def test_a_copy_is_as_on_pytorch(subject: str, copier: str) -> None:
    lib = SimpleNamespace(**vars(mg), Parameter=mg.nn.Parameter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that hooks do not come along
        found = json.loads(json.dumps(seen(lib, subject, copier)))
    assert found == GOLDEN[f"{subject}, {copier}"]


@pytest.mark.parametrize("copier", DEEP.values(), ids=DEEP)
def test_parameters_keep_their_attributes(copier: Any) -> None:
    p = mg.nn.Parameter(mg.ones(2))
    p.no_decay = True  # type: ignore[attr-defined]
    model = mg.nn.Sequential(mg.nn.Linear(2, 2), mg.nn.Linear(2, 2))
    model[0].weight.no_decay = True
    model[1].weight = model[0].weight
    twin = copier(model)
    assert copier(p).no_decay and copier([p, p])[1].no_decay
    assert twin[0].weight is twin[1].weight is not model[0].weight
    assert twin[0].weight.no_decay
    assert len(list(twin.parameters())) == 3


class Tagged(mg.Tensor):
    """A tensor whose constructor takes something else, with slots and a state."""

    __slots__ = ("place",)

    def __init__(self, name: str, values: Any) -> None:
        super().__init__(np.asarray(values, np.float64))
        self.name = name
        self.place = {"shelf": 1}


@pytest.mark.parametrize("copier", [*DEEP.values(), copy.copy])
def test_subclasses_keep_type_attributes_and_slots(copier: Any) -> None:
    t = Tagged("a", [1.0, 2.0])
    made = copier(t)
    assert (type(made), made.name, made.place, made.tolist()) == (Tagged, "a", {"shelf": 1}, [1, 2])
    assert (made.place is t.place) == (copier is copy.copy)


@pytest.mark.parametrize("copier", DEEP.values(), ids=DEEP)
def test_a_tensor_that_refers_to_itself(copier: Any) -> None:
    t: Any = mg.ones(2)
    t.twins = [t, t]
    made = copier(t)
    assert made.twins[0] is made.twins[1] is made is not t


def test_a_recorded_gradient_is_copied_by_value() -> None:
    t = mg.ones(2, requires_grad=True)
    (t * t).sum().backward(create_graph=True)
    made = copy.deepcopy(t)
    assert made.grad is not None
    assert (made.grad.tolist(), made.grad.requires_grad) == ([2.0, 2.0], False)


def test_hooks_are_left_behind_with_a_word() -> None:
    t = mg.ones(2, requires_grad=True)
    t.register_hook(lambda g: g)
    for copier in (pickle.dumps, copy.copy):
        with pytest.warns(UserWarning, match=r"the hooks of a tensor of shape \(2,\) do not come"):
            copier(t)


def test_results_are_refused() -> None:
    y = mg.ones(2, requires_grad=True) * 2
    copiers = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickle.dumps}
    for name, copier in copiers.items():
        with pytest.raises(RuntimeError, match=f"{name}: only leaves can be .*detach"):
            copier(y)


@pytest.mark.parametrize("copier", DEEP.values(), ids=DEEP)
def test_large_memory_of_the_pool_and_strange_memory(copier: Any) -> None:
    large = mg.ones(POOLED // 4 + 3)
    a, b = copier([large, large[5:]])
    a[5] = 3.0
    assert (b[0].item(), large[5].item(), a.shape) == (3.0, 1.0, large.shape)
    frozen = np.arange(6.0)
    frozen.flags.writeable = False
    gaps = np.arange(40.0).reshape(4, 10)[::2, 1::3]
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for array in (frozen, gaps, gaps[1], fortran, fortran[:, 1:], np.array(2.0), gaps[:0]):
        made = copier(mg.Tensor(array))
        assert made.tolist() == array.tolist()
        assert made.array.flags.writeable
        assert type(made.array) is np.ndarray
        made.fill_(1)


def test_a_copy_over_shared_memory_shares_the_version() -> None:
    w = mg.ones(2, requires_grad=True)
    x = mg.ones(2)
    y = w * x
    copy.copy(x).mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()
    a, b = copy.deepcopy([x, x.detach()])
    y = w * a
    b += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


# ---------------------------------------------------------------- with what belongs to them
SCHEDULERS: dict[str, Any] = {
    "step": lambda o: lr_scheduler.StepLR(o, 2),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=20),
    "plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o),
    "sequence": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o), lr_scheduler.CosineAnnealingLR(o, 5)], [3]
    ),
}


def training(name: str, scheduler: str, device: str = "cpu") -> Any:
    mg.manual_seed(3)
    model = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.ReLU(), mg.nn.Linear(4, 1)).to(device)
    kind = getattr(mg.optim, name)
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = kind(model.named_parameters(), lr=0.05, **options)
    return [model, optimizer, SCHEDULERS[scheduler](optimizer)]


def train(parts: Any, steps: int, device: str = "cpu") -> Any:
    model, optimizer, scheduler = parts
    x = mg.tensor(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)).to(device)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
        scheduler.step(loss.item()) if plateau else scheduler.step()
        losses.append(loss.item())
    return losses, [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("copier", [copy.deepcopy, DEEP["pickle"]], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", mg.optim.OPTIMIZERS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_copied_training_goes_on_by_itself(copier: Any, name: str, scheduler: str) -> None:
    if scheduler != "step" and name not in ("SGD", "AdamW"):
        return
    parts = training(name, scheduler)
    train(parts, 2)
    before = [p.tolist() for p in parts[0].parameters()]
    twin = copier(parts)
    assert twin[2].optimizer is twin[1]
    assert twin[1].param_groups[0]["params"][0] is twin[0][0].weight
    went = train(twin, 3)
    assert [p.tolist() for p in parts[0].parameters()] == before
    assert train(parts, 3) == went


@pytest.mark.parametrize("copier", [copy.deepcopy, DEEP["pickle"]], ids=["deepcopy", "pickle"])
def test_a_copied_training_on_the_device(copier: Any) -> None:
    pytest.importorskip("greenlet")
    parts = training("SGD", "step", "cuda-sim")
    train(parts, 1, "cuda-sim")
    weight = parts[0][0].weight
    weight.tag = "a"
    twin = copier(parts)
    made = twin[0][0].weight
    assert (str(made.device), made.tag, made.tolist()) == ("cuda-sim", "a", weight.tolist())
    before = weight.tolist()
    assert train(twin, 1, "cuda-sim") != []
    assert weight.tolist() == before != made.tolist()


def test_views_on_the_device_stay_views_of_one_memory() -> None:
    pytest.importorskip("greenlet")
    t = mg.arange(6.0).to("cuda-sim")
    a, b, c = copy.deepcopy([t, t[1:], t.reshape(2, 3).T])
    b[0] = 9.0
    assert (a.tolist()[1], c.tolist()[1][0], t.tolist()[1]) == (9.0, 9.0, 1.0)
    assert str(a.device) == str(b.device) == "cuda-sim"
    shallow = copy.copy(t)
    shallow[0] = 5.0
    assert t.tolist()[0] == 5.0


@pytest.mark.parametrize("copier", [*DEEP.values(), copy.copy])
def test_generators_go_on_where_they_were_and_hear_of_a_new_seed(copier: Any) -> None:
    generator = Generator()
    generator.uniform((3,))
    twin = copier(generator)
    assert twin.uniform((4,)).tolist() == generator.uniform((4,)).tolist()
    mg.manual_seed(0)
    assert twin.calls == generator.calls == 0
    seeded = copier(Generator(7))
    assert seeded.normal((2,)).tolist() == Generator(7).normal((2,)).tolist()


def test_a_new_stream_is_none_that_came_by_pickle() -> None:
    mg.manual_seed(0)
    saved = pickle.dumps([Generator(), Generator()])
    mg.manual_seed(0)  # as a new process starts: streams are numbered from 1
    held = pickle.loads(saved)
    assert Generator().stream not in [g.stream for g in held]


# ---------------------------------------------------------------- copy.copy of a module
CHANGES: dict[str, Callable[[Any], Any]] = {
    "a module": lambda m: setattr(m, "extra", mg.nn.Linear(1, 1)),
    "a parameter": lambda m: setattr(m, "extra", mg.nn.Parameter(mg.ones(1))),
    "a buffer": lambda m: m.register_buffer("extra", mg.ones(1), persistent=False),
    "a state": lambda m: m.register_buffer("extra", mg.ones(1)),
    "a hook": lambda m: m.register_forward_hook(lambda module, args, output: output * 0),
    "a child": lambda m: m.append(mg.nn.Linear(2, 2)),
    "no child": lambda m: m.pop(0),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("which", [0, 1], ids=["copy", "original"])
def test_a_shallow_copy_of_a_module_registers_for_itself(change: str, which: int) -> None:
    model = mg.nn.Sequential(mg.nn.Linear(2, 2), mg.nn.Linear(2, 2))
    model.register_forward_hook(lambda module, args, output: output + 1)
    twin = copy.copy(model)
    assert twin[0] is model[0]
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in model.named_parameters()]
    changed, other = (twin, model) if which == 0 else (model, twin)

    def state() -> Any:
        names = list(other.state_dict()), [n for n, _ in other.named_modules()]
        return names, list(other.buffers()), len(other), other(mg.ones(1, 2)).tolist()

    before = state()
    CHANGES[change](changed)
    assert state() == before
