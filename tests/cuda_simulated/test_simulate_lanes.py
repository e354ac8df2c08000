"""All threads at once give what they give one by one, to the bit, and never hide a fault."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import cuda, float32, int32, njit, uint32, uint64

import minigrad_cudasim as simulate
from minigrad_cudasim.lanes.blocks import Blocks
from minigrad_cudasim.lanes.calls import UFUNCS
from minigrad_cudasim.thread import Block
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

SCALE = 3
TABLE = np.arange(8.0, dtype=np.float32)


def clamp(x, low, high):
    if x < low:
        return low
    if x > high:
        return high
    return x


def naive(a, b, c):
    i, j = cuda.grid(2)
    if i < c.shape[0] and j < c.shape[1]:
        total = float32(0)
        for k in range(a.shape[1]):
            total += a[i, k] * b[k, j]
        c[i, j] = total


def tiled(a, b, c):
    left = cuda.shared.array((8, 8), float32)
    right = cuda.shared.array((8, 8), float32)
    i, j = cuda.grid(2)
    ti, tj = cuda.threadIdx.x, cuda.threadIdx.y
    total = float32(0)
    for first in range(0, a.shape[1], 8):
        left[ti, tj] = 0
        right[ti, tj] = 0
        if i < a.shape[0] and first + tj < a.shape[1]:
            left[ti, tj] = a[i, first + tj]
        if first + ti < b.shape[0] and j < b.shape[1]:
            right[ti, tj] = b[first + ti, j]
        cuda.syncthreads()
        for k in range(8):
            total += left[ti, k] * right[k, tj]
        cuda.syncthreads()
    if i < c.shape[0] and j < c.shape[1]:
        c[i, j] = total


def branches(x, y):
    i = cuda.grid(1)
    if i >= x.size:
        return
    value = x[i]
    if i % 3 == 0:
        value = value * 2
    elif i % 3 == 1 and x[i - 1] > 0:
        value -= x[i - 1]
    else:
        value = -value if i > 7 else value / 4
    y[i] = clamp(value, float32(-1.5), float32(1.5)) + SCALE


def loops(x, y):
    i = cuda.grid(1)
    total = 0
    for k in range(i, x.size, cuda.gridsize(1)):
        if k % 5 == 4:
            continue
        if k > 60:
            break
        total += k // 3 - (k - 20) % 7
    left = i
    while left > 1:
        left = left // 2 if left % 2 == 0 else 3 * left + 1
        total ^= left & 63
        if total > 500:
            break
    y[i] = total << 1


def casts(x, y):
    i = cuda.grid(1)
    y[i] = int32(x[i] * 1000) + int(x[i]) + math.floor(x[i]) + abs(i - 20)
    y[i] += min(i, 5) * max(i, 9) + int32(i * 400_000_000) + (1 if 0 < i < 9 else 7)


def functions(x, y):
    i = cuda.grid(1)
    v = x[i]
    w = math.exp(-v * v) + math.sqrt(abs(v)) * 1.5 + math.erf(v) + v**2 + math.pow(v, 3.0)
    y[i] = w + max(v, float32(0)) + TABLE[i % 8] + 1 / 3 + i / 7


def own_arrays(x, y):
    i = cuda.grid(1)
    held = cuda.local.array(4, float32)
    for k in range(4):
        held[k] = x[(i + k) % x.size]
    for k in range(3):
        if held[k] > held[k + 1]:
            swap = held[k]
            held[k] = held[k + 1]
            held[k + 1] = swap
    y[i] = held[3] - held[0]


def votes(x, y):
    i = cuda.grid(1)
    tile = cuda.shared.array(16, float32)
    t = cuda.threadIdx.x
    tile[t] = x[i]
    found = cuda.syncthreads_count(x[i] > 0)
    step = 8
    while step > 0:
        if t < step:
            tile[t] += tile[t + step]
        cuda.syncthreads()
        step //= 2
    if cuda.syncthreads_or(t == 3 and cuda.blockIdx.x == 1):
        found += 100
    y[i] = tile[0] + found


def blocks_of_unlike_barriers(x, y):
    t = cuda.threadIdx.x
    tile = cuda.shared.array(16, float32)
    tile[t] = x[t]
    for k in range(cuda.blockIdx.x + 1):
        cuda.syncthreads()
        held = tile[(t + 1) % 16]
        cuda.syncthreads()
        tile[t] = held + k
    y[cuda.grid(1)] = tile[t]


def over_lists(x, y):
    held = cuda.shared.array(16, float32)
    i, t = cuda.grid(1), cuda.threadIdx.x
    held[t] = x[i]
    cuda.syncthreads()
    for j in [1, 2, 4, 8]:
        if t % (2 * j) == 0:
            held[t] += held[t + j]
        cuda.syncthreads()
    y[i] = held[t]


def ranges_of_floats(x, y):
    i = cuda.grid(1)
    total = 0
    for k in range(math.ceil(x.size / 3)):
        for m in range(math.floor(i / 2), math.ceil(i / 2 + 2)):
            total += k * m
    y[i] = total


def in_place(x, y):
    i = cuda.grid(1)
    x[i] += 1
    y[i], other = x[i] * 2, i
    y[i] += other


def views(x, y):
    i = cuda.grid(1)
    row = x[i % x.shape[0]]
    part = x[1:, 2]
    total = float32(0)
    for value in row:
        total += value
    for k, (a, b) in enumerate(zip(row, part)):  # noqa: B905  (Numba knows no strict=)
        total += a * k - b
    window = row[i % 3 : i % 3 + 2]
    y[i] = total + window[0] + len(window) + row[..., 1:][0]


def pieces(x, y):
    held = cuda.shared.array(0, float32)
    mine, all_of_it = held[4:], cuda.shared.array(0, float32)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    if t < 4:
        held[t] = 0
    own = cuda.local.array((2, 3), float32)
    own[:] = 2
    own[1, :2] = own[0, 1:]
    mine[t] = x[i] * own[1, 1]
    cuda.syncthreads()
    cuda.atomic.add(held, t % 4, 1)
    cuda.atomic.max(held, 0, t)
    cuda.syncthreads()
    y[i] = all_of_it[4 + (t + 1) % 16] + held[t % 4]


def unsigned(x, y):
    i = uint32(cuda.threadIdx.x) + uint32(cuda.blockIdx.x) * uint32(cuda.blockDim.x)
    state = uint32(i * uint32(2654435761))
    wide = uint64(state)
    for k in range(uint32(5)):
        state = uint32((state ^ (state >> uint32(15))) * uint32(0x2C1B3C6D))
        wide = (wide << uint32(7)) ^ (wide * uint64(6364136223846793005)) + uint64(k)
        x[i] = uint32(x[i] ^ state)
    low = int32(uint32(wide)) if wide > uint64(1 << 63) else int32(state)
    unit = (wide >> uint32(11)) * (1.0 / (uint64(1) << uint32(53)))
    y[i] = low % 1000 + unit + float32(state) / uint32(3) + (~wide % uint64(97)) / 2.0


def escapes(x, y):
    i = cuda.grid(1)
    z, c = 0.0j, complex(x[i], 0.3 * x[i] - 1)
    turns = 0
    while turns < 20 and z.real * z.real + z.imag * z.imag < 4:
        z = z * z + c
        turns += 1
    w = (z - 2) / (c + 1.5j) * x[i]
    y[i] = turns + w.real + abs(w) - (1 if -w == c else 0)


def turns_or_all(x, most):
    for turn in range(5):
        x = x * 2 + turn
        if x > 9:
            return turn
    return most


def kinds(x, y):
    """What is a whole number on some lanes and a float on others, in all that may come of it."""
    i = cuda.grid(1)
    if i >= x.size:
        return
    total, count = 0, 0
    for k in range(-2, 3):
        if 0 <= i + k < x.size and x[i + k] > 0:
            total += x[i + k] * 0.1
            count = count + 1
    part = total / 3 if i % 2 else total // 2
    part = -part + (1.5 if total > 0 else 1) if i % 5 else abs(total)
    first = x[0] if i > 20 else 7
    first, last = (first - 1, i) if i % 3 else (i, first)
    y[i] = 0
    cuda.atomic.add(y, i, count if i % 2 else float32(count))
    y[i] += total
    if total:
        y[i] += math.sqrt(total) + float(part)
    if first <= last or not part:
        y[i] -= first * last + count
    y[i] += turns_or_all(x[i], uint32(77)) + (total or 3)


def filtered(image, mask, out):
    i, j = cuda.grid(2)
    if i >= image.shape[0] or j >= image.shape[1]:
        return
    s = 0
    for k in range(mask.shape[0]):
        for m in range(mask.shape[1]):
            p, q = i - k + 1, j - m + 1
            if p >= 0 and p < image.shape[0] and q >= 0 and q < image.shape[1]:
                s += mask[k, m] * image[p, q]
    out[i, j] = s


def case(kernel: Any, grid: Any, block: Any, *shapes: Any, dtype: Any = np.float32) -> Any:
    return pytest.param(kernel, grid, block, shapes, dtype, id=kernel.__name__)


@pytest.mark.parametrize(
    ("kernel", "grid", "block", "shapes", "dtype"),
    [
        case(naive, (2, 3), (8, 8), (13, 9), (9, 21), (13, 21)),
        case(tiled, (2, 3), (8, 8), (13, 19), (19, 21), (13, 21)),
        case(branches, 3, 16, 40, 48),
        case(loops, 2, 16, 99, 32, dtype=np.int32),
        case(casts, 2, 16, 32, 32, dtype=np.float64),
        case(functions, 2, 16, 32, 32),
        case(functions, 2, 16, 32, 32, dtype=np.float64),
        case(own_arrays, 2, 16, 32, 32),
        case(votes, 2, 16, 32, 32),
        case(blocks_of_unlike_barriers, 3, 16, 16, 48),
        case(in_place, 2, 16, 32, 32),
        case(over_lists, 2, 16, 32, 32),
        case(ranges_of_floats, 2, 16, 32, 32),
        case(unsigned, 2, 16, 32, 32, dtype=(np.uint32, np.float64)),
        case(escapes, 2, 16, 32, 32),
        case(escapes, 2, 16, 32, 32, dtype=np.float64),
        case(views, 2, 16, (6, 4), 32),
        case(pieces, 2, 16, 32, 32),
        case(kinds, 3, 16, 40, 48),
        case(kinds, 3, 16, 40, 48, dtype=np.float64),
        case(filtered, (2, 3), (8, 8), (13, 21), (3, 3), (13, 21)),
    ],
)
def test_lanes_give_the_bits_of_threads(
    kernel: Any, grid: Any, block: Any, shapes: Any, dtype: Any
) -> None:
    rng = np.random.default_rng(3)

    def arguments() -> list[Any]:
        rng.bit_generator.state = np.random.default_rng(4).bit_generator.state
        *given, out = shapes
        kind, result = dtype if isinstance(dtype, tuple) else (dtype, dtype)
        scale = 100 if kind == np.uint32 else 1
        held = [np.abs(v) if scale > 1 else v for v in (rng.normal(size=s) for s in given)]
        return [*((v * scale).astype(kind) for v in held), simulate.empty(out, result)]

    at_once, one_by_one = arguments(), arguments()
    report = simulate.check(kernel, grid, block, *at_once, shared=80)
    assert report.lanes and not report.faults, report
    alone = simulate.check(kernel, grid, block, *one_by_one, lanes=False, shared=80)
    assert not alone.lanes and not alone.faults, alone
    for a, b in zip(at_once, one_by_one, strict=True):
        assert a.tobytes() == b.tobytes()
    assert simulate.unwritten(at_once[-1]) == simulate.unwritten(one_by_one[-1])


def test_functions_of_arrays_give_the_bits_of_those_of_numbers() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        x = (rng.normal(size=1000) * 10 ** rng.uniform(-3, 3, 1000)).astype(dtype)
        with np.errstate(all="ignore"):
            for ufunc in UFUNCS:
                one_by_one = np.array([ufunc(v) for v in x], dtype)
                assert ufunc(x).tobytes() == one_by_one.tobytes(), (ufunc, dtype)


def walked(steps: Any, ends: Any, y: Any) -> None:
    i = cuda.grid(1)
    seen = float32(0)
    for s in range(steps.shape[0]):
        place = steps[s, i]
        if place > 10:
            cuda.atomic.add(y, place - 11, 1)
        elif place > 0:
            y[place - 1] = i * 100 + s
        if place < 0:
            seen += y[-place - 1]
        if ends[s, cuda.blockIdx.x]:
            cuda.syncthreads()
    if seen > 1e9:
        y[0] = seen


def shared_walked(steps: Any, ends: Any, y: Any) -> None:
    i = cuda.grid(1)
    tile = cuda.shared.array(6, float32)
    seen = float32(0)
    for s in range(steps.shape[0]):
        place = steps[s, i]
        if place > 10:
            cuda.atomic.add(tile, place - 11, 1)
        elif place > 0:
            tile[place - 1] = i * 100 + s
        if place < 0:
            seen += tile[-place - 1]
        if ends[s, cuda.blockIdx.x]:
            cuda.syncthreads()
    y[i] = seen


@pytest.mark.parametrize("kernel", [walked, shared_walked])
def test_drawn_accesses_are_found_to_race_where_threads_race(
    kernel: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    """Random reads, writes and barriers: lanes accept just what threads find nothing in."""
    trials = 3000 if request.config.getoption("--all-trials") else 120
    rng = np.random.default_rng(5)
    accepted = 0
    for _ in range(trials):
        blocks = int(rng.integers(1, 3))
        threads = 16 // blocks
        length = int(rng.integers(1, 5))
        steps = np.zeros((length, 16), np.int64)
        busy = rng.random(steps.shape) < rng.choice([0.05, 0.1, 0.2])
        steps[busy] = rng.integers(-6, 7, busy.sum())
        if rng.random() < 0.5:  # each block at places of its own, in turns
            steps[:, threads:] = np.where(steps[:, threads:] > 0, 0, steps[:, threads:])
        if rng.random() < 0.5:  # some of the writes, or all of them, as atomic updates
            steps[(steps > 0) & (rng.random(steps.shape) < rng.choice([0.3, 1]))] += 10
        ends = rng.random((length, blocks)) < 0.6

        outs = [np.zeros(6 if kernel is walked else 16, np.float32) for _ in range(2)]
        at_once, alone = (
            simulate.check(kernel, blocks, threads, steps, ends, y, lanes=lanes)
            for lanes, y in zip((True, False), outs, strict=True)
        )
        clean = not alone.faults and not alone.notes
        assert at_once.lanes == clean, (steps, ends, str(alone))
        accepted += clean
        if clean:
            assert outs[0].tobytes() == outs[1].tobytes()
    assert trials / 10 < accepted < trials * 9 / 10


def one_index_outside(x, y):
    i = cuda.grid(1)
    y[i] = x[i + i // 31]


def one_element_unwritten(x, y):
    tile = cuda.shared.array(33, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    cuda.syncthreads()
    y[t] = tile[t + t // 31]


def last_write_of_two_blocks(x, y):
    i = cuda.grid(1)
    y[i if i < 31 else 0] = x[i] + i


def division_by_zero(x, y):
    i = cuda.grid(1)
    y[i] = 7 // (i - 30)


def no_value(x, y):
    i = cuda.grid(1)
    if i < 31:
        value = x[i]
    y[i] = value


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        (one_index_outside, "bounds"),
        (one_element_unwritten, "uninitialised"),
        (last_write_of_two_blocks, "race"),
        (division_by_zero, "error"),
        (no_value, "error"),
    ],
)
def test_a_fault_of_one_lane_is_a_threads_to_name(kernel: Any, kind: str) -> None:
    grid, block = (2, 16) if kernel is last_write_of_two_blocks else (1, 32)
    y = np.zeros(32, np.float32)
    report = simulate.check(kernel, grid, block, np.ones(32, np.float32), y)
    assert not report.lanes and [fault.kind for fault in report.faults] == [kind]


def test_what_lanes_gave_up_begins_again() -> None:
    def kernel(x, count):
        x[cuda.grid(1)] += 1
        held = cuda.atomic.add(count, 0, 1)  # the order of threads decides: not done at once
        x[cuda.grid(1)] += held * 0

    x, count = np.zeros(32), np.zeros(1)
    report = simulate.check(kernel, 2, 16, x, count)
    assert not report.lanes and not report.faults
    assert x.tolist() == [1.0] * 32 and count[0] == 32


@pytest.mark.parametrize(
    ("value", "dtype", "at_once"),
    [
        (1, np.int32, True),
        (2**31 - 5, np.int32, True),
        (-3, np.int64, True),
        (7, np.uint32, True),
        (-7, np.uint32, False),
        (0.25, np.float32, True),
        (0.1, np.float32, False),
        (2.0**20 + 0.5, np.float32, False),
        (2.0**20 + 0.5, np.float64, True),
        (math.nan, np.float64, False),
        (0.5, np.int32, True),  # 0, as Numba casts it
    ],
)
def test_updates_are_done_at_once_where_their_order_does_not_matter(
    value: float, dtype: Any, at_once: bool
) -> None:
    def kernel(y, value):
        i = cuda.grid(1)
        if i < 40:
            cuda.atomic.add(y, i % 3, value)
            cuda.atomic.sub(y, 3, value)
            cuda.atomic.max(y, 4, value)
            cuda.atomic.min(y, 5, value)

    outs = [np.full(6, 2, dtype) for _ in range(2)]
    report = simulate.check(kernel, 3, 16, outs[0], value)
    assert report.lanes == at_once
    with np.errstate(all="ignore"):
        alone = simulate.check(kernel, 3, 16, outs[1], value, lanes=False, seed=4)
    if at_once:
        assert not report.faults and not alone.faults
        assert outs[0].tobytes() == outs[1].tobytes()


RECORD = np.dtype([("state", np.uint64), ("pair", np.float32), ("seen", np.int8)], align=True)


def of_records(rows, y):
    i = cuda.grid(1)
    row = rows[i]
    row["state"] = (row["state"] ^ uint64(i)) * uint64(6364136223846793005) + uint64(1)
    row.pair = row.pair * 2 + y[i]
    rows[i].seen += 1
    y[i] = (rows.state[i] >> uint32(40)) * 0.5 + rows["pair"][i] + len(rows) + rows[i]["seen"]


def test_records_give_the_bits_of_threads() -> None:
    rows = np.zeros(32, RECORD)
    rows["state"], rows["pair"] = np.arange(32) << 40, np.linspace(0, 1, 32)
    both = [(rows.copy(), np.ones(32)) for _ in range(2)]
    report = simulate.check(of_records, 2, 16, *both[0])
    assert report.lanes and not report.faults
    simulate.check(of_records, 2, 16, *both[1], lanes=False)
    assert all(a.tolist() == b.tolist() for a, b in zip(*both, strict=True))

    def one_field(rows, y):
        rows[0].seen = cuda.grid(1)
        y[cuda.grid(1)] = rows[1].pair

    report = simulate.check(one_field, 2, 16, *both[0])
    assert not report.lanes and [fault.kind for fault in report.faults] == ["race"]


def test_sums_of_several_updates_are_exact_together_or_left_to_threads() -> None:
    def kernel(y, value):
        i = cuda.grid(1)
        cuda.atomic.add(y, 0, value)  # 16 terms of 1/16 make one
        cuda.syncthreads()
        cuda.atomic.add(y, 0, float32(2**19))
        y[i + 1] = i

    for value, at_once in ((0.5, False), (8.0, True)):
        y = np.zeros(17, np.float32)
        assert simulate.check(kernel, 1, 16, y, np.float32(value / 8)).lanes == at_once
        assert y[0] == 2**23 + 2 * value


def test_a_launch_of_many_blocks_is_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad_cudasim.lanes.launch.TOGETHER", 32)

    def kernel(x, y):
        i = cuda.grid(1)
        if i < x.size:
            y[i] = x[i]

    x, y = np.arange(75.0), np.zeros(75)
    report = simulate.check(kernel, 5, 16, x, y)  # all threads of the first parts have work
    assert report.lanes and not report.faults and (x == y).all()


def test_a_large_launch_with_one_fault_begins_with_it_and_is_cut_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minigrad_cudasim.machine.LATE", 2000)
    monkeypatch.setattr("minigrad_cudasim.lanes.launch.TOGETHER", 1024)
    begun = []
    start = Block.__init__

    def counted(block: Any, index: Any, *rest: Any) -> None:
        begun.append(index.x)
        start(block, index, *rest)

    monkeypatch.setattr("minigrad_cudasim.machine.Block.__init__", counted)

    def unguarded(x, y):
        i = cuda.grid(1)
        y[i] = x[i] + 1

    for y in (simulate.empty(64_000 - 1), np.zeros(64_000 - 1)):  # the last thread is beyond
        begun.clear()
        report = simulate.check(unguarded, 1000, 64, np.ones(64_000 - 1), y)
        assert report.faults[0].kind == "bounds"
        assert sorted(begun[:8]) == list(range(992, 1000)) and len(begun) < 100


def test_what_interrupts_a_launch_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any) -> None:
        raise TimeoutError("of a signal's handler")

    monkeypatch.setattr(Blocks, "grid", late)
    with pytest.raises(TimeoutError):
        simulate.check(in_place, 2, 16, np.zeros(32), np.zeros(32))


def test_whole_numbers_wrap_at_64_bits_as_compiled_ones_do() -> None:
    def kernel(x, y):
        i = cuda.grid(1)
        state = i + 1
        for _ in range(8):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**62
            state ^= (state << 9) // 3
        y[i] = state

    @njit
    def compiled(y):
        for i in range(y.size):
            state = i + 1
            for _ in range(8):
                state = (state * 6364136223846793005 + 1442695040888963407) % 2**62
                state ^= (state << 9) // 3
            y[i] = state

    at_once, alone, right = (np.zeros(16, np.int64) for _ in range(3))
    report = simulate.check(kernel, 1, 16, at_once, at_once)
    simulate.check(kernel, 1, 16, alone, alone, lanes=False)
    compiled(right)
    assert report.lanes and at_once.tolist() == alone.tolist() == right.tolist()
