"""Every CUDA kernel up to its launch: what the driver is given is what the machine code takes.

The pretended driver holds each launch to the limits, each parameter to the size that the cubin
says, each array to living memory.  It computes nothing: the simulator's tests do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minigrad.engine.device import CudaTable
from minigrad_kernels.cuda import targets
from minigrad_kernels.cuda.plan import plans
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.table import KERNELS
from tests.cuda_pretended import pretended
from tests.cuda_pretended.pretended import Launched, Pretended, data_of
from tests.cuda_simulated import cuda_kernels

pretended.require()
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
MOST = 2  # samples of a kernel and dtype: large ones, strided ones and empty ones are among them
LARGE = 70_000  # elements
ALWAYS = {(name, DTYPES[0]) for name in (*list(CUDA_KERNELS)[::12], "sum_products")}


@pytest.fixture(scope="module")
def driver() -> Iterator[Pretended]:
    with pretended.gpus() as made:
        yield made


def samples(name: str, dtype: Any) -> list[tuple[Any, ...]]:
    """Return a few of a kernel's samples, evenly spread."""
    found = cuda_kernels.samples(name, dtype, most=LARGE)
    return found[:: -(-len(found) // MOST)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CUDA_KERNELS)
def test_plans_launch_what_the_kernel_launches(
    name: str, dtype: np.dtype[Any], driver: Pretended, request: pytest.FixtureRequest
) -> None:
    if (name, dtype) not in ALWAYS and not request.config.getoption("--all-trials"):
        pytest.skip("--all-trials: compiles every CUDA kernel, which takes a minute and a half")
    kernel, target, table = KERNELS[name], targets.gpu(), CudaTable()
    for args in samples(name, dtype):
        with driver.logged() as direct:
            cuda_kernels.run(name, CUDA_KERNELS[name], kernel, args, target)
        for _ in range(2):  # recorded, then repeated
            with driver.logged() as planned:
                cuda_kernels.run(name, table[name], kernel, args, target)
            mine, theirs = map(pretended.launches, (planned, direct))
            assert [launch[:5] for launch in mine] == [launch[:5] for launch in theirs]
            assert [numbers(launch) for launch in mine] == [numbers(launch) for launch in theirs]
    assert driver.faults == 0, driver.library.pretended_text()


def numbers(launch: Launched) -> list[tuple[int, int]]:
    """Return a launch's parameters but the addresses."""
    addresses = data_of(launch.values)
    return [(n, 0 if v in addresses else v) for n, v in launch.values]


def test_arrays_reach_their_own_parameters(driver: Pretended) -> None:
    target, table = targets.gpu(), CudaTable()
    kept = []  # so that each round has other addresses
    for _ in range(3):
        a, b, y = (target.empty((5, 300), np.float32) for _ in range(3))
        kept += [a, b, y]
        with driver.logged() as lines:
            table["sub"](a, b, y)
        (launch,) = pretended.launches(lines)
        found = [v for _, v in launch.values if v in {x.address for x in kept}]
        assert found == [a.address, b.address, y.address]


def test_views_begin_where_they_do(driver: Pretended) -> None:
    target, table = targets.gpu(), CudaTable()
    whole, y = target.empty((8, 16), np.float32), target.empty((8, 8), np.float32)
    for view in (whole[:, 3:11], whole[:, 11:3:-1], whole[::-1, 4:12]):
        y = target.empty(view.shape, np.float32)
        with driver.logged() as lines:
            table["exp"](view, y)
        (launch,) = pretended.launches(lines)
        low = min(a for a in data_of(launch.values) if a != y.address)
        assert whole.address <= low < whole.address + whole.nbytes


def test_numbers_that_steer_are_read_at_each_launch(driver: Pretended) -> None:
    target, table = targets.gpu(), CudaTable()
    x, y = (target.empty(4096, np.float32) for _ in range(2))
    call = np.array([7])
    before = len(plans.known)
    found = []
    for number in (7, 8, 2**32 + 9):
        call[0] = number
        with driver.logged() as lines:
            table["dropout"](x, 0.5, 2.0, 1, 2, call, y)
        (launch,) = pretended.launches(lines)
        found.append({v for n, v in launch.values if n == 4})
    assert len(plans.known) == before + 1
    assert 7 in found[0] and 8 in found[1] and 9 in found[2]


def test_zeros_of_two_signs_are_two_numbers(driver: Pretended) -> None:
    target, table = targets.gpu(), CudaTable()
    x, y = (target.empty(64, np.float32) for _ in range(2))
    found = []
    for number in (0.0, -0.0):
        with driver.logged() as lines:
            table["elu"](x, number, 1.0, y)
        (launch,) = pretended.launches(lines)
        found.append([v for n, v in launch.values if n == 4])
    assert found[0] != found[1]


def test_nan_is_one_number(driver: Pretended) -> None:
    """It equals none, itself included: a key with it in would be met by no later one."""
    target, table = targets.gpu(), CudaTable()
    x, y = (target.empty(64, np.float32) for _ in range(2))
    before = len(plans.known)
    for _ in range(3):
        table["elu"](x, float("nan"), 1.0, y)
        table["elu"](x, np.float32("nan"), 1.0, y)
    assert len(plans.known) == before + 2


def test_a_parameter_of_another_size_is_seen(driver: Pretended) -> None:
    """The driver reads the sizes of parameters off the machine code."""
    target, table = targets.gpu(), CudaTable()
    x, y = (target.empty(64, np.float32) for _ in range(2))
    with driver.logged() as lines:
        table["dropout"](x, 0.5, 2.0, 1, 2, np.array([1]), y)
    (launch,) = pretended.launches(lines)
    array = [8] * 7
    assert [n for n, _ in launch.values] == [*array, 4, 4, 4, 4, 4, 4, *array]


def test_one_array_in_two_places_is_known_by_a_plan(driver: Pretended) -> None:
    target, table = targets.gpu(), CudaTable()
    a, b, c = (target.empty((6, 7), np.float32) for _ in range(3))
    for _ in range(2):
        for args in ((a, b, c), (a, b, a), (b, a, a), (a, a, a)):
            with driver.logged() as lines:
                table["sub"](*args)
            (launch,) = pretended.launches(lines)
            found = [v for _, v in launch.values if v in {a.address, b.address, c.address}]
            assert found == [x.address for x in args]


def test_a_turned_array_is_as_numpy_has_it(driver: Pretended) -> None:
    target = targets.gpu()
    for shape in ((3, 5), (1, 4), (4, 1), (2, 3, 4), (5,), ()):
        made, host = target.empty(shape, np.float32).T, np.empty(shape, np.float32).T
        assert made.shape == host.shape and made.strides == host.strides
        for flag in ("c_contiguous", "f_contiguous", "forc"):
            assert getattr(made.flags, flag) == getattr(host.flags, flag)
        again = made.T
        assert again.shape == shape and not again.whole
        assert again.strides == host.T.strides
        lazy = made.layout()
        assert made.geometry.strides == host.strides and made.layout() == lazy
    turned = target.empty((3, 5), np.float32).T
    with pytest.raises(ValueError, match="would copy it"):
        turned.reshape(15)
    assert turned[1:3].shape == (2, 3) and turned[1:3].address == turned.address + 4


def test_a_plan_launches_on_the_stream_that_is_current(driver: Pretended) -> None:
    target, table = targets.gpu(), CudaTable()
    x, y = target.empty((64, 8), np.float32), target.empty((8,), np.float32)
    side = target.new_stream()
    seen = []
    for stream in (target.default, side, target.default, side):
        with target.using(stream), driver.logged() as lines:
            table["sum"](x, (0,), y)
        seen.append({launch.stream for launch in pretended.launches(lines)})
    assert seen == [{0}, {side.number}, {0}, {side.number}]


def test_working_memory_is_given_back_and_kept_apart_by_stream(driver: Pretended) -> None:
    target, table = targets.gpu(), CudaTable()
    x, y, z = target.empty((4096, 8), np.float32), *(target.empty(8, np.float32) for _ in "ab")
    side = target.new_stream()

    def scratch() -> set[int]:
        with driver.logged() as lines:
            table["mean"](x, (0,), y)
            table["mean"](x, (0,), z)
        launched = pretended.launches(lines)
        return set.union(*(data_of(launch.values) for launch in launched)) - held

    held = {x.address, y.address, z.address}
    before = target.allocated
    first = scratch()
    with target.using(side):
        other = scratch()
    assert target.allocated == before and scratch() == first
    assert first and other and not first & other


def test_a_launch_that_fails_gives_its_working_memory_back(
    driver: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, table = targets.gpu(), CudaTable()
    x, y = target.empty((4096, 8), np.float32), target.empty(8, np.float32)
    table["mean"](x, (0,), y)
    before = target.allocated
    for each in list(plans.known.values()):
        if each is not None and each.calls:
            monkeypatch.setattr(each, "calls", [*each.calls[:-1], lambda: 700])
    with pytest.raises(RuntimeError, match=r"blocks of \(\d+, \d+, \d+\) threads, 0 bytes.*700"):
        table["mean"](x, (0,), y)
    assert target.allocated == before


def test_only_constants_that_cannot_change_are_known_by_themselves(driver: Pretended) -> None:
    target = targets.gpu()
    fixed, free = np.full((), 3.0, np.float32), np.full((), 3.0, np.float32)
    fixed.flags.writeable = False
    first = target.constant(fixed)
    assert target.constant(fixed) is first and target.constant(free) is first
    free[...] = 4
    assert target.constant(free) is not first
    view = free.view()
    view.flags.writeable = False  # of memory that may be written to
    second = target.constant(view)
    free[...] = 5
    assert target.constant(view) is not second
