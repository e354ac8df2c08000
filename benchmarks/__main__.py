"""`python -m benchmarks NAME [--vs numpy torch jax]`: validate, time, print and write JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import cold_start, eager, elementwise, gemm, optimizer, train_step
from benchmarks.harness import PEERS, QUICK, Benchmark, Disagreement, Pace, installed, time_case
from benchmarks.report import RESULTS, as_json, print_table, write_json

MODULES = (gemm, eager, train_step, optimizer, elementwise, cold_start)
BENCHMARKS: dict[str, Benchmark] = {m.BENCHMARK.name: m.BENCHMARK for m in MODULES}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks named on the command line; return 1 where a result was wrong."""
    arguments = parser().parse_args(argv)
    names = list(BENCHMARKS) if arguments.name == "all" else [arguments.name]
    if arguments.out is not None and len(names) > 1:
        parser().error("--out takes one file, so name one benchmark")
    pace = QUICK if arguments.quick else Pace()
    if arguments.rounds is not None:
        pace = replace(pace, rounds=arguments.rounds)
    console = Console(width=None if sys.stdout.isatty() else 120)
    wrong = 0
    for name in names:
        # Quick figures are no results: they are written where --out says, or nowhere.
        path = arguments.out or (None if arguments.quick else RESULTS / f"{name}.json")
        try:
            run(BENCHMARKS[name], arguments.vs, pace, arguments.quick, path, console)
        except Disagreement as error:
            console.print(f"{name}: {error}", style="red", highlight=False)
            wrong += 1
    return 1 if wrong else 0


def run(
    benchmark: Benchmark,
    wanted: Sequence[str],
    pace: Pace,
    quick: bool,
    path: Path | None,
    console: Console,
) -> None:
    """Validate and time every case of one benchmark; print its table and write its JSON."""
    asked = [peer for peer in benchmark.peers if peer in wanted]
    missing = [peer for peer in asked if not installed(peer)]
    peers = [peer for peer in asked if peer not in missing]
    timings = []
    for case in benchmark.cases(peers, quick):
        timings += time_case(case, replace(pace, warmups=0, pause=0.0) if case.once else pace)
        if console.is_terminal:
            console.print(f"{benchmark.name}: {case.label} done", style="dim")
    print_table(benchmark, timings, missing, console)
    if path is not None:
        vs = " ".join(["--vs", *wanted]) if wanted else "--vs"
        command = f"python -m benchmarks {benchmark.name} {vs} --rounds {pace.rounds}"
        command += " --quick" if quick else ""
        write_json(as_json(benchmark, timings, pace, command, missing), path)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Validate, then time minigrad in turns with its peers.",
        epilog="\n".join(f"{b.name:12} {b.title}" for b in BENCHMARKS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("name", choices=[*BENCHMARKS, "all"], help="what to time")
    top.add_argument("--vs", nargs="*", choices=PEERS, default=PEERS, help="peers (all installed)")
    top.add_argument("--rounds", type=rounds, metavar="N", help="blocks of each candidate (7)")
    top.add_argument("--quick", action="store_true", help="small sizes, short blocks, no JSON")
    top.add_argument("--out", type=Path, metavar="FILE", help="JSON (benchmarks/results/NAME.json)")
    return top


def rounds(text: str) -> int:
    """Return a number of rounds, 1 at least."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of rounds from 1 on, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
