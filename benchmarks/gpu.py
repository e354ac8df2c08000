"""`python -m benchmarks.gpu`: the first minutes on a machine with a GPU.

Phases come in order of worth, each in a process of its own with a limit of time, so that a hang or
an error that the driver does not recover from ends that phase alone.  A row is kept as it comes, in
FOLDER/rows.jsonl; a second call goes on where the first was ended.  A phase `smoke` that does not
end well ends the run.  Without a GPU it says so and exits with 2.  Compile ahead, where there is no
GPU: `python -m minigrad_kernels warmup --cuda sm_90a`, and take the cache's folder along.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import gpu_phases
from benchmarks.report import RESULTS
from minigrad_kernels.cuda.targets import driver

NO_GPU = 2
Result = dict[str, Any]


class Phase(NamedTuple):
    """A part of the run.  seconds: its limit.  parts: processes that share it.

    tool: of compute-sanitizer, under which it runs; skipped where that is not installed.
    """

    run: Callable[[gpu_phases.Say, int, int], None]
    seconds: float
    parts: int = 1
    tool: str = ""


PHASES: dict[str, Phase] = {
    "environment": Phase(gpu_phases.environment, 40),  # the first import of all is slow
    "smoke": Phase(gpu_phases.smoke, 60),
    "check": Phase(gpu_phases.check, 80, 8),
    "step": Phase(gpu_phases.step, 45),
    "gemm": Phase(gpu_phases.gemm, 50),
    "kernels": Phase(gpu_phases.kernels, 35),
    "launches": Phase(gpu_phases.launches, 20),
    "train": Phase(gpu_phases.train, 30),
    "memcheck": Phase(gpu_phases.under_sanitizer, 60, tool="memcheck"),
    "racecheck": Phase(gpu_phases.under_sanitizer, 60, tool="racecheck"),
}


class Rows:
    """The rows of a run, in a file that each is written to at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rows.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, row: Result) -> None:
        """Add a row; one write, so that processes that share the file do not mix theirs."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def all(self) -> list[Result]:
        """Return the rows so far; a line that was cut off by a kill is none."""
        found = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue
        return found

    def ended(self) -> set[str]:
        """Return the phases whose every process has ended well."""
        return {row["phase"] for row in self.all() if row.get("ended") is True}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the phases; return 2 without a GPU, 1 where something was wrong, failed or cut off."""
    arguments = parser().parse_args(argv)
    try:
        driver()
    except RuntimeError as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return NO_GPU
    rows = Rows(arguments.out)
    if arguments.part is not None:
        return one_part(arguments.only[0], arguments.part, rows)
    start, done = time.monotonic(), rows.ended()
    for name in arguments.only or PHASES:
        left = arguments.until - (time.monotonic() - start)
        if name in done:
            print(f"{name}: done before")
            continue
        if left < 1:
            print(f"{name}: no time is left")
            continue
        seconds = min(PHASES[name].seconds * arguments.patience, left)
        if not in_processes(name, seconds, rows) and name == "smoke":
            print("smoke did not end well: the rest would say little")
            break
    found = rows.all()
    bad = [row for row in found if row.get("wrong") or row.get("failed")]
    print(f"{len(found)} rows in {rows.path}, {len(bad)} of them bad")
    for row in bad[:40]:
        print("  ", json.dumps(row)[:200])
    return 1 if bad else 0


def in_processes(name: str, seconds: float, rows: Rows) -> bool:
    """Run a phase in its processes, ended after so many seconds; tell whether all ended well."""
    phase = PHASES[name]
    prefix: list[str] = []
    if phase.tool:
        program = shutil.which("compute-sanitizer")
        if program is None:
            print(f"{name}: compute-sanitizer is not installed")
            return True
        prefix = [program, "--tool", phase.tool, "--error-exitcode", "9"]
    command = [*prefix, sys.executable, "-m", "benchmarks.gpu", "--out", str(rows.path.parent)]
    start = time.monotonic()
    running = []
    for part in range(phase.parts):
        log = (rows.path.parent / f"{name}.{part}.log").open("w")
        own = [*command, "--only", name, "--part", str(part)]
        running.append(subprocess.Popen(own, stdout=log, stderr=subprocess.STDOUT))
        log.close()
    codes: list[Any] = []
    for process in running:
        try:
            codes.append(process.wait(max(0.1, seconds - (time.monotonic() - start))))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            codes.append("cut off")
    well = all(code == 0 for code in codes)
    said: Result = {"phase": name, "ended": well, "seconds": round(time.monotonic() - start, 1)}
    if not well:
        said["failed"] = f"its processes ended with {codes}, after at most {seconds:.0f} s"
    rows.keep(said)
    print(json.dumps(said), flush=True)
    return well


def one_part(name: str, part: int, rows: Rows) -> int:
    """Run one process's part of a phase; return 1 where it raises, or where smoke is wrong."""
    phase = PHASES[name]
    bad = []

    def say(row: Result) -> None:
        rows.keep({"phase": name, **row})
        if row.get("wrong") or row.get("failed"):
            bad.append(row)

    try:
        phase.run(say, part, phase.parts)
    except Exception as error:  # it is a row too
        say({"failed": f"{type(error).__name__}: {error}"[:300]})
        return 1
    return 1 if bad and name == "smoke" else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    add = top.add_argument
    add("--only", nargs="+", choices=PHASES, metavar="PHASE", help=" ".join(PHASES))
    add("--out", type=Path, default=RESULTS / "gpu" / date, metavar="FOLDER", help="for the rows")
    add("--until", type=float, default=360, metavar="SECONDS", help="for all phases (360)")
    add("--patience", type=float, default=1, metavar="FACTOR", help="times each phase's limit (1)")
    add("--part", type=int, help=argparse.SUPPRESS)
    return top


if __name__ == "__main__":
    sys.exit(main())
