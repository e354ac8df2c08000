"""Files of weights: whole or not at all, and never silently damaged."""

from __future__ import annotations

import enum
import math
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import minigrad as mg
from minigrad.optim import lr_scheduler as schedules
from minigrad.train import EarlyStopping, ModelCheckpoint
from tests.train.resume_toys import OPTIMIZERS

DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


class Colour(enum.IntEnum):
    RED = 1


class Pair(NamedTuple):
    a: int
    b: int


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_every_dtype_and_awkward_shape_comes_back(path: Path, rng: np.random.Generator) -> None:
    shapes: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (3, 0, 2), (5, 4))
    state = {
        f"{dtype} {i}": mg.Tensor(np.array(rng.normal(size=shape) * 9).astype(dtype))
        for dtype in DTYPES
        for i, shape in enumerate(shapes)
    }
    state["transposed"] = mg.Tensor(np.arange(6.0).reshape(2, 3).T)
    state["strided"] = mg.Tensor(np.arange(9)[::2])
    state["nan"] = mg.tensor([float("nan"), float("inf"), -0.0])
    assert mg.save(state, path) == path
    loaded = mg.load(path)
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(loaded[name].array, tensor.array)
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape
        loaded[name].array[...] = 0  # what was loaded is the reader's own


def test_a_module_round_trip(path: Path) -> None:
    def model() -> mg.nn.Sequential:
        return mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.BatchNorm1d(8))

    one, other = model(), model()
    one(mg.randn(16, 4))
    mg.save(one, path)
    other.load_state_dict(mg.load(path))
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.array, b.array, err_msg=name)


def test_any_reader_reads_it_and_any_writer_can_write_it(path: Path) -> None:
    mg.save({"w": mg.tensor([1.0, 2.0])}, path)
    np.testing.assert_array_equal(load_file(path)["w"], [1.0, 2.0])
    save_file({"v": np.arange(3)}, path)
    assert mg.load(path)["v"].tolist() == [0, 1, 2]


def test_every_cut_and_every_flipped_byte_is_refused(path: Path) -> None:
    mg.save({"w": mg.Tensor(np.arange(4.0)), "b": mg.tensor([1])}, path)
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(ValueError, match="is damaged or no safetensors file"):
            mg.load(path)
    start = good.index(b"minigrad.sha256")
    for i in range(len(good)):
        if start <= i < start + len(b"minigrad.sha256"):
            continue  # under another name it is not known for a checksum, and all else is whole
        path.write_bytes(good[:i] + bytes([good[i] ^ 0x41]) + good[i + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            mg.load(path)


def test_other_files_are_refused(path: Path) -> None:
    path.write_bytes(b"\x80\x02 this is a pickle, as torch.save wrote it once")
    with pytest.raises(
        ValueError, match="model.safetensors is damaged or no safetensors file \\(48 b"
    ):
        mg.load(path)
    path.write_bytes(b"PK\x03\x04 this begins as a zip file does")
    with pytest.raises(ValueError, match="model.safetensors is damaged: File is not a zip file"):
        mg.load(path)
    with pytest.raises(FileNotFoundError):
        mg.load(path.with_name("missing"))
    save_file({"h": np.zeros(2, np.uint16)}, path)
    with pytest.raises(ValueError, match="'h' has dtype uint16, which is not supported"):
        mg.load(path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"f": {"x": [0, abs]}},
            "'f.x.1' is builtin_function_or_method; what can be held are dicts",
        ),
        ({"names": np.array(["a"])}, "'names' is ndarray of <U1"),
        ({"objects": [np.array([None])]}, "'objects.0' is ndarray of object"),
        ({"day": np.datetime64("2024-01-01")}, "'day' is ndarray of datetime64"),
        ({"raw": bytearray(b"abc")}, "'raw' is bytearray"),
        ({"kind": Colour.RED}, "'kind' is Colour, a kind of int; save the plain value"),
        ({"pair": Pair(1, 2)}, "'pair' is Pair"),
        ({"a": {(1, max): 3}}, r"'a' has the key \(1, <.*\) of type tuple; keys can be strings"),
        ({Colour.RED: 1}, "the state has the key .*1.* of type Colour"),
    ],
)
def test_what_cannot_be_held_is_named(path: Path, state: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        mg.save(state, path)
    assert list(path.parent.iterdir()) == []


def test_a_failed_save_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mg.save({"w": mg.tensor([1.0])}, path)

    def full(handle: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        mg.save({"w": mg.tensor([2.0])}, path)
    assert mg.load(path)["w"].tolist() == [1.0]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_file_is_synced_before_it_is_renamed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda h: (events.append("sync"), sync(h)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), rename(a, b)))
    mg.save({"w": mg.tensor([1.0])}, path)
    assert events[:2] == ["sync", "rename"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_permissions_are_those_of_any_new_file(path: Path) -> None:
    path.with_name("plain").touch()
    mg.save({"w": mg.tensor([1.0])}, path)
    assert path.stat().st_mode == path.with_name("plain").stat().st_mode


def test_unknown_and_missing_names_are_the_modules_to_refuse(path: Path) -> None:
    mg.save({"weight": mg.zeros(2, 3), "extra": mg.zeros(1)}, path)
    layer = mg.nn.Linear(3, 2)
    before = layer.weight.array.copy()
    with pytest.raises(RuntimeError, match="(?s)bias.*extra|extra.*bias"):
        layer.load_state_dict(mg.load(path))
    np.testing.assert_array_equal(layer.weight.array, before)


# ---------------------------------------------------------------- states of any shape
KEYS = st.one_of(
    st.text(max_size=4),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False),
    st.sampled_from(["__metadata__", "a.b", "a", "0", "dict", "tensor", "#2"]),
)
ARRAYS = st.sampled_from(
    [
        np.arange(3.0),
        np.zeros((2, 0), np.float32),
        np.array(True),
        np.arange(4, dtype=np.uint8)[::2],
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    ARRAYS,
    ARRAYS.map(mg.Tensor),
    st.sampled_from([np.float32(0.1), np.int64(-5), np.bool_(True), np.float64("inf")]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3).map(OrderedDict),
    ),
    max_leaves=12,
)


