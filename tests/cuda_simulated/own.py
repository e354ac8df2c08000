"""One planted mistake in a kernel of minigrad_kernels, and what the simulator finds of it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest

import minigrad_cudasim as simulate
from minigrad_kernels.cuda.targets import Simulator
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.mutants import changed, compiled

DTYPES = ("float32", "float64")
GRIDS: tuple[dict[str, Any], ...] = ({"processors": 1}, {"most": 1})
FOLDER = Path(__file__).with_name("mutants_own")


@dataclass(frozen=True)
class Own:
    """kernel: "softmax.cuda_softmax:forward_rows", a function of a module of minigrad_kernels, or
        of an object there, "cuda_table:CUDA_KERNELS['adam_step'].single", or a call that
        makes it or finds it made; behind " > " the name of a function that this one closes over.

    cuda_kernel: whose samples must show the mistake.  old, new: source text; which: the occurrence
    of `old` that is changed.  kinds: the faults that may report it; "wrong" for a wrong result.
    """

    kernel: str
    cuda_kernel: str
    title: str
    old: str
    new: str
    which: int = 0
    kinds: tuple[str, ...] = ("race", "uninitialised", "wrong")

    @property
    def name(self) -> str:
        kernel = re.sub(r"[^\w.]+", ".", self.kernel)
        return f"{kernel}-{self.title.replace(' ', '_')}"


def collected() -> list[Own]:
    """Return the mutants of all files of mutants_own/."""
    stems = sorted(path.stem for path in FOLDER.glob("*.py"))
    files = [importlib.import_module(f"tests.cuda_simulated.mutants_own.{stem}") for stem in stems]
    return [mutant for file in files for mutant in file.MUTANTS]


@contextmanager
def planted(mutant: Own) -> Iterator[None]:
    """Give the kernel's function the code of the mutant, so that whatever holds it runs that."""
    module, _, path = mutant.kernel.partition(":")
    name, *inner = path.split(" > ")
    found = eval(name, vars(importlib.import_module(f"minigrad_kernels.{module}")))
    function = getattr(found, "py_func", found)
    for name in inner:
        found = inspect.getclosurevars(function).nonlocals[name]
        function = getattr(found, "py_func", found)
    held = function.__code__
    function.__code__ = mutated(function, mutant)
    try:
        yield
    finally:
        function.__code__ = held


def mutated(function: Any, mutant: Own) -> CodeType:
    """Return the code of a function with the mutant's change; closures keep what they close over.

    The decorators are left out: they have done their work.
    """
    source = textwrap.dedent(inspect.getsource(function))
    (definition,) = ast.parse(source).body
    source = changed("".join(source.splitlines(keepends=True)[definition.lineno - 1 :]), mutant)
    outer = f"def outer({', '.join(function.__code__.co_freevars)}):\n"
    space: dict[str, Any] = {}
    exec(compiled(outer + textwrap.indent(source, "    "), mutant), space)
    (code,) = (c for c in space["outer"].__code__.co_consts if isinstance(c, CodeType))
    return code


@cache
def cases(cuda_kernel: str) -> list[tuple[str, tuple[Any, ...], list[Any]]]:
    """Return dtype, arguments and expected results of a CUDA kernel's samples, small ones first."""
    return [
        (dtype, args, cuda_kernels.expected(cuda_kernel, KERNELS[cuda_kernel], args))
        for dtype in DTYPES
        for args in sorted(
            cuda_kernels.samples(cuda_kernel, np.dtype(dtype)), key=cuda_kernels.elements
        )
    ]


def finding(cuda_kernel: str, seed: int) -> tuple[str, ...]:
    """Return the kinds of fault that a CUDA kernel shows first under one seed, the likely cause
    before the others; "nothing" if none.
    """
    for dtype, args, want in cases(cuda_kernel):
        for grid in GRIDS:
            target = Simulator(seed=1000 * seed, **grid)
            try:
                got = cuda_kernels.run(
                    cuda_kernel, CUDA_KERNELS[cuda_kernel], KERNELS[cuda_kernel], args, target
                )
                cuda_kernels.agree(cuda_kernel, got, want, cuda_kernel, np.dtype(dtype))
            except simulate.Fault as fault:
                return tuple(dict.fromkeys(one.kind for one in fault.faults))
            except (AssertionError, pytest.fail.Exception):
                return ("wrong",)
    return ("nothing",)
