"""Write kernels/minigrad_kernels/signatures.txt and first_step.txt, what is compiled and when.

The first holds what the samples of each kernel compile, the second what `minigrad train` compiles
in its first epoch, in the order of use.  Run it after a change to what kernels call:
`python -m tests.golden.make_signatures`.  It compiles what is not cached: minutes, the first time.
`python -m tests.golden.make_signatures first_step` writes the second file alone.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np
from numba import types

from minigrad.cli.main import main as command
from minigrad.optim import AdamW
from minigrad_kernels.ahead import FIRST_STEP
from minigrad_kernels.jit.cache import KernelCache
from minigrad_kernels.jit.progress import COMPILATIONS
from minigrad_kernels.table import KERNELS
from minigrad_kernels.warmup import DTYPES, SIGNATURES, lifted, of_dtype
from tests.kernels.test_table import SAMPLES


def spelled(kind: Any) -> str:
    """Return a type as Numba's signature strings have it.

    >>> spelled(types.Array(types.float32, 2, "C"))
    'float32[:, ::1]'
    """
    if not isinstance(kind, types.Array):
        return "boolean" if kind == types.boolean else str(kind)
    if not kind.mutable:
        return f"Array({kind.dtype}, {kind.ndim}, {kind.layout!r}, readonly=True)"
    inner, first = {"C": ("::1", False), "F": ("::1", True), "A": (":", False)}[kind.layout]
    outer = [":"] * (kind.ndim - 1)
    axes = [inner, *outer] if first else [*outer, inner]
    return f"{kind.dtype}[{', '.join(axes)}]"


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Record what calls from Python compile or load, without what those call in turn."""
    lines: list[str] = []
    load = KernelCache.load_overload

    def recording(cache: KernelCache, sig: Any, context: Any) -> Any:
        if COMPILATIONS.depth == 0:
            lines.append(f"{cache.name}({', '.join(map(spelled, sig))})")
        return load(cache, sig, context)

    KernelCache.load_overload = recording  # type: ignore[method-assign]
    try:
        yield lines
    finally:
        KernelCache.load_overload = load  # type: ignore[method-assign]


def called(job: tuple[str, str]) -> list[str]:
    """Return what the samples of a kernel call, in a process that has called nothing before."""
    name, dtype = job
    with recorded() as lines, np.errstate(all="ignore"):
        for args in SAMPLES[name](np.random.default_rng(0), np.dtype(dtype)):
            KERNELS[name].cpu(*args)
    return lines


def merged(single: list[str], double: list[str]) -> list[str]:
    """Return the lines of both dtypes: with T where they are alike, else named after their dtype.

    >>> merged(["f(float32[::1], int64)", "g(float32)"], ["f(float64[::1], int64)"])
    ['f(T[::1], int64)', 'float32: g(float32)']
    """
    found = []
    for line in single:
        general = re.sub(r"\bfloat32\b", "T", line)
        shared = of_dtype(general, "float64") in double
        found.append(general if shared else f"float32: {line}")
    covered = {of_dtype(line, "float64") for line in found}
    return found + [f"float64: {line}" for line in double if line not in covered]


def trained(folder: str) -> list[str]:
    """Return what `minigrad train` calls in its first epoch, in a process of its own.

    An empty line stands where its first step ends.
    """
    step = AdamW.step

    def stepping(optimizer: Any, *arguments: Any) -> Any:
        result = step(optimizer, *arguments)
        lines.append("")
        return result

    with recorded() as lines:
        AdamW.step = stepping  # type: ignore[method-assign]
        command(["train", "--epochs", "1", "--quiet", "--out", folder])
    return list(dict.fromkeys(lines))


def first_step() -> list[str]:
    """Return the lines of first_step.txt."""
    with tempfile.TemporaryDirectory() as folder, get_context("spawn").Pool(1) as pool:
        return pool.apply(trained, (folder,))


def main() -> None:
    """Run the samples of every kernel, and the first epoch, and write what they called."""
    FIRST_STEP.write_text("\n".join(first_step()) + "\n")
    if sys.argv[1:] == ["first_step"]:
        return
    work = [(name, dtype) for name in sorted(KERNELS) for dtype in DTYPES]
    with get_context("spawn").Pool(maxtasksperchild=1) as pool:
        lines = dict(zip(work, pool.map(called, work, chunksize=1), strict=True))
    text = []
    for name in sorted(KERNELS):
        both = merged(*(lines[name, dtype] for dtype in DTYPES))
        rule = KERNELS[name].rule
        known = rule is not None and rule.function is not None
        if not known or sorted(both) != sorted(lifted(name, rule)):
            text += [name, *(f"  {line}" for line in both)]
    SIGNATURES.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
