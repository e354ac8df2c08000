"""Sealed files: safetensors with a hash of all their bytes, which no change of a byte escapes.

The hash stands first in the header, where it is taken as zeros for its own computation:

    8 bytes, the header's length | {"__metadata__":{"minigrad.seal":"<64 hex digits>",...} | arrays

Any safetensors reader reads the tensors.  `minigrad.load` verifies the seal where there is one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SEAL = "minigrad.seal"
FIRST = f'{{"__metadata__":{{"{SEAL}":"'.encode()
START = 8 + len(FIRST)  # of the hash
DIGITS = 64
ALIGNED = 8
KINDS = {
    **{"float64": "F64", "float32": "F32", "int64": "I64", "int32": "I32", "int16": "I16"},
    **{"int8": "I8", "uint8": "U8", "bool": "BOOL"},
}


def encoded(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Return a sealed file of arrays by name.

    >>> data = encoded({"w": np.arange(2.0)}, {"note": "two numbers"})
    >>> fault(data), "not match" in fault(data[:-1] + b"!")
    ('', True)
    """
    # Widest first: every array then begins where its numbers may.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": {SEAL: "0" * DIGITS, **metadata}}
    at = 0
    for name in order:
        array = arrays[name]
        ends = [at, at + array.nbytes]
        kind = KINDS[array.dtype.name]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": ends}
        at = ends[1]
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % ALIGNED)
    head = bytearray(len(text).to_bytes(8, "little") + text)
    parts: list[Any] = [np.ascontiguousarray(arrays[name]).reshape(-1).data for name in order]
    digest = hashlib.sha256(head)
    for part in parts:
        digest.update(part)
    head[START : START + DIGITS] = digest.hexdigest().encode()
    return b"".join([head, *parts])


def fault(data: bytes) -> str:
    """Return what is wrong with a sealed file; "" for a whole one, and for one without a seal."""
    if not is_sealed(data):
        return ""
    digest = hashlib.sha256(data[:START])
    digest.update(b"0" * DIGITS)
    digest.update(memoryview(data)[START + DIGITS :])
    if digest.hexdigest().encode() == data[START : START + DIGITS]:
        return ""
    return f"its {len(data):,} bytes do not match their checksum"


def is_sealed(data: bytes) -> bool:
    """Return whether a file begins as sealed ones do."""
    return data[8:START] == FIRST


def metadata_of(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return a file's metadata from its header alone, which is not verified.

    Raises: ValueError for what is no safetensors file.
    """
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > os.fstat(file.fileno()).st_size:
            raise ValueError(f"{path} is no safetensors file")
        header = json.loads(file.read(size))
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else {}
