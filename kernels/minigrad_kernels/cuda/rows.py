"""Rows of x: (N, C) shared out: a warp takes a row, or where rows are long a block of four warps.

Which it is, and whether a lane reads 128 bits at once, depends on the sizes alone, and lanes are
joined by halves, then warps in order: so bits never depend on the grid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check
from minigrad_kernels.cuda.launch import blocks, run, vectors
from minigrad_kernels.cuda.warps import FULL, HALVES, WARP, lane_of, warp_count, warp_of

THREADS = 128  # of a block
WARPS = THREADS // WARP
HELD = 2 * WARPS  # numbers in shared memory, where warps join
LONG = 1_024  # elements of a row from which a block works on it
Device = Callable[..., Any]


@cuda.jit(device=True)
def warp_place():
    """Return the place of a warp that takes a row: see `places`."""
    return warp_of(), warp_count(), lane_of(), uint32(WARP)


@cuda.jit(device=True)
def block_place():
    """Return the place of a block that takes a row: see `places`."""
    return (
        uint32(cuda.blockIdx.x),
        uint32(cuda.gridDim.x),
        uint32(cuda.threadIdx.x),
        uint32(THREADS),
    )


def places(warps: int) -> Device:
    """Return the device function of a thread's place among the rows.

    It gives the first row, the step to the next, the place in a row and the threads of a row.
    """
    return warp_place if warps == 1 else block_place


def joining(join: Device, warps: int) -> Device:
    """Return the device function that joins the pairs of a row's threads, in all of them.

    join: (a, b, c, d) -> the pair of (a, b) and (c, d), the same if they change places.
    """

    @cuda.jit(device=True)
    def whole(a, b, held):
        """held: shared, (HELD,); a barrier on both sides of what warps say."""
        for lanes in HALVES:
            c, d = cuda.shfl_xor_sync(FULL, a, lanes), cuda.shfl_xor_sync(FULL, b, lanes)
            a, b = join(a, b, c, d)
        if warps > 1:
            w = uint32(cuda.threadIdx.x >> uint32(5))
            if lane_of() == 0:
                held[w] = a
                held[uint32(w + uint32(WARPS))] = b
            cuda.syncthreads()
            a, b = held[0], held[WARPS]
            for k in range(1, WARPS):
                a, b = join(a, b, held[k], held[WARPS + k])
            cuda.syncthreads()
        return a, b

    return whole


def topping(warps: int) -> Device:
    """Return the device function of the largest value of a row's threads, in all of them."""

    @cuda.jit(device=True)
    def top(m, held):
        """held: shared, (HELD,); a barrier on both sides of what warps say."""
        for lanes in HALVES:
            m = max(m, cuda.shfl_xor_sync(FULL, m, lanes))
        if warps > 1:
            if lane_of() == 0:
                held[uint32(cuda.threadIdx.x >> uint32(5))] = m
            cuda.syncthreads()
            for k in range(WARPS):
                m = max(m, held[k])
            cuda.syncthreads()
        return m

    return top


def rows_at_once(c: int) -> int:
    """Return how many rows of c elements a block works on at once."""
    return 1 if c >= LONG else WARPS


@cuda.jit(device=True)
def added(a, b, c, d):
    """Add two pairs, number by number."""
    return a + c, b + d


class Rows:
    """A kernel in every form: `build(kind, vector, warps)` returns one.

    kind: float32 or float64.  vector: whether lanes read four float32 at once.  warps: of a row,
    those that there are forms for.
    """

    def __init__(
        self, build: Callable[[Any, bool, int], Any], warps: tuple[int, ...] = (1, WARPS)
    ) -> None:
        self.forms = {
            (kind.name, vector, each): build(kind, vector, each)
            for kind in (float32, float64)
            for vector in (False, True)
            for each in warps
            if kind == float32 or not vector
        }

    def __call__(
        self, rows: int, c: int, wide: tuple[DeviceArray, ...], *args: Any, shared: int = 0
    ) -> None:
        """Launch the form for `rows` rows of c elements.

        wide: the arrays that are read or written row by row.  args: the kernel's.  shared: bytes of
        dynamic shared memory.
        """
        vector = c % 4 == 0 and vectors(*wide)
        warps = WARPS if c >= LONG else 1
        work = rows if warps > 1 else blocks(rows, WARPS)
        run(self.forms[wide[0].dtype.name, vector, warps], work, THREADS, *args, shared=shared)

    def checks(self, name: str, signature: Callable[[Any], Any], **options: Any) -> list[Check]:
        """Return a check for every form.

        signature: of a kind.  options: a Check's, opcodes for those with vectors; always: opcodes
            of every form.
        """
        doubles = options.pop("float64", False)
        always = options.pop("always", ("SHFL.BFLY",))
        promised = options.pop("opcodes", ("LDG.E.128", "STG.E.128"))
        return [
            Check(
                f"{name}.{'vectors' if vector else 'elements'}.{warps}/{kind}",
                kernel,
                signature(float32 if kind == "float32" else float64),
                opcodes=(*always, *(promised if vector else ())),
                float64=doubles or kind == "float64",
                **options,
            )
            for (kind, vector, warps), kernel in self.forms.items()
        ]


def sizes(*numbers: int) -> tuple[Any, ...]:
    """Return sizes as kernels take them.

    >>> sizes(3)[0].dtype
    dtype('uint32')
    """
    return tuple(np.uint32(n) for n in numbers)
