"""Write what PyTorch prints for each program: `python tests/as_torch/make_expected.py`.

It needs torch alone; the files are compared with what minigrad prints, see test_as_torch.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PROGRAMS = sorted((FOLDER / "programs").glob("*.py"))


def printed(program: Path, *command: str) -> str:
    """Return what a program prints, run by a command."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *command, str(program)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return done.stdout


if __name__ == "__main__":
    for program in PROGRAMS:
        (FOLDER / "expected" / f"{program.stem}.txt").write_text(printed(program))
    print(f"{len(PROGRAMS)} programs")
