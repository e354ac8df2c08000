"""Simulated kernels on the host: what `cuda.jit` returns while kernels are simulated."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import njit
from numba.core import sigutils, types
from numba.cuda.args import ArgHint, In, InOut
from numba.cuda.errors import missing_launch_config_msg, normalize_kernel_dimensions
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray, sentry_contiguous
from numba.np.numpy_support import as_dtype

from minigrad_cudasim.host.arrays import device_array
from minigrad_cudasim.launching import run
from minigrad_cudasim.numbers import cast_to
from minigrad_cudasim.report import Report

FORALL = 128  # threads a block of `forall`, where none are asked for


class Session:
    """What is simulated: with which options, how launches end, and what they have shown.

    raises: whether a launch with faults raises them; without, they are in `report` alone.
    """

    def __init__(self, raises: bool = True, **options: Any):
        self.raises = raises
        self.options = options
        self.report = Report("")
        self.report.launches = 0
        self.seeds = itertools.count(options.pop("seed", 0))

    def launch(
        self, function: Any, grid: Any, block: Any, shared: int, args: Any, debug: bool = False
    ) -> None:
        """Run a kernel.

        Raises: Fault, unless faults are only collected.
        """
        seed = next(self.seeds)
        found = run(
            function, grid, block, args, shared=shared, seed=seed, debug=debug, **self.options
        )
        self.report.add(found)
        if self.raises:
            found.raise_faults()


SESSIONS: list[Session] = []


class Kernel:
    """A kernel or device function under simulation, with the interface of numba.cuda's."""

    def __init__(self, function: Any, device: bool = False, signatures: Any = (), **options: Any):
        self.py_func = function
        self.device = device
        self.debug = bool(options.get("debug"))
        self.signatures = [sigutils.normalize_signature(s) for s in signatures]
        self.targetoptions = options
        self.extensions = list(options.get("extensions") or ())
        functools.update_wrapper(self, function)

    def __getitem__(self, configuration: Any) -> Configured:
        if not isinstance(configuration, tuple) or not 2 <= len(configuration) <= 4:
            raise ValueError("must specify at least the griddim and blockdim")
        return self.configure(*configuration)

    def configure(self, griddim: Any, blockdim: Any, stream: Any = 0, sharedmem: int = 0) -> Any:
        """Return the kernel with a grid, a block, and bytes of dynamic shared memory."""
        grid, block = normalize_kernel_dimensions(griddim, blockdim)
        return Configured(self, grid, block, int(sharedmem))

    def forall(self, ntasks: int, tpb: int = 0, stream: Any = 0, sharedmem: int = 0) -> Any:
        """Return the kernel over as many blocks as a number of tasks takes."""
        if ntasks < 0:
            raise ValueError(f"Can't create ForAll with negative task count: {ntasks}")
        threads = tpb or FORALL
        grid, block = (-(-ntasks // threads), 1, 1), (threads, 1, 1)
        return Configured(self, grid, block, int(sharedmem), idle=ntasks == 0)

    def __call__(self, *args: Any) -> Any:
        if self.device:
            return self.py_func(*args)
        raise ValueError(missing_launch_config_msg)

    def specialize(self, *args: Any) -> Kernel:
        """Return the kernel: nothing is compiled."""
        return self

    @property
    def specialized(self) -> bool:
        """Whether one signature was given."""
        return len(self.signatures) == 1

    def bind(self) -> None:
        """Do nothing: there is no module to load."""

    @property
    def overloads(self) -> Overloads:
        """What Numba would have compiled, for any signature."""
        return Overloads(self)

    def max_cooperative_grid_blocks(self, blockdim: Any, dynsmemsize: int = 0) -> int:
        """Return how many blocks a cooperative launch may have."""
        threads = int(np.prod(blockdim))
        return max(1, 2 * (RESIDENT_THREADS // max(threads, 1)))


RESIDENT_THREADS = 2048  # of a multiprocessor; the simulated device has two


class Configured:
    """A kernel with its grid and block, to be called with arguments.  idle: for no tasks."""

    def __init__(self, kernel: Kernel, grid: Any, block: Any, shared: int, idle: bool = False):
        self.kernel = kernel
        self.idle = idle
        self.grid = self.griddim = grid
        self.block = self.blockdim = block
        self.shared = self.sharedmem = shared

    def __call__(self, *args: Any) -> None:
        if not SESSIONS:
            raise RuntimeError(
                "this kernel was made under minigrad_cudasim.simulate(), which has ended"
            )
        kernel = self.kernel
        if self.idle:
            return
        launch(kernel.py_func, self.grid, self.block, self.shared, args, kernel)


class Overloads(dict[Any, Any]):
    """Stands for what Numba would have compiled."""

    def __init__(self, kernel: Kernel):
        super().__init__({args: Overload(kernel, args, ret) for args, ret in kernel.signatures})
        self.kernel = kernel

    def __missing__(self, key: Any) -> Overload:
        return Overload(self.kernel, key, None)


class Overload:
    """One of them: its signature, and how many blocks may run at once."""

    def __init__(self, kernel: Kernel, args: Any, result: Any):
        self.kernel = kernel
        self.args = args
        self.result = result

    @property
    def signature(self) -> Any:
        """The types of arguments and result; the latter as the CPU's compiler infers it."""
        result = self.result
        if result is None:
            made = njit(self.args)(self.kernel.py_func)
            result = made.overloads[tuple(self.args)].signature.return_type
        return result(*self.args)

    def max_cooperative_grid_blocks(self, blockdim: Any, dynsmemsize: int = 0) -> int:
        """Return how many blocks a cooperative launch may have."""
        return self.kernel.max_cooperative_grid_blocks(blockdim, dynsmemsize)


def launch(
    function: Any, grid: Any, block: Any, shared: int, args: Any, kernel: Kernel | None = None
) -> None:
    """Run a kernel with arguments as numba.cuda takes them."""
    retr: list[Any] = []
    extensions = kernel.extensions if kernel is not None else []
    given = [given_as(a, extensions, retr) for a in args]
    if kernel is not None and kernel.signatures:
        given = typed(given, kernel.signatures)
    debug = kernel is not None and kernel.debug
    held = function if kernel is None else kernel
    SESSIONS[-1].launch(held, grid, block, shared, tuple(given), debug)
    for written_back in retr:
        written_back()


def given_as(value: Any, extensions: list[Any], retr: list[Any]) -> Any:
    """Return an argument as memory or number."""
    for extension in reversed(extensions):
        _, value = extension.prepare_args(None, value, stream=0, retr=retr)
    if isinstance(value, ArgHint):
        return hinted(value, retr)
    if isinstance(value, FakeCUDAArray):
        return value._ary
    if isinstance(value, np.ndarray):
        if value.ndim:
            sentry_contiguous(value)
        return value
    if type(value) is tuple:
        return tuple(given_as(item, [], retr) for item in value)
    return value


def hinted(hint: ArgHint, retr: list[Any]) -> Any:
    """Return what `cuda.In`, `cuda.Out` and `cuda.InOut` move: the last alone is used in place."""
    value = given_as(hint.value, [], retr)
    if isinstance(hint, InOut) or not isinstance(value, np.ndarray):
        return value.copy() if isinstance(hint, In) else value
    if isinstance(hint, In):
        return value.copy(order="K")
    device = device_array(value.shape, value.dtype, value.strides)
    retr.append(lambda: np.copyto(value, device._ary))
    return device._ary


def typed(values: list[Any], signatures: list[Any]) -> list[Any]:
    """Return numbers as the types of the signature that fits best."""
    fitting = [args for args, _ in signatures if len(args) == len(values)]
    if not fitting:
        return values
    best = max(fitting, key=lambda args: sum(map(matches, values, args)))
    return [cast(value, kind) for value, kind in zip(values, best, strict=True)]


def matches(value: Any, kind: Any) -> Any:
    """Tell whether a value has exactly a Numba type, as far as its dtype goes."""
    if isinstance(kind, types.Array):
        dtype = getattr(value, "dtype", None)
        return dtype is not None and dtype == as_dtype(kind.dtype) and value.ndim == kind.ndim
    if isinstance(kind, types.Integer) and type(value) is int:
        return True
    if isinstance(value, np.generic):
        return value.dtype == as_dtype(kind)
    exact = {float: types.float64, complex: types.complex128}.get(type(value))
    return exact == kind


def cast(value: Any, kind: Any) -> Any:
    """Return a number in the type of a signature."""
    number = isinstance(value, int | float | complex | np.number)
    if not number or not isinstance(kind, types.Number | types.Boolean):
        return value
    made = cast_to(kind.name)
    return as_dtype(kind).type(value if made is None else made(value))


def jit(
    func_or_sig: Any = None,
    device: bool = False,
    inline: Any = False,
    link: Any = None,
    debug: Any = None,
    opt: Any = None,
    lineinfo: bool = False,
    cache: bool = False,
    **options: Any,
) -> Any:
    """Return a simulated kernel or device function, or what makes one: `numba.cuda.jit`."""
    if options.get("boundscheck"):
        raise NotImplementedError("bounds checking is not supported for CUDA")
    if link:
        raise NotImplementedError("Cannot link PTX in the simulator")
    made: Any = functools.partial(Kernel, device=device, debug=debug, **options)
    if isinstance(func_or_sig, list) or sigutils.is_signature(func_or_sig):
        signatures = func_or_sig if isinstance(func_or_sig, list) else [func_or_sig]

        def wrapper(function: Any) -> Kernel:
            return made(function, signatures=signatures)

        return wrapper
    if func_or_sig is None:
        return made
    return made(func_or_sig)


@contextmanager
def session(held: Session) -> Any:
    """Make a session the one that launches belong to."""
    SESSIONS.append(held)
    try:
        yield held
    finally:
        SESSIONS.remove(held)


class Reduce:
    """`cuda.reduce`: a sum, or another association, of an array's elements, in numpy's order."""

    def __init__(self, functor: Callable[[Any, Any], Any]):
        self.functor = getattr(functor, "py_func", functor)

    def __call__(
        self, arr: Any, size: int | None = None, res: Any = None, init: Any = 0, stream: Any = 0
    ) -> Any:
        """Return the reduction of the first `size` elements, or write it to `res[0]`."""
        held = arr.copy_to_host() if isinstance(arr, FakeCUDAArray) else np.asarray(arr)
        if held.ndim != 1:
            raise TypeError(f"only 1D arrays are supported, got {held.ndim} dimensions")
        total = functools.reduce(self.functor, held[:size], init)
        if res is None:
            return held.dtype.type(total)
        res[0] = total
        return None
