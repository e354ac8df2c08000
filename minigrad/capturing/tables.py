"""Tables of compiled calls, where kernels are compiled: nothing of them exists in plain mode."""

from __future__ import annotations

from typing import Any

from minigrad.lazy import lazy
from minigrad_kernels.jit import plain

_module = lazy("minigrad_kernels.jit.call_table")
_launches = lazy("minigrad_kernels.by_address")
_identity = lazy("minigrad_kernels.jit.identity")


def compiled() -> bool:
    """Return whether kernels are compiled code."""
    return not plain.ON


def possible(kernel: str) -> bool:
    """Return whether launches of a kernel may come down to calls by address."""
    return bool(_launches.possible(kernel))


def calls_of(kernel: str, run: Any, args: tuple[Any, ...]) -> list[Any] | None:
    """Launch a kernel, and return the calls that this comes down to; None for Python's."""
    found: list[Any] | None = _launches.calls_of(kernel, run, args)
    return found


def call_table(calls: list[Any]) -> Any:
    """Return calls as a table, to run in one call."""
    return _module.CallTable(calls)


def identity(dicts: list[dict[Any, Any]], places: list[tuple[Any, str]]) -> Any:
    """Return what tells whether dicts and slots hold the very objects that they hold now; None
    where that cannot be compiled.
    """
    if not compiled():
        return None
    try:
        return _identity.Identity(dicts, places)
    except TypeError:
        return None
