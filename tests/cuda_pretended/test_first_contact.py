"""What breaks at the first contact with a GPU: contexts, missing parts, two names of one device."""

from __future__ import annotations

import ctypes
import gc
import importlib
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad_kernels.cuda import array, numba_compiler, targets
from minigrad_kernels.cuda import driver as cuda_driver
from tests.cuda_pretended import pretended
from tests.cuda_pretended.pretended import Pretended

pretended.require()


@pytest.fixture
def driver() -> Iterator[Pretended]:
    with pretended.gpus() as made:
        yield made


def test_one_gpu_is_one_object_by_any_name(driver: Pretended) -> None:
    one = targets.gpu()
    assert one is targets.gpu(0) is targets.gpu(np.int64(0)) is mg.device("cuda").target()
    assert one is mg.device("cuda:0").target() is mg.device("cuda", 0).target()
    other = mg.device("cuda:1").target()
    assert other is targets.gpu(1) is not one and mg.cuda.device_count() == 2
    held = mg.ones(1000).cuda()
    assert mg.cuda.memory_allocated() == mg.cuda.memory_allocated(0) == held.nbytes + 96


def test_what_is_let_go_of_in_any_thread_is_given_back(driver: Pretended) -> None:
    held = [mg.ones(5000).cuda() for _ in range(8)]
    pinned = mg.ones(100).pin_memory()
    events = [mg.cuda.Event() for _ in range(12)]
    for event in events:
        event.record()
    before = driver.used
    with driver.logged() as lines:
        thread = threading.Thread(target=lambda: (held.clear(), events.clear(), gc.collect()))
        thread.start()
        thread.join()
        del pinned, event
        other = threading.Thread(target=mg.cuda.empty_cache)  # no context is current there yet
        other.start()
        other.join()
    assert len(pretended.calls(lines, "cuEventDestroy")) == 12
    assert len(pretended.calls(lines, "cuMemFree")) >= 8 and driver.used < before
    assert len(pretended.calls(lines, "cuMemFreeHost")) == 1
    assert driver.faults == 0


def test_a_call_without_a_context_is_a_fault_here(driver: Pretended) -> None:
    """The tests above can fail."""
    found: list[Any] = []

    def call() -> None:
        try:
            driver.allocate(512)
        except cuda_driver.DriverError as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "INVALID_CONTEXT" in str(found[0]) and driver.faults == 1
    driver.forget()


def test_empty_arrays_ask_the_driver_for_nothing(driver: Pretended) -> None:
    x = mg.zeros(0, 3).cuda()
    assert x.cpu().shape == (0, 3) == x.to("cpu", non_blocking=True).shape
    assert mg.zeros(0).pin_memory().shape == (0,)
    assert (x + 1).sum().item() == 0 and driver.faults == 0


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        return cuda_driver.Driver("libcuda-that-is-not-there.so.1")

    monkeypatch.setattr(targets.cuda_driver, "driver", missing)
    with pytest.raises(RuntimeError, match=r"no CUDA: .*libcuda-that-is-not-there.so.1 cannot be"):
        targets.driver()
    assert mg.cuda.is_available() is False and mg.cuda.device_count() == 0


def test_an_old_driver_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"has no cuInit: it is too old; CUDA 13 needs driver"):
        cuda_driver.Driver(ctypes.util.find_library("m") or "libm.so.6")


@pytest.mark.parametrize("error", [OSError("libnvvm"), ValueError("odd"), RuntimeError("no CUDA")])
def test_asking_whether_there_is_a_gpu_never_raises(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise error

    monkeypatch.setattr(targets, "driver", broken)
    assert mg.cuda.is_available() is False


def test_a_missing_compiler_is_named(driver: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"no CUDA: numba-cuda is not installed: pip install"):
        targets.driver()


def test_there_are_so_many_gpus(driver: Pretended) -> None:
    with pytest.raises(RuntimeError, match="there is no GPU 7, the driver finds 2"):
        targets.gpu(7)


def test_a_name_that_numpy_has_no_more_is_given_to_the_compiler_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """numba-cuda 0.30.4 asks for `row_stack`, which NumPy 2.5 removed."""
    if hasattr(np, "row_stack"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            monkeypatch.delattr(np, "row_stack")
    seen: list[bool] = []
    found = importlib.import_module

    def importing(name: str) -> Any:
        seen.append(hasattr(np, "row_stack"))
        return found(name)

    monkeypatch.setattr(numba_compiler.importlib, "import_module", importing)
    numba_compiler.internals("dispatcher")
    assert seen and all(seen) and not hasattr(np, "row_stack")


@pytest.mark.parametrize("old", [False, True])
def test_reshapes_of_strided_arrays_copy_nothing(
    old: bool, driver: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not array.OLD_RESHAPE and old:
        pytest.skip("setting a shape is deprecated in this NumPy")
    x = targets.gpu().empty((4, 6), np.float32)
    assert x.reshape(-1).address == x.address and x.reshape(2, 2, 6).reshape(24).root is x
    view = x[:, :4]
    assert view.reshape(4, 2, 2).address == x.address
    with pytest.raises(ValueError, match="would copy it: make it contiguous first"):
        view.reshape(-1)
    with pytest.raises(ValueError, match="cannot reshape"):
        x.reshape(5, 5)


def test_a_checkout_can_be_used_without_installing() -> None:
    """As on a machine without a network: PYTHONPATH alone."""
    code = "import minigrad, minigrad_kernels, benchmarks.gpu; print(minigrad.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
