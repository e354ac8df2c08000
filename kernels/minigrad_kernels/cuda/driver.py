"""Call the CUDA driver, by ctypes: contexts, memory, streams, events, programs, graphs.

It is all that a launch needs of a machine: a compiler is needed only for a kernel whose machine
code is not stored yet.  Addresses and handles are plain numbers.  `enter` makes a GPU's primary
context current in a thread, once, and leaves it so: every call that needs one makes sure of it,
what is let go of by a collector's run in any thread included.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable, Sequence
from ctypes import byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from functools import partial
from typing import Any

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
# Where containers and WSL put it, if the loader was not told.
FOLDERS = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/wsl/lib")
PROCESSORS, CAPABILITY, MOST_SHARED = 16, (75, 76), 97  # CUdevice_attribute
DEVICE_ORDINAL = 9  # CUpointer_attribute
DYNAMIC_SHARED = 8  # CUfunction_attribute: the most bytes of it that a launch may ask for
PLAIN_SHARED = 49_152  # bytes of shared memory that need no permission
NON_BLOCKING = 1  # CUstream_flags: does not wait for the legacy default stream
NO_TIMING = 2  # CUevent_flags
DEVICE_MEMORY = 2  # CUmemorytype
# CUresult
OUT_OF_MEMORY, NOT_INITIALIZED, DEINITIALIZED, NOT_READY = 2, 3, 4, 600
# After one of these the context answers every further call with it: ECC_UNCORRECTABLE,
# ILLEGAL_ADDRESS, LAUNCH_TIMEOUT, CONTEXT_IS_DESTROYED, ASSERT, HARDWARE_STACK_ERROR,
# ILLEGAL_INSTRUCTION, MISALIGNED_ADDRESS, INVALID_ADDRESS_SPACE, INVALID_PC, LAUNCH_FAILED, UNKNOWN
LOSING = frozenset({214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999})

HANDLE, NUMBER, SIZE = c_void_p, c_uint64, c_size_t
CALLS: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (HANDLE,),
    "cuDeviceGetCount": (HANDLE,),
    "cuDeviceGet": (HANDLE, c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (HANDLE, c_int, c_int),
    "cuDevicePrimaryCtxRetain": (HANDLE, c_int),
    "cuCtxSetCurrent": (HANDLE,),
    "cuCtxSynchronize": (),
    "cuMemAlloc_v2": (HANDLE, SIZE),
    "cuMemFree_v2": (NUMBER,),
    "cuMemHostAlloc": (HANDLE, SIZE, c_uint),
    "cuMemFreeHost": (NUMBER,),
    "cuMemcpyHtoDAsync_v2": (NUMBER, NUMBER, SIZE, NUMBER),
    "cuMemcpyDtoHAsync_v2": (NUMBER, NUMBER, SIZE, NUMBER),
    "cuMemcpyDtoDAsync_v2": (NUMBER, NUMBER, SIZE, NUMBER),
    "cuPointerGetAttribute": (HANDLE, c_int, NUMBER),
    "cuStreamCreate": (HANDLE, c_uint),
    "cuStreamSynchronize": (NUMBER,),
    "cuStreamQuery": (NUMBER,),
    "cuStreamWaitEvent": (NUMBER, NUMBER, c_uint),
    "cuEventCreate": (HANDLE, c_uint),
    "cuEventDestroy_v2": (NUMBER,),
    "cuEventRecord": (NUMBER, NUMBER),
    "cuEventQuery": (NUMBER,),
    "cuEventSynchronize": (NUMBER,),
    "cuEventElapsedTime": (HANDLE, NUMBER, NUMBER),
    "cuModuleLoadData": (HANDLE, c_char_p),
    "cuModuleGetFunction": (HANDLE, NUMBER, c_char_p),
    "cuFuncSetAttribute": (NUMBER, c_int, c_int),
    "cuGraphCreate": (HANDLE, c_uint),
    "cuGraphAddKernelNode_v2": (HANDLE, NUMBER, HANDLE, SIZE, HANDLE),
    "cuGraphAddMemcpyNode": (HANDLE, NUMBER, HANDLE, SIZE, HANDLE, NUMBER),
    "cuGraphExecKernelNodeSetParams_v2": (NUMBER, NUMBER, HANDLE),
    "cuGraphInstantiateWithFlags": (HANDLE, NUMBER, c_uint64),
    "cuGraphLaunch": (NUMBER, NUMBER),
    "cuGraphExecDestroy": (NUMBER,),
    "cuGraphDestroy": (NUMBER,),
    "cuGetErrorName": (c_int, HANDLE),
}


# What is let go of then has gone already, with its context or the whole process's driver.
GONE = LOSING | {NOT_INITIALIZED, DEINITIALIZED}


class DriverError(RuntimeError):
    """What the driver answered where a call failed; code: its CUresult.

    lost: whether the GPU answers this process no more, whatever it is asked for.
    """

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.lost = code in LOSING


class Setup(ctypes.Structure):
    """CUlaunchConfig: grid, block, bytes of dynamic shared memory, stream."""

    _fields_ = [
        ("grid", c_uint * 3),
        ("block", c_uint * 3),
        ("shared", c_uint),
        ("stream", c_uint64),
        ("attributes", c_void_p),
        ("count", c_uint),
    ]


class KernelNode(ctypes.Structure):
    """CUDA_KERNEL_NODE_PARAMS_v2: a launch as a node of a graph."""

    _fields_ = [
        ("function", c_uint64),
        ("grid", c_uint * 3),
        ("block", c_uint * 3),
        ("shared", c_uint),
        ("pointers", c_uint64),
        ("extra", c_uint64),
        ("kernel", c_uint64),
        ("context", c_uint64),
    ]


class Side(ctypes.Structure):
    """One side of a CUDA_MEMCPY3D."""

    _fields_ = [
        ("offsets", c_size_t * 4),
        ("kind", c_int),
        ("host", c_uint64),
        ("device", c_uint64),
        ("array", c_uint64),
        ("reserved", c_uint64),
        ("pitch", c_size_t),
        ("height", c_size_t),
    ]


class CopyNode(ctypes.Structure):
    """CUDA_MEMCPY3D: a copy as a node of a graph."""

    _fields_ = [("source", Side), ("to", Side), ("sizes", c_size_t * 3)]


class Launch:
    """A launch with all that it takes laid out in memory: 0.3 us of the host to repeat it.

    pointers: the address of each parameter's value, which may be written to between launches; the
        memory they lie in must outlive it.
    call: makes the launch, on stream 0 or that of the last `to`, and returns a CUresult.
    """

    __slots__ = ("arguments", "call", "launch", "name", "pointers", "setup")

    def __init__(
        self,
        launch: Any,
        function: int,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        shared: int,
        pointers: Sequence[int],
    ) -> None:
        self.launch = launch
        self.name = name
        self.setup = Setup((*grid,), (*block,), shared, 0, None, 0)
        self.pointers = (c_uint64 * max(1, len(pointers)))(*pointers)
        places = ctypes.addressof(self.setup), function, ctypes.addressof(self.pointers), 0
        self.arguments = tuple(c_void_p(place) for place in places)
        self.call: Callable[[], int] = partial(launch, *self.arguments)

    def elsewhere(self, pointers: Sequence[int]) -> Launch:
        """Return the same launch with parameters that lie elsewhere."""
        grid, block = (tuple(sizes) for sizes in (self.setup.grid, self.setup.block))
        function = int(self.arguments[1].value or 0)
        shared = self.setup.shared
        return Launch(self.launch, function, self.name, grid, block, shared, pointers)

    def node(self) -> KernelNode:
        """Return it as a graph takes it."""
        setup = self.setup
        function = int(self.arguments[1].value or 0)
        where = ctypes.addressof(self.pointers)
        return KernelNode(function, setup.grid, setup.block, setup.shared, where, 0, 0, 0)

    def to(self, stream: int) -> None:
        """Launch on the stream of that number from now on."""
        self.setup.stream = stream

    def refused(self, code: int) -> DriverError:
        """Return the error about a CUresult of `call`: the kernel's name, grid and block."""
        grid, block = tuple(self.setup.grid), tuple(self.setup.block)
        said = f"a launch of {self.name} in a grid of {grid} blocks of {block} threads"
        shared = self.setup.shared
        words = f"{said}, {shared} bytes of dynamic shared memory, failed: CUresult {code}"
        return DriverError(code, words)

    def __call__(self, stream: int) -> None:
        """Launch on a stream of that number.

        Raises: DriverError with the kernel's name, grid and block.
        """
        self.to(stream)
        code = self.call()
        if code:
            raise self.refused(code)


