"""Where kernels are launched: `launch` is the only way to a kernel, `empty` to memory.

Where a kernel runs is read off its arrays.
"""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.allocator import POOL
from minigrad.engine.allocator import empty as empty
from minigrad.engine.device import CALLERS, USED, launch_on_device
from minigrad_kernels.checked import check_launch
from minigrad_kernels.jit.files import write_whole as write_whole
from minigrad_kernels.jit.parallel import hold_over_fork as hold_over_fork
from minigrad_kernels.jit.progress import redirect_notices as redirect_notices
from minigrad_kernels.kernel import PARALLEL as PARALLEL
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.reduce.sums import sizes_around as sizes_around
from minigrad_kernels.table import KERNELS, LISTENERS

# Whether all launches of the process are checked, see engine/anomaly.py.
CHECKED = os.environ.get("MINIGRAD_CHECKED", "0") not in ("", "0")
Table = Mapping[str, Callable[..., None]]
CPU: dict[str, Callable[..., None]] = {name: kernel.cpu for name, kernel in KERNELS.items()}


class Dispatch(threading.local):
    """This thread's table of launches: name -> callable(inputs, scalars, outputs).

    Each call runs in a context in which NumPy's floating-point warnings are off, for log(0) is -inf
    here as everywhere in this field: entering a prepared context costs 0.03 us, `np.errstate` 0.9,
    and the user's own setting stays.

    checked: whether every launch looks at its arguments first.
    """

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        self.context.run(np.seterr, all="ignore")
        self.check(CHECKED)

    def check(self, on: bool) -> None:
        """Check every launch of this thread from here on, or none."""
        self.checked = on
        table = launches_checked() if on else CPU
        self.kernels: Table = {
            name: partial(self.context.run, kernel) for name, kernel in table.items()
        }


@functools.cache
def launches_checked() -> Table:
    """Return the table of kernels that look at their arguments first."""

    def checking(name: str, row: Kernel) -> Callable[..., None]:
        def run(*args: Any) -> None:
            check_launch(name, row, args)
            row.cpu(*args)

        return run

    return {name: checking(name, row) for name, row in KERNELS.items()}


dispatch = Dispatch()
hold_over_fork(POOL.lock)


def launch(name: str, *args: Any) -> None:
    """Run the kernel `name` on `args`: inputs, scalars, outputs, as its row of the table says.

    It runs where its arrays are.  Outputs are writable and aligned, and overlap neither inputs nor
    each other (but that y of an elementwise kernel may be an input): kernels are compiled on that
    and check nothing.  Memory from `empty` is so; other memory goes through engine/overwrite.py
    first.  `minigrad.check_launches` holds every launch to it.

    >>> y = empty(2, np.float32)
    >>> launch("add", np.ones(2, np.float32), np.ones(2, np.float32), y)
    >>> y.tolist()
    [2.0, 2.0]
    """
    if USED:
        # What most launches on a GPU are, with no Python frame before it; see cuda/plan.py.
        caller = None if dispatch.checked else CALLERS.get((name, *map(type, args)))
        if caller is not None and caller(*args):
            return
        if launch_on_device(name, args, dispatch.checked):
            return
    dispatch.kernels[name](*args)


def add_launches(family: Any) -> None:
    """Let this thread, and threads that begin later, launch the kernels of a family that is added
    to the table.
    """
    CPU.update({name: KERNELS[name].cpu for name in family.KERNELS})
    launches_checked.cache_clear()
    dispatch.check(dispatch.checked)


LISTENERS.append(add_launches)
