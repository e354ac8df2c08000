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
    """Weights and bias of a product with a normalisation folded in, renewed when they change.

    sources: weight, bias, gamma, beta, mean and var, None for those that are not there.
    operand: the weight as the product reads it.  axis: of its outputs.
    """

    def __init__(
        self, sources: list[Tensor | None], operand: Operand, axis: int, eps: float
    ) -> None:
        self.sources = sources
        self.cells = [cell_of(t) for t in sources if t is not None]
        self.operand, self.axis, self.eps = operand, axis, eps
        self.place = -(-operand.buffer.size // ALIGNED) * ALIGNED  # of the bias, in the memory
        self.outputs = operand.shape[axis]
        self.versions: list[int] = []

    @property
    def size(self) -> int:
        """The bytes of weight and bias."""
        return self.place + self.outputs * self.operand.dtype.itemsize

    def refresh(self, memory: Array) -> None:
        """Write both into `memory`, bytes, unless they are there already."""
        versions = [*map(COUNT, self.cells)]
        if versions == self.versions:
            return
        weight, bias, gamma, beta, mean, var = (
            None if t is None else t.array.astype(np.float64) for t in self.sources
        )
        assert mean is not None and var is not None and weight is not None
        with np.errstate(all="ignore"):
            scale = (1.0 if gamma is None else gamma) / np.sqrt(var + self.eps)
            shift = ((0.0 if bias is None else bias) - mean) * scale
            shift += 0.0 if beta is None else beta
            # The product may read the weight transposed: it lies as its parameter does.
            turned = [1] * weight.ndim
            turned[0] = self.outputs
            folded = weight * scale.reshape(turned)
        kind = self.operand.dtype
        np.ndarray(weight.shape, kind, memory)[...] = folded
        np.ndarray(self.outputs, kind, memory, self.place)[...] = shift
        self.versions = versions


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
        if found[0] is None or found[0].array.shape[0] != weight.shape[axis]:
            continue
        fold = Fold(found, weight, axis, eps)
        put(program, first, at, folded(replay, fold, product, shaped(y, out.shape)))
    drop(program)


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


def folded(replay: Any, fold: Fold, product: Launch, y: Operand) -> Launch:
    """Return a product with the folded weights, which each call of the replay looks after."""
    program, operand = replay.program, fold.operand
    label = "weight and bias with batch-norm folded in"
    buffer = Buffer(len(program.buffers), CELL, -1, fold.size, None, label, bytes(fold.size))
    program.buffers.append(buffer)
    replay.recorder.host.append((fold.refresh, buffer, ((fold.size,), np.dtype(np.uint8))))
    item = operand.dtype.itemsize
    weight = replace(operand, buffer=buffer, offset=0)
    bias = Operand(buffer, fold.place, (fold.outputs,), (item,), operand.dtype)
    if product.kernel == "conv":
        args = (product.args[0], weight, bias, *product.args[3:-1], y)
        return launch_of("conv", args, ("y",), product.where)
    args = (product.args[0], weight, bias, y)
    return launch_of("gemm_bias", args, ("c",), product.where)
