"""Targets that `compare` runs a kernel on: reference, CPU, GPU, simulator, other libraries."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np

from minigrad_kernels.compare.memory import placed
from minigrad_kernels.compare.peers import Peer, array_peer, blas_peer, torch_peer
from minigrad_kernels.compare.timing import installed, thread_counts
from minigrad_kernels.cuda.plan import Planned
from minigrad_kernels.example import Example
from minigrad_kernels.jit.arguments import Bound, bind
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]
TOGETHER = 10  # launches on a GPU before it is waited for, when they are timed


@dataclass(frozen=True)
class Entry:
    """One kernel to compare: its row of the table, and how its arguments are made.

    cuda: its CUDA kernel where the table of these does not have it.  own: whether it is a user's
    pair; place: its file and name there.  oracle: whether it has a
    reference of its own.  counted: whether its cost is stated.
    """

    name: str
    kernel: Kernel
    example: Example
    cuda: Callable[..., None] | None = None
    own: bool = False
    place: str = ""
    oracle: bool = True
    counted: bool = True


@dataclass(frozen=True)
class Prepared:
    """A launch on arguments of its own: `call` runs it, `read` returns what it wrote.

    many: runs it `Target.parts` times and waits, to be timed.  bound: its arguments, where they can
    be looked at; get and put copy one of its arrays to the host and back.
    """

    call: Callable[[], Any]
    read: Callable[[], list[Array | None]]
    many: Callable[[], Any]
    bound: Bound | None = None
    get: Callable[[Any], Array] = np.copy
    put: Callable[[Any, Array], Any] = np.copyto


class Target:
    """One way to run kernels.

    ours: whether a wrong result is this project's fault.  timed: whether its time means anything.
    parts: how many launches a timed call makes.
    """

    ours = False
    timed = True
    parts = 1

    def __init__(self, name: str) -> None:
        self.name = name

    def absent(self) -> str | None:
        """Return why nothing runs there, None where it does."""
        return None

    def prepare(self, entry: Entry, args: Sequence[Any], other: bool = False) -> Prepared | None:
        """Return the launch of a kernel, None where this target has no such kernel.

        other: on one thread, or in a grid of one block.
        """
        raise NotImplementedError

    def threads(self) -> list[int]:
        """Return the thread counts to time; empty where there is no choice."""
        return []

    def set_threads(self, count: int) -> None:
        """Set the thread count."""

    def reset_threads(self) -> None:
        """Set the thread count back to what it was before."""


class Host(Target):
    """A column of the table: the reference, or the CPU's kernel."""

    ours = True

    def prepare(self, entry: Entry, args: Sequence[Any], other: bool = False) -> Prepared | None:
        """Return a kernel's reference or CPU kernel bound to copies of arguments.

        None for the reference of a pair that has none of its own.
        """
        if self.name == "reference" and not entry.oracle:
            return None
        bound = bind(entry.kernel, args, placed)
        run = partial(getattr(entry.kernel, self.name), *bound.args)
        return Prepared(run, lambda: [np.copy(a) for a in bound.written], run, bound)

    def threads(self) -> list[int]:
        """Return the thread counts to measure, none for references."""
        return thread_counts() if self.name == "cpu" else []

    def set_threads(self, count: int) -> None:
        """Set the number of threads of Numba's parallel loops."""
        numba.set_num_threads(count)


class Device(Target):
    """A GPU, or the simulator of one."""

    ours = True
    parts = TOGETHER

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.timed = name == "cuda"

    def absent(self) -> str | None:
        """Return why the device cannot be used, None where it can."""
        if self.name == "cuda-sim":
            lacking = None if installed("greenlet") else "pip install minigrad[simulate]"
            return lacking and f"needs greenlet: {lacking}"
        try:
            gpu_targets().driver()
        except RuntimeError as error:
            return str(error)
        return None

    def target(self, one_block: bool) -> Any:
        """Return what the kernels run on: in another order of threads, too, if simulated."""
        if self.name == "cuda-sim":
            one = {"seed": 50, "most": 1}
            return gpu_targets().Simulator(**(one if one_block else {}))
        device = gpu_targets().gpu()
        device.most = 1 if one_block else None
        return device

    def prepare(self, entry: Entry, args: Sequence[Any], other: bool = False) -> Prepared | None:
        """Return a CUDA kernel bound to copies of arguments on the device, None without one."""
        cuda_kernel = cuda_kernel_of(entry)
        if cuda_kernel is None:
            return None
        target = self.target(other)
        target.strict = not entry.own  # a user's kernel may compute in doubles
        upload = gpu_targets().upload
        bound = bind(entry.kernel, args, lambda a: upload(target, a))

        def run(times: int) -> None:
            for _ in range(times):
                cuda_kernel(*bound.args)
            target.synchronize()

        def get(a: Any) -> Array:
            found: Array = a.copy() if isinstance(a, np.ndarray) else target.read(a)
            return found

        def put(a: Any, values: Array) -> None:
            if isinstance(a, np.ndarray):
                np.copyto(a, values)
            else:
                target.write(a, values)

        def read() -> list[Array | None]:
            return [get(a) for a in bound.written]

        many = partial(run, self.parts)
        return Prepared(partial(run, 1), read, many, bound, get, put)