def alike(a: Any, b: Any) -> bool:
    """Return whether two states are the same in every type, order and bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        same_keys = [(type(k), k) for k in a] == [(type(k), k) for k in b]
        return same_keys and all(map(alike, a.values(), b.values()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, mg.Tensor):
        return alike(a.array, b.array)
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return math.copysign(1, a) == math.copysign(1, b) and (a == b or a != a)
    return bool(a == b)


@given(state=st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_state_comes_back_the_same(
    state: dict[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "state.safetensors"
    mg.save(state, file)
    loaded = mg.load(file)
    arrays = all(isinstance(v, np.ndarray | mg.Tensor) for v in state.values())
    if arrays and all(isinstance(k, str) for k in state) and "__metadata__" not in state:
        # Names and arrays alone: a file of weights, which come as tensors and in any order.
        state = {k: v if isinstance(v, mg.Tensor) else mg.Tensor(v) for k, v in state.items()}
        state, loaded = dict(sorted(state.items())), dict(sorted(loaded.items()))
    assert alike(loaded, state)


def test_a_state_that_holds_itself_and_one_too_deep(path: Path) -> None:
    loop: dict[str, Any] = {"a": 1}
    loop["b"] = [loop]
    with pytest.raises(ValueError, match=r"'b.0' holds itself"):
        mg.save(loop, path)
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ValueError, match="lies deeper than 200 levels"):
        mg.save({"a": deep}, path)
    shared = [1, 2]
    mg.save({"a": shared, "b": shared}, path)
    assert mg.load(path) == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize("kind", sorted(mg.optim.OPTIMIZERS))
def test_every_optimizer_goes_on_from_a_file(path: Path, kind: str) -> None:
    def made() -> tuple[Any, Any]:
        w = mg.Tensor(np.arange(4.0), requires_grad=True)
        return w, mg.optim.OPTIMIZERS[kind]([("w", w)], lr=0.1)  # type: ignore[call-arg]

    def steps(w: Any, optimizer: Any, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            ((w - 1.5) * (w - 1.5)).sum().backward()
            optimizer.step()

    w, optimizer = made()
    steps(w, optimizer, 3)
    mg.save({"w": w, "optimizer": optimizer, "epoch": 3}, path)
    other, again = made()
    loaded = mg.load(path)
    assert alike(loaded["optimizer"], optimizer.state_dict())
    other.data = loaded["w"]
    again.load_state_dict(loaded["optimizer"])
    steps(w, optimizer, 3)
    steps(other, again, 3)
    np.testing.assert_array_equal(other.array, w.array)


def test_everything_with_a_state_dict_goes_through_a_file(path: Path) -> None:
    data = mg.data.TensorDataset(np.arange(12.0).reshape(6, 2))
    loader = mg.data.DataLoader(data, 2, shuffle=True)
    next(iter(loader))
    early = mg.train.EarlyStopping()
    standardizer = mg.data.Standardizer().fit(np.arange(6.0).reshape(3, 2))
    generator = mg.Generator(5)
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=0.1)
    plateau = mg.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    for thing in (loader, early, standardizer, generator, plateau):
        mg.save({"it": thing}, path)
        loaded = mg.load(path)["it"]
        assert alike(loaded, thing.state_dict())  # type: ignore[attr-defined]
        thing.load_state_dict(loaded)  # type: ignore[attr-defined]


def test_a_scheduler_state_is_no_optimizer_state(path: Path) -> None:
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=0.1)
    schedule = mg.optim.lr_scheduler.StepLR(optimizer, 2)
    mg.save(schedule.state_dict(), path)
    with pytest.raises(ValueError, match="expected what SGD.state_dict.. returns"):
        optimizer.load_state_dict(mg.load(path))
    mg.save(optimizer, path)
    with pytest.raises(ValueError, match="expected a state of StepLR, got one of None"):
        schedule.load_state_dict(mg.load(path))


def test_a_saved_scheduler_brings_its_optimizer(path: Path) -> None:
    def made() -> tuple[mg.Tensor, mg.optim.Optimizer, mg.optim.lr_scheduler.LRScheduler]:
        p = mg.ones(2, requires_grad=True)
        optimizer = mg.optim.AdamW([("w", p)], lr=0.1)
        return p, optimizer, mg.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)

    def step(p: mg.Tensor, optimizer: Any, schedule: Any) -> None:
        p.grad = mg.tensor([0.5, -2.0])
        optimizer.step()
        schedule.step()

    kept = made()
    for _ in range(3):
        step(*kept)
    mg.save(kept[2], path)
    again = made()
    again[0].data = kept[0].data.clone()
    again[1].load_state_dict(mg.load(path))
    again[2].load_state_dict(mg.load(path))
    for _ in range(4):
        step(*kept)
        step(*again)
    assert again[0].tolist() == kept[0].tolist()
    assert again[2].get_last_lr() == kept[2].get_last_lr() != [0.1]


def test_a_damaged_structure_is_refused(path: Path) -> None:
    mg.save({"lr": 0.5, "state": {0: mg.ones(2)}}, path)
    good = path.read_bytes()
    mark = good.index(b"minigrad.sha256")
    for i in range(good.index(b"minigrad.tree"), good.index(b"}}")):
        if mark <= i < mark + len(b"minigrad.sha256"):
            continue
        path.write_bytes(good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            mg.load(path)


def same(one: Any, other: Any) -> bool:
    """Return whether two states are of the same types and values, NaN included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return [*one] == [*other] and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, mg.Tensor):
        return same(one.numpy(), other.numpy())
    if isinstance(one, np.ndarray | np.generic):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and one.tobytes() == other.tobytes()
    return bool(one == other) or repr(one) == repr(other)


