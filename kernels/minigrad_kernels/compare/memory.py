"""Memory that kernels are tried on: at a new place each time, between guards that must stay.

>>> a = placed(np.arange(6, dtype=np.float32).reshape(2, 3))
>>> a.ctypes.data % 64, a.tolist(), overrun(a)
(0, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], 0)
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LINE = 64  # bytes of a cache line
PAGE = 4_096
GUARD = 0xA5
PLACES = random.Random(0)


def placed(a: Array) -> Array:
    """Return a copy that starts at a cache line drawn within a page, guards before and behind.

    A kernel's time depends on where its arrays lie; drawn anew for each block, that is noise.
    An array that is not C-contiguous is copied as it is, without guards.
    """
    if not a.flags.c_contiguous or not a.dtype.isnative or a.dtype.hasobject:
        return np.copy(a, order="K")
    base = np.empty(a.nbytes + PAGE + 3 * LINE, np.uint8)
    start = -base.ctypes.data % LINE + LINE * (1 + PLACES.randrange(PAGE // LINE))
    base[start - LINE : start] = GUARD
    base[start + a.nbytes : start + a.nbytes + LINE] = GUARD
    made = base[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    made[...] = a
    return made


def overrun(a: Array) -> int:
    """Return how many bytes of the guards around an array of `placed` were changed.

    An array of no elements has no place, and no guards.
    """
    base: Any = a
    while isinstance(base.base, np.ndarray):
        base = base.base
    if base.dtype != np.uint8 or not a.size or base.nbytes < a.nbytes + 2 * LINE:
        return 0
    start = a.ctypes.data - base.ctypes.data
    around = base[start - LINE : start], base[start + a.nbytes : start + a.nbytes + LINE]
    return int(sum(int((part != GUARD).sum()) for part in around))
