"""The ablation: what Adam, BatchNorm, Dropout and a schedule are worth, each alone and together.

Every variant trains the same MLP on the same rows of the digits.  Its learning rate comes from one
grid, the same for all: the rate whose best validation loss so far, averaged over a short run's
epochs and over two seeds, is lowest.  Those seeds are not among the ones reported, and the
test rows take no part in any choice.  A seed decides weights, order and dropout.

    python examples/ablation.py --out examples/results    # minutes; writes .md, .csv and .png
    python examples/ablation.py --small                   # a quick check; its figures mean nothing

Needs minigrad; the PNG needs matplotlib (pip install "minigrad[plot]").
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import minigrad as mg
from minigrad import nn, optim
from minigrad.train import Callback, EarlyStopping, ScheduleLR

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure = None

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
TARGETS = (0.2, 0.1)  # validation losses whose epoch is asked for
BATCH = 64
SEARCH_SEEDS = (1000, 1001)
DEEP = "20 layers"


@dataclass(frozen=True)
class Variant:
    """What is trained, and how."""

    name: str
    optimizer: Callable[[nn.Module, float], optim.Optimizer]
    norm: bool = False
    dropout: tuple[float, float] = (0.0, 0.0)  # hidden layers, the last one
    schedule: bool = False
    widths: tuple[int, ...] = (128, 64)
    he: bool = False  # He's initial weights instead of PyTorch's default


def sgd(model: nn.Module, lr: float) -> optim.Optimizer:
    """Return plain stochastic gradient descent."""
    return optim.SGD(model.parameters(), lr=lr)


def momentum(model: nn.Module, lr: float) -> optim.Optimizer:
    """Return SGD with momentum 0.9."""
    return optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def adam(model: nn.Module, lr: float) -> optim.Optimizer:
    """Return Adam without weight decay."""
    return optim.Adam(model.parameters(), lr=lr)


def adamw(model: nn.Module, lr: float) -> optim.Optimizer:
    """Return the recipe's optimizer."""
    return optim.AdamW(optim.decay_groups(model, weight_decay=0.01), lr=lr)


VARIANTS = [
    Variant("SGD", sgd),
    Variant("SGD, momentum 0.9", momentum),
    Variant("Adam", adam),
    Variant("Adam + BatchNorm", adam, norm=True),
    Variant("Adam + Dropout", adam, dropout=(0.2, 0.5)),
    Variant("Adam + schedule", adam, schedule=True),
    Variant("all together", adamw, norm=True, dropout=(0.2, 0.5), schedule=True),
    Variant(f"{DEEP}, Adam", adam, widths=(64,) * 19),
    Variant(f"{DEEP}, Adam, He init", adam, widths=(64,) * 19, he=True),
    Variant(f"{DEEP}, Adam + BatchNorm", adam, widths=(64,) * 19, norm=True),
]


def build(variant: Variant, n_in: int, n_out: int) -> nn.Sequential:
    """Return the variant's network."""
    layers: list[nn.Module] = []
    for i, width in enumerate(variant.widths):
        last = i == len(variant.widths) - 1
        layers.append(nn.Linear(n_in, width, bias=not variant.norm))
        if variant.he:
            nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
        if variant.norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(nn.ReLU())
        if any(variant.dropout):
            layers.append(nn.Dropout(variant.dropout[last]))
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, n_out))


class LastScores(Callback):
    """Score training and validation rows in evaluation mode at the end of the last epoch."""

    def __init__(self, loaders: Sequence[mg.data.DataLoader]) -> None:
        self.loaders = loaders
        self.train: dict[str, float] = {}
        self.validation: dict[str, float] = {}

    def on_epoch_end(self, trainer: mg.Trainer) -> None:
        if trainer.epoch == trainer.epochs:
            self.train, self.validation = (trainer.evaluate(loader) for loader in self.loaders)


class Run(NamedTuple):
    """One training: the curve, and scores.  Not a number where training diverged."""

    variant: str
    lr: float
    seed: int
    curve: list[float]  # validation loss of every epoch
    train_loss: float  # after the last epoch, in evaluation mode
    last_loss: float  # of the validation rows, then
    last_accuracy: float  # of the validation rows, then
    test_accuracy: float  # of the epoch with the best validation loss
    seconds: float  # an epoch, the median

    @property
    def gap(self) -> float:
        """Return validation loss minus training loss after the last epoch."""
        return self.last_loss - self.train_loss

    def epochs_to(self, loss: float) -> float:
        """Return the first epoch with so low a validation loss, infinity without one."""
        return next((i for i, value in enumerate(self.curve, 1) if value <= loss), math.inf)

    @property
    def merit(self) -> float:
        """Return the mean over epochs of the best validation loss so far: low and soon is good."""
        best, total = math.inf, 0.0
        for value in self.curve:
            best = min(best, value if math.isfinite(value) else math.inf)
            total += best
        return total / len(self.curve)


