"""The products of packed operands by themselves: layouts, tails, splits, memory's requests."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import minigrad_cudasim as simulate
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.targets import Simulator
from minigrad_kernels.matmul import cuda_gemm as matmul
from minigrad_kernels.matmul.cuda_gemm import Choice
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.own import Own, planted
from tests.cuda_simulated.test_matmul_kernels import close, launched, operands

require_greenlet()

Array = np.ndarray[Any, Any]
TF32, BF16 = "tf32.packed", "bf16.packed"
CASES = (  # step, columns of a block, (m, k, n), layouts; beyond one tile, slice and group of lines
    (TF32, 128, (130, 36, 20), ("rows", "rows")),
    (TF32, 256, (20, 33, 24), ("columns", "rows")),
    (BF16, 128, (20, 70, 9), ("strided", "columns")),
    (BF16, 256, (17, 132, 24), ("rows", "columns")),
)


@pytest.mark.parametrize(("step", "columns", "sizes", "layouts"), CASES)
def test_every_layout(
    step: str, columns: int, sizes: tuple[int, int, int], layouts: tuple[str, str]
) -> None:
    a, b = operands(*sizes, layouts)
    c, sums = launched(Choice(step, columns, 1, sizes[1]), a, b, most=2)
    close(c, a, b, step)
    close(sums[:, None], a, np.ones((sizes[1], 1), np.float32), "tiled")


def test_splits_of_a_batch_of_which_one_operand_is_shared() -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((2, 20, 72)).astype(np.float32)
    b = np.broadcast_to(rng.standard_normal((72, 12)).astype(np.float32), (2, 72, 12))
    choice = Choice(BF16, 128, 2, 64)
    first, _ = launched(choice, a, b)
    second, _ = launched(choice, a, b, most=1, checks=False)
    assert first.tobytes() == second.tobytes()
    close(first, a, b, BF16)


def test_what_follows_a_product() -> None:
    a, b = operands(9, 20, 8)
    bias = np.random.default_rng(1).standard_normal(8).astype(np.float32)
    choice = Choice(TF32, 128, 1, 20)
    product, _ = launched(choice, a, b)
    y, _ = launched(choice, a, b, kind="activation", name="tanh", bias=bias)
    want = np.tanh((product + bias).astype(np.float64))
    cuda_kernels.agree("tanh", [y], [want], "tanh", np.dtype(np.float32))


def test_infinities_and_nan_stay_in_their_rows_and_columns() -> None:
    a, b = operands(20, 18, 20)
    a[3, 17], b[17, 5] = np.inf, np.uint32(0x7FFFFFFF).view(np.float32)  # the GPU's own NaN
    for step in (TF32, BF16):
        c, _ = launched(Choice(step, 128, 1, 18), a, b, checks=False)
        finite = np.isfinite(c)
        assert not finite[3].any() and np.isnan(c[:, 5]).all()
        assert np.delete(np.delete(finite, 3, 0), 5, 1).all()


class Counting(Simulator):
    """A simulator that counts what each line of a kernel asks of memory."""

    def __init__(self) -> None:
        super().__init__(most=1)
        self.excess: dict[tuple[str, str], int] = defaultdict(int)

    def run(self, kernel: Any, grid: Any, block: Any, args: Any, shared: int = 0) -> None:
        held = [a.geometry if isinstance(a, DeviceArray) else a for a in args]
        report = simulate.check(kernel, grid, block, *held, shared=shared, traffic=True)
        for line in report.traffic.as_list():
            beyond = line["units"] - line["least"]
            self.excess[kernel.py_func.__name__, line["space"]] += beyond


def test_no_bank_is_met_twice_and_no_sector_is_left_half() -> None:
    target = Counting()
    a, b = (target.empty(x.shape, x.dtype) for x in operands(16, 32, 32))
    for x in (a, b):
        target.write(x, np.ones(x.shape, x.dtype))
    c = target.empty((16, 32), np.float32)
    matmul.compute(a, b, c, choice=Choice(TF32, 128, 1, 32))
    found = dict(target.excess)
    assert set(found) == {("pack", "global"), ("product", "global"), ("product", "shared")}
    assert found.pop(("pack", "global")) <= 4  # where memory does not begin with a sector
    assert not any(found.values()), found


LEFT = "matmul.cuda_packing:packer('tf32', 'left', True)"
PRODUCT = "matmul.cuda_packed:packed_product('plain', '', 'tf32', 128)"
SYNC = "cuda.syncthreads()"
MUTANTS = (
    Own(PRODUCT, "", "barrier after copies removed", SYNC, "pass", kinds=("race", "uninitialised")),
    Own(PRODUCT, "", "c over operands in use", SYNC, "pass", which=1, kinds=("race",)),
    Own(PRODUCT, "", "c read too soon", SYNC, "pass", which=2, kinds=("race", "uninitialised")),
    Own(PRODUCT, "", "next tile over the last", SYNC, "pass", which=3, kinds=("race",)),
    Own(PRODUCT, "", "copies not waited for", "wait_copies(1)", "wait_copies(2)",
        kinds=("uninitialised", "race")),
    Own(PRODUCT, "", "a slice too many", "while start < end", "while start <= end",
        kinds=("uninitialised", "race", "wrong")),
    Own(PRODUCT, "", "a stage too far", "here < uint32(shared - stage)",
        "here <= uint32(shared - stage)", kinds=("bounds",)),
    Own(LEFT, "", "a line too many", "get(x, from_, at[2], d, k, line < count)",
        "get(x, from_, at[2], d, k, line <= count)", kinds=("bounds", "wrong")),
    Own("matmul.cuda_packing:vector", "", "k not ended", "d < k", "d <= k",
        kinds=("bounds", "wrong")),
    Own("matmul.cuda_packing:put_left", "", "k exchanged in a alone", "(v[0], w[0], v[1], w[1])",
        "(v[1], w[1], v[0], w[0])", kinds=("wrong",)),
    Own("matmul.cuda_packing:put_right", "", "halves of b over each other",
        "to + uint32(WORDS >> np.uint32(1))", "to", kinds=("uninitialised", "race", "wrong")),
    Own("matmul.cuda_packed:pair", "", "one fragment for two", "index + HALF", "index",
        kinds=("wrong",)),
)  # fmt: skip
ALWAYS = MUTANTS[::4]


def outcome() -> str:
    """Return what is found in a TF32 product of two tiles and four slices by one block."""
    try:
        a, b = operands(132, 100, 4, ("rows", "columns"))
        close(launched(Choice(TF32, 128, 1, 100), a, b, most=1)[0], a, b, TF32)
    except simulate.Fault as fault:
        return fault.kind
    except AssertionError:
        return "wrong"
    return "nothing"


def test_nothing_is_found_in_the_kernels() -> None:
    assert outcome() == "nothing"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.title)
def test_mistakes_in_the_kernels_are_found(mutant: Own, request: pytest.FixtureRequest) -> None:
    if mutant not in ALWAYS and not request.config.getoption("--all-trials"):
        pytest.skip("--all-trials: a second or more each")
    with planted(mutant):
        assert outcome() in mutant.kinds
