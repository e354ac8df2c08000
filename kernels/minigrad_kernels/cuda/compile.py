"""Compile CUDA kernels without a GPU or a driver, and count registers, memory and instructions.

`examine` builds what a launch on a device of that compute capability would, with the dispatcher's
own options, and reads the cubin: so that a test holds every kernel to no stack, no spills, no
double precision, and the instructions its docstring promises.  Needs the compiler and the
disassembler: `pip install minigrad[cuda,cuda-check]`.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigrad_kernels.cuda.numba_compiler import compiled

TARGETS = {"sm_80": (8, 0), "sm_90a": (9, 0)}  # that every kernel is held to
CAPABILITIES = {**TARGETS, "sm_75": (7, 5), "sm_89": (8, 9)}  # that `examine` compiles for
SYSTEM_SHARED = {"sm_90a": 1024}  # bytes of each block that the system keeps for itself
SPILL = re.compile(r"(LDL|STL)\b")
# Arithmetic in double precision and conversions to or from it: F2F.F64.F32, I2F.F64, MUFU.RCP64H.
DOUBLE = re.compile(r"D(ADD|MUL|FMA|SETP|MNMX)\b|(F2F|F2I|I2F|FRND)\..*F64|MUFU\.\w+64H")
# "  /*0040*/   @!P0 LDG.E.128 R4, [R2] ;"
INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)")


@dataclass(frozen=True)
class Compiled:
    """One kernel and signature, for one target.

    registers: a thread.  stack, shared: bytes.  spills: loads and stores of local memory.
    doubles: double-precision instructions and conversions.  opcodes: SASS opcode -> count.
    """

    registers: int
    stack: int
    shared: int
    spills: int
    doubles: int
    opcodes: dict[str, int] = field(compare=False)

    @property
    def instructions(self) -> int:
        """All instructions but the padding."""
        return sum(n for name, n in self.opcodes.items() if name != "NOP")

    def count(self, *prefixes: str) -> int:
        """Return how many instructions have one of these opcodes, with any further modifiers.

        >>> made = Compiled(8, 0, 0, 0, 0, {"LDG.E.128": 2, "LDG.E": 1, "LDGSTS.E": 4})
        >>> made.count("LDG"), made.count("LDG.E.128")
        (3, 2)
        """
        return sum(
            n
            for name, n in self.opcodes.items()
            if any(name == p or name.startswith(p + ".") for p in prefixes)
        )


def missing() -> list[str]:
    """Return what `examine` needs and does not find; empty when it can run."""
    needs = {
        "numba-cuda (pip install minigrad[cuda])": importlib.util.find_spec("numba_cuda"),
        "nvdisasm (pip install minigrad[cuda-check])": tool("nvdisasm"),
        "cuobjdump (pip install minigrad[cuda-check])": tool("cuobjdump"),
    }
    return [name for name, found in needs.items() if found is None]


def examine(kernel: Any, signature: tuple[Any, ...], target: str = "sm_90a") -> Compiled:
    """Compile a `cuda.jit` dispatcher for a signature and return what came of it.

    signature: Numba types of the arguments, e.g. `(float32[::1], uint32)`.

    Raises: ImportError where something is `missing`; KeyError for an unknown target.
    """
    lacking = missing()
    if lacking:
        raise ImportError(f"cuda_compile needs {', '.join(lacking)}")
    capability = CAPABILITIES[target]
    code = compiled(kernel, signature, capability).cubin
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(code)
        usage = run("cuobjdump", "-res-usage", str(path))
        listing = run("nvdisasm", "-c", "-ndf", str(path))  # no data flow: a fifth faster
    return reading(usage, listing, SYSTEM_SHARED.get(target, 0))


def reading(usage: str, listing: str, system: int = 0) -> Compiled:
    """Read the reports of cuobjdump and nvdisasm.

    >>> usage = " Function k:  REG:18 STACK:0 SHARED:1152 LOCAL:0 CONSTANT[0]:640"
    >>> made = reading(usage, "        /*0010*/   @!P0 LDG.E.128 R4, [R2] ;", 1024)
    >>> made.registers, made.shared, made.opcodes
    (18, 128, {'LDG.E.128': 1})
    """
    found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", usage)
    if found is None:
        raise ValueError(f"cuobjdump reports no resources: {usage!r}")
    registers, stack, shared, local = map(int, found.groups())
    opcodes = Counter(m.group(1) for m in map(INSTRUCTION.match, listing.splitlines()) if m)
    return Compiled(
        registers,
        stack + local,
        max(shared - system, 0),
        sum(n for name, n in opcodes.items() if SPILL.match(name)),
        sum(n for name, n in opcodes.items() if DOUBLE.match(name)),
        dict(sorted(opcodes.items())),
    )


def tool(name: str) -> str | None:
    """Return where a program of the CUDA toolkit lies: in a wheel, or on the path."""
    for folder in sys.path:
        path = Path(folder) / "nvidia" / "cu13" / "bin" / name
        if path.exists():
            return str(path)
    return shutil.which(name)


def run(name: str, *args: str) -> str:
    """Return what a tool of the CUDA toolkit writes."""
    path = tool(name)
    assert path is not None, f"{name} has gone"
    return subprocess.run([path, *args], capture_output=True, text=True, check=True).stdout
