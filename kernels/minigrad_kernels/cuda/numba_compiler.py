"""Compile CUDA kernels with numba-cuda, and keep their machine code on disk.

Nothing else of the package asks numba-cuda for more than the words that kernels are written in
(`cuda.jit`, `cuda.threadIdx`, ...) and the decorator of the intrinsics (`ptx_base`): a move to
another compiler rewrites this file and the bodies of `ptx_memory`, `ptx_tensor` and math/scalar.py.
No driver and no GPU is needed.

A file of the store is named after a digest of the bytecode of a kernel and of all that it calls, in
other modules too, of the sources of the package's intrinsics and overloads, of types, options,
architecture and versions: never stale, and an edit compiles what depends on it, and no more.  A
store that was filled elsewhere, by other packages, serves a machine all the same where
MINIGRAD_CUDA_VERSIONS names its `versions.txt`: machine code depends on its compiler, not on who
loads it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import types

from minigrad_kernels.jit.cache import SOURCES, cache_root, file_digest, note_unwritable
from minigrad_kernels.jit.files import write_whole

PACKAGES = ("numba", "numba-cuda", "llvmlite", "nvidia-nvvm", "nvidia-nvjitlink")
# Of these the intrinsics and overloads are reached by types, not by names in bytecode.
UNNAMED = ("math.", "cuda.ptx", "randomness.random", "simd.registers")
# Their code is what their versions say; that of all other modules is looked at.
LIBRARIES = {"numba", "numba_cuda", "numpy", "llvmlite", "cuda"} | sys.stdlib_module_names
COMPILING = threading.RLock()
VERSIONS = "MINIGRAD_CUDA_VERSIONS"  # the variable that says whose store this is
REMOVED = "row_stack"  # from NumPy 2.5


class Code(NamedTuple):
    """Machine code of one kernel and signature.  entry: the name of its function."""

    cubin: bytes
    entry: str


def missing() -> str | None:
    """Return what a compilation lacks, None where nothing is missing."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: pip install minigrad[cuda]"
    return None


# ---------------------------------------------------------------- signatures and parameters
def type_of(value: Any) -> Any:
    """Return the Numba type that a kernel is compiled for, of an argument on the host's side.

    A device array is one of its dtype, dimensions and layout; a Python int is int64.

    >>> type_of(np.uint32(3)), type_of((2, 3)), type_of(2.0)
    (uint32, UniTuple(int64, 2), float64)
    """
    if isinstance(value, np.generic):
        return numba.from_dtype(value.dtype)
    if isinstance(value, bool):
        return types.boolean
    if isinstance(value, int):
        return types.int64
    if isinstance(value, float):
        return types.float64
    if isinstance(value, tuple):
        return types.BaseTuple.from_types([type_of(item) for item in value])
    if hasattr(value, "flags"):
        return array_type(value)
    raise TypeError(f"a CUDA kernel takes device arrays, numbers and tuples of them, got {value!r}")


def array_type(array: Any) -> Any:
    """Return the Numba type of a device array."""
    flags = array.flags
    layout = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
    return types.Array(numba.from_dtype(array.dtype), len(array.shape), layout)


def parameters(value: Any) -> Iterator[bytes | None]:
    """Yield what an argument of a kernel is passed as: bytes of parameters, None for an address.

    An array of Numba's is (0, 0, elements, bytes of one, address, sizes..., strides...); an empty
    tuple is nothing.

    >>> list(parameters((np.uint32(1), True)))
    [b'\\x01\\x00\\x00\\x00', b'\\x01']
    """
    if isinstance(value, tuple):
        for item in value:
            yield from parameters(item)
    elif isinstance(value, np.generic):
        yield value.tobytes()
    elif isinstance(value, bool):
        yield bytes([value])
    elif isinstance(value, int):
        yield value.to_bytes(8, sys.byteorder, signed=True)
    elif isinstance(value, float):
        yield np.float64(value).tobytes()
    else:
        yield from parameters((0, 0, value.size, value.itemsize))
        yield None
        yield from parameters((*value.shape, *value.strides))