def run(variant: Variant, lr: float, seed: int, split: mg.data.Split, epochs: int) -> Run:
    """Train once."""
    mg.manual_seed(seed)
    n_in, n_out = split.train.arrays[0].shape[1], int(split.train.arrays[1].max()) + 1
    model = build(variant, n_in, n_out)
    optimizer = variant.optimizer(model, lr)
    train, validation, test = (mg.data.DataLoader(part, 64) for part in split)
    shuffled = mg.data.DataLoader(split.train, BATCH, shuffle=True, drop_last=True)
    scores = LastScores([train, validation])
    callbacks = [scores, EarlyStopping(patience=epochs, on_nan="stop")]  # restores the best epoch
    if variant.schedule:
        plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3)
        callbacks.append(ScheduleLR(plateau))
    loss = nn.functional.cross_entropy
    metrics = {"accuracy": mg.train.accuracy}
    # Without the doctor: what it would warn of, such as rates too high, is tried on purpose.
    options = {"metrics": metrics, "callbacks": callbacks, "doctor": False}
    trainer = mg.Trainer(model, optimizer, loss, **options)
    rows = trainer.fit(shuffled, validation, epochs=epochs).rows
    return Run(
        variant.name,
        lr,
        seed,
        [row["val_loss"] for row in rows],
        scores.train.get("loss", math.nan),
        scores.validation.get("loss", math.nan),
        scores.validation.get("accuracy", math.nan),
        trainer.evaluate(test)["accuracy"],
        statistics.median(row["seconds"] for row in rows),
    )


def search(variant: Variant, split: mg.data.Split, rates: Sequence[float], epochs: int) -> float:
    """Return the rate of the best mean merit over the search seeds."""

    def merit(lr: float) -> float:
        return sum(run(variant, lr, seed, split, epochs).merit for seed in SEARCH_SEEDS)

    return min(rates, key=merit)


def spread(values: Sequence[float], form: str) -> str:
    """Return the median with smallest and largest.

    >>> spread([3.0, 1.0, 2.0], ".0f")
    '2 (1 to 3)'
    """
    low, middle, high = (
        "never" if math.isinf(value) else format(value, form)
        for value in (min(values), statistics.median(values), max(values))
    )
    return f"{middle} ({low} to {high})" if low != high else middle


