"""Read checkpoints that PyTorch wrote, without running what they hold.

Such a file is a zip archive of a pickle and of the tensors' memory beside it.  A pickle is a
program; it may name here what builds tensors, and nothing else.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.engine.device import Device
from minigrad.engine.dtypes import DTYPES
from minigrad.tensors.shapes import Size
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "HalfStorage": np.float16,
}


def tensor_of(
    storage: Array,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool = False,
    *_: Any,
) -> Tensor:
    """Return the tensor of a place in memory; one of float16 becomes float32."""
    steps = tuple(step * storage.itemsize for step in stride)
    reach = offset + 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset < 0 or min((*size, *stride, 0)) < 0 or (np.prod(size) and reach > storage.size):
        raise ValueError("a tensor reaches beyond its memory")
    array = np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()
    array = array.astype(np.float32) if array.dtype == np.float16 else array
    return Tensor(array, requires_grad)


def parameter_of(data: Tensor, requires_grad: bool, *_: Any) -> Tensor:
    """Return a parameter as a tensor."""
    return data.requires_grad_(requires_grad)


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): Size,
    ("torch", "device"): Device,
    ("torch._utils", "_rebuild_parameter"): parameter_of,
    ("torch._utils", "_rebuild_tensor_v2"): tensor_of,
}


class Unpickler(pickle.Unpickler):
    """An unpickler that knows tensors, and refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}/data.pkl")))
        self.archive, self.folder = archive, folder
        self.memory: dict[str, Array] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name of the pickle stands for.

        Raises: ValueError for a name that is not of a tensor.
        """
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        dtype = next((d for d in DTYPES.values() if d.name == name), None)
        if module == "torch" and dtype is not None:
            return dtype
        if (module, name) not in ALLOWED:
            raise ValueError(
                f"it holds {module}.{name}, which is no tensor: save model.state_dict() with "
                "PyTorch, and load that"
            )
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Array:
        """Return the memory that a tensor lies in."""
        _, kind, key, _, _ = pid
        if key not in self.memory:
            data = self.archive.read(f"{self.folder}/data/{key}")
            self.memory[key] = np.frombuffer(data, kind)
        return self.memory[key]


def read(data: bytes, path: str) -> Any:
    """Return the state in a file of PyTorch's: tensors, dicts, lists, numbers and strings.

    Raises: ValueError that names what else it holds, or says that it is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if not pickles:
                raise ValueError("it is a zip archive, but no checkpoint of PyTorch's")
            folder = pickles[0].rpartition("/")[0]
            order = f"{folder}/byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise ValueError("its numbers have the other byte order")
            return Unpickler(archive, folder).load()
    except (zipfile.BadZipFile, KeyError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"load: {path} is damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"load: {path}: {error}") from error
