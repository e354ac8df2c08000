"""Read-only memory is never written: a ValueError that names it, and nothing has been changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.train.callbacks import early_stopping

Array = np.ndarray[Any, Any]
SIZES = (6, 20_004)  # multiples of 6
MESSAGE = r"cannot be written: (its memory is read-only, as that of|it is an expanded view)"


class Immutable:
    """What speaks DLPack as an array of JAX does: its memory may not be written."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def flagged(n: int, folder: Path) -> Any:
    a = np.linspace(1, 2, n).astype(np.float32)
    a.flags.writeable = False
    return a


def bytes_of(n: int, folder: Path) -> Any:
    return np.frombuffer(flagged(n, folder).tobytes(), np.float32)


def mapped(n: int, folder: Path) -> Any:
    np.save(folder / "w.npy", flagged(n, folder))
    return np.load(folder / "w.npy", mmap_mode="r")


def expanded(n: int, folder: Path) -> Any:
    return np.broadcast_to(np.ones(1, np.float32), n)


def shared(n: int, folder: Path) -> Any:
    return mg.from_dlpack(Immutable(flagged(n, folder))).array


def view_of(n: int, folder: Path) -> Any:
    return flagged(2 * n, folder)[::2]


def lapping(n: int, folder: Path) -> Any:
    """Return memory that may be written, but whose elements share it."""
    return np.lib.stride_tricks.as_strided(np.ones(4, np.float32), (n,), (0,))


MEMORY: dict[str, Callable[[int, Path], Any]] = {
    f.__name__: f for f in (flagged, bytes_of, mapped, expanded, shared, view_of, lapping)
}


def recorded(t: mg.Tensor) -> None:
    t.add_(mg.ones(t.shape, requires_grad=True))


def step(make: Callable[[Any], Any]) -> Callable[[mg.Tensor], None]:
    """Return an optimizer's step with the tensor as the last of three parameters."""

    def run(t: mg.Tensor) -> None:
        others = [mg.zeros(3, requires_grad=True), mg.zeros(20_001, requires_grad=True)]
        params = [*others, t.requires_grad_()]
        for p in params:
            p.grad = mg.ones(p.shape)
        optimizer = make(params)
        try:
            optimizer.step()
        finally:
            assert all(not p.array.any() for p in others), "another parameter was stepped"
            assert optimizer.state_dict()["step_count"] == 0
            assert all(s["step"] == 0 for s in optimizer.state_dict()["state"].values())

    return run


def frozen_between_steps(t: mg.Tensor) -> None:
    other = mg.zeros(3, requires_grad=True)
    memory = t.array.copy()
    p = mg.Tensor(memory, requires_grad=True)
    p.grad, other.grad = mg.ones(p.shape), mg.ones(3)
    optimizer = mg.optim.SGD([other, p], lr=0.5)
    optimizer.step()
    memory.flags.writeable = False
    before = memory.copy()
    try:
        optimizer.step()
    finally:
        assert other.tolist() == [-0.5] * 3
        np.testing.assert_array_equal(memory, before)


def accumulate(t: mg.Tensor) -> None:
    w, other = mg.ones(t.shape, requires_grad=True), mg.ones(t.shape, requires_grad=True)
    other.grad = mg.zeros(t.shape)
    w.grad = t
    try:
        (w * other).sum().backward()
    finally:
        assert not other.grad.array.any(), "another gradient was added to"


def with_grad(function: Callable[[Any], Any]) -> Callable[[mg.Tensor], None]:
    def run(t: mg.Tensor) -> None:
        w, other = mg.ones(t.shape, requires_grad=True), mg.ones(3, requires_grad=True)
        w.grad, other.grad = t, mg.full((3,), 9.0)
        try:
            function([other, w])
        finally:
            assert other.grad.tolist() == [9.0] * 3

    return run


def zero_grad(params: Any) -> None:
    mg.optim.SGD(params[1:], lr=0.1).zero_grad(set_to_none=False)


def running(name: str) -> Callable[[mg.Tensor], None]:
    def run(t: mg.Tensor) -> None:
        layer = nn.BatchNorm1d(t.numel())
        held = {n: b.array.copy() for n, b in layer.named_buffers()}
        setattr(layer, name, mg.Tensor(t.array))
        with np.errstate(all="ignore"):
            try:
                layer(mg.randn(4, t.numel()))
            finally:
                for n, b in layer.named_buffers():
                    if n != name:
                        np.testing.assert_array_equal(b.array, held[n])

    return run


