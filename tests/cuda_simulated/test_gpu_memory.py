"""A GPU's memory, as far as a driver that is only pretended can show it."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad_kernels.cuda import targets
from minigrad_kernels.cuda.targets import Gpu, upload
from tests.cuda_simulated.fake_driver import Driver, array


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setattr(targets, "driver", lambda: made)
    return made


def test_memory_comes_back_and_is_handed_on(driver: Driver) -> None:
    device = Gpu()
    first = device.empty((10, 10), np.float32)
    where = first.address
    view = first[2:]
    del first
    assert device.allocated == 512 and view.address == where + 80  # the view holds it
    del view
    assert (device.allocated, device.reserved) == (0, 512)
    assert device.empty(100, np.float32).address == where and driver.calls == 1
    device.empty_cache()
    assert device.reserved == driver.used == 0


def test_memory_comes_back_without_a_collector(driver: Driver) -> None:
    device = Gpu()
    gc.disable()
    try:
        for _ in range(20):
            upload(device, np.ones(1000, np.float32))
    finally:
        gc.enable()
    assert device.allocated == 0 and driver.calls == 1


def test_memory_of_a_garbage_cycle_is_handed_on_and_not_freed(driver: Driver) -> None:
    """The collector finalises all that a cycle holds, the pool's memory must not be among it."""
    device = Gpu()
    cycle: list[Any] = [device.empty(100, np.float32)]
    where = cycle[0].address
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert driver.used == device.reserved == 512
    again = device.empty(100, np.float32)
    assert (again.address, driver.used, driver.calls) == (where, 512, 1)
    del again
    device.empty_cache()
    assert driver.used == 0


def test_memory_goes_with_its_pool_and_its_arrays(driver: Driver) -> None:
    device = Gpu()
    cycle: list[Any] = [device.empty(100, np.float32), device]
    cycle.append(cycle)
    last = device.empty(100, np.float32)
    del cycle, device
    gc.collect()
    assert driver.used == 1024  # the pool lives as long as an array of it
    del last
    gc.collect()
    assert driver.used == 0


def test_other_errors_of_the_driver_are_its_own(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(nbytes: int) -> Any:
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    device = Gpu()
    monkeypatch.setattr(driver, "allocate", broken)
    with pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
        device.empty(4, np.float32)


def test_copies_go_there_and_back(driver: Driver) -> None:
    device = Gpu()
    x = np.arange(12.0).reshape(3, 4)
    there = upload(device, x)
    assert device.read(there).tolist() == x.tolist()
    device.write(there, 7)
    assert device.read(there[1:]).tolist() == np.full((2, 4), 7.0).tolist()
    assert device.read(device.empty((0, 3), np.int64)).shape == (0, 3)


def test_the_cache_is_given_up_before_memory_is_out(driver: Driver) -> None:
    device = Gpu()
    kept = device.empty(1 << 17, np.float32)
    del kept
    device.empty(200_000, np.float32)  # fits only where the first block is
    assert driver.calls == 2 and device.reserved == driver.used


def test_out_of_memory_says_what_holds_it(driver: Driver) -> None:
    device = Gpu()
    held = [device.empty((100, 100), np.float32) for _ in range(3)]
    other = device.empty(1000, np.float64)
    with pytest.raises(MemoryError) as caught:
        device.empty((1 << 20,), np.float32)
    message = str(caught.value)
    assert message.startswith("cuda:0 has no 4,194,304 bytes for an array of (1048576,) float32;")
    assert "3 of (100, 100) float32 (122,880 bytes), 1 of (1000,) float64" in message
    assert "3 of (100, 100)" in device.summary() and device.device_name == "fake"
    del held, other
    gc.collect()
    assert device.allocated == 0


def test_memory_of_another_library_is_shared(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Gpu()
    monkeypatch.setattr(targets, "gpu", lambda number: device)
    monkeypatch.setattr(mg.engine.device, "USED", [])
    monkeypatch.setattr(mg.engine.allocator, "ELSEWHERE", [])
    source = array((3, 4))
    t = mg.as_tensor(source)
    assert t.device == "cuda:0" and t.shape == (3, 4) and driver.calls == 0
    source.held[1, 2] = 50.0
    assert t.array.read().tolist() == source.held.tolist()
    back = t.__cuda_array_interface__
    assert back["data"][0] == source.held.ctypes.data and back["shape"] == (3, 4)
    read_only: Any = array((2,))
    read_only.__cuda_array_interface__["data"] = (read_only.held.ctypes.data, True)
    with pytest.raises(ValueError, match="read-only cannot be shared"):
        mg.as_tensor(read_only)


def test_shared_memory_finds_its_gpu_and_waits_for_its_stream(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = [Gpu(0), Gpu(1)]
    monkeypatch.setattr(targets, "gpu", lambda number: devices[number])
    monkeypatch.setattr(mg.engine.device, "USED", [])
    monkeypatch.setattr(mg.engine.allocator, "ELSEWHERE", [])
    theirs = devices[1].new_stream()
    source = array((2, 2))
    driver.owners[source.held.ctypes.data] = 1
    source.__cuda_array_interface__["stream"] = int(theirs)
    t = mg.as_tensor(source)
    assert t.device == "cuda:1" and driver.log == [("record", 16), ("wait", 0, 16)]
    driver.log.clear()
    for stream in (None, 1):  # ours is the default one
        source.__cuda_array_interface__["stream"] = stream
        assert mg.as_tensor(source).device == "cuda:1" and driver.log == []
    empty = array((0, 2))
    empty.__cuda_array_interface__["data"] = (0, False)
    assert mg.as_tensor(empty).device == "cuda:0"


def test_only_a_gpu_has_a_gpus_memory() -> None:
    assert not hasattr(mg.ones(2), "__cuda_array_interface__")
    with pytest.raises(AttributeError, match="a tensor on cpu has no memory of a GPU"):
        mg.ones(2).__cuda_array_interface__


def test_the_simulators_memory_is_counted() -> None:
    before = mg.cuda.memory_allocated("cuda-sim")
    x = mg.ones(100, device="cuda-sim")
    assert (
        mg.cuda.memory_allocated("cuda-sim") == before + 400 == mg.cuda.memory_reserved("cuda-sim")
    )
    assert "1 of (100,) float32" in mg.cuda.memory_summary("cuda-sim")
    mg.cuda.empty_cache("cuda-sim")
    mg.cuda.synchronize("cuda-sim")
    assert mg.cuda.get_device_name("cuda-sim") == "simulated" and x.shape == (100,)
    with pytest.raises(ValueError, match="expected a CUDA device, got 'cpu'"):
        mg.cuda.memory_allocated("cpu")
