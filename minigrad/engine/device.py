"""Devices: where arrays lie, and on which device an op computes.

Beside the heart: while no device but the CPU is in use, `USED` is empty and nothing here is asked.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.allocator import ELSEWHERE, empty
from minigrad_kernels.checked import check_launch
from minigrad_kernels.cuda import precision as matmul_precision
from minigrad_kernels.cuda.array import DeviceArray as DeviceArray
from minigrad_kernels.cuda.plan import Planned
from minigrad_kernels.cuda.staging import is_pinned as is_pinned
from minigrad_kernels.jit import plain
from minigrad_kernels.jit.parallel import hold_over_fork
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]

ARRAYS: Any = (np.ndarray, DeviceArray)  # what may be a tensor's data
FINDING = threading.RLock()  # two threads that ask for a device get the same one
hold_over_fork(FINDING)
USED: list[Any] = []  # devices in use: while there is none, ops do not ask where they run
# While arrays with lanes live (see func/lanes.py): (op, inputs, options) -> its outputs, or None.
BATCHED: list[Callable[..., Any]] = []
LANE_RULES: dict[str, Callable[..., Any]] = {}  # functions of positions that may differ by lane


class Current(threading.local):
    """The device where this thread's running op computes; None is the CPU."""

    target: Any = None


current = Current()


def target_of(arrays: Iterable[Any]) -> Any:
    """Return the device of the first array that lies on one; None for the CPU."""
    for a in arrays:
        if type(a) is DeviceArray:
            return a.target
    return None


class on_device:
    """A context in which `empty` makes arrays on a device; None is the CPU."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __enter__(self) -> None:
        self.was = current.target
        current.target = self.target

    def __exit__(self, *error: Any) -> None:
        current.target = self.was


def same_device(name: str, arrays: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """Return the one device of an op's inputs (None: the CPU), and the inputs there.

    A single number may come from the CPU, as PyTorch has it.

    Raises: RuntimeError where arrays lie on several devices.
    """
    first = arrays[0]
    if type(first) is DeviceArray and not BATCHED:
        target = first.target
        for a in arrays:
            if type(a) is not DeviceArray or a.target is not target:
                break
        else:
            return target, arrays
    found = {a.target.name: a.target for a in arrays if type(a) is DeviceArray}
    if not found:
        return None, list(arrays)
    target = next(iter(found.values()))
    if BATCHED and hasattr(target, "join"):
        return target.join(arrays)
    if len(found) > 1 or any(isinstance(a, np.ndarray) and a.ndim and a.size for a in arrays):
        shown = ", ".join(
            f"{a.shape} on {a.target.name if type(a) is DeviceArray else 'cpu'}" for a in arrays
        )
        raise RuntimeError(
            f"{name}: its inputs lie on several devices: {shown}; bring them to one with "
            ".to(device)"
        )
    return target, [constant(target, a) if isinstance(a, np.ndarray) else a for a in arrays]


def one_target(arrays: Sequence[Any]) -> Any:
    """Return the device that all arrays lie on; None where that is not so, or has to be asked."""
    if BATCHED:
        return None
    target = None
    for a in arrays:
        if type(a) is not DeviceArray:
            return None
        if a.target is not target:
            if target is not None:
                return None
            target = a.target
    return target


def run_at(name: str, function: Callable[..., Any], *arrays: Any) -> Any:
    """Call `function` on arrays where they are; see `same_device`."""
    if not USED or not arrays:
        return function(*arrays)
    target, moved = same_device(name, arrays)
    was, current.target = current.target, target
    try:
        return function(*moved)
    finally:
        current.target = was


def batched(op: Any, inputs: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Return the outputs of an op whose inputs have lanes; None where none has."""
    return BATCHED[0](op, inputs, options) if BATCHED else None


def in_lanes(name: str, *args: Any) -> Any:
    """Return the result of a function of positions that differ by lane; None where none does."""
    rule = LANE_RULES.get(name)
    return None if rule is None else rule(*args)


def lanes_of(array: Any) -> Any:
    """Return all elements, of all lanes, of an array that has lanes; None for any other."""
    whole = getattr(getattr(array, "target", None), "whole", None)
    return None if whole is None else whole(array)


