"""Plans: what a CUDA kernel of the table launches, recorded once, repeated in a few microseconds.

A plan belongs to a kernel's name and the kinds of its arguments: shapes, dtypes, strides, alignment
and numbers.  The kernel's Python code runs once, on arrays at made-up addresses, while its launches
are written down: program, grid, and where each parameter comes from.  To run a plan is to take its
working memory from the pool, write the addresses of this call into the parameters, and launch.
What a number that steers a step is now (`counter` in launch.py) is read at each run.
"""

from __future__ import annotations

import ctypes
import inspect
import itertools
import struct
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from minigrad_kernels.cuda.array import Addressed, DeviceArray
from minigrad_kernels.cuda.precision import get_precision

SPACE = 50  # bits of the made-up memory of one array; real addresses are below 2**48
MIDDLE = 1 << (SPACE - 1)  # where it begins: a view may reach below its first element
ALIGNED = 16  # bytes: what CUDA kernels ask of an address, and so what tells plans apart
APART = 512  # bytes: pieces of the working memory of a plan begin at multiples of it
WORKING = (), "working memory"  # what a pool's summary calls it
MOST_PLANS = 4_096  # of a thread: beyond, they are recorded anew
MOST_KINDS = 65_536  # of arrays that are known by a number: beyond, they get new ones
MOST_BYTES = 256  # of a host array that is part of what tells plans apart
STEERING = frozenset({"call", "momentum"})  # arguments whose numbers `counter` alone may read


class Unplanned(Exception):
    """A call that has no plan: its CUDA kernel does more than launch."""


class Counter:
    """A number that each launch reads anew: the first of a small host array, converted.

    place: the argument's, in the call that was recorded.
    """

    def __init__(self, array: Any, convert: Callable[[Any], Any], place: int = -1) -> None:
        self.array = array
        self.convert = convert
        self.place = place

    def now(self) -> Any:
        """Return the number as it is now."""
        return self.convert(self.array[0])


class Steering(NamedTuple):
    """Stands for a small host array while a plan is recorded."""

    array: Any
    place: int


class Slots:
    """The values of launches' parameters, at addresses of the host that stay.

    Each is known by where it comes from: ("constant", its bytes), or whatever else the caller has.
    """

    def __init__(self) -> None:
        self.places: dict[Any, int] = {}

    def of(self, source: Any) -> int:
        """Return the number of the slot of a source."""
        return self.places.setdefault(source, len(self.places))

    def order(self) -> list[int]:
        """Return where each slot lies in their memory: those of arrays first, so that one call
        writes them all.
        """
        arrays = [i for source, i in self.places.items() if source[0] == "array"]
        others = [i for source, i in self.places.items() if source[0] != "array"]
        where = {slot: place for place, slot in enumerate(arrays + others)}
        return [where[slot] for slot in range(len(where))]

    def made(self) -> Any:
        """Return the memory of all slots, in that order, with the constants in it."""
        memory = (ctypes.c_uint64 * max(1, len(self.places)))()
        order = self.order()
        for source, i in self.places.items():
            if source[0] == "constant":
                memory[order[i]] = int.from_bytes(source[1], "little")
        return memory


class Recorded(NamedTuple):
    """A launch, or a copy of `size` bytes where `kernel` is None, whose parameters are slots."""

    kernel: Any
    grid: Any
    block: Any
    shared: int
    signature: tuple[Any, ...]
    slots: tuple[int, ...]
    size: int = 0


