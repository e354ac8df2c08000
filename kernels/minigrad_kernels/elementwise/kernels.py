"""Lift a scalar rule to arrays: small contiguous ones at once, others tile by tile.

A rule of one to three operands is compiled as one loop over contiguous arrays, for each dtype at
its first use.  Small contiguous arrays go to that loop; large, broadcast and strided ones to the
walk, which calls the same machine code.

Shapes: inputs broadcast against y: (...); y may be strided and may be one of the inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba.core import types
from numba.np.numpy_support import from_dtype

from minigrad_kernels import example
from minigrad_kernels.elementwise.plan import Plan, plans
from minigrad_kernels.elementwise.walk import walk
from minigrad_kernels.jit.address_table import address as address_of
from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.function_pointers import code_address
from minigrad_kernels.kernel import PARALLEL, Kernel, Rule
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
LAYOUTS = 512  # of operands whose walks a rule keeps at hand


def compiled(rule: Any, count: int, numbers: bool, name: str) -> Any:
    """Return the loop of a rule over contiguous arrays.

    numbers: whether the rule takes two numbers more (a slope, bounds), from an array of two.
    """
    if count == 1 and numbers:

        @jit(name=f"{name}.loop")
        def loop(a: Array, n: Array, y: Array) -> None:
            full_width()
            p, r, first, second = address(a), address(y), n[0], n[1]
            for i in range(y.size):
                store_at(r, i, rule(load_at(p, i, a, 0), first, second), 3)

    elif count == 1:

        @jit(name=f"{name}.loop")
        def loop(a: Array, y: Array) -> None:
            full_width()
            p, r = address(a), address(y)
            for i in range(y.size):
                store_at(r, i, rule(load_at(p, i, a, 0)), 3)

    elif count == 2 and numbers:

        @jit(name=f"{name}.loop")
        def loop(a: Array, b: Array, n: Array, y: Array) -> None:
            full_width()
            p, q, r, first, second = address(a), address(b), address(y), n[0], n[1]
            for i in range(y.size):
                value = rule(load_at(p, i, a, 0), load_at(q, i, b, 1), first, second)
                store_at(r, i, value, 3)

    elif count == 2:

        @jit(name=f"{name}.loop")
        def loop(a: Array, b: Array, y: Array) -> None:
            full_width()
            p, q, r = address(a), address(b), address(y)
            for i in range(y.size):
                store_at(r, i, rule(load_at(p, i, a, 0), load_at(q, i, b, 1)), 3)

    else:

        @jit(name=f"{name}.loop")
        def loop(a: Array, b: Array, c: Array, y: Array) -> None:
            full_width()
            p, q, o, r = address(a), address(b), address(c), address(y)
            for i in range(y.size):
                value = rule(load_at(p, i, a, 0), load_at(q, i, b, 1), load_at(o, i, c, 2))
                store_at(r, i, value, 3)

    return loop


class Lifted:
    """A rule's loop over small arrays, and its walk over large ones."""

    def __init__(
        self, name: str, rule: Any, count: int, numbers: bool = False, loop: Any = None
    ) -> None:
        self.loop = compiled(rule, count, numbers, name) if loop is None else loop
        self.count = count
        self.numbers = numbers
        self.addresses: dict[tuple[Any, ...], int] = {}
        self.walks: dict[tuple[Any, ...], tuple[int, list[Plan] | None]] = {}

    def address(self, args: Sequence[Array]) -> int:
        """Return the address of the loop's machine code, compiled if it is not."""
        dtypes = tuple(a.dtype for a in args)
        found = self.addresses.get(dtypes)
        if found is None:
            signature = tuple(types.Array(from_dtype(d), 1, "C") for d in dtypes)
            found = self.addresses[dtypes] = code_address(self.loop, signature)
        return found

    def irregular(self, *args: Array) -> None:
        """Run the loop on few elements of any layout: contiguous copies cost less than a walk."""
        y = args[-1]
        result = y if y.flags.carray else np.empty(y.shape, y.dtype)
        same = [
            a if a.shape == y.shape and a.flags.carray else np.array(np.broadcast_to(a, y.shape))
            for a in args[: self.count]
        ]
        self.loop(*[a.reshape(-1) for a in same], *args[self.count : -1], result.reshape(-1))
        if result is not y:
            np.copyto(y, result)

    def large(self, *args: Array) -> None:
        """Walk over the operands tile by tile, on all threads."""
        y = args[-1]
        if y.size == 0:
            return
        layouts = tuple([(a.shape, a.strides, a.dtype) for a in args])
        known = self.walks.get(layouts)
        if known is None:
            if len(self.walks) >= LAYOUTS:
                self.walks.clear()
            *operands, result = [(*layout[:2], layout[2].itemsize) for layout in layouts]
            known = self.address(args), plans(tuple(operands), result, self.numbers)
            self.walks[layouts] = known
        function, walks = known
        if walks is None:
            held = np.empty(y.shape, y.dtype)
            self.large(*args[:-1], held)
            np.copyto(y, held)
            return
        addresses = [address_of(a) for a in args]
        spare = [0] * (4 - len(args))
        for plan, starts in walks:
            if any(starts):
                addresses = [address_of(a) + start for a, start in zip(args, starts, strict=True)]
            walk(plan, function, *addresses[:-1], *spare, addresses[-1])


