"""Training on several processes by MPI: see docs/distributed.md.

`init()` joins the processes that `mpiexec` has started; alone, everything works as in one process.
"""

import typing as _typing

from minigrad.distributed.collectives import ReduceOp as ReduceOp
from minigrad.distributed.collectives import Work as Work
from minigrad.distributed.collectives import all_gather as all_gather
from minigrad.distributed.collectives import all_gather_object as all_gather_object
from minigrad.distributed.collectives import all_reduce as all_reduce
from minigrad.distributed.collectives import barrier as barrier
from minigrad.distributed.collectives import broadcast as broadcast
from minigrad.distributed.collectives import broadcast_object_list as broadcast_object_list
from minigrad.distributed.group import abort as abort
from minigrad.distributed.group import init as init
from minigrad.distributed.group import is_first as is_first
from minigrad.distributed.group import rank as rank
from minigrad.distributed.group import world_size as world_size
from minigrad.lazy import lazy as _lazy

if _typing.TYPE_CHECKING:
    from minigrad.distributed.data_parallel import DataParallel as DataParallel
    from minigrad.distributed.zero import ZeroRedundancyOptimizer as ZeroRedundancyOptimizer
else:
    # The layers import this package, and these need the layers.
    _LATER = {
        "DataParallel": _lazy("minigrad.distributed.data_parallel"),
        "ZeroRedundancyOptimizer": _lazy("minigrad.distributed.zero"),
    }

    def __getattr__(name: str) -> _typing.Any:
        """Return what is loaded when it is first asked for."""
        if name not in _LATER:
            raise AttributeError(f"module 'minigrad.distributed' has no attribute {name!r}")
        value = globals()[name] = getattr(_LATER[name], name)
        return value


__all__ = [
    "DataParallel",
    "ReduceOp",
    "Work",
    "ZeroRedundancyOptimizer",
    "abort",
    "all_gather",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "init",
    "is_first",
    "rank",
    "world_size",
]
