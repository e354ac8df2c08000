"""Write resources.json: what each CUDA kernel compiles to; run it after a change that is meant.

    python tests/cuda/make_resources.py

Needs `pip install minigrad[cuda,cuda-check]`, no GPU.
"""

from __future__ import annotations

import json
from pathlib import Path

from minigrad_kernels import cuda_compile
from tests.cuda.probes import PROBES

PATH = Path(__file__).with_name("resources.json")
Row = dict[str, int | dict[str, int]]


def row(compiled: cuda_compile.Compiled, promised: tuple[str, ...]) -> Row:
    """Return what the table keeps of one kernel and target."""
    return {
        "registers": compiled.registers,
        "stack": compiled.stack,
        "shared": compiled.shared,
        "spills": compiled.spills,
        "doubles": compiled.doubles,
        "instructions": compiled.instructions,
        "opcodes": {name: compiled.count(name) for name in promised},
    }


def table() -> dict[str, dict[str, Row]]:
    """Compile every kernel for every target."""
    return {
        name: {
            target: row(cuda_compile.examine(probe.kernel, probe.signature, target), probe.promised)
            for target in cuda_compile.TARGETS
        }
        for name, probe in PROBES.items()
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(table(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {PATH}")
