"""One cycle of the learning rate against a constant rate, the same number of epochs for both.

A perceptron with BatchNorm learns Fashion-MNIST by SGD with momentum in 1, 2, 4 and 8 epochs.  The
rate is constant, or rises to a height and falls to nothing while momentum falls and rises.  For
each number of epochs each has its own rate, the best of a grid on images held back from training,
by a seed that is not reported; the test images take no part in that.

    python examples/super_convergence.py              # three seeds, minutes
    python examples/super_convergence.py --out DIR    # also writes super_convergence.md, .json and,
                                                      # where matplotlib is installed, .png

The images are Fashion-MNIST's (apt install dataset-fashion-mnist, or --data FOLDER with files of
MNIST's format); without them, the embedded digits.

Source: Smith and Topin, "Super-convergence", 2018 (arXiv 1708.07120), figure 1, with a ResNet on
CIFAR-10.
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
from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.train import ScheduleLR
from minigrad.train.metrics import accuracy

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure = None

FOLDER = Path("/usr/share/datasets/fashion-mnist")
BATCH, WIDTHS, DECAY = 128, (256, 128), 5e-4
BUDGETS, SMALL_BUDGETS = (1, 2, 4, 8), (2,)
RATES, SMALL_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0), (0.03, 0.3)
SEARCH_SEED = 1000
HELD_BACK = 6  # one in so many training images
POLICIES = ("constant", "one cycle")


@dataclass(frozen=True)
class Data:
    """Rows to learn from, rows held back to choose rates by, all of those, and test rows."""

    name: str
    learn: mg.data.TensorDataset
    choose: mg.data.TensorDataset
    train: mg.data.TensorDataset
    test: mg.data.TensorDataset


def load(folder: Path | None) -> Data:
    """Return images as rows of mean 0 and deviation 1; the digits where there is no folder."""
    if folder is None or not folder.is_dir():
        digits = mg.data.load_digits()
        name = "the embedded digits"
        (x, x_test), (y, y_test) = (np.split(array, [1280]) for array in (digits.x, digits.y))
    else:
        name = folder.name
        (x, y), (x_test, y_test) = (part.arrays for part in mg.data.load_mnist(folder))
    mean, deviation = np.float32(x.mean()), np.float32(x.std())
    x, x_test = ((part.reshape(len(part), -1) - mean) / deviation for part in (x, x_test))
    held = np.arange(len(x)) % HELD_BACK == 0
    parts = ((x[~held], y[~held]), (x[held], y[held]), (x, y), (x_test, y_test))
    return Data(name, *(mg.data.TensorDataset(*part) for part in parts))


def network(n_in: int) -> nn.Sequential:
    """Return the perceptron."""
    layers: list[nn.Module] = []
    for wide, width in zip((n_in, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Linear(wide, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTHS[-1], 10))


def train(
    policy: str, lr: float, seed: int, epochs: int, rows: Any, unseen: Any
) -> dict[str, list[float]]:
    """Train one net; return the history, with the accuracy on `unseen` after every epoch."""
    mg.manual_seed(seed)
    model = network(rows.arrays[0].shape[1])
    optimizer = mg.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=DECAY)
    cycle = ScheduleLR(lambda optimizer, steps: OneCycleLR(optimizer, lr, steps), "step")
    callbacks = [cycle] if policy == "one cycle" else []
    # Without the doctor: rates too low and too high are tried on purpose, epochs kept few.
    options = {"metrics": {"accuracy": accuracy}, "callbacks": callbacks, "doctor": False}
    trainer = mg.Trainer(model, optimizer, **options)
    loader = mg.data.DataLoader(rows, BATCH, shuffle=True, drop_last=True)
    history = trainer.fit(loader, mg.data.DataLoader(unseen, 2000), epochs=epochs)
    return {"loss": history["loss"], "accuracy": history["val_accuracy"]}


@dataclass(frozen=True)
class Run:
    """One training: its budget in epochs, and the test accuracy after each of them."""

    policy: str
    epochs: int
    lr: float
    seed: int
    loss: list[float]
    accuracy: list[float]


def search(policy: str, epochs: int, rates: Sequence[float], data: Data) -> float:
    """Return the rate with the highest accuracy at the end, on the images held back."""

    def reached(lr: float) -> float:
        return train(policy, lr, SEARCH_SEED, epochs, data.learn, data.choose)["accuracy"][-1]

    return max(rates, key=reached)


def report(runs: Sequence[Run], data: Data, options: str) -> str:
    """Return the table in Markdown."""
    lines = [
        "# One cycle against a constant rate",
        "",
        f"`python examples/super_convergence.py {options} --out DIR`: {data.name}, perceptron "
        f"{'-'.join(map(str, WIDTHS))} with BatchNorm, SGD with momentum, batches of {BATCH}; each "
        "rate the best of a grid for its budget, on images held back from training.",
        "",
        "| epochs | rate | its height | test accuracy, % (mean, then each seed) |",
        "| ---: | --- | ---: | --- |",
    ]
    for epochs in sorted({r.epochs for r in runs}):
        for policy in POLICIES:
            mine = [r for r in runs if (r.policy, r.epochs) == (policy, epochs)]
            scores = [100 * r.accuracy[-1] for r in mine]
            each = ", ".join(f"{score:.2f}" for score in scores)
            mean = statistics.mean(scores)
            lines.append(f"| {epochs} | {policy} | {mine[0].lr:g} | {mean:.2f} ({each}) |")
    return "\n".join([*lines, ""])


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw what each budget ends with, and the accuracies on the way of the longest."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    ends, ways = figure.subplots(1, 2, sharey=True)
    budgets = sorted({r.epochs for r in runs})
    for i, policy in enumerate(POLICIES):
        mine = [r for r in runs if r.policy == policy]
        means = [
            statistics.mean(100 * r.accuracy[-1] for r in mine if r.epochs == epochs)
            for epochs in budgets
        ]
        ends.plot(budgets, means, color=f"C{i}", label=policy)
        ends.plot([r.epochs for r in mine], [100 * r.accuracy[-1] for r in mine], f"C{i}.")
        for r in (r for r in mine if r.epochs == budgets[-1]):
            ways.plot(range(1, r.epochs + 1), [100 * a for a in r.accuracy], color=f"C{i}")
    ends.set(xlabel="epochs in all", ylabel="test accuracy, %", xscale="log", xticks=budgets)
    ends.set_xticklabels(budgets)
    ends.minorticks_off()
    ends.legend(frameon=False)
    ways.set(xlabel="epoch", title=f"on the way to {budgets[-1]} epochs")
    ways.set_xticks(range(1, budgets[-1] + 1))
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> list[Run]:
    """Search the rates, train on every budget and seed; report and return the runs."""
    parser = argparse.ArgumentParser(description="one cycle against a constant rate")
    parser.add_argument("--small", action="store_true", help="2 epochs on the digits, one seed")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument(
        "--epochs", type=int, nargs="+", default=BUDGETS, metavar="N", help="budgets (1 2 4 8)"
    )
    parser.add_argument("--data", type=Path, default=FOLDER, metavar="DIR", help="MNIST's format")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for super_convergence.*")
    arguments = parser.parse_args(argv)
    small = arguments.small
    data = load(None if small else arguments.data)
    budgets, seeds = (SMALL_BUDGETS, 1) if small else (arguments.epochs, arguments.seeds)
    runs: list[Run] = []
    for epochs in budgets:
        for policy in POLICIES:
            lr = search(policy, epochs, SMALL_RATES if small else RATES, data)
            for seed in range(seeds):
                scores = train(policy, lr, seed, epochs, data.train, data.test)
                runs.append(Run(policy, epochs, lr, seed, **scores))
            shown = ", ".join(f"{100 * r.accuracy[-1]:.2f}" for r in runs[-seeds:])
            print(f"{epochs} epochs, {policy:<9} rate {lr:<5g} {shown} %")
    options = f"--seeds {seeds} --epochs {' '.join(map(str, budgets))}"
    text = report(runs, data, "--small" if small else options)
    print(text)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "super_convergence.md").write_text(text, encoding="utf-8")
        rows = json.dumps([asdict(r) for r in runs])
        (arguments.out / "super_convergence.json").write_text(f"{rows}\n", encoding="utf-8")
        if Figure is None:
            print('no picture: matplotlib is not installed (pip install "minigrad[plot]")')
        else:
            draw(runs, arguments.out / "super_convergence.png")
    return runs


if __name__ == "__main__":
    main()
