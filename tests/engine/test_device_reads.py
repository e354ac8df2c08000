"""What is read from a device: nothing unseen, and at most a number or two in a training step."""

from __future__ import annotations

import math
import operator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.engine.device import targets

if find_spec("greenlet") is None:
    pytest.skip("needs greenlet (pip install minigrad[simulate])", allow_module_level=True)

SIM = mg.device("cuda-sim")
LARGEST = 2  # elements that one read of a step may bring


class Reads:
    """The sizes of the arrays that were read from the simulator."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        simulator = type(targets().simulator())
        read = simulator.read

        def counted(target: Any, array: Any, *options: Any) -> Any:
            self.sizes.append(array.size)
            return read(target, array, *options)

        patch.setattr(simulator, "read", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


# ---------------------------------------------------------------- what is refused
BOTH = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "matmul")
SIDES = ("eq", "ne", "lt", "le", "gt", "ge", "lshift", "rshift")
FUNCTIONS: dict[str, Any] = {
    **{n: getattr(np, n) for n in ("isfinite", "isnan", "exp", "sum", "max", "where", "argmax")},
    **{n: getattr(np, n) for n in ("any", "all", "sort", "unique", "concatenate", "stack", "mean")},
    **{n: getattr(np, n) for n in ("array", "asarray", "copy", "zeros_like")},
    "array_equal": lambda a: np.array_equal(a, np.ones(2)),
    "asarray of float64": lambda a: np.asarray(a, np.float64),
    "add": lambda a: np.add(a, 1),
    "add to the left": lambda a: np.add(np.ones(2), a),
    "an out": lambda a: np.add(np.ones(2), 1, out=a),
    "add.reduce": np.add.reduce,
    "allclose": lambda a: np.allclose(a, 1),
    "array == ": lambda a: np.ones(2) == a,
    "array + ": lambda a: np.ones(2) + a,
}


@pytest.mark.parametrize("name", [*BOTH, *SIDES])
def test_operators_of_a_device_array_raise(name: str, reads: Reads) -> None:
    a = mg.ones(2, device=SIM).array
    f = getattr(operator, name)
    for other in (a, 1, 2.5, np.ones(2), np.float32(1)):
        for pair in ((a, other), (other, a)):
            with pytest.raises(TypeError, match="cuda-sim.*(cpu|host)"):
                f(*pair)
    assert reads.sizes == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpys_functions_of_a_device_array_raise(name: str, reads: Reads) -> None:
    t = mg.ones(2, device=SIM)
    with pytest.raises(TypeError, match=r"cuda-sim"):
        FUNCTIONS[name]([t.array] if name in ("concatenate", "stack") else t.array)
    if name not in ("array_equal", "zeros_like", "array == ", "array + ", "where", "an out"):
        own = name in (
            "sum",
            "max",
            "any",
            "all",
            "mean",
        )  # NumPy calls the tensor's, with `axis` and `out`
        with pytest.raises(TypeError, match="axis|out" if own else "cuda-sim"):
            FUNCTIONS[name]([t] if name in ("concatenate", "stack") else t)
    assert reads.sizes == []


@pytest.mark.parametrize("f", [bool, float, int, list, operator.index, lambda a: 1 in a])
def test_numbers_and_elements_of_a_device_array_are_not_read_unseen(f: Any, reads: Reads) -> None:
    for a in (mg.ones(1, device=SIM).array, mg.ones(3, device=SIM).array):
        with pytest.raises(TypeError, match=r"cuda-sim.*\.cpu\(\)"):
            f(a)
    with pytest.raises(TypeError, match="indexing by arrays: .*cuda-sim"):
        mg.ones(3, device=SIM).array[np.array([0])]
    assert reads.sizes == []


def test_what_reads_says_so(reads: Reads) -> None:
    t = mg.tensor([[1.0, 2.0]], device=SIM)
    assert t.tolist() == t.array.tolist() == [[1.0, 2.0]]
    assert t[0, 1].item() == float(t[0, 1]) == 2.0 and bool(t[0, 0])
    assert f"{t[0, 1]:.1f}" == "2.0" and "cuda-sim" in repr(t)
    assert t.cpu().numpy().tolist() == [[1.0, 2.0]] and 2.0 in t
    assert len(reads.sizes) == 9
    assert [row.device for row in t] == [SIM] and len(reads.sizes) == 9  # rows are views


# ---------------------------------------------------------------- what a step reads
def network() -> nn.Sequential:
    mg.manual_seed(3)
    layers = (nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.25), nn.Linear(4, 2))
    return nn.Sequential(*layers).to(SIM)


@pytest.mark.parametrize(
    ("loss", "most"),
    [
        ("cross_entropy", 1),  # the smallest and the largest class
        ("weighted", 1),
        ("mse_loss", 0),
        ("huber_loss", 0),
        ("binary_cross_entropy_with_logits", 0),
        ("binary_cross_entropy", 1),  # the smallest and the largest probability
    ],
)
def test_a_step_reads_a_number_or_two(loss: str, most: int, reads: Reads) -> None:
    model = network()
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(4, 3)).astype(np.float32), device=SIM)
    classes = mg.tensor([0, 1, 1, 0], device=SIM)
    target = mg.tensor(rng.uniform(size=(4, 2)).astype(np.float32), device=SIM)
    weight = mg.tensor([1.0, 2.0], device=SIM)
    reads.sizes.clear()
    output = model(x)
    if loss == "cross_entropy":
        total = F.cross_entropy(output, classes)
    elif loss == "weighted":
        total = F.cross_entropy(output, classes, weight, label_smoothing=0.1)
    else:
        output = output.sigmoid() if loss == "binary_cross_entropy" else output
        total = getattr(F, loss)(output, target)
    total.backward()
    mg.optim.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    optimizer.zero_grad()
    assert len(reads.sizes) <= most and max(reads.sizes, default=0) <= LARGEST


def fit(batches: int, reads: Reads) -> list[int]:
    """Fit one epoch on batches that lie on the device; return the sizes of what was read."""
    rng = np.random.default_rng(1)
    x = mg.tensor(rng.normal(size=(batches * 3, 3)).astype(np.float32), device=SIM)
    y = mg.tensor(rng.integers(0, 2, batches * 3), device=SIM)
    loader = [(x[i : i + 3], y[i : i + 3]) for i in range(0, batches * 3, 3)]
    model = network()
    trainer = mg.Trainer(
        model,
        mg.optim.SGD(model.parameters(), lr=1e-2),
        metrics={"accuracy": mg.train.accuracy},
        callbacks=[
            mg.train.StopOnNonFinite(),
            mg.train.GradientClipping(max_norm=0.1),
            mg.train.EarlyStopping("loss"),
        ],
        device=SIM,
        doctor=False,  # it reads a few steps whole
    )
    reads.sizes.clear()
    trainer.fit(loader, epochs=1)
    return list(reads.sizes)


def test_a_fit_reads_four_numbers_a_step(reads: Reads) -> None:
    one, three = fit(1, reads), fit(3, reads)
    # In the first epoch: is the batch finite, which classes are there, are loss and gradients
    # finite, is their norm, which is to be clipped; at its end, all losses and all accuracies
    # together.
    assert len(three) - len(one) == 2 * 4
    assert max(three) <= 3


def test_stop_on_non_finite_names_the_gradient_on_a_device() -> None:
    model = nn.Sequential(nn.Linear(2, 1)).to(SIM)
    callback = mg.train.StopOnNonFinite()
    trainer = mg.Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
    trainer.batch_loss = mg.tensor(1.0, device=SIM)
    for p in model.parameters():
        p.grad = mg.ones(*p.shape, device=SIM)
    callback.after_backward(trainer)
    p.grad = mg.full(p.shape, math.inf, device=SIM)
    with pytest.raises(FloatingPointError, match=r"gradient of 0\.bias has 1 of 1 values"):
        callback.after_backward(trainer)
    p.grad = mg.ones(*p.shape, device=SIM)
    trainer.batch_loss = mg.tensor(math.nan, device=SIM)
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        callback.after_backward(trainer)


def test_classes_are_checked_on_the_device(reads: Reads) -> None:
    x = mg.zeros(3, 2, device=SIM)
    with pytest.raises(ValueError, match="target 2 at position 1 is out of range for 2 classes"):
        F.cross_entropy(x, mg.tensor([0, 2, 1], device=SIM))
    with pytest.raises(ValueError, match="target -1 at position 0"):
        F.cross_entropy(x, mg.tensor([-1, -100, 1], device=SIM))
    reads.sizes.clear()
    assert abs(F.cross_entropy(x, mg.tensor([0, -100, 1], device=SIM)).item() - math.log(2)) < 1e-6
    assert max(reads.sizes) <= LARGEST
    want = F.nll_loss(mg.ones(3, 2), mg.tensor([0, -100, 1]), mg.tensor([1.0, 3.0])).item()
    there = [t.to(SIM) for t in (mg.ones(3, 2), mg.tensor([0, -100, 1]), mg.tensor([1.0, 3.0]))]
    assert F.nll_loss(*there).item() == want


def test_the_anomaly_mode_looks_on_the_device() -> None:
    x = mg.tensor([0.0, 1.0], device=SIM, requires_grad=True)
    with (
        mg.detect_anomaly(),
        pytest.raises(RuntimeError, match=r"the gradient of Mul .*is NaN for its input 0"),
    ):
        (x * mg.tensor([math.nan, 1.0], device=SIM)).sum().backward()
