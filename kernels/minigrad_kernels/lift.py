"""Lifting a scalar rule of one, two or three operands to arrays: flat or strided, by size alone.

Shapes: inputs broadcast against y: (...); y may be strided and may be one of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.launch import PARALLEL, Kernel, jit

Array = np.ndarray[Any, Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def flat(rule: Any, count: int, name: str, parallel: bool) -> Any:
    """Return a jitted loop over contiguous 1-D operands."""
    if count == 1:

        @jit(name=f"{name}.flat1.{parallel}", parallel=parallel)
        def loop(a: Array, y: Array) -> None:
            for i in prange(y.size):
                y[i] = rule(a[i])

    elif count == 2:

        @jit(name=f"{name}.flat2.{parallel}", parallel=parallel)
        def loop(a: Array, b: Array, y: Array) -> None:
            for i in prange(y.size):
                y[i] = rule(a[i], b[i])

    else:

        @jit(name=f"{name}.flat3.{parallel}", parallel=parallel)
        def loop(a: Array, b: Array, c: Array, y: Array) -> None:
            for i in prange(y.size):
                y[i] = rule(a[i], b[i], c[i])

    return loop


def strided(rule: Any, count: int, name: str) -> Any:
    """Return a jitted parallel loop over 3-D operands of any strides (0 where broadcast)."""
    if count == 1:

        @jit(name=f"{name}.strided1", parallel=True)
        def loop(a: Array, y: Array) -> None:
            for ij in prange(y.shape[0] * y.shape[1]):
                i = ij // y.shape[1]
                j = ij % y.shape[1]
                for k in range(y.shape[2]):
                    y[i, j, k] = rule(a[i, j, k])

    elif count == 2:

        @jit(name=f"{name}.strided2", parallel=True)
        def loop(a: Array, b: Array, y: Array) -> None:
            for ij in prange(y.shape[0] * y.shape[1]):
                i = ij // y.shape[1]
                j = ij % y.shape[1]
                for k in range(y.shape[2]):
                    y[i, j, k] = rule(a[i, j, k], b[i, j, k])

    else:

        @jit(name=f"{name}.strided3", parallel=True)
        def loop(a: Array, b: Array, c: Array, y: Array) -> None:
            for ij in prange(y.shape[0] * y.shape[1]):
                i = ij // y.shape[1]
                j = ij % y.shape[1]
                for k in range(y.shape[2]):
                    y[i, j, k] = rule(a[i, j, k], b[i, j, k], c[i, j, k])

    return loop


def collapse(arrays: tuple[Array, ...]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Merge neighbouring dimensions that every array walks as one; return the shape and each
    array's strides.

    All arrays have one shape already.  Dimensions of size 1 are dropped.

    >>> a = np.zeros((4, 3, 2))
    >>> collapse((a, a[0, 0].reshape(1, 1, 2).repeat(3, 1).repeat(4, 0)))
    ((24,), [(8,), (8,)])
    """
    shape: list[int] = []
    strides: list[list[int]] = [[] for _ in arrays]
    for axis in range(arrays[0].ndim - 1, -1, -1):
        size = arrays[0].shape[axis]
        if size == 1:
            continue
        steps = [a.strides[axis] for a in arrays]
        if shape and all(s == held[0] * shape[0] for s, held in zip(steps, strides, strict=True)):
            shape[0] *= size
            continue
        shape.insert(0, size)
        for held, s in zip(strides, steps, strict=True):
            held.insert(0, s)
    return tuple(shape), [tuple(s) for s in strides]


def walk(loop: Any, arrays: tuple[Array, ...]) -> None:
    """Call a 3-D `loop` on `arrays` of one shape, collapsed; dimensions beyond three are looped
    over here.
    """
    shape, strides = collapse(arrays)
    view = np.lib.stride_tricks.as_strided
    while len(shape) < 3:
        shape = (1, *shape)
        strides = [(0, *s) for s in strides]
    views = [view(a, shape, s) for a, s in zip(arrays, strides, strict=True)]
    for index in np.ndindex(shape[:-3]):
        loop(*[v[index] for v in views])


