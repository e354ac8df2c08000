"""What the commands have in common: how options are read, how lines look, one-line errors."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from minigrad.engine.device import Device

INTERRUPTED = 130  # what a shell returns for a command ended by Ctrl-C


class UsageError(Exception):
    """An error that the user can mend, said in one line."""


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads an option as a whole number of at least `least`."""

    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number >= {least}, got {text!r}")
        return value

    return whole


def device(text: str) -> Device:
    """Return a device that can be used."""
    try:
        device = Device(text)
        device.target()
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return device


def positive(text: str) -> float:
    """Read an option as a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def widths(text: str) -> tuple[int, ...]:
    """Read an option as widths of hidden layers, such as 256,128."""
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = (0,)
    if min(widths) < 1:
        raise argparse.ArgumentTypeError(f"expected widths such as 256,128, got {text!r}")
    return widths


def field(name: str, text: str) -> str:
    """Return a line with a name and its text beside it."""
    return f"{name:<8}{text}"


def indented(text: str) -> str:
    """Return a text whose lines begin where the texts of fields do."""
    return "\n".join(f"{'':<8}{line}" for line in text.splitlines())
