"""Kernels called by address: what a launch came down to once, it comes down to on all numbers."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from minigrad_kernels.by_address import FORWARDING, PLANS, WITH_SCRATCH, calls_of, possible
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
TRIED = [name for name in KERNELS if possible(name) and name not in ELEMENTWISE]


@pytest.mark.parametrize("name", [*TRIED, *ELEMENTWISE[::8]])
def test_a_table_does_what_python_did(name: str) -> None:
    made = 0
    row = KERNELS[name]
    run = row.cpu
    for size in SIZES:
        launch = bound(name, size, 1)
        with np.errstate(all="ignore"):
            run(*launch.args)  # compiled, if it was not
            calls = calls_of(name, row.small if row.small and size < 20_000 else run, launch.args)
            if calls is None:
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
    assert made or name not in {*FORWARDING, *WITH_SCRATCH, *PLANS}, f"{name} never goes by address"


def differs(name: str, args: tuple[Any, ...]) -> str:
    """Say how a table computes other bits on other numbers than Python; "" if it does not."""
    row = KERNELS[name]
    run = row.small if row.small is not None and args[-1].size < 20_000 else row.cpu
    calls = calls_of(name, run, args)
    if calls is None:
        return "Python"
    table = CallTable(calls)
    for a in args[:-1]:
        if a.dtype.kind == "f":
            a[...] = np.random.default_rng(3).standard_normal(a.shape)
    start = args[-1].copy()
    run(*args)
    want = args[-1].copy()
    args[-1][...] = start
    for a in args[:-1]:
        if a.dtype.kind == "f":
            a[...] = np.random.default_rng(3).standard_normal(a.shape)
    table()
    return "" if np.array_equal(want, args[-1], equal_nan=True) else "other bits"


def layouts(dtype: Any) -> dict[str, tuple[Array, Array, Array]]:
    """Return operands and results of several layouts."""
    x = np.zeros((6, 40, 30), dtype)
    y = np.zeros((6, 40, 30), dtype)
    return {
        "whole": (x, x + 1, y),
        "row": (x, x[0, 0], y),
        "column": (x, x[:, :, :1], y),
        "number": (x, x[0, 0, 0, ...], y),
        "slices": (x[:, 3:17, 4:], x[:, :14, :26], y[:, 2:16, 2:28]),
        "steps": (x[::2, ::3, ::4], x[1::2, 1::3, 1:30:4][:, :13], y[::2, :14, :8]),
        "transposed": (x.T, y.copy().T, np.zeros((30, 40, 6), dtype)),
        "in place": (y, x, y),
        "backwards": (x[::-1, :, ::-1], x, y),
        "one": (x[:1, :1, :1], x[1, 1, 1, ...], y[2:3, 2:3, 2:3]),
        "many dimensions": (
            np.zeros((3, 2, 3, 2, 4, 5), dtype)[:, ::2, :, ::-1, :, :3],
            np.zeros((4, 1), dtype),
            np.zeros((3, 2, 3, 2, 4, 5), dtype)[:, ::2, :, :, :, 1:4],
        ),
    }


@pytest.mark.parametrize("layout", list(layouts(np.float32)))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elementwise_launches_of_any_layout(layout: str, dtype: Any) -> None:
    a, b, y = layouts(dtype)[layout]
    if layout == "steps":
        b = b[:, :, : a.shape[2]][:, :1]
    with np.errstate(all="ignore"):
        for name in ("add", "sub", "mul", "div", "maximum"):
            assert differs(name, (a, b, y)) == "", name
        assert differs("sigmoid_backward", (a, b, y)) == ""
        assert differs("sigmoid", (a, y)) == "" and differs("copy", (a, y)) == ""
        assert differs("neg", (a, y)) == "" and differs("sqrt", (a, y)) == ""
        # Rounded by vector code where they are contiguous: elsewhere Python calls the ufunc.
        assert differs("tanh", (a, y)) in ("", "Python")
    if layout == "whole":
        assert differs("tanh", (a, y)) == "" and differs("exp", (a, y)) == ""


@pytest.mark.parametrize("kind", ["?", "b", "H", "i", "q", "F", "D"])
def test_copies_of_any_type(kind: str) -> None:
    x = np.random.default_rng(0).integers(0, 99, (5, 7, 3)).astype(kind)
    y = np.zeros((3, 7, 5), kind)
    calls = calls_of("copy", KERNELS["copy"].cpu, (x.T, y))
    assert (calls is None) == (kind == "D")
    if calls is not None:
        y[...] = 0
        CallTable(calls)()
        assert np.array_equal(y, x.T)
    assert calls_of("copy", KERNELS["copy"].cpu, (x, np.zeros(x.shape, np.complex128))) is None or (
        kind == "D"
    )


def test_overlapping_operands_are_pythons() -> None:
    x = np.arange(20, dtype=np.float32)
    assert calls_of("add", np.add, (x[:-1], x[:-1], x[1:])) is None
    assert calls_of("copy", KERNELS["copy"].cpu, (x[:-1], x[1:])) is None
    assert calls_of("add", np.add, (x, x, x)) is not None


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_gradients_of_strided_convolutions(stride: Any, dilation: Any) -> None:
    """With a weight that changes from call to call."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 4, 3, 3)).astype(np.float32)
    rows, columns = ((14 + 2 - d * 2 - 1) // s + 1 for s, d in zip(stride, dilation, strict=True))
    dy = rng.standard_normal((2, 8, rows, columns)).astype(np.float32)
    dx = np.empty((2, 4, 14, 14), np.float32)
    args = (dy, weight, stride, (1, 1), dilation, 1, dx)
    run = KERNELS["conv_backward_input"].cpu
    calls = calls_of("conv_backward_input", run, args)
    assert calls is not None
    table = CallTable(calls)
    weight += 1
    dy *= 2
    run(*args)
    want = dx.copy()
    dx[...] = 9
    table()
    assert np.array_equal(dx, want)


def test_a_launch_by_way_of_a_copy_is_no_row() -> None:
    """Its addresses would be those of memory that is gone."""
    x = np.ones((200, 300), np.float32)
    for y in (np.empty((200, 300), np.float32), np.empty((200, 300), np.float32, "F")):
        assert calls_of("exp", KERNELS["exp"].cpu, (x, y)) is not None
    gapped = np.empty((200, 600), np.float32)[:, ::2]
    assert calls_of("exp", KERNELS["exp"].cpu, (x, gapped)) is None
    args = (x[::2, ::3], x.T[::3, :40], np.empty((100, 40), np.float32))
    assert calls_of("gemm", KERNELS["gemm"].cpu, args) is None


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
