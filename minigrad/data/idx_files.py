"""Arrays from IDX files, the format of MNIST and of the data sets that took its place."""

from __future__ import annotations

import gzip
import math
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.data.dataset import TensorDataset

Array = np.ndarray[Any, Any]
DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
PARTS = ("train", "t10k")


def read_idx(path: str | PathLike[str]) -> Array:
    """Read an IDX file, gzipped or not, into an array of the file's type and shape.

    Two zero bytes, one for the type, one for the number of axes, their lengths as big-endian
    32-bit integers, then the elements, the last axis fastest.  What is gzipped is told by its first
    bytes, not by its name.

    Raises: ValueError for a file that is no IDX file, is cut short, is longer than its header says,
        or whose compression is damaged.
    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", file formats.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    >>> read_idx(path).tolist()
    [7, 2, 1]
    """
    path = Path(path)
    content = path.read_bytes()
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"read_idx: {path} is damaged, its gzip data end in: {error}"
            ) from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES:
        raise ValueError(
            f"read_idx: {path} is no IDX file; expected two zero bytes, a type among "
            f"{', '.join(f'{code:#04x}' for code in DTYPES)} and a number of axes, but it begins "
            f"with {content[:4].hex(' ') or 'nothing'}"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(
            f"read_idx: {path} is cut short; its header of {content[3]} axes takes {start} bytes, "
            f"but it has {len(content)}"
        )
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    dtype = np.dtype(DTYPES[content[2]])
    expected = start + dtype.itemsize * math.prod(shape)
    if len(content) != expected:
        wrong = "is cut short" if len(content) < expected else "has bytes after its last element"
        raise ValueError(
            f"read_idx: {path} {wrong}; shape {shape} of {dtype.name} takes {expected} bytes, but "
            f"it has {len(content)}"
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def load_mnist(folder: str | PathLike[str]) -> tuple[TensorDataset, TensorDataset]:
    """Read a folder of the four MNIST-format files: training rows and test rows.

    Shape: images `(N, H, W)` uint8, labels `(N,)` int64, both in that order in each dataset.
    folder: where {train,t10k}-{images-idx3,labels-idx1}-ubyte lie, with or without `.gz`; such as
        Debian's package dataset-fashion-mnist puts into /usr/share/datasets/fashion-mnist.

    Raises: FileNotFoundError naming the file that is missing; ValueError for a file that
        `read_idx` refuses, of other axes, or with fewer labels than images or more.
    """
    train, test = (_part(Path(folder), part) for part in PARTS)
    return train, test


def _part(folder: Path, part: str) -> TensorDataset:
    """Return the images and labels of one part of MNIST, "train" or "t10k".

    Raises: ValueError where they are not as many.
    """
    images, labels = _axes(folder, f"{part}-images", 3), _axes(folder, f"{part}-labels", 1)
    if len(images) != len(labels):
        raise ValueError(
            f"load_mnist: {folder} has {len(images)} {part} images, but {len(labels)} labels"
        )
    return TensorDataset(images, labels.astype(np.int64))


def _axes(folder: Path, name: str, axes: int) -> Array:
    """Read one of the four files and hold it to its number of axes."""
    path = folder / f"{name}-idx{axes}-ubyte"
    if not path.exists():
        path = path.with_name(f"{path.name}.gz")
    if not path.exists():
        raise FileNotFoundError(f"load_mnist: there is no {path.stem} nor {path.name} in {folder}")
    array = read_idx(path)
    if array.ndim != axes or array.dtype != np.uint8:
        raise ValueError(
            f"load_mnist: {path} holds {array.dtype} of shape {array.shape}; expected uint8 with "
            f"{axes} {'axis' if axes == 1 else 'axes'}"
        )
    return array
