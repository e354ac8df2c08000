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


def test_a_parameter_of_another_size_is_seen(driver: Pretended) -> None:
    """The driver reads the sizes of parameters off the machine code."""
    target, table = targets.gpu(), CudaTable()
    x, y = (target.empty(64, np.float32) for _ in range(2))
    with driver.logged() as lines:
        table["dropout"](x, 0.5, 2.0, 1, 2, np.array([1]), y)
    (launch,) = pretended.launches(lines)
    array = [8] * 7
    assert [n for n, _ in launch.values] == [*array, 4, 4, 4, 4, 4, 4, *array]
