"""Plan a program: leave out what nobody needs, gather what runs in one go, lay out its memory.

Each pass takes a program and changes its launches alone; none changes a bit of what is computed.
`PASSES` has them in their order, and each can be left out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.capturing.fusion import FUSIONS
from minigrad.capturing.program import CONSTANT, MADE, Buffer, Launch, Operand, Program
from minigrad.capturing.tables import compiled, possible
from minigrad.engine.recording import ORDERED

ALIGNED = 64


def plan(replay: Any) -> None:
    """Plan a replay's program."""
    program: Program = replay.program
    results = results_of(replay.result)
    for change in PASSES:
        change(program, results)
    lifetimes(program, results)
    program.places = lay_out(program)


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


# ---------------------------------------------------------------- passes
def remove_products_with_one(program: Program, results: set[Buffer]) -> None:
    """Leave out `x *= 1`, as of a gradient with the 1 that backward() begins with."""
    ones: set[Buffer] = set()
    kept = []
    for launch in program.launches:
        if launch.kernel == "mul" and is_product_with(ones, launch.args):
            continue
        ones -= set(launch.writes)
        if launch.kernel == "copy" and all(isinstance(a, Operand) for a in launch.args):
            source, target = launch.args
            if holds_ones(source) and target.buffer.kind == MADE and whole(target):
                ones.add(target.buffer)
        kept.append(launch)
    program.removed += len(program.launches) - len(kept)
    program.launches = kept


def holds_ones(operand: Operand) -> bool:
    """Return whether an operand is a constant full of ones."""
    if operand.buffer.kind != CONSTANT:
        return False
    return bool((operand.of(bytearray(operand.buffer.initial)) == 1).all())


def whole(operand: Operand) -> bool:
    """Return whether an operand is all of its buffer."""
    return int(np.prod(operand.shape)) * operand.dtype.itemsize == operand.buffer.size


def is_product_with(ones: set[Buffer], args: tuple[Any, ...]) -> bool:
    """Return whether a product is in place, with ones that do not widen it."""
    x, one, y = args
    return (
        all(isinstance(a, Operand) for a in args)
        and one.buffer in ones
        and x == y
        and x.dtype == one.dtype
        and len(one.shape) <= len(x.shape)
    )


def remove_dead(program: Program, results: set[Buffer]) -> None:
    """Leave out launches that write only what nobody reads afterwards."""
    needed = set(results)
    kept = []
    for launch in reversed(program.launches):
        lasts = any(b.kind != MADE or b.lasting or b in needed for b in launch.writes)
        if lasts or launch.kernel in ORDERED:
            kept.append(launch)
            needed.update(launch.reads)
    program.removed += len(program.launches) - len(kept)
    program.launches = kept[::-1]


def gather(program: Program, results: set[Buffer]) -> None:
    """Bring launches that Python has to make to the front where they depend on nothing: what is
    left between them runs in one call.
    """
    first: list[Launch] = []
    rest: list[Launch] = []
    for launch in program.launches:
        python = not compiled() or not possible(launch.kernel)
        free = python and not any(depend(launch, other) for other in rest)
        (first if free else rest).append(launch)
    program.launches = first + rest


def depend(a: Launch, b: Launch) -> bool:
    """Return whether the order of two launches matters."""
    if a.kernel in ORDERED and b.kernel in ORDERED:
        return True
    written, others = set(a.writes), set(b.writes)
    return bool(written & {*b.reads, *others} or others & set(a.reads))


PASSES: list[Callable[[Program, set[Buffer]], None]] = [
    remove_products_with_one,
    remove_dead,
    *(FUSIONS if compiled() else ()),  # references round a fused result once, not at each step
    gather,
]


# ---------------------------------------------------------------- memory
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
