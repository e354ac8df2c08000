"""A captured training step: what it computes, leaves behind and costs."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.train.recipe import mlp

STEPS = 200


class Training:
    """The recipe's model with all that a step may have, and its data."""

    def __init__(self, sizes: tuple[int, ...], rows: int, capture: bool) -> None:
        _ = mg.manual_seed(0)
        self.model = mlp(sizes, "relu", [0.2] * (len(sizes) - 2))
        self.optimizer = mg.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.01)
        self.schedule = OneCycleLR(self.optimizer, max_lr=0.01, total_steps=5 * STEPS)
        self.call = mg.capture(self.step) if capture else self.step
        self.rng = np.random.default_rng(1)
        self.rows, self.sizes = rows, sizes

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss, norm

    def batch(self) -> tuple[mg.Tensor, mg.Tensor]:
        x = self.rng.normal(size=(self.rows, self.sizes[0])).astype(np.float32)
        return mg.from_numpy(x), mg.from_numpy(self.rng.integers(0, self.sizes[-1], self.rows))

    def run(self, steps: int) -> list[bytes]:
        """Return all bits that the steps leave."""
        found = []
        for _ in range(steps):
            loss, norm = self.call(*self.batch())
            found += [loss.array.tobytes(), norm.array.tobytes()]
        found += [t.array.tobytes() for t in self.model.state_dict().values()]
        found += [p.grad.array.tobytes() for p in self.model.parameters()]
        state = self.optimizer.state_dict()
        found += [repr((state["step_count"], self.schedule.state_dict())).encode()]
        for entry in state["state"].values():
            found += [
                v.array.tobytes() if isinstance(v, mg.Tensor) else b"" for v in entry.values()
            ]
        return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("sizes", "rows", "steps"),
    [((30, 64, 64, 64, 2), 64, STEPS), ((64, 256, 256, 10), 128, 8)],
    ids=["small", "mid"],
)
def test_replay_is_eager_to_the_bit(
    threads: int, sizes: tuple[int, ...], rows: int, steps: int
) -> None:
    """Dropout, batch-norm, AdamW, clipping and OneCycle; the larger one has parallel kernels."""
    if threads > mg.get_num_threads():
        pytest.skip("one thread here")
    was = mg.get_num_threads()
    mg.set_num_threads(threads)
    try:
        captured = Training(sizes, rows, capture=True)
        assert Training(sizes, rows, capture=False).run(steps) == captured.run(steps)
    finally:
        mg.set_num_threads(was)
    assert captured.call.calls == {"eager": 1, "recorded": 2, "replayed": steps - 3}


@pytest.fixture
def training() -> Training:
    made = Training((6, 8, 3), 5, capture=True)
    made.run(5)
    assert made.call.calls["replayed"] == 2
    return made


def test_eager_steps_between_replays_change_nothing() -> None:
    reference = Training((6, 8, 3), 5, capture=False)  # which starts all random numbers anew
    training = Training((6, 8, 3), 5, capture=True)
    reference.run(5)
    training.run(5)
    for k in range(6):
        x, y = training.batch()
        loss, _ = (training.step if k % 2 else training.call)(x, y)
        assert loss.item() == reference.step(*reference.batch())[0].item()
    assert training.run(2)[4:] == reference.run(2)[4:]
    assert training.call.calls["recorded"] == 2


def test_results_and_gradients_of_a_call_stay(training: Training) -> None:
    weight = training.model[0].weight
    kept, values = [], []
    for _ in range(4):
        loss, norm = training.call(*training.batch())
        view = weight.grad.detach().numpy()[:1]
        kept += [loss, norm, weight.grad, weight.grad.detach(), mg.from_numpy(view)]
        values += [t.array.copy() for t in kept[-5:]]
    assert all(np.array_equal(t.array, v) for t, v in zip(kept, values, strict=True))
    assert training.call.calls["recorded"] == 2