def gpu_targets() -> Any:
    """Return minigrad_kernels.cuda.targets, which only who has asked for a device pays for."""
    return importlib.import_module("minigrad_kernels.cuda.targets")


def cuda_kernel_of(entry: Entry) -> Callable[..., None] | None:
    """Return the CUDA kernel of a kernel as it is launched, by its plans, None without one."""
    if entry.own or entry.name not in KERNELS:
        return entry.cuda
    found: Callable[..., None] | None
    found = importlib.import_module("minigrad_kernels.cuda_table").CUDA_KERNELS.get(entry.name)
    return None if found is None else Planned(entry.name, found, entry.kernel.reference)


class Library(Target):
    """Another library that computes some of the kernels: NumPy's BLAS, CuPy, PyTorch."""

    def __init__(self, name: str, module: str, peer_of: Callable[..., Peer | None]) -> None:
        super().__init__(name)
        self.module = module
        self.peer_of = peer_of
        self.on_gpu = name in ("torch-cuda", "cupy")
        self.undo: Callable[[], Any] | None = None  # gives the library its threads back
        self.parts = TOGETHER if self.on_gpu else 1

    def absent(self) -> str | None:
        """Return why the library cannot be used, None where it can."""
        if not installed(self.module):
            return f"{self.module} is not installed"
        if self.on_gpu and not self.finds_gpu():
            return f"{self.module} finds no GPU here"
        return None

    def finds_gpu(self) -> bool:
        """Return whether the library finds a GPU."""
        library = self.library()
        if self.name == "torch-cuda":
            return bool(library.cuda.is_available())
        return bool(library.is_available())

    def library(self) -> Any:
        """Return the library's module."""
        return importlib.import_module(self.module)

    def prepare(self, entry: Entry, args: Sequence[Any], other: bool = False) -> Prepared | None:
        """Return the library's counterpart bound to copies of arguments, None without one."""
        if entry.own:
            return None
        peer = self.peer_of(self.library(), entry.name, entry.kernel)
        if peer is None:
            return None
        bound = bind(entry.kernel, args, np.copy)
        call = peer(self.library(), *self.given(bound))
        found: list[Any] = []

        def run() -> None:
            found[:] = call()
            self.wait()

        def many() -> None:
            for _ in range(self.parts):
                call()
            self.wait()

        return Prepared(run, lambda: [self.host(a) for a in found], many)

    def given(self, bound: Bound) -> list[Any]:
        """Return the arguments in this library's arrays; a table's tensors instead of a table."""
        rows = [tuple(map(self.as_library_array, row)) for row in bound.tensors]
        first = [rows] if rows else [self.as_library_array(a) for a in bound.args[:1]]
        return first + [self.as_library_array(a) for a in bound.args[1:]]

    def as_library_array(self, a: Any) -> Any:
        """Return an argument as the library takes it, arrays on its device."""
        if not isinstance(a, np.ndarray) or self.module == "numpy":
            return a
        if self.name == "cupy":
            return self.library().asarray(a)
        tensor = self.library().from_numpy(a)
        return tensor.cuda() if self.on_gpu else tensor

    def host(self, a: Any) -> Array | None:
        """Return a result as a NumPy array."""
        if a is None:
            return None
        if hasattr(a, "detach"):
            return np.array(a.detach().cpu().numpy())
        return np.array(a.get() if hasattr(a, "get") else a)

    def wait(self) -> None:
        """Wait until the library's work on the GPU has ended."""
        if self.name == "torch-cuda":
            self.library().cuda.synchronize()
        elif self.name == "cupy":
            self.library().cuda.get_current_stream().synchronize()

    def threads(self) -> list[int]:
        """Return the thread counts to measure, none where the library has no choice."""
        return thread_counts() if self.name == "torch" or self.pool() else []

    def set_threads(self, count: int) -> None:
        """Set the number of the library's threads."""
        if self.name == "torch":
            torch = self.library()
            self.undo = self.undo or partial(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(count)
        elif pool := self.pool():
            limit = pool.limit(limits=count)
            self.undo = self.undo or limit.restore_original_limits

    def reset_threads(self) -> None:
        """Give the library back the number of threads that it had."""
        if self.undo is not None:
            self.undo()
            self.undo = None

    def pool(self) -> Any:
        """Return what sets the threads of NumPy's BLAS, None where nothing does."""
        if self.name != "cpu-blas" or not installed("threadpoolctl"):
            return None
        control = importlib.import_module("threadpoolctl").ThreadpoolController()
        return control.select(user_api="blas")


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Host("reference"),
        Host("cpu"),
        Library("cpu-blas", "numpy", blas_peer),
        Library("torch", "torch", torch_peer),
        Device("cuda"),
        Device("cuda-sim"),
        Library("torch-cuda", "torch", torch_peer),
        Library("cupy", "cupy", array_peer),
    )
}
