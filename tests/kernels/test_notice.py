"""The word of a compilation: on a terminal, once, gone afterwards, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad_kernels.jit import progress as notice
from minigrad_kernels.jit.cache import KernelCache
from minigrad_kernels.jit.compile import jit

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

# Two kernels of the package, one of which calls a third, and a jitted function that is not ours.
RUN = """
import sys
import numba
import numpy as np
from minigrad_kernels.table import KERNELS

@numba.njit
def other(x):
    return x + 1

other(1.0)
sys.stderr.write("half a line ")
sys.stderr.flush()
KERNELS["relu"].cpu(np.ones(3, np.float32), np.empty(3, np.float32))
print("done", file=sys.stderr)
"""
TOLD = (
    "\x1b7\x1b[?7lminigrad: compiling kernel {} (first use; cached afterwards)\x1b[?7h\x1b8\x1b[K"
)


def on_terminal(folder: Path, **settings: str) -> str:
    """Run in a new process whose standard error is a terminal; return what that shows."""
    main, side = pty.openpty()
    environment = {
        **{k: v for k, v in os.environ.items() if k != "MINIGRAD_QUIET"},
        "PYTHONPATH": str(Path(notice.__file__).parents[2]),
        "MINIGRAD_CACHE_DIR": str(folder),
        "TERM": "xterm",
        **settings,
    }
    process = subprocess.Popen([sys.executable, "-c", RUN], stderr=side, env=environment)
    os.close(side)
    shown = b""
    try:
        while chunk := os.read(main, 1 << 16):
            shown += chunk
    except OSError:  # Linux: the process has closed its end
        pass
    os.close(main)
    assert process.wait() == 0
    return shown.decode()


def test_the_first_use_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    first = on_terminal(tmp_path)
    assert first == f"half a line {TOLD.format('relu.loop')}done\r\n"
    assert on_terminal(tmp_path) == "half a line done\r\n", "a cached kernel is no news"


@pytest.mark.parametrize("settings", [{"MINIGRAD_QUIET": "1"}, {"TERM": "dumb"}], ids=str)
def test_it_is_silent_where_asked(tmp_path: Path, settings: dict[str, str]) -> None:
    assert on_terminal(tmp_path, **settings) == "half a line done\r\n"


def test_captured_output_stays_clean(capfd: pytest.CaptureFixture[str]) -> None:
    notice.terminal("gemm")
    notice.terminal(None)
    assert capfd.readouterr() == ("", "")


def test_the_outermost_kernel_is_told_and_a_failure_too() -> None:
    @jit()
    def inner(x: float) -> float:
        return x + 1.0

    @jit()
    def outer(x: float) -> float:
        return inner(x)

    @jit()
    def broken(x: float) -> float:
        return x.nothing  # type: ignore[attr-defined, no-any-return]

    told: list[str | None] = []
    before = notice.redirect_notices(told.append)
    try:
        for function in (inner, outer, broken):
            function._cache = KernelCache(function.py_func, f"probe.{function.__name__}", {})
            function._cache.disable()
        assert outer(1.0) == 2.0
        with pytest.raises(Exception, match="nothing"):
            broken(1.0)
    finally:
        assert notice.redirect_notices(before) == told.append
    assert told == ["probe.outer", None, "probe.broken", None]
