"""`minigrad scale`: how a training step is predicted to go on more machines."""

from __future__ import annotations

import argparse
import math
import re
import time
from itertools import pairwise
from statistics import median

import minigrad.nn as nn
from minigrad.cli.options import UsageError, at_least, positive, widths
from minigrad.distributed.cost_model import Network, Step, pays_up_to, predict
from minigrad.distributed.group import init
from minigrad.distributed.measuring import ping_pong
from minigrad.nn.functional import cross_entropy
from minigrad.optim import AdamW
from minigrad.tensors.creation import randint, randn

ABOUT = (
    "Predict a data-parallel step: compute + latency x messages + bytes / bandwidth - overlap. The "
    "compute is measured here, of one step of a multilayer perceptron, unless --step gives it. See "
    "docs/distributed.md for how the model was checked."
)
UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
POWERS = {"s": "", "ms": "e-3", "us": "e-6", "ns": "e-9"}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
STEPS = 5  # that are timed, after two


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = command.add_argument
    add("--nodes", type=nodes, default=nodes("1..1024"), metavar="A..B", help="powers of two")
    add("--bandwidth", type=bandwidth, default=1.25e9, metavar="X", help="10Gbit, 1.2GB (10Gbit)")
    add(
        "--latency",
        type=duration,
        default=2e-5,
        metavar="X",
        help="of a message: 20us, 50ms (20us)",
    )
    add(
        "--measure",
        action="store_true",
        help="take bandwidth and latency from messages between two ranks: mpiexec -n 2 minigrad "
        "scale --measure",
    )
    add("--overlap", type=float, default=1.0, metavar="X", help="that can hide, 0 to 1 (1)")
    add("--model", type=widths, default=(784, 1024, 1024, 10), metavar="N,N", help="of layers")
    add("--batch-size", type=at_least(1), default=1024, metavar="N", help="rows a step (1024)")
    add(
        "--step", type=duration, metavar="X", help="seconds of a step on one node; measured if left"
    )
    add("--weak", action="store_true", help="a batch on each node, not one shared by all")
    add("--compression", type=positive, default=1.0, metavar="X", help="fewer bytes by this factor")
    add("--local-steps", type=at_least(1), default=1, metavar="N", help="steps for one exchange")


def run(arguments: argparse.Namespace) -> int:
    """Predict; return the exit code."""
    sizes = list(arguments.model)
    if len(sizes) < 2:
        raise UsageError(f"--model: expected at least two sizes, got {sizes}")
    if not 0 <= arguments.overlap <= 1 or arguments.compression < 1:
        raise UsageError("expected --overlap in [0, 1] and --compression of at least 1")
    network = Network(arguments.latency, arguments.bandwidth, arguments.overlap)
    if arguments.measure:
        group = init()
        network = ping_pong(group, arguments.overlap)
        if group.rank:  # the first one has the machine to itself, and prints
            return 0
    compute, fixed = arguments.step, 0.0
    if compute is None:
        compute, fixed = measured(sizes, arguments.batch_size)
    bytes_of = [4.0 * (a + 1) * b for a, b in pairwise(sizes)]
    step = Step(compute, sum(bytes_of), len(bytes_of), 0, bytes_of[0], fixed)
    how = {
        "weak": arguments.weak,
        "compression": arguments.compression,
        "local_steps": arguments.local_steps,
    }
    source = "given" if arguments.step else "measured here"
    print(f"step       {compute * 1e3:.3g} ms on one node ({source}), batch {arguments.batch_size}")
    print(f"gradients  {step.bytes / 1e6:.3g} MB in {step.buckets} exchanges")
    print(
        f"network    {network.bandwidth / 1e9:.3g} GB/s, {network.latency * 1e6:.3g} us a message"
        + (" (measured here)" if arguments.measure else "")
    )
    print()
    print(f"{'nodes':>9} {'compute':>10} {'exchange':>10} {'hidden':>10} {'step':>10}"
          f" {'speedup':>9} {'efficiency':>11}")  # fmt: skip
    for n in arguments.nodes:
        found = predict(step, network, n, **how)
        times = (found.compute, found.exchange, found.hidden, found.seconds)
        columns = " ".join(f"{shown(seconds):>10}" for seconds in times)
        print(f"{n:>9,} {columns} {found.speedup:>9.3g} {100 * found.efficiency:>9.1f} %")
    print()
    print(f"pays to    {pays_up_to(step, network, **how):,} nodes: beyond, under half of each")
    return 0


def measured(sizes: list[int], batch: int) -> tuple[float, float]:
    """Return the seconds of a training step of a multilayer perceptron here, and of these what does
    not depend on the rows, from a step of half of them: medians of some.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimizer = AdamW(model.parameters())
    parts = [max(1, batch // 2), batch]
    batches = [(randn(rows, sizes[0]), randint(0, sizes[-1], (rows,))) for rows in parts]
    times: list[list[float]] = [[], []]
    for number in range(2 + STEPS):
        for taken, (x, y) in zip(times, batches, strict=True):
            begun = time.perf_counter()
            loss = cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if number >= 2:
                taken.append(time.perf_counter() - begun)
    half, whole = map(median, times)
    return whole, min(whole, max(0.0, 2 * half - whole)) if batch > 1 else 0.0


def shown(seconds: float) -> str:
    """Return seconds in the unit that suits them.

    >>> shown(0.0123), shown(0.0)
    ('12.3 ms', '0 s')
    """
    for unit, size in SECONDS.items():
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return "0 s"


def nodes(text: str) -> list[int]:
    """Return the powers of two between two numbers, and both.

    >>> nodes("1..10")
    [1, 2, 4, 8, 10]
    """
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    first, last = (0, 0) if found is None else (int(found[1]), int(found[2] or found[1]))
    if not 1 <= first <= last:
        raise argparse.ArgumentTypeError(f"expected nodes as 1..1024, got {text!r}")
    powers = {2**k for k in range(math.ceil(math.log2(last)) + 1)}
    return sorted({first, last, *(n for n in powers if first <= n <= last)})


def quantity(text: str, pattern: str, what: str) -> re.Match[str]:
    """Return the parts of a number with a unit.

    Raises: ArgumentTypeError for anything else.
    """
    found = re.fullmatch(pattern, text.strip().lower())
    if found is None or not float(found[1]) > 0:
        raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
    return found


def bandwidth(text: str) -> float:
    """Return bytes a second.

    >>> bandwidth("10Gbit"), bandwidth("1.5GB")
    (1250000000.0, 1500000000.0)
    """
    found = quantity(text, r"([\d.]+)\s*([kmgt]?)(bit|b)(?:/s|ps)?", "a bandwidth as 10Gbit or 1GB")
    return float(found[1]) * UNITS[found[2]] / (8 if found[3] == "bit" else 1)


def duration(text: str) -> float:
    """Return seconds.

    >>> duration("20us"), duration("0.5s")
    (2e-05, 0.5)
    """
    found = quantity(text, r"([\d.]+)\s*(s|ms|us|ns)", "a time as 20us or 5ms")
    return float(found[1] + POWERS[found[2]])  # to the nearest number, as it is written
