"""Files that PyTorch wrote, read without running what they hold."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg


def archive(pickled: bytes, **data: bytes) -> io.BytesIO:
    """Return a file as `torch.save` lays it out."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/byteorder", "little")
        for name, memory in data.items():
            file.writestr(f"archive/data/{name[1:]}", memory)
    made.seek(0)
    return made


def pickled(text: str) -> bytes:
    """Return the pickle of protocol 0 with these opcodes."""
    return text.encode()


TENSOR = (
    "(dp0\nVw\n"
    "ctorch._utils\n_rebuild_tensor_v2\n"
    "((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI6\ntQ"
    "I1\n(I2\nI2\nt(I2\nI1\ntI00\nccollections\nOrderedDict\n(tRtR"
    "sVepoch\nI3\ns."
)


def test_a_state_of_tensors_and_numbers_is_read() -> None:
    memory = np.arange(6, dtype=np.float32).tobytes()
    found = mg.load(archive(pickled(TENSOR), _0=memory))
    assert found["epoch"] == 3
    assert found["w"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    found["w"].add_(1)  # memory of its own


def test_a_tensor_that_reaches_beyond_its_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="a tensor reaches beyond its memory"):
        mg.load(archive(pickled(TENSOR), _0=np.arange(3, dtype=np.float32).tobytes()))


@pytest.mark.parametrize("name", ["os\nsystem", "builtins\neval", "__main__\nNet", "torch\nload"])
def test_a_name_that_is_no_tensor_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(archive(pickled(f"c{name}\n(Vtouch {tmp_path}/ran\ntR.")).getvalue())
    with pytest.raises(ValueError, match=f"it holds {name.replace(chr(10), '.')}"):
        mg.load(path)
    assert not (tmp_path / "ran").exists()


def test_another_zip_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.txt", "a")
    with pytest.raises(ValueError, match="no checkpoint of PyTorch's"):
        mg.load(tmp_path / "a.zip")


def test_what_files_hold_comes_back_as_it_was() -> None:
    state = [mg.ones(2), {"a": {1, 2}}, mg.float32, "text"]
    made = io.BytesIO()
    assert mg.save(state, made) is made
    made.seek(0)
    ones, inner, dtype, text = mg.load(made, map_location="cpu", weights_only=True)
    assert (ones.tolist(), inner, dtype, text) == ([1.0, 1.0], {"a": {1, 2}}, mg.float32, "text")
