"""`python -m benchmarks NAME [--vs numpy torch jax]`: validate, time, print and write JSON.

`python -m benchmarks report` makes tables and plots of what benchmarks/results/ holds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import (
    checkpoint,
    cold_start,
    eager,
    elementwise,
    gemm,
    growth,
    kernels,
    machine,
    optimizer,
    scalar,
    single_row,
    train_step,
)
from benchmarks.harness import PEERS, Benchmark, Disagreement
from benchmarks.report import RESULTS, as_json, print_table, write_json
from benchmarks.tables import report
from minigrad_kernels.compare.machine import limits
from minigrad_kernels.compare.timing import QUICK, Pace, installed, time_case

MODULES = (
    *(machine, gemm, kernels, eager, scalar, train_step),
    *(single_row, optimizer, elementwise, growth, checkpoint, cold_start),
)
BENCHMARKS: dict[str, Benchmark] = {m.BENCHMARK.name: m.BENCHMARK for m in MODULES}
OPTIONS = ("only", "sizes", "dtype")  # which of them a benchmark takes, it says itself


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks named on the command line; return 1 where a result was wrong."""
    arguments = parser().parse_args(argv)
    if arguments.name == "report":
        for written in report(arguments.out or RESULTS):
            print(written.name)
        return 0
    names = list(BENCHMARKS) if arguments.name == "all" else [arguments.name]
    if arguments.out is not None and len(names) > 1:
        parser().error("--out takes one file, so name one benchmark")
    options = {name: value for name in OPTIONS if (value := getattr(arguments, name))}
    for name in names:
        if unknown := options.keys() - BENCHMARKS[name].options:
            takes = " ".join(f"--{option}" for option in BENCHMARKS[name].options)
            parser().error(f"{name} has no option --{min(unknown)}; {takes or 'it has none'}")
    console = Console(width=None if sys.stdout.isatty() else 120)
    wrong = 0
    for name in names:
        # Quick figures and parts are no results: they are written where --out says, or nowhere.
        part = arguments.quick or options
        path = arguments.out or (None if part else RESULTS / f"{name}.json")
        try:
            run(BENCHMARKS[name], arguments, options, path, console)
        except Disagreement as error:
            console.print(f"{name}: {error}", style="red", highlight=False)
            wrong += 1
    return 1 if wrong else 0


def run(
    benchmark: Benchmark,
    arguments: argparse.Namespace,
    options: dict[str, Any],
    path: Path | None,
    console: Console,
) -> None:
    """Validate and time every case of one benchmark; print its table and write its JSON."""
    pace = QUICK if arguments.quick else benchmark.pace
    if arguments.rounds is not None:
        pace = replace(pace, rounds=arguments.rounds)
    asked = [peer for peer in benchmark.peers if peer in arguments.vs]
    missing = [peer for peer in asked if not installed(peer)]
    peers = [peer for peer in asked if peer not in missing]
    timings = []
    for case in benchmark.cases(peers, arguments.quick, **options):
        timings += time_case(case, replace(pace, warmups=0, pause=0.0) if case.once else pace)
        if console.is_terminal:
            console.print(f"{benchmark.name}: {case.label} done", style="dim")
    print_table(benchmark, timings, missing, console)
    if path is not None:
        found = limits(arguments.quick).as_json() if benchmark.limited else None
        command = as_typed(benchmark.name, arguments, options, pace)
        write_json(as_json(benchmark, timings, pace, command, missing, found), path)


def as_typed(name: str, arguments: argparse.Namespace, options: dict[str, Any], pace: Pace) -> str:
    """Return the command that makes this run again."""
    words = ["python -m benchmarks", name, "--vs", *arguments.vs, "--rounds", str(pace.rounds)]
    for option, value in options.items():
        words += [f"--{option}", *([value] if isinstance(value, str) else value)]
    return " ".join([*words, *(["--quick"] if arguments.quick else [])])


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Validate, then time minigrad in turns with its peers.",
        epilog="\n".join(f"{b.name:12} {b.title}" for b in BENCHMARKS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("name", choices=[*BENCHMARKS, "all", "report"], help="what to time")
    top.add_argument("--vs", nargs="*", choices=PEERS, default=PEERS, help="peers (all installed)")
    top.add_argument("--rounds", type=rounds, metavar="N", help="blocks of each candidate")
    top.add_argument("--only", metavar="TEXT", help="cases with TEXT in their name")
    top.add_argument("--sizes", nargs="+", metavar="NxC", help="such as 64x64 4096x1024")
    top.add_argument("--dtype", choices=("float32", "float64"), help="of the numbers")
    top.add_argument("--quick", action="store_true", help="small sizes, short blocks, no JSON")
    top.add_argument("--out", type=Path, metavar="FILE", help="JSON; report: its folder")
    return top


def rounds(text: str) -> int:
    """Return a number of rounds, 1 at least."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of rounds from 1 on, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