class Entered(threading.local):
    """The GPU whose context is current in a thread; None: none yet."""

    device: int | None = None


class Driver:
    """The driver's library, initialised.

    path: of the library; by default MINIGRAD_CUDA_LIBRARY, or the system's.

    Raises: RuntimeError that says what is missing.
    """

    def __init__(self, path: str = "") -> None:
        path = path or os.environ.get("MINIGRAD_CUDA_LIBRARY") or LIBRARY
        self.library = loaded(path)
        for name, types in CALLS.items():
            call = getattr(self.library, name, None)
            if call is None:
                raise RuntimeError(
                    f"no CUDA: the NVIDIA driver's library has no {name}: it is too old; CUDA 13 "
                    "needs driver 580 or newer"
                )
            call.argtypes, call.restype = types, c_int
        self.launch = self.library.cuLaunchKernelEx
        self.launch.restype = c_int
        self.copy = self.library.cuMemcpyDtoDAsync_v2
        self.local = Entered()
        self.contexts: dict[int, int] = {}
        self.making = threading.Lock()
        self.process = os.getpid()
        code = self.library.cuInit(0)
        if code:
            raise RuntimeError(
                f"no CUDA: the NVIDIA driver does not start ({self.name_of(code)}): no GPU is "
                "visible (CUDA_VISIBLE_DEVICES?), or module and library are of two versions"
            )
        self.devices = int(self.number("cuDeviceGetCount"))
        if not self.devices:
            raise RuntimeError("no CUDA: the NVIDIA driver finds no GPU")

    # ------------------------------------------------------------ calls
    def name_of(self, code: int) -> str:
        """Return the name of a CUresult."""
        said = c_char_p()
        self.library.cuGetErrorName(code, byref(said))
        return said.value.decode() if said.value else f"CUresult {code}"

    def call(self, name: str, *args: Any) -> None:
        """Call a function of the driver.

        Raises: MemoryError where there is none left; DriverError.
        """
        code = getattr(self.library, name)(*args)
        if code:
            raise self.error(name, code)

    def let_go(self, name: str, handle: int) -> None:
        """Give something back; nothing is to be said where it has gone with its context."""
        code = getattr(self.library, name)(handle)
        if code and code not in GONE:
            raise self.error(name, code)

    def error(self, name: str, code: int) -> Exception:
        """Return the error about a call of the driver's that failed."""
        words = f"{name} failed: {self.name_of(code)}"
        if code in LOSING:
            words += ", now or in a launch before it: start a new process, this one's GPU is lost"
        if code == NOT_INITIALIZED and self.process != os.getpid():
            words += f": the driver was started by process {self.process}, of which this is a fork"
            words += "; use multiprocessing's 'spawn'"
        return MemoryError(words) if code == OUT_OF_MEMORY else DriverError(code, words)

    def number(self, name: str, *args: Any, kind: Any = c_uint64) -> int:
        """Return what a function of the driver writes to its first argument."""
        made = kind()
        self.call(name, byref(made), *args)
        return int(made.value)

    # ------------------------------------------------------------ devices
    def enter(self, device: int) -> None:
        """Make the context of a GPU current in this thread."""
        if self.local.device != device:
            with self.making:
                if device not in self.contexts:
                    place = self.number("cuDeviceGet", device, kind=c_int)
                    self.contexts[device] = self.number("cuDevicePrimaryCtxRetain", place)
            self.call("cuCtxSetCurrent", self.contexts[device])
            self.local.device = device

    def name(self, device: int) -> str:
        """Return the name of a GPU."""
        held = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", held, len(held), device)
        return held.value.decode(errors="replace")

    def attribute(self, device: int, which: int) -> int:
        """Return a CUdevice_attribute of a GPU."""
        return self.number("cuDeviceGetAttribute", which, device, kind=c_int)

    def processors(self, device: int) -> int:
        """Return the multiprocessors of a GPU."""
        return self.attribute(device, PROCESSORS)

    def capability(self, device: int) -> tuple[int, int]:
        """Return the compute capability of a GPU."""
        major, minor = (self.attribute(device, which) for which in CAPABILITY)
        return major, minor

    def most_shared(self, device: int) -> int:
        """Return the bytes of shared memory that a block may have where it asks for them."""
        return self.attribute(device, MOST_SHARED)

    def version(self) -> int:
        """Return the newest CUDA that the driver knows, 13000 for 13.0."""
        return self.number("cuDriverGetVersion", kind=c_int)

    def owner(self, address: int) -> int:
        """Return which GPU's memory an address lies in."""
        return self.number("cuPointerGetAttribute", DEVICE_ORDINAL, address, kind=c_int)

    def synchronize(self) -> None:
        """Wait until all work of the current GPU has ended."""
        self.call("cuCtxSynchronize")

    # ------------------------------------------------------------ memory
    def allocate(self, nbytes: int) -> int:
        """Return the address of new memory of the current GPU; a MemoryError if there is none."""
        return self.number("cuMemAlloc_v2", nbytes)

    def free(self, address: int) -> None:
        """Give memory back, when all work that may use it has ended."""
        self.let_go("cuMemFree_v2", address)

    def allocate_host(self, nbytes: int) -> int:
        """Return the address of new memory of the host that GPUs reach by themselves."""
        return self.number("cuMemHostAlloc", nbytes, 0)

    def free_host(self, address: int) -> None:
        """Give such memory back."""
        self.let_go("cuMemFreeHost", address)

    def copy_in(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """Copy from the host; of pinned memory, when the stream comes to it."""
        self.call("cuMemcpyHtoDAsync_v2", to, source, nbytes, stream)

    def copy_out(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """Copy to the host; to pinned memory, when the stream comes to it."""
        self.call("cuMemcpyDtoHAsync_v2", to, source, nbytes, stream)

    def copy_within(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """Copy on the GPU."""
        code = self.copy(to, source, nbytes, stream)
        if code:
            raise self.error("cuMemcpyDtoDAsync_v2", code)

    # ------------------------------------------------------------ streams and events
    def create_stream(self) -> int:
        """Return the number of a new stream that does not wait for the legacy default one."""
        return self.number("cuStreamCreate", NON_BLOCKING)

    def synchronize_stream(self, stream: int) -> None:
        """Wait until all work of a stream has ended."""
        self.call("cuStreamSynchronize", stream)

    def ended(self, what: str, handle: int) -> bool:
        """Return whether all work before an event, or of a stream, has ended."""
        try:
            self.call(what, handle)
        except DriverError as error:
            if error.code != NOT_READY:
                raise
            return False
        return True

    def stream_ended(self, stream: int) -> bool:
        """Return whether all work of a stream has ended."""
        return self.ended("cuStreamQuery", stream)

    def create_event(self, timing: bool) -> int:
        """Return a new event."""
        return self.number("cuEventCreate", 0 if timing else NO_TIMING)

    def destroy_event(self, event: int) -> None:
        """Give an event back; work that waits for it still may."""
        self.let_go("cuEventDestroy_v2", event)

    def record(self, event: int, stream: int) -> None:
        """Set an event behind the work that a stream has been given so far."""
        self.call("cuEventRecord", event, stream)

    def wait(self, stream: int, event: int) -> None:
        """Let a stream run nothing more until an event has been reached."""
        self.call("cuStreamWaitEvent", stream, event, 0)

    def event_ended(self, event: int) -> bool:
        """Return whether all work before an event has ended."""
        return self.ended("cuEventQuery", event)

    def synchronize_event(self, event: int) -> None:
        """Wait until an event has been reached."""
        self.call("cuEventSynchronize", event)

    def elapsed(self, start: int, end: int) -> float:
        """Return the milliseconds between two events."""
        made = c_float()
        self.call("cuEventElapsedTime", byref(made), start, end)
        return float(made.value)

    # ------------------------------------------------------------ programs
    def function(self, code: bytes, entry: str, shared: int = 0) -> int:
        """Return a kernel of machine code, loaded for as long as the process lives.

        shared: bytes of dynamic shared memory that it may be launched with.
        """
        module = self.number("cuModuleLoadData", code)
        made = self.number("cuModuleGetFunction", module, entry.encode())
        if shared > PLAIN_SHARED:
            self.call("cuFuncSetAttribute", made, DYNAMIC_SHARED, shared)
        return made

    def prepare(
        self,
        function: int,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        shared: int,
        pointers: Sequence[int],
    ) -> Launch:
        """Return a launch; see `Launch`."""
        return Launch(self.launch, function, name, grid, block, shared, pointers)

    # ------------------------------------------------------------ graphs
    def create_graph(self) -> int:
        """Return a new graph without nodes."""
        return self.number("cuGraphCreate", 0)

    def add_kernel(self, graph: int, last: int | None, launch: Launch) -> int:
        """Add a launch, with its parameters of now, behind node `last`; return its node."""
        before = byref(c_uint64(last or 0))
        count = 0 if last is None else 1
        params = byref(launch.node())
        return self.number("cuGraphAddKernelNode_v2", graph, before, count, params)

    def sending(self, made: int, node: int, params: KernelNode) -> Callable[[], int]:
        """Return a call that gives a node the parameters that `params` leads to then, for the
        replays to come; it returns a CUresult.
        """
        call = self.library.cuGraphExecKernelNodeSetParams_v2
        return partial(call, c_uint64(made), c_uint64(node), byref(params))

    def add_copy(self, graph: int, last: int | None, to: int, source: int, nbytes: int) -> int:
        """Add a copy on the GPU behind node `last`; return its node."""
        made = CopyNode()
        for side, address in ((made.to, to), (made.source, source)):
            side.kind, side.device = DEVICE_MEMORY, address
        made.sizes[:] = nbytes, 1, 1
        before = byref(c_uint64(last or 0))
        count = 0 if last is None else 1
        context = self.contexts[self.local.device or 0]
        return self.number("cuGraphAddMemcpyNode", graph, before, count, byref(made), context)

    def instantiate(self, graph: int) -> int:
        """Return a graph as it can be launched."""
        return self.number("cuGraphInstantiateWithFlags", graph, 0)

    def launching(self, made: int) -> Callable[[int], int]:
        """Return a call that launches a graph on the stream of a number; it returns a CUresult."""
        return partial(self.library.cuGraphLaunch, c_uint64(made))

    def destroy_graph(self, graph: int, made: int) -> None:
        """Give a graph back; launches of it that are under way end."""
        self.let_go("cuGraphExecDestroy", made)
        self.let_go("cuGraphDestroy", graph)


def loaded(path: str) -> ctypes.CDLL:
    """Return the driver's library.

    Raises: RuntimeError that says what the loader said.
    """
    places = [path] + [f"{folder}/{path}" for folder in FOLDERS if path == LIBRARY]
    said: OSError | None = None
    for place in places:
        try:
            return ctypes.CDLL(place)
        except OSError as error:
            said = said or error
    raise RuntimeError(
        f"no CUDA: the NVIDIA driver's library {path} cannot be loaded ({said}); use the "
        "simulator, device 'cuda-sim', or a machine with a GPU and its driver"
    ) from said


@functools.cache
def driver() -> Driver:
    """Return the driver of this process; a RuntimeError says what is missing."""
    return Driver()
