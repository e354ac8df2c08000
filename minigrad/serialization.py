"""Save and load tensors by name as safetensors: no pickle, no half-written file, no silent
damage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from minigrad.backend import DeviceArray, write_whole
from minigrad.dtypes import DTYPES
from minigrad.tensors import Tensor

Array = np.ndarray[Any, Any]
CHECKSUM = "minigrad.sha256"


def save(state: Any, path: str | PathLike[str]) -> Path:
    """Write a state_dict, or a module's, to a safetensors file; return the path.

    The file appears whole or not at all: it is written under a temporary name, synced, renamed.  It
    gets the permissions that `open` would give it; where there is one already it keeps its own, and
    a link stays a link.
    It carries a checksum, which `load` verifies; any safetensors reader can read it.

    state: Tensors or arrays by name, or what has a `state_dict()` of such.
    Raises: TypeError naming an entry that is no tensor.

    >>> import pathlib, tempfile
    >>> import minigrad as mg
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "weights.safetensors"
    >>> _ = save({"w": mg.tensor([1.0, 2.0])}, path)
    >>> load(path)["w"]
    tensor([1., 2.])
    """
    entries = state.state_dict() if hasattr(state, "state_dict") else state
    if not isinstance(entries, Mapping):
        raise TypeError(
            f"save: expected a dict of tensors, or a module, got {type(state).__name__}"
        )
    arrays = {name: _array(name, value) for name, value in entries.items()}
    path = Path(path)
    write_whole(path, serialise(arrays, {CHECKSUM: _checksum(arrays)}))
    return path


def load(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file by name, as `module.load_state_dict` takes them.

    Raises: FileNotFoundError; ValueError with the reason for a file that is damaged or is none.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        arrays = parse(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"load: {path} is damaged or no safetensors file ({len(data):,} bytes): {error}"
        ) from error
    expected = _metadata(data).get(CHECKSUM)
    if expected is not None and expected != _checksum(arrays):
        raise ValueError(
            f"load: {path} is damaged: its contents do not match their checksum; get it again"
        )
    for name, array in arrays.items():
        if array.dtype not in DTYPES:
            raise ValueError(
                f"load: {path}: {name!r} has dtype {array.dtype}, which is not supported"
            )
    return {name: Tensor(array) for name, array in arrays.items()}


def _array(name: Any, value: Any) -> Array:
    array = value.array if isinstance(value, Tensor) else value
    array = array.read() if isinstance(array, DeviceArray) else array
    if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype not in DTYPES:
        raise TypeError(
            f"save: expected tensors by name, but {name!r} is {type(value).__name__}"
            f"{f' of {array.dtype}' if isinstance(array, np.ndarray) else ''}"
        )
    return array.copy(order="C")  # also what is contiguous: another thread may write to it


def _checksum(arrays: Mapping[str, Array]) -> str:
    """Return a hash of names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}|{array.dtype}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _metadata(data: bytes) -> dict[str, str]:
    """Return the metadata of a file that has been parsed: 8 bytes of length, then a JSON header."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    return header.get("__metadata__") or {}
