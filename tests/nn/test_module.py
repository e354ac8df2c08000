"""Module: registration, names, state, modes, hooks."""

from __future__ import annotations

import copy
import importlib

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.scale = nn.Parameter(mg.ones(1))
        self.register_buffer("mask", mg.ones(2))
        self.register_buffer("scratch", mg.ones(2), persistent=False)
        self.note = mg.ones(1)  # a plain tensor is a plain attribute

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        return self.head(self.norm(self.first(x))) * self.scale * self.mask


NAMES = [
    "scale",
    "first.weight",
    "first.bias",
    "norm.weight",
    "norm.bias",
    "head.1.weight",
]
KEYS = [
    "scale",
    "mask",
    "first.weight",
    "first.bias",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
    "head.1.weight",
]


# ---------------------------------------------------------------- names
def test_names_in_pytorchs_order() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == NAMES
    assert list(net.state_dict()) == KEYS
    assert [n for n, _ in net.named_children()] == ["first", "norm", "head"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "norm", "head", "head.0", "head.1"]
    assert [n for n, _ in net.named_buffers()] == [
        "mask",
        "scratch",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]
    assert [n for n, _ in net.named_parameters(prefix="net", recurse=False)] == ["net.scale"]
    assert net.state_dict()["norm.num_batches_tracked"].dtype == mg.int64


def test_names_are_torchs_live() -> None:
    pytest.importorskip("torch")
    torch = importlib.import_module("torch")

    def build(kit: object, tensor: object) -> tuple[list[str], list[str], list[str], str]:
        tied = kit.Linear(2, 2)
        net = kit.Sequential(
            kit.Linear(2, 3), kit.BatchNorm1d(3), kit.ModuleList([tied, tied]), kit.LayerNorm(3)
        )
        net.register_buffer("b", tensor)
        net[0].register_parameter("extra", None)
        return (
            list(net.state_dict()),
            [n for n, _ in net.named_parameters()],
            [n for n, _ in net.named_modules()],
            repr(net),
        )

    theirs, ours = build(torch.nn, torch.ones(1)), build(nn, mg.ones(1))
    assert ours == theirs


def test_a_shared_module_or_parameter_appears_once() -> None:
    net = nn.Module()
    net.a = nn.Linear(2, 2)
    net.b = net.a
    net.w = net.a.weight
    assert [n for n, _ in net.named_parameters()] == ["w", "a.bias"]
    assert [n for n, _ in net.named_children()] == ["a"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 5
    assert list(net.state_dict()) == ["w", "a.weight", "a.bias", "b.weight", "b.bias"]
    twin = copy.deepcopy(net)
    assert twin.a is twin.b and twin.w is twin.a.weight and twin.w is not net.w


def test_get_submodule() -> None:
    net = Net()
    assert net.get_submodule("head.1") is net.head[1]
    assert net.get_submodule("") is net
    with pytest.raises(AttributeError, match=r"Sequential has no module '7' \(of 'head.7'\)"):
        net.get_submodule("head.7")


# ---------------------------------------------------------------- registration
def test_assignment_registers_and_replaces() -> None:
    net = nn.Module()
    net.x = 3
    net.x = nn.Parameter(mg.ones(1))
    assert [n for n, _ in net.named_parameters()] == ["x"]
    net.x = nn.Linear(1, 1)  # another kind takes the name over
    assert [n for n, _ in net.named_parameters()] == ["x.weight", "x.bias"]
    net.x = None
    assert list(net.parameters()) == []
    assert net.x is None
    del net.x
    assert not hasattr(net, "x")
    with pytest.raises(AttributeError):
        del net.x


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "weight",
            mg.ones(3, 2),
            "Linear.weight is a parameter: expected a Parameter or None, got",
        ),
        ("bias", 3.0, "Linear.bias is a parameter: expected a Parameter or None, got float"),
        ("child", 3, "Linear.child is a module: expected a Module or None, got int"),
        ("buffer", [1], "Linear.buffer is a buffer: expected a Tensor or None, got list"),
    ],
)
def test_a_name_keeps_its_kind(name: str, value: object, message: str) -> None:
    layer = nn.Linear(2, 3)
    layer.child = nn.ReLU()
    layer.register_buffer("buffer", None)
    with pytest.raises(TypeError, match=message):
        setattr(layer, name, value)
    assert layer.weight.shape == (3, 2)


