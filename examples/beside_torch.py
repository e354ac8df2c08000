"""A training step beside PyTorch's, for the examples' `--vs torch`: no example of its own.

The same lines run for both frameworks, from the same weights, on the same batches in the same
order.  Their first losses are held together before anything is timed.
"""

from __future__ import annotations

import importlib
import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad_kernels.compare.timing import OURS, Case, Pace, Timing, on_threads, time_case

CHECKED_STEPS = 4
READY = 6  # calls until all that a captured or compiled step prepares is there
FULL, SMALL = Pace(rounds=5, block=1.0), Pace(1, 0.0, 0, 0.0)


@dataclass(frozen=True)
class Steps:
    """How models are trained while they are timed.

    data: rows and their classes.  batch: rows of a step.  optimizer: the name of a class that both
        frameworks have, made with `options`; PyTorch's fused one is timed too.
    """

    data: mg.data.TensorDataset
    batch: int
    optimizer: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def of(
        self,
        framework: Any,
        model: Any,
        whole: Callable[[Any], Any] = lambda step: step,
        **options: Any,
    ) -> Callable[[], Any]:
        """Return a call that trains on the next batch and returns its loss.

        whole: what becomes of the step, a function of a batch.
        """
        kind = getattr(framework.optim, self.optimizer)
        optimizer = kind(model.parameters(), **self.options, **options)
        cross_entropy = framework.nn.functional.cross_entropy
        order: dict[str, Any] = {"shuffle": True, "generator": mg.Generator(0)}
        loader = mg.data.DataLoader(self.data, self.batch, drop_last=True, **order)
        batches = itertools.chain.from_iterable(itertools.repeat(loader))

        def step(x: Any, target: Any) -> Any:
            loss = cross_entropy(model(x), target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss.detach()

        run = whole(step)
        return lambda: run(*(framework.from_numpy(tensor.numpy()) for tensor in next(batches)))


def timed(name: str, build: Callable[[Any], Any], steps: Steps, pace: Pace) -> list[Timing]:
    """Hold both frameworks' first losses together, then time their steps.

    build: makes the model of a framework's `nn`.

    Raises: AssertionError where the losses differ.
    """
    torch = importlib.import_module("torch")
    weights = {key: value.numpy() for key, value in build(mg.nn).state_dict().items()}

    def made(
        framework: Any, dropout: bool = True, calls: int = 0, **options: Any
    ) -> Callable[[], Any]:
        model = build(framework.nn)
        copies = {key: framework.from_numpy(value.copy()) for key, value in weights.items()}
        model.load_state_dict({**model.state_dict(), **copies})
        for module in model.modules():
            if isinstance(module, framework.nn.Dropout) and not dropout:
                module.p = 0.0  # no two frameworks draw the same masks
        step = steps.of(framework, model, **options)
        for _ in range(calls):
            step()
        return step

    ready: dict[int, Callable[[], Any]] = {}  # compiled steps, by the number of threads

    def compiled() -> Callable[[], Any]:
        number = torch.get_num_threads()
        if number not in ready:
            torch._dynamo.reset()  # it would take the step for a variant of the one before
            ready[number] = made(torch, calls=READY, whole=torch.compile, fused=True)
        return ready[number]

    captured = {"whole": mg.capture}
    checks = [made(mg, False), made(mg, False, **captured), made(torch, False)]
    *ours, theirs = ([step().item() for _ in range(CHECKED_STEPS)] for step in checks)
    for losses in ours:
        np.testing.assert_allclose(losses, theirs, rtol=1e-3, err_msg=f"{name}: the first losses")
    ways: list[tuple[Any, str, Callable[[], Any]]] = [
        (mg, "", partial(made, mg)),
        (mg, "captured", partial(made, mg, calls=READY, **captured)),
        (torch, "", partial(made, torch)),
        (torch, f"fused {steps.optimizer}", partial(made, torch, fused=True)),
    ]
    if shutil.which("g++") and pace is not SMALL:  # a compilation takes half a minute
        ways.append((torch, "compiled", compiled))
    candidates = []
    for framework, variant, way in ways:
        library = OURS if framework is mg else "torch"
        candidates += on_threads(library, framework.set_num_threads, way, variant, ())
    return time_case(Case(name, candidates), pace)


def table(title: str, script: str, timings: Sequence[Timing], steps: Steps) -> str:
    """Return the times in Markdown."""
    epoch = len(steps.data) // steps.batch
    lines = [
        f"# {title}: a training step",
        "",
        f"`python examples/{script}.py --vs torch --out DIR`: the next batch of {steps.batch}, "
        f"forward, backward, {steps.optimizer}; medians of blocks in turns, each at its best "
        f"thread count; an epoch has {epoch} steps.",
        "",
        "| model | framework | threads | ms a step | s an epoch | minigrad captured / it |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for t in timings:
        own = [o for o in timings if (o.case, o.library) == (t.case, OURS)]
        mine = next(o.median for o in own if "captured" in o.candidate)
        lines.append(
            f"| {t.case} | {t.candidate} | {t.threads} | {1e3 * t.median:.3g} "
            f"| {epoch * t.median:.2g} | {mine / t.median:.2f} |"
        )
    return "\n".join([*lines, ""])


def report(
    title: str,
    script: str,
    models: Mapping[str, Callable[[Any], Any]],
    steps: Steps,
    small: bool,
    out: Path | None,
) -> list[Timing]:
    """Time the steps of all models; print the table, and write it and its JSON to `out`."""
    pace = SMALL if small else FULL
    timings = [t for name, build in models.items() for t in timed(name, build, steps, pace)]
    text = table(title, script, timings, steps)
    print(text)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{script}_steps.md").write_text(text, encoding="utf-8")
        rows = json.dumps([asdict(t) for t in timings])
        (out / f"{script}_steps.json").write_text(f"{rows}\n", encoding="utf-8")
    return timings