def dynamic(kernel: Any) -> int:
    """Return the bytes of dynamic shared memory that a kernel may be launched with."""
    return int(getattr(kernel, "dynamic_shared", 0))


# ---------------------------------------------------------------- the compiler
def compiled(kernel: Any, signature: tuple[Any, ...], capability: tuple[int, int]) -> Code:
    """Return the machine code of a kernel, from the store or the compiler, which fills the store.

    kernel: a `cuda.jit` dispatcher.  signature: Numba types.

    Raises: RuntimeError that says what is missing.
    """
    path = path_of(kernel, signature, capability)
    found = load(path)
    if found is None:
        lacking = missing()
        if lacking:
            raise RuntimeError(f"no CUDA: {lacking}")
        with COMPILING:
            found = build(kernel, signature, capability)
        save(path, found)
    return found


def build(kernel: Any, signature: tuple[Any, ...], capability: tuple[int, int]) -> Code:
    """Compile a kernel, as a launch on a device of that compute capability would."""
    with no_device(capability):
        suffix = "a" if capability >= (9, 0) else ""
        library, entry = lowered(kernel, tuple(signature))
        code = library.get_cubin(cc=(*capability, suffix))
    return Code(bytes(getattr(code, "code", code)), entry)


@functools.lru_cache(maxsize=1)
def lowered(kernel: Any, signature: tuple[Any, ...]) -> tuple[Any, str]:
    """Return the library of one signature, the same for every target, from which cubins are made,
    and the name of its entry.

    It takes two thirds of a compilation: ask for a kernel's targets one after the other.
    """
    made = internals("dispatcher")._Kernel(kernel.py_func, signature, **kernel.targetoptions)
    return made._codelibrary, made.entry_name


def internals(name: str) -> Any:
    """Return a module of numba-cuda's.

    0.30.4, the last of its kind, asks NumPy for `row_stack`, which NumPy 2.5 has no more.
    """
    if hasattr(np, REMOVED):
        return importlib.import_module(f"numba.cuda.{name}")
    setattr(np, REMOVED, np.vstack)
    try:
        for each in ("np.arrayobj", name):
            found = importlib.import_module(f"numba.cuda.{each}")
    finally:
        delattr(np, REMOVED)
    return found


@contextmanager
def no_device(capability: tuple[int, int]) -> Iterator[None]:
    """Answer numba-cuda's question for the current device, which only its own driver could."""
    device = SimpleNamespace(compute_capability=capability, id=0)
    context = SimpleNamespace(device=device)
    dispatcher, compiler, codegen = map(internals, ("dispatcher", "compiler", "codegen"))
    answers = (
        (dispatcher, "get_current_device", lambda: device),
        (compiler, "get_current_device", lambda: device),
        (codegen, "devices", SimpleNamespace(get_context=lambda *args: context)),
    )
    held = [(module, name, getattr(module, name)) for module, name, _ in answers]
    for module, name, answer in answers:
        setattr(module, name, answer)
    try:
        yield
    finally:
        for module, name, old in held:
            setattr(module, name, old)


# ---------------------------------------------------------------- what a kernel is made of
@functools.cache
def versions() -> str:
    """Return the versions of all that machine code depends on: here, or where a store is from.

    Raises: RuntimeError where that is a Python of other bytecode.
    """
    brought = os.environ.get(VERSIONS)
    if not brought:
        return own_versions()
    said = Path(brought).read_text(encoding="utf-8")
    python = sys.version_info[:2]
    if repr(python) not in said:
        raise RuntimeError(
            f"{VERSIONS}={brought} is of a store that another Python filled ({said}); this is "
            f"{python}, whose bytecode it does not know: fill it with the same"
        )
    return said


