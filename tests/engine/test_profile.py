"""profile: every launch is counted, under its op, in eager and in captured programs; no trace."""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

import pytest

import minigrad as mg
from minigrad.engine.dispatch import dispatch
from minigrad.engine.recording import recording
from minigrad_kernels.jit import plain


def parts() -> tuple[Any, Any, Any]:
    mg.manual_seed(0)
    model = mg.nn.Sequential(mg.nn.Linear(8, 16), mg.nn.ReLU(), mg.nn.Linear(16, 3))
    optimizer = mg.optim.AdamW(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        loss = mg.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return model, step, (mg.randn(32, 8), mg.randint(0, 3, (32,)))


def counts(rows: list[Any]) -> dict[str, int]:
    return {spent.name: spent.calls for spent in rows}


def test_a_step_is_split_by_kernel_and_by_op() -> None:
    _, step, batch = parts()
    step(*batch)
    with mg.profile() as p:
        for _ in range(3):
            step(*batch)
    kernels, ops = counts(p.kernels), counts(p.ops)
    assert sum(kernels.values()) == sum(ops.values()) > 0
    assert kernels["adam_step"] == ops["AdamW step"] == 3
    assert kernels["cross_entropy_forward"] == 3
    assert ops["CrossEntropy"] >= 3
    assert {"Linear backward"} <= set(ops)
    assert p.kernel_seconds == pytest.approx(sum(spent.seconds for spent in p.ops))
    assert 0 < p.kernel_seconds < p.seconds < p.wall_seconds
    assert p.seconds == pytest.approx(p.kernel_seconds + p.python_seconds)
    gemm = next(spent for spent in p.kernels if spent.name.startswith("gemm"))
    assert gemm.flops > 0 and gemm.nbytes > 0
    text = str(p)
    assert all(name in text for name in (*list(kernels)[:5], *list(ops)[:5]))


def test_profiling_changes_no_bits_and_leaves_no_trace() -> None:
    losses = []
    for profiled in (False, True):
        model, step, batch = parts()
        tables = dispatch.kernels, getattr(dispatch, "small", None)
        for _ in range(3):
            if profiled:
                with mg.profile():
                    step(*batch)
            else:
                step(*batch)
        losses.append([p.array.tobytes() for p in model.parameters()])
        assert (dispatch.kernels, getattr(dispatch, "small", None)) == tables
        assert recording.profile is None
    assert losses[0] == losses[1]


def test_an_error_closes_it() -> None:
    before = dispatch.kernels
    with pytest.raises(ZeroDivisionError), mg.profile():
        raise ZeroDivisionError
    assert dispatch.kernels is before


def test_a_profile_inside_another_counts_for_both() -> None:
    x = mg.ones(3, 3)
    with mg.profile() as outer:
        x.exp()
        with mg.profile() as inner:
            x.exp()
        x.exp()
    assert counts(inner.kernels) == {"exp": 1} and counts(outer.kernels) == {"exp": 3}
    with inner:  # a second block adds to the first
        x.exp()
        with pytest.raises(RuntimeError, match="open already"):
            inner.__enter__()
    assert counts(inner.kernels) == {"exp": 2}


def test_other_threads_are_not_counted() -> None:
    x = mg.ones(3, 3)
    with mg.profile() as p:
        thread = threading.Thread(target=x.exp)
        thread.start()
        thread.join()
    assert p.kernels == [] and "0 launches" in str(p)


@pytest.mark.skipif(plain.ON, reason="plain mode captures nothing that runs faster")
def test_captured_programs_are_split_alike() -> None:
    def function(x: Any) -> Any:
        return (x.exp() * 2 + x).tanh().sum()

    captured = mg.capture(function)
    x = mg.randn(64, 64)
    for _ in range(6):
        captured(x)
    assert captured.calls["replayed"] > 0
    with mg.profile() as eager:
        expected = function(x)
    before = captured.calls["replayed"]
    with mg.profile() as replayed:
        found = captured(x)
    assert captured.calls["replayed"] == before + 1
    assert found.item() == expected.item()
    assert counts(replayed.kernels) == counts(eager.kernels)
    assert counts(replayed.ops) == counts(eager.ops)
    assert captured(x).item() == expected.item()


@pytest.mark.skipif(plain.ON, reason="plain mode has no captured fits")
def test_a_fit_that_is_captured_names_its_ops() -> None:
    model = mg.nn.Linear(4, 3)
    trainer = mg.Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
    with mg.profile() as p:
        trainer.fit([(mg.zeros(2, 4), mg.tensor([0, 1]))] * 200, epochs=1)
    assert "replayed" in trainer.explain()
    ops = counts(p.ops)
    assert ops["SGD step"] == 200
    assert ops["Linear"] >= 200


def test_small_and_large_arrays_are_both_seen() -> None:
    for n in (2, 100_000):
        x = mg.ones(n)
        with mg.profile() as p:
            x + x
        assert counts(p.kernels) == {"add": 1} and counts(p.ops) == {"Add": 1}


@pytest.mark.skipif(
    plain.ON or importlib.util.find_spec("greenlet") is None, reason="needs the simulator"
)
def test_launches_on_a_device_are_waited_for_and_counted_once() -> None:
    x = mg.ones(4, 4, device="cuda-sim")
    with mg.profile() as p:
        y = x + x
        mg.ones(3) + 1
    assert counts(p.ops) == {"Add": 2} and counts(p.kernels) == {"add": 2}
    assert y.sum().item() == 32
    before = {spent.name: spent.calls for spent in p.kernels}
    x + x
    assert counts(p.kernels) == before
