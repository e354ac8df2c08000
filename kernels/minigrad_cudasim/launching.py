"""One launch from its arguments to its report."""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable
from typing import Any, TypedDict, Unpack

import numpy as np

from minigrad_cudasim.compilable import refusals
from minigrad_cudasim.fault import (
    ArgumentsFault,
    Fault,
    LaunchFault,
    kernel_frame,
    raising,
    site_at,
    site_of,
)
from minigrad_cudasim.findings import Enough
from minigrad_cudasim.kernel import Builder
from minigrad_cudasim.lanes.launch import together
from minigrad_cudasim.log import Region, Rewritten
from minigrad_cudasim.machine import MAX_SHARED, Machine
from minigrad_cudasim.memory import (
    Array,
    Record,
    SimulatedArray,
    address_of,
    quick,
)
from minigrad_cudasim.numbers import cast_to
from minigrad_cudasim.report import Report
from minigrad_cudasim.thread import Dim3
from minigrad_cudasim.traffic import Traffic
from minigrad_cudasim.typed.shapes import of_argument

# CUDA C++ Programming Guide, "Compute Capabilities": the same from 5.0 to 9.0 but for the last.
MAX_THREADS = 1024
MAX_BLOCK = (1024, 1024, 64)
MAX_GRID = (2**31 - 1, 65535, 65535)


class Options(TypedDict, total=False):
    """What a launch may be told beside its arguments; `api.launch` says what each does."""

    shared: int
    seed: int
    order: str | None
    races: bool
    uninitialised: bool
    float64: bool
    negative: bool
    traffic: bool
    debug: bool
    strict: bool
    lanes: bool
    reach: Callable[[int], Array | None] | None


def run(
    kernel: Any,
    grid: int | tuple[int, ...],
    block: int | tuple[int, ...],
    args: tuple[Any, ...],
    **options: Unpack[Options],
) -> Report:
    """Run a kernel over a grid of blocks and return what it showed; see `api.launch`.

    Raises: ValueError for sizes that are none, TypeError for what is no option.
    """
    unknown = options.keys() - Options.__annotations__.keys()
    if unknown:
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"unknown option {min(unknown)!r}, expected some of {known}")
    shared, seed = options.get("shared", 0), options.get("seed", 0)
    traffic, reach = options.get("traffic", False), options.get("reach")
    sizes, shape = dim3(grid, "grid"), dim3(block, "block")
    plain = getattr(kernel, "py_func", kernel)
    logged: set[int] = set()  # addresses of memory that the kernel writes
    kept = Kept(args)
    first: range | None = None
    while True:
        machine = Machine(
            sizes,
            shape,
            shared,
            seed,
            options.get("order"),
            options.get("races", True),
            options.get("uninitialised", True),
            options.get("float64", False),
            options.get("negative", True),
            "this_grid" in plain.__code__.co_names,
            options.get("debug", False),
        )
        machine.findings.strict = options.get("strict", False)
        report = Report(described(plain.__name__, machine, seed))
        beyond = (
            limits(sizes, shape, shared)
            or mismatched(plain, args)
            or refusals(plain, jitted=plain is not kernel)
        )
        if beyond is not None:
            return report.end([beyond], machine.findings)
        if traffic:
            report.traffic = machine.traffic = Traffic(machine)
        builder = Builder(machine)
        function = builder.rebuild(plain)
        regions: dict[int, Region] = {}
        if reach is not None:
            machine.array_at = Reach(machine, reach, regions)
        names = function.__code__.co_varnames
        held = tuple(
            argument(machine, value, names[i] if i < len(names) else "args", regions)
            for i, value in enumerate(args)
        )
        given = tuple(map(of_argument, args, held))
        function = builder.typed.function(plain, given)
        alone = reach is not None or traffic or builder.prints or not kept.all
        if options.get("lanes", True) and not alone and not logged:
            if together(machine, builder.cuda, function, held):
                report.lanes = True
                return report.end([], machine.findings)
            first = machine.first
            kept.restore()
        machine.first = first
        if not alone:
            for start, region in regions.items():
                for array in roots(held, region) if start not in logged else ():
                    quick(array)
        try:
            return report.end(attempt(machine, function, held, regions), machine.findings)
        except Rewritten as found:
            logged |= {start for start, region in regions.items() if region is found.region}
            kept.restore()