def host_copy(array: Any) -> Any:
    """Return an array on the host: itself, or what is read from a device, which waits for it."""
    return array.read() if type(array) is DeviceArray else array


def upload(target: Any, values: Any) -> Any:
    """Return a copy of a host array on a device."""
    if BATCHED and hasattr(target, "join"):
        return values
    return targets().upload(target, values)


def constant(target: Any, values: Any) -> Any:
    """Return a copy of a host array on a device that nobody writes to; on a GPU one for each."""
    held = getattr(target, "constant", None)
    return upload(target, values) if held is None or values.ndim else held(values)


def to_current_device(array: Any) -> Any:
    """Return a host array where the running op computes."""
    return array if current.target is None else upload(current.target, array)


def filled(shape: Any, value: float, dtype: Any, like: Any = None) -> Any:
    """Return an array full of one number, on the device of `like` or of the running op."""
    y = empty(shape, dtype, like)
    y.fill(value)
    return y


def ones_like(array: Any) -> Any:
    """Return ones to begin a gradient with, which nobody writes to; on a GPU the same each time."""
    kept = getattr(getattr(array, "target", None), "ones", None)
    if kept is not None:
        return kept(array.shape, array.dtype)
    return filled(array.shape, 1, array.dtype, array)


def nothing_like(array: Any) -> Any:
    """Return an array of no elements, for one that is not there; on a GPU the same each time."""
    kept = getattr(getattr(array, "target", None), "nothing", None)
    return empty(0, array.dtype, array) if kept is None else kept(array.dtype)


def kept_constant(values: Any, like: Any) -> Any:
    """Return host numbers where `like` lies, which nobody writes to; on a GPU small ones once."""
    target = getattr(like, "target", None)
    return values if target is None else kept_there(target, values)


def kept_there(target: Any, values: Any) -> Any:
    """Return host numbers on a device, which nobody writes to; on a GPU small ones once."""
    keep = getattr(target, "constant", None)
    return upload(target, values) if keep is None else keep(values)


def is_kept_one(array: Any) -> bool:
    """Tell whether an array is what `ones_like` keeps on a GPU for a single number."""
    kept = getattr(getattr(array, "target", None), "kept_ones", None)
    return kept is not None and kept.get(((), array.dtype)) is array


def judge_later(classes: Any, count: int, ignored: int, refuse: Callable[[Any], None]) -> bool:
    """Have class numbers on a GPU judged there, without a wait; return False on any other device.

    refuse: raises the error, given the numbers, at the next read of the device.
    """
    late = getattr(classes.target, "late", None)
    if late is None:
        return False
    if classes.size:
        late.add(classes, partial(check_classes_there(), classes, count, ignored), refuse)
    return True


@functools.cache
def check_classes_there() -> Any:
    """Return the kernel that judges class numbers on a GPU."""
    return importlib.import_module("minigrad_kernels.indexing.cuda_classes").check_classes


def _elsewhere(shape: Any, dtype: Any, like: Any) -> Any:
    """Return memory on the device of `like`, or of the default device; None for the CPU."""
    target = current.target if like is None else getattr(like, "target", None)
    if BATCHED and hasattr(current.target, "merged"):
        target = current.target.merged(target)
    return None if target is None else target.empty(shape, dtype)


def launch_on_device(name: str, args: Sequence[Any], check: bool) -> bool:
    """Run a kernel on the device where its arrays lie; return False where that is the CPU.

    check: whether to look at the arguments first, see `check_launches`.
    """
    target = None
    numbers = False
    for a in args:
        kind = type(a)
        if kind is DeviceArray:
            if target is None:
                target = a.target
        elif kind is np.ndarray and not a.ndim:
            numbers = True
    if target is None:
        return False
    if BATCHED and hasattr(target, "launch"):
        target.launch(name, args)
        return True
    if numbers:
        args = [
            constant(target, a) if isinstance(a, np.ndarray) and not a.ndim else a for a in args
        ]
    if check:
        check_launch(name, KERNELS[name], args)
    kernel = cuda_kernels()[name]
    kernel(*args)
    if type(kernel) is Planned:  # no profile looks on
        CALLERS[name, *map(type, args)] = kernel.caller(args)
    return True


