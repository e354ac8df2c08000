"""Folding: a batch normalisation in evaluation becomes a part of the product before it.

    (x W + b - mean) s + beta  =  x (W s) + ((b - mean) s + beta),    s = gamma / sqrt(var + eps)

The same of a convolution.  The folded numbers are made in float64 and rounded once, and made anew
when one of the tensors behind them has another version.  Results differ by rounding alone, about
1e-7 of their size; this is the one pass of a program that changes bits.
"""

from __future__ import annotations

from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.capturing.fusion import Uses, drop, launch_of, put, same_memory, shaped, whole
from minigrad.capturing.program import CELL, OUTSIDE, Buffer, Launch, Operand
from minigrad.engine.op import cell_of
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
ALIGNED = 64
COUNT = itemgetter(0)
# Of each kernel: where its weight is among the arguments, where its bias is, -1 for none, and which
# axis of the weight counts the outputs.
PRODUCTS = {"gemm": (1, -1, 1), "gemm_bias": (1, 2, 1), "conv": (1, 2, 0)}


class Fold:
    """A product's weights and bias with a normalisation folded in.

    sources: weight, bias, gamma, beta, mean and var, None for those that are not there.
    operand: the weight as the product reads it, laid out anew, in rows.  axis: of its outputs.
    start: where both lie, in bytes of the program's memory for them.
    """

    def __init__(
        self, sources: list[Tensor | None], operand: Operand, axis: int, eps: float, start: int
    ) -> None:
        self.sources = sources
        self.axis, self.eps, self.start = axis, eps, start
        self.strides = operand.strides
        # In rows: a product of few rows reads such weights where they are, others it packs.
        item = operand.dtype.itemsize
        steps = [item * int(np.prod(operand.shape[i + 1 :])) for i in range(len(operand.shape))]
        self.operand = replace(operand, strides=tuple(steps))
        self.outputs = operand.shape[axis]
        self.bias = start + aligned(operand.buffer.size)
        self.end = self.bias + aligned(self.outputs * operand.dtype.itemsize)

    def write(self, memory: Array) -> None:
        """Write weight and bias into `memory`, bytes."""
        source = self.sources[0]
        bias, gamma, beta, mean, var = (
            None if t is None else t.array.astype(np.float64) for t in self.sources[1:]
        )
        assert source is not None and mean is not None and var is not None
        shape, kind = self.operand.shape, self.operand.dtype
        weight = as_strided(source.array, shape, self.strides).astype(np.float64)
        turned = [1] * len(shape)
        turned[self.axis] = self.outputs
        with np.errstate(all="ignore"):
            scale = (1.0 if gamma is None else gamma) / np.sqrt(var + self.eps)
            shift = ((0.0 if bias is None else bias) - mean) * scale
            shift += 0.0 if beta is None else beta
            folded = weight * scale.reshape(turned)
        np.ndarray(shape, kind, memory, self.start, self.operand.strides)[...] = folded
        np.ndarray(self.outputs, kind, memory, self.bias)[...] = shift


class Folds:
    """All that is folded in a program: renewed when a tensor behind it has another version."""

    def __init__(self) -> None:
        self.folds: list[Fold] = []
        self.cells: list[Any] = []
        self.versions: list[int] = []

    def add(self, fold: Fold) -> None:
        """Take one more."""
        self.folds.append(fold)
        self.cells += [cell_of(t) for t in fold.sources if t is not None]

    def refresh(self, memory: Array) -> None:
        """Write all folded numbers into `memory`, unless they are there already."""
        versions = [*map(COUNT, self.cells)]
        if versions != self.versions:
            for fold in self.folds:
                fold.write(memory)
            self.versions = versions


def aligned(size: int) -> int:
    """Return a size up to the next cache line."""
    return -(-size // ALIGNED) * ALIGNED


def fold_normalisations(replay: Any, results: set[Buffer]) -> None:
    """Fold each normalisation by running statistics into the product before it, where nobody else
    needs what is between them.
    """
    program = replay.program
    tensors: dict[tuple[int, int], Tensor] = {}
    for _, t, array, _ in replay.surroundings.arrays:
        if array.flags.c_contiguous and array.size:
            tensors[array.__array_interface__["data"][0], array.nbytes] = t
    uses = Uses(program, results)
    folds = Folds()
    label = "weights and biases with batch-norm folded in"
    buffer = Buffer(len(program.buffers), CELL, -1, 0, None, label)
    for at, norm in enumerate(list(program.launches)):
        if norm.kernel != "batch_norm_eval":
            continue
        x, *operands, eps, y = norm.args
        writers = uses.writers.get(x.buffer, [])
        if len(writers) != 1 or program.launches[writers[0]].kernel not in PRODUCTS:
            continue
        first = writers[0]
        product = program.launches[first]
        weight_at, bias_at, axis = PRODUCTS[product.kernel]
        weight, out = product.args[weight_at], product.args[-1]
        bias = product.args[bias_at] if bias_at >= 0 else None
        if not fits(uses, x, y, out, first, at) or out.shape[1] != weight.shape[axis]:
            continue
        asked = [weight, bias, *operands]
        found = [source(a, tensors, uses) for a in asked]
        if any(t is None and isinstance(a, Operand) for a, t in zip(asked, found, strict=True)):
            continue
        if found[0] is None or min(weight.strides) <= 0:
            continue
        fold = Fold(found, weight, axis, eps, buffer.size)
        folds.add(fold)
        buffer.size = fold.end
        put(program, first, at, folded(fold, buffer, product, shaped(y, out.shape)))
    drop(program)
    if folds.folds:
        buffer.initial = bytes(buffer.size)
        program.buffers.append(buffer)
        memory = (buffer.size,), np.dtype(np.uint8)
        replay.recorder.host.append((folds.refresh, buffer, memory))


def fits(uses: Uses, x: Operand, y: Any, out: Operand, first: int, last: int) -> bool:
    """Return whether a product's result goes to the normalisation alone, whose result can be
    written by the product instead.
    """
    return (
        same_memory(x, out)
        and uses.passing(out, [last])
        and isinstance(y, Operand)
        and whole(y)
        and y.dtype == out.dtype
        and uses.still(first, last, reads=(), writes=(y,))
    )


def source(operand: Any, tensors: dict[tuple[int, int], Tensor], uses: Uses) -> Tensor | None:
    """Return the tensor outside that an operand is all of, if the program does not change it."""
    if not isinstance(operand, Operand):
        return None
    buffer = operand.buffer
    if buffer.kind != OUTSIDE or buffer in uses.writers:
        return None
    size = int(np.prod(operand.shape)) * operand.dtype.itemsize
    return tensors.get((buffer.start + operand.offset, size))


def folded(fold: Fold, buffer: Buffer, product: Launch, y: Operand) -> Launch:
    """Return a product with the folded weights."""
    operand = fold.operand
    item = operand.dtype.itemsize
    weight = replace(operand, buffer=buffer, offset=fold.start)
    bias = Operand(buffer, fold.bias, (fold.outputs,), (item,), operand.dtype)
    if product.kernel == "conv":
        args = (product.args[0], weight, bias, *product.args[3:-1], y)
        return launch_of("conv", args, ("y",), product.where)
    args = (product.args[0], weight, bias, y)
    return launch_of("gemm_bias", args, ("c",), product.where)
