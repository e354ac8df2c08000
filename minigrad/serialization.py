"""Save and load states as safetensors: no pickle, no half-written file, no silent damage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import trees
from minigrad.engine.dispatch import write_whole
from minigrad.engine.dtypes import DTYPES
from minigrad.lazy import lazy
from minigrad.optim.lr_scheduler import LRScheduler
from minigrad.tensors.tensor import Tensor

safetensors = lazy("safetensors")
safetensors_numpy = lazy("safetensors.numpy")
Array = np.ndarray[Any, Any]
CHECKSUM = "minigrad.sha256"
TREE = "minigrad.tree"


def save(state: Any, path: str | PathLike[str]) -> Path:
    """Write a state_dict, of a module, an optimizer, a scheduler, a loader, or several together, to
    a safetensors file; return the path.

    The file appears whole or not at all: it is written under a temporary name, synced, renamed.  It
    gets the permissions that `open` would give it; where there is one already it keeps its own, and
    a link stays a link.
    It carries a checksum, which `load` verifies; any safetensors reader can read its tensors.

    state: Tensors or arrays by name; or a dict that holds, as deep as you like, dicts, lists,
        tuples, tensors, arrays, NumPy scalars, numbers, strings, bools and None; or what has a
        `state_dict()` of such.  Dicts may have numbers as keys.  A scheduler alone brings the state
        of its optimizer along, without which it cannot go on: both load from that one file.
    Raises: TypeError naming an entry that cannot be held; ValueError for one that holds itself.

    >>> import pathlib, tempfile
    >>> import minigrad as mg
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "checkpoint.safetensors"
    >>> _ = save({"w": mg.tensor([1.0, 2.0])}, path)
    >>> load(path)["w"]
    tensor([1., 2.])
    >>> model = mg.nn.Linear(2, 1)
    >>> optimizer = mg.optim.Adam(model.named_parameters())
    >>> _ = save({"model": model, "optimizer": optimizer, "epoch": 3}, path)
    >>> checkpoint = load(path)
    >>> optimizer.load_state_dict(checkpoint["optimizer"])
    >>> checkpoint["epoch"]
    3
    """
    entries = state.state_dict() if hasattr(state, "state_dict") else state
    if isinstance(state, LRScheduler):
        entries = {**state.state_dict(), "optimizer": state.optimizer.state_dict()}
    if not isinstance(entries, Mapping):
        raise TypeError(
            f"save: expected a dict, or what has a state_dict(), got {type(state).__name__}"
        )
    arrays, tree = trees.flatten(entries)
    metadata = {CHECKSUM: _checksum(arrays, tree)}
    if tree:
        metadata[TREE] = tree
    path = Path(path)
    write_whole(path, safetensors_numpy.save(arrays, metadata))
    return path


def load(path: str | PathLike[str]) -> dict[Any, Any]:
    """Read what `save` wrote, or the tensors of any safetensors file by name.

    Tensors and modules' arrays come back as Tensors, everything else as the type that it was.

    Raises: FileNotFoundError; ValueError with the reason for a file that is damaged or is none.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        arrays = safetensors_numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"load: {path} is damaged or no safetensors file ({len(data):,} bytes): {error}"
        ) from error
    metadata = _metadata(data)
    expected, tree = metadata.get(CHECKSUM), metadata.get(TREE, "")
    if expected is not None and expected != _checksum(arrays, tree):
        raise ValueError(
            f"load: {path} is damaged: its contents do not match their checksum; get it again"
        )
    for name, array in arrays.items():
        if array.dtype not in DTYPES:
            raise ValueError(
                f"load: {path}: {name!r} has dtype {array.dtype}, which is not supported"
            )
    if not tree:
        return {name: Tensor(array) for name, array in arrays.items()}
    try:
        return trees.unflatten(tree, arrays)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"load: {path} is damaged: its structure cannot be read") from error


def _checksum(arrays: Mapping[str, Array], tree: str) -> str:
    """Return a hash of names, dtypes, shapes, values and structure."""
    digest = hashlib.sha256(tree.encode())
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
