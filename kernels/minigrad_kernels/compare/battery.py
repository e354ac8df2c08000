"""A battery against mistakes and cheating: what a right result at one size does not show.

A kernel is run on memory that it does not know: outputs full of one pattern, then of another,
guards around them; on inputs that change in place; at other sizes; and is looked at again after it
has returned.  Each check says in a sentence what it saw.

>>> from minigrad_kernels.compare.api import entries
>>> from minigrad_kernels.compare.targets import TARGETS
>>> (entry,) = entries("relu")
>>> found = battery(entry, TARGETS["cpu"], (300,), np.dtype(np.float32))
>>> [check.name for check in found if check.ok] == list(CHECKS)
True
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad_kernels.compare.errors import ulps
from minigrad_kernels.compare.memory import overrun
from minigrad_kernels.compare.targets import Entry, Prepared, Target
from minigrad_kernels.example import Example
from minigrad_kernels.jit.arguments import CONTROL, Rows, bind, names

Array = np.ndarray[Any, Any]
MOST = 65_536  # elements of the largest array that the battery takes
ALLOWED = 256.0  # ULP from the reference, where nothing else is stated: 16 of 24 bits right
PATIENCE = 5.0  # seconds that a thread left behind is waited for
LATER = 0.02  # seconds after which outputs are looked at again
FORMATS = (  # name, bits of the significand that are kept, of float32's 24
    ("bfloat16", 8),
    ("float16 or TF32", 11),
)
MANY = 64  # numbers from which a look at their last bits says something
FASTER = 3.0  # times, on inputs that it has seen, from which a kernel remembers
WORTH = 20e-6  # seconds of a call from which that is asked
CHECKS = {
    "writes": "writes every element of its outputs",
    "old outputs": "does not read what its outputs held before",
    "inputs": "leaves its inputs as they were",
    "bounds": "writes nothing around its arrays",
    "afterwards": "has ended when it returns",
    "new inputs": "computes from the inputs of this call",
    "sizes": "is right at other sizes",
    "precision": "is as precise as its dtype",
}


@dataclass(frozen=True)
class Check:
    """One check of one kernel on one target.  said: what was seen, where it is not ok."""

    kernel: str
    dtype: str
    target: str
    name: str
    ok: bool
    said: str = ""


class Subject:
    """A kernel bound to memory that the battery fills, runs and looks at."""

    def __init__(self, entry: Entry, target: Target, args: Sequence[Any]) -> None:
        made = target.prepare(entry, args)
        assert made is not None and made.bound is not None
        self.prepared: Prepared = made
        self.bound = made.bound
        self.names = names(entry.kernel, args)
        self.read_only = [
            i
            for i, (label, a) in enumerate(zip(self.names, self.bound.args))
            if hasattr(a, "nbytes")
            and len(a.shape) > 0
            and label not in CONTROL
            and not any(a is w for w in self.bound.written)
            and not isinstance(args[i], Rows)
        ]
        self.outputs = list(self.bound.written[len(flat(self.bound.tensors)) :])
        self.outputs = self.outputs[: len(entry.kernel.out)]
        self.labels = list(entry.kernel.out)
        self.changed = [w for w in self.bound.written if not any(w is o for o in self.outputs)]
        self.before = [made.get(a) for a in self.changed]

    def run(self, poison: int) -> list[Array | None]:
        """Fill the outputs with a pattern, what is updated with what it was; call; read."""
        for a, values in zip(self.changed, self.before):
            self.prepared.put(a, values)
        self.fill(poison)
        self.prepared.call()
        return self.prepared.read()

    def fill(self, poison: int) -> None:
        """Fill the outputs with a pattern."""
        for a in self.outputs:
            self.prepared.put(a, pattern(a.shape, a.dtype, poison))

    def inputs(self) -> list[Array]:
        """Return copies of what the kernel must not write."""
        return [self.prepared.get(self.bound.args[i]) for i in self.read_only]


def flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the items of rows one after another."""
    return [item for row in rows for item in row]


