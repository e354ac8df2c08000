"""Dropout against none, where a net overfits: many weights and few training images.

A perceptron 784-512-512-10 learns from 100 up to 10,000 images, with dropout (0.2 of the pixels,
half of the hidden units) and without, as many steps each time.  What is told: accuracy and loss on
training and test images after the last step, and the lowest test loss on the way there.

    python examples/dropout_overfit.py              # three seeds, minutes
    python examples/dropout_overfit.py --out DIR    # also writes dropout_overfit.md, .json and,
                                                    # where matplotlib is installed, .png

The images are Fashion-MNIST's (apt install dataset-fashion-mnist, or --data FOLDER with files of
MNIST's format); without them, the embedded digits.

Source: Srivastava et al., "Dropout", JMLR 15, 2014, section 7.4 and figure 10, on MNIST.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure = None

FOLDER = Path("/usr/share/datasets/fashion-mnist")
SIZES, SMALL_SIZES = (100, 300, 1000, 3000, 10_000), (100, 300)
BATCH, WIDTH, LR = 100, 512, 1e-3
SHARES = (0.2, 0.5)  # dropped: of the pixels, of each hidden layer
LOOKS = 20

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


def network(n_in: int, dropout: bool) -> nn.Sequential:
    """Return the perceptron."""
    pixels, hidden = SHARES if dropout else (0.0, 0.0)
    layers: list[nn.Module] = [nn.Dropout(pixels)]
    for wide in (n_in, WIDTH):
        layers += [nn.Linear(wide, WIDTH), nn.ReLU(), nn.Dropout(hidden)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


@dataclass(frozen=True)
class Run:
    """One training: at each look, the step and the losses; the accuracies after the last step."""

    size: int
    dropout: bool
    seed: int
    steps: list[int]
    train_loss: list[float]
    test_loss: list[float]
    train_accuracy: float
    test_accuracy: float


def scores(model: nn.Module, rows: mg.data.TensorDataset) -> tuple[float, float]:
    """Return mean loss and accuracy, without dropout."""
    x, y = rows.tensors
    model.eval()
    with mg.no_grad():
        logits = model(x)
        loss, right = F.cross_entropy(logits, y), (logits.argmax(1) == y).float().mean()
    model.train()
    return loss.item(), right.item()


def train(size: int, dropout: bool, seed: int, data: Data, steps: int) -> Run:
    """Train on rows that the seed draws, the same with dropout as without."""
    mg.manual_seed(seed)
    order = np.random.default_rng(seed).permutation(len(data[0]))[:size]
    rows = mg.data.TensorDataset(*(array[order] for array in data[0].arrays))
    model = network(rows.arrays[0].shape[1], dropout)
    optimizer = mg.optim.Adam(model.parameters(), lr=LR)
    loader = mg.data.DataLoader(rows, BATCH, shuffle=True, drop_last=True)
    looks, train_loss, test_loss = [], [], []
    accuracies = (0.0, 0.0)
    step = 0
    while step < steps:
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if step % max(1, steps // LOOKS) == 0:
                seen, unseen = scores(model, rows), scores(model, data[1])
                looks.append(step)
                train_loss.append(seen[0])
                test_loss.append(unseen[0])
                accuracies = seen[1], unseen[1]
            if step == steps:
                break
    return Run(size, dropout, seed, looks, train_loss, test_loss, *accuracies)


def report(runs: Sequence[Run], source: str, options: str) -> str:
    """Return the table in Markdown."""
    lines = [
        "# Dropout against none on few training images",
        "",
        f"`python examples/dropout_overfit.py {options} --out DIR`: {source}, a perceptron with "
        f"two layers of {WIDTH}, {runs[0].steps[-1]} steps of Adam on batches of {BATCH}; after "
        "the last step, means over seeds.",
        "",
        "| training images | dropout | test accuracy, % (mean, then each seed) "
        "| training accuracy, % | training loss | test loss | lowest on its way |",
        "| ---: | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for size in sorted({r.size for r in runs}):
        for dropout in (False, True):
            mine = [r for r in runs if (r.size, r.dropout) == (size, dropout)]
            each = ", ".join(f"{100 * r.test_accuracy:.1f}" for r in mine)
            mean = statistics.mean
            lines.append(
                f"| {size:,} | {'yes' if dropout else 'no'} "
                f"| {mean(100 * r.test_accuracy for r in mine):.1f} ({each}) "
                f"| {mean(100 * r.train_accuracy for r in mine):.1f} "
                f"| {mean(r.train_loss[-1] for r in mine):.3f} "
                f"| {mean(r.test_loss[-1] for r in mine):.2f} "
                f"| {mean(min(r.test_loss) for r in mine):.2f} |"
            )
    return "\n".join([*lines, ""])


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw test errors by size, and the losses over the steps of the middle size."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    errors, losses = figure.subplots(1, 2)
    sizes = sorted({r.size for r in runs})
    middle = sizes[len(sizes) // 2]
    for dropout in (False, True):
        mine = [r for r in runs if r.dropout == dropout]
        label, color = "dropout" if dropout else "none", f"C{int(dropout)}"
        wrong = [
            statistics.mean(100 * (1 - r.test_accuracy) for r in mine if r.size == size)
            for size in sizes
        ]
        errors.plot(sizes, wrong, "o-", color=color, label=label)
        for r in (r for r in mine if r.size == middle):
            losses.plot(r.steps, r.test_loss, color=color)
            losses.plot(r.steps, r.train_loss, "--", color=color)
    errors.set(xscale="log", xlabel="training images", ylabel="test error, %")
    errors.legend(frameon=False)
    losses.set(xlabel="step", ylabel="loss", title=f"{middle} images: test, and dashed training")
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> list[Run]:
    """Train with and without dropout, on every size and seed; report and return the runs."""
    parser = argparse.ArgumentParser(description="dropout against none where a net overfits")
    parser.add_argument("--small", action="store_true", help="200 steps on digits, one seed")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="of each (1000)")
    parser.add_argument("--data", type=Path, default=FOLDER, metavar="DIR", help="MNIST's format")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write dropout_overfit.*")
    arguments = parser.parse_args(argv)
    small = arguments.small
    source, data = load(None if small else arguments.data)
    seeds, steps = (1, 200) if small else (arguments.seeds, arguments.steps)
    runs: list[Run] = []
    for size in SMALL_SIZES if small else [size for size in SIZES if size <= len(data[0])]:
        for dropout in (False, True):
            mine = [train(size, dropout, seed, data, steps) for seed in range(seeds)]
            shown = ", ".join(f"{100 * r.test_accuracy:.1f}" for r in mine)
            print(f"{size:6} images, {'dropout' if dropout else 'none':<7} {shown} %")
            runs += mine
    text = report(runs, source, "--small" if small else f"--seeds {seeds} --steps {steps}")
    print(text)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "dropout_overfit.md").write_text(text, encoding="utf-8")
        rows = json.dumps([asdict(r) for r in runs])
        (arguments.out / "dropout_overfit.json").write_text(f"{rows}\n", encoding="utf-8")
        if Figure is None:
            print('no picture: matplotlib is not installed (pip install "minigrad[plot]")')
        else:
            draw(runs, arguments.out / "dropout_overfit.png")
    return runs


if __name__ == "__main__":
    main()
