"""`python -m benchmarks.gpu`: the first minutes on a machine with a GPU.

Phases come in order of worth, each in processes of its own with a limit of time.  A row is kept as
it comes, in FOLDER/rows.jsonl.  A crash, a hang or an error that the GPU's context does not recover
from costs one row: a new process goes on behind it, and so does a second call after a kill.  A
phase `smoke` that does not end well ends the run.  Without a GPU it says so and exits with 2.
Compile ahead, where there is no GPU: see docs/devices.md, "First contact".
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import gpu_phases
from benchmarks.gpu_rows import LostContext, Part, Row, Rows, bad, marker_of
from benchmarks.report import RESULTS
from minigrad_kernels.cuda.targets import driver

NO_GPU = 2
LOST = 3  # the exit status of a process whose GPU answers no more: its row is kept
REFUSED = b"Device not supported"  # what compute-sanitizer says where it may not look
RESTARTS = 6  # of each process of a phase
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Phase(NamedTuple):
    """A part of the run.  seconds: its limit.  parts: processes that share it.

    tool: of compute-sanitizer, under which it runs; skipped where that is not installed.
    """

    run: Callable[[Part], None]
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
        name = arguments.only[0]
        whole = PHASES[name].parts
        dies_with_its_parent()  # which may be a tool's process
        given = arguments.part, whole, arguments.since, arguments.patience
        return one_part(Part(name, rows, *given))
    start, done, since = time.monotonic(), rows.ended(), rows.size
    for name in arguments.only or PHASES:
        left = arguments.until - (time.monotonic() - start)
        if name in done:
            print(f"{name}: done before")
            continue
        if left < 1:
            print(f"{name}: no time is left")
            continue
        seconds = min(PHASES[name].seconds * arguments.patience, left)
        well = in_processes(name, seconds, rows, since, arguments.patience)
        if not well and name == "smoke":
            print("smoke did not end well: the rest would say little")
            break
    shutil.rmtree(rows.path.with_name("trying"), ignore_errors=True)
    return summary(rows, time.monotonic() - start)


def summary(rows: Rows, seconds: float) -> int:
    """Print what was found; return 1 where something is bad."""
    found = rows.latest()
    faults = [row for row in found if bad(row)]
    lacking: dict[str, int] = {}
    for row in found:
        if "not measured" in row:
            why = f"{row['phase']}: {row['not measured']}"
            lacking[why] = lacking.get(why, 0) + 1
    print(
        f"{len(found)} rows in {rows.path}, {len(faults)} of them bad, {sum(lacking.values())} not "
        f"measured; {seconds:.0f} s"
    )
    for why, count in lacking.items():
        print(f"   not measured, {count} rows: {why}")
    for row in faults[:40]:
        print("  ", json.dumps(row)[:200])
    return 1 if faults else 0


def in_processes(
    name: str, seconds: float, rows: Rows, since: int = 0, patience: float = 1
) -> bool:
    """Run a phase in its processes, ended after so many seconds; tell whether all ended well.

    A process that ends by itself in the midst of a row, by a signal say, is begun anew: the row has
    failed, and the next is tried.
    """
    phase = PHASES[name]
    prefix: list[str] = []
    if phase.tool:
        program = shutil.which("compute-sanitizer")
        if program is None:
            rows.keep({"phase": name, "not measured": "compute-sanitizer is not installed"})
            print(f"{name}: compute-sanitizer is not installed")
            return True
        prefix = [program, "--tool", phase.tool, "--error-exitcode", "9"]
    command = [*prefix, sys.executable, "-m", "benchmarks.gpu", "--out", str(rows.path.parent)]
    command += ["--only", name, "--since", str(since), "--patience", str(patience)]
    start = time.monotonic()
    logged = rows.log.stat().st_size if rows.log.exists() else 0
    running = {part: started(command, part, name, rows) for part in range(phase.parts)}
    begun = dict.fromkeys(running, 1)
    codes: dict[int, Any] = {}
    while running:
        late = time.monotonic() - start >= seconds
        for part, process in list(running.items()):
            code = process.poll()
            if code is None and not late:
                continue
            del running[part]
            if code is None:
                ended(process)
                codes[part] = "cut off"
                continue
            codes[part] = code
            if goes_on(name, part, code, rows) and begun[part] <= RESTARTS and not late:
                begun[part] += 1
                running[part] = started(command, part, name, rows)
        time.sleep(0.02)
    if phase.tool and REFUSED in rows.log.read_bytes()[logged:]:
        rows.keep({"phase": name, "not measured": "compute-sanitizer refuses this device"})
        return True
    well = all(code == 0 for code in codes.values())
    said: Row = {"phase": name, "ended": well, "seconds": round(time.monotonic() - start, 1)}
    if sum(begun.values()) > phase.parts:
        said["begun anew"] = sum(begun.values()) - phase.parts
    if not well:
        shown = [codes[part] for part in sorted(codes)]
        said["failed"] = f"its processes ended with {shown}, after at most {seconds:.0f} s"
    rows.keep(said)
    print(json.dumps(said), flush=True)
    return well


def started(command: list[str], part: int, name: str, rows: Rows) -> subprocess.Popen[bytes]:
    """Start one process of a phase, in a group of its own, which ends when this process does."""
    threads = max(1, (os.cpu_count() or 1) // PHASES[name].parts)
    own = {n: str(threads) for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    with rows.log.open("ab") as log:
        log.write(f"== {name}, process {part}\n".encode())
        log.flush()
        return subprocess.Popen(
            [*command, "--part", str(part)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**own, **os.environ},
            start_new_session=True,
            preexec_fn=dies_with_its_parent if LIBC is not None else None,
        )


def dies_with_its_parent() -> None:
    """Ask the system to end this process with the one that started it, on Linux."""
    if LIBC is not None:
        LIBC.prctl(DEATH_SIGNAL, signal.SIGKILL)


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def goes_on(name: str, part: int, code: int, rows: Rows) -> bool:
    """Tell whether a new process would come further than one that ended with this code.

    What it was trying when it ended has failed.
    """
    if code in (0, LOST):
        return code == LOST
    marker = marker_of(rows, name, part)
    try:
        said = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    marker.unlink(missing_ok=True)
    how = f"it ended its process, {part}, with {code}; see {rows.log.name}"
    rows.keep({"phase": name, **said, "failed": how})
    return True


def one_part(part: Part) -> int:
    """Run one process's part of a phase; return 1 where it raises, or where smoke is wrong."""
    try:
        PHASES[part.phase].run(part)
    except LostContext:
        return LOST
    except Exception as error:  # it is a row too
        part.say({"failed": f"{type(error).__name__}: {error}"[:300]})
        return 1
    return 1 if part.bad and part.phase == "smoke" else 0


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
    add("--since", type=int, default=0, help=argparse.SUPPRESS)
    return top


if __name__ == "__main__":
    sys.exit(main())
