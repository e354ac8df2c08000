"""`python -m benchmarks.distributed`: training steps on one rank beside several, one thread each.

The step is that of an MLP, (784, 1024, 1024, 10) on 1,024 rows in all by default: forward, loss,
backward and AdamW.  In one job of all ranks three ways take turns, a few steps each: rank 0 alone
on the whole batch, and on half of it, while the others sleep; all ranks, which exchange gradients
during the sweep; all ranks, which exchange them after it.  Figures are medians over the rounds of
medians over the steps of a turn; a speedup is that of two turns of one round.

waited: for sums of gradients, and for the other ranks with them, by rank 0, with overlap.
predicted: by `minigrad.distributed.cost_model`, without any overlap, from the steps alone, and
latency and bandwidth of messages between two ranks; of more ranks than cores (marked *), whose
compute takes turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import minigrad as mg
from minigrad.distributed.cost_model import Network, Step, predict
from minigrad.distributed.exchange import pending
from minigrad.distributed.measuring import ping_pong

MODEL, BATCH = (784, 1024, 1024, 10), 1024
WAYS = ("alone", "half", "overlap", "after")
ALONE = ("alone", "half")  # the whole batch, and half of it
TURN, WARM = 5, 5  # steps of one way before those of the next, and before all


def child(sizes: tuple[int, ...], batch: int, rounds: int, capture: bool) -> dict[str, Any]:
    """Train some steps as a rank; return what each turn took."""
    group = mg.distributed.init()
    ways = {
        "alone": way(sizes, batch, "alone", capture),
        "half": way(sizes, batch // 2, "alone", capture),
        "overlap": way(sizes, batch // group.size, "overlap", capture),
        "after": way(sizes, batch // group.size, "after", capture),
    }
    found: dict[str, Any] = {name: {"step": [], "waited": []} for name in ways}
    for number in range(-1, rounds):
        for name, (gradients, step, _) in ways.items():
            times: list[tuple[float, float]] = []
            for _ in range(TURN if number >= 0 else WARM):
                if name in ALONE and group.rank:
                    break
                if name not in ALONE:
                    mg.distributed.barrier()
                pending.reset()
                begun = time.perf_counter()
                gradients()
                step()
                times.append((time.perf_counter() - begun, pending.exposed))
            if name in ALONE:
                sleep_until_all_come(group)
            if number >= 0 and times:
                for key, values in zip(found[name], zip(*times, strict=True), strict=True):
                    found[name][key].append(median(values))
    sizes_of = [p.array.nbytes for p in ways["overlap"][2].parameters()]
    network = ping_pong(group)
    return {**found, "bytes": sum(sizes_of), "network": [network.latency, network.bandwidth]}


def way(
    sizes: tuple[int, ...], rows: int, name: str, capture: bool
) -> tuple[Callable[[], Any], Callable[[], Any], mg.nn.Module]:
    """Return what computes gradients, what steps the optimizer, and the model."""
    mg.manual_seed(0)
    layers: list[Any] = []
    for n_in, n_out in pairwise(sizes):
        layers += [mg.nn.Linear(n_in, n_out), mg.nn.ReLU()]
    module = mg.nn.Sequential(*layers[:-1])
    model = module if name == "alone" else mg.distributed.DataParallel(module)
    optimizer = mg.optim.AdamW(model.parameters())
    x, y = mg.randn(rows, sizes[0]), mg.randint(0, sizes[-1], (rows,))

    def backward() -> None:
        optimizer.zero_grad()
        mg.nn.functional.cross_entropy(model(x), y).backward()

    def after() -> None:
        with model.no_sync():
            backward()
        model._reducer.exchange()

    gradients, step = after if name == "after" else backward, optimizer.step
    if capture:
        return mg.capture(gradients), mg.capture(step), model
    return gradients, step, model


def sleep_until_all_come(group: Any) -> None:
    """Wait for the other ranks without taking a core from them."""
    request = group.comm.Ibarrier()
    while not request.Test():
        time.sleep(0.002)


def run(ranks: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a job of so many ranks of one thread each; return what its first rank has found."""
    here = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(here) if here.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise SystemExit("benchmarks.distributed: no mpiexec; pip install 'minigrad[mpi]'")
    bound = ["--bind-to", arguments.bind_to] if arguments.bind_to else []
    command = [mpiexec, "-n", str(ranks), "--oversubscribe", *bound]
    command += [sys.executable, "-m", "benchmarks.distributed", "--child"]
    command += ["--model", ",".join(map(str, arguments.model)), "--rounds", str(arguments.rounds)]
    command += ["--batch-size", str(arguments.batch_size)]
    command += ["--capture"] if arguments.capture else []
    settings = {
        "NUMBA_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_btl": "self,sm",
    }
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"benchmarks.distributed: {ranks} ranks failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def integers(text: str) -> tuple[int, ...]:
    """Return the whole numbers between commas."""
    return tuple(int(part) for part in text.split(","))


