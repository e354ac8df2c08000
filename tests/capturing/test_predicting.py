"""Captured models for predictions: batch-norm folded in, batches of any size, several threads."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.train.recipe import mlp

CALLS = 5


def settled(model: Any) -> Any:
    """Return a model in evaluation whose statistics and parameters are those of no beginning."""
    rng = np.random.default_rng(0)
    for name, t in model.state_dict().items():
        if t.is_floating_point():
            low = 0.5 if name.endswith(("var", "weight")) and t.ndim == 1 else -0.5
            t.copy_(mg.Tensor(rng.uniform(low, low + 1, t.shape).astype(t.array.dtype)))
    return model.eval()


def of_rows(dtype: Any = mg.float32) -> Any:
    layers = [nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5)]
    layers += [nn.Linear(8, 8), nn.BatchNorm1d(8, affine=False), nn.Tanh(), nn.Linear(8, 3)]
    return settled(nn.Sequential(*layers).to(dtype))


def of_images() -> Any:
    layers = [nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    layers += [nn.Conv2d(4, 4, 3, groups=2, stride=2), nn.BatchNorm2d(4), nn.Flatten()]
    return settled(nn.Sequential(*layers, nn.Linear(36, 3), nn.BatchNorm1d(3)))


def apart(a: Any, b: Any) -> float:
    """Return how far two results are apart, of the larger's size."""
    return float(np.abs(a.array - b.array).max() / np.abs(b.array).max())


def kernels(predict: Any) -> list[str]:
    return [launch.kernel for launch in predict.programs[0]]


INPUTS = {of_rows: (4, 6), of_images: (2, 2, 8, 8)}


@pytest.mark.parametrize("make", INPUTS)
def test_batch_norm_is_folded_into_the_product_before_it(make: Any) -> None:
    model, shape = make(), INPUTS[make]
    predict = mg.capture(model)
    with mg.no_grad():
        for _ in range(CALLS):
            x = mg.randn(*shape)
            assert apart(predict(x), model(x)) < 1e-6
    assert predict.calls["replayed"] == CALLS - 3
    assert "batch_norm_eval" not in kernels(predict)
    assert "folded in" in str(predict.programs[0])


def test_float64_is_folded_in_float64() -> None:
    model = of_rows(mg.float64)
    predict = mg.capture(model)
    with mg.no_grad():
        for _ in range(CALLS):
            x = mg.randn(4, 6, dtype=mg.float64)
            assert apart(predict(x), model(x)) < 1e-14


def test_folding_can_be_switched_off_and_functions_do_not() -> None:
    model = of_rows()
    for predict in (mg.capture(model, fold=False), mg.capture(lambda x: model(x))):
        with mg.no_grad():
            for _ in range(CALLS):
                x = mg.randn(4, 6)
                assert predict(x).array.tobytes() == model(x).array.tobytes()
        assert kernels(predict).count("batch_norm_eval") == 2


