"""The one way: `launch` is the only way to a kernel, `empty` the only way to memory.

Where a kernel runs is read off its arrays.
"""

from __future__ import annotations

import contextvars
import functools
import importlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.allocator import ELSEWHERE, POOL
from minigrad.engine.allocator import empty as empty
from minigrad_kernels import checked
from minigrad_kernels.cuda import precision as matmul_precision
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.staging import is_pinned as is_pinned
from minigrad_kernels.jit import compile as launching
from minigrad_kernels.jit import plain
from minigrad_kernels.jit.files import write_whole as write_whole
from minigrad_kernels.jit.parallel import hold_over_fork as hold_over_fork
from minigrad_kernels.jit.progress import redirect_notices as redirect_notices
from minigrad_kernels.kernel import PARALLEL as PARALLEL
from minigrad_kernels.reduce.sums import sizes_around as sizes_around
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]

ARRAYS: Any = (np.ndarray, DeviceArray)  # what may be a tensor's data
# Whether all launches of the process are checked, see engine/grad_mode.py.
CHECKED = os.environ.get("MINIGRAD_CHECKED", "0") not in ("", "0")
Table = Mapping[str, Callable[..., None]]
CPU: Table = {name: kernel.cpu for name, kernel in KERNELS.items()}


class Dispatch(threading.local):
    """This thread's tables of launches: name -> callable(inputs, scalars, outputs).

    kernels: every row.  small: the elementwise rows that are one NumPy ufunc below PARALLEL
    elements, as that ufunc, with no Python frame before it (0.2 us where `launch` takes 0.4): for
    the hot path of small tensors alone.  target: the device where the running op's arrays are
    made, see `placed`; None is the CPU.

    Each call runs in a context in which NumPy's floating-point warnings are off, for log(0) is -inf
    here as everywhere in this field: entering a prepared context costs 0.03 us, `np.errstate` 0.9,
    and the user's own setting stays.
    """

    def __init__(self) -> None:
        context = contextvars.copy_context()
        context.run(np.seterr, all="ignore")
        self.kernels: Table = {name: partial(context.run, cpu) for name, cpu in CPU.items()}
        self.small: Table = {
            name: partial(context.run, row.small or row.cpu) for name, row in KERNELS.items()
        }
        self.target: Any = None
        self.checked = False
        self._context = context
        if CHECKED:
            self.check(True)

    def check(self, on: bool) -> None:
        """Check every launch of this thread from here on, or none."""
        run = self._context.run
        checked = launches_checked() if on else None
        self.checked = on
        self.kernels = {
            name: partial(run, checked[name] if checked else cpu) for name, cpu in CPU.items()
        }
        self.small = {
            name: partial(run, checked[name] if checked else row.small or row.cpu)
            for name, row in KERNELS.items()
        }


@functools.cache
def launches_checked() -> Table:
    """Return the table of kernels that look at their arguments first."""
    check_launch = checked.check_launch

    def held(name: str) -> Callable[..., None]:
        row = KERNELS[name]

        def run(*args: Any) -> None:
            check_launch(name, row, args)
            row.cpu(*args)

        return run

    return {name: held(name) for name in KERNELS}


dispatch = Dispatch()
FINDING = threading.RLock()  # two threads that ask for a device get the same one
hold_over_fork(POOL.lock)
hold_over_fork(FINDING)
USED: list[Any] = []  # devices in use: while there is none, ops do not ask where they run


def launch(name: str, *args: Any) -> None:
    """Run the kernel `name` on `args`: inputs, scalars, outputs, as its row of the table says.

    It runs where its arrays are.  Outputs are writable and aligned, and overlap neither inputs nor
    each other (but that y of an elementwise kernel may be an input): kernels are compiled on that
    and check nothing.  Memory from `empty` is so; other memory goes through engine/overwrite.py
    first. `minigrad.check_launches` holds every launch to it.

    >>> y = empty(2, np.float32)
    >>> launch("add", np.ones(2, np.float32), np.ones(2, np.float32), y)
    >>> y.tolist()
    [2.0, 2.0]
    """
    if USED:
        target = target_of(args)
        if target is not None:
            numbers = [
                upload(target, a) if isinstance(a, np.ndarray) and not a.ndim else a for a in args
            ]
            if dispatch.checked:
                checked.check_launch(name, KERNELS[name], numbers)
            cuda_kernels()[name](*numbers)
            return
    dispatch.kernels[name](*args)


