"""A launch with all its threads at once: done where nothing is to be reported, else not at all."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np

from minigrad_cudasim.cuda import Cuda
from minigrad_cudasim.lanes.blocks import Blocks
from minigrad_cudasim.lanes.memory import of_arguments
from minigrad_cudasim.lanes.program import Program
from minigrad_cudasim.lanes.values import Unsupported
from minigrad_cudasim.machine import Machine
from minigrad_cudasim.memory import SimulatedArray

FEWEST = 16  # threads of a launch from which lanes are worth their while
TOGETHER = 1 << 14  # lanes that are run at once
GIVEN_UP = (  # what code may raise; not what a signal's handler does, such as TimeoutError
    Unsupported,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)


def together(machine: Machine, cuda: Cuda, function: FunctionType, held: tuple[Any, ...]) -> bool:
    """Run a launch and tell whether it is done, with no fault and no note to report.

    Where it is not, memory may have been written: the caller restores it, and runs the launch
    thread by thread, which says what there is to be said, of the blocks that gave rise to it first.
    """
    x, y, z = machine.grid
    threads = machine.block.x * machine.block.y * machine.block.z
    blocks = x * y * z
    if blocks * threads < FEWEST or machine.cooperative or machine.debug or machine.float64:
        return False
    step = max(1, TOGETHER // threads)
    try:
        with np.errstate(all="ignore"):
            arrays = of_arguments(tuple(found(held)), machine.races)
            for first in range(0, blocks, step):
                part = range(first, min(first + step, blocks))
                machine.first = part
                lanes = Blocks(machine, cuda, part, arrays)
                Program(lanes).run(function, [lanes.seen(value) for value in held], None)
    except GIVEN_UP:  # whatever it is, one thread after the other shows it, or does not
        return False
    return True


def found(values: Any) -> list[SimulatedArray]:
    """Return the arrays among arguments."""
    arrays: list[SimulatedArray] = []
    for value in values:
        if isinstance(value, SimulatedArray):
            arrays.append(value)
        elif type(value) is tuple:
            arrays += found(value)
    return arrays
