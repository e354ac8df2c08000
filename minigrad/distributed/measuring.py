"""Latency and bandwidth of what connects two ranks, by messages that go there and back."""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from minigrad.distributed.cost_model import Network
from minigrad.distributed.group import Group

SMALL, LARGE = 8, 1 << 22  # bytes of a message that costs its latency, and of one that costs more
SHORT, LONG = 500, 20  # exchanges of each
TAG = 7_720


def ping_pong(group: Group, overlap: float = 0.0) -> Network:
    """Return what connects ranks 0 and 1, on all ranks, which call it together.

    latency: half of the median time in which 8 bytes come back.  bandwidth: of 4 MiB, beyond that.
    overlap: is not measured, and said of the network.

    Raises: ValueError in a group of one.
    """
    if group.comm is None or group.size < 2:
        raise ValueError(
            "ping_pong: there is one rank; start two: mpiexec -n 2 minigrad scale --measure"
        )
    small, large = (there_and_back(group, *what) for what in ((SMALL, SHORT), (LARGE, LONG)))
    found = small / 2, LARGE / max((large - small) / 2, 1e-9)
    latency, bandwidth = group.comm.bcast(found)
    return Network(latency, bandwidth, overlap)


def there_and_back(group: Group, size: int, count: int) -> float:
    """Return the median seconds in which so many bytes go from rank 0 to rank 1 and back."""
    values, times = np.zeros(size, np.uint8), []
    group.comm.Barrier()
    for _ in range(count if group.rank < 2 else 0):
        begun = time.perf_counter()
        for sender in (0, 1):
            if group.rank == sender:
                group.comm.Send(values, 1 - sender, TAG)
            else:
                group.comm.Recv(values, sender, TAG)
        times.append(time.perf_counter() - begun)
    group.comm.Barrier()
    return median(times) if times else 0.0
