"""`python -m benchmarks.distributed`: one rank of one thread beside two, on one training step.

The step is that of an MLP (784, 1024, 1024, 10) on 1,024 rows in all, forward, loss, backward and
AdamW.  Runs of one rank and of several come in turns; each is a process, or a job, of its own, and
its figure is the median of its steps.  Exchange: what all sums of gradients took from their begin
until they were waited for (hidden behind compute), and then (exposed).  The prediction is that of
`minigrad scale`, from the latency and the bandwidth of sums that are measured beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.distributed.collectives import begin
from minigrad.distributed.cost_model import Network, Step, predict
from minigrad.distributed.exchange import pending
from minigrad.distributed.group import current

SIZES, BATCH = (784, 1024, 1024, 10), 1024


def child(steps: int) -> dict[str, Any]:
    """Train some steps as a rank; return the medians."""
    group = mg.distributed.init()
    mg.manual_seed(0)
    layers: list[Any] = []
    for n_in, n_out in pairwise(SIZES):
        layers += [mg.nn.Linear(n_in, n_out), mg.nn.ReLU()]
    model = mg.distributed.DataParallel(mg.nn.Sequential(*layers[:-1]))
    optimizer = mg.optim.AdamW(model.parameters())
    rows = BATCH // group.size
    x, y = mg.randn(rows, SIZES[0]), mg.randint(0, SIZES[-1], (rows,))
    times, loss = [], mg.zeros(1)
    for number in range(3 + steps):
        if number == 3:
            pending.reset()
        begun = time.perf_counter()
        loss = mg.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - begun)
    found = {
        "step": median(times[3:]),
        "hidden": pending.hidden / steps,
        "exposed": pending.exposed / steps,
        "bytes": pending.bytes / steps,
        "loss": loss.item(),
    }
    if current.group.comm is not None:
        for name, size, count in (("small", 1, 200), ("large", 1 << 20, 10)):
            values, taken = np.zeros(size), []
            for _ in range(count):
                mg.distributed.barrier()
                begun = time.perf_counter()
                current.group.wait(begin(current.group, values), "a measurement")
                taken.append(time.perf_counter() - begun)
            found[name] = median(taken)
        found["large_bytes"] = 8 << 20
    return found


def run(ranks: int, steps: int) -> dict[str, Any]:
    """Run a job of so many ranks of one thread each; return what its first rank has found."""
    here = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(here) if here.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise SystemExit("benchmarks.distributed: no mpiexec; pip install 'minigrad[mpi]'")
    launcher = [] if ranks == 1 else [mpiexec, "-n", str(ranks), "--oversubscribe"]
    command = [*launcher, sys.executable, "-m", "benchmarks.distributed", "--child", str(steps)]
    settings = {
        "NUMBA_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_btl": "self,sm",
    }
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON where --out says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed")
    parser.add_argument("--ranks", type=int, default=2, metavar="N")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of a run (20)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.child is not None:
        found = child(arguments.child)
        if mg.distributed.is_first():
            print(json.dumps(found))
        return 0
    alone, together = [], []
    for _ in range(arguments.rounds):
        alone.append(run(1, arguments.steps))
        together.append(run(arguments.ranks, arguments.steps))
    one = median(found["step"] for found in alone)
    many = {name: median(found[name] for found in together) for name in together[0]}
    messages = 2  # in a row, of a sum over two ranks
    network = Network(many["small"] / messages, many["large_bytes"] / many["large"], 0.0)
    step = Step(one, many["bytes"], 4)
    predicted = predict(step, network, arguments.ranks)
    rows = {
        "one rank, ms": one * 1e3,
        f"{arguments.ranks} ranks, ms": many["step"] * 1e3,
        "speedup": one / many["step"],
        "predicted, ms": predicted.seconds * 1e3,
        "exchange hidden, ms": many["hidden"] * 1e3,
        "exchange exposed, ms": many["exposed"] * 1e3,
        "MB exchanged": many["bytes"] / 1e6,
        "a small sum, us": many["small"] * 1e6,
        "a sum of 8 MiB, ms": many["large"] * 1e3,
    }
    for name, value in rows.items():
        print(f"{name:<22} {value:>10.3f}")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps({"figures": rows, "runs": [alone, together]}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
