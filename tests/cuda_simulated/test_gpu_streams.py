"""Streams, events and copies of a GPU, as far as a driver that is only pretended can show them."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from numba import float32

import minigrad as mg
from minigrad_kernels.cuda import staging, targets
from minigrad_kernels.cuda.numba_compiler import Code
from minigrad_kernels.cuda.staging import Ring
from minigrad_kernels.cuda.streams import STREAMS, Event
from minigrad_kernels.cuda.targets import Gpu, upload
from tests.cuda_simulated.fake_driver import Driver, kernel


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    device = None

    def gpu(number: int) -> Gpu:
        nonlocal device
        device = device or Gpu(number)
        return device

    monkeypatch.setattr(targets, "driver", lambda: made)
    monkeypatch.setattr(targets.numba_compiler, "compiled", lambda *args: Code(b"", "kernel"))
    monkeypatch.setattr(targets, "gpu", gpu)
    monkeypatch.setattr(mg.engine.device, "USED", [])
    monkeypatch.setattr(mg.engine.allocator, "ELSEWHERE", [])
    return made


# ---------------------------------------------------------------- order
def test_launches_and_copies_go_to_the_current_stream(driver: Driver) -> None:
    device = Gpu()
    x = device.empty(4, np.float32)
    side = device.new_stream()
    device.run(kernel, 1, 32, [x])
    with device.using(side):
        device.write(x, np.ones(4, np.float32))
        device.run(kernel, 1, 32, [x])
    device.run(kernel, 1, 32, [x])
    steps = [entry for entry in driver.log if entry[0] in ("kernel", "to device")]
    assert steps == [("kernel", 0), ("to device", 16, 16), ("kernel", 16), ("kernel", 0)]


def test_threads_and_errors_leave_the_current_stream_alone(driver: Driver) -> None:
    device = Gpu()
    side = device.new_stream()
    with pytest.raises(KeyError), device.using(side):
        assert device.stream is side
        raise KeyError
    assert device.stream is device.default


def test_a_read_waits_for_its_own_stream_alone(driver: Driver) -> None:
    device = Gpu()
    x = upload(device, np.arange(3.0))
    side = device.new_stream()
    with device.using(side):
        y = upload(device, np.arange(5.0))
    driver.log.clear()
    assert device.read(x).tolist() == [0, 1, 2]
    assert ("synchronize", 0) in driver.log and ("synchronize", 16) not in driver.log
    with device.using(side):
        assert device.read(y).tolist() == [0, 1, 2, 3, 4]


def test_memory_is_handed_on_within_its_stream_alone(driver: Driver) -> None:
    device = Gpu()
    side = device.new_stream()
    x = device.empty(100, np.float32)
    where = x.address
    del x
    with device.using(side):
        other = device.empty(100, np.float32)
    assert other.address != where
    assert device.empty(100, np.float32).address == where


def test_memory_that_another_stream_used_waits_for_it(driver: Driver) -> None:
    device = Gpu()
    side = device.new_stream()
    x = device.empty(100, np.float32)
    where = x.address
    with device.using(side):
        device.run(kernel, 1, 32, [x[10:]])  # a view counts for what holds it
    del x
    driver.log.clear()
    assert device.empty(100, np.float32).address == where
    assert driver.log == [("record", 16), ("wait", 0, 16)]
    driver.log.clear()
    y = device.empty(100, np.float32)
    device.run(kernel, 1, 32, [y])
    del y
    device.empty(100, np.float32)
    assert driver.log == [("kernel", 0)]  # its own stream is in order anyway


def test_streams_are_made_once(driver: Driver) -> None:
    device = Gpu()
    made = [device.new_stream() for _ in range(STREAMS + 1)]
    assert made[0] is made[-1] and len({id(stream) for stream in made}) == STREAMS
    assert all(device.external(int(stream)) is stream for stream in made)
    assert device.external(1) is device.default is not made[0]


def test_machine_code_is_loaded_once(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def compiled(kernel: Any, signature: Any, capability: Any) -> Code:
        asked.append((signature, capability))
        return Code(b"", "kernel")

    monkeypatch.setattr(targets.numba_compiler, "compiled", compiled)
    device = Gpu()
    side = device.new_stream()
    x = device.empty(4, np.float32)
    for _ in range(3):
        device.run(kernel, (2, 1), 64, [x], 16)
        device.run(kernel, 1, 64, [x])
        with device.using(side):
            device.run(kernel, 1, 64, [x])
    assert [stream for _, stream in driver.log] == [0, 0, 16] * 3
    assert driver.prepared[:2] == [
        ("kernel", (2, 1, 1), (64, 1, 1), 16),
        ("kernel", (1, 1, 1), (64, 1, 1), 0),
    ]
    assert asked == [((float32[::1],), (9, 0))]


# ---------------------------------------------------------------- copies
def test_what_is_written_may_change_at_once(driver: Driver) -> None:
    device = Gpu()
    source = np.arange(6.0).reshape(2, 3)
    there = upload(device, source)
    assert not any(entry[0] == "synchronize" for entry in driver.log)
    source[:] = -1
    assert device.read(there).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_large_copies_go_in_pieces(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "RING", 1024)
    monkeypatch.setattr(targets, "PIECE", 512)
    device = Gpu()
    source = np.arange(1000, dtype=np.float32).reshape(10, 100)
    there = upload(device, source)
    sizes = [entry[2] for entry in driver.log if entry[0] == "to device"]
    assert sizes == [512] * 7 + [416]
    source[:] = 0
    assert device.read(there)[9, 99] == 999 and device.read(there)[0, 1] == 1


def test_the_ring_waits_for_what_it_takes_again() -> None:
    driver = Driver()
    driver.enter(0)
    stream = driver.streams[0]
    ring = Ring(np.zeros(1024, np.uint8), lambda: Event(driver, 0, False))
    copied = []
    for number in range(50):
        piece = ring.take(300 if number % 3 else 700)
        piece[:] = number
        stream.todo.append(lambda piece=piece: copied.append(set(piece.tolist())))
        ring.copied(stream)
    stream.synchronize()
    assert copied == [{number} for number in range(50)]
    assert len(ring.spare) + len(ring.held) < 5  # marks are used again


def test_few_copies_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "EVENTS", 4)
    driver = Driver()
    driver.enter(0)
    stream = driver.streams[0]
    ring = Ring(np.zeros(1 << 20, np.uint8), lambda: Event(driver, 0, False))
    for _ in range(20):
        ring.take(1)
        ring.copied(stream)
        assert len(ring.held) <= 4
    assert len(stream.todo) <= 4


def test_pinned_memory_goes_as_it_is(driver: Driver) -> None:
    x = mg.arange(6.0).reshape(2, 3).pin_memory()
    assert x.is_pinned() and x[1:].is_pinned() and not mg.ones(2).is_pinned()
    assert x.pin_memory() is x
    soon = x.to("cuda", non_blocking=True)
    now = x.to("cuda")
    x.array[:] = 7.0  # too soon for the first, which was asked not to wait; the second has a copy
    assert soon.cpu().tolist() == [[7, 7, 7]] * 2 and now.cpu().tolist() == [[0, 1, 2], [3, 4, 5]]
    plain = mg.ones(3)
    there = plain.cuda(non_blocking=True)
    plain.array[:] = 2.0
    assert there.cpu().tolist() == [1, 1, 1]


def test_pinned_memory_lives_until_it_is_copied(driver: Driver) -> None:
    device = Gpu()
    host = device.pinned((3,), np.float32)
    gone = weakref.ref(host)
    device.write(device.empty(3, np.float32), host, wait=False)
    x = device.empty(3, np.float32)
    late = weakref.ref(device.read(x, wait=False))
    del host
    driver.streams[0].todo.clear()  # what the driver has in hand is no reference of Python's
    assert gone() is not None and late() is not None
    for mark in [mark for mark, _ in device.under_way]:
        driver.event_of(mark.handle).come()
    device.read(x, wait=False)
    assert gone() is None and late() is None and len(device.under_way) == 1


def test_a_read_may_be_left_under_way(driver: Driver) -> None:
    x = mg.arange(3.0).cuda()
    driver.log.clear()
    back = x.to("cpu", non_blocking=True)
    assert back.is_pinned() and driver.log == [("to host", 0, 12), ("record", 0)]
    mg.cuda.synchronize()
    assert back.tolist() == [0, 1, 2]


# ---------------------------------------------------------------- the public names
def test_streams_and_events(driver: Driver) -> None:
    side = mg.cuda.Stream()
    assert mg.cuda.current_stream() == mg.cuda.default_stream() != side
    assert side.device == "cuda:0" and repr(side) == "<stream of cuda:0>"
    with mg.cuda.stream(side), mg.cuda.stream(None):
        assert mg.cuda.current_stream() == side and hash(mg.cuda.current_stream()) == hash(side)
        x = mg.arange(3.0).cuda()
    assert repr(mg.cuda.current_stream()) == "<default stream of cuda:0>"
    assert not side.query()
    start, end = (mg.cuda.Event(enable_timing=True) for _ in range(2))
    start.record(side)
    end.record(side)
    assert not end.query() and start.elapsed_time(end) == 1.5 and end.query()
    mg.cuda.current_stream().wait_stream(side)
    assert x.cpu().tolist() == [0, 1, 2]
    side.synchronize()
    assert side.query()


def test_streams_of_other_libraries(driver: Driver) -> None:
    side = mg.cuda.Stream()
    theirs = mg.cuda.ExternalStream(side.cuda_stream)
    assert theirs == side and theirs.cuda_stream == 16 and theirs.device == "cuda:0"
    assert mg.cuda.ExternalStream(0) == mg.cuda.default_stream() != theirs
    assert mg.cuda.default_stream().cuda_stream == 0
    with pytest.raises(ValueError, match="cuda-sim has no stream of another library, got 16"):
        mg.cuda.ExternalStream(16, "cuda-sim")


def test_events_say_what_is_missing(driver: Driver) -> None:
    event = mg.cuda.Event()
    assert event.query()
    event.wait()
    event.synchronize()
    assert driver.log == []
    with pytest.raises(RuntimeError, match=r"the start must be an Event\(enable_timing=True\)"):
        event.elapsed_time(event)
    event.record()
    with pytest.raises(RuntimeError, match="belongs to cuda:0, the stream to cuda-sim"):
        event.record(mg.cuda.current_stream("cuda-sim"))


def test_the_peak_is_kept(driver: Driver) -> None:
    mg.zeros(1000).cuda()
    assert mg.cuda.memory_allocated() == 0
    assert mg.cuda.max_memory_allocated() >= 4000
    mg.cuda.reset_peak_memory_stats()
    assert mg.cuda.max_memory_allocated() == 0


def test_the_simulator_has_streams_that_work() -> None:
    side = mg.cuda.Stream("cuda-sim")
    event = mg.cuda.Event()
    with mg.cuda.stream(side):
        x = mg.ones(4, device="cuda-sim") * 2
        event.record(side)
    side.wait_event(event)
    assert side.query() and event.query() and x.sum().item() == 8
    mg.cuda.reset_peak_memory_stats("cuda-sim")
    before = mg.cuda.max_memory_allocated("cuda-sim")
    y: Any = mg.ones(1000, device="cuda-sim")
    del y
    assert mg.cuda.max_memory_allocated("cuda-sim") == before + 4000


def test_pinned_memory_needs_a_gpu() -> None:
    if mg.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(RuntimeError, match="no CUDA"):
        mg.ones(2).pin_memory()
    with pytest.raises(RuntimeError, match="no CUDA"):
        mg.cuda.Stream()
