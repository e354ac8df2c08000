"""What needs a real GPU: every twin on it, the same bits in any grid, training as on the CPU."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu import losses
from benchmarks.gpu_launches import ROUTES, launch_routes
from minigrad_kernels.gpu.limits import peak
from minigrad_kernels.gpu.table import TWINS
from minigrad_kernels.gpu.targets import Interface, driver, gpu, upload
from minigrad_kernels.table import KERNELS
from tests.cuda import twins
from tests.kernels import test_table

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@functools.cache
def absent() -> str | None:
    """Return why there is no GPU, None where there is one."""
    try:
        driver()
    except RuntimeError as error:
        return str(error)
    return None


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(absent() is not None, reason=str(absent())),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", TWINS)
def test_twin_on_the_gpu(name: str, dtype: np.dtype[Any]) -> None:
    kernel, target = KERNELS[name], gpu()
    for args in twins.samples(name, dtype, most=sys.maxsize):
        message = f"{name}({test_table.shown(args)})"
        try:
            target.most = 1
            one = twins.run(name, TWINS[name], kernel, args, target)
        finally:
            target.most = None
        many = twins.run(name, TWINS[name], kernel, args, target)
        for a, b in zip(one, many, strict=True):
            assert a.tobytes() == b.tobytes(), f"{message}: other bits in another grid"
        twins.agree(name, many, twins.expected(name, kernel, args), message, dtype)


def test_every_kernel_has_a_twin() -> None:
    assert set(TWINS) == set(KERNELS)


def test_memory_goes_there_and_back() -> None:
    for shape in ((), (0,), (3, 5), (1_000_003,)):
        x = np.random.default_rng(0).normal(size=shape)
        np.testing.assert_array_equal(gpu().read(upload(gpu(), x)), x)


def test_training_gives_the_losses_of_the_cpu() -> None:
    cpu, cuda = (losses(device, 20, rows=64)[0] for device in ("cpu", "cuda"))
    np.testing.assert_allclose(cuda, cpu, rtol=1e-4)


def test_arrays_are_shared_with_other_libraries() -> None:
    torch = pytest.importorskip("torch")

    x = upload(gpu(), np.arange(6, dtype=np.float32).reshape(2, 3))
    shared = torch.as_tensor(Interface(x), device="cuda")
    assert shared.data_ptr() == x.address
    assert shared.cpu().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_multiply_adds_are_measured() -> None:
    assert peak(gpu(), np.float32) > 100


def test_launch_routes_are_all_there() -> None:
    found = launch_routes(10)
    assert [row["route"] for row in found] == list(ROUTES)
    assert [row for row in found if "failed" in row] == []
