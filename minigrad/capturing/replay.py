"""Replay a recording: its launches again, on the memory of this call."""

from __future__ import annotations

import contextvars
import ctypes
import sys
from collections.abc import Callable
from itertools import repeat
from operator import attrgetter, is_
from typing import Any

import numpy as np

from minigrad.capturing.guards import GRADIENT_CAME, Surroundings
from minigrad.capturing.planning import results_of
from minigrad.capturing.program import (
    CELL,
    CONSTANT,
    INPUT,
    MADE,
    OUTSIDE,
    Buffer,
    Operand,
    Program,
    Table,
)
from minigrad.capturing.recorder import Recorder, address_of
from minigrad.capturing.tables import call_table, calls_of, compiled
from minigrad.engine.allocator import give_back_freed
from minigrad.engine.dispatch import CPU, KERNELS, PARALLEL
from minigrad.engine.op import cell_of
from minigrad.engine.overwrite import check_writable
from minigrad.engine.recording import recording
from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]
GRADIENT = attrgetter("_grad")
ALIGNED = 64  # bytes: a cache line, and the widest register
# References to a gradient and its array that are the replay's own: p._grad, the list, the loop's
# variable and the count's; the gradient's attribute, the local and the count's.
HELD_TENSOR = 4 if sys.version_info < (3, 14) else 0
HELD_ARRAY = 3 if sys.version_info < (3, 14) else 0


class Result:
    """How one tensor of a function's results is made from a replay.

    node: the op behind a loss whose backward has run: calling it again raises, as ever.
    """

    def __init__(self, operand: Operand, tracked: bool, node: Any) -> None:
        self.operand, self.tracked, self.node = operand, tracked, node


class Given:
    """Stands for an argument among the results."""

    def __init__(self, index: int) -> None:
        self.index = index


