"""What every kernel file stands on: the cached compiler, the row type of the table, the chunking
policy.

`jit` is `numba.njit` with a disk cache of our own.  Numba's cache follows one source file a
function, so an edited callee in another file keeps serving old machine code, and a kernel made by a
factory never hits. Ours keys by a hash of all kernel sources, so that it can be neither stale nor
missed, and names a data file after its signature, so that two processes that compile at once cannot
exchange their code.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.serialize import dumps
from numba.extending import overload

PARALLEL = 20_000  # elements from which a jitted parallel loop beats NumPy (benchmarks elementwise)
CHUNK = 4_096  # reductions are split by size alone, so that bits never depend on the thread count
KEPT_CACHES = 4  # directories of other source versions that are left in place


def cache_root() -> Path:
    """Return the folder of compiled kernels: MINIGRAD_CACHE_DIR, else the user's cache folder."""
    own = os.environ.get("MINIGRAD_CACHE_DIR")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "minigrad"


def source_hash() -> str:
    """Return a hash of all kernel sources and of the compiler's versions."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    for version in (numba.__version__, llvmlite.__version__, sys.version, np.__version__):
        digest.update(version.encode())
    return digest.hexdigest()[:16]


# Taken before the other files are imported: code compiled by a process whose sources are edited
# while it runs must not enter the cache under the new sources' name.
SOURCES = source_hash()


@functools.cache
def cache_path() -> Path:
    """Return the folder for this version of the sources, made when it is missing.

    An unwritable cache folder is replaced by a temporary one, so that a read-only home only costs
    compilations.
    """
    path = cache_root() / SOURCES
    if path.is_dir() and os.access(path, os.W_OK):
        return path
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="minigrad-kernels-"))
    _forget_old(path)
    return path


def _forget_old(current: Path) -> None:
    """Remove the oldest sibling caches, so that editing kernels does not fill the disk."""
    others = [
        p for p in current.parent.iterdir() if p.is_dir() and p != current and len(p.name) == 16
    ]
    others.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    for stale in others[KEPT_CACHES:]:
        shutil.rmtree(stale, ignore_errors=True)


class _Files:
    """One file a compiled signature: `load` and `save` as Numba's cache driver calls them."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _path(self, key: object) -> Path:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:20]
        return cache_path() / f"{self.name}-{digest}.nbc"

    def load(self, key: object) -> Any:
        try:
            return pickle.loads(self._path(key).read_bytes())
        except (OSError, EOFError, pickle.UnpicklingError):
            return None  # missing or cut short: compile it again

    def save(self, key: object, data: object) -> None:
        path = self._path(key)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as f:
            f.write(dumps(data))
        os.replace(temporary, path)


class _NoLocator:
    def ensure_cache_path(self) -> None:
        cache_path()


class _Impl(CompileResultCacheImpl):
    def __init__(self) -> None:
        self._locator = _NoLocator()


class KernelCache(FunctionCache):
    """Numba's cache driver over `_Files`: what it stores is Numba's, where and under which key is
    ours.
    """

    def __init__(self, py_func: Callable[..., Any], name: str) -> None:
        self._name = name
        self._py_func = py_func
        self._impl = _Impl()
        self._cache_file = _Files(name)
        self.enable()

    @property
    def cache_path(self) -> str:
        return str(cache_path())

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (self._name, str(sig), codegen.magic_tuple())


names: set[str] = set()


def jit(*, name: str | None = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel at its first call, once for each signature, cached on disk.

    options: those of `numba.njit` (`parallel=True`, `fastmath={"contract"}`); `error_model` is
        "numpy".
    name: the cache key of a kernel that a factory makes; a module-level function needs none.

    >>> @jit()
    ... def double(x):
    ...     return x + x
    >>> double(2.0)
    4.0
    """
    options.setdefault("error_model", "numpy")

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        if function.__module__.startswith("minigrad_kernels."):
            key = name or f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
            if "<locals>" in key or key in names:
                raise ValueError(
                    f"jit: the cache key {key!r} is not unique; give the kernel a name="
                )
            names.add(key)
            dispatcher._cache = KernelCache(function, key)
        return dispatcher

    return decorate


def like(x: Any, value: float) -> Any:
    """Return `value` in the type of `x`, so that a constant never widens a float32 kernel to
    float64.
    """
    return type(x)(value)


@overload(like, inline="always")
def _like(x, value):
    if x == types.float32:
        return lambda x, value: np.float32(value)
    return lambda x, value: np.float64(value)


@dataclass(frozen=True)
class Kernel:
    """One row of the table: the same function as plain NumPy, for the CPU and for CUDA, and what it
    costs.

    reference: float64 NumPy, the oracle.  cpu, cuda: same signature, `f(inputs..., scalars...,
        outputs...)`.
    cost: `(*args) -> (flops, bytes)`.  out, inout: names of the arguments that are written.
    small: what `cpu` calls below `PARALLEL` elements and does nothing more, where that is a ufunc.
    """

    reference: Callable[..., None]
    cpu: Callable[..., None]
    cost: Callable[..., tuple[int, int]]
    out: tuple[str, ...] = ("y",)
    inout: tuple[str, ...] = ()
    cuda: Callable[..., None] | None = None
    small: Callable[..., None] | None = None