def test_states_of_programs_come_back_as_they_were(path: Path) -> None:
    """What programs keep beside tensors: generators of NumPy, half numbers, bytes, tuples."""
    state: dict[Any, Any] = {
        "numpy": np.random.default_rng(0).bit_generator.state,
        "twister": np.random.MT19937(0).state,  # 624 words of 32 bits
        "half": np.array([[1.5, np.nan], [np.inf, -0.0]], np.float16),
        "half of nothing": np.zeros((0, 3), np.float16),
        "unsigned": [np.array([2**16 - 1], np.uint16), np.array(2**64 - 1, np.uint64)],
        "turned": np.arange(6, dtype=np.uint32).reshape(2, 3).T,
        "complex": (np.array([1 + 2j], np.complex64), np.ones((2, 2), np.complex128), 1j, -0.0j),
        "scalars": [np.float16(0.1), np.uint8(3), np.uint64(7), np.complex128(1j), np.bool_(True)],
        "bytes": [b"", b"\x00\xffabc"],
        "frozen": frozenset({1, 2}),
        ("layer", 3): {(0, (1, "a")): 2.5, np.int64(4): None},
    }
    mg.save(state, path)
    assert same(mg.load(path), state)
    mg.save({"only": np.ones(2, np.float16)}, path)
    assert same(mg.load(path), {"only": np.ones(2, np.float16)})


def test_every_state_dict_of_the_library_comes_back(path: Path) -> None:
    model = mg.nn.Sequential(mg.nn.Linear(2, 3), mg.nn.BatchNorm1d(3), mg.nn.Linear(3, 1))
    x = mg.randn(8, 2)
    makers = [*OPTIMIZERS.values(), lambda p: mg.optim.LBFGS([t for _, t in p])]
    optimizers = []
    for make in makers:
        made = make(model.named_parameters())

        def loss(made: Any = made) -> Any:
            made.zero_grad()
            value = (model(x) ** 2).mean()
            value.backward()
            return value

        made.step(loss)
        optimizers.append(made)
    last = optimizers[1]
    states = [
        model,
        *optimizers,
        schedules.OneCycleLR(last, 0.1, total_steps=9),
        schedules.ReduceLROnPlateau(last),
        schedules.SequentialLR(
            last, [schedules.ConstantLR(last), schedules.ExponentialLR(last, 0.9)], [3]
        ),
        mg.Generator(3),
        mg.data.DataLoader(mg.data.TensorDataset(x), 2, shuffle=True),
        EarlyStopping(),
        ModelCheckpoint(path.parent / "folder"),
    ]
    for held in states:
        state = held.state_dict()
        mg.save({"held": held}, path)
        assert same(mg.load(path)["held"], plain(state)), held


def plain(state: Any) -> Any:
    """Return a state with plain dicts, and parameters as the tensors that they are."""
    if isinstance(state, dict):
        kind = OrderedDict if isinstance(state, OrderedDict) else dict
        return kind((name, plain(part)) for name, part in state.items())
    if isinstance(state, list):
        return [plain(part) for part in state]
    return mg.Tensor(state.detach().numpy()) if isinstance(state, mg.Tensor) else state