def table(runs: dict[str, list[Run]]) -> str:
    """Return the figures as a Markdown table, one line a variant."""
    heads = ["variant", "lr", *(f"epochs to {loss:g}" for loss in TARGETS), "SGD's epochs / its"]
    heads += ["train loss", "validation loss", "gap", "test accuracy, %", "ms an epoch"]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    slow = statistics.median(r.epochs_to(TARGETS[0]) for r in runs[VARIANTS[0].name])
    for name, mine in runs.items():
        fast = statistics.median(r.epochs_to(TARGETS[0]) for r in mine)
        comparable = math.isfinite(slow) and math.isfinite(fast) and not name.startswith(DEEP)
        lines.append(
            [
                name + (" (edge of the grid)" if mine[0].lr in (RATES[0], RATES[-1]) else ""),
                f"{mine[0].lr:g}",
                *(spread([r.epochs_to(loss) for r in mine], ".0f") for loss in TARGETS),
                f"{slow / fast:.1f}" if comparable else "",
                spread([r.train_loss for r in mine], ".3f"),
                spread([r.last_loss for r in mine], ".3f"),
                spread([r.gap for r in mine], ".3f"),
                spread([100 * r.test_accuracy for r in mine], ".1f"),
                f"{1000 * statistics.median(r.seconds for r in mine):.0f}",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def report(runs: dict[str, list[Run]], split: mg.data.Split, epochs: int, command: str) -> str:
    """Return the Markdown file."""
    seeds = len(next(iter(runs.values())))
    return f"""# Ablation on the digits

Repeat it with `{command}`.

{split}; batches of {BATCH}, {epochs} epochs, {seeds} seeds: the median, smallest and largest of
them.  Losses are taken in evaluation mode after the last epoch, the gap is validation minus
training; the test accuracy is that of the epoch with the lowest validation loss.  "SGD's epochs /
its" compares the medians of epochs to {TARGETS[0]:g}.  The schedule halves the rate after more than
3 epochs without improvement.  All together: AdamW (decay 0.01 on weights), BatchNorm, Dropout
0.2 and 0.5, schedule.  Rates were searched in {", ".join(f"{r:g}" for r in RATES)}.
Times were taken on a machine shared with other work.

{table(runs)}"""


def to_csv(runs: dict[str, list[Run]]) -> str:
    """Return one line an epoch: variant, lr, seed, epoch, validation loss, and the run's scores."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = ["train_loss", "last_val_loss", "last_val_accuracy", "test_accuracy"]
    writer.writerow(["variant", "lr", "seed", "epoch", "val_loss", *heads])
    for r in (r for mine in runs.values() for r in mine):
        scores = [r.train_loss, r.last_loss, r.last_accuracy, r.test_accuracy]
        for epoch, loss in enumerate(r.curve, 1):
            last = [f"{x:.5g}" for x in scores] if epoch == len(r.curve) else [""] * len(scores)
            writer.writerow([r.variant, r.lr, r.seed, epoch, f"{loss:.5g}", *last])
    return text.getvalue()


def plot(runs: dict[str, list[Run]], path: Path) -> None:
    """Draw the curves (medians), those of the deep networks, and the gaps of every seed."""
    figure = Figure(figsize=(14, 4.8), layout="constrained")
    shallow, deep, gaps = figure.subplots(1, 3)
    for name, mine in runs.items():
        columns: Any = zip(*(r.curve for r in mine), strict=False)  # to the first that diverged
        curve = [statistics.median(column) for column in columns]
        axes = deep if name.startswith(DEEP) else shallow
        axes.plot(range(1, len(curve) + 1), curve, label=name)
    for axes, title in ((shallow, "two hidden layers"), (deep, DEEP)):
        axes.axhline(TARGETS[0], color="grey", linestyle=":")
        axes.set(title=title, xlabel="epoch", ylabel="validation loss (median)", yscale="log")
        axes.legend(fontsize=8)
    names = [name for name in runs if not name.startswith(DEEP)]
    for i, name in enumerate(names):
        gaps.plot([r.gap for r in runs[name]], [i] * len(runs[name]), "o", alpha=0.6)
    gaps.set_yticks(range(len(names)), names)
    gaps.invert_yaxis()
    gaps.set(title="gap after the last epoch, each seed", xlabel="validation - training loss")
    figure.savefig(path, dpi=90)


def main(argv: Sequence[str] | None = None) -> dict[str, list[Run]]:
    """Search the rates, run all variants, print and write the figures; return the runs."""
    parser = argparse.ArgumentParser(description="the ablation of the recipe, on the digits")
    parser.add_argument("--small", action="store_true", help="3 epochs, 2 seeds, one rate")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="split; first seed (0)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="how many (5)")
    parser.add_argument("--epochs", type=int, default=60, metavar="N", help="of each run (60)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where ablation.* are written")
    arguments = parser.parse_args(argv)
    seeds, epochs = (2, 3) if arguments.small else (arguments.seeds, arguments.epochs)
    command = f"python examples/ablation.py --seed {arguments.seed} --seeds {seeds}"
    command += f" --epochs {epochs} --out DIR" if not arguments.small else " --small --out DIR"

    started = time.perf_counter()
    split = mg.data.load_digits().split(seed=arguments.seed)
    runs: dict[str, list[Run]] = {}
    for variant in VARIANTS:
        lr = 1e-2 if arguments.small else search(variant, split, RATES, max(1, epochs // 3))
        runs[variant.name] = [
            run(variant, lr, arguments.seed + i, split, epochs) for i in range(seeds)
        ]
        reached = spread([r.epochs_to(TARGETS[0]) for r in runs[variant.name]], ".0f")
        seconds = time.perf_counter() - started
        print(
            f"{variant.name:28}  lr {lr:<6g}  {TARGETS[0]:g} in epoch {reached:20} {seconds:4.0f} s"
        )

    print("\n" + table(runs))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        markdown = report(runs, split, epochs, command)
        (arguments.out / "ablation.md").write_text(markdown, encoding="utf-8")
        (arguments.out / "ablation.csv").write_text(to_csv(runs), encoding="utf-8")
        if Figure is None:
            print('no ablation.png: matplotlib is missing (pip install "minigrad[plot]")')
        else:
            plot(runs, arguments.out / "ablation.png")
        print(f"wrote ablation.* to {arguments.out}")
    return runs


if __name__ == "__main__":
    main()
