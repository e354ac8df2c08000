"""Fusion: neighbours for which there is one kernel, with the same bits, run as that kernel.

    gemm, relu                             -> gemm_activation
    gemm, relu_backward                    -> gemm_masked
    batch_norm, relu, dropout, and back    -> batch_norm_dropout, and back

What is written with `F.linear`, `F.relu`, `F.dropout` gets them as a Sequential does.  Other
activations round otherwise on the way out of a product than by themselves, and stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.capturing.program import MADE, Buffer, Launch, Operand, Program
from minigrad.engine.dispatch import KERNELS

PRODUCTS = {"gemm": 3, "gemm_bias": 4}  # and how many arguments


# ---------------------------------------------------------------- what a pass asks
class Uses:
    """Which launches of a program read and write each buffer."""

    def __init__(self, program: Program, results: set[Buffer]) -> None:
        self.launches = program.launches
        self.results = results
        self.readers: dict[Buffer, list[int]] = {}
        self.writers: dict[Buffer, list[int]] = {}
        for i, launch in enumerate(program.launches):
            for buffer in launch.reads:
                self.readers.setdefault(buffer, []).append(i)
            for buffer in launch.writes:
                self.writers.setdefault(buffer, []).append(i)

    def passing(self, operand: Any, readers: Iterable[int]) -> bool:
        """Return whether an operand is all of something that is written once, is read by those
        launches alone, and is gone afterwards.
        """
        if not isinstance(operand, Operand) or not whole(operand):
            return False
        buffer = operand.buffer
        return (
            buffer.kind == MADE
            and not buffer.lasting
            and buffer not in self.results
            and len(self.writers.get(buffer, ())) == 1
            and sorted(self.readers.get(buffer, ())) == sorted(readers)
        )

    def sole_reader(self, operand: Any, kernel: str) -> int | None:
        """Return the one launch that reads an operand, if it is of that kernel."""
        if not isinstance(operand, Operand):
            return None
        found = self.readers.get(operand.buffer, [])
        if len(found) == 1 and self.launches[found[0]].kernel == kernel:
            return found[0] if self.passing(operand, found) else None
        return None

    def still(self, first: int, last: int, *, reads: Iterable[Any], writes: Iterable[Any]) -> bool:
        """Return whether a launch may come forward from `last` to `first`: nobody between them
        writes what it reads, nor touches what it writes.
        """
        read = {a.buffer for a in reads if isinstance(a, Operand)}
        written = {a.buffer for a in writes if isinstance(a, Operand)}
        return not any(
            read & set(launch.writes) or written & {*launch.reads, *launch.writes}
            for launch in self.launches[first + 1 : last]
        )


def whole(operand: Operand) -> bool:
    """Return whether an operand is all of its buffer, in C order."""
    size = math.prod(operand.shape) * operand.dtype.itemsize
    return size == operand.buffer.size and operand == shaped(operand, operand.shape)


def shaped(operand: Operand, shape: tuple[int, ...]) -> Operand:
    """Return an operand in C order as one of another shape."""
    steps: tuple[int, ...] = ()
    step = operand.dtype.itemsize
    for n in reversed(shape):
        steps = (step, *steps)
        step *= n
    return replace(operand, shape=shape, strides=steps)


def same_memory(a: Any, b: Any) -> bool:
    """Return whether two operands in C order are the same elements."""
    both = isinstance(a, Operand) and isinstance(b, Operand)
    return both and a.dtype == b.dtype and a.offset == b.offset and a.buffer is b.buffer


def launch_of(kernel: str, args: tuple[Any, ...], names: tuple[str, ...], where: str) -> Launch:
    """Return a launch; names: of its arguments that are written, at its end."""
    outputs = [a for a in args[len(args) - len(names) :] if isinstance(a, Operand)]
    inputs = [a for a in args[: len(args) - len(names)] if isinstance(a, Operand)]
    arrays = [
        a.of(np.empty(a.buffer.size, np.uint8)) if isinstance(a, Operand) else a for a in args
    ]
    flops, traffic = KERNELS[kernel].cost(*arrays)
    reads = tuple(dict.fromkeys(a.buffer for a in inputs))
    writes = tuple(dict.fromkeys(a.buffer for a in outputs))
    return Launch(kernel, args, reads, writes, (int(flops), int(traffic)), where)


# ---------------------------------------------------------------- products
def join_products_with_relu(program: Program, results: set[Buffer]) -> None:
    """Apply a ReLU to each block of a product as soon as it is computed."""
    uses = Uses(program, results)
    for i, launch in enumerate(list(program.launches)):
        if launch.kernel not in PRODUCTS:
            continue
        *inputs, c = launch.args
        at = uses.sole_reader(c, "relu")
        if at is None or at < i:
            continue
        x, y = program.launches[at].args
        if x != c or not fresh(y, c) or not uses.still(i, at, reads=(), writes=(y,)):
            continue
        bias = inputs[2] if launch.kernel == "gemm_bias" else np.empty(0, c.dtype)
        args = (inputs[0], inputs[1], bias, "relu", y)
        put(program, i, at, launch_of("gemm_activation", args, ("y",), launch.where))
    drop(program)


def join_gradients_with_masks(program: Program, results: set[Buffer]) -> None:
    """Leave out, of a product that is a gradient behind a ReLU, what the ReLU lets not through."""
    uses = Uses(program, results)
    for i, launch in enumerate(list(program.launches)):
        if launch.kernel != "gemm":
            continue
        a, b, c = launch.args
        at = uses.sole_reader(c, "relu_backward")
        if at is None or at < i:
            continue
        g, saved, y = program.launches[at].args
        alike = isinstance(saved, Operand) and saved.shape == c.shape and saved.dtype == c.dtype
        if g != c or not fresh(y, c) or not alike or saved != shaped(saved, saved.shape):
            continue
        if not uses.still(i, at, reads=(saved,), writes=(y,)):
            continue
        args = (a, b, saved, "relu", y)
        put(program, i, at, launch_of("gemm_masked", args, ("c",), launch.where))
    drop(program)


def fresh(y: Any, like: Operand) -> bool:
    """Return whether an output can take the place of another: in C order, of its shape and dtype,
    and elsewhere.
    """
    return (
        isinstance(y, Operand)
        and (y.shape, y.dtype) == (like.shape, like.dtype)
        and y == shaped(y, y.shape)
        and y.buffer is not like.buffer
    )


GONE = Launch("", (), (), (), (0, 0), "")


def put(program: Program, first: int, last: int, launch: Launch) -> None:
    """Put a launch in the place of the first of those that it stands for."""
    ops = [program.launches[i].op for i in sorted((first, last))]
    launch.op = " + ".join(dict.fromkeys(ops))
    program.launches[first] = launch
    program.launches[last] = GONE


def drop(program: Program) -> None:
    """Take out what others stand for."""
    program.launches = [launch for launch in program.launches if launch is not GONE]


# ---------------------------------------------------------------- normalisation
class Block:
    """A batch normalisation, a ReLU or none, and a dropout: where their launches are.

    forward: of the three, None for no ReLU; backward: those of their gradients, if there are any.
    """

    def __init__(self, uses: Uses, norm: int) -> None:
        self.uses, self.norm = uses, norm
        self.relu: int | None = None
        self.drop: int | None = None
        self.backward: list[int] = []

    def find(self) -> bool:
        """Find the launches; return whether they are such a block and nobody else needs its
        parts.
        """
        x, weight, bias, *_, y = self.uses.launches[self.norm].args
        sizes = [a.shape[0] if isinstance(a, Operand) else 0 for a in (weight, bias)]
        if not isinstance(x, Operand) or len(x.shape) != 3 or x.shape[2] != 1:
            return False
        if sizes[0] != sizes[1] or x != shaped(x, x.shape):
            return False
        return self.forward(y)

    def forward(self, y: Any) -> bool:
        """Find what follows the normalisation."""
        uses = self.uses
        self.relu = uses.sole_reader(y, "relu")
        if self.relu is not None:
            x, z = uses.launches[self.relu].args
            if not same_memory(x, y) or not isinstance(z, Operand) or not whole(z):
                return False
            y = z
        readers = uses.readers.get(y.buffer, [])
        drops = [i for i in readers if uses.launches[i].kernel == "dropout"]
        masks = [i for i in readers if uses.launches[i].kernel == "relu_backward"]
        if len(drops) != 1 or len(masks) > (self.relu is not None):
            return False
        self.drop = drops[0]
        given, p, *_, call, out = uses.launches[self.drop].args
        last = max(self.drop, self.relu or 0)
        if not (0 < p < 1 and same_memory(given, y) and uses.passing(y, readers)):
            return False
        if call.shape != (1,):  # the mask of a part of a batch, which begins within the whole's
            return False
        if last < self.norm or not isinstance(out, Operand) or out != shaped(out, out.shape):
            return False
        clear = all(
            out.buffer not in {*launch.reads, *launch.writes}
            for i, launch in enumerate(uses.launches[self.norm + 1 : self.drop], self.norm + 1)
        )
        return clear and self.gradient(y, masks)

    def gradient(self, y: Operand, masks: list[int]) -> bool:
        """Find the way back, from the dropout's gradient to the normalisation's."""
        uses = self.uses
        x, weight, bias, _, mean, _, rstd, _ = uses.launches[self.norm].args
        norms = [
            i
            for i in uses.readers.get(mean.buffer, [])
            if uses.launches[i].kernel == "batch_norm_backward"
            and uses.launches[i].args[3] == mean
            and uses.launches[i].args[4] == rstd
            and uses.launches[i].args[1] == x
        ]
        if not norms:
            return not masks
        dy = uses.launches[norms[0]].args[0]
        way = [norms[0]]
        if self.relu is not None:
            if len(masks) != 1 or not uses.passing(dy, [norms[0]]):
                return False
            g, saved, z = uses.launches[masks[0]].args
            if not same_memory(z, dy) or not same_memory(saved, y):
                return False
            dy, way = g, [masks[0], *way]
        if len(norms) != 1 or not uses.passing(dy, [way[0]]):
            return False
        back = uses.writers[dy.buffer][0]
        again = uses.launches[back]
        assert self.drop is not None
        if again.kernel != "dropout" or again.args[1:6] != uses.launches[self.drop].args[1:6]:
            return False
        self.backward = [back, *way]
        last = uses.launches[norms[0]]
        # The gradient is computed where the last of the three was.
        moved = [again.args[0]]
        return bool(
            same_memory(again.args[6], dy)
            and isinstance(again.args[0], Operand)
            and again.args[0] == shaped(again.args[0], again.args[0].shape)
            and uses.still(back, norms[0], reads=moved, writes=last.args[5:])
            and uses.still(self.norm, norms[0], reads=(x, weight, bias, mean, rstd), writes=())
        )


def join_normalisations(program: Program, results: set[Buffer]) -> None:
    """Run batch-norm, ReLU and dropout of rows as one kernel, and their gradients as one."""
    for i in range(len(program.launches)):
        if program.launches[i].kernel != "batch_norm_forward":
            continue
        block = Block(Uses(program, results), i)
        if not block.find() or block.drop is None:
            continue
        launches = program.launches
        norm, drop_ = launches[i], launches[block.drop]
        x, weight, bias, eps, mean, var, rstd, _ = norm.args
        rows = x.shape[:2]
        draw = (int(block.relu is not None), *drop_.args[1:6])
        args = (shaped(x, rows), weight, bias, eps, *draw, mean, var, rstd)
        args = (*args, shaped(drop_.args[6], rows))
        names = ("mean", "var", "rstd", "y")
        launches[i] = launch_of("batch_norm_dropout_forward", args, names, norm.where)
        launches[block.drop] = GONE
        if block.relu is not None:
            launches[block.relu] = GONE
        if block.backward:
            first, *_, last = block.backward
            _, _, _, _, _, dx, dw, db = launches[last].args
            dy = shaped(launches[first].args[0], rows)
            args = (dy, shaped(x, rows), weight, bias, mean, rstd, *draw, shaped(dx, rows), dw, db)
            kernel = "batch_norm_dropout_backward"
            made = launch_of(kernel, args, ("dx", "dw", "db"), norm.where)
            for at in block.backward:
                launches[at] = GONE
            launches[last] = made
    drop(program)


FUSIONS = [join_normalisations, join_products_with_relu, join_gradients_with_masks]
