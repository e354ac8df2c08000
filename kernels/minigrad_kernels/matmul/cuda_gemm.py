"""CUDA kernels of matmul: the choice of a kernel, by sizes and the precision asked for alone.

    tiny                          cuda_naive         an element a thread
    float64, or narrow            cuda_tiled         16 x 16 tiles in shared memory
    float32                       cuda_registers     8 x 8 registers a thread, blocks of 128 or 64
    float32, "high" or "medium"   cuda_tensor_cores  tensor cores, blocks of 128 or 64
    the same, large               cuda_packed        operands rounded and laid out once, 128 x 256

Where c has too few tiles to fill a device, k is split into chunks whose parts are added in order:
so bits depend neither on the device nor on the grid.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import float32, float64

from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, run, scratch
from minigrad_kernels.cuda.precision import get_precision as get_precision
from minigrad_kernels.cuda.precision import set_precision as set_precision
from minigrad_kernels.jit.address_table import buffer_of
from minigrad_kernels.matmul import cuda_registers as matmul_registers
from minigrad_kernels.matmul import cuda_tensor_cores as matmul_tensor
from minigrad_kernels.matmul import cuda_tiled as matmul_tiled
from minigrad_kernels.matmul.cuda_checks import CHECKS as CHECKS
from minigrad_kernels.matmul.cuda_naive import THREADS as NAIVE_THREADS
from minigrad_kernels.matmul.cuda_naive import naive
from minigrad_kernels.matmul.cuda_packed import (
    ROWS,
    SLICE,
    packed_product,
    shared_of,
    threads_of,
)
from minigrad_kernels.matmul.cuda_packing import EACH, packed
from minigrad_kernels.matmul.cuda_parts import ADD, BIAS, C_VECTORS, SAVE, combine, combine_vectors
from minigrad_kernels.matmul.cuda_registers import registers
from minigrad_kernels.matmul.cuda_tensor_cores import tensor
from minigrad_kernels.matmul.cuda_tiled import tiled

TINY = 2**12  # multiply-adds up to which nothing is shared
NARROW = 32  # rows or columns of c up to which tiles are 16 wide
TILES = 128  # of c that are enough: of 128 wide ones else 64 wide, and else k is split
SHORTEST = 128  # of k in a split
TENSOR = {"high": "tf32", "medium": "bf16"}
PACKED = {"tf32.packed": "tf32", "bf16.packed": "bf16"}
# m n / (m + n) from which packing pays.  To pack moves 6 or 8 bytes for each number of a and b, at
# 4 TB/s a half of what a product of 1024 x 1024 takes at 250 TFLOP/s, which the kernel that packs
# nothing reaches by no half: an estimate from its machine code, not measured.
REUSE = 512
LARGE_SHARED = 227 * 1024  # bytes, of a block, where a device says nothing


class Choice(NamedTuple):
    """step: "naive", "tiled", "registers", "tf32", "bf16", "tf32.packed" or "bf16.packed".

    tile: rows and columns of a block; of a packed step its columns, with 128 rows.

    splits, chunk: how many parts k is cut into, and the length of each.
    """

    step: str
    tile: int
    splits: int
    chunk: int


def choose(
    m: int, n: int, k: int, batch: int, dtype: Any, precision: str, shared: int = LARGE_SHARED
) -> Choice:
    """Return how a product is computed; it depends on nothing but the arguments.

    shared: bytes of shared memory that a block may have; packed steps of any width have the same
        bits, the others others.

    >>> choose(4096, 4096, 4096, 1, np.float32, "highest")
    Choice(step='registers', tile=128, splits=1, chunk=4096)
    >>> choose(256, 256, 8192, 1, np.float32, "high")
    Choice(step='tf32', tile=64, splits=8, chunk=1024)
    >>> choose(4096, 4096, 4096, 1, np.float32, "medium")
    Choice(step='bf16.packed', tile=256, splits=1, chunk=4096)
    """
    if batch * m * n * k <= TINY:
        return Choice("naive", 1, 1, k)
    if dtype == np.float64 or min(m, n) <= NARROW:
        step, tile = "tiled", matmul_tiled.TILE
    else:
        step = TENSOR.get(precision, "registers")
        tile = 128 if batch * blocks(m, 128) * blocks(n, 128) >= TILES else 64
        if step in EACH and m * n >= REUSE * (m + n) and shared >= shared_of(128):
            step = f"{step}.packed"
            wide = batch * blocks(m, ROWS) * blocks(n, 256) >= TILES
            tile = 256 if wide and shared >= shared_of(256) else 128
    tiles = batch * blocks(m, min(tile, 128)) * blocks(n, tile)
    wanted = max(1, min(TILES // tiles, k // SHORTEST))
    depth = depth_of(step)
    chunk = blocks(blocks(k, wanted), depth) * depth
    splits = blocks(k, chunk)
    return Choice(step, tile, splits, chunk if splits > 1 else k)


def depth_of(step: str) -> int:
    """Return the numbers of k in a slice of a step: chunks of k are multiples of it."""
    return SLICE * EACH[PACKED[step]] if step in PACKED else matmul_registers.DEPTH


def kernel_of(
    choice: Choice, kind: str, name: str, sums: bool, dtype: Any, along: tuple[bool, bool]
) -> tuple[Any, int]:
    """Return a choice's kernel and the threads of its block.

    along: whether a and b may be read 128 bits at once.
    """
    if choice.step == "naive":
        return naive(kind, name, sums), NAIVE_THREADS
    if choice.step == "tiled":
        number = float64 if dtype == np.float64 else float32
        return tiled(kind, name, sums, number), matmul_tiled.THREADS
    if choice.step == "registers":
        threads = matmul_registers.threads_of(choice.tile)
        return registers(kind, name, sums, choice.tile, *along), threads
    if choice.step in PACKED:
        columns = choice.tile
        return packed_product(kind, name, PACKED[choice.step], columns), threads_of(columns)
    return tensor(kind, name, sums, choice.tile, choice.step, *along), matmul_tensor.THREADS


# ---------------------------------------------------------------- operands
def reached_memory(x: DeviceArray) -> tuple[DeviceArray, int]:
    """Return the memory that a view reaches, as one line, and the index of its first element."""
    owner = buffer_of(x.geometry)
    spans = [(n - 1) * s for n, s in zip(x.shape, x.strides, strict=True)]
    low = sum(min(0, s) for s in spans)
    high = sum(max(0, s) for s in spans)
    start = x.address + low - x.like(owner).address
    count = (high - low) // x.itemsize + 1
    line: Array = np.ndarray((count,), x.dtype, owner, start)
    return x.like(line), -low // x.itemsize


def operand_of(x: DeviceArray) -> tuple[DeviceArray, tuple[Any, ...]]:
    """Return an operand's line and its (first, row, column, image): see matmul/cuda_parts.py."""
    line, first = reached_memory(x)
    steps = [s // x.itemsize for s in x.strides]
    image = steps[0] if x.ndim == 3 else 0
    places = (first, steps[-2], steps[-1], image)
    return line, tuple(np.uint32(p % 2**32) for p in places)


def aligned(line: DeviceArray, place: tuple[Any, ...], along: int, count: int) -> bool:
    """Tell whether an operand may be read 128 bits at once along dimension 1 (rows) or 2 (columns).

    count: of its elements in that dimension.
    """
    other = 3 - along
    whole = all(int(place[i]) % 4 == 0 for i in (0, other, 3))
    return int(place[along]) == 1 and whole and count % 4 == 0 and line.address % 16 == 0


def operands_of(
    choice: Choice, a: DeviceArray, b: DeviceArray, m: int, n: int, k: int
) -> tuple[tuple[Any, ...], tuple[bool, bool]]:
    """Return what a kernel takes of a and b, packed where it wants them so, and whether it may read
    them 128 bits at once.
    """
    line_a, at_a = operand_of(a)
    line_b, at_b = operand_of(b)
    inner = choice.step in TENSOR.values() or choice.step in PACKED  # k side by side
    along = (
        aligned(line_a, at_a, *((2, k) if inner else (1, m))),
        aligned(line_b, at_b, *((1, k) if inner else (2, n))),
    )
    if choice.step not in PACKED:
        return (line_a, at_a, line_b, at_b), along
    precision = PACKED[choice.step]
    words = blocks(k, depth_of(choice.step)) * SLICE
    lines = blocks(m, ROWS) * ROWS, blocks(n, choice.tile) * choice.tile
    at_b = (at_b[0], at_b[2], at_b[1], at_b[3])  # its lines are columns
    images = [1 if not at[3] else len(x) for x, at in ((a, at_a), (b, at_b))]
    packed_a = packed(line_a, at_a, m, k, images[0], precision, "left", along[0], lines[0], words)
    packed_b = packed(line_b, at_b, n, k, images[1], precision, "right", along[1], lines[1], words)
    return (*packed_a, *packed_b), along


def compute(
    a: DeviceArray,
    b: DeviceArray,
    c: DeviceArray,
    kind: str = "plain",
    name: str = "",
    *,
    bias: DeviceArray | None = None,
    side: DeviceArray | None = None,
    sums: DeviceArray | None = None,
    z: DeviceArray | None = None,
    add: bool = False,
    choice: Choice | None = None,
) -> None:
    """Compute c = after(a b) in one or two launches; `choice` is for the tests of each step."""
    m, n, k = c.shape[-2], c.shape[-1], a.shape[-1]
    batch = c.shape[0] if c.ndim == 3 else 1
    if not c.size:
        if sums is not None:
            row_sums(a, sums)
        return
    if choice is None:
        shared = getattr(c.target, "shared", LARGE_SHARED)
        choice = choose(m, n, k, batch, c.dtype, get_precision(), shared)
    if choice.step in PACKED and sums is not None:  # of numbers that are not rounded
        row_sums(a, sums)
        sums = None
    out = c.reshape(-1)
    bias = bias if bias is not None and bias.size else None
    extra = [x.reshape(-1) for x in (bias, side, z) if x is not None]
    single = c.dtype == np.float32
    flags = np.uint32(0)
    if single and n % 4 == 0 and not any(x.address % 16 for x in (out, *extra)):
        flags |= C_VECTORS
    todo = (bias is not None) * BIAS | add * ADD | (z is not None and z is not c) * SAVE
    tile, splits = choice.tile, choice.splits
    row_tiles, column_tiles = blocks(m, min(tile, ROWS)), blocks(n, tile)
    work = batch * row_tiles * column_tiles * splits
    each = depth_of(choice.step) if choice.step in PACKED else 1  # k is counted in slices
    depth, chunk = blocks(k, each), blocks(choice.chunk, each)
    numbers = (m, n, depth, batch, splits, chunk, row_tiles, column_tiles, work)
    sizes = tuple(np.uint32(s) for s in numbers)
    after = [out if x is None else x.reshape(-1) for x in (bias, side)]
    kept = out if z is None else z.reshape(-1)
    total = out if sums is None else sums
    if not k:
        a = b = out.reshape(c.shape)  # nothing is read of them
    operands, along = operands_of(choice, a, b, m, n, k)
    if splits == 1:
        kernel, threads = kernel_of(choice, kind, name, sums is not None, c.dtype, along)
        work = blocks(out.size, threads) if choice.step == "naive" else work
        flags = np.uint32(flags | todo)
        shared = getattr(kernel, "dynamic_shared", 0)
        run(kernel, work, threads, *operands, *after, total, kept, out, sizes, flags, shared=shared)
        return
    parts = scratch(splits * out.size, c.dtype, c)
    rows = parts if sums is None else scratch(splits * m, c.dtype, c)
    kernel, threads = kernel_of(choice, "plain", "", sums is not None, c.dtype, along)
    shared = getattr(kernel, "dynamic_shared", 0)
    both = (parts, parts)
    run(kernel, work, threads, *operands, *both, rows, *both, sizes, flags, shared=shared)
    vectorised = bool(flags & C_VECTORS)
    kernel = combine_vectors(kind, name) if vectorised else combine(kind, name)
    work = blocks(out.size, 4 * THREADS if vectorised else THREADS)
    flags = np.uint32(flags | todo)
    run(kernel, work, THREADS, parts, *after, kept, out, sizes, flags)
    if sums is not None:
        nothing = np.uint32(0)
        run(combine("plain", ""), blocks(m), THREADS, rows, *[sums] * 4, sizes, nothing)


def row_sums(a: DeviceArray, sums: DeviceArray) -> None:
    """Compute the sums of the rows of a where c is empty: the product with an operand of none."""
    if not sums.size:
        return
    if not a.size:
        sums.target.write(sums, 0)
        return
    unused = scratch((a.shape[1], 1), a.dtype, a)
    unused.target.write(unused, 0)
    compute(a, unused, scratch((len(sums), 1), a.dtype, a), sums=sums)


# ---------------------------------------------------------------- CUDA kernels
def gemm(a: DeviceArray, b: DeviceArray, c: DeviceArray) -> None:
    """Compute c = a @ b: see matmul/gemm.py for shapes."""
    compute(a, b, c)


def gemm_bias(a: DeviceArray, b: DeviceArray, bias: DeviceArray, c: DeviceArray) -> None:
    """Compute c = a @ b + bias."""
    compute(a, b, c, bias=bias)


def gemm_accumulate(a: DeviceArray, b: DeviceArray, c: DeviceArray) -> None:
    """Compute c += a @ b."""
    compute(a, b, c, add=True)


def gemm_activation(
    a: DeviceArray, b: DeviceArray, bias: DeviceArray, activation: str, y: DeviceArray
) -> None:
    """Compute y = activation(a @ b + bias); bias may be empty."""
    compute(a, b, y, "activation", activation, bias=bias)


def gemm_activation_saved(
    a: DeviceArray,
    b: DeviceArray,
    bias: DeviceArray,
    activation: str,
    z: DeviceArray,
    y: DeviceArray,
) -> None:
    """Compute z = a @ b + bias and y = activation(z); bias may be empty."""
    compute(a, b, y, "activation", activation, bias=bias, z=z)


def gemm_masked(
    a: DeviceArray, b: DeviceArray, saved: DeviceArray, activation: str, c: DeviceArray
) -> None:
    """Compute c = the gradient a @ b behind an activation, from what that saved: (M, N)."""
    compute(a, b, c, "mask", activation, side=saved)


def gemm_sums(a: DeviceArray, b: DeviceArray, c: DeviceArray, sums: DeviceArray) -> None:
    """Compute c = a @ b and the sums of a's rows: (M,)."""
    compute(a, b, c, sums=sums)


def bmm(a: DeviceArray, b: DeviceArray, c: DeviceArray) -> None:
    """Compute c = a @ b for batches: a: (B, M, K), b: (B, K, N) -> c: (B, M, N)."""
    compute(a, b, c)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "gemm": gemm,
    "gemm_bias": gemm_bias,
    "gemm_accumulate": gemm_accumulate,
    "gemm_activation": gemm_activation,
    "gemm_activation_saved": gemm_activation_saved,
    "gemm_masked": gemm_masked,
    "gemm_sums": gemm_sums,
    "bmm": bmm,
}
