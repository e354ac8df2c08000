"""What the doctor costs: fits with and without it, in turns, in one process.

`python -m benchmarks.doctor` prints milliseconds a step for two lengths of a fit whose step takes
about 1 ms (an MLP of 256, 384, 384 and 10 units, batches of 64).
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn, optim

ROWS, BATCH, WIDTH = 3200, 64, 384


def rows() -> Any:
    """Return rows and classes that can be learnt."""
    x = np.random.default_rng(0).normal(size=(ROWS, 256)).astype(np.float32)
    return mg.data.TensorDataset(x, x[:, :10].argmax(1))


def fit(doctor: Any, data: Any, epochs: int) -> float:
    """Return the milliseconds that a step of a fit takes."""
    _ = mg.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(256, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)
    )
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    loader = mg.data.DataLoader(data, BATCH, shuffle=True)
    trainer = mg.Trainer(model, optimizer, doctor=doctor)
    started = time.perf_counter()
    trainer.fit(loader, epochs=epochs)
    return 1e3 * (time.perf_counter() - started) / (epochs * len(loader))


def main() -> None:
    """Time fits in turns; print the medians and the median of the pairs' ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, nargs="+", default=[4, 20])
    arguments = parser.parse_args()
    data = rows()
    for doctor in ("collect", False):
        fit(doctor, data, 2)
    print("| steps of the fit | without | with the doctor | more |\n| ---: | ---: | ---: | ---: |")
    for epochs in arguments.epochs:
        off, on = [], []
        for turn in range(arguments.rounds):
            for doctor in (False, "collect") if turn % 2 else ("collect", False):
                (on if doctor else off).append(fit(doctor, data, epochs))
        more = statistics.median(b / a - 1 for a, b in zip(off, on, strict=True))
        steps = epochs * -(-ROWS // BATCH)
        print(
            f"| {steps:,} | {statistics.median(off):.3f} ms | {statistics.median(on):.3f} ms "
            f"| {100 * more:.1f} % (least times: {100 * (min(on) / min(off) - 1):.1f} %) |"
        )


if __name__ == "__main__":
    main()
