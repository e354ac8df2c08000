"""What a captured call depends on: a change is recorded anew, or the call runs as ever; it says
why, and the numbers are right.
"""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn

CALLS = 5
SCALE = 2.0


def t(*numbers: float) -> mg.Tensor:
    return mg.tensor([float(n) for n in numbers])


def ready(function: Any, *args: Any) -> Any:
    """Return a captured function that replays calls like this one."""
    made = mg.capture(function)
    for _ in range(4):
        made(*args)
    assert made.calls["replayed"] == 1, made.explain()
    return made


def refused(function: Any, *args: Any) -> str:
    """Return why a function is not captured."""
    made = mg.capture(function)
    for _ in range(CALLS):
        made(*args)
    assert made.calls["replayed"] == 0
    return made.explain()


def exp() -> float:
    """What only has the name of a method."""
    return time.perf_counter()


def test_a_method_is_not_a_global_of_its_name() -> None:
    made = ready(lambda x: x.exp() + 1, t(0, 0))
    assert made(t(0, 0)).tolist() == [2, 2]
    assert "names 'time'" in refused(lambda x: x + exp() * 0, t(1, 2))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5))
        self.factor = 1.0

    def forward(self, x: Any) -> Any:
        return self.inner(x) * self.factor * SCALE


@pytest.fixture
def net() -> Net:
    return Net()


def matches(step: Any, net: Net, x: Any) -> bool:
    """Return whether a captured evaluation gives what the model gives."""
    return bool(step(x).array.tobytes() == net(x).detach().array.tobytes())


def evaluation(net: Net) -> Any:
    net.eval()
    return ready(lambda x: net(x).detach(), mg.ones(3, 2))


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net, "factor", 3.0),
        lambda net: setattr(net.inner[0], "weight", nn.Parameter(mg.ones(4, 2))),
        lambda net: setattr(net.inner[0].weight, "data", mg.full((4, 2), 0.5)),
        lambda net: net.inner[0].weight.requires_grad_(False),
        lambda net: setattr(net.inner[1], "eps", 0.5),
        lambda net: net.inner.append(nn.Tanh()),
        lambda net: net.inner[2].register_forward_hook(lambda m, args, y: y + 1),
        lambda net: net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}),
        lambda net: net.inner[0].weight.detach().mul_(2.0),
    ],
    ids=[
        *("attribute", "parameter", "data", "requires_grad", "eps", "layer", "hook", "loaded"),
        "in_place",
    ],
)
def test_changes_of_a_model_are_seen(net: Net, change: Any) -> None:
    step = evaluation(net)
    x = mg.randn(3, 2)
    assert matches(step, net, x)
    change(net)
    for _ in range(CALLS):
        assert matches(step, net, x)


def test_modes_have_programs_of_their_own(net: Net) -> None:
    step = mg.capture(lambda x: net(x).detach())
    for _ in range(CALLS):
        for training in (True, False):
            net.train(training)
            _ = mg.manual_seed(4)
            y = step(mg.ones(3, 2))
            _ = mg.manual_seed(4)
            before = {k: v.clone() for k, v in net.state_dict().items()}
            assert training or np.array_equal(y.array, net(mg.ones(3, 2)).array)
            net.load_state_dict(before)
    assert len(step.programs) == 2 and step.calls["recorded"] == 4


def test_a_global_is_seen(net: Net) -> None:
    global SCALE
    step = evaluation(net)
    try:
        for scale in (5.0, 7.0):
            SCALE = scale
            for _ in range(3):
                assert matches(step, net, mg.ones(3, 2))
    finally:
        SCALE = 2.0


def test_seeds_are_seen() -> None:
    step = ready(lambda x: F.dropout(x, 0.5), mg.ones(50))
    for seed in (1, 2, 1):
        _ = mg.manual_seed(seed)
        found = step(mg.ones(50)).tolist()
        _ = mg.manual_seed(seed)
        assert found == F.dropout(mg.ones(50), 0.5).tolist()


