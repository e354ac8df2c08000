"""Each planted fault is reported with its kind and line under every seed, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda

import minigrad_cudasim as simulate
from minigrad_kernels.cuda import ptx
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.planted import CASES, Case

require_greenlet()


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    return range(100 if request.config.getoption("--all-trials") else 20)


PLANTED = [case for case in CASES if not case.right]


def test_there_are_forty() -> None:
    assert len(PLANTED) >= 40 and len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.name)
def test_a_planted_fault_is_reported(case: Case, seeds: range) -> None:
    kind, lines = case.planted()
    for seed in seeds:
        report = case.report(seed)
        assert report.faults, f"seed {seed}: nothing is reported"
        first = report.faults[0]
        assert first.kind == kind, f"seed {seed}: {report}"
        assert set(first.lines) & lines, f"seed {seed}: lines {first.lines}, planted {lines}"
        assert set(first.lines) <= lines, f"seed {seed}: lines {first.lines}, planted {lines}"


@pytest.mark.parametrize("case", [c for c in CASES if c.right], ids=lambda case: case.name)
def test_what_is_right_is_clean(case: Case, seeds: range) -> None:
    for seed in seeds:
        report = case.report(seed)
        assert not report.faults, f"seed {seed}: {report}"


def test_all_faults_of_a_launch_are_reported() -> None:
    def kernel(x, y):
        tile = cuda.shared.array(32, np.float32)
        t = cuda.threadIdx.x
        tile[t] = x[t + 1]
        y[t] = tile[31 - t]

    report = simulate.check(kernel, 1, 32, np.ones(32, np.float32), np.zeros(32, np.float32))
    assert {fault.kind for fault in report.faults} == {"race", "bounds"}
    with pytest.raises(simulate.Fault) as caught:
        report.raise_faults()
    assert caught.value.kind == "race" and {f.kind for f in caught.value.others} == {"bounds"}
    assert "and bounds: global x[32] lies outside shape (32,)" in str(caught.value)


def test_a_missing_barrier_is_named() -> None:
    def kernel(x, y):
        tile = cuda.shared.array(32, np.float32)
        t = cuda.threadIdx.x
        if t > 15:
            tile[t] = x[t]
        if t < 16:
            y[t] = tile[t + 16]

    texts = set()
    for seed in range(8):
        report = simulate.check(kernel, 1, 32, np.ones(32), simulate.empty(32), seed=seed)
        assert [fault.kind for fault in report.faults] == ["race"]
        assert len(set(report.faults[0].lines)) == 2
        texts.add(report.faults[0].summary.partition("] ")[2])
    assert "is read before it is written: a barrier is missing" in texts


def test_what_changes_nothing_is_a_note() -> None:
    def kernel(x, flag):
        t = cuda.threadIdx.x
        x[31 - t]
        x[t] = 7 * t
        flag[0] = 1

    report = simulate.check(kernel, 1, 32, np.zeros(32), np.zeros(1))
    assert not report.faults
    hints = " ".join(note.hint for note in report.notes)
    assert "both write the same value" in hints and "what is read is not used" in hints
    strict = simulate.check(kernel, 1, 32, np.zeros(32), np.zeros(1), strict=True)
    assert {fault.kind for fault in strict.faults} == {"race"}


@pytest.mark.parametrize(
    ("grid", "block", "shared", "text"),
    [
        ((1, 70_000), 1, 0, "grid.y is 70000, expected at most 65535"),
        (1, (1, 1, 65), 0, "block.z is 65, expected at most 64"),
        (1, 1025, 0, "has more than 1024 threads"),
        (1, 1, 400_000, "400000 bytes of dynamic shared memory, expected at most 232448"),
    ],
)
def test_launches_beyond_a_gpu(grid: object, block: object, shared: int, text: str) -> None:
    def kernel(y):
        y[0] = 1

    with pytest.raises(simulate.Fault, match=text) as caught:
        simulate.launch(kernel, grid, block, np.zeros(1), shared=shared)
    assert caught.value.kind == "launch" and isinstance(caught.value, ValueError)


def test_a_wrong_number_of_arguments_is_named() -> None:
    def kernel(x, y):
        y[0] = x[0]

    with pytest.raises(TypeError, match="kernel.x, y. takes 2 arguments, got 1"):
        simulate.launch(kernel, 1, 1, np.zeros(1))


def test_negative_indices_can_be_meant() -> None:
    def kernel(x, y):
        y[0] = x[cuda.threadIdx.x - 1]

    def from_the_end(x, y):
        y[-1] = x[-1]  # a number in the source is meant

    y = np.zeros(1)
    simulate.launch(from_the_end, 1, 64, np.arange(4.0), y)  # often enough to be specialised
    assert y[0] == 3
    y = np.zeros(1)
    simulate.launch(kernel, 1, 1, np.arange(4.0), y, negative=False)
    assert y[0] == 3
    with pytest.raises(IndexError, match="negative=False takes that as meant"):
        simulate.launch(kernel, 1, 1, np.arange(4.0), y)


def test_sectors_and_bank_conflicts_by_line() -> None:
    def kernel(x, y):
        tile = cuda.shared.array((32, 32), np.float32)
        t = cuda.threadIdx.x
        tile[t, 0] = x[t]
        cuda.syncthreads()
        y[32 * t] = tile[t, 0]

    x, y = np.zeros(32, np.float32), np.zeros(1024, np.float32)
    report = simulate.check(kernel, 1, 32, x, y, traffic=True)
    assert not report.faults
    held = {(line.space, line.action): line for line in report.traffic.lines()}
    assert held["global", "read"].per_request == 4 and held["global", "write"].per_request == 32
    assert held["shared", "read"].per_request == held["shared", "write"].per_request == 32
    assert report.traffic.lines()[-1].action == "read"  # the coalesced one is the best
    assert "32.0 passes a request (1.0 at least)" in str(report)
    assert "32.0 sectors a request (4.0 at least)" in str(report)


def test_an_access_of_128_bits_is_one_request() -> None:
    def kernel(x, y):
        tile = cuda.shared.array(128, np.float32, alignment=16)
        t = 4 * cuda.threadIdx.x
        ptx.store128(tile, t, ptx.load128(x, t))
        ptx.copy_async(tile, t, x, t)
        ptx.wait_copies(0)
        ptx.store128(y, t, ptx.load128(tile, t))

    x, y = simulate.empty(128), simulate.empty(128)
    report = simulate.check(kernel, 1, 32, x, y, traffic=True, uninitialised=False)
    assert not report.faults
    for line in report.traffic.lines():
        assert line.per_request == (16 if line.space == "global" else 4) and not line.excess


def test_an_access_that_the_interpreter_specialises_stays_one_line() -> None:
    def kernel(x, y):
        i = cuda.grid(1)
        while i < x.size:
            y[i] = x[i]
            i += cuda.gridsize(1)

    x, y = np.zeros(1024, np.float32), np.zeros(1024, np.float32)
    lines = simulate.check(kernel, 1, 32, x, y, traffic=True).traffic.lines()
    assert [(line.requests, line.per_request) for line in lines] == [(32, 4), (32, 4)]


def test_a_launch_begins_again_where_unlogged_reads_meet_a_write() -> None:
    def once(x, y):
        i = cuda.grid(1)
        y[i] = x[i] + 1
        x[i] = -1  # after reads that were not logged

    def race(x, y):
        i = cuda.grid(1)
        y[i] = x[31 - i]
        x[i] = -1

    for order in simulate.ORDERS:
        x, y = np.arange(32.0), simulate.empty(32)
        simulate.launch(once, 1, 32, x, y, order=order)
        assert y.tolist() == [i + 1.0 for i in range(32)] and x.tolist() == [-1.0] * 32
        with pytest.raises(simulate.Fault, match="race: .* of global x"):
            simulate.launch(race, 1, 32, np.arange(32.0), simulate.empty(32), order=order)
