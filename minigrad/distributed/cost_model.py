"""What a step costs on several processes: compute + latency x messages + bytes / bandwidth, less
what of that hides behind compute.

Gradients are summed by halving and doubling (Rabenseifner): 2 log2(W) messages in a row and
2 (W - 1) / W of the bytes, each way of a link as fast as the other.  Where W processes share what
one computes, compute is divided by W, but for what does not depend on the rows; the exchange hides
behind the part of it in which gradients come, but for the last bucket, which ends after the sweep.

Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in
MPICH" (2005), section 4; Li et al., "PyTorch distributed" (VLDB 2020), section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from minigrad.engine.errors import ArgumentError

BACKWARD = 2 / 3  # of a step's compute: two products where the forward has one


@dataclass(frozen=True)
class Network:
    """What connects the processes.

    latency: seconds of a message.  bandwidth: bytes a second, of one process's link, each way.
    overlap: how much of an exchange can hide behind compute, 0 to 1: 0 where messages move only
        while a process waits for them, as on one machine whose cores all compute.
    """

    latency: float
    bandwidth: float
    overlap: float = 1.0

    def __post_init__(self) -> None:
        good = self.latency >= 0 and self.bandwidth > 0 and 0 <= self.overlap <= 1
        if not good:
            raise ArgumentError(
                "Network: expected latency >= 0 s, bandwidth > 0 B/s and overlap in [0, 1], got "
                f"{self.latency}, {self.bandwidth} and {self.overlap}"
            )


@dataclass(frozen=True)
class Step:
    """What one process does for one step.

    compute: seconds, of the whole batch on one process.  fixed: of these, what every process does
        whatever its rows: the optimizer's step, Python.  bytes: of all gradients.
    buckets: in how many exchanges.  others: small exchanges that are waited for, such as two for
        each synchronised batch norm.  largest: bytes of the bucket that comes last.
    """

    compute: float
    bytes: float
    buckets: int = 1
    others: int = 0
    largest: float = 0.0
    fixed: float = 0.0

    def on(self, processes: int) -> float:
        """Return the seconds that one of so many processes computes, which share the batch."""
        fixed = min(self.fixed, self.compute)
        return fixed + (self.compute - fixed) / processes


@dataclass(frozen=True)
class Prediction:
    """A step on some processes: seconds, and what they consist of; see `predict`."""

    processes: int
    compute: float
    exchange: float
    hidden: float
    seconds: float
    speedup: float
    efficiency: float


def exchange_seconds(network: Network, processes: int, bytes: float, messages: int = 1) -> float:
    """Return the seconds of `messages` sums over all processes of so many bytes together.

    >>> round(exchange_seconds(Network(1e-5, 1e9), 4, 1e6) * 1e6)  # 4 x 10 us + 1.5 MB
    1540
    """
    if processes == 1:
        return 0.0
    rounds = 2 * math.ceil(math.log2(processes))
    share = 2 * (processes - 1) / processes
    return messages * rounds * network.latency + share * bytes / network.bandwidth


def predict(
    step: Step,
    network: Network,
    processes: int,
    *,
    weak: bool = False,
    compression: float = 1.0,
    local_steps: int = 1,
) -> Prediction:
    """Return what a step is predicted to take.

    weak: each process has a whole batch of its own, so that the batch grows with their number; by
        default they share one.
    compression: gradients are sent in so many times fewer bytes.  local_steps: they are exchanged
        once in so many steps.  What both do to the training is not predicted.

    Raises: ValueError for numbers below 1.

    >>> step, network = Step(0.1, 8e6), Network(2e-5, 1.25e9)
    >>> round(predict(step, network, 8).efficiency, 2)
    0.52
    >>> round(predict(step, network, 8, local_steps=8).efficiency, 2)
    0.9
    """
    if processes < 1 or local_steps < 1 or compression < 1:
        raise ArgumentError(
            "predict: expected processes, local_steps and compression of at least 1, got "
            f"{processes}, {local_steps} and {compression}"
        )
    compute = step.compute if weak else step.on(processes)
    gradients = exchange_seconds(network, processes, step.bytes / compression, step.buckets)
    last = (
        exchange_seconds(network, processes, step.largest / compression)
        if step.largest
        else (gradients / step.buckets)
    )
    sweep = BACKWARD * max(0.0, compute - step.fixed)
    hidden = network.overlap * min(max(0.0, gradients - last), sweep)
    small = exchange_seconds(network, processes, 0.0, step.others)
    exposed = (gradients - hidden) / local_steps + small
    seconds = compute + exposed
    speedup = (processes if weak else 1) * step.compute / seconds
    total = (gradients / local_steps) + small
    return Prediction(
        processes, compute, total, hidden / local_steps, seconds, speedup, speedup / processes
    )


def pays_up_to(step: Step, network: Network, least: float = 0.5, **how: float | int | bool) -> int:
    """Return the largest power of two of processes whose efficiency is at least `least`.

    >>> pays_up_to(Step(1.0, 8e6), Network(2e-5, 1.25e9))
    64
    """
    processes = 1
    while processes < 1 << 24:
        found = predict(step, network, 2 * processes, **how)  # type: ignore[arg-type]
        if found.efficiency < least:
            break
        processes *= 2
    return processes
