"""MNIST-1D: how far a logistic regression, a perceptron and a CNN come where position matters.

4000 training and 1000 test signals of 40 points: ten templates, padded, scaled, shifted, sheared
and buried in noise.  Networks, Adam at 1e-2, batches of 100 in the order of the rows, and 6000
steps are those of the authors' notebooks, which have a perceptron of 100 units and one of 256.
Then the same with the 40 points in another order, one for all signals: that costs the CNN, which
knows of neighbours, all that it was ahead, and changes nothing for the others.

    pip install mnist1d==0.0.2.post1        # its generator makes the data, nothing is downloaded
    python examples/mnist_1d.py             # three seeds, minutes
    python examples/mnist_1d.py --out DIR   # also writes mnist_1d.md, .json and, where matplotlib
                                            # is installed, .png
    python examples/mnist_1d.py --vs torch  # times training steps beside PyTorch's instead

Source: Greydanus and Kobak, "Scaling down deep learning with MNIST-1D", ICML 2024.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import beside_torch
import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from minigrad_kernels.compare.timing import Timing, installed

try:
    from mnist1d.data import get_dataset_args, make_dataset
except ImportError:
    make_dataset = None

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure = None

POINTS, CLASSES = 40, 10
BATCH, LR = 100, 1e-2
CHECK = 6  # epochs from one look at the test rows to the next
SHUFFLE_SEED = 42  # the notebook's
ORDERS = ("in order", "shuffled")
# The paper's table; its perceptron is the one number for both of ours.
PAPER = {"logistic": (32, 32), "MLP 100": (68, 68), "MLP 256": (68, 68), "CNN": (94, 56)}

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- models
def residual(nn: Any, width: int) -> Any:
    """Return what adds to its input what a linear layer and ReLU make of it."""

    class Residual(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            return x + self.linear(x).relu()

    return Residual()


def logistic(nn: Any) -> Any:
    """Return a logistic regression, of minigrad's `nn` or PyTorch's."""
    return nn.Linear(POINTS, CLASSES)


def mlp(nn: Any, width: int) -> Any:
    """Return a perceptron of two hidden layers, the second one residual."""
    first, last = nn.Linear(POINTS, width), nn.Linear(width, CLASSES)
    return nn.Sequential(first, nn.ReLU(), residual(nn, width), last)


def cnn(nn: Any) -> Any:
    """Return three convolutions of 25 channels, each halving the length, and a linear layer."""
    layers: list[Any] = [nn.Unflatten(1, (1, POINTS))]
    for channels, size in ((1, 5), (25, 3), (25, 3)):
        layers += [nn.Conv1d(channels, 25, size, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(5 * 25, CLASSES))


MODELS: dict[str, Callable[[Any], Any]] = {
    "logistic": logistic,
    "MLP 100": partial(mlp, width=100),
    "MLP 256": partial(mlp, width=256),
    "CNN": cnn,
}


# ---------------------------------------------------------------- data
class Signals(NamedTuple):
    """Training and test rows: (N, 40) float32 and their classes."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array

    def shuffled(self) -> Signals:
        """Return the same signals with their points in another order, one for all."""
        order = np.random.RandomState(SHUFFLE_SEED).permutation(POINTS)
        return self._replace(x=self.x[:, order], x_test=self.x_test[:, order])


def generated() -> Signals:
    """Return what the package's generator makes by default, which is the published data set."""
    data = make_dataset(get_dataset_args())
    x, x_test = (data[key].astype(np.float32) for key in ("x", "x_test"))
    y, y_test = (data[key].astype(np.int64) for key in ("y", "y_test"))
    return Signals(x, y, x_test, y_test)


