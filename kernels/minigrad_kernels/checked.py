"""The checked mode: hold the arguments of each launch to what kernels are compiled on.

What a kernel writes can be written, lies at multiples of its element's size and does not repeat an
element; it shares no memory with what the kernel reads, nor with what else it writes, but that y of
an elementwise kernel may be one of its inputs, the same elements in the same order.  Indices lie
inside what they point into, and a table's tensors lie apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.jit.address_table import SIZE, STATE, G, P
from minigrad_kernels.jit.arguments import names
from minigrad_kernels.kernel import PARALLEL, Kernel

Array = np.ndarray[Any, Any]
WORK = 100_000  # steps of the exact search for a shared element
# NumPy's own below PARALLEL elements, which minds overlap: writes into a user's memory count on it.
MINDFUL = frozenset({"copy", "add"})


def check_launch(name: str, kernel: Kernel, args: Sequence[Any]) -> None:
    """Raise a RuntimeError that names the kernel and the argument where a launch breaks the rules.

    >>> from minigrad_kernels.table import KERNELS
    >>> x = np.zeros(4)
    >>> check_launch("exp", KERNELS["exp"], (x, x))
    >>> check_launch("exp", KERNELS["exp"], (x[1:], x[:-1]))
    Traceback (most recent call last):
    ...
    RuntimeError: kernel exp: y, float64 (3,), shares memory with its argument a0, float64 (3,)
    """
    labels = names(kernel, args)
    arrays = [
        (label, a if isinstance(a, np.ndarray) else a.geometry)
        for label, a in zip(labels, args, strict=True)
        if isinstance(a, (np.ndarray, DeviceArray))
    ]
    written = {*kernel.out, *kernel.inout}
    in_place = kernel.rule is not None and name != "copy"
    for label, a in arrays:
        if not a.flags.aligned or not a.dtype.isnative:
            fail(name, label, a, "is not aligned, or of another byte order")
        if label in written and a.size:
            if not a.flags.writeable:
                fail(name, label, a, "is written, but lies in read-only memory")
            if repeats(a):
                fail(name, label, a, "is written, but several of its elements share memory")
    for (label, a), (other, b) in combinations(arrays, 2):
        if label not in written and other not in written:
            continue
        if name in MINDFUL and a.size < PARALLEL and isinstance(args[-1], np.ndarray):
            continue
        if shares(a, b) and not (in_place and identical(a, b)):
            first, second = (
                ((label, a), (other, b)) if label in written else ((other, b), (label, a))
            )
            fail(name, *first, f"shares memory with its argument {shown(*second)}")
    if "table" in labels:
        check_table(name, args[labels.index("table")], args[labels.index("like")])
    inside = INSIDE.get(name)
    if inside is not None:
        inside(name, dict(zip(labels, args, strict=True)))


def shown(label: str, a: Array) -> str:
    """Return an argument as errors show it."""
    return f"{label}, {a.dtype} {a.shape}"


def fail(name: str, label: str, a: Array, what: str) -> None:
    """Raise the RuntimeError of a launch that breaks a rule."""
    raise RuntimeError(f"kernel {name}: {shown(label, a)}, {what}")


def repeats(a: Array) -> bool:
    """Return whether two elements of an array share memory."""
    if a.flags.forc:
        return False
    moving = [(abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1]
    where = np.zeros((), np.int64)
    for step, n in moving:
        where = np.add.outer(where, step * np.arange(n))
    return bool((np.diff(np.sort(where, None)) < a.itemsize).any())


def shares(a: Array, b: Array) -> bool:
    """Return whether two arrays share an element, True where that takes too long to find out."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def identical(a: Array, b: Array) -> bool:
    """Return whether two arrays are the same elements in the same order."""
    at = a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    # Dimensions of size 1 may have any stride.
    steps = (tuple(s for s, n in zip(x.strides, x.shape, strict=True) if n > 1) for x in (a, b))
    return at and a.dtype == b.dtype and a.shape == b.shape and len(set(steps)) == 1


