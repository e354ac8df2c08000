"""States as they are saved: nested dicts, lists and numbers as JSON, their arrays by name."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.engine.device import Device, DeviceArray
from minigrad.engine.dtypes import DTYPES, DType
from minigrad.tensors.shapes import Size
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
DEEPEST = 200
MANY = 64  # numbers in a list from which on they are held as an array
RESERVED = "__metadata__"  # what safetensors keeps its own entries under
KEYS = (str, int, float, bool, type(None))
DICTS: dict[str, type] = {"dict": dict, "ordered": OrderedDict}
LISTS: dict[str, type] = {
    **{"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "Size": Size}
}
# Arrays of NumPy that no tensor is of are held as arrays of another kind, and so are files' bytes.
HELD_AS = {
    **{"uint16": "int16", "uint32": "int32", "uint64": "int64", "float16": "int16"},
    **{"complex64": "float32", "complex128": "float64"},
}


def flatten(state: Any, writer: Writer | None = None) -> tuple[dict[str, Array], str]:
    """Return the arrays of a state by dotted name, and its structure as JSON.

    writer: what encodes values, by default one that takes what `save` lists.

    The structure of plain tensors by name is "": nothing but the names is needed.

    >>> arrays, tree = flatten({"lr": 0.5, "state": {0: Tensor(np.zeros(2))}})
    >>> list(arrays), unflatten(tree, arrays)["lr"]
    (['state.0'], 0.5)
    """
    named = isinstance(state, Mapping) and RESERVED not in state
    if named and all(isinstance(k, str) and _is_plain(v) for k, v in state.items()):
        return {name: _copied(name, value) for name, value in state.items()}, ""
    writer = Writer() if writer is None else writer
    tree = writer.encoded(state, (), set())
    return writer.arrays, json.dumps(tree, separators=(",", ":"), allow_nan=False)


def unflatten(tree: str, arrays: Mapping[str, Array], reader: type[Reader] | None = None) -> Any:
    """Return the state that `flatten` was given.  reader: what decodes values."""
    return (Reader if reader is None else reader)(arrays).decoded(json.loads(tree))


def _is_array(value: Any) -> bool:
    """Tell whether a value is a tensor or an array."""
    return isinstance(value, Tensor | np.ndarray | DeviceArray)


def _is_plain(value: Any) -> bool:
    """Tell whether a value is a tensor, or an array that a file holds as it is."""
    kind = value.dtype.name if isinstance(value, np.ndarray) else ""
    return _is_array(value) and kind not in HELD_AS


def _copied(name: str, value: Any, copying: bool = True) -> Array:
    """Return a copy of a tensor or array on the host, or itself where no copy is wanted.

    Raises: TypeError for a dtype that files cannot hold.
    """
    array = value.array if isinstance(value, Tensor) else value
    array = array.read() if isinstance(array, DeviceArray) else array
    if array.dtype not in DTYPES:
        raise TypeError(
            f"save: {name!r} is {type(value).__name__} of {array.dtype}, which is not "
            f"one of the dtypes that can be held: {', '.join(map(str, DTYPES))}"
        )
    if not copying:
        return np.ascontiguousarray(array).reshape(array.shape)
    return np.array(array, order="C", copy=True, subok=False)  # another thread may write to it


class Writer:
    """Encode values, setting the arrays aside under names that occur once.

    copying: False where they are written at once, before anything changes them.
    """

    def __init__(self, copying: bool = True) -> None:
        self.copying = copying
        self.arrays: dict[str, Array] = {}

    def encoded(self, value: Any, path: tuple[Any, ...], above: set[int]) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, float) and not isinstance(value, np.generic):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, np.ndarray) and value.dtype.name in HELD_AS:
            held = np.ascontiguousarray(value).reshape(-1).view(HELD_AS[value.dtype.name])
            return {"view": [self._named(path, held), value.dtype.name, list(value.shape)]}
        if _is_array(value):
            kind = "tensor" if isinstance(value, Tensor) else "array"
            return {kind: self._named(path, value)}
        if isinstance(value, np.generic):
            array = self.encoded(np.array(value), path, above)
            return {"scalar": array.get("array", array)}
        if type(value) is complex:
            return {"complex": [repr(value.real), repr(value.imag)]}
        if type(value) is bytes:
            return {"bytes": self._named(path, np.frombuffer(value, np.uint8))}
        if isinstance(value, DType):
            return {"dtype": value.name}
        if isinstance(value, Device):
            return {"device": str(value)}
        if hasattr(value, "state_dict") and not isinstance(value, type):
            value = value.state_dict()
        if id(value) in above:
            raise ValueError(f"save: {_place(path)} holds itself")
        if len(path) > DEEPEST:
            raise ValueError(f"save: {_place(path)} lies deeper than {DEEPEST} levels")
        above = above | {id(value)}
        if isinstance(value, Mapping):
            kind = "ordered" if isinstance(value, OrderedDict) else "dict"
            return {kind: [self._entry(k, v, path, above) for k, v in value.items()]}
        if type(value) is list and len(value) >= MANY:
            kinds = set(map(type, value))
            if kinds == {float}:
                return {"floats": self._named(path, np.array(value, np.float64))}
            if kinds == {int} and min(value) >= -(1 << 63) and max(value) < 1 << 63:
                return {"ints": self._named(path, np.array(value, np.int64))}
        if type(value) in LISTS.values():
            items = [self.encoded(v, (*path, i), above) for i, v in enumerate(value)]
            return {type(value).__name__: items}
        if isinstance(value, int | str):  # of an enum, say: it would come back as something else
            what = f"{type(value).__name__}, a kind of {'int' if isinstance(value, int) else 'str'}"
            raise TypeError(f"save: {_place(path)} is {what}; save the plain value")
        raise TypeError(
            f"save: {_place(path)} is {type(value).__name__}; what can be held are dicts, lists, "
            "tuples, sets, tensors, arrays, numbers, strings, bytes, bools, dtypes and None"
        )

    def _entry(self, key: Any, value: Any, path: tuple[Any, ...], above: set[int]) -> list[Any]:
        if not is_key(key):
            raise TypeError(
                f"save: {_place(path)} has the key {key!r:.60} of type {type(key).__name__}; keys "
                "can be strings, numbers, bools, None, and tuples of such"
            )
        return [self.encoded(key, path, above), self.encoded(value, (*path, key), above)]

    def _named(self, path: tuple[Any, ...], value: Any) -> str:
        """Set an array aside; return its name."""
        dotted = ".".join(map(str, path)) or "value"
        name, count = dotted, 1
        while name in self.arrays or name == RESERVED:  # keys 0 and "0", or with dots in them
            count += 1
            name = f"{dotted}#{count}"
        self.arrays[name] = _copied(_place(path).strip("'"), value, self.copying)
        return name


def is_key(value: Any) -> bool:
    """Return whether a key of a dict can be held.

    >>> is_key(("a", np.int64(1))), is_key(max)
    (True, False)
    """
    if type(value) is tuple:
        return all(map(is_key, value))
    return type(value) in KEYS or isinstance(value, np.number | np.bool_)


def _place(path: tuple[Any, ...]) -> str:
    """Return the place of a value in the state, as errors show it."""
    return repr(".".join(map(str, path))) if path else "the state"


class Reader:
    """Decode values, with the arrays that were set aside."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays

    def decoded(self, node: Any) -> Any:
        """Return the value of a node of a saved state."""
        if not isinstance(node, dict):
            return node
        ((kind, value),) = node.items()
        return self.of_kind(kind, value)

    def of_kind(self, kind: str, value: Any) -> Any:
        """Return the value of a node of one kind."""
        if kind == "float":
            return float(value)
        if kind == "tensor":
            return Tensor(self.arrays[value])
        if kind == "array":
            return self.arrays[value]
        if kind == "view":
            name, dtype, shape = value
            return self.arrays[name].view(np.dtype(dtype)).reshape(shape)
        if kind == "scalar":
            return (self.arrays[value] if isinstance(value, str) else self.decoded(value))[()]
        if kind == "complex":
            return complex(*map(float, value))
        if kind == "bytes":
            return self.arrays[value].tobytes()
        if kind in ("floats", "ints"):
            return self.arrays[value].tolist()
        if kind == "dtype":
            return DTYPES[np.dtype(value)]
        if kind == "device":
            return Device(value)
        if kind in LISTS:
            return LISTS[kind](self.decoded(item) for item in value)
        return DICTS[kind]((self.decoded(k), self.decoded(v)) for k, v in value)
