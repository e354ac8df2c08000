"""Tell of compilations: the first use of a kernel says on a terminal what the wait is for.

One line on standard error where that is a terminal, gone when the kernel is ready; MINIGRAD_QUIET=1
turns it off.  Whoever draws on the terminal himself takes the word over with `redirect_notices`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from numba.core.event import Event, Listener, register

from minigrad_kernels.jit.cache import KernelCache

Tell = Callable[[str | None], None]  # of the kernel that is being compiled, then of None

# Where the cursor was, it is again: what stands left of it on the line stays.  Without wrapping, a
# narrow terminal clips the line, which would else leave its first half behind.
SAVE, RESTORE_AND_CLEAR = "\x1b7", "\x1b8\x1b[K"
NO_WRAP, WRAP = "\x1b[?7l", "\x1b[?7h"


def terminal(kernel: str | None) -> None:
    """Show which kernel is being compiled, or take the line away."""
    stream = sys.stderr
    captured = stream is not sys.__stderr__  # then the line could not be taken away
    if (
        stream is None
        or captured
        or not stream.isatty()
        or os.environ.get("TERM") == "dumb"
        or os.environ.get("MINIGRAD_QUIET", "0") not in ("", "0")
    ):
        return
    if kernel is None:
        stream.write(RESTORE_AND_CLEAR)
    else:
        text = f"minigrad: compiling kernel {kernel} (first use; cached afterwards)"
        stream.write(f"{SAVE}{NO_WRAP}{text}{WRAP}")
    stream.flush()


class Compilations(Listener):
    """Numba's reports of compilations; of kernels that call kernels, the outermost is told."""

    def __init__(self) -> None:
        self.tell: Tell = terminal
        self.depth = 0

    def on_start(self, event: Event) -> None:
        """Tell of a kernel; what else is jitted in the process is not ours."""
        cache = event.data["dispatcher"]._cache
        if isinstance(cache, KernelCache):
            if self.depth == 0:
                self.tell(cache.name)
            self.depth += 1

    def on_end(self, event: Event) -> None:
        """Tell that the outermost kernel is ready, or has failed."""
        if isinstance(event.data["dispatcher"]._cache, KernelCache):
            self.depth -= 1
            if self.depth == 0:
                self.tell(None)


COMPILATIONS = Compilations()


def listen() -> None:
    """Begin to tell: the table calls this once, when it is made."""
    register("numba:compile", COMPILATIONS)


def redirect_notices(tell: Tell) -> Tell:
    """Have `tell` called in place of the line on the terminal; return what was called before.

    >>> before = redirect_notices(lambda kernel: None)
    >>> _ = redirect_notices(before)
    """
    before = COMPILATIONS.tell
    COMPILATIONS.tell = tell
    return before
