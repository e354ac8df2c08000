"""Compiling ahead of the first use: signatures.txt says what each kernel of the table compiles.

A kernel's name stands alone on a line; below it, indented, each jitted function that it calls from
Python with the types of its arguments, T for float32 and for float64 (a line that only one of
them has begins with its name):

    adam_step
      adam.sequential(int64[:, ::1], float64[:, ::1], T[::1], int64[::1])

What a lifted rule compiles follows from its operands, and does not stand there.
`python -m tests.golden.make_signatures` writes it from the samples of the kernels' tests.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from numba.core.sigutils import normalize_signature

from minigrad_kernels.jit.compile import JITTED
from minigrad_kernels.kernel import Rule
from minigrad_kernels.table import KERNELS

SIGNATURES = Path(__file__).with_name("signatures.txt")
DTYPES = ("float32", "float64")
WALK = (  # over large arrays, of every lifted rule
    "elementwise.walk.walk(int64[::1], int64, int64, int64, int64, int64)",
    *(f"float32: tiles.{way}4({', '.join(['int64'] * 7)})" for way in ("pick", "transpose")),
    *(f"float64: tiles.{way}8({', '.join(['int64'] * 7)})" for way in ("pick", "transpose")),
)


def read_signatures(path: Path = SIGNATURES) -> dict[str, list[str]]:
    """Return for each kernel of the table its lines, e.g. `adam.sequential(int64[:, ::1], ...)`."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if line.startswith(" "):
            found[name].append(line.strip())
        elif line:
            name = line
            found[name] = []
    rules = {name: row.rule for name, row in KERNELS.items() if row.rule is not None}
    return {name: lifted(name, rule) for name, rule in rules.items() if rule.function} | found


def lifted(name: str, rule: Rule) -> list[str]:
    """Return the lines of a lifted rule.

    >>> lifted("silu", KERNELS["silu"].rule)[0]
    'silu.loop(T[::1], T[::1])'
    """
    arrays = ["T[::1]"] * (rule.operands + bool(rule.numbers) + 1)
    return [f"{name}.loop({', '.join(arrays)})", *WALK]


def of_dtype(line: str, dtype: str) -> str | None:
    """Return a line with its T replaced, or None where it is of the other dtype.

    >>> of_dtype("relu.flat(T[::1], T[::1])", "float32")
    'relu.flat(float32[::1], float32[::1])'
    >>> of_dtype("float64: exp.split(float64)", "float32")
    """
    own, colon, rest = line.partition(": ")
    if colon and own in DTYPES:
        return rest if own == dtype else None
    return re.sub(r"\bT\b", dtype, line)


def jobs(names: Iterable[str] = (), dtypes: Iterable[str] = DTYPES) -> list[str]:
    """Return what there is to compile for these kernels, by default all: lines without T.

    Raises: ValueError for a name that the table does not have.
    """
    chosen = list(names) or list(KERNELS)
    unknown = sorted(set(chosen) - KERNELS.keys())
    if unknown:
        raise ValueError(
            f"no kernel {', '.join(unknown)}; expected names such as gemm and adam_step"
        )
    known = read_signatures()
    lines = [
        of_dtype(line, dtype) for name in chosen for line in known.get(name, ()) for dtype in dtypes
    ]
    return [line for line in dict.fromkeys(lines) if line is not None]


@dataclass(frozen=True)
class Outcome:
    """The result of one job: its seconds, and whether it was in the cache already."""

    function: str
    seconds: float
    cached: bool


def compile_job(line: str) -> Outcome:
    """Compile a function for the types in its line, or load it from the cache."""
    function, _, arguments = line.partition("(")
    dispatcher = JITTED[function]
    types, _ = normalize_signature(f"({arguments}")
    start = time.perf_counter()
    dispatcher.compile(types)
    seconds = time.perf_counter() - start
    return Outcome(function, seconds, dispatcher.stats.cache_hits[types] > 0)


def compile_jobs(lines: Sequence[str], processes: int) -> Iterator[Outcome]:
    """Run jobs in several processes, which share the disk cache; yield them as they are done."""
    if processes == 1:
        yield from map(compile_job, lines)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for done in as_completed([pool.submit(compile_job, line) for line in lines]):
            yield done.result()
