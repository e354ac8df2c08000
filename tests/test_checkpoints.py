"""Checkpoints of PyTorch in safetensors files: half numbers, shared tensors, several files."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg


def written(path: Path, metadata: dict[str, str], **entries: tuple[str, list[int], bytes]) -> Path:
    """Write a safetensors file byte by byte, as the format says, with dtypes of any kind."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    body = b""
    for name, (kind, shape, data) in entries.items():
        at = [len(body), len(body) + len(data)]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": at}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_numbers_of_16_bits_become_float32(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.0, 0.0], [np.inf, 3.140625, 2.0**-14]], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    half = values.astype("<f2").tobytes()
    whole = np.arange(3, dtype="<i8").tobytes()
    path = written(
        *(tmp_path / "m.safetensors", {"format": "pt"}),
        a=("BF16", [2, 3], upper),
        b=("F16", [2, 3], half),
        c=("I64", [3], whole),
        d=("F16", [0, 2], b""),
    )
    found = mg.load(path)
    for name in "ab":
        assert found[name].dtype == mg.float32
        np.testing.assert_array_equal(found[name].numpy(), values)
    assert found["c"].tolist() == [0, 1, 2]
    assert found["d"].shape == (0, 2)
    with pytest.raises(ValueError, match="is damaged or no safetensors file"):
        mg.load(
            written(tmp_path / "n.safetensors", {}, a=("F16", [3], b"12"), b=("BF16", [1], b"12"))
        )


def test_tensors_that_share_memory_come_back_under_all_their_names(tmp_path: Path) -> None:
    weight = np.ones((2, 2), "<f4").tobytes()
    metadata = {"format": "pt", "head.weight": "embedding.weight"}
    path = written(
        tmp_path / "m.safetensors", metadata, **{"embedding.weight": ("F32", [2, 2], weight)}
    )
    found = mg.load(path)
    assert found["head.weight"] is found["embedding.weight"]
    assert len(found) == 2


def test_a_checkpoint_in_several_files(tmp_path: Path) -> None:
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    mg.save({"a": mg.ones(2)}, tmp_path / first)
    mg.save({"b": mg.zeros(3)}, tmp_path / second)
    index = tmp_path / "model.safetensors.index.json"

    def indexed(**places: str) -> Path:
        index.write_text(json.dumps({"metadata": {"total_size": 20}, "weight_map": places}))
        return index

    found = mg.load(indexed(a=first, b=second))
    assert {name: tensor.shape for name, tensor in found.items()} == {"a": (2,), "b": (3,)}
    with pytest.raises(ValueError, match=f"names 1 tensors that its files lack: 'c' in {second}"):
        mg.load(indexed(a=first, c=second))
    with pytest.raises(ValueError, match="names files outside of its folder"):
        mg.load(indexed(a=f"../{first}"))
    with pytest.raises(FileNotFoundError):
        mg.load(indexed(a="model-3.safetensors"))
    index.write_text("[1]")
    with pytest.raises(ValueError, match="is no index of a checkpoint"):
        mg.load(index)


def test_files_of_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("safetensors.torch")

    class Tied(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(5, 4)
            self.head = torch.nn.Linear(4, 5, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x: Any) -> Any:
            return self.head(self.embedding(x))

    class Ours(mg.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = mg.nn.Embedding(5, 4)
            self.head = mg.nn.Linear(4, 5, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x: mg.Tensor) -> mg.Tensor:
            return self.head(self.embedding(x))

    their, our = Tied(), Ours()
    path = tmp_path / "m.safetensors"
    theirs.save_model(their, path)
    our.load_state_dict(mg.load(path))
    x = np.array([[0, 4, 2]])
    expected = their(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(our(mg.tensor(x)).detach().numpy(), expected, atol=1e-6)
    assert our.head.weight is our.embedding.weight

    for kind in (torch.bfloat16, torch.float16):  # and the way back, through ours
        theirs.save_file({"w": their.head.weight.detach().to(kind).clone()}, path)
        ours = mg.load(path)
        back = tmp_path / "back.safetensors"
        mg.save(ours, back)
        assert torch.equal(theirs.load_file(back)["w"].to(kind), theirs.load_file(path)["w"])