def test_options_and_state_of_an_optimizer_are_seen() -> None:
    def trained(capture: bool) -> list[Any]:
        w = mg.ones(3, requires_grad=True)
        other = mg.ones(2, requires_grad=True)
        optimizer = mg.optim.SGD([w], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = ((w * x).sum() + (other * other).sum()) ** 2
            loss.backward()
            optimizer.step()
            return loss.detach()

        call = mg.capture(step) if capture else step
        found = []
        for k in range(24):
            if k == 6:
                optimizer.param_groups[0]["momentum"] = 0.9
            if k == 12:
                optimizer.add_param_group({"params": [other], "lr": 1e-3})
            if k == 18:
                optimizer.load_state_dict(optimizer.state_dict())
            found.append((call(t(k % 3 / 9, 0.1, 0.2)).item(), w.tolist(), other.tolist()))
        return found

    assert trained(True) == trained(False)


# ---------------------------------------------------------------- what is not captured, and why
def test_reads_of_python_are_named_with_their_line() -> None:
    w = t(1)

    def branch(x: Any) -> Any:
        return x * w if x.sum() > 0 else x

    reasons = {
        "the truth value": branch,
        "item()": lambda x: x * x.sum().item(),
        "tolist()": lambda x: mg.tensor(x.tolist()),
        "numpy()": lambda x: mg.tensor(x.numpy() * 2),
        "np.isfinite computes": lambda x: (str(x), x * 2)[1],
        "not made by a kernel": lambda x: x.nonzero() + 0,
        "from_numpy()": lambda x: x + mg.from_numpy(np.ones(2)),
        "calls print()": lambda x: (print(end=""), x * 2)[1],
    }
    for words, function in reasons.items():
        why = refused(function, t(1, 2))
        assert words in why, (words, why)
        assert "print()" in words or "test_capture_guards.py:" in why, why


def test_what_cannot_be_replayed_runs_as_ever() -> None:
    held = []
    w = mg.ones(2, requires_grad=True)
    view = t(1, 2)
    hooked = mg.ones(2, requires_grad=True)
    hooked.register_hook(lambda g: g * 2)
    cases = [
        (lambda x: (w * x).sum(), "backward() could still be called on"),
        (lambda x: held.append(x * 2), "changes what it refers to"),
        (lambda x: (x + 1, view[1:])[1], "a view of memory that was there before"),
        (lambda x: x + np.ones(2), "not made by a kernel"),
        (lambda x: (hooked * x).sum().detach(), "has hooks"),
        (lambda x: {"a": x * 2, "b": object()}, "returns a object"),
        (lambda x: None, "launches no kernel"),
        (lambda x: (x * 2).numpy(), "numpy() gives memory away"),
    ]
    for function, words in cases:
        assert words in refused(function, t(1, 2))


def test_arguments_that_are_not_taken_run_as_ever() -> None:
    f = mg.capture(lambda x: mg.as_tensor(x) * 2)
    for i in range(CALLS):
        assert f(np.full(2, float(i))).tolist() == [2 * i, 2 * i]
    assert "NumPy array" in f.explain()
    w = mg.ones(1, requires_grad=True)
    f = mg.capture(lambda x: (x * 2).detach())
    for _ in range(CALLS):
        assert f(w * 2).item() == 4
    assert "the result of an op" in f.explain()
    base = t(1, 2, 3)
    f = mg.capture(lambda a, b: a.mul_(b))
    for _ in range(CALLS):
        f(base[:2], base[1:])
    assert base.tolist()[2] == 3 and "shares memory" in f.explain()


def test_a_watched_call_runs_as_ever() -> None:
    step = ready(lambda x: x * 2, t(1))
    with mg.Tape() as tape:
        step(t(1))
    assert [entry.op for entry in tape] == ["Mul"] and "Tape" in step.explain()
    with mg.detect_anomaly():
        step(t(1))
    assert step.calls["eager"] == 3


def test_a_device_runs_as_ever() -> None:
    step = ready(lambda x: x * 2, t(1))
    try:
        x = t(3).to("cuda-sim")
    except RuntimeError:
        pytest.skip("plain mode has no device")
    for _ in range(CALLS):
        assert step(x).cpu().tolist() == [6]
    assert "CPU" in step.explain()
    assert step(t(2)).item() == 4


def test_an_error_inside_leaves_all_as_it_was() -> None:
    w = mg.ones(2, requires_grad=True)

    def fails(x: Any) -> Any:
        y = w * x
        if x.shape[0] != 2:
            raise KeyError("no")
        return y.detach()

    step = mg.capture(fails)
    step(t(1, 2))
    array = w.array
    for _ in range(3):
        with pytest.raises(KeyError):
            step(t(1))
    assert w.array is array and type(w.array) is np.ndarray
    assert [step(t(1, 2)).tolist() for _ in range(4)] == [[1, 2]] * 4
    assert (mg.ones(2) + 1).tolist() == [2, 2]


def test_recordings_are_limited() -> None:
    f = mg.capture(lambda x: x * 2, most=2)
    for n in (1, 2, 3, 3, 2, 1) * 3:
        assert f(mg.ones(n)).tolist() == [2.0] * n
    assert len(f.programs) == 2 and "2 recordings are kept" in f.explain()


def test_threads_share_one_captured_function() -> None:
    step = ready(lambda x: (x * 2 + 1).sum(), t(1, 2))
    wrong = []

    def work(k: int) -> None:
        for i in range(50):
            if step(t(k, i)).item() != 2 * (k + i) + 2:
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_thread_replays_while_another_computes() -> None:
    step = ready(lambda x: ((x * 2).exp() + 1).sum(), mg.zeros(30_000))
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(60):
            if step(mg.zeros(30_000)).item() != 60_000:
                wrong.append("replay")

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(200):
        if (mg.ones(40_000) * 2 + 1).sum().item() != 120_000:
            wrong.append("eager")
    thread.join()
    assert not wrong


def test_versions_are_counted() -> None:
    w = mg.ones(2, requires_grad=True)

    @mg.capture
    def step(x: Any) -> Any:
        (w * x).sum().backward()
        with mg.no_grad():
            w.mul_(0.5)
        return x * 2

    step(t(1, 2))
    found = []
    for _ in range(6):
        before = w._version, w.grad._version
        step(t(1, 2))
        found.append((w._version - before[0], w.grad._version - before[1]))
    assert found == [(1, 1)] * 6 and step.calls["replayed"] > 2


def test_other_threads_compute_while_one_records() -> None:
    inside, done = threading.Event(), threading.Event()
    found: list[Any] = []

    def other() -> None:
        inside.wait(5)
        a = mg.ones(3, requires_grad=True)
        (a * 2).sum().backward()
        found.append(a.grad.tolist())
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def f(x: Any) -> Any:
        y = x * 2
        if f.recording:  # type: ignore[attr-defined]
            inside.set()
            done.wait(5)
        return y

    f.recording = False  # type: ignore[attr-defined]
    step = mg.capture(f)
    step(t(1))
    f.recording = True  # type: ignore[attr-defined]
    step(t(1))
    thread.join()
    assert found == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize("threads", [(1, 2), (2, 1)])
def test_another_number_of_threads_is_planned_anew(threads: tuple[int, int]) -> None:
    if (was := mg.get_num_threads()) < 2:
        pytest.skip("one thread here")
    try:
        mg.set_num_threads(threads[0])
        x = mg.ones(256, 256)
        step = ready(lambda x: x @ x, x)
        mg.set_num_threads(threads[1])
        recorded = step.calls["recorded"]
        for _ in range(3):
            y = step(x)
        assert step.calls["recorded"] > recorded
        assert y.tolist() == (x @ x).tolist()
    finally:
        mg.set_num_threads(was)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_of_a_fork_calls_what_another_thread_was_recording() -> None:
    inside, forked = threading.Event(), threading.Event()
    recorder = threading.Thread()

    def f(x: Any) -> Any:
        if threading.current_thread() is recorder:
            inside.set()
            forked.wait(60)
        return x * 2

    step = mg.capture(f)
    step(t(1))
    recorder = threading.Thread(target=lambda: step(t(1)))
    recorder.start()
    assert inside.wait(60)
    pid = os.fork()
    if not pid:
        signal.alarm(30)  # what waits for a lock that no thread of this process holds is ended
        os._exit(
            0 if [step(t(n)).tolist() for n in range(5)] == [[2.0 * n] for n in range(5)] else 1
        )
    status = os.waitpid(pid, 0)[1]
    forked.set()
    recorder.join()
    assert status == 0
    assert step(t(3)).tolist() == [6.0]


def test_explain_says_how_each_call_ran(capsys: pytest.CaptureFixture[str]) -> None:
    step = mg.capture(lambda x: x * 2, explain=True)
    for n in (1, 1, 1, 1, 1, 2):
        step(mg.ones(n))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1].split(" ")[0] for line in lines] == [
        *("eager", "recorded", "replayed", "recorded"),
    ]
    assert "call 6" in lines[-1]


