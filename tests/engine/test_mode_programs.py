"""Grad modes in programs drawn from numbers, against PyTorch: golden, and live where it is."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

import minigrad as mg
from minigrad.engine.trace import user_line
from tests.engine.mode_programs import COUNT, outcome

GOLDEN = Path(__file__).parents[1] / "golden" / "modes.json"
MODES: list[Callable[[], Any]] = [
    mg.no_grad,
    mg.enable_grad,
    mg.detect_anomaly,
    lambda: mg.set_grad_enabled(False),
    lambda: mg.set_grad_enabled(True),
]


def test_programs_of_modes_are_as_pytorch_recorded() -> None:
    recorded = json.loads(GOLDEN.read_text())["outcomes"]
    assert len(recorded) == 8 * COUNT
    wrong = [
        seed
        for seed in range(COUNT)
        if f"{crc32(outcome(mg, seed).encode()):08x}" != recorded[8 * seed : 8 * seed + 8]
    ]
    assert not wrong


def test_programs_of_modes_are_as_pytorch_runs_them() -> None:
    torch = pytest.importorskip("torch")
    for seed in range(COUNT, COUNT + 60):
        assert outcome(mg, seed) == outcome(torch, seed), seed


def state() -> tuple[bool, Any, Any]:
    return mg.is_grad_enabled(), mg.engine.grad_mode.mode.anomaly, mg.engine.grad_mode.mode.tape


@pytest.mark.parametrize("make", MODES)
def test_one_instance_entered_again_restores_what_was(make: Callable[[], Any]) -> None:
    """Ours: PyTorch's no_grad stays on for ever then."""
    before = state()
    context = make()
    with context:
        inside = state()
        with context, context:
            assert state() == inside
    assert state() == before


def test_modes_of_all_kinds_left_in_any_order_leave_nothing_on() -> None:
    for first in (*MODES[:3], mg.Tape):
        for second in (*MODES[:3], mg.Tape):
            before = state()
            one, other = first(), second()
            one.__enter__()
            other.__enter__()
            other.__exit__(None, None, None)
            one.__exit__(None, None, None)
            assert state() == before
            with mg.no_grad(), first(), second():
                pass
            assert state() == before


def test_recursion_leaves_anomaly_detection_off() -> None:
    @mg.detect_anomaly()
    def descend(depth: int) -> bool:
        return descend(depth - 1) if depth else bool(mg.engine.grad_mode.mode.anomaly)

    assert descend(3)
    assert not mg.engine.grad_mode.mode.anomaly


def test_a_statement_inside_anomaly_detection_outlasts_it() -> None:
    with mg.detect_anomaly():
        mg.set_grad_enabled(False)
    assert not mg.is_grad_enabled()
    mg.set_grad_enabled(True)


@pytest.mark.parametrize("make", MODES[:4])
def test_one_instance_serves_several_threads(make: Callable[[], Any]) -> None:
    shared = make()
    mg.set_grad_enabled(True)
    wrong: list[Any] = []
    gate = threading.Barrier(4)

    def work(recording: bool) -> None:
        mg.set_grad_enabled(recording)
        decorated = shared(mg.is_grad_enabled)
        before = state()
        gate.wait()
        for _ in range(200):
            with shared:
                inside = state()
                with shared:
                    decorated()
                if state() != inside:
                    wrong.append("inside")
            if state() != before:
                wrong.append("after")

    threads = [threading.Thread(target=work, args=(k % 2 == 0,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    mg.set_grad_enabled(True)


def test_a_coroutine_runs_so_and_other_tasks_do_not() -> None:
    seen: list[tuple[str, bool]] = []

    @mg.no_grad()
    async def quiet() -> str:
        for _ in range(3):
            seen.append(("quiet", mg.is_grad_enabled()))
            await asyncio.sleep(0)
        return "done"

    async def loud() -> None:
        for _ in range(3):
            seen.append(("loud", mg.is_grad_enabled()))
            await asyncio.sleep(0)

    async def both() -> list[Any]:
        return await asyncio.gather(quiet(), loud(), quiet())

    assert asyncio.run(both()) == ["done", None, "done"]
    assert {name: {on for n, on in seen if n == name} for name, _ in seen} == {
        "quiet": {False},
        "loud": {True},
    }
    assert mg.is_grad_enabled()


def test_an_async_generator_runs_so_and_its_consumer_does_not() -> None:
    seen: list[tuple[str, Any]] = []

    @mg.no_grad
    async def numbers() -> AsyncIterator[int]:
        try:
            got = yield 1
            seen.append(("sent", (got, mg.is_grad_enabled())))
            await asyncio.sleep(0)
            yield 2
        except KeyError:
            seen.append(("thrown", mg.is_grad_enabled()))
            yield 3
        finally:
            seen.append(("end", mg.is_grad_enabled()))

    async def consume() -> None:
        stepping: Any = numbers()
        assert await stepping.asend(None) == 1
        assert mg.is_grad_enabled()
        assert await stepping.asend("x") == 2
        assert await stepping.athrow(KeyError()) == 3
        await stepping.aclose()
        assert [value async for value in numbers()] == [1, 2]

    asyncio.run(consume())
    assert seen[:3] == [("sent", ("x", False)), ("thrown", False), ("end", False)]
    assert mg.is_grad_enabled()


def test_what_is_decorated_is_checked() -> None:
    with pytest.raises(TypeError, match="no_grad: expected a function to decorate, got int: 3"):
        mg.no_grad(3)
    with pytest.raises(TypeError, match="set_grad_enabled: expected True or False, got int: 1"):
        mg.set_grad_enabled(1)  # type: ignore[arg-type]
    with pytest.warns(FutureWarning, match="no_grad on a class gives a function"):
        mg.no_grad()(type("Owner", (), {}))


def test_lines_are_the_users_own_inside_decorated_functions() -> None:
    decorated = mg.no_grad(mg.detect_anomaly(user_line))  # of the package, called by decorators
    line = decorated()
    assert line.rpartition(":")[0] == __file__