def test_before_init_runs() -> None:
    class Early(nn.Module):
        def __init__(self, make: object) -> None:
            self.plain = 1
            make(self)

    for make in (
        lambda m: setattr(m, "w", nn.Parameter(mg.ones(1))),
        lambda m: setattr(m, "m", nn.ReLU()),
        lambda m: m.register_buffer("b", mg.ones(1)),
    ):
        with pytest.raises(
            AttributeError, match=r"Early: cannot .* call super\(\).__init__\(\) fi"
        ):
            Early(make)


def test_register_refuses() -> None:
    net = nn.Linear(1, 1)
    with pytest.raises(KeyError, match="already has an attribute 'forward'"):
        net.register_buffer("forward", mg.ones(1))
    with pytest.raises(KeyError, match="already has an attribute 'weight'"):
        net.register_buffer("weight", mg.ones(1))
    with pytest.raises(KeyError, match="expected a non-empty string without a dot"):
        net.register_parameter("a.b", None)
    with pytest.raises(TypeError, match="expected a Parameter or None, got Tensor"):
        net.register_parameter("p", mg.ones(1))
    with pytest.raises(TypeError, match="expected a Tensor or None, got int"):
        net.register_buffer("p", 1)
    with pytest.raises(TypeError, match="expected a Module or None, got int"):
        net.add_module("p", 1)


def test_a_buffer_may_change_its_persistence() -> None:
    net = nn.Module()
    net.register_buffer("b", mg.ones(1), persistent=False)
    assert list(net.state_dict()) == []
    net.register_buffer("b", mg.ones(1))
    assert list(net.state_dict()) == ["b"]
    net.b = mg.zeros(1)
    assert net.state_dict()["b"].item() == 0


def test_parameter_shares_memory_and_is_a_leaf() -> None:
    x = mg.ones(2, requires_grad=True) * 2
    p = nn.Parameter(x)
    p.array[0] = 5
    assert x.tolist() == [5, 2]
    assert p.is_leaf and p.requires_grad and isinstance(p, mg.Tensor)
    assert not nn.Parameter(x, requires_grad=False).requires_grad
    assert type(p * 1) is mg.Tensor
    p.grad = mg.ones(2)
    assert copy.deepcopy(p).grad is None
    with pytest.raises(TypeError, match="Parameter: expected a tensor or an array, got list"):
        nn.Parameter([1.0])
    with pytest.raises(TypeError, match="only floating tensors have gradients, got int64"):
        nn.Parameter(mg.tensor([1]))