def test_capture_wants_a_function() -> None:
    with pytest.raises(TypeError, match="capture: expected a function, got int: 3"):
        mg.capture(3)


def test_small_arrays_of_numpy_are_compared() -> None:
    rate = np.array(0.5)
    step = ready(lambda x: x * rate, t(1, 2))
    for value in (0.25, 2.0, 0.5):
        rate[...] = value
        for _ in range(3):
            assert step(t(1, 2)).tolist() == [value, 2 * value]


def test_the_default_dtype_is_seen() -> None:
    step = ready(lambda x: x * mg.zeros(2) + 1.5, t(1, 2))
    mg.set_default_dtype(mg.float64)
    try:
        for _ in range(CALLS):
            assert step(mg.ones(2, dtype=mg.float32)).dtype == mg.float64
    finally:
        mg.set_default_dtype(mg.float32)


def test_copies_start_anew() -> None:
    step = ready(double, t(1))
    for copied in (copy.deepcopy(step), pickle.loads(pickle.dumps(step))):
        assert copied.calls == {"eager": 0, "recorded": 0, "replayed": 0}
        assert copied(t(3)).item() == 6


def double(x: Any) -> Any:
    return x * 2


def test_a_model_is_captured_for_prediction(net: Net) -> None:
    predict = mg.capture(net.eval(), fold=False)
    with mg.no_grad():
        for _ in range(CALLS):
            x = mg.randn(3, 2)
            assert predict(x).array.tobytes() == net(x).array.tobytes()
    assert predict.calls["replayed"] == 2
    assert predict(mg.ones(3, 2)).requires_grad and "no_grad()" not in str(predict.calls)


