"""Fused programs: what is written in separate functions runs as one kernel, with the same bits, and
only where nobody needs the parts.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.capturing import fusion, planning

CALLS = 6


class Random(nn.Module):
    """A net of layers drawn at random, in separate functions, with shortcuts here and there."""

    def __init__(self, seed: int, dtype: Any = mg.float32) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.plan = [
            str(rng.choice(["linear", "norm", "relu", "drop", "tanh", "add"], p=P))
            for _ in range(12)
        ]
        self.layers = nn.ModuleList()
        for kind in self.plan:
            bias = bool(rng.integers(2))
            made: Any = nn.Identity()
            if kind == "linear":
                made = nn.Linear(6, 6, bias=bias, dtype=dtype)
            elif kind == "norm":
                made = nn.BatchNorm1d(6, affine=bias, dtype=dtype)
            elif kind == "drop":
                made = nn.Dropout(0.3)
            self.layers.append(made)
        self.head = nn.Linear(6, 3, dtype=dtype)

    def forward(self, x: Any) -> Any:
        for kind, layer in zip(self.plan, self.layers, strict=True):
            before = x
            x = layer(x)
            x = F.relu(x) if kind == "relu" else x.tanh() if kind == "tanh" else x
            x = x + before.sin() if kind == "add" else x
        return self.head(x)


P = (0.25, 0.2, 0.25, 0.15, 0.05, 0.1)


def trained(make: Any, capture: bool, dtype: Any = np.float32) -> tuple[list[Any], Counter[str]]:
    """Return all bits that some steps leave, and the kernels of the program."""
    _ = mg.manual_seed(3)
    model = make()
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    call = mg.capture(step) if capture else step
    found = []
    for k in range(CALLS):
        x = np.random.default_rng(k).standard_normal((5, 6)).astype(dtype)
        found.append(call(mg.from_numpy(x), mg.tensor([0, 1, 2, k % 3, 1])).array.tobytes())
        found += [t.array.tobytes() for t in model.state_dict().values()]
        found += [p.grad.array.tobytes() for p in model.parameters() if p.grad is not None]
    kernels: Counter[str] = Counter()
    if capture:
        assert call.calls["replayed"] == CALLS - 3, call.explain()
        kernels.update(launch.kernel for launch in call.programs[0])
    return found, kernels


SEEN: Counter[str] = Counter()


@pytest.mark.parametrize("seed", range(20))
def test_random_nets_keep_their_bits(seed: int) -> None:
    found, kernels = trained(lambda: Random(seed), True)
    assert found == trained(lambda: Random(seed), False)[0]
    SEEN.update(kernels)


def test_the_random_nets_met_every_fusion() -> None:
    fused = (
        "gemm_activation",
        "gemm_masked",
        "batch_norm_dropout_forward",
        "batch_norm_dropout_backward",
    )
    assert not SEEN or all(SEEN[name] for name in fused), SEEN


def test_float64_keeps_its_bits() -> None:
    for seed in range(3):
        nets = [
            trained(lambda s=seed: Random(s, mg.float64), on, np.float64) for on in (True, False)
        ]
        assert nets[0][0] == nets[1][0]


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_of_fused_programs_are_those_of_differences(threads: int) -> None:
    """Float64: central differences of the replayed loss, with the same dropout in each call."""
    was = mg.get_num_threads()
    if threads > was:
        pytest.skip("one thread here")
    mg.set_num_threads(threads)
    try:
        check_differences()
    finally:
        mg.set_num_threads(was)


def check_differences() -> None:
    _ = mg.manual_seed(0)
    model = Written().double()
    generator = model.drop.generator

    @mg.capture
    def step(x: Any, y: Any) -> Any:
        for p in model.parameters():
            p.grad = None
        loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        loss.backward()
        return loss.detach()

    x, y = mg.randn(5, 6, dtype=mg.float64), mg.tensor([0, 1, 2, 2, 1])

    def loss_and_gradients() -> tuple[float, list[Any]]:
        generator.calls = 7
        loss = step(x, y).item()
        return loss, [p.grad.array.copy() for p in model.parameters()]

    for _ in range(4):
        loss_and_gradients()
    _, gradients = loss_and_gradients()
    fused = [launch.kernel for launch in step.programs[0]]
    assert "gemm_masked" in fused and "batch_norm_dropout_backward" in fused
    rng, width = np.random.default_rng(0), 1e-6
    for p, g in zip(model.parameters(), gradients, strict=True):
        direction = rng.standard_normal(p.shape)
        found = []
        for sign in (1, -1):
            with mg.no_grad():
                p.add_(mg.from_numpy(sign * width * direction))
            found.append(loss_and_gradients()[0])
            with mg.no_grad():
                p.sub_(mg.from_numpy(sign * width * direction))
        difference = (found[0] - found[1]) / (2 * width)
        np.testing.assert_allclose((g * direction).sum(), difference, rtol=1e-6, atol=1e-9)
    assert step.calls["eager"] == 1 and step.calls["recorded"] == 2


@pytest.mark.parametrize("left_out", range(len(fusion.FUSIONS)))
def test_each_fusion_can_be_switched_off(left_out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = fusion.FUSIONS[left_out]
    monkeypatch.setattr(planning, "PASSES", [p for p in planning.PASSES if p is not gone])
    found, kernels = trained(Written, True)
    assert found == trained(Written, False)[0]
    absent = (
        ("batch_norm_dropout_forward", "batch_norm_dropout_backward"),
        ("gemm_activation",),
        ("gemm_masked",),
    )
    for i, names in enumerate(absent):
        assert all((kernels[name] == 0) is (i == left_out) for name in names), kernels


class Written(nn.Module):
    """Linear, batch-norm, ReLU, dropout; linear, ReLU; a head; as separate functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.2)
        self.second, self.third, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        x = self.drop(F.relu(self.norm(self.first(x))))
        x = F.relu(self.third(F.relu(self.second(x))))
        return self.head(x)