def own_versions() -> str:
    """Return the versions here of all that machine code depends on."""
    found: dict[str, Any] = {"python": sys.version_info[:2], "numpy": np.__version__.split(".")[0]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return repr(found)


@functools.cache
def unnamed() -> str:
    """Return the digest of the sources that bytecode does not lead to."""
    names = sorted(name for name in SOURCES if name.startswith(UNNAMED))
    return hashlib.sha256(b"".join(map(file_digest, names))).hexdigest()


@functools.lru_cache(4_096)
def kernel_digest(kernel: Any) -> str:
    """Return the digest of a kernel's bytecode and of all that it calls, and of its options."""
    seen: dict[int, Any] = {}
    parts = [versions(), unnamed(), repr(sorted(getattr(kernel, "targetoptions", {}).items()))]
    parts += described(kernel, seen)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def described(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Yield what code can depend on in a value that it names.  seen: functions, by id."""
    function = getattr(value, "py_func", None) or getattr(value, "_defn", None) or value
    if isinstance(function, FunctionType):
        yield function.__qualname__
        if id(function) in seen or of_library(function.__module__):
            return
        seen[id(function)] = function
        code = function.__code__
        yield from written(code)
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # not bound yet: the function itself
                yield from described(cell.cell_contents, seen)
        names = names_in(code)
        for name in sorted(names & function.__globals__.keys()):
            yield name
            held = function.__globals__[name]
            if isinstance(held, ModuleType) and not of_library(held.__name__):
                for inner in sorted(names & vars(held).keys()):
                    yield inner
                    yield from described(vars(held)[inner], seen)
            else:
                yield from described(held, seen)
    elif isinstance(value, tuple | list):
        yield f"{type(value).__name__} {len(value)}"
        for item in value:
            yield from described(item, seen)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape} {value.tobytes().hex()}"
    elif isinstance(value, bool | int | float | str | bytes | np.generic | np.dtype | types.Type):
        yield repr(value)
    elif type(value).__module__.startswith("llvmlite"):
        yield str(value)
    else:
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__} {getattr(value, '__name__', '')}"


def of_library(module: str | None) -> bool:
    """Tell whether a module is one whose code changes with its version alone.

    >>> of_library("numba.cuda.stubs"), of_library("minigrad_kernels.cuda.ptx")
    (True, False)
    """
    return (module or "").partition(".")[0] in LIBRARIES - {"__main__"}


def written(code: CodeType) -> Iterator[str]:
    """Yield what a code object says, those inside it too."""
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from written(constant)
        else:
            yield repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant)


def names_in(code: CodeType) -> set[str]:
    """Return the names that a code object uses, those inside it too."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_in(constant)
    return found


# ---------------------------------------------------------------- the store
def path_of(kernel: Any, signature: tuple[Any, ...], capability: tuple[int, int]) -> Path:
    """Return the file of a kernel's machine code."""
    said = f"{kernel_digest(kernel)} {signature} {capability}"
    name = hashlib.sha256(said.encode()).hexdigest()[:24]
    return folder_of(capability) / f"{kernel.py_func.__name__}-{name}.cubin"


def folder_of(capability: tuple[int, int]) -> Path:
    """Return the folder of a compute capability's machine code."""
    arch = "sm_{}{}{}".format(*capability, "a" if capability >= (9, 0) else "")
    return cache_root() / "cuda" / arch


def write_versions(capability: tuple[int, int]) -> None:
    """Write down what fills the store of a compute capability, for machines it is taken to."""
    folder = folder_of(capability)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "versions.txt", versions().encode(), sync=False)


def load(path: Path) -> Code | None:
    """Return the machine code of a file, None where there is none that is whole."""
    with suppress(OSError, ValueError, KeyError):
        head, _, cubin = path.read_bytes().partition(b"\n")
        said = json.loads(head)
        if said["digest"] == hashlib.sha256(cubin).hexdigest():
            return Code(cubin, said["entry"])
    return None


def save(path: Path, code: Code) -> None:
    """Write machine code to a file; where that fails, say so once and go on."""
    head = {"entry": code.entry, "digest": hashlib.sha256(code.cubin).hexdigest()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(head).encode() + b"\n" + code.cubin, sync=False)
    except OSError as error:
        note_unwritable(error)