def test_a_resume_goes_on_replaying(training: Training) -> None:
    model, optimizer = training.model.state_dict(), training.optimizer.state_dict()
    saved = {k: v.clone() for k, v in model.items()}, training.schedule.state_dict()
    calls = [m.generator.calls for m in training.model if isinstance(m, nn.Dropout)]
    batches = [training.batch() for _ in range(4)]
    first = [training.call(*b)[0].item() for b in batches]
    training.model.load_state_dict(saved[0])
    training.optimizer.load_state_dict(optimizer)
    training.schedule.load_state_dict(saved[1])
    for m, count in zip(
        [m for m in training.model if isinstance(m, nn.Dropout)], calls, strict=True
    ):
        m.generator.calls = count
    assert [training.call(*b)[0].item() for b in batches] == first


def test_the_learning_rate_is_read_at_each_call(training: Training) -> None:
    before = training.model[0].weight.detach().clone()
    for group in training.optimizer.param_groups:
        group["lr"] = 0.0
    training.call(*training.batch())
    assert np.array_equal(before.array, training.model[0].weight.array)
    assert training.call.calls["replayed"] == 3


def test_wrong_classes_are_refused_by_a_replay(training: Training) -> None:
    x, _ = training.batch()
    with pytest.raises(ValueError, match="target 3 at position 1 is out of range for 3 classes"):
        training.call(x, mg.tensor([0, 3, 1, 1, 1]))
    assert "replayed" in training.call.explain()


def test_the_program_can_be_looked_at(training: Training) -> None:
    (program,) = training.call.programs
    shown = str(program)
    for word in ("gemm", "adam_step", "grad_norm", "test_capture.py", "argument 0", "running_mean"):
        assert word in shown
    assert program.arena < program.made()
    dot = program.to_dot()
    assert dot.startswith("digraph program {") and dot.count("[shape=box") == len(program)


def test_launches_are_timed_and_nothing_is_changed_by_it(training: Training) -> None:
    before = [t.array.copy() for t in training.model.state_dict().values()]
    shown = training.call.profile(3)
    assert "us, each launch called from Python" in shown
    assert all(launch.seconds > 0 for launch in training.call.programs[0])
    after = [t.array for t in training.model.state_dict().values()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    reference = Training((6, 8, 3), 5, capture=False)
    reference.run(5)
    expected = reference.run(2)
    training = Training((6, 8, 3), 5, capture=True)  # all random numbers anew
    training.run(4)
    training.call.profile(2)
    training.run(1)
    assert training.run(2) == expected


def test_what_never_ran_is_not_timed() -> None:
    with pytest.raises(RuntimeError, match="has not been replayed yet"):
        mg.capture(lambda x: x).profile()


def test_a_loss_that_went_backward_raises_as_ever(training: Training) -> None:
    loss, _ = training.call(*training.batch())
    assert loss.requires_grad
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


def test_gradients_add_up_over_calls() -> None:
    w = mg.ones(3, requires_grad=True)

    @mg.capture
    def micro(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        return loss.detach()

    for _ in range(12):
        w.grad = None
        for i in range(1, 5):
            micro(mg.full((3,), float(i)))
        assert w.grad.tolist() == [10.0] * 3
    assert micro.calls["recorded"] <= 8 and micro.calls["eager"] == 1


def test_no_memory_stays_behind_replays(training: Training) -> None:
    batch = training.batch()

    def held() -> int:
        arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
        return sum(trace.size for trace in traces)

    training.call(*batch)
    tracemalloc.start()
    try:
        training.call(*batch)
        before = held()
        for _ in range(50):
            training.call(*batch)
        assert held() == before
    finally:
        tracemalloc.stop()


def test_two_sizes_keep_their_recordings() -> None:
    found = []
    for capture in (True, False):
        training = Training((6, 8, 3), 5, capture)
        for k in range(24):
            training.rows = 5 + 2 * (k % 3 == 2)
            left = training.run(1)
        found.append(left)
        if capture:
            assert training.call.calls == {"eager": 1, "recorded": 4, "replayed": 19}
    assert found[0] == found[1]
