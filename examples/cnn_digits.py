"""A small convolutional network on the 8x8 digits, beside the recipe's multilayer perceptron.

Both are trained alike: AdamW, the rate cut when the validation loss stalls, early stopping with the
best weights restored, and one look at the test rows.  The CNN sees the pixels as an 8x8 image; no
other use is made of where they lie (no augmentation).

    python examples/cnn_digits.py              # five seeds, about a minute
    python examples/cnn_digits.py --out DIR    # also writes cnn_digits.md

Needs minigrad only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import minigrad as mg
from minigrad import nn
from minigrad.train import EarlyStopping, ScheduleLR, Trainer
from minigrad.train.metrics import accuracy

BATCH = 32
LR_PATIENCE, PATIENCE = 8, 30  # as in mg.recipe


@dataclass(frozen=True)
class Result:
    """One run: accuracy on the test rows, the epoch restored, seconds of training."""

    accuracy: float
    epochs: int
    seconds: float


def cnn(classes: int) -> nn.Sequential:
    """Return the network: (N, 64) pixels -> (N, classes) logits."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 32, 3, padding=1, bias=False),  # batch-norm's shift is the bias
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * 64, classes),
    )


def mlp(classes: int) -> nn.Module:
    """Return the recipe's network for the same task."""
    return mg.recipe(64, classes).model


MODELS = {"CNN": cnn, "MLP 256-128": mlp}


def run(name: str, seed: int, epochs: int) -> Result:
    """Train one model on one split and return what it reached."""
    mg.manual_seed(seed)
    train, validation, test = mg.data.load_digits().split(seed=seed)
    model = MODELS[name](10)
    optimizer = mg.optim.AdamW(mg.optim.decay_groups(model, weight_decay=0.01), lr=1e-3)
    plateau = mg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=LR_PATIENCE)
    stopping = EarlyStopping(patience=PATIENCE)
    trainer = Trainer(
        model,
        optimizer,
        metrics={"accuracy": accuracy},
        callbacks=[ScheduleLR(plateau), stopping],
    )
    start = time.perf_counter()
    history = trainer.fit(
        mg.data.DataLoader(train, BATCH, shuffle=True, drop_last=True),
        mg.data.DataLoader(validation, 2 * BATCH),
        epochs=epochs,
    )
    seconds = time.perf_counter() - start
    scores = trainer.evaluate(mg.data.DataLoader(test, 2 * BATCH))
    return Result(scores["accuracy"], len(history.rows), seconds)


def parameters(name: str) -> int:
    """Return how many numbers a model trains."""
    return sum(p.numel() for p in MODELS[name](10).parameters())


def report(results: dict[str, list[Result]], epochs: int) -> str:
    """Return the table in Markdown."""
    count = len(next(iter(results.values())))
    lines = [
        "# A small CNN on the digits",
        "",
        f"`python examples/cnn_digits.py --seeds {count} --epochs {epochs} --out DIR`: accuracy on "
        "269 test rows that training never saw, one split a seed.",
        "",
        "| model | parameters | test accuracy, % (mean, then each seed) | epochs | s a run |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for name, runs in results.items():
        scores = [100 * r.accuracy for r in runs]
        each = ", ".join(f"{score:.2f}" for score in scores)
        lines.append(
            f"| {name} | {parameters(name):,} | {statistics.mean(scores):.2f} ({each}) "
            f"| {statistics.median(r.epochs for r in runs):.0f} "
            f"| {statistics.median(r.seconds for r in runs):.1f} |"
        )
    return "\n".join([*lines, ""])


def main(argv: Sequence[str] | None = None) -> dict[str, list[Result]]:
    """Train both models on every seed and report."""
    parser = argparse.ArgumentParser(description="a small CNN on the digits, beside the MLP")
    parser.add_argument("--small", action="store_true", help="2 epochs of one seed")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="runs of each (5)")
    parser.add_argument("--epochs", type=int, default=200, metavar="N", help="at most (200)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write cnn_digits.md")
    arguments = parser.parse_args(argv)
    epochs = 2 if arguments.small else arguments.epochs
    results: dict[str, list[Result]] = {name: [] for name in MODELS}
    for seed in range(1 if arguments.small else arguments.seeds):
        for name, runs in results.items():
            runs.append(run(name, seed, epochs))
            latest = runs[-1]
            print(
                f"seed {seed}   {name:<12} {100 * latest.accuracy:6.2f} %   "
                f"{latest.epochs} epochs, {latest.seconds:.1f} s"
            )
    text = report(results, epochs)
    print(text)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "cnn_digits.md").write_text(text, encoding="utf-8")
    return results


if __name__ == "__main__":
    main()