# ---------------------------------------------------------------- devices
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
        self.was = dispatch.target
        dispatch.target = self.target

    def __exit__(self, *error: Any) -> None:
        dispatch.target = self.was


def same_device(name: str, arrays: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return the one device of an op's inputs (None: the CPU), and the inputs there.

    A single number may come from the CPU, as PyTorch has it.

    Raises: RuntimeError where arrays lie on several devices.
    """
    found = {a.target.name: a.target for a in arrays if type(a) is DeviceArray}
    if not found:
        return None, list(arrays)
    target = next(iter(found.values()))
    if len(found) > 1 or any(isinstance(a, np.ndarray) and a.ndim and a.size for a in arrays):
        shown = ", ".join(
            f"{a.shape} on {a.target.name if type(a) is DeviceArray else 'cpu'}" for a in arrays
        )
        raise RuntimeError(
            f"{name}: its inputs lie on several devices: {shown}; bring them to one with "
            ".to(device)"
        )
    return target, [upload(target, a) if isinstance(a, np.ndarray) else a for a in arrays]


def run_at(name: str, function: Callable[..., Any], *arrays: Any) -> Any:
    """Call `function` on arrays where they are; see `settled`."""
    target, moved = same_device(name, arrays)
    with on_device(target):
        return function(*moved)


def host_copy(array: Any) -> Any:
    """Return an array on the host: itself, or what is read from a device, which waits for it."""
    return array.read() if type(array) is DeviceArray else array


def upload(target: Any, values: Any) -> Any:
    """Return a copy of a host array on a device."""
    return targets().upload(target, values)


def to_current_device(array: Any) -> Any:
    """Return a host array where the running op computes."""
    return array if dispatch.target is None else upload(dispatch.target, array)


def filled(shape: Any, value: float, dtype: Any, like: Any = None) -> Any:
    """Return an array full of one number, on the device of `like` or of the running op."""
    y = empty(shape, dtype, like)
    y.fill(value)
    return y


def _elsewhere(shape: Any, dtype: Any, like: Any) -> Any:
    target = dispatch.target if like is None else getattr(like, "target", None)
    return None if target is None else target.empty(shape, dtype)


@functools.cache
def targets() -> Any:
    """Return the module of the devices, which nothing imports before one is asked for."""
    return importlib.import_module("minigrad_kernels.cuda.targets")


@functools.cache
def cuda_kernels() -> Table:
    """Return the CUDA column of the table."""
    table: dict[str, Callable[..., None]]
    table = importlib.import_module("minigrad_kernels.cuda_table").CUDA_KERNELS
    return table


class Device:
    """Where a tensor lives: "cpu"; "cuda" or "cuda:1", an NVIDIA GPU; "cuda-sim", the simulator.

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
            if not USED:
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
    target, to_current_device = wanted.target(), target_of((array,))
    if target is to_current_device:
        return array
    host = array if to_current_device is None else array.read(wait or target is not None)
    return host if target is None else targets().upload(target, host, wait)


def pinned(array: Array) -> Array:
    """Return a copy of a host array in memory that a GPU reaches by itself.

    Raises: RuntimeError that says what is missing where there is no GPU.
    """
    made: Array = Device("cuda").target().pinned(array.shape, array.dtype)
    made[...] = array
    return made


def set_num_threads(n: int) -> None:
    """Set how many threads the jitted kernels use; results do not depend on it.

    Kernels may be launched from any Python thread; one that uses several threads waits for another
    that does.  A child made by `os.fork` (a `multiprocessing` pool of the "fork" context too)
    computes on one thread if its parent has used several before; "spawn" and "forkserver" give
    children that use all.

    n: 1 to the number of cores.  Raises: ValueError outside that range.
    """
    launching.set_num_threads(arguments.whole("set_num_threads", "n", n))


def get_num_threads() -> int:
    """Return how many threads the jitted kernels use.

    >>> get_num_threads() >= 1
    True
    """
    return launching.get_num_threads()


def set_float32_matmul_precision(precision: str) -> None:
    """Set how exactly a GPU multiplies float32 matrices; the CPU always does so in float32.

    precision: "highest", float32, the default; "high", operands rounded to TF32's 10 bits of
        mantissa, on tensor cores; "medium", to bfloat16's 7.  Sums are float32 in all three.

    Raises: ValueError for any other word.
    """
    matmul_precision.set_precision(precision)


def get_float32_matmul_precision() -> str:
    """Return how exactly a GPU multiplies float32 matrices.

    >>> get_float32_matmul_precision()
    'highest'
    """
    return matmul_precision.get_precision()