def processor() -> str:
    """Return the processor's name and how many of its cores this process may use."""
    name, known = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else name}, {len(os.sched_getaffinity(0))} cores"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON where --out says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed")
    add = parser.add_argument
    add("--ranks", type=integers, default=(2,), metavar="N,N", help="of each job (2)")
    add("--model", type=integers, default=MODEL, metavar="N,N", help="sizes of layers")
    add("--batch-size", type=int, default=BATCH, metavar="N", help="rows of all ranks (1024)")
    add("--rounds", type=int, default=20, metavar="N", help=f"of {TURN} steps each way (20)")
    add("--capture", action="store_true", help="capture the steps, as a Trainer does")
    add("--bind-to", metavar="X", help="of mpiexec: core, none")
    add("--out", type=Path, metavar="FILE")
    add("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.child:
        how = arguments.model, arguments.batch_size, arguments.rounds, arguments.capture
        found = child(*how)
        if mg.distributed.is_first():
            print(json.dumps(found))
        return 0
    print(f"{processor()}; model {arguments.model}, {arguments.batch_size} rows, ms")
    runs = {}
    for ranks in arguments.ranks:
        runs[ranks] = run(ranks, arguments)
        columns = row(ranks, runs[ranks], len(os.sched_getaffinity(0)))
        if len(runs) == 1:
            print("".join(f"{name:>10}" for name in columns))
        print("".join(f"{value:>10}" for value in columns.values()), flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(runs, indent=1))
    return 0


def row(ranks: int, found: dict[str, Any], cores: int) -> dict[str, str]:
    """Return what was measured, beside what is predicted."""
    ms = {way: 1e3 * median(found[way]["step"]) for way in WAYS}
    fixed = max(0.0, 2 * ms["half"] - ms["alone"])
    pairs = zip(found["alone"]["step"], found["overlap"]["step"], strict=True)
    speedups = sorted(one / many for one, many in pairs)
    quarter = len(speedups) // 4
    latency, bandwidth = found["network"]
    stretch = max(1.0, ranks / cores)
    compute = Step(ms["alone"] * stretch, found["bytes"], 3, fixed=fixed * stretch)
    predicted = predict(compute, Network(latency * 1e3, bandwidth / 1e3, 0.0), ranks).seconds
    return {
        "ranks": f"{ranks}{'*' if ranks > cores else ''}",
        **{name: f"{value:.2f}" for name, value in ms.items()},
        "speedup": f"{median(speedups):.2f}",
        "quartiles": f"{speedups[quarter]:.2f}-{speedups[-1 - quarter]:.2f}",
        "predicted": f"{predicted:.2f}",
        "off": f"{100 * (predicted / ms['overlap'] - 1):+.0f} %",
        "waited": f"{1e3 * median(found['overlap']['waited']):.2f}",
        "us": f"{latency * 1e6:.2f}",
        "GB/s": f"{bandwidth / 1e9:.2f}",
    }


if __name__ == "__main__":
    raise SystemExit(main())
