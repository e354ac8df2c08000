"""Claims: one process compiles, the others wait for it, and none waits for one that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numba.core.registry import CPUDispatcher

from minigrad_kernels.jit import claims
from minigrad_kernels.jit.claims import HOLDING, beside, claimed, uninterrupted
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.warmup import jobs

pytestmark = pytest.mark.skipif(claims.fcntl is None, reason="this system has no file locks")

HOLD = """
import sys, time
from pathlib import Path
from minigrad_kernels.jit.claims import claimed
with claimed(Path(sys.argv[1])) as held:
    print(held, flush=True)
    sys.stdin.readline()
    Path(sys.argv[1]).write_text("made by the other")
"""
COMPILE = """
import sys
from minigrad_kernels.table import KERNELS
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.warmup import compile_job
lines = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
print(sum(not compile_job(line).cached for line in lines))
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Return a process that holds the claim until a line comes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_it_waits_until_the_other_has_made_the_file(tmp_path: Path) -> None:
    path = tmp_path / "made"
    other = holder(path)
    threading.Timer(0.2, lambda: other.communicate("go\n")).start()
    with claimed(path) as held:
        assert not held
        assert path.read_text() == "made by the other"
    other.wait()
    assert list(tmp_path.iterdir()) == [path]


def test_a_holder_that_is_killed_holds_no_more(tmp_path: Path) -> None:
    path = tmp_path / "made"
    other = holder(path)
    threading.Timer(0.2, other.kill).start()
    with claimed(path) as held:
        assert held
    other.communicate()


def test_it_goes_on_without_a_claim_when_the_holder_takes_too_long(tmp_path: Path) -> None:
    path = tmp_path / "made"
    other = holder(path)
    start = time.monotonic()
    with claimed(path, patience=0.1) as held:
        assert not held
    assert 0.1 <= time.monotonic() - start < 10
    other.communicate("go\n")


def test_a_claim_is_let_go_when_the_work_fails(tmp_path: Path) -> None:
    path = tmp_path / "made"
    with pytest.raises(ZeroDivisionError), claimed(path):
        raise ZeroDivisionError
    assert not beside(path).exists()
    with claimed(path, patience=0) as held:
        assert held


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_where_no_claim_can_be_made_there_is_nothing_to_wait_for(
    tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    with claimed(tmp_path / folder / "made") as held:
        assert not held


def test_two_processes_compile_each_function_once(tmp_path: Path) -> None:
    lines = [jobs([name], ["float32"])[0] for name in ("dropout", "relu", "exp")]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", COMPILE, *lines],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MINIGRAD_CACHE_DIR": str(tmp_path)},
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    compiled = [int(process.communicate()[0]) for process in both]
    assert sum(compiled) == len(lines)
    assert not list(tmp_path.rglob(f"*{claims.SUFFIX}"))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise, which a process in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_waits_until_a_kernel_is_compiled() -> None:
    """In the midst the compiler would print it, lose it, and the program would go on."""
    before = signal.getsignal(signal.SIGINT)
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        with uninterrupted():  # of a kernel that this one calls
            signal.raise_signal(signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # a second one does not wait
        done.append("never")
    assert len(done) == 2 and not HOLDING
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("ctrl_c")
def test_a_kernel_is_compiled_without_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def compile_interrupted(self: Any, sig: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(sig)

    monkeypatch.setattr(CPUDispatcher, "compile", compile_interrupted)
    with pytest.raises(KeyboardInterrupt):
        jit()(lambda x: x).compile("f8(f8)")
    assert done == ["f8(f8)"]
