"""Rehearse a first contact without a GPU: `python -m tests.cuda_pretended.rehearse`.

Every phase of `python -m benchmarks.gpu` runs on the pretended driver, in processes, as it will on
a GPU.  So the store of machine code gets all that they launch, signatures that no check of
`warmup --cuda` states too: run it again, and nothing is compiled.  Kernels compute nothing there:
rows are "wrong", and none may have failed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks import gpu
from benchmarks.gpu_rows import Row, Rows
from minigrad_kernels.cuda import numba_compiler
from tests.cuda_pretended import pretended

HOPPER = (9, 0)
PHASES = [*(name for name in gpu.PHASES if name != "smoke"), "smoke"]  # which ends the run: last
SMALLER = {"MINIGRAD_LOG2": "20", "MINIGRAD_SQUARES": "64 1024"}


def rehearsed(folder: Path) -> tuple[list[Row], int]:
    """Return the rows of all phases, kept in a folder, and how many kernels were compiled."""
    os.environ["MINIGRAD_CUDA_LIBRARY"] = str(pretended.built())
    os.environ.update({name: os.environ.get(name, size) for name, size in SMALLER.items()})
    numba_compiler.write_versions(HOPPER)
    store = numba_compiler.folder_of(HOPPER)
    before = len([*store.glob("*.cubin")])
    asked = ["--only", *PHASES, "--patience", "40", "--until", "4000"]
    gpu.main(["--out", str(folder), *asked])
    return Rows(folder).latest(), len([*store.glob("*.cubin")]) - before


def main() -> int:
    """Rehearse; return 1 where a row has failed."""
    with tempfile.TemporaryDirectory() as folder:
        rows, compiled = rehearsed(Path(folder))
    faults = [row for row in rows if row.get("failed") and row["phase"] != "smoke"]
    print(f"compiled {compiled} kernels that were not stored; {len(faults)} rows have failed")
    for row in faults:
        print("  ", row)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
