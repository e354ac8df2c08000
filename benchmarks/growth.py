"""How a training step's time and memory grow: with the batch, depth, parameters and threads.

Every point is measured in a process of its own, which times a block of steps and reads how far its
memory rose above that of a tiny model, so that no candidate leaves anything to the next.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import minigrad as mg
from benchmarks.cold_start import process
from benchmarks.harness import Benchmark
from benchmarks.mlp import DROPOUT, Problem, exact_losses, problem
from benchmarks.train_step import CHECKED_STEPS, check, minigrad_step, torch_step
from minigrad_kernels.compare.timing import (
    OURS,
    Candidate,
    Case,
    Measured,
    Pace,
    cores,
    run_block,
    thread_counts,
)

INPUTS, CLASSES = 64, 10
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Point:
    """A model, a batch and a thread count; `block` is how many seconds to time it."""

    batch: int = 256
    depth: int = 3
    width: int = 256
    threads: int = 1
    block: float = 0.4

    def problem(self) -> Problem:
        """Draw the batch and the parameters."""
        return problem(self.batch, INPUTS, self.width, CLASSES, self.depth)

    def parameters(self) -> int:
        """Return how many numbers the model learns."""
        inner = (self.depth - 1) * self.width**2 + 3 * self.depth * self.width
        return INPUTS * self.width + inner + (self.width + 1) * CLASSES


TINY = Point(batch=4, depth=1, width=8)


def points(quick: bool) -> Iterator[tuple[str, float, Point]]:
    """Yield what grows, how much of it there is, and the point."""
    start = Point(threads=cores())
    if quick:
        yield "batch", 4, replace(TINY, block=0.005)
        return
    for batch in (32, 128, 512, 2048, 8192):
        yield "batch", batch, replace(start, batch=batch)
    for depth in (1, 2, 4, 8, 16, 32):
        yield "depth", depth, replace(start, depth=depth)
    for width in (32, 64, 128, 256, 512, 1024, 2048):
        point = replace(start, width=width)
        yield "parameters", point.parameters(), point
    for threads in thread_counts():
        yield "threads", threads, replace(start, threads=threads, batch=2048)


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Check the losses where something starts to grow, then yield every point."""
    steps = {OURS: minigrad_step, **({"torch": torch_step} if "torch" in peers else {})}
    seen: set[str] = set()
    for what, amount, point in points(quick):
        if what not in seen:
            given = point.problem()
            expected = exact_losses(given, CHECKED_STEPS)
            for library, make in steps.items():
                check(f"{library}, {what}", make, given, expected)
        seen.add(what)
        candidates = [
            Candidate(library, partial(partial, in_process, library, point), threads=point.threads)
            for library in steps
        ]
        yield Case(f"{what} {amount:,}", candidates, group=what, amount=amount, once=True)


def in_process(library: str, point: Point) -> Measured:
    """Measure a point in a process of its own."""
    return Measured(**json.loads(process("-m", "benchmarks.growth", library, as_text(point))))


def as_text(point: Point) -> str:
    """Return a point as an argument of a command."""
    return json.dumps(asdict(point))


# ---------------------------------------------------------------- in that process
def measure(library: str, point: Point) -> dict[str, float]:
    """Return the seconds of a step, and the megabytes that its model and batch take at most."""
    make = stepper(library, point.threads)
    tiny = make(TINY.problem(), DROPOUT)  # loads whatever code a step needs
    for _ in range(3):
        tiny()
    before = peak_memory()
    samples = run_block(make(point.problem(), DROPOUT), Pace(block=point.block))
    return {
        "seconds": statistics.median(samples),
        "megabytes": (peak_memory() - before) / 1e6,
    }


def stepper(library: str, threads: int) -> Callable[[Problem, float], Callable[[], Any]]:
    """Return what makes the library's step, on that many threads."""
    if library == OURS:
        mg.set_num_threads(threads)
        return minigrad_step
    import torch

    torch.set_num_threads(threads)
    return torch_step


def peak_memory() -> int:
    """Return the most bytes this process has held in memory.

    Linux hands a parent's `ru_maxrss` down to its child, so there the process's own peak is read.
    """
    if STATUS.exists():
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


BENCHMARK = Benchmark(
    "growth",
    f"A training step as it grows ({INPUTS} inputs, 3 x 256 hidden, batch 256 where nothing else)",
    ("torch",),
    cases,
    unit="ms",
    pace=Pace(rounds=3),
)

if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Point(**json.loads(sys.argv[2])))))
