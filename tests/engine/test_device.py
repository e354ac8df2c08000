"""Tensors, modules, optimizers and files on the simulated device; what is refused, and how."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn

if find_spec("greenlet") is None:
    pytest.skip("needs greenlet (pip install minigrad[simulate])", allow_module_level=True)

SIM = mg.device("cuda-sim")


# ---------------------------------------------------------------- devices
def test_devices_are_equal_by_type_and_number() -> None:
    assert mg.device("cuda") == mg.device("cuda:0") == "cuda" and mg.device("cuda:1") != "cuda"
    assert len({mg.device("cuda"), mg.device("cuda", 0), mg.device("cpu"), SIM}) == 3
    assert (str(SIM), str(mg.device("cuda:2")), repr(SIM)) == (
        *("cuda-sim", "cuda:2"),
        "device(type='cuda-sim')",
    )
    assert mg.device("cpu") != "no device" and mg.device("cpu") != 3


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cpu:1", "cuda-sim:0", ""])
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="device: "):
        mg.device(name)


def test_a_missing_gpu_says_what_to_do() -> None:
    if mg.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match="no CUDA: .*'cuda-sim'|no CUDA: .*pip install"):
        mg.ones(2).to("cuda")
    assert mg.cuda.device_count() == 0


# ---------------------------------------------------------------- tensors
def test_there_and_back() -> None:
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    there = x.to(SIM)
    assert there.device == "cuda-sim" and there.is_cuda and not x.is_cuda
    assert there.to("cuda-sim") is there and x.cpu() is x
    assert there.cpu().tolist() == there.tolist() == x.tolist()
    assert there.t().cpu().tolist() == x.t().tolist()
    assert there[:, 1].sum().item() == 6.0 and there.to(mg.float64).dtype == mg.float64
    assert repr(there) == "tensor([[1., 2.],\n        [3., 4.]], device='cuda-sim')"
    assert there.to(x).device == "cpu"


def test_made_on_a_device() -> None:
    made = (
        mg.zeros(2, device=SIM),
        mg.full((2,), 3, device=SIM),
        mg.arange(3, device=SIM),
        mg.rand(3, device=SIM),
        mg.tensor([1.0], device=SIM, requires_grad=True),
    )
    assert all(t.device == SIM for t in made)
    assert mg.ones_like(made[0]).device == SIM and mg.tensor(made[0]).device == SIM
    assert mg.zeros(2).device == "cpu"


def test_no_array_of_it() -> None:
    x = mg.ones(2, device=SIM)
    with pytest.raises(TypeError, match=r"numpy: the tensor lies on cuda-sim; use .cpu\(\)"):
        x.numpy()
    with pytest.raises(TypeError, match="use .cpu"):
        np.asarray(x)
    with pytest.raises(TypeError, match="cannot be made of memory on cuda-sim"):
        np.asarray(x.array)


def test_one_device_an_op() -> None:
    x, y = mg.ones(2, 3, device=SIM), mg.ones(2, 3)
    with pytest.raises(RuntimeError, match=r"Add: .*\(2, 3\) on cuda-sim, \(2, 3\) on cpu"):
        x + y
    with pytest.raises(RuntimeError, match="MatMul: its inputs lie on several devices"):
        y @ x.t()
    with pytest.raises(RuntimeError, match="eq: its inputs"):
        (x == y).all()
    assert (x + 2.0).tolist() == (2.0 + x).tolist() == (x + mg.tensor(2.0)).tolist()


def test_gradients_cross_devices() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    scale = mg.tensor(3.0, requires_grad=True)
    (x.to(SIM) * scale).sum().cpu().backward()
    assert x.grad.tolist() == [3.0, 3.0] and x.grad.device == "cpu"
    assert scale.grad.item() == 3.0 and scale.grad.device == "cpu"


def test_second_order_on_the_device() -> None:
    x = mg.tensor([0.5, -1.0, 2.0], device=SIM, requires_grad=True)
    (slope,) = mg.grad((x * x * x).sum(), [x], create_graph=True)
    (bend,) = mg.grad(slope.sum(), [x])
    assert bend.device == SIM and bend.tolist() == [3.0, -6.0, 12.0]


def test_in_place_and_views() -> None:
    x = mg.zeros(2, 3, device=SIM)
    x[0] = 1.0
    x[:, 1] += 2.0
    x.t()[2] = mg.tensor([5.0, 6.0], device=SIM)
    assert x.tolist() == [[1.0, 3.0, 5.0], [0.0, 2.0, 6.0]]
    leaf = mg.ones(3, device=SIM, requires_grad=True)
    y = leaf * 2
    y[1] = 7.0
    y.sum().backward()
    assert leaf.grad.tolist() == [2.0, 0.0, 2.0]


# ---------------------------------------------------------------- models
def network() -> nn.Sequential:
    mg.manual_seed(3)
    return nn.Sequential(
        *(
            nn.Linear(6, 8, bias=False),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.Linear(8, 3),
        )
    )


def losses(device: Any, steps: int, clip: float | None = None) -> tuple[list[float], nn.Sequential]:
    model = network().to(device)
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(steps):
        x = mg.tensor(rng.normal(size=(10, 6)).astype(np.float32), device=device)
        target = mg.tensor(rng.integers(0, 3, 10), device=device)
        loss = F.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            mg.optim.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        found.append(loss.item())
    return found, model


@pytest.mark.slow
def test_a_model_trains_as_on_the_cpu() -> None:
    cpu, first = losses("cpu", 20)
    sim, second = losses(SIM, 20)
    np.testing.assert_allclose(sim, cpu, rtol=1e-5)
    for (name, a), (_, b) in zip(
        first.state_dict().items(), second.state_dict().items(), strict=True
    ):
        assert b.device == SIM
        np.testing.assert_allclose(b.cpu().numpy(), a.numpy(), rtol=1e-3, atol=1e-5, err_msg=name)


def test_clipping_on_the_device() -> None:
    np.testing.assert_allclose(losses(SIM, 3, 0.1)[0], losses("cpu", 3, 0.1)[0], rtol=1e-5)


def test_masks_are_the_cpus() -> None:
    layer = nn.Dropout(0.4)
    mg.manual_seed(11)
    want = layer(mg.ones(7, 9))
    mg.manual_seed(11)
    assert layer(mg.ones(7, 9, device=SIM)).tolist() == want.tolist()


def test_states_and_files_cross_devices(tmp_path: Path) -> None:
    _, model = losses(SIM, 1)
    mg.save(model.state_dict(), tmp_path / "model.safetensors")
    other = network()
    other.load_state_dict(mg.load(tmp_path / "model.safetensors"))
    back = network().to(SIM)
    back.load_state_dict(other.state_dict())
    for name, t in model.state_dict().items():
        assert other.state_dict()[name].device == "cpu" and back.state_dict()[name].device == SIM
        assert other.state_dict()[name].tolist() == back.state_dict()[name].tolist() == t.tolist()


def test_an_optimizer_follows_its_parameters() -> None:
    w = nn.Parameter(mg.tensor([1.0, 2.0]))
    optimizer = mg.optim.Adam([w], lr=0.1)
    for device in ("cpu", SIM, "cpu"):
        w.array = w.to(device).array
        w.grad = mg.ones(2, device=device)
        optimizer.step()
        assert w.device == device
    state = optimizer.state_dict()
    again = mg.optim.Adam([nn.Parameter(mg.ones(2, device=SIM))], lr=0.1)
    again.load_state_dict(state)
    assert again.state_dict()["state"]["0"]["exp_avg"].device == SIM


def test_a_trainer_on_the_device() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(24, 6)).astype(np.float32), rng.integers(0, 3, 24)
    found = {}
    for device in ("cpu", "cuda-sim"):
        model = network()
        optimizer = mg.optim.AdamW(model.parameters(), lr=1e-2)
        loader = mg.data.DataLoader(mg.data.TensorDataset(mg.tensor(x), mg.tensor(y)), 12)
        trainer = mg.Trainer(
            model, optimizer, metrics={"accuracy": mg.train.accuracy}, device=device
        )
        history = trainer.fit(loader, loader, epochs=1)
        found[device] = [row["val_loss"] for row in history]
        assert next(iter(model.parameters())).device == device
    np.testing.assert_allclose(found["cuda-sim"], found["cpu"], rtol=1e-5)