def fused_running(t: mg.Tensor) -> None:
    mean = mg.zeros(t.shape)
    try:
        x = mg.randn(4, t.numel())
        nn.functional.batch_norm_activation_dropout(x, mean, t, training=True, p=0.5)
    finally:
        assert not mean.array.any()


def load(t: mg.Tensor) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(t.numel(), 1, bias=False))
    first = model[0].weight.array.copy()
    model[1].weight = nn.Parameter(t.reshape(1, -1).array)
    state = {n: mg.zeros(p.shape) for n, p in model.state_dict().items()}
    try:
        model.load_state_dict(state)
    finally:
        np.testing.assert_array_equal(model[0].weight.array, first)


def ema(t: mg.Tensor) -> None:
    with mg.no_grad():
        t.mul_(0.9).add_(mg.ones(t.shape), alpha=0.1)


def restore(t: mg.Tensor) -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.extra = nn.Parameter(t.array)
    held = early_stopping._copies(model)
    weight = model[0].weight
    with mg.no_grad():
        weight.zero_()
    try:
        early_stopping._restore(model, held)
    finally:
        assert not weight.array.any()


init = nn.init
WRITES: dict[str, Callable[[Any], Any]] = {
    "slice": lambda t: t.__setitem__(slice(None), mg.ones(t.shape)),
    "part": lambda t: t.__setitem__(slice(1, None), 5.0),
    "element": lambda t: t.__setitem__(0, 5.0),
    "mask": lambda t: t.__setitem__(t > 0, 0.0),
    "indices": lambda t: t.__setitem__([0, 1], mg.zeros(2)),
    "through a view": lambda t: t.reshape(2, -1)[1].fill_(0.0),
    "through detach": lambda t: t.detach().zero_(),
    "through data": lambda t: t.data.mul_(2),
    "copy_": lambda t: t.copy_(mg.zeros(t.shape)),
    "fill_": lambda t: t.fill_(3.0),
    "zero_": lambda t: t.zero_(),
    "add_": lambda t: t.add_(1),
    "sub_": lambda t: t.sub_(mg.ones(t.shape)),
    "mul_": lambda t: t.mul_(2),
    "div_": lambda t: t.div_(2),
    "pow_": lambda t: t.pow_(2),
    "clamp_": lambda t: t.clamp_(0, 0.5),
    "+=": lambda t: t.__iadd__(t),
    "recorded": recorded,
    "uniform_": init.uniform_,
    "normal_": init.normal_,
    "trunc_normal_": init.trunc_normal_,
    "constant_": lambda t: init.constant_(t, 0.0),
    "zeros_": init.zeros_,
    "xavier": lambda t: init.xavier_uniform_(t.reshape(2, -1)),
    "orthogonal_": lambda t: init.orthogonal_(t.reshape(-1, 2)),
    "eye_": lambda t: init.eye_(t[:4].reshape(2, 2)),
    **{name: step(partial(kind, lr=0.1)) for name, kind in mg.optim.OPTIMIZERS.items()},
    "momentum": step(partial(mg.optim.SGD, lr=0.1, momentum=0.9)),
    "frozen between steps": frozen_between_steps,
    "accumulate": accumulate,
    "clip_grad_norm_": with_grad(lambda p: mg.optim.clip_grad_norm_(p, 1.0)),
    "clip_grad_value_": with_grad(lambda p: mg.optim.clip_grad_value_(p, 0.1)),
    "zero_grad": with_grad(zero_grad),
    "running_mean": running("running_mean"),
    "running_var": running("running_var"),
    "fused running_var": fused_running,
    "load_state_dict": load,
    "moving average": ema,
    "EarlyStopping": restore,
}


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written(write: str, tmp_path: Path) -> None:
    for size in SIZES:
        for name, memory in MEMORY.items():
            if name == "lapping" and write in ("element", "frozen between steps", "eye_"):
                continue
            array = memory(size, tmp_path)
            before = array.copy()
            t = mg.Tensor(array)
            with pytest.raises(ValueError) as caught:
                WRITES[write](t)
            own = write in ("frozen between steps",)
            assert own or "cannot be written" in str(caught.value), f"{name}: {caught.value}"
            np.testing.assert_array_equal(array, before, err_msg=f"{name}, {size}")
            assert t._version == 0, f"{name}: the tensor counts as changed"


