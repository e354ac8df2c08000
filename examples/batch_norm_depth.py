"""Batch normalization in a net of sigmoids: how fast it learns, and what a unit in it sees.

Three hidden layers of 100 sigmoids, weights drawn small from a Gaussian, batches of 60, plain
gradient descent: the first experiment of the paper that introduced BatchNorm.  With it and without,
at two rates; the accuracy on test images over the steps, and the 15th, 50th and 85th percentiles of
the input of one unit of the last hidden layer, whose wandering the paper holds to be the trouble.

    python examples/batch_norm_depth.py              # three seeds of four nets, minutes
    python examples/batch_norm_depth.py --out DIR    # also writes batch_norm_depth.md, .json and,
                                                     # where matplotlib is installed, .png

The images are Fashion-MNIST's (apt install dataset-fashion-mnist, or --data FOLDER with files of
MNIST's format); without them, the embedded digits.

Source: Ioffe and Szegedy, "Batch normalization", ICML 2015, section 4.1 and figure 1, on MNIST;
it does not tell the rate nor the deviation of the weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure = None

FOLDER = Path("/usr/share/datasets/fashion-mnist")
BATCH, WIDTH, DEPTH = 60, 100, 3
DEVIATION = 0.1  # of the first weights
RATES = (0.1, 1.0)
UNIT = 0  # of the last hidden layer
PERCENTILES = (15, 50, 85)
LOOKS = 40  # at test accuracy and unit, evenly over the steps
WATCHED = 1000  # rows that the unit is watched on

Array = np.ndarray[Any, Any]
Data = tuple[mg.data.TensorDataset, mg.data.TensorDataset]


def load(folder: Path | None) -> tuple[str, Data]:
    """Return a name, training and test rows, pixels in [0, 1]; digits where there is no folder."""
    if folder is None or not folder.is_dir():
        digits = mg.data.load_digits()
        (x, x_test), (y, y_test) = (np.split(array, [1280]) for array in (digits.x, digits.y))
        name, scale = "the embedded digits", np.float32(16)
    else:
        (x, y), (x_test, y_test) = (part.arrays for part in mg.data.load_mnist(folder))
        name, scale = folder.name, np.float32(255)
    train, test = (
        mg.data.TensorDataset(images.reshape(len(images), -1) / scale, labels)
        for images, labels in ((x, y), (x_test, y_test))
    )
    return name, (train, test)


def network(n_in: int, norm: bool) -> tuple[nn.Sequential, nn.Sequential]:
    """Return what leads to the input of the last hidden sigmoid, and the rest of the net."""
    layers: list[nn.Module] = []
    for wide in (n_in, *[WIDTH] * (DEPTH - 1)):
        layers += [nn.Linear(wide, WIDTH), *([nn.BatchNorm1d(WIDTH)] * norm), nn.Sigmoid()]
    layers.append(nn.Linear(WIDTH, 10))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, DEVIATION)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers[:-2]), nn.Sequential(*layers[-2:])


@dataclass(frozen=True)
class Run:
    """One training: at each look, the step, the test accuracy and the unit's percentiles."""

    norm: bool
    lr: float
    seed: int
    steps: list[int]
    accuracy: list[float]
    unit: list[list[float]]


def look(model: nn.Sequential, test: mg.data.TensorDataset) -> tuple[float, list[float]]:
    """Return the test accuracy and the percentiles of the unit's input, in evaluation mode."""
    below = model.eval()[0]
    right = 0
    with mg.no_grad():
        for x, y in mg.data.DataLoader(test, 2000):
            right += int((model(x).argmax(1) == y).sum().item())
        inputs = below(mg.from_numpy(test.arrays[0][:WATCHED])).numpy()[:, UNIT]
    model.train()
    return right / len(test), np.percentile(inputs, PERCENTILES).tolist()


