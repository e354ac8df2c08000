"""The registry of ops: what the batteries walk, and what functions and samples are derived from."""

from __future__ import annotations

import re
from collections.abc import Callable

from minigrad.engine.op import Op

OPS: dict[str, type[Op]] = {}
LISTENERS: list[Callable[[type[Op]], None]] = []


def op(cls: type[Op]) -> type[Op]:
    """Enter an op class into the registry, from which its function, its method and its samples are
    derived.

    Raises: ValueError where an op has that name.
    """
    if cls.__name__ in OPS:
        raise ValueError(f"op {cls.__name__} is defined twice")
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
