"""Compiling what is needed soon in other processes, while this one begins at the front.

The first training step on a machine compiles some ten kernels, one after the other as it comes to
them.  `start` has another core begin with what comes last; claims (jit/claims.py) keep two
processes from compiling the same function, and what one has made the others load from the cache.
MINIGRAD_AHEAD=0 turns it off.

first_step.txt: what the first step of `minigrad train` compiles, in the order of use, each a line
as in signatures.txt; below an empty line, what the rest of the first epoch does.
`python -m tests.golden.make_signatures` writes it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from numba.core.registry import cpu_target
from numba.core.sigutils import normalize_signature

from minigrad_kernels.jit import plain
from minigrad_kernels.jit.cache import PACKAGE, cache_path
from minigrad_kernels.jit.claims import beside
from minigrad_kernels.jit.compile import JITTED
from minigrad_kernels.warmup import compile_job

FIRST_STEP = Path(__file__).with_name("first_step.txt")
FEWEST = 3  # functions that are worth a process: it takes half a second to be ready
RUNNING: list[subprocess.Popen[str]] = []  # held, for Python warns of one that nobody waits for


def first_step() -> list[str]:
    """Return what `minigrad train` compiles, in the order in which another process is to do it.

    What the first step needs last stands first, then what is needed after that step.
    """
    step, _, later = FIRST_STEP.read_text().partition("\n\n")
    return [*reversed(step.splitlines()), *later.splitlines()]


def file_of(line: str) -> Path | None:
    """Return where the code for a line lies once it is compiled; None of a function unknown."""
    function, _, arguments = line.partition("(")
    if function not in JITTED:
        return None
    cache = JITTED[function]._cache
    types, _ = normalize_signature(f"({arguments}")
    key = cache._index_key(types, cpu_target.target_context.codegen())
    return Path(cache._cache_file.path(key))


def missing(lines: Sequence[str]) -> list[str]:
    """Return the lines that are not in the cache."""
    paths = [(line, file_of(line)) for line in lines]
    return [line for line, path in paths if path is not None and not path.exists()]


def start(lines: Sequence[str]) -> list[subprocess.Popen[str]]:
    """Have other processes compile, in this order, what the cache lacks; return them.

    There are none where little is missing, with one core, and where the cache cannot be written.
    They end with their work, or once this process is gone.
    """
    if plain.ON or os.environ.get("MINIGRAD_AHEAD") == "0":
        return []
    spare = usable_cores() - 1
    if spare < 1 or not os.access(cache_path(), os.W_OK):
        return []
    todo = missing(lines)
    root = str(Path(sys.modules[PACKAGE].__path__[0]).parent)
    paths = [root, os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    workers = []
    RUNNING[:] = [worker for worker in RUNNING if worker.poll() is None]
    for _ in range(min(spare, len(todo) // FEWEST)):
        try:
            worker = subprocess.Popen(
                [sys.executable, "-m", f"{PACKAGE}.ahead", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                text=True,
            )
            assert worker.stdin is not None
            worker.stdin.write("\n".join(todo))
            worker.stdin.close()
        except OSError:  # no such interpreter, or no memory: this process compiles all
            break
        workers.append(worker)
    RUNNING.extend(workers)
    return workers


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def work(lines: Sequence[str], parent: int) -> None:
    """Compile lines but those that are made or being made, while the parent lives."""
    for line in lines:
        path = file_of(line)
        if path is None or path.exists() or beside(path).exists():
            continue
        if hasattr(os, "getppid") and os.getppid() != parent:
            return
        compile_job(line)


if __name__ == "__main__":
    work(sys.stdin.read().splitlines(), int(sys.argv[1]))