class Fixed:
    """Stands for what is the same in all calls, and cannot be changed."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Effects:
    """What a call leaves behind beside its results.

    gradients: (tensor, what its `.grad` is afterwards, where that lies).
    entry: (tensor, whether it had a gradient, weak references to that and its array where the
    launches use it).  versions: (tensor, how many writes in place); gradient_versions:
    the same of its gradient; of_inputs: the same by the number of the argument.
    written: the arguments that are written in place.
    """

    def __init__(self) -> None:
        self.gradients: list[tuple[Tensor, Any, Operand | None]] = []
        self.entry: list[tuple[Tensor, bool, Any, Any]] = []
        self.versions: list[tuple[Tensor, int]] = []
        self.gradient_versions: list[tuple[Tensor, int]] = []
        self.of_inputs: list[tuple[int, int]] = []
        self.written: list[int] = []


class Replay:
    """One recorded program, ready to run on new inputs.

    inputs: the operand that stands for each tensor argument.  result: the tree of results.
    """

    def __init__(
        self,
        recorder: Recorder,
        surroundings: Surroundings,
        inputs: list[Operand | None],
        result: Any,
        effects: Effects,
    ) -> None:
        self.program: Program = recorder.program
        self.recorder = recorder
        self.surroundings = surroundings
        self.result = result
        self.effects = effects
        self.operands = inputs
        self.without = [t for t, had, *_ in effects.entry if not had]
        self.having = [(t, *kept) for t, had, *kept in effects.entry if had]
        self.memory: dict[Buffer, Any] = {}
        self.made = maker_of_all([result], self.memory)
        self.ready = False
        self.steps: Any = None
        self.context = contextvars.copy_context()  # of its own: one thread at a time may enter it
        self.context.run(np.seterr, all="ignore")

    # ------------------------------------------------------------ preparation
    def prepare(self) -> None:
        """Give every buffer its memory, and bind the launches to it."""
        program = self.program
        needed = {b for b in program.used() if b.kind == OUTSIDE}
        for buffer in program.buffers:
            if buffer not in needed and not buffer.lasting:
                buffer.held = None  # where it lay while recording
        give_back_freed()
        arena = aligned(program.arena)
        given = [o.buffer for o in self.operands if o is not None]
        for buffer in [*program.used(), *given, *results_of(self.result)]:
            if buffer in self.memory:
                continue
            if buffer.kind == INPUT:
                self.memory[buffer] = aligned(buffer.size)
            elif buffer.kind in (CELL, CONSTANT):
                self.memory[buffer] = aligned(buffer.size)
                self.memory[buffer][:] = np.frombuffer(buffer.initial, np.uint8)
            elif buffer.kind == MADE and not buffer.lasting:
                start = program.places.get(buffer)
                self.memory[buffer] = (
                    aligned(buffer.size) if start is None else arena[start : start + buffer.size]
                )
            else:
                self.memory[buffer] = memory_at(buffer.start, buffer.size)
        self.slots = [None if o is None else o.of(self.memory[o.buffer]) for o in self.operands]
        self.checks = [(check, o.of(self.memory[o.buffer])) for check, o in self.recorder.checks]
        self.restored = [
            (self.memory[b], np.frombuffer(b.initial, np.uint8))
            for b in program.used()
            if b.kind == CONSTANT and any(b in launch.writes for launch in program)
        ]
        self.host: list[tuple[Callable[..., Any], Any]] = []
        for refresh, cell, like in self.recorder.host:
            memory = None
            if cell is not None:
                memory = self.memory.get(cell, aligned(cell.size))
                memory = np.ndarray(like[0], like[1], memory)
            self.host.append((refresh, memory))
        self.bind()
        self.without = self.surroundings.without_gradients(self.without)  # the others are left
        self.ready = True

    def bind(self) -> None:
        """Bind every launch to its memory."""
        self.runs = 0
        self.steps = None
        self.calls = [
            (launched(launch.kernel, args), args)
            for launch in self.program
            for args in [tuple(self.bound(a) for a in launch.args)]
        ]

    def bound(self, argument: Any) -> Any:
        """Return an argument with its memory."""
        if isinstance(argument, Operand):
            return argument.of(self.memory[argument.buffer])
        if isinstance(argument, Table):
            numbers = argument.numbers.copy()
            for row, column, buffer, offset in argument.places:
                numbers[row, column] = where_of(self.memory[buffer]) + offset
            return numbers
        return argument

    # ------------------------------------------------------------ each call
    def changed(self, tensors: list[Tensor]) -> str | None:
        """Say what is not as it was recorded; None where this can be replayed."""
        for owner, name, value in self.recorder.expected:
            if getattr(owner, name) != value:
                return f"{name} of a {type(owner).__name__} was {value} and is another"
        if self.without and not all(map(is_, map(GRADIENT, self.without), repeat(None))):
            return GRADIENT_CAME
        for t, gradient, array in self.having:
            held = t._grad
            if held is None:
                return "a .grad was there and is None"
            if gradient is not None and (held is not gradient() or held.array is not array()):
                return "a .grad that is added to is another tensor"
        return self.surroundings.changed()

    def run(self, tensors: list[Tensor]) -> Any:
        """Replay on the tensors of a call; return the function's result."""
        if not self.ready:
            self.prepare()
        for t, slot in zip(tensors, self.slots, strict=True):
            if slot is not None:
                np.copyto(slot, t.array)
        for check, array in self.checks:
            check(array)
        for i in self.effects.written:
            check_writable(tensors[i].array, f"argument {i}")
        self.give_away()
        for refresh, memory in self.host:
            if memory is None:
                refresh()
            else:
                refresh(memory)
        for memory, initial in self.restored:
            memory[:] = initial
        self.context.run(self.launch)
        effects = self.effects
        for i in effects.written:
            np.copyto(tensors[i].array, self.slots[i])  # type: ignore[arg-type]
        for i, count in effects.of_inputs:
            cell_of(tensors[i])[0] += count
        for t, count in effects.versions:
            cell = t.cell
            if cell is None:
                cell = cell_of(t)
            cell[0] += count
        for t, count in effects.gradient_versions:
            cell_of(t._grad)[0] += count
        for t, gradient, _ in effects.gradients:
            t._grad = gradient
        return self.made(tensors)[0]

    def launch(self) -> None:
        """Run all launches; NumPy's warnings about numbers are off, as at the door."""
        if recording.profile is not None:
            recording.profile.replayed(self.program, self.calls)
        elif self.steps is None:
            self.launch_and_listen()
        else:
            for call, args in self.steps:
                call(*args)

    def launch_and_listen(self) -> None:
        """Launch by way of Python; the second time, note the calls by address that the launches
        come down to, and from then on run these from a table.
        """
        self.runs += 1
        if self.runs == 1 or not compiled():
            for kernel, args in self.calls:
                kernel(*args)
            return
        steps = Steps()
        for launch, (kernel, args) in zip(self.program, self.calls, strict=True):
            calls = calls_of(launch.kernel, kernel, args)
            if calls is None:
                steps.add_python(kernel, args)
            else:
                steps.add_calls(calls)
        self.steps = steps.finish()

    def give_away(self) -> None:
        """Leave gradients that the user has kept from the last call as they are: the next ones get
        memory of their own.
        """
        moved = False
        gradients = self.effects.gradients
        for i in range(len(gradients)):
            t, gradient, operand = gradients[i]
            if operand is None:
                continue
            owned = HELD_TENSOR - (t._grad is not gradient)
            array = gradient.array
            if sys.getrefcount(gradient) > owned or sys.getrefcount(array) > HELD_ARRAY:
                fresh = aligned(operand.buffer.size)
                self.memory[operand.buffer] = fresh
                operand.buffer.held = None  # it is the user's now
                gradients[i] = t, new(operand.of(fresh)), operand
                moved = True
            del gradient, array
        if moved:
            self.bind()


