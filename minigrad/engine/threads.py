"""Set how many threads the jitted kernels use."""

from __future__ import annotations

from minigrad.engine import arguments
from minigrad_kernels.jit import compile as launching
from minigrad_kernels.jit.compile import Asked as Asked
from minigrad_kernels.jit.parallel import renew_in_child as renew_in_child


def set_num_threads(n: int) -> None:
    """Set how many threads the jitted kernels use; results do not depend on it.

    Kernels may be launched from any Python thread; one that uses several threads waits for another
    that does.  A child made by `os.fork` (a `multiprocessing` pool of the "fork" context too)
    computes on one thread if its parent has used several before; "spawn" and "forkserver" give
    children that use all.

    n: 1 to the number of cores.  Raises: ValueError outside that range.
    """
    launching.set_num_threads(arguments.whole("set_num_threads", "n", n))


def get_num_threads() -> int:
    """Return how many threads the jitted kernels use.

    >>> get_num_threads() >= 1
    True
    """
    return launching.get_num_threads()