@functools.lru_cache(maxsize=64)
def two_numbers(first: float, second: float, dtype: Any) -> Array:
    """Return what a rule with numbers reads them from."""
    return np.array([first, second], dtype)


def without_ufunc(lifted: Lifted) -> Callable[..., None]:
    """Return the CPU column of a rule that NumPy lacks.

    Written out by number of operands: a call through `*args` costs as much as 16 elements.
    """
    loop, irregular, large = lifted.loop, lifted.irregular, lifted.large
    cpu: Callable[..., None]
    if lifted.numbers and lifted.count == 1:

        def cpu(a: Array, first: float, second: float, y: Array) -> None:
            n = two_numbers(first, second, y.dtype)
            if y.size >= PARALLEL:
                large(a, n, y)
            elif a.shape == y.shape and a.flags.carray and y.flags.carray:
                loop(a.reshape(-1), n, y.reshape(-1))
            else:
                irregular(a, n, y)

    elif lifted.numbers:

        def cpu(a: Array, b: Array, first: float, second: float, y: Array) -> None:
            n = two_numbers(first, second, y.dtype)
            (irregular if y.size < PARALLEL else large)(a, b, n, y)

    elif lifted.count == 1:

        def cpu(a: Array, y: Array) -> None:
            if y.size >= PARALLEL:
                large(a, y)
            elif a.shape == y.shape and a.flags.carray and y.flags.carray:
                loop(a.reshape(-1), y.reshape(-1))
            else:
                irregular(a, y)

    elif lifted.count == 2:

        def cpu(a: Array, b: Array, y: Array) -> None:
            if y.size >= PARALLEL:
                large(a, b, y)
            elif (
                a.shape == b.shape == y.shape
                and a.flags.carray
                and b.flags.carray
                and y.flags.carray
            ):
                loop(a.reshape(-1), b.reshape(-1), y.reshape(-1))
            else:
                irregular(a, b, y)

    else:

        def cpu(a: Array, b: Array, c: Array, y: Array) -> None:
            (irregular if y.size < PARALLEL else large)(a, b, c, y)

    return cpu


def by_size(lifted: Lifted, ufunc: Callable[..., Any]) -> Callable[..., None]:
    """Return the CPU column of a rule that NumPy has: its ufunc below PARALLEL elements.

    The ufunc alone takes integers and bools.
    """
    large = lifted.large
    cpu: Callable[..., None]
    if lifted.count == 1:

        def cpu(a: Array, y: Array) -> None:
            if y.size < PARALLEL or y.dtype not in FLOATS:
                ufunc(a, y)
            else:
                large(a, y)

    elif lifted.count == 2:

        def cpu(a: Array, b: Array, y: Array) -> None:
            if y.size < PARALLEL or y.dtype not in FLOATS:
                ufunc(a, b, y)
            else:
                large(a, b, y)

    else:

        def cpu(a: Array, b: Array, c: Array, y: Array) -> None:
            if y.size < PARALLEL or y.dtype not in FLOATS:
                ufunc(a, b, c, y)
            else:
                large(a, b, c, y)

    return cpu


def lift(name: str, rule: Rule, loop: Any = None) -> Kernel:
    """Build the row of a rule: its reference, its CPU column, its cost, and what is derived.

    loop: over contiguous arrays, where it is more than the rule on each element, of the same bits.
    """

    def wide(*args: Any) -> None:
        """Compute y = reference(inputs) with float32 inputs as float64."""
        inputs = [
            a.astype(np.float64) if getattr(a, "dtype", None) == np.float32 else a
            for a in args[:-1]
        ]
        with np.errstate(all="ignore"):
            args[-1][...] = rule.reference(*inputs)

    def cost(*args: Any) -> tuple[int, int]:
        """Return the flops and the bytes of a launch."""
        return rule.flops * args[-1].size, sum(a.nbytes for a in args if isinstance(a, np.ndarray))

    lifted = Lifted(name, rule.function, rule.operands, bool(rule.numbers), loop)
    cpu = by_size(lifted, rule.reference) if rule.ufunc else without_ufunc(lifted)
    return row_of(rule, wide, cpu, cost, small=rule.reference if rule.ufunc else None)


def row_of(
    rule: Rule,
    reference: Callable[..., None],
    cpu: Callable[..., None],
    cost: Callable[..., tuple[int, int]],
    small: Callable[..., None] | None = None,
) -> Kernel:
    """Return the row of an elementwise kernel, with its example and its rounding from the rule."""
    made = example.elementwise(
        rule.drawn(), rule.numbers, truth=rule.truth, cancels=rule.rounding[1] > 0
    )
    return Kernel(
        reference,
        cpu,
        cost,
        small=small,
        example=made,
        rounding=rule.rounding,
        rule=rule,
    )
