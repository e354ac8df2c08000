"""read_idx and load_mnist: every type, compression, and files that are damaged."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from minigrad.data import load_mnist, read_idx
from minigrad.data.idx_files import DTYPES


def idx(array: np.ndarray) -> bytes:
    """Return an array as an IDX file."""
    code = next(c for c, name in DTYPES.items() if np.dtype(name).str[1:] == array.dtype.str[1:])
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(DTYPES[code]).tobytes()


def write(folder: Path, content: bytes, name: str = "file-idx") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (2, 3, 4)])
def test_every_type_and_shape(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(-3, np.prod(shape) - 3).astype(dtype).reshape(shape)
    got = read_idx(write(tmp_path, idx(array)))
    assert got.dtype == array.dtype and got.dtype.isnative
    np.testing.assert_array_equal(got, array)
    got += 1  # an array of one's own


def test_gzip_is_told_by_its_content(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(read_idx(write(tmp_path, gzip.compress(idx(array)))), array)
    np.testing.assert_array_equal(read_idx(write(tmp_path, idx(array), "plain.gz")), array)


WHOLE = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))
ZIPPED = gzip.compress(WHOLE, mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing"),
        (WHOLE[:3], "begins with 00 00 08"),
        (b"PK\x03\x04....", "two zero bytes, a type among 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e"),
        (b"\0\0\x0a\x01" + WHOLE[4:], "begins with 00 00 0a 01"),
        (WHOLE[:9], "is cut short; its header of 2 axes takes 12 bytes, but it has 9"),
        (WHOLE[:-1], "is cut short; shape (3, 4) of uint8 takes 24 bytes, but it has 23"),
        (WHOLE + b"\n", "has bytes after its last element; shape (3, 4) of uint8 takes 24 bytes"),
        (b"\0\0\x0e\x03" + b"\xff" * 12, "(4294967295, 4294967295, 4294967295) of float64 takes"),
        (ZIPPED[:-9], "is damaged, its gzip data end in"),
        (ZIPPED[:12] + b"\xff" + ZIPPED[13:], "is damaged, its gzip data end in"),
    ],
)
def test_what_is_no_idx_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def mnist(folder: Path, images: int = 3, labels: int = 3, axes: int = 3) -> None:
    """Write the four files, of which the training images are gzipped."""
    x = np.arange(images * 4, dtype=np.uint8).reshape(images, 2, 2)
    y = np.arange(labels, dtype=np.uint8)
    write(folder, gzip.compress(idx(x)), "train-images-idx3-ubyte.gz")
    write(folder, idx(y[:images]), "train-labels-idx1-ubyte")
    write(folder, idx(x[:, 0] if axes == 2 else x), "t10k-images-idx3-ubyte")
    write(folder, idx(y), "t10k-labels-idx1-ubyte")


def test_load_mnist(tmp_path: Path) -> None:
    mnist(tmp_path)
    train, test = load_mnist(tmp_path)
    for x, y in (train.arrays, test.arrays):
        assert x.shape == (3, 2, 2) and x.dtype == np.uint8
        assert y.tolist() == [0, 1, 2] and y.dtype == np.int64
    assert train.arrays[0][2].tolist() == [[8, 9], [10, 11]]


def test_load_mnist_refuses_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no train-images-idx3-ubyte nor train-images"):
        load_mnist(tmp_path)
    mnist(tmp_path, labels=5)
    with pytest.raises(ValueError, match="has 3 t10k images, but 5 labels"):
        load_mnist(tmp_path)
    mnist(tmp_path, axes=2)
    with pytest.raises(ValueError, match=r"holds uint8 of shape \(3, 2\); expected uint8 with 3"):
        load_mnist(tmp_path)