def kernels_of(function: Any, *args: Any) -> list[str]:
    """Return a function's program; its results are those without capture."""
    captured = mg.capture(function)
    for _ in range(CALLS):
        for a, b in zip(captured(*args), function(*args), strict=True):
            assert a.array.tobytes() == b.array.tobytes()
    return [launch.kernel for launch in captured.programs[0]]


def test_a_separate_step_has_the_kernels_of_a_sequential() -> None:
    _, kernels = trained(Written, True)
    assert kernels["relu"] == kernels["relu_backward"] == kernels["dropout"] == 0
    assert kernels["gemm_activation"] == 2 and kernels["gemm_masked"] == 2


def test_what_somebody_needs_stays() -> None:
    w, x = mg.randn(4, 4), mg.randn(3, 4)
    assert kernels_of(lambda x: (F.relu(F.linear(x, w)),), x) == ["gemm_activation"]

    def returned(x: Any) -> Any:
        z = F.linear(x, w)
        return z, F.relu(z)

    def twice(x: Any) -> Any:
        z = F.linear(x, w)
        return (F.relu(z) + z,)

    def of_a_part(x: Any) -> Any:
        return (F.relu(F.linear(x, w)[:2]),)

    def turned(x: Any) -> Any:
        return (F.relu(F.linear(x, w).T),)

    def changed(x: Any) -> Any:
        z = F.linear(x, w)
        y = F.relu(z.add_(1))
        return (y,)

    for function in (returned, twice, of_a_part, turned, changed):
        kernels = kernels_of(function, x)
        assert "gemm_activation" not in kernels and "relu" in kernels, function


def test_a_weight_changed_in_between_is_used_as_it_was() -> None:
    w, x = mg.ones(4, 4), mg.randn(3, 4)

    def step(x: Any) -> Any:
        z = F.linear(x, w)
        w.mul_(0.5)
        y = F.relu(z)
        w.mul_(2.0)
        return (y,)

    kernels_of(step, x)
