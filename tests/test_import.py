"""What `import minigrad` loads, and what waits for its first use (minigrad/lazy.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.lazy import lazy

ROOT = Path(__file__).resolve().parent.parent
# What most programs never use, and what takes long to import.
AT_FIRST_USE = (
    "argparse",
    "greenlet",
    "jax",
    "matplotlib",
    "minigrad.checking.command",
    "minigrad.cli",
    "minigrad.compare",
    "minigrad_cudasim",
    "minigrad_kernels.compare",
    "minigrad_kernels.cuda.targets",
    "minigrad_kernels.cuda_table",
    "minigrad_kernels.warmup",
    "multiprocessing",
    "numba.cuda",
    "pandas",
    "rich",
    "safetensors",
    "sklearn",
    "torch",
)
# What Numba imports itself.
WITHOUT_NUMBA = ("numba", "llvmlite", "importlib.metadata", "email", "html", "subprocess")
PROBE = "import sys, minigrad; print(*[name for name in {names} if name in sys.modules])"
COMPILED = """
from numba.core import event
with event.install_recorder("numba:compile") as recorder:
    import minigrad
print(*[str(e.data["dispatcher"]) for _, e in recorder.buffer if e.is_start])
"""


def printed(source: str, plain: bool) -> str:
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={
            **os.environ,
            "MINIGRAD_PLAIN": "1" if plain else "",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("plain", [False, True])
def test_an_import_loads_nothing_that_waits_for_its_first_use(plain: bool) -> None:
    names = AT_FIRST_USE + (WITHOUT_NUMBA if plain else ())
    loaded = printed(PROBE.format(names=names), plain)
    assert loaded == "", f"import minigrad loads {loaded}: use minigrad.lazy.lazy"


def test_an_import_compiles_nothing() -> None:
    assert printed(COMPILED, plain=False) == ""


def test_what_was_lazy_is_there_at_its_first_use() -> None:
    source = "import minigrad as mg; print(mg.compare.run.__module__, mg.compare.__name__)"
    assert printed(source, plain=False) == "minigrad_kernels.compare.api minigrad.compare"


def test_a_missing_module_is_named_at_its_first_use() -> None:
    absent = lazy("minigrad_absent")
    with pytest.raises(ModuleNotFoundError, match="No module named 'minigrad_absent'"):
        _ = absent.anything
