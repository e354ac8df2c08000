"""Simulates a whole process: for the environment variable MINIGRAD_CUDASIM, scripts and pytest.

MINIGRAD_CUDASIM=1, or options of `simulate` with commas between: seed=3,races=0,report=faults.svg.
The installed package has a .pth file, which asks for this module where the variable is set.
"""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import Any

from minigrad_cudasim.api import activate

VARIABLE = "MINIGRAD_CUDASIM"
FLAGS = (
    "raises",
    "cudasim",
    "races",
    "uninitialised",
    "float64",
    "negative",
    "strict",
    "traffic",
    "lanes",
)


def parsed(text: str) -> dict[str, Any]:
    """Return the options that the variable's text names.

    >>> parsed("1"), parsed("seed=3,races=0,order=drift")
    ({}, {'seed': 3, 'races': False, 'order': 'drift'})

    Raises: ValueError for what is no option.
    """
    options: dict[str, Any] = {}
    for part in text.split(",") if "=" in text else ():
        name, _, value = part.strip().partition("=")
        if name in FLAGS:
            options[name] = value not in ("0", "false", "")
        elif name == "seed":
            options[name] = int(value)
        elif name in ("order", "report"):
            options[name] = value
        else:
            known = ", ".join([*FLAGS, "seed", "order", "report"])
            raise ValueError(f"{VARIABLE}: {name!r} is no option, expected 1 or some of {known}")
    return options


def write(report: Any, path: str) -> None:
    """Write a report as JSON, as a picture or as text, as the file's name ends."""
    form = {".json": report.json, ".svg": report.svg}.get(Path(path).suffix, report.__str__)
    Path(path).write_text(form() + "\n", encoding="utf-8")


def start(text: str) -> Any:
    """Simulate the process from here on, with the options of a text; return the session.

    Ends the process where it cannot: nothing may run on a GPU by mistake.
    """
    try:
        options = parsed(text)
        path = options.pop("report", None)
        session = activate(**options)
    except (ImportError, ValueError) as error:
        sys.exit(f"minigrad_cudasim: {error}")
    if path is not None:
        atexit.register(write, session.report, path)
    return session


ASKED = os.environ.get(VARIABLE, "0")
if ASKED not in ("", "0"):
    start(ASKED)
