"""Rows of x: (N, C) that threads hold in registers, so that memory is read once whatever follows.

A thread holds a tuple: every threads-th number of its row, or every threads-th four of them.  The
device functions of this file take a tuple by halves, down to one access or one number, all at
compile time: an index that the run decided would send registers to memory.  A row that no form
holds is walked again and again, see rows.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check
from minigrad_kernels.cuda.launch import blocks, run, vectors
from minigrad_kernels.cuda.rows import THREADS, WARPS, Device, Rows
from minigrad_kernels.cuda.warps import WARP


@dataclass(frozen=True)
class Form:
    """How a row is held: in `count` accesses by each thread of `warps` warps.

    kind: float32 or float64.  vector: whether an access is four float32.
    """

    kind: Any
    vector: bool
    warps: int
    count: int

    @property
    def width(self) -> int:
        """The numbers of an access."""
        return 4 if self.vector else 1

    @property
    def numbers(self) -> int:
        """The numbers that a thread holds."""
        return self.width * self.count

    @property
    def capacity(self) -> int:
        """The longest row that it holds.

        >>> Form(float32, True, 1, 8).capacity
        1024
        """
        return self.numbers * self.warps * WARP

    def __str__(self) -> str:
        return f"{'vectors' if self.vector else 'elements'}.{self.warps}x{self.count}/{self.kind}"


FORMS: tuple[Form, ...] = (
    *(Form(float32, True, 1, count) for count in (1, 2, 4, 8)),
    *(Form(float32, True, WARPS, count) for count in (4, 8)),
    *(Form(float32, False, 1, count) for count in (1, 4, 16, 32)),
    Form(float32, False, WARPS, 32),
    *(Form(float64, False, 1, count) for count in (1, 4, 8)),
    Form(float64, False, WARPS, 8),
)
"""The forms of each kind and width, the smaller ones first."""


def form_of(kind: str, vector: bool, c: int) -> Form | None:
    """Return the smallest form that holds rows of c numbers, None where there is none.

    >>> form_of("float32", True, 1000).capacity, form_of("float32", True, 5000)
    (1024, None)
    """
    fitting = (f for f in FORMS if (f.kind.name, f.vector) == (kind, vector) and f.capacity >= c)
    return next(fitting, None)


def reading(form: Form) -> Device:
    """Return the device function that reads a thread's share of a row.

    It takes x, where the row begins, the thread's first place in it, the row's size, and what
    stands for the numbers behind its end.
    """

    @cuda.jit(device=True)
    def four(x, first, j, c, fill):
        return ptx.load128(x, uint32(first + j)) if j < c else (fill, fill, fill, fill)

    @cuda.jit(device=True)
    def one(x, first, j, c, fill):
        return (x[uint32(first + j)] if j < c else fill,)

    def of(count: int) -> Device:
        if count == 1:
            return four if form.vector else one
        less = of(count // 2)
        step = count // 2 * form.width * form.warps * WARP

        @cuda.jit(device=True)
        def both(x, first, j, c, fill):
            low = less(x, first, j, c, fill)
            return low + less(x, first, uint32(j + uint32(step)), c, fill)

        return both

    return of(form.count)


def writing(form: Form) -> Device:
    """Return the device function that writes a thread's share, by the places of `reading`."""

    @cuda.jit(device=True)
    def four(y, first, j, c, held):
        if j < c:
            ptx.store128(y, uint32(first + j), held)

    @cuda.jit(device=True)
    def one(y, first, j, c, held):
        if j < c:
            y[uint32(first + j)] = held[0]

    def of(count: int) -> Device:
        if count == 1:
            return four if form.vector else one
        half = count // 2 * form.width
        less = of(count // 2)
        step = half * form.warps * WARP

        @cuda.jit(device=True)
        def both(y, first, j, c, held):
            less(y, first, j, c, held[:half])
            less(y, first, uint32(j + uint32(step)), c, held[half:])

        return both

    return of(form.count)


def folding(rule: Device, join: Device, numbers: int) -> Device:
    """Return the device function of a, b and d: all rule(a[i], b[i], d), joined by halves."""
    if numbers == 1:

        @cuda.jit(device=True)
        def one(a, b, d):
            return rule(a[0], b[0], d)

        return one
    less, half = folding(rule, join, numbers // 2), numbers // 2

    @cuda.jit(device=True)
    def both(a, b, d):
        return join(less(a[:half], b[:half], d), less(a[half:], b[half:], d))

    return both


def mapping(rule: Device, numbers: int) -> Device:
    """Return the device function of a, b, d and e: the tuple of rule(a[i], b[i], d, e)."""
    if numbers == 1:

        @cuda.jit(device=True)
        def one(a, b, d, e):
            return (rule(a[0], b[0], d, e),)

        return one
    less, half = mapping(rule, numbers // 2), numbers // 2

    @cuda.jit(device=True)
    def both(a, b, d, e):
        return less(a[:half], b[:half], d, e) + less(a[half:], b[half:], d, e)

    return both


class HeldRows:
    """A kernel in every form of FORMS, `hold(form)` returns one, and in those for longer rows.

    walk: what `Rows` takes, for rows that no form holds.
    """

    def __init__(self, hold: Callable[[Form], Any], walk: Callable[[Any, bool, int], Any]) -> None:
        self.forms = {form: hold(form) for form in FORMS}
        self.long = Rows(walk, (WARPS,))

    def __call__(self, rows: int, c: int, wide: tuple[DeviceArray, ...], *args: Any) -> None:
        """Launch the form for `rows` rows of c elements: see `Rows`."""
        form = form_of(wide[0].dtype.name, c % 4 == 0 and vectors(*wide), c)
        if form is None:
            self.long(rows, c, wide, *args)
        else:
            work = blocks(rows, WARPS // form.warps)
            run(self.forms[form], work, THREADS, *args)

    def holding(self, kind: str, vector: bool, c: int) -> Any:
        """Return the kernel for rows of c elements; one of `long.forms` where none holds them."""
        form = form_of(kind, vector, c)
        return self.long.forms[kind, vector, WARPS] if form is None else self.forms[form]

    def checks(self, name: str, signature: Callable[[Any], Any], **options: Any) -> list[Check]:
        """Return a check for every form.

        signature, options: as `Rows` takes them; registers: of the forms that hold a row.
        """
        promised = options.get("opcodes", ("LDG.E.128", "STG.E.128"))
        most = options.pop("registers", 64)
        held = [
            Check(
                f"{name}.{form}",
                kernel,
                signature(form.kind),
                ("SHFL.BFLY", *(promised if form.vector else ())),
                most,
                form.kind == float64,
            )
            for form, kernel in self.forms.items()
        ]
        return held + self.long.checks(name, signature, **options)
