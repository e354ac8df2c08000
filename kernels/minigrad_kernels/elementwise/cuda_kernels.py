"""Lifting a scalar rule to device arrays: 128 bits at once where all lie alike, else by strides.

A rule of one to three operands becomes two kernels.  `vectors` walks float32 arrays that fill their
memory in one and the same order.  `strided` walks any layout of up to four dimensions that differ,
and dimensions beyond are walked by further launches.  Both compute an element in one thread, from
the same text, so that a result may overwrite an operand.

Shapes: inputs broadcast against y: (...); y may be strided and may be one of the inputs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numba import boolean, cuda, float32, float64, types, uint32, uint64

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, number, run, vectors
from minigrad_kernels.elementwise.plan import Layout, broadcast_strides, collapse
from minigrad_kernels.jit.address_table import buffer_of
from minigrad_kernels.kernel import Rule

DIMS = 4  # that one launch of `strided` walks
WORD = 2**32


# ---------------------------------------------------------------- places of elements
class Walk(NamedTuple):
    """The launches by which `strided` goes through some layouts.

    lines: for each array, bytes from its first element to its lowest, and elements from there to
        its highest.  launches: for each, `shape` and each array's `steps`, see `digits`
        and `offset_of`.
    alike: whether all fill their memory in one and the same order.
    """

    lines: tuple[tuple[int, int], ...]
    launches: tuple[tuple[Any, ...], ...]
    alike: bool


def divisor(n: int) -> tuple[int, int, int]:
    """Return n and the numbers by which `quotient` divides by it.

    Source: Granlund and Montgomery, "Division by invariant integers using multiplication" (1994).

    >>> divisor(7)
    (7, 613566757, 3)
    """
    shift = (n - 1).bit_length()
    return n, WORD * ((1 << shift) - n) // n + 1, shift


@cuda.jit(device=True)
def quotient(n, multiplier, shift):
    """Return n / d for n < 2^31, in three instructions."""
    high = uint32((uint64(n) * uint64(multiplier)) >> uint64(32))
    return uint32(uint32(high + n) >> shift)


@cuda.jit(device=True)
def digits(i, shape):
    """Return where element i stands in each of four dimensions.

    shape: the number of elements, then `divisor` of the last three dimensions, the last first.
    """
    k = quotient(i, shape[2], shape[3])
    d = uint32(i - k * shape[1])
    j = quotient(k, shape[5], shape[6])
    c = uint32(k - j * shape[4])
    a = quotient(j, shape[8], shape[9])
    return a, uint32(j - a * shape[7]), c, d


@cuda.jit(device=True)
def offset_of(place, steps):
    """Return the index of an element in its line; steps are modulo 2^32, so any may be negative."""
    start = steps[0] + place[0] * steps[1] + place[1] * steps[2]
    return uint32(start + place[2] * steps[3] + place[3] * steps[4])


def shape_of(sizes: Sequence[int]) -> tuple[Any, ...]:
    """Return what `digits` needs to know of up to four dimensions."""
    wide = (*[1] * (DIMS - len(sizes)), *sizes)
    numbers = [math.prod(wide), *sum(map(divisor, wide[:0:-1]), ())]
    return tuple(np.array(numbers, np.uint32))


@functools.lru_cache(maxsize=1024)
def walk_of(*layouts: Layout) -> Walk:
    """Return the walk over the elements of the last layout, to which the others broadcast."""
    shape, strides, _ = layouts[-1]
    order = sorted(range(len(shape)), key=lambda axis: -abs(strides[axis]))
    seen = [broadcast_strides(own, steps, shape) for own, steps, _ in layouts]
    sizes, held = collapse([shape[k] for k in order], [tuple(s[k] for k in order) for s in seen])
    items = [item for *_, item in layouts]
    ends = [[(n - 1) * s for n, s in zip(own, steps, strict=True)] for own, steps, _ in layouts]
    lows = [sum(min(0, end) for end in each) for each in ends]
    counts = [sum(map(abs, each)) // item + 1 for each, item in zip(ends, items, strict=True)]
    dims = shape_of(sizes[-DIMS:])
    launches = []
    for outer in product(*map(range, sizes[:-DIMS])):
        steps = []
        for low, own, item in zip(lows, held, items, strict=True):
            first = sum(i * s for i, s in zip(outer, own, strict=False)) - low
            inner = own[-DIMS:]
            line = [first, *[0] * (DIMS - len(inner)), *inner]
            steps.append(tuple(np.array([s // item % WORD for s in line], np.uint32)))
        launches.append((dims, *steps))
    alike = len(sizes) <= 1 and all(own == (item,) * len(sizes) for own, item in zip(held, items))
    return Walk(tuple(zip(lows, counts, strict=True)), tuple(launches), alike)


def line_of(a: DeviceArray, low: int, count: int) -> DeviceArray:
    """Return the memory between the lowest and the highest element of an array as one line."""
    if a.flags.c_contiguous:
        return flat(a)
    owner = buffer_of(a.geometry)
    start = a.address + low - a.like(owner).address
    return a.like(np.ndarray((count,), a.dtype, owner, start))


# ---------------------------------------------------------------- kernels of one to three operands
def named(name: str, function: Callable[..., None]) -> Any:
    """Compile a kernel of a factory under a name that reports and profiles show."""
    function.__name__ = function.__qualname__ = name
    return cuda.jit(function)


def unary(rule: Any, name: str) -> tuple[Any, Any]:
    """Return the kernels of a rule of one operand: by 128 bits, and for any strides."""

    def vectors(a, n, y):
        """Compute y = rule(a, *n), four elements a step: one 128-bit load and store."""
        i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while i < uint32(uint32(y.size) >> uint32(2)):
            k = uint32(i << uint32(2))
            v = ptx.load128(a, k)
            r = rule(v[0], *n), rule(v[1], *n), rule(v[2], *n), rule(v[3], *n)
            ptx.store128(y, k, r)
            i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))

    def strided(a, n, y, shape, p, r):
        """Compute y = rule(a, *n), an element a step."""
        i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while i < shape[0]:
            d = digits(i, shape)
            y[offset_of(d, r)] = rule(a[offset_of(d, p)], *n)
            i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))

    return named(f"{name}_vectors", vectors), named(f"{name}_strided", strided)


def binary(rule: Any, name: str) -> tuple[Any, Any]:
    """Return the kernels of a rule of two operands: by 128 bits, and for any strides."""

    def vectors(a, b, n, y):
        """Compute y = rule(a, b, *n), four elements a step: 128-bit loads and stores."""
        i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while i < uint32(uint32(y.size) >> uint32(2)):
            k = uint32(i << uint32(2))
            v, w = ptx.load128(a, k), ptx.load128(b, k)
            low = rule(v[0], w[0], *n), rule(v[1], w[1], *n)
            ptx.store128(y, k, (*low, rule(v[2], w[2], *n), rule(v[3], w[3], *n)))
            i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))

    def strided(a, b, n, y, shape, p, q, r):
        """Compute y = rule(a, b, *n), an element a step."""
        i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while i < shape[0]:
            d = digits(i, shape)
            y[offset_of(d, r)] = rule(a[offset_of(d, p)], b[offset_of(d, q)], *n)
            i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))

    return named(f"{name}_vectors", vectors), named(f"{name}_strided", strided)


def ternary(rule: Any, name: str) -> tuple[Any, Any]:
    """Return the kernels of a rule of three operands: by 128 bits, and for any strides."""

    def vectors(a, b, c, n, y):
        """Compute y = rule(a, b, c), four elements a step: 128-bit loads and stores."""
        i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while i < uint32(uint32(y.size) >> uint32(2)):
            k = uint32(i << uint32(2))
            u, v, w = ptx.load128(a, k), ptx.load128(b, k), ptx.load128(c, k)
            low = rule(u[0], v[0], w[0]), rule(u[1], v[1], w[1])
            ptx.store128(y, k, (*low, rule(u[2], v[2], w[2]), rule(u[3], v[3], w[3])))
            i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))

    def strided(a, b, c, n, y, shape, p, q, o, r):
        """Compute y = rule(a, b, c), an element a step."""
        i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while i < shape[0]:
            d = digits(i, shape)
            y[offset_of(d, r)] = rule(a[offset_of(d, p)], b[offset_of(d, q)], c[offset_of(d, o)])
            i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))

    return named(f"{name}_vectors", vectors), named(f"{name}_strided", strided)


FACTORIES = {1: unary, 2: binary, 3: ternary}


class LiftedCuda:
    """The CUDA kernel of a rule: called with operands, the rule's numbers and the result."""

    def __init__(self, name: str, rule: Any, count: int) -> None:
        self.name = name
        self.count = count
        self.vectors, self.strided = FACTORIES[count](rule, name)

    def __call__(self, *args: Any) -> None:
        """Launch the rule on its operands, the numbers that it takes, and y."""
        arrays, y = (*args[: self.count], args[-1]), args[-1]
        if not y.size:
            return
        numbers = tuple(number(n, y) for n in args[self.count : -1])
        walk = walk_of(*[(a.shape, a.strides, a.itemsize) for a in arrays])
        lines = [line_of(a, *line) for a, line in zip(arrays, walk.lines, strict=True)]
        if walk.alike and vectors(*lines):
            run(self.vectors, blocks(y.size // 4), THREADS, *lines[:-1], numbers, lines[-1])
            return
        for shape, *steps in walk.launches:
            work = blocks(int(shape[0]))
            run(self.strided, work, THREADS, *lines[:-1], numbers, lines[-1], shape, *steps)


# ---------------------------------------------------------------- what the kernels compile to
EMPTY = types.Tuple(())
SHAPE = types.UniTuple(uint32, 10)
STEPS = types.UniTuple(uint32, DIMS + 1)


def checks(
    cuda_kernels: dict[str, CudaKernel],
    numbers: Collection[str] = (),
    truth: Collection[str] = (),
    registers: int = 40,
) -> tuple[Check, ...]:
    """Return the checks of lifted CUDA kernels.

    numbers: those whose rules take two numbers more.  truth: those that give bool.
    """
    found = []
    for name, cuda_kernel in cuda_kernels.items():
        if not isinstance(cuda_kernel, LiftedCuda):
            continue
        for kind in (float32, float64):
            two = types.UniTuple(kind, 2) if name in numbers else EMPTY
            y = boolean if name in truth else kind
            flat = (*[kind[::1]] * cuda_kernel.count, two, y[::1])
            wide = kind == float64
            if y == float32:
                opcodes = ("LDG.E.128", "STG.E.128")
                found.append(
                    Check(f"{name}.vectors", cuda_kernel.vectors, flat, opcodes, registers)
                )
            strided = (*flat, SHAPE, *[STEPS] * (cuda_kernel.count + 1))
            label = f"{name}.strided/{kind}"
            found.append(
                Check(label, cuda_kernel.strided, strided, (), 2 * registers, float64=wide)
            )
    return tuple(found)


def lift(rules: Mapping[str, Rule]) -> tuple[dict[str, CudaKernel], tuple[Check, ...]]:
    """Return the CUDA kernels of rules, and their checks."""
    lifted: dict[str, CudaKernel] = {
        name: LiftedCuda(name, rule.function, rule.operands) for name, rule in rules.items()
    }
    numbers = [name for name, rule in rules.items() if rule.numbers]
    truth = [name for name, rule in rules.items() if rule.truth]
    return lifted, checks(lifted, numbers, truth)
