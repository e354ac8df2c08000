"""Run a program on several ranks, where there is an MPI to do it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(__file__).with_name("programs")
SECONDS = 300  # for a run: a loaded machine of two cores is slow
HERE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(HERE) if HERE.exists() else shutil.which("mpiexec")
MISSING = [
    name
    for name, there in (
        ("mpi4py", importlib.util.find_spec("mpi4py") is not None),
        ("mpiexec", MPIEXEC is not None),
    )
    if not there
]
# MINIGRAD_REQUIRE_MPI=1, which `make mpi-test` sets, turns what would be skipped into a failure.
needs_mpi = pytest.mark.skipif(
    bool(MISSING) and not os.environ.get("MINIGRAD_REQUIRE_MPI"),
    reason=f"needs {' and '.join(MISSING)}: pip install 'minigrad[mpi]'",
)


@dataclass
class Done:
    """What a run has printed, and its exit status."""

    status: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """Return the environment of ranks: they find the sources, and Open MPI runs them as root, more
    of them than there are cores, and on one machine without a network.
    """
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return {
        **os.environ,
        "PYTHONPATH": paths,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_btl": "self,sm",
        "NUMBA_NUM_THREADS": "1",
        **more,
    }


def start(size: int, *command: Any, **more: str) -> subprocess.Popen[str]:
    """Start a program on so many ranks: a file among the programs, or python's other arguments."""
    first = PROGRAMS / f"{command[0]}.py"
    given = [str(first) if first.exists() else str(command[0]), *map(str, command[1:])]
    launcher = [] if not size else [str(MPIEXEC), "-n", str(size)]
    return subprocess.Popen(
        [*launcher, sys.executable, *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = SECONDS) -> Done:
    """Wait for a run; one that hangs is a failure, and its processes are ended."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"the run hangs after {seconds} s: {out[-2000:]}\n{err[-2000:]}")
    return Done(process.returncode, out, err)


def run(size: int, *command: Any, **more: str) -> str:
    """Run a program to its end on so many ranks, 0 without mpiexec; return what it printed."""
    done = finish(start(size, *command, **more))
    assert done.status == 0, f"status {done.status}: {done.out[-2000:]}\n{done.err[-4000:]}"
    return done.out
