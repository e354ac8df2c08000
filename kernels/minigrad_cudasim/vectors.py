"""The vector types of `cuda`: float32x4, int3 and so on, with fields x, y, z and w."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad_cudasim.numbers import cast_to

FIELDS = ("x", "y", "z", "w")
ALIASES = {
    "char": np.byte,
    "short": np.short,
    "int": np.intc,
    "long": np.int_,
    "longlong": np.longlong,
    "uchar": np.ubyte,
    "ushort": np.ushort,
    "uint": np.uintc,
    "ulong": np.uint,
    "ulonglong": np.ulonglong,
    "float": np.single,
    "double": np.double,
}
BASES = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float32",
    "float64",
)


class Vector:
    """One to four numbers of one type, immutable as Numba has them."""

    __slots__ = ("_values",)
    base = "float32"
    count = 4

    def __init__(self, *parts: Any):
        values: list[Any] = []
        for part in parts:
            values += part if isinstance(part, Vector) else [part]
        if len(values) != self.count:
            raise TypeError(
                f"{type(self).__name__} expects {self.count} numbers, got {len(values)}"
            )
        cast = cast_to(self.base)
        self._values = tuple(cast(v) for v in values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS[: self.count]:
            return self._values[FIELDS.index(name)]
        raise AttributeError(f"{type(self).__name__} has no field {name}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._values}"


def vector_types() -> dict[str, type[Vector]]:
    """Return the vector types by their names, aliases such as float4 included."""
    found: dict[str, type[Vector]] = {}
    for base in BASES:
        for count in (1, 2, 3, 4):
            name = f"{base}x{count}"
            found[name] = type(name, (Vector,), {"base": base, "count": count, "__slots__": ()})
    for alias, kind in ALIASES.items():
        for count in (1, 2, 3, 4):
            found[f"{alias}{count}"] = found[f"{np.dtype(kind).name}x{count}"]
    return found


VECTORS = vector_types()