def test_a_weight_may_lie_either_way() -> None:
    class Product(nn.Module):
        def __init__(self, outputs: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(mg.randn(6, outputs))
            self.norm = nn.BatchNorm1d(outputs)

        def forward(self, x: Any) -> Any:
            return self.norm(x @ self.weight)

    for outputs in (6, 4, 1):
        model = settled(Product(outputs))
        predict = mg.capture(model)
        with mg.no_grad():
            for _ in range(CALLS):
                x = mg.randn(5, 6)
                assert apart(predict(x), model(x)) < 1e-6
        assert "batch_norm_eval" not in kernels(predict)


def written(model: Any) -> None:
    model[0].weight.mul_(1.5)


def loaded(model: Any) -> None:
    state = {k: v * 0.7 if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.load_state_dict(state)


def of_statistics(model: Any) -> None:
    model.train()
    model(mg.randn(16, 6))
    model.eval()


def stepped(model: Any) -> None:
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    with mg.enable_grad():
        model(mg.randn(4, 6)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def stepped_by_replays(model: Any) -> None:
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)

    @mg.capture
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    with mg.enable_grad():
        for _ in range(CALLS):
            step(mg.randn(4, 6))
    assert step.calls["replayed"]
    optimizer.zero_grad()


def given_other_memory(model: Any) -> None:
    model[1].weight.data = mg.full((8,), 0.3)


CHANGES = (written, loaded, of_statistics, stepped, stepped_by_replays, given_other_memory)


@pytest.mark.parametrize("change", CHANGES)
def test_folded_weights_follow_the_parameters(change: Any) -> None:
    model = of_rows()
    predict = mg.capture(model)
    x = mg.randn(4, 6)
    with mg.no_grad():
        for _ in range(CALLS):
            before = predict(x)
        change(model)
        for _ in range(3):
            after = predict(x)
            assert apart(after, model(x)) < 1e-6
    assert apart(after, before) > 1e-3


def test_what_somebody_else_needs_is_not_folded() -> None:
    linear, norm = settled(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8)))

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.norm = linear, norm

        def forward(self, x: Any) -> Any:
            z = self.linear(x)
            return self.norm(z) + z

    class Changing(Both):
        def forward(self, x: Any) -> Any:
            y = self.norm(self.linear(x))
            self.norm.bias.mul_(0.9)
            return y

    for kind in (Both, Changing):
        model = kind().eval()
        copied = copy.deepcopy(model)
        predict = mg.capture(model)
        with mg.no_grad():
            for _ in range(CALLS):
                x = mg.randn(4, 6)
                assert predict(x).array.tobytes() == copied(x).array.tobytes()
        assert predict.calls["replayed"] and "batch_norm_eval" in kernels(predict)


def test_in_training_nothing_is_folded() -> None:
    model = of_rows().train()
    predict = mg.capture(model)
    with mg.no_grad():
        for _ in range(CALLS):
            predict(mg.randn(4, 6))
    assert "batch_norm_eval" not in kernels(predict)
    assert "folded in" not in str(predict.programs[0])


# ---------------------------------------------------------------- rows
def test_a_few_programs_serve_batches_of_any_size() -> None:
    model = of_rows()
    predict = mg.capture(model, rows=64)
    rng = np.random.default_rng(0)
    with mg.no_grad():
        for n in [*rng.integers(1, 65, 60), 65, 100]:
            x = mg.randn(int(n), 6)
            y = predict(x)
            assert y.shape == (n, 3) and apart(y, model(x)) < 1e-6
    assert len(predict.programs) <= 7 and predict.calls["replayed"] > 30


def test_rows_that_depend_on_each_other_are_noticed() -> None:
    class Centred(nn.Module):
        def forward(self, x: Any) -> Any:
            return x - x.mean(0)

    predict = mg.capture(Centred(), rows=64)
    with mg.no_grad():
        for n in (5, 6, 7, 7, 7, 7):
            x = mg.randn(n, 6)
            assert apart(predict(x), x - x.mean(0)) < 1e-6
    assert "depend on each other" in predict.explain()


def test_results_of_fewer_rows_stay() -> None:
    model = of_rows()
    predict = mg.capture(model, rows=64)
    with mg.no_grad():
        kept = [(predict(x), model(x)) for x in (mg.randn(5, 6) for _ in range(8))]
    assert all(apart(a, b) < 1e-6 for a, b in kept)


def test_rows_are_checked() -> None:
    with pytest.raises(ValueError, match="rows"):
        mg.capture(of_rows(), rows=0)


# ---------------------------------------------------------------- threads
def test_threads_predict_at_once() -> None:
    model = mlp((6, 32, 32, 3), "relu", [0.2, 0.5]).eval()
    predict = mg.capture(model, rows=32)
    wrong: list[Any] = []

    def run(seed: int) -> None:
        rng = np.random.default_rng(seed)
        with mg.no_grad():
            for _ in range(60):
                x = mg.from_numpy(rng.standard_normal((int(rng.integers(1, 33)), 6)).astype("f4"))
                found = predict(x)
                if apart(found, model(x)) > 1e-5:
                    wrong.append((seed, len(x)))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and predict.calls["replayed"] > 100
