"""What calls of compiled code this thread's Python makes, while somebody listens.

jit/call_table.py turns such calls into rows of a table.  A kernel whose CPU column copies between
arrays has it done by `move`, so that the copy is heard too.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Call = tuple[Any, tuple[Any, ...]]


class Heard(threading.local):
    """The calls of this thread that are being noted; None while there is no listener."""

    calls: list[Call] | None = None


heard = Heard()


def move(source: Any, target: Array) -> None:
    """Copy between arrays of one dtype that do not overlap; the source may broadcast.

    >>> x = np.zeros((2, 2))
    >>> move(np.ones(2), x.T)
    >>> x.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    np.copyto(target, source)
    if heard.calls is not None:
        heard.calls.append((move, (source, target)))
