"""Judge the numbers that a loss is given on a GPU, without a wait: see `judged_there`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.engine.device import judge_later
from minigrad.ops.memory import cast
from minigrad.tensors.tensor import Tensor, new

INT64 = np.dtype(np.int64)
ONLY_ZERO, NONE = 1, -1  # how many classes there are: class 0, and no other; and none is ignored


def judged_there(
    values: Tensor, wrong: Callable[[Tensor], Any], refuse: Callable[[], None]
) -> bool:
    """Have numbers on a GPU judged there; return False for any other device: nothing is done then.

    wrong: the numbers -> bools of their shape, true where one may not be.  refuse: raises the
        error, looking again; it is called at the next read of the device, the loss's say, where
        one was wrong.
    """
    array: Any = values.array
    if getattr(getattr(array, "target", None), "late", None) is None:
        return False
    found = cast(wrong(new(array)), INT64)
    return judge_later(found.array.reshape(-1), ONLY_ZERO, NONE, lambda _: refuse())
