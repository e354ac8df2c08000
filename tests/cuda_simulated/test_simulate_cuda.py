"""The names and numbers of numba.cuda mean in the simulator what they mean to the compiler."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numba import cuda, float32, int8, int32, njit, uint32, uint64
from numba.cuda import libdevice, threadIdx

import minigrad_cudasim as simulate
from minigrad_cudasim.machine import LaneError
from minigrad_cudasim.numbers import INTEGERS, UInt32, brev, clz, ffs, popc
from minigrad_cudasim.warp import RULES
from minigrad_kernels.jit.compile import like
from minigrad_kernels.math.philox import philox4x32
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

FULL = 0xFFFFFFFF
TABLE = np.array([5, 6, 7], np.int32)
HALF = 0.5
PAIR = (1.5, 2)


def values(kernel: Callable[..., Any], count: int = 1, threads: int = 1, *args: Any) -> list[Any]:
    """Run a device function in each thread and return what the threads got."""
    got: dict[int, Any] = {}

    def keep(i, value):
        got[i] = value

    simulate.model(keep)(keep)
    helper = kernel

    def outer(args):
        keep(cuda.grid(1), helper(*args))

    simulate.launch(outer, count, threads, args)
    return [got[i] for i in range(count * threads)]


# ---------------------------------------------------------------- places
def test_places_of_threads_and_blocks() -> None:
    def kernel(y):
        i, j, k = cuda.grid(3)
        size = cuda.gridsize(3)
        t = threadIdx.x + cuda.blockDim.x * (threadIdx.y + cuda.blockDim.y * threadIdx.z)
        y[k, j, i] = t + 100 * cuda.blockIdx.y + 1000 * size[1] + 10000 * cuda.gridDim.z

    y = simulate.empty((2, 6, 4), np.int64)
    simulate.launch(kernel, (2, 3, 1), (2, 2, 2), y)
    assert simulate.unwritten(y) == 0
    assert y[1, 5, 3] == 7 + 200 + 6000 + 10000 and y[0, 0, 0] == 16000
    assert y[0, 0, 1] == 16001 and y[0, 1, 0] == 16002 and y[1, 0, 0] == 16004


def test_lanes() -> None:
    got = values(lambda: (cuda.laneid, cuda.warpsize, cuda.lanemask_lt(), cuda.activemask()), 1, 40)
    assert got[33] == (1, 32, 1, 255)


def test_the_active_mask_is_of_the_lanes_that_come_to_one_place() -> None:
    def kernel(y):
        i = cuda.grid(1)
        if i % 2 == 0:
            y[i] = cuda.activemask()
        else:
            y[i] = cuda.activemask()

    for seed in range(4):
        y = simulate.empty(48, np.uint32)
        simulate.launch(kernel, 1, 48, y, seed=seed)
        assert y[:32].tolist() == [0x55555555, 0xAAAAAAAA] * 16
        assert y[32:].tolist() == [0x5555, 0xAAAA] * 8
        simulate.launch(kernel, 1, 48, y, seed=seed, strict=True)  # no lane may count on others
        assert y.tolist() == [1 << i % 32 for i in range(48)]


# ---------------------------------------------------------------- numbers, as Numba types them
def test_float32_stays_float32_until_it_meets_a_wide_integer_or_a_literal() -> None:
    def rule():
        x = float32(1) / float32(3)
        return x, x + x, x * 2, x * 2.0, x * HALF, float(x), x * np.float32(0.5), -0.5 * x

    got = values(rule)[0]
    single, double = np.float32, np.float64
    kinds = [single, single, double, double, double, single, single, double]
    assert [type(v) for v in got] == kinds


def test_constants_of_the_module_and_of_tuples() -> None:
    def rule(pair=PAIR):
        return TABLE[1], PAIR[0] * float32(1), PAIR[1], pair[0] * float32(1)

    got = values(rule)[0]
    assert got == (6, 1.5, 2, 1.5) and type(got[1]) is type(got[3]) is np.float64


def test_unsigned_numbers_wrap_where_they_are_cast() -> None:
    def rule():
        a = uint32(FULL)
        return uint32(a + uint32(2)), a + uint32(2), uint32(0) - uint32(1), uint32(-1), int8(200)

    got = values(rule)[0]
    assert got == (1, 0x100000001, 2**64 - 1, FULL, -56)


def test_casts_agree_with_numba() -> None:
    @njit
    def numbas(x):
        return np.int8(x), np.uint8(x), np.int32(x), np.uint32(x), np.int64(x), np.uint64(x)

    casts = [INTEGERS[n] for n in ("int8", "uint8", "int32", "uint32", "int64", "uint64")]
    for x in (0, -1, 127, 128, 300, 2**31, 2**32 - 1, -(2**31)):
        assert tuple(int(cast(x)) for cast in casts) == tuple(int(v) for v in numbas(np.int64(x)))


def test_elements_load_as_their_types_and_store_as_c_does() -> None:
    def kernel(small, words, y):
        y[0] = small[0] + small[0]  # 64-bit, where NumPy's uint8 would wrap
        y[1] = words[0] + words[0]
        small[1] = 300
        words[1] = -1

    small, words, y = np.array([200, 0], np.uint8), np.array([FULL, 0], np.uint32), np.zeros(2)
    simulate.launch(kernel, 1, 1, small, words, y)
    assert y.tolist() == [400, 2.0 * FULL] and small[1] == 44 and words[1] == FULL


def test_mathematics_gives_infinities_where_python_raises() -> None:
    def rule():
        zero = float32(0)
        return (
            math.log(zero),
            math.sqrt(float32(-1)),
            float32(1) / zero,
            math.exp(float32(1000)),
            math.erf(float32(0.5)),
            math.inf,
        )

    log, root, inverse, large, erf, infinity = values(rule)[0]
    assert log == -np.inf and np.isnan(root) and inverse == np.inf == large == infinity
    assert type(erf) is np.float32 and erf == np.float32(math.erf(0.5))


def test_bits() -> None:
    assert [popc(UInt32(FULL)), popc(-1), popc(0)] == [32, 64, 0]
    assert [clz(UInt32(1)), clz(UInt32(0)), clz(1)] == [31, 32, 63]
    assert [ffs(UInt32(8)), ffs(0)] == [4, 0]
    assert brev(UInt32(1)) == 0x80000000 and brev(1) == 1 << 63


def test_small_functions() -> None:
    def rule():
        return (
            cuda.fma(float32(3), float32(5), float32(1)),
            cuda.selp(False, 1, 2),
            libdevice.rsqrtf(float32(4)),
            libdevice.fast_expf(float32(0)),
            cuda.popc(uint32(7)),
            cuda.cbrt(float32(1)),
        )

    assert values(rule)[0] == (16, 2, 0.5, 1, 3, 1)


def test_fused_multiply_add_rounds_once() -> None:
    a = np.float32(1 + 2**-12)
    got = values(lambda: cuda.fma(a, a, float32(-1)))[0]
    assert got == np.float32(np.float64(a) ** 2 - 1) != a * a - np.float32(1)


# ---------------------------------------------------------------- calls
@njit
def by_njit(v):
    return v + by_cuda(v)


@cuda.jit(device=True)
def by_cuda(v):
    return v * cuda.threadIdx.x


def made(add: int) -> Callable[[Any], Any]:
    @cuda.jit(device=True)
    def inner(v):
        return by_njit(v) + add

    return inner


def test_device_functions_of_every_kind() -> None:
    inner = made(100)
    assert values(lambda: inner(float32(2)), 1, 3) == [102, 104, 106]
    assert values(lambda: like(float32(1), 2))[0].dtype == np.float32


def test_a_recursive_device_function() -> None:
    def power(x, n):
        return float32(1) if n == 0 else x * power(x, n - 1)

    assert values(lambda: power(float32(2), 5)) == [32]


def test_philox_is_the_one_of_the_cpu() -> None:
    def kernel(y):
        i = cuda.grid(1)
        zero = uint32(0)
        w = philox4x32(uint32(i), zero, zero, zero, zero, zero)
        for j in range(4):
            y[4 * i + j] = w[j]

    y = simulate.empty(8, np.uint32)
    simulate.launch(kernel, 1, 2, y)
    assert [hex(v) for v in y[:4]] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


def test_wide_products_wrap_at_64_bits() -> None:
    got = values(lambda: uint64(2**63 + 3) * uint64(5) >> uint64(1))[0]
    assert got == ((2**63 + 3) * 5 % 2**64) >> 1


def test_what_has_no_model_is_named() -> None:
    @numba.extending.intrinsic
    def strange(typing, x):
        return None

    with pytest.raises(simulate.Fault, match="no model of the intrinsic strange"):
        values(lambda: strange(1))
    with pytest.raises(simulate.Fault, match="no model of cuda.grid_group"):
        values(lambda: cuda.grid_group())


# ---------------------------------------------------------------- warp operations and votes
def test_shuffles() -> None:
    def rule():
        v = float32(cuda.laneid)
        return (
            cuda.shfl_sync(FULL, v, 3),
            cuda.shfl_up_sync(FULL, v, 2),
            cuda.shfl_down_sync(FULL, v, 2),
            cuda.shfl_xor_sync(FULL, v, 1),
        )

    got = values(rule, 1, 64)
    assert got[0] == (3, 0, 2, 1) and got[31] == (3, 29, 31, 30) and got[33] == (3, 1, 3, 0)
    assert all(type(v) is np.float32 for v in got[5])


def test_votes() -> None:
    def rule():
        lane = cuda.laneid
        return (
            cuda.ballot_sync(FULL, lane < 2),
            cuda.any_sync(FULL, lane == 40),
            cuda.all_sync(FULL, lane < 32),
            cuda.match_any_sync(FULL, lane // 16),
            cuda.match_all_sync(FULL, 7),
            cuda.match_all_sync(FULL, lane),
        )

    got = values(rule, 1, 32)[20]
    assert got == (3, False, True, 0xFFFF0000, (FULL, True), (0, False))


def test_a_shuffle_needs_its_source() -> None:
    with pytest.raises(LaneError, match="shfl_sync reads lane 5") as caught:
        RULES["shfl_sync"]({0: (1.0, 5)})
    assert caught.value.lane == 0


def test_barriers_that_count() -> None:
    def rule():
        t = cuda.threadIdx.x
        return (
            cuda.syncthreads_count(t < 5),
            cuda.syncthreads_or(t == 3),
            cuda.syncthreads_and(t < 3),
        )

    assert values(rule, 1, 40) == [(5, 1, 0)] * 40


# ---------------------------------------------------------------- atomics
@pytest.mark.parametrize(
    ("name", "start", "argument", "expected"),
    [
        ("add", 10, 3, 13),
        ("sub", 10, 3, 7),
        ("and_", 10, 3, 2),
        ("or_", 10, 3, 11),
        ("xor", 10, 3, 9),
        ("max", 10, 30, 30),
        ("max", 10, 3, 10),
        ("min", 10, 3, 3),
        ("exch", 10, 3, 3),
        ("inc", 10, 10, 0),
        ("inc", 9, 10, 10),
        ("dec", 0, 7, 7),
        ("dec", 5, 7, 4),
    ],
)
def test_atomics(name: str, start: int, argument: int, expected: int) -> None:
    y, old = np.array([[0, start]], np.uint32), simulate.empty(1, np.uint32)
    operation = getattr(cuda.atomic, name)

    def kernel(y, old, argument):
        old[0] = operation(y, (0, 1), argument)

    simulate.launch(kernel, 1, 1, y, old, argument)
    assert y[0, 1] == expected and old[0] == start


def test_compare_and_swap() -> None:
    def kernel(y, old):
        old[0] = cuda.atomic.cas(y, 0, 4, 5)
        old[1] = cuda.atomic.compare_and_swap(y, 4, 6)
        old[2] = cuda.atomic.cas(y, 0, 5, 7)

    y, old = np.array([4], np.int32), simulate.empty(3, np.int32)
    simulate.launch(kernel, 1, 1, y, old)
    assert old.tolist() == [4, 5, 5] and y[0] == 7


def test_nan_in_atomics() -> None:
    def kernel(y):
        cuda.atomic.max(y, 0, float32(1))
        cuda.atomic.nanmax(y, 1, float32(1))
        cuda.atomic.nanmin(y, 2, float32(1))

    y = np.full(3, np.nan, np.float32)
    simulate.launch(kernel, 1, 1, y)
    assert np.isnan(y[0]) and y[1:].tolist() == [1, 1]


def test_models_may_be_registered() -> None:
    def hardware(x):
        raise AssertionError("runs on a GPU alone")

    def gather(x):
        raise AssertionError("runs on a GPU alone")

    @simulate.model(hardware)
    def _(x):
        return x + 1

    @simulate.model(gather, collective=True)
    def _(lanes):
        total = sum(args[0] for args in lanes.values())
        return dict.fromkeys(lanes, total)

    assert values(lambda: hardware(cuda.laneid), 1, 2) == [1, 2]
    assert values(lambda: gather(cuda.laneid), 1, 32) == [496] * 32
    with pytest.raises(simulate.Fault, match="warp"):
        values(lambda: gather(1) if cuda.laneid else 0, 1, 32)


def test_int32_arrays_index_and_wrap_no_sum() -> None:
    def kernel(index, y):
        big = index[0] + index[0]
        y[0] = big
        y[1] = int32(big)

    y = simulate.empty(2, np.int64)
    simulate.launch(kernel, 1, 1, np.array([2**31 - 1], np.int32), y)
    assert y.tolist() == [2**32 - 2, -2]


@pytest.mark.parametrize("value", [UInt32(1), np.uint64(1)])
def test_numba_shuffles_no_unsigned_integers(value: Any) -> None:
    with pytest.raises(LaneError, match="shfl_down_sync of an unsigned integer") as caught:
        RULES["shfl_down_sync"]({3: (value, 0)})
    assert caught.value.lane == 3
