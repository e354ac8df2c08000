"""The registries of ops and of functions over them.

The batteries walk them; methods, names and samples are derived from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from minigrad.engine.errors import ArgumentError
from minigrad.engine.op import Op

PLACES = ("tensor", "function", "method", "functional", "linalg", "fft", "special")
F = TypeVar("F", bound=Callable[..., Any])
OPS: dict[str, type[Op]] = {}
LISTENERS: list[Callable[[type[Op]], None]] = []


@dataclass(frozen=True)
class Public:
    """A function that users call, written out as a composition of ops.

    names: its own and its other names.  places: where it stands, see `public`.  inplace: whether
    `name_` is a method that writes the result into the first tensor.
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    places: tuple[str, ...]
    inplace: bool


PUBLIC: list[Public] = []
PUBLIC_LISTENERS: list[Callable[[Public], None]] = []


def op(cls: type[Op]) -> type[Op]:
    """Enter an op class into the registry, from which its function, its method and its samples are
    derived.

    Raises: ValueError where an op has that name.
    """
    if cls.__name__ in OPS:
        raise ArgumentError(f"op {cls.__name__} is defined twice")
    OPS[cls.__name__] = cls
    for listener in LISTENERS:
        listener(cls)
    return cls


def for_each_op(listener: Callable[[type[Op]], None]) -> None:
    """Call a function with every op of the registry, and with each that will be entered."""
    for cls in list(OPS.values()):
        listener(cls)
    LISTENERS.append(listener)


def function_name(cls: type[Op]) -> str:
    """Return the name of an op as a function: its kernel's, else the class's in snake case.

    >>> function_name(OPS["Expm1"]), function_name(OPS["LeakyRelu"])
    ('expm1', 'leaky_relu')
    """
    kernel: str = getattr(cls, "kernel", "")
    return kernel or re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def public(*places: str, also: tuple[str, ...] = (), inplace: bool = False) -> Callable[[F], F]:
    """Enter a function under its own name.

    places: "tensor" is a method of Tensor and a function of minigrad, "method" only the one,
        "function" only the other; "functional" is minigrad.nn.functional; "linalg", "fft" and
        "special" are modules of minigrad.
    also: its other names.  inplace: whether it has a method `name_` that writes the result into
        the first tensor.

    Raises: ValueError for another place.
    """
    for place in places:
        if place not in PLACES:
            raise ArgumentError(f"public: expected one of {', '.join(PLACES)}, got {place!r}")

    def enter(function: F) -> F:
        names = (function.__name__, *also)
        entry = Public(function, names, places, inplace)
        PUBLIC.append(entry)
        for listener in PUBLIC_LISTENERS:
            listener(entry)
        return function

    return enter


def for_each_public(listener: Callable[[Public], None]) -> None:
    """Call a function with every public function, and with each that will be entered."""
    for entry in list(PUBLIC):
        listener(entry)
    PUBLIC_LISTENERS.append(listener)