def pattern(shape: tuple[int, ...], dtype: Any, poison: int) -> Array:
    """Return an array full of one of two patterns.

    >>> pattern((2,), np.float32, 0).tolist(), pattern((1,), bool, 1).tolist()
    ([nan, nan], [True])
    """
    kind = np.dtype(dtype)
    values: dict[str, tuple[Any, Any]] = {
        "f": (np.nan, 1234.5678),
        "c": (complex(np.nan, np.nan), 1234.5678),
        "b": (False, True),
        "u": (85, 170),
    }
    return np.full(shape, values.get(kind.kind, (-85, 86))[poison], kind)


# ---------------------------------------------------------------- the checks
def battery(
    entry: Entry, target: Target, sizes: tuple[int, ...], dtype: np.dtype[Any], seed: int = 1
) -> list[Check]:
    """Return all checks of a kernel on a target; none where the target lacks it.

    sizes: as asked for; more than MOST elements are cut down.
    """
    with np.errstate(all="ignore"):  # memory that nothing has written holds any number
        return _battery(entry, target, sizes, dtype, seed)


def _battery(
    entry: Entry, target: Target, sizes: tuple[int, ...], dtype: np.dtype[Any], seed: int
) -> list[Check]:
    few = 192 if target.name == "cuda-sim" else MOST
    base = cut(entry.example, sizes, few)
    args = make(entry, dtype, base, seed)
    if (made := target.prepare(entry, args)) is None or made.bound is None:
        return []
    found = dict.fromkeys(CHECKS, "")
    subject = Subject(entry, target, args)
    given = subject.inputs()
    threads = set(threading.enumerate())
    first = subject.run(0)
    found["afterwards"] = late(subject, threads)
    found["inputs"] = changed_inputs(subject, given)
    second = subject.run(1)
    found["writes"], found["old outputs"] = outputs_of(subject, first, second)
    found["bounds"] = around(subject)
    found["new inputs"] = again(entry, target, subject, base, dtype, seed)
    if target.timed and not found["new inputs"]:
        found["new inputs"] = remembers(subject)
    found["precision"] = precision(entry, args, first, dtype)
    found["sizes"] = at_sizes(entry, target, base, dtype, seed, few)
    label = entry.name, dtype.name, target.name
    return [Check(*label, name, not said, said) for name, said in found.items()]


def make(entry: Entry, dtype: Any, sizes: tuple[int, ...], seed: int) -> tuple[Any, ...]:
    """Return arguments of an example, drawn from a seed."""
    return entry.example.make(np.random.default_rng(seed), dtype, *sizes)


