"""`pytest --cuda-sim`: tests of numba.cuda code as they are, without a GPU, each launch checked."""

from __future__ import annotations

import importlib
from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Add the options."""
    group = parser.getgroup("cuda-sim", "numba.cuda kernels without a GPU")
    group.addoption(
        "--cuda-sim",
        nargs="?",
        const="1",
        default=None,
        metavar="OPTIONS",
        help="simulate all CUDA kernels: a fault fails its test; seed=3,races=0 and the like",
    )


def pytest_configure(config: Any) -> None:
    """Begin to simulate before any test module is imported."""
    text = config.getoption("--cuda-sim")
    if text is not None:
        config.cuda_sim = importlib.import_module("minigrad_cudasim.startup").start(text)


def pytest_report_header(config: Any) -> str | None:
    """Say that kernels are simulated."""
    held = getattr(config, "cuda_sim", None)
    return None if held is None else "cuda-sim: numba.cuda kernels run in minigrad_cudasim"


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """Say how many launches there were, and what they showed that is no fault."""
    held = getattr(config, "cuda_sim", None)
    if held is None:
        return
    report = held.report
    terminalreporter.write_line(
        f"cuda-sim: {report.launches} launches, {len(report.faults)} faults, "
        f"{len(report.notes)} notes"
    )
    for note in report.notes[:9]:
        terminalreporter.write_line(f"note, {note.text}")
