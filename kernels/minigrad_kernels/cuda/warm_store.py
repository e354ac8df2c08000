"""Fill the store of machine code ahead, without a GPU: `warmup --cuda sm_90a`.

Compiled are the signatures that the checks of `cuda_table` state, in several processes.  What
stands in the store already is not compiled again.
"""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from minigrad_kernels.cuda import numba_compiler
from minigrad_kernels.warmup import Outcome


def capability_of(target: str) -> tuple[int, int]:
    """Return the compute capability that an architecture names.

    Raises: ValueError for another word.

    >>> capability_of("sm_90a"), capability_of("sm_120")
    ((9, 0), (12, 0))
    """
    found = re.fullmatch(r"sm_(\d+)(\d)a?", target)
    if found is None:
        raise ValueError(f"expected an architecture such as sm_90a or sm_80, got {target!r}")
    return int(found[1]), int(found[2])


def check_names(names: Iterable[str]) -> list[str]:
    """Return the checks of kernels by the kernels' names, all where none is given.

    Raises: ValueError for a name that no check begins with.
    """
    table = importlib.import_module("minigrad_kernels.cuda_table").CHECKS
    wanted = list(names)
    chosen = []
    for name in wanted:
        found = [check for check in table if re.split(r"[./]", check)[0] == name]
        if not found:
            raise ValueError(f"no CUDA kernel {name}; expected names such as softmax and adam_step")
        chosen += found
    return chosen if wanted else list(table)


def compile_check(name: str, capability: tuple[int, int]) -> Outcome:
    """Compile the kernel of a check into the store, unless it is there.

    Raises: RuntimeError that says what a compilation lacks.
    """
    check = importlib.import_module("minigrad_kernels.cuda_table").CHECKS[name]
    start = time.perf_counter()
    path = numba_compiler.path_of(check.kernel, check.signature, capability)
    held = numba_compiler.load(path) is not None
    if not held:
        numba_compiler.compiled(check.kernel, check.signature, capability)
    return Outcome(name, time.perf_counter() - start, held)


def compile_checks(
    names: list[str], capability: tuple[int, int], processes: int
) -> Iterator[Outcome]:
    """Compile in several processes; yield what is done, as it is."""
    if processes == 1:
        for name in names:
            yield compile_check(name, capability)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        jobs = [pool.submit(compile_check, name, capability) for name in names]
        for done in as_completed(jobs):
            yield done.result()
