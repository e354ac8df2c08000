"""What a user waits for the first time: imports, the first kernel, `minigrad train --epochs 1`.

Every figure is of a process of its own.  "Empty" starts with no compiled kernel on disk, "warm"
with those that the same command left there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.harness import Benchmark, Disagreement
from minigrad_kernels.compare.timing import OURS, Candidate, Case

ROOT = Path(__file__).resolve().parent.parent
# Prints seconds; the interpreter's own start is not in them.
IMPORT = "import time; s = time.perf_counter(); import {}; print(time.perf_counter() - s)"
FIRST_KERNEL = """
import time
import minigrad as mg
a = mg.ones(64, 64)
s = time.perf_counter()
c = a @ a
print(time.perf_counter() - s)
assert (c.array == 64).all()
"""
# The seconds from here to the end of the first optimizer step; what `minigrad train` does before.
FIRST_STEP = """
import sys
import time
start = time.perf_counter()
from minigrad.cli.main import main
from minigrad.optim import AdamW
step = AdamW.step
def first(optimizer):
    step(optimizer)
    print(time.perf_counter() - start)
    sys.exit()
AdamW.step = first
main(["train", "--epochs", "1", "--quiet", "--out", sys.argv[1]])
"""
TRAIN = ("-m", "minigrad", "train", "--epochs", "1", "--quiet", "--seed", "0")


def process(*arguments: str, cache: Path | None = None, cwd: Path = ROOT) -> str:
    """Run Python with `arguments`, its kernel cache in `cache`; return what it prints."""
    paths = [str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    if cache is not None:
        environment["MINIGRAD_CACHE_DIR"] = str(cache)
    result = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise Disagreement(f"python {' '.join(arguments[:4])} failed:\n{result.stderr[-2000:]}")
    return result.stdout


def importing(library: str) -> Candidate:
    """Return the import of a library, or of several; it gives its own seconds."""
    source = IMPORT.format(library)
    name, _, others = library.partition(", ")
    variant = f"and {others}, import" if others else "import"
    return Candidate(name, lambda: lambda: float(process("-c", source)), variant)


def first_kernel(folder: Path, empty: bool) -> Candidate:
    """Return the first product of two matrices; it gives its own seconds."""
    start = cache(folder / "kernel", empty)

    def make() -> Callable[[], float]:
        held = start(lambda path: process("-c", FIRST_KERNEL, cache=path))
        return lambda: float(process("-c", FIRST_KERNEL, cache=held))

    return Candidate(OURS, make, "empty cache" if empty else "warm cache")


def first_step(folder: Path, empty: bool) -> Candidate:
    """Return the way to the first training step, imports included; it gives its own seconds."""
    start = cache(folder / "step", empty)
    arguments = ("-c", FIRST_STEP, str(folder / "run"))

    def make() -> Callable[[], float]:
        held = start(lambda path: process(*arguments, cache=path))
        return lambda: float(process(*arguments, cache=held))

    return Candidate(OURS, make, "empty cache" if empty else "warm cache")


def training(folder: Path, empty: bool) -> Candidate:
    """Return the whole command, from the start of the process to its end."""
    start = cache(folder / "train", empty)
    arguments = (*TRAIN, "--out", str(folder / "run"))

    def make() -> Callable[[], None]:
        held = start(lambda path: process(*arguments, cache=path))

        def call() -> None:
            process(*arguments, cache=held)

        return call

    return Candidate(OURS, make, "empty cache" if empty else "warm cache")


def cache(path: Path, empty: bool) -> Callable[[Callable[[Path], object]], Path]:
    """Return what prepares a cache folder: emptied, or filled by a run where there is none yet."""
    folder = path.with_name(f"{path.name}-{'empty' if empty else 'warm'}")

    def prepare(fill: Callable[[Path], object]) -> Path:
        if empty:
            shutil.rmtree(folder, ignore_errors=True)
        elif not folder.exists():
            fill(folder)
        return folder

    return prepare


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Yield imports, the first kernel and the training command."""
    libraries = ["minigrad", "numpy, numba" if "numpy" in peers else "", *peers]
    wanted = [name for name in libraries if name and name != "numpy"]
    yield Case("import", [importing(name) for name in wanted], once=True)
    with tempfile.TemporaryDirectory(prefix="minigrad-cold-start-") as name:
        folder = Path(name)
        kinds = (True,) if quick else (True, False)
        kernels = [first_kernel(folder, empty) for empty in kinds]
        yield Case("first product, 64 x 64 x 64", kernels, once=True)
        if not quick:
            steps = [first_step(folder, empty) for empty in kinds]
            yield Case("until the first step of minigrad train", steps, once=True)
            commands = [training(folder, empty) for empty in kinds]
            yield Case("minigrad train --epochs 1", commands, once=True)


BENCHMARK = Benchmark(
    "cold_start", "Until the first result, in new processes", ("numpy", "torch", "jax"), cases, "s"
)
