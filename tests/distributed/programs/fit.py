"""Fit with a Trainer: `fit.py '{"accumulate": 1, ...}'`; print each step, and the result as JSON.

options: accumulate; folder and resume, of checkpoints at every step, or every so many; epochs;
patience of early stopping; pids, to print them.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np

import minigrad as mg
from minigrad.train import (
    F1,
    Callback,
    EarlyStopping,
    GradientClipping,
    ModelCheckpoint,
    Progress,
    ScheduleLR,
    StopOnNonFinite,
    Trainer,
    accuracy,
)


def share_right(output: mg.Tensor, target: mg.Tensor) -> float:
    """Say nothing of the rows that it is a mean over."""
    return float((output.argmax(1) == target).double().mean())


class Steps(Callback):
    """Print the steps that are done, and where a fit goes on."""

    first_rank_only = True

    def on_resume(self, trainer: Trainer) -> None:
        print("resumed", trainer.step, flush=True)

    def on_step_end(self, trainer: Trainer) -> None:
        print("step", trainer.step, flush=True)


group = mg.distributed.init(timeout=120)
options = json.loads(sys.argv[1])
if options.get("pids"):
    pids: list[int] = [0] * group.size
    mg.distributed.all_gather_object(pids, os.getpid())
    if group.rank == 0:
        print("pids", *pids, flush=True)
mg.set_default_dtype(mg.float64)
mg.manual_seed(3)
rng = np.random.default_rng(0)
x = rng.normal(size=(126, 12))
y = (x @ rng.normal(size=(12, 4))).argmax(1)
train = mg.data.TensorDataset(x[:99], y[:99])  # a last batch of 3 rows: fewer than ranks
validation = mg.data.TensorDataset(x[99:], y[99:])
model = mg.nn.Sequential(
    mg.nn.Linear(12, 17, bias=False),
    mg.nn.BatchNorm1d(17),
    mg.nn.ReLU(),
    mg.nn.Dropout(0.3),
    mg.nn.Linear(17, 4),
)
optimizer = mg.optim.AdamW(model.parameters(), lr=1e-2)
plateau = mg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
callbacks = [StopOnNonFinite(), GradientClipping(max_norm=1.0), ScheduleLR(plateau)]
callbacks += [EarlyStopping(patience=options.get("patience", 3)), Progress(sys.stderr)]
if "folder" in options:
    callbacks += [ModelCheckpoint(options["folder"], every_steps=options.get("every", 1)), Steps()]
loss = mg.nn.CrossEntropyLoss(weight=mg.tensor([1.0, 2.0, 3.0, 1.0]))
trainer = Trainer(
    model,
    optimizer,
    loss,
    metrics={"accuracy": accuracy, "share_right": share_right, "f1": F1()},
    callbacks=callbacks,
    accumulate=options.get("accumulate", 1),
    doctor=False,
)
history = trainer.fit(
    mg.data.DataLoader(train, 16, shuffle=True),
    mg.data.DataLoader(validation, 10),
    epochs=options.get("epochs", 4),
    resume=options.get("resume"),
)
rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]
scores = trainer.evaluate([(mg.from_numpy(x[99:]), mg.from_numpy(y[99:]))])
if mg.distributed.is_first():
    print("result", json.dumps([rows, scores, history.stop_reason]))
