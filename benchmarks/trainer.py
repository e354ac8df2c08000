"""A step of the Trainer beside the same step in a bare loop, and what makes batches ahead.

`python -m benchmarks.trainer`: steps of about 0.3 ms and 1 ms, captured in both, on one thread, in
turn in one process, the best epoch of each; then with what does something at every step; then a
loader with and without `prefetch`: of rows in memory, that wait, and that are unpacked.
"""

from __future__ import annotations

import statistics
import time
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.data import DataLoader, Dataset, TensorDataset
from minigrad.train import (
    EMA,
    Callback,
    GradientMonitor,
    LearningRateMonitor,
    StopOnNonFinite,
    Trainer,
    accuracy,
)

# Batch, width and depth of networks whose captured steps take about so many milliseconds.
SIZES = {"0.3 ms": (64, 128, 2), "1 ms": (128, 192, 3)}
STEPS = 150
ROUNDS = 11
FEATURES, CLASSES = 64, 10
F = nn.functional


def network(width: int, depth: int) -> nn.Module:
    """Return an MLP with batch-norm and dropout."""
    layers: list[nn.Module] = []
    for i in range(depth):
        wide = width if i else FEATURES
        layers += [nn.Linear(wide, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


def parts(size: str) -> tuple[Any, Any, Any]:
    """Return model, optimizer and loader."""
    batch, width, depth = SIZES[size]
    _ = mg.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch * STEPS, FEATURES)).astype(np.float32)
    y = rng.integers(0, CLASSES, batch * STEPS)
    model = network(width, depth)
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-3)
    return model, optimizer, DataLoader(TensorDataset(x, y), batch, shuffle=True)


def bare(size: str) -> Callable[[], float]:
    """Return an epoch of the bare loop: the same loader, capture and losses, read at its end."""
    model, optimizer, loader = parts(size)

    @mg.capture
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    def epoch() -> float:
        losses = []
        started = time.perf_counter()
        for x, y in loader:
            losses.append(step(x, y))
        np.mean([loss.item() for loss in losses])
        return (time.perf_counter() - started) / STEPS

    return epoch


class Fits:
    """Epochs of one long fit, one at each call: what is captured stays."""

    def __init__(self, size: str, callbacks: tuple[Callback, ...] = (), **options: Any) -> None:
        model, optimizer, loader = parts(size)
        options = {"doctor": False, **options}
        self.trainer = Trainer(model, optimizer, callbacks=[*callbacks], **options)
        self.loader = loader
        self.seconds: list[float] = []

    def run(self, epochs: int, before: Callable[[], Any]) -> list[float]:
        """Return the seconds a step of each epoch; `before` runs before each."""
        own = self.seconds

        class Each(Callback):
            order = 2000

            def on_fit_begin(self, trainer: Any) -> None:
                before()

            def on_epoch_begin(self, trainer: Any) -> None:
                self.started = time.perf_counter()

            def on_epoch_end(self, trainer: Any) -> None:
                own.append((time.perf_counter() - self.started) / STEPS)
                before()

        self.trainer.callbacks.append(Each())
        self.trainer.fit(self.loader, epochs=epochs)
        return own


def against_the_bare_loop(size: str, callbacks: tuple[Callback, ...] = (), **options: Any) -> str:
    """Return the line of one comparison: epochs of both in turn, the first two of each left out."""
    loop = bare(size)
    ours: list[float] = []
    fits = Fits(size, callbacks, **options)
    theirs = fits.run(ROUNDS + 2, lambda: ours.append(loop()))
    (a, a_mid), (b, b_mid) = ((min(t), statistics.median(t)) for t in (ours[2:-1], theirs[2:]))
    return (
        f"bare {1e3 * a:.3f} ms, trainer {1e3 * b:.3f} ms a step: {100 * (b / a - 1):+.1f} % "
        f"(of the medians {100 * (b_mid / a_mid - 1):+.1f} %)"
    )


class InMemory(Dataset):
    """Rows of an array, read one by one."""

    data = np.random.default_rng(0).standard_normal((2000, FEATURES)).astype(np.float32)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.data[index], index % CLASSES


class Waiting(InMemory):
    """Rows that a disk or a network gives after 50 us."""

    def __getitem__(self, index: int) -> Any:
        time.sleep(5e-5)
        return super().__getitem__(index)


class Blocks(InMemory):
    """Batches that a disk or a network gives after 3 ms, each as a whole."""

    def fetch(self, indices: Any) -> Any:
        time.sleep(3e-3)
        return mg.Tensor(self.data[indices]), mg.Tensor(indices % CLASSES)


class Packed(InMemory):
    """Rows of 16 KiB that are unpacked, which lets go of Python's lock."""

    packed = zlib.compress(np.random.default_rng(0).integers(0, 99, 16384, np.uint8).tobytes())

    def __getitem__(self, index: int) -> Any:
        zlib.decompress(self.packed)
        return super().__getitem__(index)


def prefetching(data: Dataset) -> str:
    """Return the line of a loader with and without batches made ahead."""
    _, width, depth = SIZES["1 ms"]
    model = network(width, depth)
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-3)

    @mg.capture
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    found: dict[int, list[float]] = {0: [], 2: []}
    for turn in range(5):
        for prefetch, times in found.items():
            loader = DataLoader(data, 100, prefetch=prefetch)
            started = time.perf_counter()
            for x, y in loader:
                step(x, y)
            if turn:
                times.append((time.perf_counter() - started) / len(loader))
    plain, made_ahead = (1e3 * statistics.median(times) for times in found.values())
    return f"{plain:.2f} ms a step, {made_ahead:.2f} ms with prefetch=2"


def main() -> None:
    """Print all figures."""
    mg.set_num_threads(1)
    warnings.simplefilter("ignore")  # the doctor's
    for size in SIZES:
        print(f"step of about {size}: {against_the_bare_loop(size)}")
    size = "1 ms"
    print(f"  with accuracy: {against_the_bare_loop(size, metrics=[accuracy])}")
    print(f"  with the doctor: {against_the_bare_loop(size, doctor=True)}")
    watching = StopOnNonFinite(), LearningRateMonitor(), GradientMonitor(), EMA()
    for callback in watching:
        print(f"  with {callback!r}: {against_the_bare_loop(size, (callback,))}")
    for data in (InMemory(), Blocks(), Waiting(), Packed()):
        print(f"{type(data).__name__} rows: {prefetching(data)}")


if __name__ == "__main__":
    main()
