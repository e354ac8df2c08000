"""Hooks of modules: forward, backward, state; and members by name."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


def layers() -> tuple[nn.Module, Any]:
    """Return a layer of minigrad's and PyTorch's with equal weights."""
    torch = importlib.import_module("torch")
    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    return ours, theirs


X = np.arange(6, dtype=np.float32).reshape(2, 3)


# ---------------------------------------------------------------- forward
def test_forward_hooks_with_keywords_and_first() -> None:
    class Add(nn.Module):
        def forward(self, x: mg.Tensor, by: float = 0.0) -> mg.Tensor:
            return x + by

    module, seen = Add(), []
    module.register_forward_pre_hook(lambda m, a, k: (a, {"by": k["by"] * 2}), with_kwargs=True)
    module.register_forward_hook(lambda m, a, k, y: seen.append(("last", k)), with_kwargs=True)
    first = module.register_forward_hook(lambda m, a, y: seen.append(("first", 0)), prepend=True)
    assert module(mg.zeros(1), by=3.0).item() == 6
    assert seen == [("first", 0), ("last", {"by": 6.0})]
    first.remove()
    module(mg.zeros(1), by=1.0)
    assert [name for name, _ in seen] == ["first", "last", "last"]


def test_a_forward_hook_after_an_error() -> None:
    seen: list[Any] = []
    module = nn.Linear(3, 2)
    module.register_forward_hook(lambda m, a, y: seen.append(y), always_call=True)
    module.register_forward_hook(lambda m, a, y: seen.append("not called"))
    with pytest.raises(ValueError, match="does not fit"):
        module(mg.ones(4))
    assert seen == [None]


def test_a_pre_hook_that_gives_neither_is_refused() -> None:
    module = nn.Identity()
    module.register_forward_pre_hook(lambda m, a, k: a, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"None or \(args, kwargs\)"):
        module(mg.ones(1))


# ---------------------------------------------------------------- backward
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("wants", [True, False])
def test_backward_hooks_are_torchs_live(wants: bool) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for kit, module in zip((mg, torch), layers(), strict=True):
        seen: list[Any] = []

        def before(m: Any, grad_output: Any, seen: list[Any] = seen) -> Any:
            seen.append([g.tolist() for g in grad_output])
            return (grad_output[0] * 2,)

        def after(m: Any, grad_input: Any, grad_output: Any, seen: list[Any] = seen) -> Any:
            seen.append([None if g is None else g.tolist() for g in (*grad_input, *grad_output)])
            return None if grad_input[0] is None else (grad_input[0] + 1,)

        module.register_full_backward_pre_hook(before)
        module.register_full_backward_hook(after)
        x = kit.tensor(X.tolist(), requires_grad=wants)
        (module(x) ** 2).sum().backward()
        seen.append(None if x.grad is None else x.grad.tolist())
        seen.append(module.weight.grad.tolist())
        found.append(seen)
    _same(*found)


def _same(a: Any, b: Any) -> None:
    if isinstance(b, list):
        assert len(a) == len(b)
        for p, q in zip(a, b, strict=True):
            _same(p, q)
    elif b is None:
        assert a is None
    else:
        assert a == pytest.approx(b, rel=1e-5, abs=1e-5)


def test_backward_hooks_see_several_inputs_and_outputs() -> None:
    class Both(nn.Module):
        def forward(self, a: Any, n: int, b: Any) -> tuple[Any, Any]:
            return a * n, b + a

    seen: list[Any] = []
    module = Both()
    handle = module.register_full_backward_hook(
        lambda m, i, o: seen.append([None if g is None else g.tolist() for g in (*i, *o)])
    )
    a, b = mg.ones(1).requires_grad_(), mg.ones(1).requires_grad_()
    y, z = module(a, 3, b)
    (y * 5 + z).sum().backward()
    assert seen == [[[16.0], None, [1.0], [5.0], [1.0]]]
    y, _ = module(a, 3, b)
    y.sum().backward()
    assert seen[1] == [[3.0], None, None, [1.0], None]
    handle.remove()
    module(a, 3, b)[0].sum().backward()
    assert len(seen) == 2


def test_a_backward_hook_by_its_older_name() -> None:
    module, seen = nn.Linear(3, 2), []
    module.register_backward_hook(lambda m, i, o: seen.append(o[0].tolist()))
    module(mg.tensor(X).requires_grad_()).sum().backward()
    assert seen == [[[1.0, 1.0], [1.0, 1.0]]]


def test_backward_hooks_may_be_differentiated_through() -> None:
    module = nn.Linear(3, 2).double()
    module.register_full_backward_hook(lambda m, i, o: (i[0] * 1.0,))
    x = mg.tensor(X.astype(np.float64), requires_grad=True)
    assert mg.gradgradcheck(lambda t: module(t).tanh(), (x,))


def test_no_backward_hook_runs_under_no_grad() -> None:
    module = nn.Linear(3, 2)
    module.register_full_backward_hook(lambda m, i, o: pytest.fail("called"))
    with mg.no_grad():
        assert module(mg.tensor(X)).node is None


def test_a_hook_that_gives_another_number_of_gradients_is_refused() -> None:
    module = nn.Linear(3, 2)
    module.register_full_backward_hook(lambda m, i, o: (i[0], i[0]))
    with pytest.raises(RuntimeError, match="expected 1 gradients in place of as many, got 2"):
        module(mg.tensor(X).requires_grad_()).sum().backward()


# ---------------------------------------------------------------- state
def test_state_hooks() -> None:
    module = nn.Sequential(nn.Linear(1, 1))
    module.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append(prefix))
    module[0].register_state_dict_post_hook(lambda m, d, prefix, _: d.update({prefix + "more": 1}))
    seen: list[Any] = []
    state = module.state_dict(prefix="net.")
    assert list(state) == ["net.0.weight", "net.0.bias", "net.0.more"]
    assert seen == ["net."]

    def rename(m: Any, d: Any, prefix: str, *rest: Any) -> None:
        d[prefix + "weight"] = d.pop(prefix + "old")

    module[0].register_load_state_dict_pre_hook(rename)
    given = {"0.old": mg.tensor([[3.0]]), "0.bias": mg.zeros(1)}
    module.load_state_dict(given)
    assert list(given) == ["0.old", "0.bias"]
    assert module[0].weight.item() == 3

    def forgive(m: Any, keys: Any) -> None:
        keys.missing_keys.clear()

    handle = module.register_load_state_dict_post_hook(forgive)
    module.load_state_dict({"0.old": mg.tensor([[4.0]])})
    assert module[0].weight.item() == 4
    handle.remove()
    with pytest.raises(RuntimeError, match=r"missing: 0\.bias"):
        module.load_state_dict({"0.old": mg.tensor([[5.0]])})
    assert module[0].weight.item() == 4


def test_extra_state() -> None:
    class Counter(nn.Module):
        count = 0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    first, second = nn.Sequential(Counter()), nn.Sequential(Counter())
    first[0].count = 7
    assert first.state_dict() == {"0._extra_state": {"count": 7}}
    second.load_state_dict(first.state_dict())
    assert second[0].count == 7
    with pytest.raises(RuntimeError, match=r"missing: 0\._extra_state"):
        second.load_state_dict({})
    with pytest.raises(RuntimeError, match="Linear has no extra state"):
        nn.Linear(1, 1).get_extra_state()


def test_a_state_may_be_put_in_place_of_the_parameters() -> None:
    module, value = nn.Linear(1, 1, bias=False), mg.tensor([[2.0]])
    before = module.weight
    module.load_state_dict({"weight": value}, assign=True)
    assert module.weight is not before
    assert np.shares_memory(module.weight.array, value.array)
    assert isinstance(module.weight, nn.Parameter)
    assert module.weight.requires_grad


# ---------------------------------------------------------------- members
def test_members_by_name() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert net.get_parameter("0.weight") is net[0].weight
    assert net.get_buffer("1.running_mean") is net[1].running_mean
    with pytest.raises(AttributeError, match=r"Linear has no parameter 'scale' .* it has"):
        net.get_parameter("0.scale")
    net.set_submodule("0", nn.Identity())
    assert isinstance(net[0], nn.Identity)
    with pytest.raises(AttributeError, match="no module '5'"):
        net.set_submodule("5", nn.Identity(), strict=True)
    assert list(net._modules) == ["0", "1"]
    net._modules["0"] = nn.Linear(2, 3)
    assert net[0]._parameters["bias"].shape == (3,)
    del net._modules["1"]
    assert len(net) == 1
    with pytest.raises(KeyError, match="bias"):
        _ = net._buffers["bias"]


def test_half_precision_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="float32 and float64 only"):
        nn.Linear(1, 1).half()
    with pytest.raises(NotImplementedError, match="float32 and float64 only"):
        nn.Linear(1, 1).bfloat16()
    assert nn.Linear(1, 1).type(mg.float64).weight.dtype == mg.float64