@functools.cache
def targets() -> Any:
    """Return the module of the devices, which nothing imports before one is asked for."""
    return importlib.import_module("minigrad_kernels.cuda.targets")


class CudaTable(dict[str, Planned]):
    """The CUDA column of the table as it is launched: see plan.py of the kernels' package."""

    def __missing__(self, name: str) -> Planned:
        column = importlib.import_module("minigrad_kernels.cuda_table").CUDA_KERNELS
        made = self[name] = Planned(name, column[name], KERNELS[name].reference)
        return made


CUDA = CudaTable()
# (name, types of the arguments) -> what launches by a plan that is there already and returns True,
# or returns False; None: look at the arguments.
CALLERS: dict[tuple[Any, ...], Callable[..., bool] | None] = {}


def cuda_kernels() -> Mapping[str, Callable[..., None]]:
    """Return the CUDA column of the table."""
    return CUDA


class Device:
    """The place of a tensor: "cpu"; "cuda" or "cuda:1", an NVIDIA GPU; "cuda-sim", the simulator.

    The simulator runs the kernels of the GPU in this process, thread by thread, and checks every
    access of memory: for tiny models.

    Raises: ValueError for another name; RuntimeError where a tensor is to go to a GPU that is not
        there, with what is missing.

    >>> Device("cpu"), Device("cuda:1").index
    (device(type='cpu'), 1)
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        name, _, number = str(type).partition(":")
        if name not in ("cpu", "cuda", "cuda-sim") or (number and not number.isdigit()):
            raise ValueError(
                f"device: expected 'cpu', 'cuda', 'cuda:<number>' or 'cuda-sim', got {str(type)!r}"
            )
        if (number or index) and name != "cuda":
            raise ValueError(f"device: {name!r} has no number, got {str(type)!r}")
        self.type = name
        self.index = int(number) if number else index if name == "cuda" else None

    def target(self) -> Any:
        """Return what the kernels' package computes on; None for the CPU.

        Raises: RuntimeError in plain mode.
        """
        if self.type == "cpu":
            return None
        plain.refuse(f"device {str(self)!r}")
        with FINDING:
            module = targets()
            found = module.simulator() if self.type == "cuda-sim" else module.gpu(self.index or 0)
            if _elsewhere not in ELSEWHERE:
                ELSEWHERE.append(_elsewhere)
            if found not in USED:
                USED.append(found)
        return found

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{number})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            try:
                other = Device(other)
            except ValueError:
                return False
        if not isinstance(other, Device):
            return NotImplemented
        return (self.type, self.index or 0) == (other.type, other.index or 0)

    def __hash__(self) -> int:
        return hash((self.type, self.index or 0))


device = Device
CPU_DEVICE = Device()


def device_of(array: Any) -> Device:
    """Return where an array lies."""
    return Device(array.target.name) if type(array) is DeviceArray else CPU_DEVICE


def moved(array: Any, wanted: Device, wait: bool = True) -> Any:
    """Return an array on a device: itself where it is there.  wait: for the copy to end."""
    target, here = wanted.target(), target_of((array,))
    if target is here:
        return array
    host = array if here is None else array.read(wait or target is not None)
    return host if target is None else targets().upload(target, host, wait)


def pinned(array: Array) -> Array:
    """Return a copy of a host array in memory that a GPU reaches by itself.

    Raises: RuntimeError that says what is missing where there is no GPU.
    """
    made: Array = Device("cuda").target().pinned(array.shape, array.dtype)
    made[...] = array
    return made


def set_float32_matmul_precision(precision: str) -> None:
    """Set how exactly a GPU multiplies float32 matrices; the CPU always does so in float32.

    precision: "highest", float32, the default; "high", operands rounded to TF32's 10 bits of
        mantissa, on tensor cores; "medium", to bfloat16's 7.  Sums are float32 in all three.
        Convolutions with many channels follow it too, but not their gradients by the weight.

    Raises: ValueError for any other word.
    """
    matmul_precision.set_precision(precision)


def get_float32_matmul_precision() -> str:
    """Return how exactly a GPU multiplies float32 matrices.

    >>> get_float32_matmul_precision()
    'highest'
    """
    return matmul_precision.get_precision()
