"""Captured training steps on several ranks have the bits of eager ones, whichever rank replays."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.distributed.collectives import objects
from minigrad.train import Progress, Trainer

group = mg.distributed.init(timeout=120)
rng = np.random.default_rng(0)
X = rng.normal(size=(203, 12)).astype(np.float32)
Y = (X @ rng.normal(size=(12, 4))).argmax(1)


def made() -> mg.nn.Module:
    mg.manual_seed(3)
    width = 17
    return mg.nn.Sequential(
        mg.nn.Linear(12, width),
        mg.nn.BatchNorm1d(width),
        mg.nn.ReLU(),
        mg.nn.Dropout(0.3),
        mg.nn.Linear(width, 4),
    )


def bits(model: mg.nn.Module) -> str:
    """Return a hash of all weights and statistics, of all ranks."""
    state = [t.array.tobytes() for t in (*model.parameters(), *model.buffers())]
    return str(objects(hashlib.sha256(b"".join(state)).hexdigest()))


def fit(capture: bool, accumulate: int) -> tuple[str, float, str]:
    """Fit with a Trainer; Progress, the only callback, is the first rank's alone."""
    model = made()
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-2)
    options = {"accumulate": accumulate, "capture": capture, "callbacks": [Progress(sys.stderr)]}
    trainer = Trainer(model, optimizer, **options)
    loader = mg.data.DataLoader(mg.data.TensorDataset(X, Y), 16, shuffle=True)
    history = trainer.fit(loader, epochs=15)
    return bits(model), history.last["loss"], trainer.explain()


for accumulate in (1, 2):
    eager, one, _ = fit(False, accumulate)
    replayed, other, how = fit(True, accumulate)
    mixed, third, _ = fit(group.rank == 1, accumulate)  # one rank replays, the others do not
    assert eager == replayed == mixed and one == other == third, (eager, replayed, mixed)
    assert "backward_of_part" in how and " 0 replayed" not in how.splitlines()[0], how


def loop(capture: bool, synchronised: bool) -> tuple[str, Any]:
    """Train in a loop of one's own; parameters are frozen and thawed on the way."""
    model = mg.distributed.DataParallel(made(), sync_batch_norm=synchronised)
    optimizer = mg.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)

    def backward(x: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
        loss = mg.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss.detach()

    step: Any = mg.capture(backward) if capture else backward
    for number in range(12):
        model.module[0].bias.requires_grad_(number < 8)
        first = 8 * (number % 5) + 4 * group.rank
        x, y = mg.from_numpy(X[first : first + 4]), mg.from_numpy(Y[first : first + 4])
        optimizer.zero_grad()
        if number % 4 == 3:
            with model.no_sync():
                step(x, y)
        step(x, y)
        optimizer.step()
    return bits(model), step


for synchronised in (True, False):
    eager = loop(False, synchronised)[0]
    replayed, step = loop(True, synchronised)
    assert eager == replayed == loop(group.rank == 0, synchronised)[0], synchronised
    assert step.calls["replayed"] >= 2, step.explain()

# Sums begin where they began, between products, and end after the last of these.
wide = [mg.nn.Linear(12, 300), mg.nn.ReLU(), mg.nn.Linear(300, 300), mg.nn.Linear(300, 4)]
deep = mg.distributed.DataParallel(mg.nn.Sequential(*wide))


@mg.capture
def deep_step(x: mg.Tensor) -> None:
    deep.zero_grad()
    deep(x).square().mean().backward()


for _ in range(4):
    deep_step(mg.ones(8, 12))
names = [launch.kernel for launch in deep_step.programs[0]]
begun = [i for i, name in enumerate(names) if name == "exchange_begin"]
ended = [i for i, name in enumerate(names) if name == "exchange_end"]
products = [i for i, name in enumerate(names) if "gemm" in name]
assert len(begun) == len(ended) == 3, names
assert begun[0] < products[-1] < ended[0], names

if mg.distributed.is_first():
    print("all well")
