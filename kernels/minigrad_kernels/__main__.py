"""`python -m minigrad_kernels warmup` compiles kernels ahead; `compare` puts them side by side."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from minigrad_kernels.compare import command as compare_command
from minigrad_kernels.cuda import numba_compiler, warm_store
from minigrad_kernels.jit.cache import cache_path
from minigrad_kernels.warmup import DTYPES, Outcome, compile_jobs, jobs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (ValueError, ModuleNotFoundError) as error:
        print(f"minigrad_kernels {arguments.command}: error: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="python -m minigrad_kernels", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("warmup", help="compile kernels ahead of their first use")
    add = command.add_argument
    add("names", nargs="*", metavar="KERNEL", help="names of the table, such as gemm (all)")
    add("--dtype", nargs="+", choices=DTYPES, default=DTYPES, help="of the arrays (both)")
    cores = os.cpu_count() or 1
    add("--jobs", type=int, default=cores, metavar="N", help=f"processes ({cores})")
    add("--times", action="store_true", help="list the seconds of each function, slowest first")
    add("--cuda", metavar="ARCH", help="CUDA kernels instead, for sm_90a say; needs no GPU")
    command.set_defaults(run=run_warmup)
    command = commands.add_parser("compare", help="compare kernels side by side")
    compare_command.add_options(command)
    command.set_defaults(run=compare_command.run)
    return top


def run_warmup(arguments: argparse.Namespace) -> int:
    """Run the command `warmup`; a ValueError names a kernel that there is not."""
    processes = max(1, arguments.jobs)
    if arguments.cuda:
        return warm_cuda(arguments.names, arguments.cuda, processes, arguments.times)
    lines = jobs(arguments.names, arguments.dtype)
    warmup(compile_jobs(lines, processes), len(lines), arguments.times, cache_path())
    return 0


def warm_cuda(names: Sequence[str], target: str, processes: int, times: bool) -> int:
    """Compile CUDA kernels into their store; return 2 where the compiler is missing."""
    capability = warm_store.capability_of(target)
    chosen = warm_store.check_names(names)
    lacking = numba_compiler.missing()
    if lacking:
        raise ModuleNotFoundError(lacking)
    numba_compiler.write_versions(capability)
    done = warm_store.compile_checks(chosen, capability, processes)
    warmup(done, len(chosen), times, numba_compiler.folder_of(capability))
    return 0


def warmup(done: Iterable[Outcome], count: int, times: bool, folder: Path) -> None:
    """Compile under a progress bar; say what that took and where the code lies."""
    console = Console(highlight=False, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    start = time.perf_counter()
    outcomes: list[Outcome] = []
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=count)
        for outcome in done:
            outcomes.append(outcome)
            bar.update(task, advance=1, description=outcome.function)
    seconds = time.perf_counter() - start
    new = [outcome for outcome in outcomes if not outcome.cached]
    if times:
        spent: Counter[str] = Counter()
        for outcome in new:
            spent[outcome.function] += outcome.seconds  # type: ignore[assignment]
        for function, total in spent.most_common():
            console.print(f"{total:8.2f} s  {function}")
    console.print(
        f"compiled {len(new)} signatures in {seconds:.1f} s, {len(outcomes) - len(new)} were cached"
        f"; in {folder}"
    )


if __name__ == "__main__":
    sys.exit(main())
