"""Plan the memory of a program: leave out what nobody reads, lay the rest out in one arena."""

from __future__ import annotations

from typing import Any

from minigrad.capturing.program import MADE, Buffer, Program

ALIGNED = 64


def plan(replay: Any) -> None:
    """Plan a replay's memory."""
    program: Program = replay.program
    results = results_of(replay.result)
    remove_dead(program, results)
    lifetimes(program, results)
    program.places = lay_out(program)  # type: ignore[attr-defined]


def results_of(tree: Any) -> set[Buffer]:
    """Return the buffers of what a function returns."""
    operand = getattr(tree, "operand", None)
    if operand is not None:
        return {operand.buffer}
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return {b for v in tree for b in results_of(v)}
    return set()


def remove_dead(program: Program, results: set[Buffer]) -> None:
    """Leave out launches that write only what nobody reads afterwards."""
    needed = set(results)
    kept = []
    for launch in reversed(program.launches):
        lasts = any(b.kind != MADE or b.lasting or b in needed for b in launch.writes)
        if lasts:
            kept.append(launch)
            needed.update(launch.reads)
    program.removed = len(program.launches) - len(kept)
    program.launches = kept[::-1]


def lifetimes(program: Program, results: set[Buffer]) -> None:
    """Note between which launches each buffer is alive."""
    for buffer in program.buffers:
        buffer.first = buffer.last = -1
    for i, launch in enumerate(program.launches):
        for buffer in launch.buffers():
            buffer.first = i if buffer.first < 0 else buffer.first
            buffer.last = i
    for buffer in results:
        buffer.last = len(program.launches)


def lay_out(program: Program) -> dict[Buffer, int]:
    """Return where in the arena each buffer lies: the largest first, each at the lowest place that
    nothing alive at the same time has.
    """
    made = [b for b in program.used() if b.kind == MADE and not b.lasting]
    placed: list[tuple[int, int, Buffer]] = []
    for buffer in sorted(made, key=lambda b: (-b.size, b.number)):
        start = 0
        for low, high, other in sorted(placed, key=lambda p: p[0]):
            if other.last < buffer.first or buffer.last < other.first:
                continue
            if start + buffer.size <= low:
                break
            start = max(start, high)
        placed.append((start, start + -(-buffer.size // ALIGNED) * ALIGNED, buffer))
    program.arena = max((high for _, high, _ in placed), default=0)
    return {buffer: start for start, _, buffer in placed}