def waves(rows: int = 1000) -> Signals:
    """Return a stand-in for quick checks: pieces of sine waves, one frequency a class, shifted."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, rows)
    t = np.linspace(0, np.pi, 12)
    x = 0.1 * rng.standard_normal((rows, POINTS))
    for row, (kind, start) in enumerate(zip(y, rng.integers(0, POINTS - 12, rows), strict=True)):
        x[row, start : start + 12] += np.sin((kind + 1) * t)
    x, half = x.astype(np.float32), rows // 2
    return Signals(x[:half], y[:half], x[half:], y[half:])


# ---------------------------------------------------------------- training
@dataclass(frozen=True)
class Run:
    """One training: accuracies on the training and the test rows, every few epochs."""

    model: str
    order: str
    seed: int
    epochs: list[int]
    train: list[float]
    test: list[float]


def right(model: nn.Module, x: mg.Tensor, y: mg.Tensor) -> float:
    """Return the share of rows that a model gets right."""
    with mg.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def train(name: str, order: str, seed: int, signals: Signals, epochs: int) -> Run:
    """Train one model from one seed."""
    mg.manual_seed(seed)
    model = MODELS[name](nn)
    optimizer = mg.optim.Adam(model.parameters(), lr=LR)
    x, y, x_test, y_test = (mg.from_numpy(np.ascontiguousarray(a)) for a in signals)
    loader = mg.data.DataLoader(mg.data.TensorDataset(x, y), BATCH)
    run = Run(name, order, seed, [], [], [])
    for epoch in range(1, epochs + 1):
        for inputs, targets in loader:
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        if epoch % CHECK == 0 or epoch == epochs:
            run.epochs.append(epoch)
            run.train.append(right(model, x, y))
            run.test.append(right(model, x_test, y_test))
    return run


# ---------------------------------------------------------------- report
def report(runs: Sequence[Run], signals: Signals, options: str) -> str:
    """Return the table in Markdown."""
    steps = runs[0].epochs[-1] * -(-len(signals.x) // BATCH)
    lines = [
        "# MNIST-1D",
        "",
        f"`python examples/mnist_1d.py {options} --out DIR`: accuracy on {len(signals.x_test)} "
        f"test rows, %, after {steps} steps on {len(signals.x)}.  The best look is the highest "
        "that the curve touches, so the test rows themselves chose it.",
        "",
        "| model | parameters | points | mean (each seed), last step | mean, best look | paper |",
        "| --- | ---: | --- | --- | ---: | ---: |",
    ]
    for name, order in ((name, order) for order in ORDERS for name in MODELS):
        mine = [r for r in runs if (r.model, r.order) == (name, order)]
        last = [100 * r.test[-1] for r in mine]
        best = statistics.mean(100 * max(r.test) for r in mine)
        each = ", ".join(f"{score:.1f}" for score in last)
        size = sum(p.numel() for p in MODELS[name](nn).parameters())
        paper = PAPER[name][ORDERS.index(order)]
        lines.append(
            f"| {name} | {size:,} | {order} | {statistics.mean(last):.1f} ({each}) | {best:.1f} "
            f"| {paper} |"
        )
    return "\n".join([*lines, ""])


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw training and test accuracies, means over seeds, dashed where points are shuffled."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    plots = dict(zip(("train", "test"), figure.subplots(1, 2, sharey=True), strict=True))
    for part, axes in plots.items():
        for i, name in enumerate(MODELS):
            for order, style in zip(ORDERS, ("-", "--"), strict=True):
                mine = [r for r in runs if (r.model, r.order) == (name, order)]
                mean = 100 * np.mean([getattr(r, part) for r in mine], axis=0)
                label = name if order == ORDERS[0] else None
                axes.plot(mine[0].epochs, mean, style, color=f"C{i}", linewidth=1.2, label=label)
        axes.set(xlabel="epoch", title=f"{part} rows (dashed: points shuffled)")
    plots["train"].set_ylabel("accuracy, %")
    plots["train"].legend(frameon=False)
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> list[Run] | list[Timing]:
    """Train all models on both orders and every seed, or time their steps; report and return what
    was measured.
    """
    parser = argparse.ArgumentParser(description="MNIST-1D: logistic regression, MLP and CNN")
    parser.add_argument("--small", action="store_true", help="30 epochs on waves, one seed")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--epochs", type=int, default=150, metavar="N", help="of 40 steps (150)")
    parser.add_argument("--vs", choices=["torch"], help="time training steps beside PyTorch's")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write mnist_1d.*")
    arguments = parser.parse_args(argv)
    if make_dataset is None and not arguments.small:
        parser.error("the data need the mnist1d package: pip install mnist1d==0.0.2.post1")
    in_order = waves() if arguments.small else generated()
    if arguments.vs:
        if not installed("torch"):
            parser.error("--vs torch needs PyTorch: pip install torch")
        data = mg.data.TensorDataset(in_order.x, in_order.y)
        steps = beside_torch.Steps(data, BATCH, "Adam", {"lr": LR})
        return beside_torch.report(
            "MNIST-1D", "mnist_1d", MODELS, steps, arguments.small, arguments.out
        )
    seeds, epochs = (1, 30) if arguments.small else (arguments.seeds, arguments.epochs)
    runs: list[Run] = []
    for order, signals in zip(ORDERS, (in_order, in_order.shuffled()), strict=True):
        for name in MODELS:
            mine = [train(name, order, seed, signals, epochs) for seed in range(seeds)]
            shown = ", ".join(f"{100 * r.test[-1]:.1f}" for r in mine)
            print(f"{name:<9} {order:<9} {shown} %")
            runs += mine
    options = "--small" if arguments.small else f"--seeds {seeds} --epochs {epochs}"
    text = report(runs, in_order, options)
    print(text)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "mnist_1d.md").write_text(text, encoding="utf-8")
        rows = json.dumps([asdict(r) for r in runs])
        (arguments.out / "mnist_1d.json").write_text(f"{rows}\n", encoding="utf-8")
        if Figure is None:
            print('no picture: matplotlib is not installed (pip install "minigrad[plot]")')
        else:
            draw(runs, arguments.out / "mnist_1d.png")
    return runs


if __name__ == "__main__":
    main()
