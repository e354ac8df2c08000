"""The lines of a fit as text: a header, a line an epoch, a summary."""

from __future__ import annotations

import math
import os
from typing import Any

from minigrad.train.callbacks.base import Fit
from minigrad.train.callbacks.history import Row, counted

WIDTH = 10
LONGEST = 22  # letters of a column's name


def fitting(names: list[str], width: int) -> list[str]:
    """Return the columns that there is room for; the losses go last.

    >>> fitting(["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"], 45)
    ['epoch', 'loss', 'val_loss', 'val_accuracy']
    """
    kept = list(names)
    metrics = [n for n in names if n not in ("epoch", "loss", "val_loss", "lr", "seconds")]
    own = [n for n in metrics if not n.startswith("val_")]
    leave = ["lr", "seconds", *own[::-1], *[n for n in metrics if n not in own][::-1], "val_loss"]
    for name in leave:
        if sum(_width(n) + 1 for n in kept) + 1 <= width:
            break
        if name in kept:
            kept.remove(name)
    return kept


def header(names: list[str]) -> str:
    """Return the line above the table."""
    return " ".join(_label(name).rjust(_width(name)) for name in names)


def line(row: Row, epochs: int, best: bool) -> str:
    """Return the table's line for one epoch.

    >>> line({"epoch": 3, "loss": 0.123456, "accuracy": 0.5, "seconds": 0.25}, 100, best=True)
    ' 3/100     0.1235     50.00 %   250 ms *'
    """
    cells = [cell(name, value, epochs).rjust(_width(name)) for name, value in row.items()]
    return " ".join(cells) + " *" * best


def _label(name: str) -> str:
    """Return what stands above a column."""
    if name == "seconds":
        return "time"
    shown = name.replace("_", " ").replace("accuracy", "acc")
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 4]} ..."


def _width(name: str) -> int:
    """Return the width of a column."""
    return {"epoch": 6, "lr": 9, "seconds": 8}.get(name) or max(WIDTH, len(_label(name)))


def cell(name: str, value: float, epochs: int) -> str:
    """Return a value as the table shows it: few digits, with its unit.

    >>> cell("val_loss", 123456.0, 1), cell("lr", 0.001, 1)
    ('1.235e+05', '0.001')
    """
    if name == "epoch":
        return f"{value:.0f}/{epochs}"
    if name == "seconds":
        return duration(value)
    if name == "lr":
        return f"{value:.3g}"
    if name.endswith("accuracy"):
        return f"{100 * value:.2f} %"
    plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value:.4f}" if plain else f"{value:.3e}"


def duration(seconds: float) -> str:
    """Return a time for people.

    >>> duration(0.0123), duration(12.34), duration(754.0), duration(100_000.0)
    ('12 ms', '12.3 s', '12m 34s', '27h 46m')
    """
    if seconds < 0.9995e-3:
        return f"{1e6 * seconds:.0f} us"
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    if not seconds < math.inf:
        return "unknown"
    whole = round(seconds)  # first: 119.7 s are 2m 00s
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"


def summary(trainer: Fit) -> str:
    """Return the line below the table: why the fit ended, which epoch's weights came back."""
    history = trainer.history
    reason = history.stop_reason or "ended by an error"
    ended = f"{counted(len(history), 'epoch')} in {duration(history.seconds)}: {reason}."
    if history.restored_epoch is not None:
        return f"{ended} Restored the weights of epoch {history.restored_epoch}."
    return ended


def is_terminal(file: Any) -> bool:
    """Tell whether a file is a terminal on which lines can be drawn anew."""
    try:
        return bool(file.isatty()) and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    except (AttributeError, ValueError):  # a file of one's own, or a closed one
        return False
