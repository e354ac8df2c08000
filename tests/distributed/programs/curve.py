"""Train 200 steps on one global batch after another; print each step's global loss as JSON."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

import minigrad as mg
from minigrad.distributed.collectives import objects

STEPS, BATCH, ROWS = 200, 48, 480


def train(dtype: str) -> dict[str, object]:
    """Return the losses, and a hash of the weights in the end, which is that of all ranks."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 20)).astype(dtype)
    y = (x @ rng.normal(size=(20, 5))).argmax(1)
    mg.set_default_dtype(getattr(mg, dtype))
    mg.manual_seed(0)
    model = mg.distributed.DataParallel(
        mg.nn.Sequential(
            mg.nn.Linear(20, 63, bias=False),  # rows of masks that are no multiple of four words
            mg.nn.BatchNorm1d(63),
            mg.nn.ReLU(),
            mg.nn.Dropout(0.3),
            mg.nn.Linear(63, 5),
        )
    )
    loader = mg.data.DataLoader(mg.data.TensorDataset(x, y), BATCH, shuffle=True, shard=True)
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    while len(losses) < STEPS:
        for rows, classes in loader:
            loss = mg.nn.functional.cross_entropy(model(rows), classes)
            optimizer.zero_grad()
            loss.backward()
            mg.optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            whole = loss.detach().clone().double()
            mg.distributed.all_reduce(whole, "avg")
            losses.append(whole.item())
    state = [t.array.tobytes() for t in (*model.parameters(), *model.buffers())]
    found = objects(hashlib.sha256(b"".join(state)).hexdigest())
    assert len(set(found)) == 1, "the ranks have different weights"
    return {"losses": losses, "weights": found[0]}


mg.distributed.init()
answer = {dtype: train(dtype) for dtype in sys.argv[1:]}
if mg.distributed.is_first():
    print(json.dumps(answer))
