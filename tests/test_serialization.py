"""Files of weights: whole or not at all, and never silently damaged."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import minigrad as mg

DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


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
    path.write_bytes(b"PK\x03\x04 this is a zip file, as torch.save writes it")
    with pytest.raises(
        ValueError, match="model.safetensors is damaged or no safetensors file \\(48 b"
    ):
        mg.load(path)
    with pytest.raises(FileNotFoundError):
        mg.load(path.with_name("missing"))
    save_file({"h": np.zeros(2, np.float16)}, path)
    with pytest.raises(ValueError, match="'h' has dtype float16, which is not supported"):
        mg.load(path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"lr": 0.1}, "expected tensors by name, but 'lr' is float"),
        ({"state": {"w": mg.zeros(1)}}, "'state' is dict"),
        ({3: mg.zeros(1)}, "3 is Tensor"),
        ({"names": np.array(["a"])}, "'names' is ndarray of <U1"),
        ([1.0], "expected a dict of tensors, or a module, got list"),
    ],
)
def test_what_is_no_tensor_is_named(path: Path, state: Any, message: str) -> None:
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
