"""Plans of the walk of elementwise/walk.py through given layouts, made once for each and kept."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from minigrad_kernels.elementwise.walk import FIXED, LINES, PACK, PACK_LINES, PACKERS, SIDE, TILE
from minigrad_kernels.jit.function_pointers import entry

Array = np.ndarray[Any, Any]
Strides = tuple[int, ...]
Layout = tuple[Strides, Strides, int]  # an operand's shape, strides and bytes an element
Plan = tuple[Array, tuple[int, ...]]  # and where each operand, and last the result, starts
LONG = 256  # elements of a row from which a tile is read row by row
SHARES = 32  # tiles in which what is read in place is cut, between LEAST and MOST elements each
LEAST, MOST = TILE, 2**15


@functools.cache
def packer_address(itemsize: int, transposed: bool) -> int:
    """Return the address of what packs elements of that size, from rows or from columns."""
    return entry(PACKERS[itemsize][transposed], 7)


def collapse(shape: Sequence[int], strides: Sequence[Strides]) -> tuple[Strides, list[Strides]]:
    """Merge neighbouring dimensions that every array walks as one, and drop those of size 1.

    strides: one tuple an array.  Returns the shape that is left, and the strides.

    >>> collapse((4, 3, 2), [(48, 16, 8), (0, 0, 8)])
    ((12, 2), [(16, 8), (0, 8)])
    """
    kept: list[int] = []
    held: list[list[int]] = [[] for _ in strides]
    for axis in range(len(shape) - 1, -1, -1):
        size = shape[axis]
        if size == 1:
            continue
        if kept and all(s[axis] == h[0] * kept[0] for s, h in zip(strides, held, strict=True)):
            kept[0] *= size
            continue
        kept.insert(0, size)
        for s, h in zip(strides, held, strict=True):
            h.insert(0, s[axis])
    return tuple(kept), [tuple(h) for h in held]


def broadcast_strides(shape: Strides, strides: Strides, wanted: Strides) -> Strides:
    """Return an array's strides seen in a shape that its own broadcasts to.

    >>> broadcast_strides((3, 1), (8, 8), (2, 3, 4))
    (0, 8, 0)
    """
    own = (0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
    return (*[0] * (len(wanted) - len(shape)), *own)


def dense(shape: Sequence[int], strides: Strides, itemsize: int) -> bool:
    """Return whether an array fills its memory in C order.

    >>> dense((3, 2), (16, 8), 8), dense((3, 2), (32, 8), 8)
    (True, False)
    """
    wanted = itemsize
    for n, s in zip(reversed(shape), reversed(strides)):
        if n != 1 and s != wanted:
            return False
        wanted *= n
    return True


def is_transposed(steps: Strides, itemsize: int) -> bool:
    """Return whether registers can transpose an operand, whose neighbours lie along its columns."""
    return steps[1] == itemsize in (4, 8) and steps[2] not in (0, itemsize)


@functools.lru_cache(maxsize=512)
def plans(operands: tuple[Layout, ...], y: Layout, parameters: int) -> list[Plan] | None:
    """Return the walks that write y, or None where its elements lie with gaps or backwards.

    parameters: how many of the last operands are single elements.
    """
    shape, strides, item = y
    order = sorted(range(len(shape)), key=lambda axis: -abs(strides[axis]))
    moving = operands[: len(operands) - parameters]
    seen = [broadcast_strides(o[0], o[1], shape) for o in moving] + [strides]
    seen = [tuple(s[axis] for axis in order) for s in seen]
    if not dense([shape[axis] for axis in order], seen[-1], item):
        return None
    shape, seen = collapse([shape[axis] for axis in order], seen)
    shape = (*[1] * (3 - len(shape)), *shape)
    seen = [(*[0] * (len(shape) - len(s)), *s) for s in seen]
    items = [o[2] for o in operands]
    plan = one_plan(shape[-3:], [s[-3:] for s in seen[:-1]], items, item)
    found = []
    for index in product(*map(range, shape[:-3])):
        starts = [sum(i * s for i, s in zip(index, steps)) for steps in seen]  # of three fewer
        found.append((plan, (*starts[:-1], *[0] * parameters, starts[-1])))
    return found


def one_plan(shape: Strides, strides: Sequence[Strides], items: Sequence[int], item: int) -> Array:
    """Return the plan of one walk over (outer, rows, columns).

    strides: of the operands that are no parameters.  items: bytes of all operands' elements.
    """
    outer, rows, columns = shape
    period = rows
    share = max(LEAST, min(MOST, -(-outer * rows * columns // SHARES // LEAST) * LEAST))
    joined = transposed = any(is_transposed(s, each) for s, each in zip(strides, items))
    if transposed:
        tile_rows, tile_columns = TILE // SIDE, SIDE
        joined = columns == tile_columns
    elif columns >= LONG:
        picked = any(s[2] not in (0, each) for s, each in zip(strides, items))
        tile_columns = min(columns, TILE if picked else share)
        tile_rows = max(1, share // tile_columns)
    else:
        joined = True
        outer, rows = 1, outer * rows
        tile_rows, tile_columns = TILE // columns, columns
    call = 2**62
    slots: list[int] = []
    for k, each in enumerate(items):
        steps = strides[k] if k < len(strides) else (0, 0, 0)
        packer = 0
        natural = period * columns * each, columns * each, each
        if k >= len(strides):
            mode = FIXED
        elif all(n == 1 or s == m for n, s, m in zip(shape, steps, natural, strict=True)):
            mode, steps = LINES, natural
        elif steps[2] == each and not joined:
            mode = LINES
        elif transposed or joined:
            mode = PACK
            packer = packer_address(each, transposed and is_transposed(steps, each))
        else:
            mode = PACK_LINES
            call = TILE
            packer = packer_address(each, False)
        slots += [mode, each, *steps, packer]
    tasks = outer * -(-rows // tile_rows) * -(-columns // tile_columns)
    head = [len(items), tasks, rows, columns, tile_rows, tile_columns, call, period, item, joined]
    return np.array([*head, *slots], np.int64)