Maker = Callable[[list[Tensor]], Any]
Memory = dict[Buffer, Any]


def maker_of(tree: Any, memory: Memory) -> Maker | None:
    """Return what makes a part of the results from a call's tensors, and copies of what is in the
    program's memory; None for what is itself in every call.
    """
    if isinstance(tree, Result):
        return copier(tree, memory)
    if isinstance(tree, Given):
        return lambda tensors: tensors[tree.index]
    if isinstance(tree, Leaf):
        return lambda tensors: tree.tensor._grad
    if isinstance(tree, dict):
        names, values = list(tree), maker_of_all(list(tree.values()), memory)
        return lambda tensors: dict(zip(names, values(tensors), strict=True))
    if isinstance(tree, list):
        return maker_of_all(tree, memory)
    if not isinstance(tree, tuple) or fixed(tree):
        return None
    values = maker_of_all(list(tree), memory)
    kind: Any = getattr(type(tree), "_make", type(tree))
    return lambda tensors: kind(values(tensors))


def maker_of_all(trees: list[Any], memory: Memory) -> Maker:
    """Return what makes several parts, in a list of its own each time."""
    makers = [(i, maker) for i, tree in enumerate(trees) if (maker := maker_of(tree, memory))]
    others = [value_of(tree) if fixed(tree) else None for tree in trees]

    def made(tensors: list[Tensor]) -> list[Any]:
        found = others.copy()
        for i, maker in makers:
            found[i] = maker(tensors)
        return found

    return made


def fixed(tree: Any) -> bool:
    """Return whether a part of the results is itself in every call: it cannot be changed."""
    if isinstance(tree, tuple):
        return all(map(fixed, tree))
    return not isinstance(tree, Result | Given | Leaf | dict | list)


def value_of(tree: Any) -> Any:
    """Return a part that is itself in every call."""
    if isinstance(tree, tuple):
        kind: Any = getattr(type(tree), "_make", type(tree))
        return kind([value_of(part) for part in tree])
    return tree.value if isinstance(tree, Fixed) else tree


def copier(result: Result, memory: Memory) -> Maker:
    """Return what copies a tensor among the results."""
    operand, tracked, node = result.operand, result.tracked, result.node
    buffer = operand.buffer
    held: Any = None  # the buffer's memory, which may become another
    view: Any = None  # where the tensor lies in it

    def copy(tensors: list[Tensor]) -> Tensor:
        nonlocal held, view
        now = memory[buffer]
        if now is not held:
            held, view = now, operand.of(now)
        t = new(view.copy())
        if tracked:
            t.tracked, t.node = True, node
        return t

    return copy


class Steps:
    """What a replay runs: tables of calls, and calls of Python between them."""

    def __init__(self) -> None:
        self.steps: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.calls: list[Any] = []

    def add_python(self, kernel: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Add a launch that Python makes."""
        self.close()
        self.steps.append((kernel, args))

    def add_calls(self, calls: list[Any]) -> None:
        """Add calls of jitted functions."""
        self.calls += calls

    def close(self) -> None:
        """Make a table of the calls so far."""
        if self.calls:
            self.steps.append((call_table(self.calls), ()))
            self.calls = []

    def finish(self) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """Return all steps."""
        self.close()
        return self.steps


def launched(kernel: str, args: tuple[Any, ...]) -> Callable[..., None]:
    """Return what a launch calls: a kernel's CPU column, or the ufunc that it is on few numbers."""
    small = KERNELS[kernel].small
    return CPU[kernel] if small is None or args[-1].size >= PARALLEL else small


class Leaf:
    """Stands for the gradient of a tensor among the results."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def aligned(size: int) -> Array:
    """Return bytes that begin at a cache line."""
    held = np.zeros(size + ALIGNED, np.uint8)
    start = -address_of(held) % ALIGNED
    return held[start : start + size]


def memory_at(start: int, size: int) -> Any:
    """Return the bytes at an address, whose owner the caller keeps."""
    return (ctypes.c_char * size).from_address(start)


def where_of(memory: Any) -> int:
    """Return the address of bytes."""
    return address_of(memory) if isinstance(memory, np.ndarray) else ctypes.addressof(memory)
