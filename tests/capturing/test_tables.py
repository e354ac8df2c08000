"""Kernels called by address: what a launch came down to once, it comes down to on all numbers."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from minigrad.capturing.planning import FORWARDING, forwards
from minigrad.capturing.replay import stays
from minigrad_kernels.compare.examples import example_of
from minigrad_kernels.jit.arguments import Bound, bind
from minigrad_kernels.jit.call_table import CallTable, fits, listen
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]
SIZES = (60, 3_000, 90_000)  # a ufunc's or one loop's, one thread's, all threads'


def bound(name: str, size: int, seed: int) -> Bound:
    example = example_of(name)
    args = example.make(np.random.default_rng(seed), np.dtype(np.float32), *example.sizes((size,)))
    return bind(KERNELS[name], args, np.copy)


def memory(launch: Bound) -> list[Array]:
    """Return all arrays of a launch, those behind its table too."""
    found = [*launch.args, *(a for row in launch.tensors for a in row)]
    return [a for a in found if isinstance(a, np.ndarray)]


def fill(launch: Bound, numbers: list[Array]) -> None:
    """Write floats into the memory of a launch; what steers it stays."""
    for x, y in zip(memory(launch), numbers, strict=True):
        if x.dtype.kind == "f":
            x[...] = y


ELEMENTWISE = [name for name, row in KERNELS.items() if row.rule is not None]
TRIED = [name for name in KERNELS if forwards(name) and name not in ELEMENTWISE]


@pytest.mark.parametrize("name", [*TRIED, *ELEMENTWISE[::8]])
def test_a_table_does_what_python_did(name: str) -> None:
    made = 0
    run = KERNELS[name].cpu
    for size in SIZES:
        launch = bound(name, size, 1)
        with np.errstate(all="ignore"):
            run(*launch.args)  # compiled, if it was not
            with listen() as calls:
                run(*launch.args)
            if not calls or not all(fits(c) and stays(c, name, launch.args) for c in calls):
                continue
            made += 1
            others = memory(bound(name, size, 2))
            table = CallTable(calls)
            steps = [a.copy() for a in memory(launch)]
            fill(launch, others)
            run(*launch.args)
            want = [a.copy() for a in launch.written]
            for x, y in zip(memory(launch), steps, strict=True):
                x[...] = y
            fill(launch, others)
            table()
        for x, y in zip(want, launch.written, strict=True):
            assert np.array_equal(x, y, equal_nan=True), (name, size)
    assert made or name not in FORWARDING, f"{name} never goes by address"


def test_a_launch_by_way_of_a_copy_is_no_row() -> None:
    """Its addresses would be those of memory that is gone."""
    x = np.ones((200, 300), np.float32)
    for y in (np.empty((200, 300), np.float32), np.empty((200, 300), np.float32, "F")):
        with listen() as calls:
            KERNELS["exp"].cpu(x, y)
        assert calls and all(stays(c, "exp", (x, y)) for c in calls)
    with listen() as calls:
        KERNELS["exp"].cpu(np.ones_like(x), y)
    assert calls and not any(stays(c, "exp", (x, y)) for c in calls)
    with listen() as calls:
        KERNELS["gemm"].cpu(x[::2, ::3], x.T[::3, :40], np.empty((100, 40), np.float32))
    assert calls and not all(stays(c, "gemm", (x[:1], x[:1], y[:1])) for c in calls)


def test_calls_of_other_threads_are_not_heard() -> None:
    x = np.ones(64, np.float32)
    y, z = np.empty_like(x), np.empty_like(x)
    with listen() as calls:
        thread = threading.Thread(target=lambda: KERNELS["sigmoid"].cpu(x, z))
        thread.start()
        thread.join()
        KERNELS["sigmoid"].cpu(x, y)
    assert len(calls) == 1 and np.array_equal(y, z)


@jit(name="tests.call_table.every")
def every(x: Any, whole: int, part: float, on: bool, small: Any, narrow: Any, more: Any) -> None:
    x[0] = whole + part
    x[1] = on + small
    x[2] = narrow
    x[3] = more[0] * more[1] + x.shape[0] + x.strides[0]


def test_every_kind_of_argument_arrives() -> None:
    arrays = [np.zeros(4), np.zeros((4, 3)).T[0]]
    for x in arrays:
        args = (x, -(2**40), 0.5, True, np.uint32(2**32 - 1), np.float32(0.1), (3, 5))
        every(*args)
        want = x.copy()
        x[...] = 0
        table = CallTable([(every, args)])
        table()
        assert np.array_equal(x, want) and x.any()


@jit(name="tests.call_table.answers")
def answers(x: Any) -> Any:
    return x + 1


def test_what_returns_something_is_no_row() -> None:
    answers(1)
    assert not fits((answers, (1,))) and not fits((answers, ("text",)))
    with pytest.raises(TypeError, match="cannot be passed by address"):
        CallTable([(answers, (1,))])