class Recorder:
    """A device that a CUDA kernel's Python code runs on while its launches are written down."""

    reshapes = True

    def __init__(self, target: Any, args: Sequence[Any]) -> None:
        self.real = target
        self.name = target.name
        self.processors = target.processors
        self.most = target.most
        self.slots = Slots()
        self.launches: list[Recorded] = []
        self.sizes: list[tuple[tuple[int, ...], Any, int]] = []  # of the working memory
        self.roots = 0
        self.held: list[Any] = []  # device memory of constants
        known: dict[int, Any] = {}
        for i, a in enumerate(args):
            if id(a) not in known:
                known[id(a)] = self.standing(a, i)
        self.args = [known[id(a)] for a in args]
        first = {id(a): i for i, a in reversed(list(enumerate(args)))}  # of each array
        self.places = [i for i in sorted(first.values()) if type(args[i]) is DeviceArray]

    # ------------------------------------------------------------ stand-ins
    def place(self, low: int) -> int:
        """Return the made-up address of one more array, aligned as one at `low` is."""
        self.roots += 1
        return (self.roots << SPACE) + MIDDLE + low % ALIGNED

    def standing(self, a: Any, i: int) -> Any:
        """Return what stands for an argument."""
        if type(a) is Steering:
            return a._replace(place=i)
        if not isinstance(a, DeviceArray):
            return a
        if a.flags.c_contiguous:
            return DeviceArray.laid(self.place(a.address), a.shape, a.dtype, None, self)
        ends = [(n - 1) * s for n, s in zip(a.shape, a.strides, strict=True)]
        low, high = (sum(pick(0, end) for end in ends) for pick in (min, max))
        count = (high - low) // a.itemsize + 1
        at = Addressed(self.place(a.address) + low, (count,), a.dtype, None)
        view: Any = np.ndarray(a.shape, a.dtype, np.asarray(at), -low, a.strides)
        return DeviceArray(view, self)

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        """Return working memory, taken anew at each run."""
        sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        kind = np.dtype(dtype)
        made = DeviceArray.laid(self.place(0), tuple(map(int, sizes)), kind, None, self)
        self.sizes.append((made.shape, kind, made.nbytes))
        return made

    def constant(self, values: Any) -> DeviceArray:
        """Return host numbers that never change, uploaded once."""
        made: DeviceArray = self.real.empty(values.shape, values.dtype)
        self.real.write(made, values)
        self.held.append(made)
        return DeviceArray.laid(made.address, made.shape, made.dtype, made, self)

    def write(self, array: DeviceArray, values: Any, wait: bool = True) -> None:
        """Write a copy from constant memory down."""
        if array.size:
            whole = np.broadcast_to(np.asarray(values, array.dtype), array.shape)
            source = self.constant(np.ascontiguousarray(whole))
            slots = self.slots.of(self.source(array)), self.slots.of(self.source(source))
            self.launches.append(Recorded(None, 1, 1, 0, (), slots, array.nbytes))

    def read(self, array: DeviceArray, wait: bool = True) -> Any:
        """Refuse: what is read is not known before a run."""
        raise Unplanned

    def synchronize(self) -> None:
        """Refuse: what has ended is not known before a run."""
        raise Unplanned

    def source(self, array: DeviceArray) -> tuple[Any, ...]:
        """Return where an array's address comes from: a constant, or an array and an offset."""
        root = array.address >> SPACE
        if not root:
            return "constant", array.address.to_bytes(8, "little")
        base = (root << SPACE) + MIDDLE
        return "array", root - 1, array.address - base

    def run(self, kernel: Any, grid: Any, block: Any, args: Sequence[Any], shared: int = 0) -> None:
        """Write a launch down."""
        compiler = import_module("minigrad_kernels.cuda.numba_compiler")  # not in plain mode
        slots: list[int] = []
        shown = [a.now() if type(a) is Counter else a for a in args]
        for a, value in zip(args, shown, strict=True):
            if type(a) is Counter:
                slots.append(self.slots.of(("counter", a.place, a.convert)))
                continue
            arrays = iter(arrays_of(value))
            for part in compiler.parameters(value):
                known = part is not None
                source = ("constant", part) if known else self.source(next(arrays))
                slots.append(self.slots.of(source))
        types = tuple(compiler.type_of(value) for value in shown)
        self.launches.append(Recorded(kernel, grid, block, shared, types, tuple(slots)))


