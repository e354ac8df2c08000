"""What a checkpoint after every epoch costs a fit: the recipe with one, without, and with at most
one a second.

A checkpoint is of the whole run: weights, AdamW's two moments, the best weights of early stopping,
random streams and history; hashed, written, and on the disk before the fit goes on.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.harness import Benchmark, agree, ours
from minigrad.train import ModelCheckpoint
from minigrad_kernels.compare.timing import Case, Pace

EPOCHS = 4  # of a fit, which is one call
# Rows, inputs, hidden layers, classes, batch.
SIZES = ((1_257, 64, (256, 128), 10, 32), (20_000, 64, (256, 128), 10, 128))
QUICK_SIZES = ((96, 4, (8,), 3, 32),)


def data(rows: int, inputs: int, classes: int) -> tuple[Any, Any]:
    """Return training and validation rows with something to learn in them."""
    rng = np.random.default_rng(0)
    y = rng.integers(classes, size=rows)
    x = rng.standard_normal((rows, inputs), np.float32) + np.eye(classes, inputs)[y]
    x = x.astype(np.float32)
    fifth = rows // 5
    return mg.data.TensorDataset(x, y), mg.data.TensorDataset(x[:fifth], y[:fifth])


def fit(size: Any, seconds: float | None, epochs: int = EPOCHS) -> Callable[[], Any]:
    """Return a fit of some epochs; seconds: between checkpoints, None for no checkpoint."""
    rows, inputs, hidden, classes, batch = size
    train, validation = data(rows, inputs, classes)
    mg.manual_seed(0)
    built = mg.recipe(inputs, classes, hidden, doctor=False)

    def call() -> Any:
        folder = Path(tempfile.mkdtemp())
        callbacks = [] if seconds is None else [ModelCheckpoint(folder, min_seconds=seconds)]
        try:
            built.fit(train, validation, epochs=epochs, batch_size=batch, callbacks=callbacks)
        finally:
            shutil.rmtree(folder)
        return [p.detach().numpy() for p in built.model.parameters()]

    return call


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Check that a checkpoint changes nothing, then yield each size; the times are of an epoch."""
    for size in QUICK_SIZES if quick else SIZES:
        rows, inputs, hidden, classes, batch = size
        wanted = fit(size, None, 2)()
        for got, expected in zip(fit(size, 0.0, 2)(), wanted, strict=True):
            agree("weights of a fit with checkpoints", got, expected, rtol=0.0)
        candidates = ours(partial(fit, size, None), "", (1,))
        candidates += ours(partial(fit, size, 0.0), "checkpoint each epoch", (1,))
        candidates += ours(partial(fit, size, 1.0), "checkpoint each second", (1,))
        widths = "-".join(map(str, (inputs, *hidden, classes)))
        yield Case(f"{rows:,} rows, {widths}, batch {batch}", candidates, parts=EPOCHS)


BENCHMARK = Benchmark(
    "checkpoint",
    "An epoch of the recipe with checkpoints of the whole run",
    (),
    cases,
    "ms",
    pace=Pace(rounds=7, block=0.1, warmups=1, pause=0.2),
)
