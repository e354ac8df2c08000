"""Write resources/: what each CUDA kernel compiles to; run it after a change that is meant.

    python tests/cuda_simulated/make_resources.py             # all families
    python tests/cuda_simulated/make_resources.py softmax     # these

Needs `pip install minigrad[cuda,cuda-check]`, no GPU.

A row keeps a digest, `made_from`, of what its machine code follows from: the kernel, all that it
calls, types, and the versions of Python, the compiler and the disassembler.  Where it is the same,
a compilation would find the same; test_resources.py compiles the others, and some of these.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Collection
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from minigrad_kernels.cuda import compile as cuda_compile
from minigrad_kernels.cuda import numba_compiler
from minigrad_kernels.cuda.checks import Check
from minigrad_kernels.cuda_table import FAMILIES
from tests.cuda_simulated.probes import PROBES

FOLDER = Path(__file__).with_name("resources")
PROBE_REGISTERS = 128
MADE_FROM = "made_from"
READERS = ("nvidia-cuda-cuobjdump", "nvidia-cuda-nvdisasm")
Row = dict[str, Any]
Names = Collection[tuple[str, str]]  # family, name


@cache
def checks() -> dict[str, dict[str, Check]]:
    """Return every kernel and signature to compile, by family and name."""
    found: dict[str, list[Check]] = {}
    for family in FAMILIES:  # what a family states and what is lifted of it are two of one name
        stem = family.__name__.rpartition(".")[2].removeprefix("cuda_")
        found.setdefault(stem, []).extend(family.CHECKS)
    table = {name: {check.name: check for check in group} for name, group in found.items() if group}
    table["probes"] = {
        name: Check(name, probe.kernel, probe.signature, probe.promised, PROBE_REGISTERS)
        for name, probe in PROBES.items()
    }
    return table


def row(family: str, name: str, target: str) -> Row:
    """Compile one kernel for one target and return what the table keeps of it."""
    check = checks()[family][name]
    compiled = cuda_compile.examine(check.kernel, check.signature, target)
    return {
        "registers": compiled.registers,
        "stack": compiled.stack,
        "shared": compiled.shared,
        "spills": compiled.spills,
        "doubles": compiled.doubles,
        "instructions": compiled.instructions,
        "opcodes": {opcode: compiled.count(opcode) for opcode in check.opcodes},
    }


@cache
def readers() -> str:
    """Return the versions of the disassembler's parts; none where they are not from wheels."""
    try:
        return repr([version(name) for name in READERS])
    except PackageNotFoundError:
        return "not known"


def made_from(family: str, name: str) -> str:
    """Return the digest of all that the rows of a kernel follow from."""
    check = checks()[family][name]
    said = [
        numba_compiler.kernel_digest(check.kernel),
        repr(check.signature),
        repr(check.opcodes),
        repr(cuda_compile.TARGETS),
        readers(),
    ]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def both(family: str, name: str) -> dict[str, Row]:
    """Return a kernel's rows by target; the second one costs a third of the first."""
    return {target: row(family, name, target) for target in cuda_compile.TARGETS}


def rows(names: Names) -> dict[tuple[str, str], Future[dict[str, Row]]]:
    """Begin to compile kernels for every target, in as many processes as there are cores."""
    pool = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))
    begun = {case: pool.submit(both, *case) for case in names}
    pool.shutdown(wait=False)
    return begun


def path(family: str) -> Path:
    return FOLDER / f"{family}.json"


def committed(family: str) -> dict[str, dict[str, Row]]:
    """Return the table of a family as it is committed; an empty one where there is none."""
    if not path(family).exists():
        return {}
    return json.loads(path(family).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def main(names: list[str]) -> None:
    names = names or list(checks())
    begun = rows([(family, name) for family in names for name in checks()[family]])
    for family in names:
        table = {
            name: {MADE_FROM: made_from(family, name), **begun[family, name].result()}
            for name in sorted(checks()[family])
        }
        path(family).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {path(family)}")


if __name__ == "__main__":
    main(sys.argv[1:])