def arrays_of(value: Any) -> list[Any]:
    """Return the device arrays of an argument, in their order."""
    if isinstance(value, tuple):
        return [a for item in value for a in arrays_of(item)]
    return [value] if isinstance(value, DeviceArray) else []


class Plan:
    """The launches of a kernel for arguments of one kind.

    places: of the arguments that are arrays, each once.  slots: of each launch, in `memory`.
    counters: (slot, place of a host array among the arguments, convert).
    """

    def __init__(self, recorder: Recorder) -> None:
        target = recorder.real
        self.target = target
        self.device = target.number
        self.places = recorder.places
        self.starts: list[int] = []
        self.size = 0
        for *_, size in recorder.sizes:
            self.starts.append(self.size)
            self.size += -(-max(1, size) // APART) * APART
        self.held = recorder.held
        self.memory = recorder.slots.made()
        start = ctypes.addressof(self.memory)
        order = recorder.slots.order()
        places = {source: order[i] for source, i in recorder.slots.places.items()}
        low = [recorder.args[i].address % ALIGNED for i in recorder.places]
        low += [0] * (recorder.roots - len(low))
        found = [
            (source[1], source[2] - low[source[1]]) for source in places if source[0] == "array"
        ]
        # Where every array's own address is a parameter, in their order, none is looked up.
        self.plain = found == [(root, 0) for root in range(len(low))]
        self.addresses = found
        self.write = struct.Struct(f"={len(found)}Q").pack_into
        self.counters = [
            (i, source[1], source[2]) for source, i in places.items() if source[0] == "counter"
        ]
        self.steps: list[Callable[[int], None]] = []
        self.slots = [tuple([order[i] for i in launch.slots]) for launch in recorder.launches]
        for launch, slots in zip(recorder.launches, self.slots, strict=True):
            if launch.kernel is None:
                to, source = slots
                self.steps.append(Copying(target.driver, self.memory, to, source, launch.size))
            else:
                pointers = [start + 8 * slot for slot in slots]
                self.steps.append(target.prepare(*launch[:5], pointers))

    def __call__(self, args: Sequence[Any], where: list[int]) -> None:
        """Launch for these arguments, of the same kinds, on the thread's stream.

        where: the addresses of the arrays among them, each once.
        """
        target = self.target
        ready = target.ready
        stream = ready.stream
        if len(target.streams) > 1:
            target.used(*[args[i] for i in self.places])
        if self.size:
            # One block for all: it goes back when this call returns, and is handed on in order.
            block = (ready.pool or target.pool).take(self.size, *WORKING, stream)
            at = block.address
            where += [at + start for start in self.starts]
        memory = self.memory
        if self.plain:
            self.write(memory, 0, *where)
        else:
            self.write(memory, 0, *[where[root] + offset for root, offset in self.addresses])
        for i, place, convert in self.counters:
            memory[i] = int.from_bytes(convert(args[place][0]).tobytes(), "little")
        if ready.graph is not None:
            ready.graph.add(self, args)
            return
        if target.driver.local.device != self.device:
            target.enter()
        number = stream.number
        for step in self.steps:
            step(number)


class Copying:
    """A copy on the device, of so many bytes between the addresses in two slots."""

    def __init__(self, driver: Any, memory: Any, to: int, source: int, size: int) -> None:
        self.driver = driver
        self.memory = memory
        self.places = to, source
        self.size = size

    def __call__(self, stream: int) -> None:
        """Copy on a stream of that number."""
        to, source = self.places
        self.driver.copy_within(self.memory[to], self.memory[source], self.size, stream)


class Plans(threading.local):
    """The plans of a thread: none is run by two threads at once."""

    def __init__(self) -> None:
        self.known: dict[Any, Plan | None] = {}


plans = Plans()


KINDS: dict[Any, int] = {}  # shape, dtype, strides and alignment of an array -> its number
NUMBERS = itertools.count(1)  # none is given twice


def key_of(a: DeviceArray) -> int:
    """Return the number of an array's kind, which tells plans apart, and keep it in the array."""
    kind: tuple[Any, ...]
    if a._geometry is None:  # contiguous, at an address that is known
        kind = a.shape, a.dtype, None, a._address % ALIGNED
    else:
        strides = None if a.flags.c_contiguous else a.strides
        kind = a.shape, a.dtype, strides, a.address % ALIGNED
    number = KINDS.get(kind)
    if number is None:
        if len(KINDS) >= MOST_KINDS:
            KINDS.clear()
        number = KINDS[kind] = next(NUMBERS)
    a.key = number
    return number


class Planned:
    """A CUDA kernel of the table as it is launched: by plans on a GPU, by its own code elsewhere.

    reference: the row's, which says what the arguments are called.
    """

    __slots__ = ("kernel", "name", "steering")

    def __init__(self, name: str, kernel: Callable[..., None], reference: Any) -> None:
        self.name = name
        self.kernel = kernel
        try:
            labels = list(inspect.signature(reference).parameters)
        except ValueError:  # a ufunc's arguments have no names, and steer nothing
            labels = []
        self.steering = tuple([i for i, label in enumerate(labels) if label in STEERING])
        if getattr(kernel, "plans_itself", False):
            self.name = ""

    def __call__(self, *args: Any) -> None:
        """Launch where the arrays lie."""
        target: Any = None
        for a in args:
            if type(a) is DeviceArray:
                target = a.target
                break
        if not self.name or not hasattr(target, "prepare"):
            self.kernel(*args)
            return
        parts = [self.name, target, target.most, get_precision()]  # what tells plans apart
        where: list[int] = []
        of_host = 0
        for a in args:
            kind = type(a)
            if kind is DeviceArray:
                parts.append(a.key or key_of(a))
                where.append(a._address)  # known since `key_of`
            elif kind is int or kind is float or kind is bool:
                parts += (kind, a or repr(a))  # 0.0 and -0.0 are equal, and two numbers
            elif isinstance(a, np.ndarray):
                of_host += 1
                parts.append(kind)
            else:
                parts += (kind, a if a else repr(a))
        if of_host and not self.numbers(args, of_host, parts):
            self.kernel(*args)
            return
        if len(set(where)) != len(where):  # perhaps one array in two places
            first: dict[int, int] = {}
            for i, a in enumerate(args):
                if type(a) is DeviceArray and first.setdefault(id(a), i) != i:
                    parts.append((i, first[id(a)]))
            where = [args[i]._address for i in first.values()]
        chosen = tuple(parts)
        known = plans.known
        plan = known.get(chosen)
        if plan is None and chosen not in known:
            plan = self.recorded(target, args)
            if len(known) >= MOST_PLANS:
                known.clear()
            known[chosen] = plan
        if plan is None:
            self.kernel(*args)
        else:
            plan(args, where)

    def numbers(self, args: Sequence[Any], of_host: int, parts: list[Any]) -> bool:
        """Add the numbers of small host arrays, but those that steer, to what tells plans apart;
        False where one is too large for that.

        of_host: how many of the arguments are arrays of the host.
        """
        if len([i for i in self.steering if isinstance(args[i], np.ndarray)]) == of_host:
            return True
        for i, a in enumerate(args):
            if isinstance(a, np.ndarray) and i not in self.steering:
                if a.nbytes > MOST_BYTES:
                    return False
                parts += (a.shape, a.dtype, a.tobytes())
        return True

    def recorded(self, target: Any, args: Sequence[Any]) -> Plan | None:
        """Return a plan for arguments of these kinds; None where there can be none."""
        shown = [
            Steering(a, i) if i in self.steering and isinstance(a, np.ndarray) else a
            for i, a in enumerate(args)
        ]
        recorder = Recorder(target, shown)
        try:
            self.kernel(*recorder.args)
        except Unplanned:
            return None
        return Plan(recorder)
