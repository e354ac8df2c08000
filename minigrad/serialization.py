"""Save and load states as safetensors: no pickle, no half-written file, no silent damage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import pytorch_files, sealed, trees
from minigrad.engine.device import Device
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
ZIP = b"PK\x03\x04"
INDEX = ".safetensors.index.json"
KINDS = {  # of safetensors, beside numbers of 16 bits
    **{"F64": np.float64, "F32": np.float32, "I64": np.int64, "I32": np.int32, "I16": np.int16},
    **{"I8": np.int8, "U8": np.uint8, "BOOL": np.bool_},
}
Target = Any  # str | PathLike[str] | a binary file


def save(state: Any, path: Target) -> Any:
    """Write a state_dict, of a module, an optimizer, a scheduler, a loader, or several together, to
    a safetensors file; return the path.

    The file appears whole or not at all: it is written under a temporary name, synced, renamed.  It
    gets the permissions that `open` would give it; where there is one already it keeps its own, and
    a link stays a link.
    It carries a checksum, which `load` verifies; any safetensors reader can read its tensors.

    state: Tensors or arrays by name; or what holds, as deep as you like, dicts, lists, tuples,
        sets, tensors, arrays of numbers, NumPy scalars, numbers, strings, bytes, bools, dtypes and
        None; or what has a `state_dict()` of such.  Dicts may have numbers and tuples as keys.  A
        scheduler alone brings the state of its optimizer along, without which it cannot go on: both
        load from that one file.
    path: where to; or a file open for writing bytes, which is returned.
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
    return write(*trees.flatten(entries), path)


def write(arrays: dict[str, Array], tree: str, path: Target) -> Any:
    """Write arrays and their structure, as `trees.flatten` gives them, to a file."""
    metadata = {CHECKSUM: _checksum(arrays, tree)}
    if tree:
        metadata[TREE] = tree
    data = safetensors_numpy.save(arrays, metadata)
    if hasattr(path, "write"):
        path.write(data)
        return path
    path = Path(path)
    write_whole(path, data)
    return path


def load(
    path: Target,
    map_location: Any = None,
    *,
    weights_only: Any = None,
    mmap: Any = None,
) -> Any:
    """Read what `save` wrote, the tensors of any safetensors file by name, or a checkpoint that
    PyTorch wrote.

    Tensors and modules' arrays come back as Tensors, everything else as the type that it was;
    numbers of 16 bits (float16, bfloat16), which there are none of here, as float32.  Tensors that
    `safetensors.torch.save_model` left out, as others had their memory, are there again.

    path: the file's; or a file open for reading bytes; or the index of a checkpoint in several
        files, `model.safetensors.index.json`, which lie beside it.
    map_location: the device where its tensors are to lie, the CPU by default.
    weights_only, mmap: PyTorch's; a file never runs code here, and is read whole.
    Raises: FileNotFoundError; ValueError with the reason for a file that is damaged or is none, and
        for what PyTorch pickled that is no tensor, number or the like.
    """
    found = read(path)
    return found if map_location is None else placed(found, map_location)


def read(path: Target, reader: type[trees.Reader] | None = None) -> Any:
    """Return what a file holds, on the CPU; see `load`."""
    if hasattr(path, "read"):
        data, path = path.read(), getattr(path, "name", "the file")
    else:
        path = Path(path)
        if path.name.endswith(INDEX):
            return _of_shards(path)
        data = path.read_bytes()
    if data[: len(ZIP)] == ZIP:
        return pytorch_files.read(data, str(path))
    broken = sealed.fault(data)
    if broken:
        raise ValueError(f"load: {path} is damaged: {broken}; get it again")
    try:
        arrays = _arrays(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
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
        found = {name: Tensor(array) for name, array in arrays.items()}
        shared = {name: found[kept] for name, kept in metadata.items() if kept in found}
        return {**shared, **found}
    try:
        return trees.unflatten(tree, arrays, reader)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"load: {path} is damaged: its structure cannot be read") from error


def _arrays(data: bytes) -> dict[str, Array]:
    """Return the arrays of a safetensors file by name, those of 16-bit numbers as float32."""
    if b'F16"' not in data[: 8 + int.from_bytes(data[:8], "little")]:
        return dict(safetensors_numpy.load(data))
    found = {}
    for name, entry in safetensors.deserialize(data):
        kind, shape = entry["dtype"], entry["shape"]
        if kind == "BF16":  # the upper half of a float32
            upper = np.frombuffer(entry["data"], np.uint16).astype(np.uint32)
            array: Array = (upper << np.uint32(16)).view(np.float32)
        elif kind == "F16":
            array = np.frombuffer(entry["data"], np.float16).astype(np.float32)
        else:
            array = np.frombuffer(entry["data"], KINDS[kind]).copy()
        found[name] = array.reshape(shape)
    return found


def _of_shards(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint in several files, which an index names.

    Raises: ValueError for an index that is none, and for files that lack what it says.
    """
    try:
        places = dict(json.loads(path.read_text())["weight_map"])
        files = sorted({str(file) for file in places.values()})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"load: {path} is no index of a checkpoint: {error!r}") from error
    if any(Path(file).name != file for file in files):
        raise ValueError(f"load: {path} names files outside of its folder")
    shards = {file: read(path.parent / file) for file in files}
    missing = [name for name, file in places.items() if name not in shards[file]]
    if missing:
        raise ValueError(
            f"load: {path} names {len(missing)} tensors that its files lack: {missing[0]!r} in "
            f"{places[missing[0]]}"
        )
    return {name: tensor for shard in shards.values() for name, tensor in shard.items()}


def placed(value: Any, device: Any) -> Any:
    """Return a state with its tensors on a device; a function says where of each is."""
    if isinstance(value, Tensor):
        if callable(device) and not isinstance(device, Device | type):
            return value
        wanted = device.get("cpu", "cpu") if isinstance(device, Mapping) else device
        return value.to(Device(str(wanted)))
    if isinstance(value, Mapping):
        return type(value)((k, placed(v, device)) for k, v in value.items())  # type: ignore
    if type(value) in (list, tuple):
        return type(value)(placed(v, device) for v in value)
    return value


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