def test_inside_a_transformation_it_runs_as_ever() -> None:
    step = ready(double, t(1))
    assert mg.func.grad(lambda x: step(x).sum())(t(1, 2)).tolist() == [2, 2]
    assert mg.func.vmap(step)(mg.ones(3, 2)).tolist() == [[2, 2]] * 3
    found = mg.capture(lambda x: mg.func.grad(lambda v: (v * v).sum())(x))
    for k in range(CALLS):
        assert found(t(1, k)).tolist() == [2, 2 * k]


def test_variables_are_compared_when_they_have_settled() -> None:
    """Then by compiled code: values, entries and variables that another takes the place of."""
    factor, held = 2.0, Holder()

    def f(x: Any) -> Any:
        return x * factor + held.shift

    step = mg.capture(f)
    for _ in range(6):
        assert step(t(1)).item() == 3
    assert step.calls["replayed"] == 3
    held.shift = 5
    assert step(t(1)).item() == 7
    held.shift = 1
    assert step(t(1)).item() == 3 and step.last == "replayed"
    held.other = 1  # type: ignore[attr-defined]
    assert step(t(1)).item() == 3 and step.last != "replayed"
    del held.other  # type: ignore[attr-defined]
    assert step(t(1)).item() == 3 and step.last == "replayed"
    factor = 3.0
    assert step(t(1)).item() == 4


class Holder:
    def __init__(self) -> None:
        self.shift = 1
