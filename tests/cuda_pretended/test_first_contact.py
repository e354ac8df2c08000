"""What breaks at the first contact with a GPU: contexts, missing parts, two names of one device."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numba.cuda
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


@pytest.mark.parametrize("code", [700, 719])
def test_what_is_let_go_of_after_a_lost_context_is_silent(
    code: int, driver: Pretended, recwarn: pytest.WarningsRecorder
) -> None:
    """An illegal address is told by whatever waits for it, and by every call from then on."""
    held = [mg.ones(5000).cuda() for _ in range(3)]
    event, pinned = mg.cuda.Event(), mg.ones(100).pin_memory()
    event.record()
    step = mg.cuda.graph(lambda x: x + 1)
    for _ in range(3):
        step(held[0])
    driver.library.pretended_break(code)
    try:
        with pytest.raises(cuda_driver.DriverError, match="start a new process, this one's") as one:
            mg.cuda.synchronize()
        assert one.value.code == code and one.value.lost
        with pytest.raises(cuda_driver.DriverError) as two:
            held[0] + held[1]
        assert two.value.lost
        del held, event, pinned, step
        gc.collect()  # an error in a finaliser fails the test, by pytest's own watch
        mg.cuda.empty_cache()
    finally:
        driver.library.pretended_break(0)
    assert not cuda_driver.DriverError(1, "").lost and driver.faults == 0


def test_a_fork_is_told_that_the_driver_is_not_its_own(driver: Pretended) -> None:
    held = mg.ones(5000).cuda()
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that a fork has not
        child = os.fork()
    if not child:
        try:
            mg.cuda.synchronize()
            said = "nothing"
        except cuda_driver.DriverError as error:
            said = str(error)
        del held
        os.write(write, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    said = os.read(read, 1000).decode()
    os.close(read)
    os.close(write)
    assert f"NOT_INITIALIZED: the driver was started by process {os.getpid()}, of which" in said
    mg.cuda.synchronize()


def launch(driver: Pretended, code: bytes, entry: str, threads: int, shared: int) -> None:
    function = driver.function(code, entry, shared)
    memory = (ctypes.c_uint64 * 64)()
    pointers = [ctypes.addressof(memory) + 8 * i for i in range(64)]
    driver.prepare(function, entry, (1, 1, 1), (threads, 1, 1), shared, pointers)(0)


def test_launches_are_held_to_registers_and_to_all_shared_memory(driver: Pretended) -> None:
    """As by a GPU: 64 Ki registers a block, and 227 KiB of shared memory with its static part."""

    @numba.cuda.jit
    def own(y):
        piece = numba.cuda.shared.array(1024, numba.float32)
        piece[numba.cuda.threadIdx.x] = y[0]
        numba.cuda.syncthreads()
        y[1] = piece[0]

    signature = (numba.float32[::1],)
    code, entry = numba_compiler.compiled(own, signature, (9, 0))
    targets.gpu().enter()
    launch(driver, code, entry, 1024, 40_000)
    launch(driver, code, entry, 1024, 232_448 - 4096)
    for threads, shared in ((2048, 0), (1024, 46_000), (1024, 232_448)):
        with pytest.raises(cuda_driver.DriverError, match="INVALID_VALUE|CUresult 1"):
            launch(driver, code, entry, threads, shared)
    at = code.index(bytes([4, 0x2F, 8, 0])) + 8  # EIATTR_REGCOUNT: of a symbol, so many
    greedy = code[:at] + (128).to_bytes(4, "little") + code[at + 4 :]
    launch(driver, greedy, entry, 512, 0)
    with pytest.raises(cuda_driver.DriverError, match="CUresult 701"):
        launch(driver, greedy, entry, 513, 0)
    older, entry = numba_compiler.compiled(own, signature, (8, 0))
    with pytest.raises(cuda_driver.DriverError, match="NO_BINARY_FOR_GPU"):
        driver.function(older, entry)
    assert driver.faults == 5
    driver.forget()


def test_what_belongs_to_one_gpu_is_not_taken_by_another(driver: Pretended) -> None:
    first, second = targets.gpu(0), targets.gpu(1)
    one, two = first.new_stream(), second.new_stream()
    event = first.new_event()
    with pytest.raises(cuda_driver.DriverError, match="INVALID_HANDLE"):
        event.record(two)
    event.record(one)
    event.wait(two)  # waiting across GPUs is allowed
    with pytest.raises(cuda_driver.DriverError, match="INVALID_HANDLE"):
        first.new_event(timing=True).elapsed_time(first.new_event(timing=True))
    with pytest.raises(cuda_driver.DriverError, match="INVALID_HANDLE"):
        driver.synchronize_stream(4096)
    assert driver.faults == 3
    driver.forget()


def test_the_library_is_found_where_containers_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_driver, "LIBRARY", "libcuda-of-a-test.so.1")
    monkeypatch.setattr(cuda_driver, "FOLDERS", (str(tmp_path),))
    monkeypatch.delenv("MINIGRAD_CUDA_LIBRARY", raising=False)
    with pytest.raises(RuntimeError, match=r"library libcuda-of-a-test.so.1 cannot be loaded"):
        cuda_driver.Driver()
    (tmp_path / "libcuda-of-a-test.so.1").symlink_to(pretended.built())
    assert cuda_driver.Driver().devices == 2


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
