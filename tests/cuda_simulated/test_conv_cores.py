"""Convolutions on tensor cores by themselves: right, and what is found in them when mistaken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad_cudasim as simulate
from minigrad_kernels.conv import cuda_conv
from minigrad_kernels.cuda.precision import set_precision
from minigrad_kernels.cuda.targets import Simulator
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.own import Own, planted
from tests.kernels.samples.conv import Case

require_greenlet()

UNITS = {"high": 2.0**-10, "medium": 2.0**-7.9}  # of the terms: two operands rounded
GROUPED = Case(2, 8, (7, 6), 16, (3, 2), (2, 3), (2, 1), (2, 1), groups=2)
ALONE = Case(1, 5, (9, 12), 10, (3, 3), padding=(1, 1))  # channels that fill no piece
WIDE = Case(1, 36, (3, 4), 130, (1, 2))  # two tiles of channels, several slices
ALWAYS = (("conv", "high", GROUPED), ("conv_backward_input", "medium", ALONE))
TRIALS = [
    (kernel, precision, case)
    for kernel in ("conv", "conv_backward_input")
    for precision in UNITS
    for case in (GROUPED, ALONE, WIDE)
]


@pytest.fixture(autouse=True)
def few_channels_are_enough(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cuda_conv, "MANY", 1)
    monkeypatch.setattr(cuda_conv, "DEEP", 1)
    yield
    set_precision("highest")


def outcome(kernel: str, precision: str, case: Case) -> str:
    """Return what is found in a convolution by two blocks."""
    x, weight, bias, y = case.arrays(np.random.default_rng(1), np.dtype(np.float32))
    args: tuple[Any, ...] = (x, weight, bias, *case.how, y)
    if kernel == "conv_backward_input":
        args = (y, weight, *case.how, x)
    row = KERNELS[kernel]
    (want,) = cuda_kernels.expected(kernel, row, args)
    sizes = tuple(np.abs(a) if isinstance(a, np.ndarray) else a for a in args)
    (terms,) = cuda_kernels.expected(kernel, row, sizes)
    set_precision(precision)
    try:
        target = Simulator(most=2)
        (got,) = cuda_kernels.run(kernel, cuda_conv.CUDA_KERNELS[kernel], row, args, target)
    except simulate.Fault as fault:
        return fault.kind
    return "nothing" if (np.abs(got - want) <= UNITS[precision] * terms).all() else "wrong"


@pytest.mark.parametrize(("kernel", "precision", "case"), TRIALS)
def test_convolutions(
    kernel: str, precision: str, case: Case, request: pytest.FixtureRequest
) -> None:
    if (kernel, precision, case) not in ALWAYS and not request.config.getoption("--all-trials"):
        pytest.skip("--all-trials: some seconds each")
    assert outcome(kernel, precision, case) == "nothing"


CORES = "conv.cuda_cores:correlate_cores('tf32', 128)"
SYNC = "cuda.syncthreads()"
MUTANTS = (
    Own(CORES, "", "barrier after copies removed", SYNC, "pass", 1, ("race", "uninitialised")),
    Own(CORES, "", "places read too soon", SYNC, "pass", 0, ("race", "uninitialised")),
    Own(CORES, "", "c over operands in use", SYNC, "pass", 2, ("race",)),
    Own(CORES, "", "idle outputs read", ">= count:", ">= count + count:", 0, ("bounds", "wrong")),
    Own("conv.cuda_cores:gatherer(128)", "", "columns not bounded",
        "and c < sizes[WIDTH]", "", kinds=("wrong", "bounds")),
    Own("conv.cuda_cores:weight_packer('tf32')", "", "a channel too many",
        "some and line < count", "some and line <= count", 1, kinds=("bounds", "wrong")),
    Own("conv.cuda_cores:channels_last('tf32')", "", "a pixel too many",
        "pixel < count", "pixel <= count", kinds=("bounds", "wrong")),
)  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.title)
def test_mistakes_are_found(mutant: Own, request: pytest.FixtureRequest) -> None:
    if mutant not in MUTANTS[::5] and not request.config.getoption("--all-trials"):
        pytest.skip("--all-trials: some seconds each")
    with planted(mutant):
        assert outcome("conv", "high", ALONE) in mutant.kinds
