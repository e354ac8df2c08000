"""Kernels with one planted mistake: a kernel's source with one place changed, made anew."""

from __future__ import annotations

import inspect
import linecache
import textwrap
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """kernel: the name of a probe.  old, new: source text, `old` occurring `count` times.

    kinds: the faults that may report it; "wrong" for a result that is wrong under some order.
    which: the occurrence that is changed.
    """

    kernel: str
    title: str
    old: str
    new: str
    kinds: tuple[str, ...]
    which: int = 0

    @property
    def name(self) -> str:
        return f"{self.kernel}-{self.title.replace(' ', '_')}"


def changed(source: str, mutant: Any) -> str:
    """Return the source of a kernel with the mutant's change."""
    pieces = source.split(mutant.old)
    assert len(pieces) > mutant.which + 1, f"{mutant.name}: {mutant.old!r} is not in the kernel"
    at = mutant.which + 1
    made = mutant.old.join(pieces[:at]) + mutant.new + mutant.old.join(pieces[at:])
    assert made != source
    return made


def compiled(source: str, mutant: Any) -> Any:
    """Return the code of a mutant's source, whose lines a fault can name."""
    path = f"<mutant {mutant.name}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    return compile(source, path, "exec")


def mutate(kernel: Any, mutant: Mutant) -> Any:
    """Return the Python function of a kernel with the mutant's change."""
    function = kernel.py_func
    source = changed(textwrap.dedent(inspect.getsource(function)), mutant)
    space = dict(function.__globals__)
    exec(compiled(source, mutant), space)
    made = space[function.__name__]
    return getattr(made, "py_func", made)


BARRIER = "cuda.syncthreads()"
TAIL = "ptx.store128(c, o + n + n, "