# ---------------------------------------------------------------- state
def test_state_shares_memory() -> None:
    net = Net()
    state = net.state_dict()
    net.scale.array[...] = 7
    assert state["scale"].item() == 7
    assert not state["scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert next(iter(net.state_dict(prefix="net."))) == "net.scale"
    net.load_state_dict(state)  # onto itself
    assert net.scale.item() == 7


def test_load_takes_arrays_and_converts() -> None:
    net = Net()
    state = {
        k: v.array.astype("float64") if v.array.dtype.kind == "f" else v.array
        for k, v in net.state_dict().items()
    }
    state["scale"] = np.array([2.5])
    net.load_state_dict(state)
    assert net.scale.dtype == mg.float32 and net.scale.item() == 2.5


def test_load_lists_every_fault_and_writes_nothing() -> None:
    net = Net()
    before = {k: v.array.copy() for k, v in net.state_dict().items()}
    state = {k: mg.full(v.shape, 9, dtype=v.dtype) for k, v in net.state_dict().items()}
    del state["first.bias"]
    state["extra"] = mg.ones(1)
    state["first.weight"] = mg.ones(3, 4)
    state["mask"] = "a string"
    state["norm.num_batches_tracked"] = mg.tensor(0.5)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    for part in (
        "load_state_dict: the state does not fit Net, nothing was loaded:",
        "unexpected: extra",
        "missing: first.bias",
        "first.weight: its shape is (3, 4), the model's (4, 3)",
        "mask: expected a tensor, got str",
        "norm.num_batches_tracked: its dtype is float32, the model's int64",
        "strict=False ignores missing and unexpected names",
    ):
        assert part in str(caught.value)
    for k, v in net.state_dict().items():
        assert np.array_equal(v.array, before[k])
    with pytest.raises(RuntimeError, match=r"shape is \(3, 4\)"):
        net.load_state_dict(state, strict=False)
    with pytest.raises(TypeError, match="expected a dict of tensors by name, got list"):
        net.load_state_dict([1])


def test_load_not_strict_returns_what_differed() -> None:
    net = Net()
    result = net.load_state_dict({"scale": mg.zeros(1), "extra": mg.ones(1)}, strict=False)
    assert result.missing_keys == [k for k in KEYS if k != "scale"]
    assert result.unexpected_keys == ["extra"]
    assert "unexpected_keys=['extra']" in repr(result)
    assert net.scale.item() == 0


def test_load_between_forward_and_backward_is_noticed() -> None:
    layer = nn.Linear(2, 2)
    y = layer(mg.ones(1, 2, requires_grad=True)).sum()
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match=r"changed in place by load_state_dict\(\)"):
        y.backward()


def test_swapped_values_survive_loading() -> None:
    net = nn.Module()
    net.a, net.b = nn.Parameter(mg.ones(2)), nn.Parameter(mg.zeros(2))
    shared = net.state_dict()
    net.load_state_dict({"a": shared["b"].clone(), "b": shared["a"].clone()})
    assert (net.a.tolist(), net.b.tolist()) == ([0, 0], [1, 1])


# ---------------------------------------------------------------- modes, dtypes, hooks
def test_zero_grad_apply_and_freezing() -> None:
    net = Net()
    net(mg.ones(3, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad.array == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    seen: list[str] = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Linear", "Sequential", "Net"]
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    with pytest.raises(ValueError, match="train: mode must be True or False, got 'no'"):
        net.train("no")


def test_to_converts_gradients_too_and_leaves_integers() -> None:
    net = Net()
    net(mg.ones(3, 3)).sum().backward()
    net.to("float64")
    assert net.scale.grad.dtype == mg.float64
    assert net.norm.num_batches_tracked.dtype == mg.int64
    assert net(mg.ones(3, 3, dtype=mg.float64)).dtype == mg.float64
    assert net.to(mg.ones(1)).to("cpu").to(device="cpu").scale.dtype == mg.float32
    with pytest.raises(TypeError, match="Net.to: expected a floating dtype, got int64"):
        net.to(mg.int64)
    with pytest.raises(ValueError, match="device: expected 'cpu', 'cuda', .* got 'tpu'"):
        net.to("tpu")


def test_hooks_see_and_replace() -> None:
    layer = nn.Identity()
    before = layer.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    after = layer.register_forward_hook(lambda m, args, y: y * 10)
    watching = layer.register_forward_hook(lambda m, args, y: None)
    assert layer(1) == 20
    before.remove()
    assert layer(1) == 10
    after.remove()
    watching.remove()
    watching.remove()
    assert layer(1) == 1 and layer._hooks is None


def test_no_forward() -> None:
    with pytest.raises(NotImplementedError, match=r"Module Module has no forward\(\)"):
        nn.Module()(1)