def cut(example: Example, sizes: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Return sizes as asked for, or those of `most` elements where they are larger.

    >>> cut(Example(lambda *a: (), "NxC"), (4096, 4096), 1024)
    (32, 32)
    """
    rough = int(np.prod([float(s) for s in sizes]))
    small = example.sizes((most,))
    return sizes if rough <= int(np.prod([float(s) for s in small])) else small


def changed_inputs(subject: Subject, given: Sequence[Array]) -> str:
    """Say which inputs are not what they were."""
    for i, before, now in zip(subject.read_only, given, subject.inputs()):
        if before.tobytes() != now.tobytes():
            count = int((before.view(np.uint8) != now.view(np.uint8)).sum()) if before.ndim else 1
            return f"it changes its input {subject.names[i]}: {count} bytes of {before.nbytes}"
    return ""


def late(subject: Subject, before: set[threading.Thread]) -> str:
    """Say what is written after the call has returned.

    before: the threads of Python that ran before the call; the others are waited for.
    """
    subject.fill(1)
    standing = [subject.prepared.get(a) for a in subject.outputs]
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
    time.sleep(LATER)
    for label, a, held in zip(subject.labels, subject.outputs, standing):
        if held.tobytes() != subject.prepared.get(a).tobytes():
            return f"it returns before its work has ended: {label} is written afterwards"
    return ""


def outputs_of(
    subject: Subject, first: Sequence[Array | None], second: Sequence[Array | None]
) -> tuple[str, str]:
    """Say what is not written, and what depends on what stood in the outputs."""
    tensors = len(flat(subject.bound.tensors))
    unwritten, old = "", ""
    for i, (one, other) in enumerate(zip(first, second)):
        if one is None or other is None or one.tobytes() == other.tobytes():
            continue
        place = i - tensors
        label = subject.labels[place] if 0 <= place < len(subject.labels) else "what it updates"
        differ = bits_of(one) != bits_of(other)
        stands = np.zeros_like(differ)
        if 0 <= place < len(subject.labels):
            for result, poison in ((one, 0), (other, 1)):
                same = bits_of(result) == bits_of(pattern(result.shape, result.dtype, poison))
                stands = same if poison == 0 else stands & same
        missing = int((differ & stands).sum())
        if missing:
            unwritten = unwritten or f"it leaves {missing} of {one.size} elements of {label} alone"
        depends = int((differ & ~stands).sum())
        if depends:
            old = old or f"{depends} of {one.size} elements of {label} depend on what stood there"
    return unwritten, old


def bits_of(a: Array) -> Array:
    """Return the elements of an array as integers, so that NaN equals itself."""
    wide = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}.get(a.itemsize)
    flat_ = np.ascontiguousarray(a).reshape(-1)
    return flat_.view(wide) if wide is not None else flat_


def around(subject: Subject) -> str:
    """Say which arrays were written beyond their ends."""
    for a in [*subject.bound.args, *flat(subject.bound.tensors)]:
        if isinstance(a, np.ndarray) and type(a) is np.ndarray and (count := overrun(a)):
            where = [n for n, b in zip(subject.names, subject.bound.args) if b is a]
            return f"it writes {count} bytes around {where[0] if where else 'a tensor'}"
    return ""


def again(
    entry: Entry,
    target: Target,
    subject: Subject,
    sizes: tuple[int, ...],
    dtype: np.dtype[Any],
    seed: int,
) -> str:
    """Say whether new numbers in the same memory give another result than in new memory."""
    other = make(entry, dtype, sizes, seed + 1)
    fresh = Subject(entry, target, other)
    if [a.shape for a in fresh.inputs()] != [a.shape for a in subject.inputs()]:
        return ""
    for i in subject.read_only:
        subject.prepared.put(subject.bound.args[i], np.asarray(other[i]))
    subject.before = fresh.before
    here = subject.run(0)
    there = exact(entry, other)
    limit = allowed(entry)
    for one, want in zip(here, there):
        if one is not None and one.size and worst(one, want, dtype, entry) > limit:
            return "with new numbers in its inputs, its result is not that of the new numbers"
    return ""


def remembers(subject: Subject) -> str:
    """Say whether a call on inputs that were seen before takes a fraction of one on new ones."""
    places = [
        i
        for i in subject.read_only
        if isinstance(subject.bound.args[i], np.ndarray)
        and subject.bound.args[i].dtype.kind == "f"
        and subject.bound.args[i].size
    ]
    if not places:
        return ""
    a = subject.bound.args[places[0]].reshape(-1)

    def seconds(new: bool) -> float:
        times = []
        for turn in range(9):
            if new:
                a[0] += 0.015625 * (1 + turn)
            start = time.perf_counter()
            subject.prepared.call()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    subject.prepared.call()
    fresh, seen = seconds(True), seconds(False)
    if fresh < WORTH or fresh < FASTER * seen:
        return ""
    fresh, seen = seconds(True), seconds(False)  # once more: the machine may have been busy
    if fresh < FASTER * seen:
        return ""
    return f"it remembers: {fresh / seen:.0f} times as fast on inputs that it has seen"


def exact(entry: Entry, args: Sequence[Any]) -> list[Array]:
    """Return what the float64 reference writes."""
    bound = bind(entry.kernel, args, np.copy, wide=not entry.example.own_dtype)
    entry.kernel.reference(*bound.args)
    return list(bound.written)


def allowed(entry: Entry) -> float:
    """Return how many ULP a result may be off: what a pair states, ALLOWED of the table's."""
    return entry.kernel.rounding[0] if entry.own else ALLOWED


def worst(got: Array, want: Array, dtype: np.dtype[Any], entry: Entry) -> float:
    """Return the largest error in ULP."""
    return float(ulps(got, want, dtype, entry.example.cancels).max())


def precision(
    entry: Entry, args: Sequence[Any], first: Sequence[Array | None], dtype: np.dtype[Any]
) -> str:
    """Say how far a result is off, or that its numbers are those of a shorter format."""
    for got, want in zip(first, exact(entry, args)):
        if got is None or got.dtype.kind != "f" or not got.size:
            continue
        off = worst(got, want, dtype, entry)
        said = shorter(got, want)
        if said or off > allowed(entry):
            short = said or "it is less precise than its dtype, or wrong"
            return f"{short}: {off:.3g} ULP off, {allowed(entry):.3g} are allowed"
    return ""


def shorter(got: Array, want: Array) -> str:
    """Say which shorter format all numbers fit, though the exact ones do not.

    >>> want = np.linspace(1, 2, 100)
    >>> shorter(want.astype(np.float16).astype(np.float32), want)
    'its results have no more bits than float16 or TF32'
    >>> shorter(want.astype(np.float32), want)
    ''
    """
    finite = np.isfinite(got) & (got != 0)
    values, wanted = got[finite], np.asarray(want).reshape(got.shape)[finite].astype(got.dtype)
    if values.size < MANY:
        return ""
    formats: Sequence[tuple[str, int]] = FORMATS
    if got.dtype == np.float64:
        formats = (*FORMATS, ("float32", 24))
    for name, bits in formats:
        if fits(values, bits) and not fits(wanted, bits):
            return f"its results have no more bits than {name}"
    return ""


def fits(values: Array, bits: int) -> bool:
    """Tell whether all numbers have at most so many bits."""
    mantissa, _ = np.frexp(values.astype(np.float64))
    scaled = mantissa * 2.0**bits
    return bool((scaled == np.round(scaled)).all())


def at_sizes(
    entry: Entry,
    target: Target,
    base: tuple[int, ...],
    dtype: np.dtype[Any],
    seed: int,
    most: int,
) -> str:
    """Say at which other sizes the result is wrong or fails."""
    for turn, sizes in enumerate(other_sizes(entry.example, base, most)):
        said = "x".join(map(str, sizes))
        try:
            args = make(entry, dtype, sizes, seed + 2 + turn)
            want = exact(entry, args)
        except (ValueError, IndexError, ZeroDivisionError):
            continue  # a size that the example has not
        try:
            subject = Subject(entry, target, args)
            found = subject.run(0)
        except Exception as error:  # what fails is what was asked for
            line = next(iter(str(error).splitlines()), "")
            return f"at size {said} it fails: {type(error).__name__}: {line}"
        if outside := around(subject):
            return f"at size {said} {outside}"
        limit = allowed(entry)
        for got, exactly in zip(found, want):
            if got is not None and got.size and (off := worst(got, exactly, dtype, entry)) > limit:
                return f"at size {said} it is {off:.3g} ULP off"
    return ""


def other_sizes(example: Example, base: tuple[int, ...], most: int) -> list[tuple[int, ...]]:
    """Return other sizes near one: one, one less, one more, odd ones.

    >>> other_sizes(Example(lambda *a: ()), (256,), 1024)
    [(257,), (255,), (1,), (171,)]
    """
    ways: list[Callable[[int], int]] = [
        lambda n: n + 1,
        lambda n: max(1, n - 1),
        lambda n: 1,
        lambda n: max(1, 2 * n // 3) | 1,
    ]
    if most < 1_000:  # simulated: each costs seconds
        ways = ways[:3]
    made = [tuple(way(n) for n in base) for way in ways]
    return [sizes for sizes in dict.fromkeys(made) if sizes != base]