# ---------------------------------------------------------------- tables of addresses
def check_table(name: str, table: Any, like: Any) -> None:
    """Hold the tensors of a table apart.

    A gradient may be its own parameter's memory, for kernels that change gradients.
    """
    rows = np.asarray(table)
    item = like.dtype.itemsize
    spans = []  # first byte, last + 1, row
    for k, row in enumerate(rows):
        if row[SIZE]:
            if any(int(at) % item for at in row[P:]):
                raise RuntimeError(f"kernel {name}: tensor {k} of its table is not aligned")
            spans += [(int(at), int(at + row[SIZE] * item), k) for at in {row[P], row[G]}]
    # How large a state is, the table does not say: it begins outside of all others.
    starts = sorted((int(at), k) for k, row in enumerate(rows) for at in row[STATE:] if row[SIZE])
    spans.sort()
    for (_, end, k), (start, _, other) in pairwise(spans):
        if start < end:
            raise RuntimeError(f"kernel {name}: tensors {k} and {other} of its table overlap")
    firsts = [start for start, _, _ in spans]
    for at, k in starts:
        i = int(np.searchsorted(firsts, at, "right")) - 1
        if i >= 0 and at < spans[i][1]:
            other = spans[i][2]
            raise RuntimeError(f"kernel {name}: a state of tensor {k} lies in tensor {other}")
    if len({at for at, _ in starts}) < len(starts):
        raise RuntimeError(f"kernel {name}: two states of its table are one")


# ---------------------------------------------------------------- indices
def host(a: Any) -> Array:
    """Return an array's elements on the host."""
    read: Array = a.read() if isinstance(a, DeviceArray) else np.asarray(a)
    return read


def check_inside(name: str, label: str, indices: Any, low: int, high: int) -> None:
    """Raise a RuntimeError where indices leave [low, high)."""
    values = host(indices)
    if values.size and (values.min() < low or values.max() >= high):
        raise RuntimeError(
            f"kernel {name}: {label} goes from {values.min()} to {values.max()}, outside"
            f" {low} to {high - 1}"
        )


def rows_of(label: str) -> Callable[[str, dict[str, Any]], None]:
    """Return the check that `indices` are rows of an argument."""
    return lambda name, args: check_inside(name, "indices", args["indices"], 0, len(args[label]))


def windows_inside(label: str) -> Callable[[str, dict[str, Any]], None]:
    """Return the check that windows lie in the planes of an argument; one may have no elements."""

    def check(name: str, args: dict[str, Any]) -> None:
        """Check the windows along both dimensions."""
        for way, size in zip(("row_windows", "column_windows"), args[label].shape[1:], strict=True):
            first, last = host(args[way])[:, 0], host(args[way])[:, 1]
            held = first < last
            check_inside(name, way, first[held], 0, size)
            check_inside(name, way, last[held], 1, size + 1)

    return check


def places_inside(name: str, args: dict[str, Any]) -> None:
    """Check that the indices of max_pool_backward lie in their planes, or are -1."""
    size = args["dx"].shape[1] * args["dx"].shape[2]
    check_inside(name, "index", args["index"], -1, size)


def classes_inside(name: str, args: dict[str, Any]) -> None:
    """Check that the targets that count are classes."""
    target = host(args["target"])
    counted = target[target != args["ignore_index"]]
    check_inside(name, "target", counted, 0, args["x"].shape[1])


INSIDE: dict[str, Callable[[str, dict[str, Any]], None]] = {
    "take_rows": rows_of("weight"),
    "take_flat": rows_of("x"),
    "scatter_add_rows": rows_of("dw"),
    "scatter_add_flat": rows_of("dx"),
    "scatter_flat": rows_of("dx"),
    "max_pool": windows_inside("x"),
    "avg_pool": windows_inside("x"),
    "avg_pool_backward": windows_inside("dx"),
    "max_pool_backward": places_inside,
    "cross_entropy_forward": classes_inside,
    "cross_entropy_backward": classes_inside,
}
