"""What needs a real GPU: every CUDA kernel on it, the same bits in any grid, training as on the
CPU.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from benchmarks.gpu_launches import ROUTES, launch_routes
from benchmarks.gpu_losses import losses
from minigrad_kernels.compare.gpu_limits import peak
from minigrad_kernels.cuda.targets import Interface, driver, gpu, upload
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
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
@pytest.mark.parametrize("name", CUDA_KERNELS)
def test_cuda_kernel_on_the_gpu(name: str, dtype: np.dtype[Any]) -> None:
    kernel, target = KERNELS[name], gpu()
    for args in cuda_kernels.samples(name, dtype, most=sys.maxsize):
        message = f"{name}({test_table.shown(args)})"
        try:
            target.most = 1
            one = cuda_kernels.run(name, CUDA_KERNELS[name], kernel, args, target)
        finally:
            target.most = None
        many = cuda_kernels.run(name, CUDA_KERNELS[name], kernel, args, target)
        for a, b in zip(one, many, strict=True):
            assert a.tobytes() == b.tobytes(), f"{message}: other bits in another grid"
        cuda_kernels.agree(name, many, cuda_kernels.expected(name, kernel, args), message, dtype)


def test_every_kernel_has_a_cuda_kernel() -> None:
    assert set(CUDA_KERNELS) == set(KERNELS)


def test_memory_goes_there_and_back() -> None:
    for shape in ((), (0,), (3, 5), (1_000_003,)):
        x = np.random.default_rng(0).normal(size=shape)
        np.testing.assert_array_equal(gpu().read(upload(gpu(), x)), x)


def test_training_gives_the_losses_of_the_cpu() -> None:
    cpu, cuda = (losses(device, 20, rows=64)[0] for device in ("cpu", "cuda"))
    np.testing.assert_allclose(cuda, cpu, rtol=1e-3)


def test_arrays_are_shared_with_other_libraries() -> None:
    torch = pytest.importorskip("torch")

    x = upload(gpu(), np.arange(6, dtype=np.float32).reshape(2, 3))
    shared = torch.as_tensor(Interface(x), device="cuda")
    assert shared.data_ptr() == x.address
    assert shared.cpu().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_dlpack_goes_both_ways() -> None:
    torch = pytest.importorskip("torch")

    x = mg.arange(12.0).reshape(3, 4).cuda()
    theirs = torch.from_dlpack(x[:, 1:])
    assert theirs.data_ptr() == x.array.address + 4 and theirs.tolist() == x[:, 1:].tolist()
    theirs[0, 0] = 50
    assert x[0, 1].item() == 50
    ours = mg.from_dlpack(torch.arange(6.0, device="cuda").reshape(2, 3).T)
    assert ours.device == "cuda" and (ours * 2).tolist() == [[0, 6], [2, 8], [4, 10]]
    held = mg.ones(1000).cuda()
    capsule = held.__dlpack__(copy=True)
    held.array.fill(2.0)
    assert torch.from_dlpack(capsule).sum().item() == 1000


def test_streams_order_what_uses_the_same_memory() -> None:
    side = mg.cuda.Stream()
    x = mg.ones(1 << 20).cuda()
    for _ in range(50):
        side.wait_stream(mg.cuda.current_stream())
        with mg.cuda.stream(side):
            y = x * 2
        mg.cuda.current_stream().wait_stream(side)
        x = y - 1
        del y  # its memory is the side stream's, and used on the default one
    assert x.min().item() == x.max().item() == 1
    side.synchronize()
    assert side.query()
    start, end = (mg.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    x.sum()
    end.record()
    assert 0 < start.elapsed_time(end) < 1000


def test_pinned_memory_is_copied_while_the_program_goes_on() -> None:
    x = mg.randn(1 << 20).pin_memory()
    there = x.to("cuda", non_blocking=True)
    back = there.to("cpu", non_blocking=True)
    mg.cuda.synchronize()
    assert x.is_pinned() and back.is_pinned() and back.tolist() == x.tolist()
    large = np.random.default_rng(0).normal(size=5_000_000)  # several pieces, round the ring
    there = mg.tensor(large).cuda()
    np.testing.assert_array_equal(there.cpu().numpy(), large)


def test_multiply_adds_are_measured() -> None:
    assert peak(gpu(), np.float32) > 100


def test_launch_routes_are_all_there() -> None:
    found = launch_routes(10)
    assert [row["route"] for row in found] == list(ROUTES)
    assert [row for row in found if "failed" in row] == []