class Kept:
    """What arrays among the arguments held, for a launch that begins again."""

    def __init__(self, args: Any) -> None:
        owners = {address_of(a): a for a in map(owner_of, arrays(args)) if a.flags.writeable}
        self.all = not any(hasattr(a, "__cuda_array_interface__") for a in args)
        self.held = [(a, a.copy(), written(a)) for a in owners.values()]

    def restore(self) -> None:
        """Put it back."""
        for array, copy, bytes_ in self.held:
            np.copyto(array, copy)
            known = getattr(array, "written", None)
            if known is not None:
                known[:] = bytes_


def written(array: Any) -> bytes | None:
    """Return which bytes of an array count as written, where that is known."""
    known = getattr(array, "written", None)
    return None if known is None else bytes(known)


def arrays(args: Any) -> list[Array]:
    """Return the arrays among arguments."""
    found: list[Array] = []
    for value in args:
        if isinstance(value, np.ndarray):
            found.append(value)
        elif isinstance(value, tuple):
            found += arrays(value)
    return found


def owner_of(array: Array) -> Array:
    """Return the array whose memory another shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def roots(held: Any, region: Region) -> list[SimulatedArray]:
    """Return the arguments that lie in a region, of memory that all counts as written."""
    found: list[SimulatedArray] = []
    for value in held if region.written is None else ():
        if isinstance(value, tuple):
            found += roots(value, region)
        elif isinstance(value, SimulatedArray) and value.region is region:
            found.append(value)
    return found


def attempt(machine: Machine, function: Any, held: Any, regions: dict[int, Region]) -> list[Fault]:
    """Run a launch and return the fault that ended it, where one did.

    regions: the memory of its arguments, which counts as written where the launch is cut short: of
        what the threads left would have written, later launches are not to complain.

    Raises: Rewritten, where it has to begin again.
    """
    try:
        machine.run(function, held)
    except Fault as fault:
        return [fault]
    except Enough:
        for region in regions.values():
            if region.written is not None:
                region.written[:] = b"\1" * len(region.written)
    except Rewritten:
        raise
    except Exception as error:
        found = raised(machine, error)
        found.__cause__ = error
        return [found]
    return []


def limits(grid: Dim3, block: Dim3, shared: int) -> Fault | None:
    """Return the fault of a launch that every GPU refuses."""
    threads = block.x * block.y * block.z
    if threads > MAX_THREADS:
        text = f"block {tuple(block)} has more than {MAX_THREADS} threads: {threads}"
        return LaunchFault("launch", text)
    for what, size, most in (("block", block, MAX_BLOCK), ("grid", grid, MAX_GRID)):
        for axis, n, limit in zip("xyz", size, most, strict=True):
            if n > limit:
                text = f"{what}.{axis} is {n}, expected at most {limit}"
                return LaunchFault("launch", text)
            if n == 0:
                hint = "for arrays without elements, leave the launch out" if what == "grid" else ""
                text = f"{what}.{axis} is 0, expected at least 1"
                return LaunchFault("launch", text, (), hint)
    if shared > MAX_SHARED:
        text = f"{shared} bytes of dynamic shared memory, expected at most {MAX_SHARED}"
        hint = "227 KiB are those of compute capability 9.0: 163 of 8.0, 99 of 8.6 and 8.9"
        return LaunchFault("launch", text, (), hint)
    return None


def mismatched(function: Any, args: tuple[Any, ...]) -> Fault | None:
    """Return the fault of a launch with another number of arguments than the kernel takes."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return None
    least = sum(p.default is p.empty for p in parameters)
    if least <= len(args) <= len(parameters):
        return None
    names = ", ".join(p.name for p in parameters)
    text = f"{function.__name__}({names}) takes {len(parameters)} arguments, got {len(args)}"
    return ArgumentsFault("launch", text)


def dim3(size: int | tuple[int, ...], what: str) -> Dim3:
    """Return one to three sizes as a Dim3.

    Raises: ValueError for other numbers of them, or sizes below 0.
    """
    sizes = tuple(int(n) for n in (size if isinstance(size, tuple | list) else (size,)))
    if not 1 <= len(sizes) <= 3 or min(sizes) < 0:
        raise ValueError(f"{what} is {size!r}, expected one to three sizes")
    return Dim3(*sizes)


