"""Memory of a GPU by DLPack, as far as a driver that is only pretended can show it.

Both ends are ours: what is handed out is taken by the other end's code, over the same structure
that NumPy, PyTorch and CuPy read and write.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad_kernels.cuda import dlpack, targets
from minigrad_kernels.cuda.targets import Gpu
from tests.cuda_simulated.fake_driver import Driver


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setattr(targets, "driver", lambda: made)
    device = Gpu()
    monkeypatch.setattr(targets, "gpu", lambda number: device)
    monkeypatch.setattr(mg.engine.device, "USED", [])
    monkeypatch.setattr(mg.engine.allocator, "ELSEWHERE", [])
    return made


def structure(capsule: Any) -> Any:
    return dlpack.Managed.from_address(dlpack.pointer_of(capsule, dlpack.NAME)).tensor


def test_the_structure_is_that_of_the_specification() -> None:
    assert ctypes.sizeof(dlpack.Tensor) == 48 and ctypes.sizeof(dlpack.Managed) == 64
    assert (dlpack.Versioned.flags.offset, dlpack.Versioned.tensor.offset) == (24, 32)
    offsets = {name: getattr(dlpack.Tensor, name).offset for name, _ in dlpack.Tensor._fields_}
    assert offsets == {
        **{"data": 0, "device_type": 8, "device_id": 12, "ndim": 16, "code": 20, "bits": 21},
        **{"lanes": 22, "shape": 24, "strides": 32, "byte_offset": 40},
    }


def test_numpys_capsules_are_read() -> None:
    x = np.arange(24, dtype=np.int16).reshape(2, 3, 4)[:, ::2, 1:]
    capsule = x.__dlpack__()
    found = structure(capsule)
    assert found.shape[:3] == [2, 2, 3] and found.strides[:3] == [12, 8, 1]
    assert (found.code, found.bits, found.lanes) == (dlpack.INT, 16, 1)
    assert (found.data or 0) + found.byte_offset == x.ctypes.data


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_memory_goes_out_and_comes_back(driver: Driver, dtype: Any) -> None:
    values = (np.arange(12).reshape(3, 4) % 3).astype(dtype)
    x = mg.tensor(values).cuda()
    assert x.__dlpack_device__() == (2, 0)
    y = mg.from_dlpack(x[:, 1::2])
    assert y.device == "cuda:0" and y.dtype == x.dtype
    assert y.array.address == x.array.address + x.array.itemsize
    assert y.array.strides == x[:, 1::2].array.strides
    x.array[...] = np.zeros((3, 4), dtype)
    assert x.array.read().sum() == 0
    where = x.array.address
    del x
    gc.collect()
    assert mg.cuda.memory_allocated() == 512  # y holds it
    z = mg.zeros(12, dtype=mg.float32).cuda()
    assert z.array.address != where
    del y, z
    assert mg.cuda.memory_allocated() == 0 and not dlpack.HELD


def test_a_capsule_that_nobody_takes_lets_go(driver: Driver) -> None:
    x = mg.ones(3).cuda()
    capsule = x.__dlpack__()
    del x
    assert mg.cuda.memory_allocated() == 512 and len(dlpack.HELD) == 1
    del capsule
    assert mg.cuda.memory_allocated() == 0 and not dlpack.HELD


def test_a_capsule_is_taken_once(driver: Driver) -> None:
    capsule = mg.ones(3).cuda().__dlpack__()
    target = targets.gpu(0)
    kept = dlpack.imported(capsule, target)
    with pytest.raises(ValueError, match="a DLPack capsule that nobody has taken yet"):
        dlpack.imported(capsule, target)
    del capsule
    assert len(dlpack.HELD) == 1 and kept.shape == (3,)
    del kept
    assert not dlpack.HELD


def test_empty_and_single_elements(driver: Driver) -> None:
    for shape in ((), (0, 3), (1,)):
        back = mg.from_dlpack(mg.ones(*shape).cuda() if shape else mg.tensor(1.0).cuda())
        assert back.shape == shape


def test_the_one_who_takes_it_waits_for_what_is_under_way(driver: Driver) -> None:
    side = mg.cuda.Stream()
    with mg.cuda.stream(side):
        x = mg.ones(3).cuda()
        driver.log.clear()
        x.__dlpack__(stream=1)
        assert driver.log == [("record", 16), ("wait", 0, 16)]
        for stream in (-1, 16):
            driver.log.clear()
            x.__dlpack__(stream=stream)
            assert driver.log == []
        with pytest.raises(ValueError, match="stream 0 does not say"):
            x.__dlpack__(stream=0)


def test_our_stream_is_told_to_the_producer(driver: Driver) -> None:
    asked = []
    x = mg.ones(3).cuda()

    class Producer:
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 0)

        def __dlpack__(self, stream: int) -> Any:  # as before DLPack 1.0
            asked.append(stream)
            return x.__dlpack__(stream=-1)

    mg.from_dlpack(Producer())
    with mg.cuda.stream(mg.cuda.Stream()):
        mg.from_dlpack(Producer())
    assert asked == [1, 16]


def test_what_cannot_be_shared(driver: Driver) -> None:
    x = mg.ones(3).cuda()
    with pytest.raises(BufferError, match=r"requires grad, .* share .detach\(\)"):
        mg.ones(3).cuda().requires_grad_().__dlpack__()
    with pytest.raises(BufferError, match=r"no strides of \(-4,\) bytes"):
        mg.Tensor(np.flip(x.array)).__dlpack__()
    with pytest.raises(BufferError, match=r"lies on cuda:0, DLPack's device \(2, 0\), .* \(1, 0\)"):
        x.__dlpack__(dl_device=(1, 0))
    copied = mg.from_dlpack(x)
    assert copied.array.address == x.array.address
    with pytest.raises(BufferError, match="memory on cuda-sim is no GPU's"):
        mg.ones(3, device="cuda-sim").__dlpack__()


@pytest.mark.parametrize(
    ("field", "value", "kind", "message"),
    [
        ("code", 5, TypeError, "type code 5 of 32 bits, 1 lanes"),
        ("bits", 8, TypeError, "type code 2 of 8 bits"),
        ("lanes", 4, TypeError, "4 lanes"),
        ("device_type", 10, BufferError, r"device \(2, 0\), cuda:0, got that of \(10, 0\)"),
        ("device_id", 1, BufferError, r"got that of \(2, 1\)"),
    ],
)
def test_what_cannot_be_taken_stays_its_owners(
    driver: Driver, field: str, value: int, kind: type[Exception], message: str
) -> None:
    capsule = mg.ones(3).cuda().__dlpack__()
    setattr(structure(capsule), field, value)
    with pytest.raises(kind, match=message):
        dlpack.imported(capsule, targets.gpu(0))
    assert dlpack.is_capsule(capsule, dlpack.NAME) and len(dlpack.HELD) == 1
    del capsule
    assert not dlpack.HELD


def versioned(major: int, flags: int, released: list[int]) -> tuple[Any, Any]:
    """Return a capsule of DLPack 1.0 over three numbers, and what keeps it alive."""
    values = np.arange(3, dtype=np.float32)
    sizes = (ctypes.c_int64 * 1)(3)
    release = dlpack.Deleter(released.append)
    made = dlpack.Versioned(major, 0, None, ctypes.cast(release, ctypes.c_void_p), flags)
    tensor = made.tensor
    tensor.data, tensor.device_type, tensor.ndim = values.ctypes.data, dlpack.CUDA, 1
    tensor.code, tensor.bits, tensor.lanes = dlpack.FLOAT, 32, 1
    tensor.shape = ctypes.cast(sizes, ctypes.POINTER(ctypes.c_int64))
    capsule = dlpack.new_capsule(ctypes.addressof(made), b"dltensor_versioned", None)
    return capsule, (made, values, sizes, release)


def test_the_versioned_structure_is_read(driver: Driver) -> None:
    released: list[int] = []
    capsule, held = versioned(1, 0, released)
    there = dlpack.imported(capsule, targets.gpu(0))
    assert there.read().tolist() == [0, 1, 2] and not released
    del there
    assert released == [ctypes.addressof(held[0])]
    for major, flags, message in ((1, 1, "read-only"), (2, 0, r"DLPack 2.0 came where 1")):
        capsule, held = versioned(major, flags, released)
        with pytest.raises(BufferError, match=message):
            dlpack.imported(capsule, targets.gpu(0))
    assert len(released) == 1


def test_the_cpus_memory_goes_through_numpy() -> None:
    x = mg.arange(6.0).reshape(2, 3)
    assert x.__dlpack_device__() == (1, 0)
    assert np.shares_memory(np.from_dlpack(x), x.array)
    assert mg.from_dlpack(x.array).tolist() == x.tolist()


def test_the_cpus_memory_is_shared_with_torch() -> None:
    torch = pytest.importorskip("torch")
    x = mg.arange(6.0).reshape(2, 3)
    shared = torch.from_dlpack(x)
    shared[0, 0] = 9
    assert x[0, 0].item() == 9 and mg.from_dlpack(shared)[0, 0].item() == 9


def test_the_gpu_is_asked_of_the_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 3)

    asked = []

    def target(device: mg.device) -> Any:
        asked.append(device.index)
        raise RuntimeError("stop")

    monkeypatch.setattr(mg.device, "target", target)
    with pytest.raises(RuntimeError, match="stop"):
        mg.from_dlpack(Elsewhere())
    assert asked == [3]