def test_the_message_names_it_and_what_to_do() -> None:
    w = np.ones(3, np.float32)
    w.flags.writeable = False
    p = mg.Tensor(w, requires_grad=True)
    p.grad = mg.ones(3)
    expected = (
        r"SGD: parameter 'w', shape \(3,\), cannot be written: its memory is read-only, as that of"
        r" an expanded view, a read-only NumPy array, a JAX array, .*; clone\(\) it first, or copy"
        r" the array with minigrad.tensor\(array\)"
    )
    with pytest.raises(ValueError, match=expected):
        mg.optim.SGD([("w", p)], lr=0.1).step()
    copy = mg.tensor(w, requires_grad=True)
    copy.grad = mg.ones(3)
    mg.optim.SGD([copy], lr=0.5).step()
    assert copy.tolist() == [0.5] * 3


def test_read_only_memory_is_read() -> None:
    """Data, frozen parameters and constants need not be writable."""
    for n in SIZES:
        a = np.linspace(1, 2, n).astype(np.float32)
        a.flags.writeable = False
        x = mg.Tensor(a, requires_grad=True)
        ((x * x).sum() + x[1:].exp().sum() + x.flip(0).relu().sum()).backward()
        assert x.grad is not None
        assert mg.optim.SGD([mg.Tensor(a).requires_grad_()], lr=0.1).step() is None  # no gradient


def test_a_counter_that_cannot_be_written() -> None:
    layer = nn.BatchNorm1d(3)
    count = np.zeros((), np.int64)
    count.flags.writeable = False
    layer.num_batches_tracked = mg.Tensor(count)
    with pytest.raises(ValueError, match="num_batches_tracked, shape .* cannot be written"):
        layer(mg.randn(4, 3))
    assert not layer.running_mean.array.any()


def test_statistics_in_one_memory_are_refused() -> None:
    both = mg.zeros(4)
    x = mg.randn(5, 3)
    with pytest.raises(ValueError, match="running_mean and running_var share memory"):
        nn.functional.batch_norm(x, both[:3], both[1:], training=True)


# ---------------------------------------------------------------- elements at odd places
def odd_arrays() -> dict[str, Array]:
    raw = bytearray(b"\0" * (4 * 20_010 + 1))
    packed = np.zeros(10, np.dtype([("a", "u1"), ("b", "<f4")]))
    return {
        "offset": np.frombuffer(raw, np.float32, offset=1),
        "field": packed["b"],
        "float64": np.frombuffer(raw, np.float64, 2_000, offset=4 + 1),
    }


@pytest.mark.parametrize("name", odd_arrays())
def test_unaligned_memory_is_not_wrapped_but_copied(name: str) -> None:
    array = odd_arrays()[name]
    for wrap in (mg.Tensor, mg.from_numpy, nn.Parameter):
        with pytest.raises(ValueError, match=r"do not lie at multiples of . bytes, as kernels"):
            wrap(array)
    t = mg.tensor(array)
    assert t.array.flags.aligned
    t.add_(1)
    assert t.sum().item() == array.size
    assert not array.any()


def test_fields_of_aligned_structures_are_wrapped(rng: np.random.Generator) -> None:
    for n in SIZES:
        array = np.zeros(n, np.dtype([("a", "<f4"), ("b", "<f4"), ("c", "<i4")]))
        array["b"] = rng.normal(size=n)
        array["c"] = 7
        expected = array["b"].copy()
        t = mg.from_numpy(array["b"])
        np.testing.assert_array_equal((t * 2).array, expected * 2)
        t[1:] = t[:-1]
        expected[1:] = expected[:-1].copy()
        np.testing.assert_array_equal(array["b"], expected)
        assert not array["a"].any()
        assert (array["c"] == 7).all()


def test_an_array_of_another_class_is_seen_as_a_plain_one(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(6, np.float32))
    p = nn.Parameter(np.load(tmp_path / "w.npy", mmap_mode="r+"))
    assert type(p.array) is np.ndarray
    p.grad = mg.Tensor(np.load(tmp_path / "w.npy", mmap_mode="r"))
    mg.optim.SGD([p], lr=0.5).step()
    assert p.tolist() == [0.5] * 6
