"""Calls and their outcomes in one file: arrays once each, the rest as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.peers.calls import Array, Call, Name, Outcome, mapped

Pairs = dict[str, list[tuple[Call, Outcome]]]


class Writer:
    """Gather arrays, each kept once, and give them numbers."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.numbers: dict[tuple[Any, ...], int] = {}

    def number(self, a: np.ndarray[Any, Any]) -> int:
        """Return the number of an array's elements in C order."""
        key = (a.dtype.str, a.shape, a.tobytes())
        if key not in self.numbers:
            self.numbers[key] = len(self.arrays)
            self.arrays.append(np.array(a, order="C"))
        return self.numbers[key]

    def leaf(self, x: Any) -> Any:
        """Return what stands for a leaf in the JSON."""
        if isinstance(x, Array):
            a = x.data
            laid = [] if a.flags.c_contiguous else [s // a.itemsize for s in a.strides]
            return {"tensor": self.number(a), "laid": laid, "grad": x.grad}
        if isinstance(x, np.ndarray):
            narrow = narrowed(x)
            return {"array": self.number(narrow), "wide": narrow.dtype != x.dtype}
        if isinstance(x, Name):
            return {"dtype": x.name}
        if isinstance(x, slice):
            return {"slice": [x.start, x.stop, x.step]}
        if x is Ellipsis:
            return {"dots": 0}
        if x is None or isinstance(x, bool | int | float | str):
            return x
        raise TypeError(f"{type(x).__name__} is not held")

    def tree(self, x: Any) -> Any:
        """Return a tree for the JSON: dicts and tuples are marked."""
        if isinstance(x, dict):
            return {"dict": [[k, self.tree(v)] for k, v in x.items()]}
        if isinstance(x, tuple):
            return {"tuple": [self.tree(v) for v in x]}
        return [self.tree(v) for v in x] if isinstance(x, list) else self.leaf(x)


def narrowed(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return float64 as float32, where all elements are in its range: files are small."""
    if a.dtype != np.float64:
        return a
    sizes = np.abs(a[np.isfinite(a) & (a != 0)])
    return (
        a.astype(np.float32) if not sizes.size or 1e-30 < sizes.min() <= sizes.max() < 1e30 else a
    )


def laid_out(a: np.ndarray[Any, Any], steps: list[int]) -> np.ndarray[Any, Any]:
    """Return the same elements in memory with these steps from one to the next."""
    if not steps:
        return a.copy()
    low = sum(s * (n - 1) for s, n in zip(steps, a.shape, strict=True) if s < 0 and n)
    high = sum(s * (n - 1) for s, n in zip(steps, a.shape, strict=True) if s > 0 and n)
    memory = np.zeros(high - low + 1, a.dtype)
    strides = [s * a.itemsize for s in steps]
    view = np.lib.stride_tricks.as_strided(memory[-low:], a.shape, strides)
    view[...] = a
    return view


class Reader:
    """Return what the JSON stands for."""

    def __init__(self, arrays: list[np.ndarray[Any, Any]]) -> None:
        self.arrays = arrays

    def tree(self, x: Any) -> Any:
        if isinstance(x, list):
            return [self.tree(v) for v in x]
        if not isinstance(x, dict):
            return x
        if "tensor" in x:
            return Array(laid_out(self.arrays[x["tensor"]], x["laid"]), x["grad"])
        ((kind, value), *_) = x.items()
        if kind == "array":
            return self.arrays[value].astype(np.float64) if x["wide"] else self.arrays[value]
        if kind == "dtype":
            return Name(value)
        if kind == "slice":
            return slice(*value)
        if kind == "dots":
            return Ellipsis
        if kind == "tuple":
            return tuple(self.tree(v) for v in value)
        return {k: self.tree(v) for k, v in value}


def save(path: Path, pairs: Pairs) -> None:
    """Write calls by operation; what cannot be held raises TypeError."""
    writer = Writer()
    index = {}
    for name, calls in pairs.items():
        index[name] = [
            [
                [call.name, call.way, writer.tree(call.args), writer.tree(call.options)],
                [
                    peer.error,
                    peer.random,
                    writer.tree(list(peer.leaves)),
                    peer.tracked,
                    writer.tree(list(peer.gradients)),
                ],
            ]
            for call, peer in calls
        ]
    kinds: dict[str, list[Any]] = {}
    places = []
    for a in writer.arrays:
        flat = kinds.setdefault(a.dtype.name, [])
        places.append([a.dtype.name, list(a.shape)])
        flat.append(a.reshape(-1))
    text = json.dumps({"index": index, "places": places}, separators=(",", ":"))
    held = {kind: np.concatenate(flat) for kind, flat in kinds.items()}
    np.savez_compressed(path, **held, json=np.frombuffer(text.encode(), np.uint8))  # type: ignore[arg-type]


def load(path: Path) -> Pairs:
    """Read what `save` wrote."""
    with np.load(path) as file:
        text = json.loads(file["json"].tobytes())
        held = {kind: file[kind] for kind in file.files if kind != "json"}
    at = dict.fromkeys(held, 0)
    arrays = []
    for kind, shape in text["places"]:
        n = int(np.prod(shape))
        arrays.append(held[kind][at[kind] : at[kind] + n].reshape(shape))
        at[kind] += n
    read = Reader(arrays).tree
    found: Pairs = {}
    for name, calls in text["index"].items():
        found[name] = [
            (
                Call(call[0], read(call[2]), read(call[3]), call[1]),
                Outcome(peer[0], "", read(peer[2]), peer[3], read(peer[4]), peer[1]),
            )
            for call, peer in calls
        ]
    return found


def elements(call: Call, peer: Outcome) -> int:
    """Return how many elements a call and its outcome have."""
    count = 0

    def add(x: Any) -> Any:
        nonlocal count
        count += x.data.size if isinstance(x, Array) else getattr(x, "size", 1)
        return x

    mapped([call.args, call.options, list(peer.leaves), list(peer.gradients)], add)
    return count
