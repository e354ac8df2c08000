"""Claims: of several processes that share a cache, one makes a file and the others wait for it.

A claim is a lock on a file beside the one that is to be made, so it goes with the process that
held it.  It only spares work: where there are no such locks, or a holder takes too long, all make
the file.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.sigutils import normalize_signature

from minigrad_kernels.jit.linked import CALLERS, Compiler, is_linked, link_environments

# Where the system has no such locks, each process makes its own.
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
SUFFIX = ".claim"
PATIENCE = 60.0  # seconds; a kernel takes ten at most
PAUSE = 0.02
HOLDING: list[Any] = []  # what Ctrl-C calls meanwhile


@contextlib.contextmanager
def claimed(path: Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold the claim to make `path`; wait while another process holds it and the file is not there.

    patience: seconds after which to go on without the claim.
    Yields: whether the claim is held; where it is not, the file may be there by now.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "made.once"
    >>> with claimed(path) as held:
    ...     written = path.write_text("whole")
    >>> with claimed(path) as held:
    ...     print(held)
    False
    """
    handle = None if path.exists() else _lock(path, patience)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            # Gone before it is let go: who waits for this one finds `path`, not an empty claim.
            with contextlib.suppress(OSError):
                os.unlink(beside(path))
            os.close(handle)


def beside(path: Path) -> Path:
    """Return the file of a claim."""
    return path.with_name(f".{path.name}{SUFFIX}")


def _lock(path: Path, patience: float) -> int | None:
    """Return an open, locked claim, or None: the file is there, or there is nothing to wait for."""
    if fcntl is None:
        return None
    try:
        handle = os.open(beside(path), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None  # the folder cannot be written
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists():
                return handle
        except BlockingIOError:
            if not path.exists() and time.monotonic() < deadline:
                time.sleep(PAUSE)
                continue
        except OSError:  # a file system without locks
            pass
        os.close(handle)
        return None


class Claiming(CPUDispatcher):
    """A jitted function that one process at a time compiles, of those that share its cache.

    Where a kernel calls it, it is compiled for that kernel to link in (jit/linked.py).
    """

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Return how a kernel calls the function, which is compiled for it if it is not."""
        with global_compiler_lock, CALLERS.ask(True):
            return super().get_call_template(args, kws)

    def compile(self, sig: Any) -> Any:
        """Compile a signature, or take it from the process that has just done so."""
        claim = getattr(self._cache, "claim", None)  # functions without a cache have none
        if claim is None:
            with uninterrupted():
                return super().compile(sig)
        with uninterrupted(), global_compiler_lock, CALLERS.ask(False) as asked:
            linked = asked and isinstance(self._compiler, Compiler)
            args = tuple(normalize_signature(sig)[0])
            found = self.overloads.get(args)
            if found is not None:
                if linked or not is_linked(found):
                    return found.entry_point
                del self.overloads[args]  # now Python calls it
            with self.kept_as(linked), claim(sig, self.targetctx), uncollected():
                return super().compile(sig)

    @contextlib.contextmanager
    def kept_as(self, linked: bool) -> Iterator[None]:
        """Have the compiler stop at the IR, or not, and the cache keep that apart."""
        holders = [holder for holder in (self._compiler, self._cache) if hasattr(holder, "linked")]
        before = [holder.linked for holder in holders]
        for holder in holders:
            holder.linked = linked
        try:
            yield
        finally:
            for holder, was in zip(holders, before, strict=True):
                holder.linked = was

    def add_overload(self, cres: Any) -> None:
        """Take a compiled function in; one that is IR alone is not for Python to call."""
        if is_linked(cres):
            self.overloads[tuple(cres.signature.args)] = cres
            return
        link_environments(cres)
        super().add_overload(cres)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back to the end; a second one comes at once.

    The compiler calls Python in the midst of machine code, where an exception is printed and lost:
    the program would go on.
    """
    before = signal.getsignal(signal.SIGINT)
    elsewhere = threading.current_thread() is not threading.main_thread()
    if elsewhere or not callable(before) or before in HOLDING:  # a kernel calls kernels
        yield
        return
    held: list[tuple[int, Any]] = []

    def hold(number: int, frame: Any) -> None:
        if held:
            before(number, frame)
        held.append((number, frame))

    HOLDING.append(hold)
    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        HOLDING.remove(hold)
        if len(held) == 1:
            before(*held[0])


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Let no garbage be collected meanwhile: a compiler makes many objects that stay to its end."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
