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
import operator
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from minigrad_kernels.cuda.array import TURNED, Addressed, DeviceArray
from minigrad_kernels.cuda.memory import WORKING, rounded
from minigrad_kernels.cuda.precision import chosen

SPACE = 50  # bits of the made-up memory of one array; real addresses are below 2**48
MIDDLE = 1 << (SPACE - 1)  # where it begins: a view may reach below its first element
ALIGNED = 16  # bytes: what CUDA kernels ask of an address, and so what tells plans apart
APART = 512  # bytes: pieces of the working memory of a plan begin at multiples of it
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
        """Return where each slot lies in their memory: those of arrays first, in the arrays' order,
        so that one call writes those that a call is given, and one those of working memory.
        """
        arrays = sorted(
            (source[1:], i) for source, i in self.places.items() if source[0] == "array"
        )
        others = [i for source, i in self.places.items() if source[0] != "array"]
        where = {slot: place for place, slot in enumerate([*(i for _, i in arrays), *others])}
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
        self.shared = target.shared
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
    counters: (slot, place of a host array among the arguments, its first number -> the slot's).
    """

    def __init__(self, recorder: Recorder) -> None:
        target = recorder.real
        self.target = target
        self.device = target.number
        self.places = recorder.places
        starts: list[int] = []
        self.size = 0
        for *_, size in recorder.sizes:
            starts.append(self.size)
            self.size += -(-max(1, size) // APART) * APART
        self.size = rounded(self.size) if self.size else 0
        self.held = recorder.held
        self.memory = recorder.slots.made()
        start = ctypes.addressof(self.memory)
        order = recorder.slots.order()
        places = {source: order[i] for source, i in recorder.slots.places.items()}
        given = len(recorder.places)
        low = [recorder.args[i].address % ALIGNED for i in recorder.places]
        low += [0] * (recorder.roots - given)
        found = sorted(source[1:] for source in places if source[0] == "array")
        found = [(root, offset - low[root]) for root, offset in found]
        self.addresses = [(root, offset) for root, offset in found if root < given]
        self.working = [starts[root - given] + offset for root, offset in found if root >= given]
        self.write = struct.Struct(f"={len(self.addresses)}Q").pack_into
        self.write_working = struct.Struct(f"={len(self.working)}Q").pack_into
        self.behind = 8 * len(self.addresses)  # where the addresses of working memory are written
        self.at = 0  # where the working memory was that they were written for
        self.parameters = parameters_of(self.addresses, given)
        self.counters = [
            (i, source[1], bits_of(source[2]))
            for source, i in places.items()
            if source[0] == "counter"
        ]
        self.steps: list[Any] = []
        self.slots = [tuple([order[i] for i in launch.slots]) for launch in recorder.launches]
        for launch, slots in zip(recorder.launches, self.slots, strict=True):
            if launch.kernel is None:
                to, source = slots
                self.steps.append(Copying(target.driver, self.memory, to, source, launch.size))
            else:
                pointers = [start + 8 * slot for slot in slots]
                self.steps.append(target.prepare(*launch[:5], pointers))
        self.calls: list[Callable[[], int]] = [step.call for step in self.steps]
        self.stream = 0  # the number of that which `steps` launch on
        self.entered = target.driver.local

    def __call__(self, where: tuple[int, ...], args: Sequence[Any]) -> None:
        """Launch for these arguments, of the same kinds, on the thread's stream.

        where: the addresses of the arrays among them, each once.
        """
        target = self.target
        ready = target.ready
        stream = ready.stream
        if len(target.streams) > 1:
            target.used(*[args[i] for i in self.places])
        memory = self.memory
        if self.counters:
            for i, place, bits in self.counters:
                memory[i] = bits(args[place].item(0))
        parameters = self.parameters
        self.write(memory, 0, *(where if parameters is None else parameters(where)))
        if not self.size:
            self.launch(ready, stream.number, args)
            return
        # Working memory is one piece, lent until the launches are made: the next to have it comes
        # after them on the stream.
        pool = ready.pool or target.pool
        at = pool.lend(self.size, (*WORKING, self.size), stream)
        try:
            if at != self.at:
                self.at = at
                self.write_working(memory, self.behind, *[at + start for start in self.working])
            self.launch(ready, stream.number, args)
        finally:
            pool.give(self.size, at, stream)

    def launch(self, ready: Any, stream: int, args: Sequence[Any]) -> None:
        """Make the launches, or add them to the graph that is being recorded."""
        if ready.graph is not None:
            ready.graph.add(self, args)
            return
        if self.entered.device != self.device:
            self.target.enter()
        if stream != self.stream:
            for step in self.steps:
                step.to(stream)
            self.stream = stream
        for call in self.calls:
            code = call()
            if code:
                raise self.steps[self.calls.index(call)].refused(code)


def parameters_of(
    sources: list[tuple[int, int]], given: int
) -> Callable[[tuple[int, ...]], Iterable[int]] | None:
    """Return what makes the addresses among the parameters from those of the arrays; None where
    they are the same.

    sources: of each parameter, which array it lies in, and how far from its beginning.
    given: the number of arrays.
    """
    if any(offset for _, offset in sources):
        return lambda where: [where[root] + offset for root, offset in sources]
    roots = [root for root, _ in sources]
    if roots == list(range(given)):
        return None
    if len(roots) > 1:
        return operator.itemgetter(*roots)
    return lambda where: [where[root] for root in roots]


def bits_of(convert: Callable[[Any], Any]) -> Callable[[Any], int]:
    """Return what gives the bits of a number that is converted."""
    known: Callable[[Any], int] | None = getattr(convert, "bits", None)
    return known or (lambda value: int.from_bytes(convert(value).tobytes(), "little"))


class Copying:
    """A copy on the device, of so many bytes between the addresses in two slots."""

    def __init__(self, driver: Any, memory: Any, to: int, source: int, size: int) -> None:
        self.driver = driver
        self.memory = memory
        self.places = to, source
        self.size = size
        self.stream = 0

    def to(self, stream: int) -> None:
        """Copy on the stream of that number from now on."""
        self.stream = stream

    def call(self) -> int:
        """Copy."""
        to, source = self.places
        self.driver.copy_within(self.memory[to], self.memory[source], self.size, self.stream)
        return 0


class Plans(threading.local):
    """The plans of a thread: none is run by two threads at once."""

    def __init__(self) -> None:
        self.known: dict[Any, Plan | None] = {}


plans = Plans()


KINDS: dict[Any, int] = {}  # shape, dtype, strides and alignment of an array -> its number
NUMBERS = itertools.count(1)  # none is given twice


def kind_number(kind: tuple[Any, ...]) -> int:
    """Return the number of a kind of arrays: shape, dtype, strides (None: C order), address within
    an alignment.
    """
    number = KINDS.get(kind)
    if number is None:
        if len(KINDS) >= MOST_KINDS:
            KINDS.clear()
        number = KINDS[kind] = next(NUMBERS)
    return number


def key_of(a: DeviceArray) -> int:
    """Return the number of an array's kind, which tells plans apart, and keep it in the array."""
    # The address is known from here on: `Planned` reads it.
    a.key = number = kind_number((a.shape, a.dtype, a.layout(), a.address % ALIGNED))
    if a.form == TURNED and a.root is not None and a.root.shape == a.shape[::-1]:
        a.root.across = number
    return number


class Planned:
    """A CUDA kernel of the table as it is launched: by plans on a GPU, by its own code elsewhere.

    reference: the row's, which says what the arguments are called.
    callers: for arguments of such types, what finds the plan of a call and runs it; None where a
        look at the arguments is needed first.
    """

    __slots__ = ("callers", "kernel", "kinds", "name", "steering")

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
        self.callers: dict[tuple[type, ...], Callable[..., bool] | None] = {}
        self.kinds: dict[tuple[type, ...], int] = {}  # types of arguments -> their number

    def __call__(self, *args: Any) -> None:
        """Launch where the arrays lie."""
        caller = self.caller(args)
        if caller is None or not caller(*args):
            self.look_and_launch(args)

    def caller(self, args: Sequence[Any]) -> Callable[..., bool] | None:
        """Return what `caller_of` does for arguments of such types, the same each time."""
        types = tuple(map(type, args))
        if types not in self.callers:
            self.callers[types] = caller_of(self, types)
        return self.callers[types]

    def look_and_launch(self, args: Sequence[Any]) -> None:
        """Launch where the arrays lie, by a plan that may have to be made."""
        target: Any = None
        for a in args:
            if type(a) is DeviceArray:
                target = a.target
                break
        if not self.name or not hasattr(target, "prepare"):
            self.kernel(*args)
            return
        key = self.key(target, args)
        of_host = [i for i, a in enumerate(args) if isinstance(a, np.ndarray)]
        if of_host and not self.numbers(args, of_host, key):
            self.kernel(*args)
            return
        chosen, where = of_one_array(tuple(key), [a for a in args if type(a) is DeviceArray])
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
            plan(where, args)

    def kind(self, types: tuple[type, ...]) -> int:
        """Return the number of this kernel with arguments of such types."""
        found = self.kinds.get(types)
        return self.kinds.setdefault(types, next(NUMBERS)) if found is None else found

    def key(self, target: Any, args: Sequence[Any]) -> list[Any]:
        """Return what tells plans apart, but for host arrays' numbers: what `CALLER` builds."""
        key: list[Any] = [self.kind(tuple(map(type, args))), target, target.most, chosen[0]]
        for a in args:
            if type(a) is DeviceArray:
                key.append(a.key or key_of(a))
            elif not isinstance(a, np.ndarray):
                # 0.0 and -0.0 are equal, and two numbers; NaN is one, and equals none.
                key.append((a if a == a else "nan") or repr(a))
        return key

    def numbers(self, args: Sequence[Any], of_host: list[int], key: list[Any]) -> bool:
        """Add the numbers of small host arrays, but those that steer, to what tells plans apart;
        False where one is too large for that.

        of_host: which of the arguments are arrays of the host.
        """
        for i in of_host:
            if i not in self.steering:
                if args[i].nbytes > MOST_BYTES:
                    return False
                key += (args[i].shape, args[i].dtype, args[i].tobytes())
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


def of_one_array(
    key: tuple[Any, ...], arrays: Sequence[DeviceArray]
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return the key with the places among `arrays` that are taken by one and the same, and the
    addresses of the arrays, each once.
    """
    first: dict[int, int] = {}
    again = [(i, first[id(a)]) for i, a in enumerate(arrays) if first.setdefault(id(a), i) != i]
    return (*key, *again), tuple([arrays[i]._address for i in first.values()])


# What runs at every launch is written for the types of its arguments: no loop looks at them.
CALLER = """
def caller({names}):
    target = {first}.target
    if not getattr(target, "plans", False):
        return False
    key = ({kind}, target, target.most, precision[0], {key},)
    where = ({where},)
    if len({{*where}}) != {count}:
        key, where = of_one_array(key, ({arrays},))
    plan = plans.known.get(key)
    if plan is None{sized}:
        return False
    plan(where, ({names},))
    return True
"""


def caller_of(planned: Planned, types: tuple[type, ...]) -> Callable[..., bool] | None:
    """Return what finds a plan for arguments of such types, runs it and returns True; it returns
    False where there is none yet.

    None where there can be none: without device arrays, and with host arrays that do not steer.
    """
    names = [f"a{i}" for i in range(len(types))]
    arrays = [name for name, kind in zip(names, types, strict=True) if kind is DeviceArray]
    of_host = [i for i, kind in enumerate(types) if issubclass(kind, np.ndarray)]
    if not planned.name or not arrays or any(i not in planned.steering for i in of_host):
        return None
    key = []
    for i, (name, kind) in enumerate(zip(names, types, strict=True)):
        if kind is DeviceArray:
            key.append(f"{name}.key or key_of({name})")
        elif i not in of_host:
            number = issubclass(kind, float | np.floating)
            shown = f"({name} if {name} == {name} else 'nan')" if number else name
            key.append(f"{shown} or repr({name})")
    source = CALLER.format(
        names=", ".join(names),
        arrays=", ".join(arrays),
        first=arrays[0],
        key=", ".join(key),
        kind=planned.kind(types),
        where=", ".join(f"{name}._address" for name in arrays),
        count=len(arrays),
        sized="".join([f" or not {names[i]}.ndim" for i in of_host]),  # one number is a constant
    )
    scope: dict[str, Any] = {
        "key_of": key_of,
        "of_one_array": of_one_array,
        "plans": plans,
        "precision": chosen,
    }
    exec(source, scope)
    made: Callable[..., bool] = scope["caller"]
    return made
