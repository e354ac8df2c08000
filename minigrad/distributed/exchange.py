"""The exchanges of a training step, as kernels: so a captured step replays them in their places.

    exchange_begin      begin to sum an array over all ranks, in place
    exchange_end        wait for that
    exchange_copy       take rank 0's array
    exchange_moments    mean and variance of all ranks' rows, from each rank's
    exchange_gradients  what all ranks' rows add to a normalisation's gradient

They enter the table when a process joins others; on the CPU alone, to which a device's arrays are
copied.  Sums are made in the same order in every run and on every rank: the bits are the same.
"""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from minigrad.distributed import collectives
from minigrad.distributed.group import Group, current
from minigrad.engine.device import device_of, host_copy, moved
from minigrad.engine.dispatch import KERNELS, Kernel, add_launches, launch
from minigrad.engine.recording import ORDERED

Array = np.ndarray[Any, Any]
SUM, MAX = 0, 1
LATENCY = 2e-4  # seconds between two looks of the thread that keeps messages moving


class Pending:
    """The sums under way, by their tickets, and what they cost.

    hidden: seconds between the begin of an exchange and when it is waited for.
    exposed: seconds that a rank waited.  bytes: exchanged by this rank.
    """

    def __init__(self) -> None:
        self.requests: dict[int, tuple[Any, int, float]] = {}
        self.hidden = self.exposed = 0.0
        self.bytes = 0
        self.tickets = 0
        self.moving = threading.Event()
        self.mover: threading.Thread | None = None

    def ticket(self) -> int:
        """Return the number of a new exchange that comes again in every step."""
        self.tickets += 1
        return self.tickets

    def reset(self) -> None:
        """Count from zero."""
        self.hidden = self.exposed = 0.0
        self.bytes = 0


pending = Pending()


# ---------------------------------------------------------------- references: a rank by itself
def exchange_begin_reference(values: Array, how: int, ticket: int) -> None:
    """Leave the only rank's numbers as they are."""


def exchange_end_reference(values: Array, ticket: int) -> None:
    """Leave the only rank's numbers as they are."""


def exchange_copy_reference(values: Array) -> None:
    """Leave the only rank's numbers as they are."""


def exchange_moments_reference(
    mean: Array, var: Array, rows: int, total_mean: Array, total_var: Array, total: Array
) -> None:
    """Copy the only rank's mean, biased variance and number of values a channel."""
    total_mean[...], total_var[...], total[...] = mean, var, rows


def exchange_gradients_reference(
    dw: Array, db: Array, weight: Array, var: Array, eps: float, rows: int, slope: Array,
    shift: Array,
) -> None:  # fmt: skip
    """Compute -w rstd / n times dw and db of all rows."""
    factor = -weight.astype(np.float64) / np.sqrt(var.astype(np.float64) + eps) / rows
    slope[...], shift[...] = factor * dw, factor * db


# ---------------------------------------------------------------- with the other ranks
def exchange_begin(values: Array, how: int, ticket: int) -> None:
    """Begin to sum (how=0), or to take the largest (1) of, all ranks' values in place."""
    group = current.group
    request = collectives.begin(group, values, "MAX" if how == MAX else "SUM", group.gradients)
    pending.bytes += values.nbytes
    pending.requests[ticket] = request, group.gradients.count, time.perf_counter()
    if how != MAX:  # that one is waited for at once
        keep_moving(group)


def exchange_end(values: Array, ticket: int) -> None:
    """Wait until `values` holds the sum."""
    request, number, begun = pending.requests.pop(ticket)
    before = time.perf_counter()
    pending.hidden += before - begun
    current.group.wait(request, "the exchange of gradients", number, current.group.gradients)
    pending.exposed += time.perf_counter() - before


def exchange_copy(values: Array) -> None:
    """Take rank 0's values."""
    collectives.sent(values, 0, "the broadcast of buffers")


def exchange_moments(
    mean: Array, var: Array, rows: int, total_mean: Array, total_var: Array, total: Array
) -> None:
    """Compute mean and biased variance of all ranks' rows: Chan, Golub and LeVeque 1979."""
    c = mean.size
    own = np.empty(2 * c + 1)
    own[0], own[1 : 1 + c], own[1 + c :] = rows, mean, var
    found = collectives.gathered(own, "synchronised batch norm")
    n = found[:, :1]
    n_all = n.sum()
    with np.errstate(all="ignore"):
        means, share = found[:, 1 : 1 + c], n / n_all
        whole = (share * means).sum(0)
        spread = (share * (found[:, 1 + c :] + (means - whole) ** 2)).sum(0)
    total_mean[...], total_var[...], total[...] = whole, spread, n_all


def exchange_gradients(
    dw: Array, db: Array, weight: Array, var: Array, eps: float, rows: int, slope: Array,
    shift: Array,
) -> None:  # fmt: skip
    """Compute -w rstd / n times the ranks' dw and db."""
    found = collectives.gathered(np.stack([dw, db]).astype(np.float64), "synchronised batch norm")
    sums = found.sum(0)
    exchange_gradients_reference(sums[0], sums[1], weight, var, eps, rows, slope, shift)


def cost(*args: Any) -> tuple[int, int]:
    """Return the operations and the bytes of an exchange: one addition a number, there and back."""
    values = args[0]
    return values.size, 2 * values.nbytes


ROWS = {
    "exchange_begin": Kernel(
        exchange_begin_reference, exchange_begin, cost, out=(), inout=("values",)
    ),
    "exchange_end": Kernel(exchange_end_reference, exchange_end, cost, out=(), inout=("values",)),
    "exchange_copy": Kernel(
        exchange_copy_reference, exchange_copy, cost, out=(), inout=("values",)
    ),
    "exchange_moments": Kernel(
        exchange_moments_reference,
        exchange_moments,
        cost,
        out=("total_mean", "total_var", "total"),
    ),
    "exchange_gradients": Kernel(
        exchange_gradients_reference, exchange_gradients, cost, out=("slope", "shift")
    ),
}


def exchange(name: str, *args: Any) -> None:
    """Launch an exchange; of arrays on a device, on copies of them."""
    if name not in KERNELS:
        KERNELS.update(ROWS)
        ORDERED.update(ROWS)
        add_launches(SimpleNamespace(KERNELS=ROWS))
    if all(isinstance(a, np.ndarray | int | float) for a in args):
        launch(name, *args)
        return
    held = [host_copy(a) if hasattr(a, "target") else a for a in args]
    ROWS[name].cpu(*held)
    for array, values in zip(args, held, strict=True):
        if hasattr(array, "target"):
            array[...] = moved(values, device_of(array))


# ---------------------------------------------------------------- messages on their way
def keep_moving(group: Group) -> None:
    """Look after messages while this process computes: MPI moves them when it is called.

    One thread, which sleeps in between; only where MPI allows calls by several threads.
    """
    if group.comm is None or group.mpi.Query_thread() < group.mpi.THREAD_MULTIPLE:
        return
    if pending.mover is None or not pending.mover.is_alive():
        pending.mover = threading.Thread(target=move, args=(group,), daemon=True)
        pending.mover.start()
    pending.moving.set()


def move(group: Group) -> None:
    """Have MPI look at its messages, as long as there are any."""
    while not group.ended:
        pending.moving.wait()
        group.side.Iprobe(source=group.mpi.ANY_SOURCE, tag=0)
        if not pending.requests:
            pending.moving.clear()
        time.sleep(LATENCY)
