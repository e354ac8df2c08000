"""The pretended driver of driver.c: built by the system's C compiler, asked what it was told."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import minigrad as mg
from minigrad_kernels.cuda import driver as cuda_driver
from minigrad_kernels.cuda import numba_compiler, plan, targets
from tests.cuda_simulated.extras import REQUIRED

SOURCE = Path(__file__).with_name("driver.c")
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class Launched(NamedTuple):
    """A launch as the driver saw it.  values: of the parameters, with the bytes of each."""

    name: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    stream: int
    values: tuple[tuple[int, int], ...]


def require() -> None:
    """Skip the module that calls this where there is no C compiler, or none of kernels."""
    lacking = numba_compiler.missing() or (None if COMPILER else "there is no C compiler")
    if lacking and not REQUIRED:
        pytest.skip(lacking, allow_module_level=True)


def built() -> Path:
    """Return the library, built once for each text of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"minigrad-pretended-{digest}.so"
    if not path.exists():
        assert COMPILER is not None
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            command = [COMPILER, "-O1", "-shared", "-fPIC", "-pthread", "-o", made, SOURCE]
            subprocess.run(command, check=True)
            made.rename(path)
    return path


class Pretended(cuda_driver.Driver):
    """The driver, and what it says of itself."""

    def __init__(self) -> None:
        super().__init__(str(built()))
        self.library.pretended_text.restype = ctypes.c_char_p
        self.library.pretended_faults.restype = ctypes.c_long
        self.library.pretended_used.restype = ctypes.c_size_t
        self.library.pretended_limit.argtypes = (ctypes.c_size_t,)

    @contextmanager
    def logged(self) -> Iterator[list[str]]:
        """Collect the lines of the calls that are made inside."""
        lines: list[str] = []
        self.library.pretended_log(1)
        try:
            yield lines
        finally:
            text = self.library.pretended_text() if self.library.pretended_length() else b""
            length = self.library.pretended_length()
            lines += (text or b"")[:length].decode().splitlines()
            self.library.pretended_log(0)

    @property
    def faults(self) -> int:
        """How many calls broke a rule."""
        return int(self.library.pretended_faults())

    def forget(self) -> None:
        """Forget the faults."""
        self.library.pretended_forget()

    @property
    def used(self) -> int:
        """The bytes of device memory that were allocated and not freed."""
        return int(self.library.pretended_used())

    def limit(self, nbytes: int) -> None:
        """Let there be so many bytes of device memory; 0: plenty."""
        self.library.pretended_limit(nbytes)


def launches(lines: list[str]) -> list[Launched]:
    """Return the launches among the lines of a log."""
    found = []
    for line in lines:
        words = line.split()
        if words[0] != "cuLaunchKernel":
            continue
        grid, block = (tuple(map(int, words[i : i + 3])) for i in (3, 7))
        values = [(int(n), int(v, 16)) for n, v in (word.split(":") for word in words[15:])]
        found.append(Launched(words[1], grid, block, int(words[11]), int(words[13]), tuple(values)))
    return found


def calls(lines: list[str], *names: str) -> list[str]:
    """Return the lines of a log that are calls of these functions."""
    return [line for line in lines if line.split()[0] in names]


@contextmanager
def gpus() -> Iterator[Pretended]:
    """Let the process have two pretended GPUs; afterwards it has what it had."""
    made = Pretended()
    patch = pytest.MonkeyPatch()
    patch.setattr(targets.cuda_driver, "driver", lambda: made)
    # Other files hold the lists themselves.
    lists = mg.engine.device.USED, mg.engine.allocator.ELSEWHERE
    before = [list(each) for each in lists]
    for each in lists:
        each.clear()
    targets._gpu.cache_clear()
    plan.plans.known.clear()
    try:
        yield made
    finally:
        patch.undo()
        for each, held in zip(lists, before, strict=True):
            each[:] = held
        targets._gpu.cache_clear()
        plan.plans.known.clear()


def data_of(values: Any) -> set[int]:
    """Return the addresses among the parameters of a launch, of arrays as Numba passes them."""
    found = set()
    for i in range(len(values) - 4):
        (_, a), (_, b), _, (_, item), (size, address) = values[i : i + 5]
        if a == b == 0 and item in (1, 2, 4, 8) and size == 8 and address > 1 << 32:
            found.add(address)
    return found
