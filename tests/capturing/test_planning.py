"""Plans: what is left out, what is gathered, what shares memory; no bit of a result is another."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.capturing import planning
from minigrad.capturing.program import MADE, OUTSIDE, Program
from tests.capturing.test_capture import Training


def program_of(training: Training) -> Program:
    training.run(6)
    found: Program = training.call.programs[0]
    return found


def trained(steps: int = 8) -> list[bytes]:
    return Training((6, 8, 8, 3), 5, capture=True).run(steps)


def test_what_is_alive_at_once_lies_apart() -> None:
    program = program_of(Training((6, 8, 8, 3), 5, capture=True))
    assert program.places and program.arena < program.made()
    for a, b in combinations(program.places, 2):
        if not (a.last < b.first or b.last < a.first):
            first, second = sorted((a, b), key=program.places.__getitem__)
            assert program.places[first] + first.size <= program.places[second]


def test_the_memory_of_the_recording_is_given_back() -> None:
    program = program_of(Training((6, 8, 8, 3), 5, capture=True))
    kept = [b for b in program.buffers if b.held is not None]
    assert kept and all(b.lasting or b in program.used() for b in kept)
    assert not any(b.kind == OUTSIDE and b.label.endswith(".grad") for b in kept)


def test_every_read_is_of_what_was_written() -> None:
    program = program_of(Training((6, 8, 8, 3), 5, capture=True))
    written: set[Any] = set()
    for launch in program:
        assert all(b.kind != MADE or b in written for b in launch.reads), launch
        written.update(launch.writes)


@pytest.mark.parametrize("left_out", range(len(planning.PASSES) + 1))
def test_passes_change_no_bit(left_out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    want = Training((6, 8, 8, 3), 5, capture=False).run(8)
    passes = [p for i, p in enumerate(planning.PASSES) if i != left_out]
    monkeypatch.setattr(planning, "PASSES", passes)
    assert trained() == want
    monkeypatch.setattr(planning, "PASSES", [])
    assert trained() == want


def test_what_nobody_reads_is_left_out() -> None:
    kept = mg.ones(3)

    @mg.capture
    def f(x: Any) -> Any:
        (x * 2).exp()
        kept.add_(x)
        return x.sum()

    for _ in range(5):
        f(mg.ones(3))
    (program,) = f.programs
    assert sorted(launch.kernel for launch in program) == ["add", "copy", "sum"]
    assert program.removed == 2 and kept.tolist() == [6.0] * 3


def test_a_product_with_one_is_left_out_and_no_other() -> None:
    w = mg.ones(2, 3, requires_grad=True)
    target = mg.tensor([0, 2])

    def step(scale: Any) -> Any:
        def f(x: Any) -> Any:
            w.grad = None
            loss = mg.nn.functional.cross_entropy(w * x, target)
            (loss if scale is None else loss * scale).backward()
            return w.grad

        return f

    for scale in (None, 0.5, 1.0):
        captured = mg.capture(step(scale))
        for k in range(5):
            x = mg.full((2, 3), float(k))
            found = captured(x).array
            assert np.array_equal(found, step(scale)(x).array)
        kernels = [launch.kernel for launch in captured.programs[0]]
        assert kernels.count("mul") == (2 if scale is None else 4)


def test_launches_of_python_come_first_where_they_may() -> None:
    program = program_of(Training((6, 8, 8, 3), 5, capture=True))
    kernels = [launch.kernel for launch in program]
    assert kernels[-1] == "adam_step"
    assert kernels.index("grad_norm") < kernels.index("grad_scale") < len(kernels) - 1
    w = mg.ones(3, 3)

    @mg.capture
    def step(x: mg.Tensor) -> list[mg.Tensor]:
        y = (x @ w).exp() * 2
        return [y, x.argmax(0), y.argmax(0)]  # these are Python's to launch

    for _ in range(4):
        step(mg.ones(4, 3))
    kernels = [launch.kernel for launch in step.programs[0]]
    assert kernels == ["argmax", "gemm", "exp", "mul", "argmax"]