def argument(machine: Machine, value: Any, name: str, regions: dict[int, Region]) -> Any:
    """Return an argument as the kernel sees it; arrays over the same memory share its log."""
    if isinstance(value, tuple):
        items = [argument(machine, item, name, regions) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, np.void):
        held = np.array(value)
        region = Region(machine, "local", 0, None)
        return Record(region, held, 0, name, held.dtype)
    if not isinstance(value, np.ndarray) and hasattr(value, "__cuda_array_interface__"):
        value = interface(value.__cuda_array_interface__)
    if isinstance(value, np.ndarray):
        owner = value
        written = getattr(owner, "written", None)
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
            written = getattr(owner, "written", None) if written is None else written
        start = address_of(owner)
        if start not in regions:
            checked = written if machine.uninitialised else None
            regions[start] = Region(machine, "global", machine.reserve(owner.nbytes), checked)
            machine.regions.append(regions[start])
        return SimulatedArray(
            regions[start], value.view(np.ndarray), address_of(value) - start, name
        )
    if isinstance(value, np.generic):
        return (cast_to(value.dtype.name) or type(value))(value)
    return np.float64(value) if type(value) is float else value


def interface(description: dict[str, Any]) -> Array:
    """Return the array over memory that another object describes: host memory, as here all is."""
    dtype = np.dtype(description["typestr"])
    if len(description.get("descr", ())) > 1:
        dtype = np.dtype(description["descr"])
    shape, strides = description["shape"], description.get("strides")
    address = description["data"][0]
    if not address or 0 in shape:
        return np.empty(shape, dtype)
    steps = strides or np.empty(shape, np.uint8).strides
    reach = dtype.itemsize + sum(
        (n - 1) * (s if strides else s * dtype.itemsize) for n, s in zip(shape, steps, strict=True)
    )
    memory = (ctypes.c_uint8 * reach).from_address(address)
    return np.ndarray(shape, dtype, np.frombuffer(memory, np.uint8), 0, strides)


class Reach:
    """Memory that a kernel finds by its address, as arrays over the logs of one launch."""

    def __init__(
        self,
        machine: Machine,
        owner_of: Callable[[int], Array | None],
        regions: dict[int, Region],
    ) -> None:
        self.machine = machine
        self.owner_of = owner_of
        self.regions = regions
        self.found: dict[tuple[int, int, Any], SimulatedArray] = {}

    def __call__(self, address: int, size: int, dtype: np.dtype[Any]) -> SimulatedArray:
        """Return the array over `size` elements of a dtype at an address.

        Raises: Fault where no allocation holds them.
        """
        key = (address, size, dtype)
        if key not in self.found:
            owner = self.owner_of(address)
            bytes_ = np.empty(0, np.uint8) if owner is None else owner.reshape(-1).view(np.uint8)
            start = 0 if owner is None else address - address_of(owner)
            stop = start + size * dtype.itemsize
            if owner is None or stop > bytes_.size:
                party = self.machine.thread.party("access", site_of(kernel_frame()))
                summary = f"{size} {dtype} at address {address:#x} lie in no allocation"
                hint = "a table of addresses holds those of arrays that live"
                raise Fault("bounds", summary, (party,), hint)
            data = bytes_[start:stop].view(dtype)
            self.found[key] = argument(self.machine, data, "memory", self.regions)
        return self.found[key]


def raised(machine: Machine, error: Exception) -> Fault:
    """Return the fault of a kernel whose Python code raised, which is an error of its type too."""
    site = None
    trace = error.__traceback__
    while trace is not None:
        if "__simulated__" in trace.tb_frame.f_globals:
            site = site_at(trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    party = machine.thread.party("raise", site)
    place = f"tid={list(machine.thread.index)} ctaid={list(machine.thread.block.index)}"
    text = f"{place}: {error}" if str(error) else place
    return raising(error, f"{type(error).__name__}: {text}", (party,))


def described(name: str, machine: Machine, seed: int) -> str:
    """Return a launch as faults show it."""
    grid, block = tuple(machine.grid), tuple(machine.block)
    return f"{name}, grid {grid}, block {block}, seed {seed}, order {machine.order}"
