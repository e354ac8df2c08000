"""`compare` on a command line: `minigrad compare` and `python -m minigrad_kernels compare`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from minigrad_kernels.compare import api as compare
from minigrad_kernels.compare.examples import example_of
from minigrad_kernels.compare.gpus import GPUS
from minigrad_kernels.compare.report import WIDTH, show
from minigrad_kernels.compare.targets import TARGETS
from minigrad_kernels.compare.verdict import LIMIT
from minigrad_kernels.table import KERNELS


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = command.add_argument
    add(
        "kernels",
        nargs="*",
        metavar="KERNEL",
        help="names such as gemm, or all (a common dozen); your own pair: my_kernels.py:pair",
    )
    add("--sizes", nargs="+", metavar="N", help="numbers of elements, or shapes: 256x1024")
    add(
        "--dtypes",
        nargs="+",
        default=["float32"],
        metavar="TYPE",
        help="float32, float64 (default: float32)",
    )
    add(
        "--targets",
        nargs="+",
        metavar="TARGET",
        help=f"{', '.join(TARGETS)} (default: all that are there)",
    )
    add("--quick", action="store_true", help="one small size and short blocks")
    add("--list", action="store_true", help="list the kernels and the shapes of their sizes")
    add("--json", type=Path, metavar="FILE", help="write all that was measured, for --against")
    add("--html", type=Path, metavar="FILE", help="write a page with charts, one file")
    statistics = "show what the CUDA kernels compile to (default: where there is no GPU)"
    add("--statistics", action="store_true", default=None, help=statistics)
    few = "(default: of up to three kernels, not with --quick)"
    for name, text in (
        ("checks", f"run the battery against mistakes and cheating {few}"),
        ("verdicts", f"measure in turns which is faster, until it is decided {few}"),
        ("phases", f"measure compile, launch, transfer and kernel {few}"),
    ):
        add(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text)
    add(
        "--predict",
        nargs="*",
        metavar="GPU",
        help=f"predict the times on {', '.join(GPUS)} (GPU left out: on all)",
    )
    add(
        "--against",
        metavar="FILE",
        help="compare with the --json of another run, or with old.py:pair",
    )
    add(
        "--margin",
        type=float,
        default=3.0,
        metavar="PERCENT",
        help="what counts as the same time (default: 3)",
    )
    add(
        "--limit",
        type=float,
        default=LIMIT,
        metavar="SECONDS",
        help=f"a verdict takes at most (default: {LIMIT:g})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, write; return 1 where one of our kernels is wrong.

    Raises: ValueError for what the user can mend.
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    if arguments.list:
        for name in sorted(KERNELS):
            console.print(f"{name:32}{example_of(name).shape}")
        return 0
    for option, path in (("--json", arguments.json), ("--html", arguments.html)):
        check_place(option, path)  # now, not after minutes of measuring
    with console.status("") as status:
        progress: Callable[[str], None] | None = status.update if console.is_terminal else None
        report = compare.run(
            arguments.kernels,
            arguments.sizes,
            arguments.dtypes,
            arguments.targets,
            quick=arguments.quick,
            statistics=arguments.statistics,
            checks=arguments.checks,
            verdicts=arguments.verdicts,
            phases=arguments.phases,
            predict=list(GPUS) if arguments.predict == [] else arguments.predict,
            against=arguments.against,
            sessions=True if arguments.json is not None else None,
            margin=arguments.margin / 100,
            limit=arguments.limit,
            progress=progress,
        )
    show(report, console)
    if arguments.json is not None:
        console.print(f"wrote {report.to_json(arguments.json)}")
    if arguments.html is not None:
        console.print(f"wrote {report.to_html(arguments.html)}")
    return 0 if report.ok else 1


def check_place(option: str, path: Path | None) -> None:
    """Raise a ValueError where a file cannot be written there.

    >>> check_place("--html", Path("no/such/folder/a.html"))
    Traceback (most recent call last):
    ...
    ValueError: --html no/such/folder/a.html: there is no folder no/such/folder; make it first
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ValueError(f"{option} {path}: there is no folder {path.parent}; make it first")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ValueError(f"{option} {path}: expected the path of a file that can be written")