def train(norm: bool, lr: float, seed: int, data: Data, steps: int) -> Run:
    """Train one net from one seed."""
    mg.manual_seed(seed)
    rows, test = data
    model = nn.Sequential(*network(rows.arrays[0].shape[1], norm))
    optimizer = mg.optim.SGD(model.parameters(), lr=lr)
    loader = mg.data.DataLoader(rows, BATCH, shuffle=True, drop_last=True)
    run = Run(norm, lr, seed, [], [], [])
    step = 0
    while step < steps:
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if step % max(1, steps // LOOKS) == 0:
                accuracy, percentiles = look(model, test)
                run.steps.append(step)
                run.accuracy.append(accuracy)
                run.unit.append(percentiles)
            if step == steps:
                break
    return run


def name_of(norm: bool) -> str:
    """Return what a row of the table is called."""
    return "with BatchNorm" if norm else "without"


def steps_to(run: Run, accuracy: float) -> str:
    """Return the first look's step with so high an accuracy."""
    reached = (step for step, a in zip(run.steps, run.accuracy, strict=True) if a >= accuracy)
    return f"{next(reached, 'never')}"


def report(runs: Sequence[Run], source: str, options: str) -> str:
    """Return the table in Markdown."""
    lines = [
        "# BatchNorm in a net of three sigmoid layers",
        "",
        f"`python examples/batch_norm_depth.py {options} --out DIR`: {source}, {runs[0].steps[-1]} "
        f"steps of SGD on batches of {BATCH}.  The last column are each seed's steps, looked up "
        f"every {runs[0].steps[0]}, to what the nets without BatchNorm end with at that rate, the "
        "mean of them.",
        "",
        "| net | rate | test accuracy, % (mean, then each seed) | the unit's median moves by "
        "| steps to what is reached without |",
        "| --- | ---: | --- | ---: | --- |",
    ]
    for lr in RATES:
        target = statistics.mean(r.accuracy[-1] for r in runs if not r.norm and r.lr == lr)
        for norm in (False, True):
            mine = [r for r in runs if (r.norm, r.lr) == (norm, lr)]
            scores = [100 * r.accuracy[-1] for r in mine]
            each = ", ".join(f"{score:.1f}" for score in scores)
            moves = [float(np.ptp([p[1] for p in r.unit])) for r in mine]
            reached = ", ".join(steps_to(r, target) for r in mine)
            lines.append(
                f"| {name_of(norm)} | {lr:g} | {statistics.mean(scores):.1f} ({each}) "
                f"| {statistics.mean(moves):.2f} | {reached} |"
            )
    return "\n".join([*lines, ""])


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw the accuracies of all runs, and the unit of the first seed at the lower rate."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    accuracies, *units = figure.subplots(1, 3)
    for r in runs:
        style = {"color": f"C{int(r.norm)}", "linestyle": ("-", "--")[RATES.index(r.lr)]}
        label = f"{name_of(r.norm)}, rate {r.lr:g}" if r.seed == 0 else None
        accuracies.plot(r.steps, [100 * a for a in r.accuracy], label=label, **style)
    accuracies.set(xlabel="step", ylabel="test accuracy, %")
    accuracies.legend(frameon=False, fontsize=8)
    for axes, norm in zip(units, (False, True), strict=True):
        r = next(r for r in runs if (r.norm, r.lr, r.seed) == (norm, RATES[0], 0))
        axes.plot(r.steps, r.unit, color=f"C{int(norm)}")
        axes.set(xlabel="step", title=f"{name_of(norm)}: one unit's input, 15/50/85 %")
        axes.title.set_fontsize(8)
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> list[Run]:
    """Train all nets on every seed; report and return what was measured."""
    parser = argparse.ArgumentParser(description="BatchNorm in a net of sigmoids")
    parser.add_argument("--small", action="store_true", help="600 steps on the digits, one seed")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--steps", type=int, default=10_000, metavar="N", help="of each (10000)")
    parser.add_argument("--data", type=Path, default=FOLDER, metavar="DIR", help="MNIST's format")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write batch_norm_depth.*")
    arguments = parser.parse_args(argv)
    small = arguments.small
    source, data = load(None if small else arguments.data)
    seeds, steps = (1, 600) if small else (arguments.seeds, arguments.steps)
    runs: list[Run] = []
    for lr in RATES:
        for norm in (False, True):
            mine = [train(norm, lr, seed, data, steps) for seed in range(seeds)]
            shown = ", ".join(f"{100 * r.accuracy[-1]:.1f}" for r in mine)
            print(f"{name_of(norm):<14} rate {lr:<4g} {shown} %")
            runs += mine
    text = report(runs, source, "--small" if small else f"--seeds {seeds} --steps {steps}")
    print(text)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "batch_norm_depth.md").write_text(text, encoding="utf-8")
        rows = json.dumps([asdict(r) for r in runs])
        (arguments.out / "batch_norm_depth.json").write_text(f"{rows}\n", encoding="utf-8")
        if Figure is None:
            print('no picture: matplotlib is not installed (pip install "minigrad[plot]")')
        else:
            draw(runs, arguments.out / "batch_norm_depth.png")
    return runs


if __name__ == "__main__":
    main()
