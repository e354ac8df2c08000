"""Compile a kernel with Numba: `jit` is `numba.njit` with the disk cache of cache.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.core.registry import CPUDispatcher
from numba.extending import overload
from numba.np.ufunc import parallel as numba_parallel

from minigrad_kernels.jit import plain
from minigrad_kernels.jit.cache import PACKAGE, KernelCache, below
from minigrad_kernels.jit.claims import Claiming
from minigrad_kernels.jit.linked import Compiler
from minigrad_kernels.jit.parallel import Locked

JITTED: dict[str, Any] = {}  # cache key -> dispatcher


def jit(*, name: str | None = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel at its first call, once for each signature, cached on disk.

    options: those of `numba.njit` (`parallel=True`, `fastmath={"contract"}`); `error_model` is
        "numpy".
    name: the cache key of a kernel that a factory makes; a module-level function needs none.

    Memory that calls share (the arenas of matmul/task.py) is safe because no two calls run at once:
    a kernel without `parallel` holds the interpreter's lock from beginning to end, one with it runs
    under parallel.LOCK and keeps to arenas of its own.  So `nogil` is refused.

    Raises: ValueError for `nogil`, and for a cache key that another kernel has.

    >>> @jit()
    ... def double(x):
    ...     return x + x
    >>> double(2.0)
    4.0
    """
    if options.get("nogil"):
        raise ValueError(
            "jit: nogil=True would let two threads into memory that kernels share; leave it out"
        )
    options.setdefault("error_model", "numpy")
    # Left open, Numba takes it from whichever caller is compiled first: bits would depend on that.
    options.setdefault("fastmath", False)
    options.setdefault("no_cfunc_wrapper", True)  # nobody asks for a kernel as a C function

    def decorate(function: Callable[..., Any]) -> Any:
        """Return the function compiled at its first call, with the cache of this package."""
        if plain.ON:
            return function
        if name is not None:
            # Machine code is linked by qualified name and a count of compilations in the process:
            # of two functions of one factory, cached by two processes, a third would call one.
            function.__qualname__ = name
        dispatcher = numba.njit(**options)(function)
        if type(dispatcher) is CPUDispatcher:
            dispatcher.__class__ = Locked if options.get("parallel") else Claiming
        if function.__module__.startswith(f"{PACKAGE}."):
            key = name or f"{below(function.__module__)}.{function.__qualname__}"
            if "<locals>" in key or key in JITTED:
                raise ValueError(
                    f"jit: the cache key {key!r} is not unique; give the kernel a name="
                )
            dispatcher._cache = KernelCache(function, key, options)
            if not options.get("parallel"):
                dispatcher._compiler.__class__ = Compiler
            JITTED[key] = dispatcher
        return dispatcher

    return decorate


class Asked:
    """How many threads `set_num_threads` asked for last, 0 before: plans depend on it."""

    threads = 0


def set_num_threads(n: int) -> None:
    """Set how many threads the kernels use; in plain mode there is one."""
    if not plain.ON:
        numba.set_num_threads(n)
        Asked.threads = n
    elif n != 1:
        raise ValueError(f"set_num_threads: plain mode runs on one thread, got {n}")


def get_num_threads() -> int:
    """Return how many threads the kernels use."""
    if plain.ON:
        return 1
    if numba_parallel._is_initialized:  # Numba's own takes two locks first, 0.6 of its 0.9 us
        return int(numba_parallel._get_num_threads())
    return int(numba.get_num_threads())


def like(x: Any, value: float) -> Any:
    """Return `value` in the type of `x`, so that no constant widens a float32 kernel to float64."""
    return type(x)(value)


@overload(like, inline="always")
def _like(x, value):
    if x == types.float32:
        return lambda x, value: np.float32(value)
    return lambda x, value: np.float64(value)