def large(
    loops: tuple[Any, Any, Any], ufunc: Callable[..., Any] | None, args: tuple[Array, ...]
) -> None:
    """Run the jitted loop that fits the operands: (flat sequential, flat parallel, strided)."""
    y = args[-1]
    shape = y.shape
    dtype = y.dtype
    if dtype not in FLOATS:
        assert ufunc is not None, "this kernel takes float32 and float64 arrays"
        ufunc(*args)
        return
    for a in args:
        if a.shape != shape or not a.flags.c_contiguous:
            inputs = [np.broadcast_to(a, shape) for a in args[:-1]]
            if y.size >= PARALLEL or not y.flags.c_contiguous:
                walk(loops[2], (*inputs, y))
                return
            # small: cheaper than another loop
            args = (*[np.ascontiguousarray(a) for a in inputs], y)
            break
    loop = loops[0] if y.size < PARALLEL else loops[1]
    loop(*[a.reshape(-1) for a in args])


def jitted(loops: tuple[Any, Any, Any], count: int) -> Callable[..., None]:
    """Return the CPU column of a rule that NumPy lacks; a call of the jitted loop itself costs what
    a ufunc does.
    """
    flat_loop = loops[0]
    if count == 1:

        def cpu(a: Array, y: Array) -> None:
            if (
                y.size < PARALLEL
                and y.ndim == 1
                and a.size == y.size
                and a.flags.c_contiguous
                and y.flags.c_contiguous
            ):
                flat_loop(a, y)
            else:
                large(loops, None, (a, y))

    else:

        def cpu(a: Array, b: Array, y: Array) -> None:
            if (
                y.size < PARALLEL
                and y.ndim == 1
                and a.size == b.size == y.size
                and a.flags.c_contiguous
                and b.flags.c_contiguous
                and y.flags.c_contiguous
            ):
                flat_loop(a, b, y)
            else:
                large(loops, None, (a, b, y))

    return cpu


def by_size(
    name: str, rule: Any, count: int, ufunc: Callable[..., Any] | None
) -> Callable[..., None]:
    """Return the CPU column of an elementwise row: NumPy's ufunc or a jitted loop, by size alone.

    Written out by number of operands: a call through `*args` costs as much as the ufunc on 16
    elements.
    """
    loops = (
        flat(rule, count, name, False),
        flat(rule, count, name, True),
        strided(rule, count, name),
    )
    if ufunc is None:
        return jitted(loops, count)
    if count == 1:

        def cpu(a: Array, y: Array) -> None:
            if y.size < PARALLEL:
                ufunc(a, y)
            else:
                large(loops, ufunc, (a, y))

    elif count == 2:

        def cpu(a: Array, b: Array, y: Array) -> None:
            if y.size < PARALLEL:
                ufunc(a, b, y)
            else:
                large(loops, ufunc, (a, b, y))

    else:

        def cpu(a: Array, b: Array, c: Array, y: Array) -> None:
            if y.size < PARALLEL:
                ufunc(a, b, c, y)
            else:
                large(loops, ufunc, (a, b, c, y))

    return cpu


def lift(
    name: str, rule: Any, count: int, reference: Callable[..., Any], small: bool, flops: int
) -> Kernel:
    """Build the row of a rule.

    reference: NumPy's expression.  small: whether that is a ufunc, and so how a small array is
        computed.
    """

    def wide(*args: Array) -> None:
        inputs = [a.astype(np.float64) if a.dtype == np.float32 else a for a in args[:-1]]
        with np.errstate(all="ignore"):
            args[-1][...] = reference(*inputs)

    def cost(*args: Array) -> tuple[int, int]:
        return flops * args[-1].size, sum(a.nbytes for a in args)

    fast = reference if small else None
    cpu = by_size(name, rule, count, fast)
    return Kernel(wide, cpu, cost, small=fast)
