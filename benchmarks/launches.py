"""What passes through the door while a call runs: its cost, or its kernels' references instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.harness import Array
from minigrad.engine.dispatch import dispatch
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.table import KERNELS

Run = Callable[..., None]


@contextmanager
def replaced(replacement: Callable[[str, Run], Run]) -> Iterator[None]:
    """Let every launch of this thread run `replacement(name, kernel)` instead of the kernel."""
    tables = (dispatch.kernels, getattr(dispatch, "small", {}))  # the second one is fast.py's
    before = [dict(table) for table in tables]
    for table, kernels in zip(tables, before, strict=True):
        table.update({name: replacement(name, run) for name, run in kernels.items()})
    try:
        yield
    finally:
        for table, kernels in zip(tables, before, strict=True):
            table.update(kernels)


@contextmanager
def references() -> Iterator[None]:
    """Let the plain NumPy references compute everything: on float64 tensors, the exact result."""
    with replaced(lambda name, run: KERNELS[name].reference), np.errstate(all="ignore"):
        yield


def cost(call: Callable[[], Any]) -> tuple[int, int]:
    """Return the flops and the bytes of all that `call` launches, by the table's costs.

    Bytes are those the kernel says it moves, but a broadcast operand counts as what lies in memory,
    and an array that is written and not read counts twice (write-allocate).
    """
    flops = traffic = 0

    def counting(name: str, run: Run) -> Run:
        def launch(*args: Any) -> None:
            nonlocal flops, traffic
            its_flops, its_bytes = KERNELS[name].cost(*args)
            flops += int(its_flops)
            traffic += int(its_bytes) + correction(KERNELS[name], args)
            run(*args)

        return launch

    with replaced(counting):
        call()
    return flops, traffic


def correction(kernel: Kernel, args: tuple[Any, ...]) -> int:
    """Return the write-allocated bytes less those that broadcasting only seems to move."""
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    repeated = sum(a.nbytes - stored(a) for a in arrays)
    read = {id(a) for a in inputs(kernel, args)}
    sources = {a.ctypes.data for a in arrays if id(a) in read}
    written = (a for a in arrays if id(a) not in read and a.ctypes.data not in sources)
    return sum(a.nbytes for a in written) - repeated


def stored(a: Array) -> int:
    """Return the bytes of an array's distinct elements."""
    sizes = (n for n, stride in zip(a.shape, a.strides, strict=True) if stride or not n)
    return int(np.prod([*sizes, a.itemsize], dtype=np.int64))


def inputs(kernel: Kernel, args: tuple[Any, ...]) -> list[Any]:
    """Return the arguments that a kernel reads; a ufunc and a lifted rule write the last."""
    names = parameters(kernel.reference)
    if len(names) != len(args):
        return list(args[:-1])
    return [arg for name, arg in zip(names, args, strict=True) if name not in kernel.out]


def parameters(function: Run) -> list[str]:
    """Return the names of a function's parameters; a ufunc has none to tell."""
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:
        return []
