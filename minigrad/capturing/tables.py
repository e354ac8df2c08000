"""Tables of compiled calls, where kernels are compiled: nothing of them exists in plain mode."""

from __future__ import annotations

from typing import Any

from minigrad.lazy import lazy
from minigrad_kernels.jit import plain

_module = lazy("minigrad_kernels.jit.call_table")


def compiled() -> bool:
    """Return whether kernels are compiled code."""
    return not plain.ON


def listen() -> Any:
    """Note the calls of jitted functions that Python makes; a context manager."""
    return _module.listen()


def fits(call: Any) -> bool:
    """Return whether a call can be made by its address."""
    return bool(_module.fits(call))


def call_table(calls: list[Any]) -> Any:
    """Return calls as a table, to run in one call."""
    return _module.CallTable(calls)