MUTANTS = (
    # matmul_tiled
    Mutant("matmul_tiled", "first barrier removed", BARRIER, "pass", ("race", "uninitialised")),
    Mutant("matmul_tiled", "second barrier removed", BARRIER, "pass", ("race",), 1),
    Mutant(
        "matmul_tiled",
        "barrier moved into a branch",
        "        cuda.syncthreads()\n    if i <",
        "        if i < c.shape[0]:\n            cuda.syncthreads()\n    if i <",
        ("barrier", "race"),
    ),
    Mutant("matmul_tiled", "barrier narrowed to a warp", BARRIER, "cuda.syncwarp()",
           ("race", "uninitialised")),
    Mutant("matmul_tiled", "row bound loosened", "i < a.shape[0]", "i <= a.shape[0]", ("bounds",)),
    Mutant("matmul_tiled", "column bound loosened", "j < c.shape[1]", "True", ("bounds",)),
    Mutant("matmul_tiled", "tile index off by one", "right[k, tx]", "right[k, tx + 1]",
           ("bounds",)),
    Mutant(
        "matmul_tiled",
        "indices swapped",
        "left[ty, tx] = a",
        "left[tx, ty] = a",
        ("race", "wrong"),
    ),
    Mutant(
        "matmul_tiled",
        "tile not cleared",
        "        left[ty, tx] = float32(0)\n",
        "",
        ("uninitialised",),
    ),
    Mutant(
        "matmul_tiled",
        "last slice left out",
        "range(0, a.shape[1], TILE)",
        "range(0, a.shape[1] - TILE + 1, TILE)",
        ("wrong",),
    ),
    Mutant("matmul_tiled", "result stored twice", "c[i, j] = held", "c[i, 0] = held", ("race",)),
    # row_sum
    Mutant("row_sum", "barrier removed", BARRIER, "pass", ("race", "uninitialised")),
    Mutant(
        "row_sum",
        "barrier inside the branch",
        "        parts[t >> uint32(5)] = held\n    cuda.syncthreads()",
        "        parts[t >> uint32(5)] = held\n        cuda.syncthreads()",
        ("barrier",),
    ),
    Mutant("row_sum", "bound loosened", "while j < n", "while j <= n", ("bounds",)),
    Mutant("row_sum", "every lane writes", "t & uint32(31) == 0", "t & uint32(15) == 0", ("race",)),
    Mutant("row_sum", "one warp left out", "range(ROW_WARPS)", "range(ROW_WARPS - 1)", ("wrong",)),
    Mutant(
        "row_sum",
        "accumulator not cleared",
        "        held = float32(0)\n        for w",
        "        for w",
        ("wrong",),
    ),
    Mutant("row_sum", "one part too many", "range(ROW_WARPS)", "range(ROW_WARPS + 1)", ("bounds",)),
    Mutant("row_sum", "wrong stride", "uint32(j + uint32(ROW_THREADS))", "uint32(j + uint32(32))",
           ("wrong",)),
    # scale_vectors
    Mutant("scale_vectors", "vector misaligned", "v = ptx.load128(x, at)",
           "v = ptx.load128(x, at + uint32(1))", ("misaligned", "bounds")),
    Mutant("scale_vectors", "vector bound loosened", "while k < whole", "while k <= whole",
           ("bounds", "race")),
    Mutant("scale_vectors", "tail left out", "k = uint32((whole << uint32(2)) + i)", "k = n",
           ("wrong",)),
    Mutant("scale_vectors", "tail from 0 on", "k = uint32((whole << uint32(2)) + i)", "k = i",
           ("race",)),
    Mutant("scale_vectors", "vectors overlap", "at = uint32(k << uint32(2))",
           "at = uint32((k >> uint32(1)) << uint32(2))", ("race", "wrong")),
    # total
    Mutant("total", "fence removed", "cuda.threadfence()", "pass", ("race", "uninitialised")),
    Mutant("total", "atomic made plain", "last[0] = cuda.atomic.add(count, 0, 1)",
           "last[0] = count[0]\n        count[0] += 1", ("race",)),
    Mutant("total", "barrier removed", BARRIER, "pass", ("race", "uninitialised")),
    Mutant("total", "last block off by one", "cuda.gridDim.x - 1", "cuda.gridDim.x - 2",
           ("race", "uninitialised", "wrong")),
    Mutant("total", "counter not reset", "cuda.atomic.exch(count, 0, 0)", "pass", ("wrong",)),
    Mutant("total", "mask narrowed", "held = warp_sum(held)",
           "held += cuda.shfl_down_sync(0xFFFF, held, 1)", ("warp",)),
    Mutant("total", "warp operation in a branch",
           "        held = warp_sum(held)\n        if t == 0:",
           "        if t < 16:\n            held = warp_sum(held)\n        if t == 0:", ("warp",)),
    # gemm_registers
    Mutant("gemm_registers", "first barrier removed", BARRIER, "pass", ("race", "uninitialised")),
    Mutant("gemm_registers", "second barrier removed", BARRIER, "pass", ("race",), 1),
    Mutant("gemm_registers", "alignment not asked for", ", alignment=16)", ")",
           ("misaligned",), 1),
    Mutant("gemm_registers", "one row stored twice", TAIL, "ptx.store128(c, o + n, ",
           ("wrong",)),
    Mutant("gemm_registers", "rows of another thread", "(t >> uint32(3)) << uint32(2)",
           "(t >> uint32(2)) << uint32(2)", ("bounds", "race")),
    Mutant("gemm_registers", "one slice too many", "while start < k", "while start <= k",
           ("bounds", "wrong")),
    # gemm_tensor
    Mutant("gemm_tensor", "copies not waited for", "ptx.wait_copies(1)", "pass",
           ("uninitialised",)),
    Mutant("gemm_tensor", "one group too few waited for", "ptx.wait_copies(1)",
           "ptx.wait_copies(2)", ("uninitialised",)),
    Mutant("gemm_tensor", "no barrier after the copies", "cuda.syncwarp()", "pass",
           ("race", "uninitialised"), 0),
    Mutant("gemm_tensor", "no barrier before the next copies", "cuda.syncwarp()", "pass",
           ("race",), 1),
    Mutant("gemm_tensor", "fragment off by one", "right[q + uint32(32)]", "right[q + uint32(31)]",
           ("wrong",)),
    Mutant("gemm_tensor", "one stage only", "uint32(stage ^ uint32(1))", "stage",
           ("race", "uninitialised")),
)  # fmt: skip
