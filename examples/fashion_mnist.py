"""Fashion-MNIST: a LeNet-style convolutional network and a multilayer perceptron, by the recipe.

Both learn from all 60,000 training images, without augmentation: AdamW with decay on the weights
alone, BatchNorm, Dropout, and the rate and beta1 of one cycle.  The test images are looked at after
every epoch for the curve, but nothing is chosen by them: what is reported is the last epoch.

    python examples/fashion_mnist.py              # three seeds, minutes on two cores
    python examples/fashion_mnist.py --out DIR    # also writes fashion_mnist.md, .json and, where
                                                  # matplotlib is installed, .png
    python examples/fashion_mnist.py --vs torch   # times training steps beside PyTorch's instead

The images: apt install dataset-fashion-mnist, or --data FOLDER with files of MNIST's format, so
that MNIST itself will do.

Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017 (arXiv 1708.07747); LeCun et al.,
"Gradient-based learning applied to document recognition", 1998, for the shape of the CNN.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import beside_torch
import numpy as np

import minigrad as mg
from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.train import ScheduleLR, Trainer
from minigrad.train.metrics import accuracy
from minigrad_kernels.compare.timing import Timing, installed

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure = None

FOLDER = Path("/usr/share/datasets/fashion-mnist")
BATCH = 128
MAX_LR, DECAY = 4e-3, 0.01

Array = np.ndarray[Any, Any]


def mlp(nn: Any, classes: int = 10) -> Any:
    """Return the perceptron 784-256-128-100-10 of minigrad's `nn`, or of PyTorch's."""
    layers: list[Any] = [nn.Flatten()]
    for wide, width in itertools.pairwise((784, 256, 128, 100)):
        layers += [nn.Linear(wide, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        layers += [nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(100, classes))


def cnn(nn: Any, classes: int = 10) -> Any:
    """Return LeNet-5 with ReLU, max-pooling, BatchNorm, and 16 and 32 channels for 6 and 16."""
    layers: list[Any] = []
    for channels, out, padding in ((1, 16, 2), (16, 32, 0)):
        layers += [nn.Conv2d(channels, out, 5, padding=padding, bias=False), nn.BatchNorm2d(out)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    for wide, width in ((800, 120), (120, 84)):
        layers += [nn.Linear(wide, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        layers += [nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(84, classes))


MODELS: dict[str, Callable[..., Any]] = {"MLP 256-128-100": mlp, "CNN": cnn}


# ---------------------------------------------------------------- data
class Images(NamedTuple):
    """Training and test images, (N, 1, 28, 28) float32, with their labels."""

    train: mg.data.TensorDataset
    test: mg.data.TensorDataset


def standardized(train: tuple[Array, Array], test: tuple[Array, Array]) -> Images:
    """Return images of mean 0 and deviation 1 over all pixels of the training images."""
    mean, deviation = float(train[0].mean()), float(train[0].std())
    return Images(
        *(
            mg.data.TensorDataset((x[:, None].astype(np.float32) - mean) / deviation, y)
            for x, y in (train, test)
        )
    )


def load(folder: Path) -> Images:
    """Read MNIST-format files."""
    train, test = mg.data.load_mnist(folder)
    return standardized(train.arrays, test.arrays)


def digits() -> Images:
    """Return the embedded 8x8 digits, each pixel 3x3 and a margin of 2 around them."""
    data = mg.data.load_digits()
    x = data.x.reshape(-1, 8, 8).repeat(3, axis=1).repeat(3, axis=2)
    x = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    return standardized((x[:1280], data.y[:1280]), (x[1280:], data.y[1280:]))


# ---------------------------------------------------------------- training
@dataclass(frozen=True)
class Run:
    """One training: mean training loss and test accuracy of every epoch."""

    model: str
    seed: int
    loss: list[float]
    accuracy: list[float]


def train(name: str, seed: int, images: Images, epochs: int) -> Run:
    """Train one model from one seed."""
    mg.manual_seed(seed)
    model = MODELS[name](mg.nn)
    optimizer = mg.optim.AdamW(mg.optim.decay_groups(model, weight_decay=DECAY), lr=MAX_LR)
    cycle = ScheduleLR(lambda optimizer, steps: OneCycleLR(optimizer, MAX_LR, steps), "step")
    trainer = Trainer(model, optimizer, metrics={"accuracy": accuracy}, callbacks=[cycle])
    history = trainer.fit(
        mg.data.DataLoader(images.train, BATCH, shuffle=True, drop_last=True),
        mg.data.DataLoader(images.test, 500),
        epochs=epochs,
    )
    return Run(name, seed, history["loss"], history["val_accuracy"])


def parameters(name: str) -> int:
    """Return how many numbers a model trains."""
    return sum(p.numel() for p in MODELS[name](mg.nn).parameters())


def report(runs: Sequence[Run], images: Images, options: str) -> str:
    """Return the table of accuracies in Markdown."""
    lines = [
        "# Fashion-MNIST",
        "",
        f"`python examples/fashion_mnist.py {options} --out DIR`: {len(images.train):,} training "
        f"images, {len(runs[0].loss)} epochs; accuracy on {len(images.test):,} test images after "
        "the last one, by which nothing was chosen.",
        "",
        "| model | parameters | test accuracy, % (mean, then each seed) |",
        "| --- | ---: | --- |",
    ]
    for name in MODELS:
        scores = [100 * r.accuracy[-1] for r in runs if r.model == name]
        each = ", ".join(f"{score:.2f}" for score in scores)
        mean = statistics.mean(scores)
        lines.append(f"| {name} | {parameters(name):,} | {mean:.2f} ({each}) |")
    return "\n".join([*lines, ""])


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw the training losses and the test accuracies of all runs."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    for r in runs:
        epochs = range(1, len(r.loss) + 1)
        style = {"color": f"C{list(MODELS).index(r.model)}", "linewidth": 1.0}
        losses.plot(epochs, r.loss, **style)
        label = r.model if r.seed == 0 else None
        accuracies.plot(epochs, [100 * a for a in r.accuracy], label=label, **style)
    losses.set(xlabel="epoch", ylabel="training loss (dropout at work)", yscale="log")
    accuracies.set(xlabel="epoch", ylabel="test accuracy, %", title="one line a seed")
    accuracies.legend(frameon=False)
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> list[Run] | list[Timing]:
    """Train both models on every seed, or time their steps; report and return what was measured."""
    parser = argparse.ArgumentParser(description="a CNN and an MLP on Fashion-MNIST")
    parser.add_argument("--small", action="store_true", help="2 epochs on the embedded digits")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="of each run (10)")
    parser.add_argument("--data", type=Path, default=FOLDER, metavar="DIR", help="MNIST's format")
    parser.add_argument("--vs", choices=["torch"], help="time training steps beside PyTorch's")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write fashion_mnist.*")
    arguments = parser.parse_args(argv)
    if not (arguments.small or arguments.data.is_dir()):
        parser.error(f"no folder {arguments.data}: apt install dataset-fashion-mnist, or --data")
    images = digits() if arguments.small else load(arguments.data)
    if arguments.vs:
        if not installed("torch"):
            parser.error("--vs torch needs PyTorch: pip install torch")
        options = {"lr": 1e-3, "weight_decay": DECAY}
        steps = beside_torch.Steps(images.train, BATCH, "AdamW", options)
        return beside_torch.report(
            "Fashion-MNIST", "fashion_mnist", MODELS, steps, arguments.small, arguments.out
        )
    runs: list[Run] = []
    for seed in range(1 if arguments.small else arguments.seeds):
        for name in MODELS:
            runs.append(train(name, seed, images, 2 if arguments.small else arguments.epochs))
            print(f"seed {seed}   {name:<15} {100 * runs[-1].accuracy[-1]:.2f} %")
    options = f"--seeds {arguments.seeds} --epochs {arguments.epochs}"
    text = report(runs, images, "--small" if arguments.small else options)
    print(text)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "fashion_mnist.md").write_text(text, encoding="utf-8")
        rows = json.dumps([asdict(r) for r in runs])
        (arguments.out / "fashion_mnist.json").write_text(f"{rows}\n", encoding="utf-8")
        if Figure is None:
            print('no picture: matplotlib is not installed (pip install "minigrad[plot]")')
        else:
            draw(runs, arguments.out / "fashion_mnist.png")
    return runs


if __name__ == "__main__":
    main()
