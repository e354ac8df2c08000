"""Sequential, ModuleList and ModuleDict."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import nn


def test_sequential_slices_and_replaces() -> None:
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    assert list(net) == [a, b, c] and len(net) == 3 and b in net
    assert net[-1] is c and isinstance(net[:2], nn.Sequential)
    assert [n for n, _ in net[1:].named_parameters()] == ["2.weight", "2.bias"]
    net[1] = nn.Tanh()
    assert repr(net[1]) == "Tanh()"
    del net[1]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    net.append(nn.Sigmoid()).insert(0, nn.Identity()).extend([nn.ReLU()])
    assert [type(m).__name__ for m in net] == ["Identity", "Linear", "Linear", "Sigmoid", "ReLU"]
    assert repr(net.pop(0)) == "Identity()" and len(net) == 4
    with pytest.raises(IndexError, match="Sequential: index 4 is out of range for 4 modules"):
        net[4]
    with pytest.raises(TypeError, match="add_module: expected a Module or None, got int"):
        nn.Sequential(3)


def test_sequential_names_and_shared_layers() -> None:
    layer = nn.Linear(2, 2)
    net = nn.Sequential({"first": layer, "act": nn.ReLU(), "again": layer})
    assert [n for n, _ in net.named_parameters()] == ["first.weight", "first.bias"]
    x = mg.ones(1, 2)
    assert net(x).tolist() == layer(layer(x).relu()).tolist()
    assert len(net) == 3 and net.act is net[1]
    del net[0]
    assert list(net.state_dict()) == ["again.weight", "again.bias"]


def test_module_list() -> None:
    net = nn.ModuleList([nn.Linear(2, 2)])
    net += [nn.ReLU()]
    net.extend([nn.Tanh()])
    assert [n for n, _ in net.named_children()] == ["0", "1", "2"]
    assert isinstance(net[:2], nn.ModuleList) and len(net[:2]) == 2
    assert len(net + nn.ModuleList([nn.ReLU()])) == 4
    del net[:2]
    assert repr(net) == "ModuleList(\n  (0): Tanh()\n)"
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_module_dict() -> None:
    net = nn.ModuleDict([("a", nn.ReLU())])
    net["b"] = nn.Tanh()
    net.update({"a": nn.Sigmoid()})
    assert list(net.keys()) == ["a", "b"] and repr(net["a"]) == "Sigmoid()"
    assert [k for k, _ in net.items()] == ["a", "b"] and len(list(net.values())) == 2
    assert repr(net.pop("a")) == "Sigmoid()" and "a" not in net
    with pytest.raises(KeyError, match=r"ModuleDict has no module 'c'; it has \['b'\]"):
        net["c"]
    with pytest.raises(KeyError, match="already has an attribute 'keys'"):
        net["keys"] = nn.ReLU()
    net.clear()
    assert len(net) == 0
