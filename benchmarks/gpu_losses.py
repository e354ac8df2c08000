"""The losses of a few steps of the demo's model: what a GPU's are held to.

As a program it prints those of the CPU; in plain mode nothing is compiled for them.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.nn import functional as F


def losses(
    device: str, steps: int, rows: int = 256, graph: bool = False
) -> tuple[list[float], float]:
    """Train the demo's model on one batch; return the losses and the median seconds of a step.

    graph: whether the step becomes a graph, on a GPU.
    """
    mg.manual_seed(0)
    split = mg.data.load_digits().split(seed=0)
    built = mg.recipe(64, 10, hidden=(256, 128))
    inputs, targets = (t[:rows] for t in split.train[:])
    if device != "cpu":
        built.model.to(device)
        inputs, targets = inputs.to(device), targets.to(device)

    def step(x: Any, t: Any) -> Any:
        loss = F.cross_entropy(built.model(x), t)
        loss.backward()
        built.optimizer.step()
        built.optimizer.zero_grad()
        return loss.detach()

    call = mg.cuda.graph(step) if graph else step
    found, spent = [], []
    for _ in range(steps):
        start = time.perf_counter()
        found.append(float(call(inputs, targets).item()))
        spent.append(time.perf_counter() - start)
    if graph and not call.calls["replayed"]:
        raise RuntimeError(call.explain())
    return found, float(np.median(spent))


if __name__ == "__main__":
    print(json.dumps(losses("cpu", int(sys.argv[1]))[0]))
