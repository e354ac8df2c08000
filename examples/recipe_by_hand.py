"""The production recipe by hand: what `mg.recipe(...).fit(...)` does, with every line visible.

Split, standardise, Linear-BatchNorm-ReLU-Dropout, AdamW with decay on the weights only, the rate
cut on a plateau, early stopping with the best weights and running statistics put back, and one
look at the test rows at the very end.

    python examples/recipe_by_hand.py                # the digits, a few seconds
    python examples/recipe_by_hand.py --out DIR      # writes weights and history too

Needs minigrad only.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn, optim
from minigrad.nn import functional as F

BATCH = 32
LR_PATIENCE = 8  # epochs without improvement until the rate is halved
PATIENCE = 30  # and until training stops


def make_model(n_in: int, n_out: int, widths: Sequence[int] = (256, 128)) -> nn.Sequential:
    """Return the network; logits come out, the softmax is part of the loss."""
    first, last = widths
    return nn.Sequential(
        nn.Linear(n_in, first, bias=False),  # batch-norm's shift is the bias
        nn.BatchNorm1d(first),
        nn.ReLU(),
        nn.Dropout(0.2),  # after the norm: before it, the running variance would fit neither mode
        nn.Linear(first, last, bias=False),
        nn.BatchNorm1d(last),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(last, n_out),
    )


def train_epoch(model: nn.Module, loader: mg.data.DataLoader, optimizer: optim.Optimizer) -> float:
    """Take one pass over the training rows; return the mean loss (with dropout at work)."""
    model.train()  # batch statistics, dropout on
    total, rows = 0.0, 0
    for x, target in loader:
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # gradients add up otherwise
        total += loss.item() * len(x)  # a batch counts by its rows
        rows += len(x)
    return total / rows


def evaluate(model: nn.Module, data: mg.data.Dataset) -> tuple[float, float]:
    """Return mean loss and accuracy over a data set."""
    model.eval()  # running statistics, dropout off
    total, right = 0.0, 0
    with mg.no_grad():  # nothing is recorded, so nothing is kept for a backward
        for x, target in mg.data.DataLoader(data, batch_size=64):
            logits = model(x)
            total += F.cross_entropy(logits, target).item() * len(x)
            right += int((logits.argmax(1) == target).sum().item())
    return total / len(data), right / len(data)


def copy_of(model: nn.Module) -> dict[str, mg.Tensor]:
    """Return parameters *and* buffers as copies: state_dict() itself shares the model's memory."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def main(argv: Sequence[str] | None = None) -> float:
    """Train, restore the best epoch, score once; return the test accuracy."""
    parser = argparse.ArgumentParser(description="the production recipe without Trainer")
    parser.add_argument("--small", action="store_true", help="3 epochs, for a quick check")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="split, weights, order")
    parser.add_argument("--epochs", type=int, default=200, metavar="N", help="at most (200)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write the results")
    arguments = parser.parse_args(argv)
    mg.manual_seed(arguments.seed)

    # The data: three parts that never mix.  Mean and deviation come from the training rows alone.
    digits = mg.data.load_digits()
    parts = mg.data.random_split(
        digits, [0.7, 0.15, 0.15], mg.Generator(arguments.seed), stratify=digits.y
    )
    standardizer = mg.data.Standardizer().fit(digits.x[parts[0].indices])
    train, validation, test = (
        mg.data.TensorDataset(standardizer.transform(digits.x[p.indices]), digits.y[p.indices])
        for p in parts
    )
    # drop_last: 1258 rows leave a last batch of 10; one of a single row would have no variance.
    loader = mg.data.DataLoader(train, batch_size=BATCH, shuffle=True, drop_last=True)

    model = make_model(digits.n_features, digits.n_classes)
    optimizer = optim.AdamW(optim.decay_groups(model, weight_decay=0.01), lr=1e-3)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=LR_PATIENCE)

    best_loss, best_epoch, best_state = float("inf"), 0, copy_of(model)
    history: list[dict[str, Any]] = []
    for epoch in range(1, (3 if arguments.small else arguments.epochs) + 1):
        lr = optimizer.param_groups[0]["lr"]
        train_loss = train_epoch(model, loader, optimizer)
        val_loss, val_accuracy = evaluate(model, validation)
        plateau.step(val_loss)

        improved = val_loss < best_loss  # False for NaN too
        if improved:
            best_loss, best_epoch, best_state = val_loss, epoch, copy_of(model)
        print(
            f"epoch {epoch:3d}   loss {train_loss:.4f}   val_loss {val_loss:.4f}   "
            f"val_accuracy {100 * val_accuracy:5.2f} %   lr {lr:.2g}{'   *' * improved}"
        )
        history.append(
            {"epoch": epoch, "loss": train_loss, "val_loss": val_loss, "accuracy": val_accuracy}
        )
        if epoch - best_epoch >= PATIENCE:
            print(f"stopped: the validation loss has not improved for {PATIENCE} epochs")
            break

    model.load_state_dict(best_state)
    test_loss, test_accuracy = evaluate(model, test)  # once; nothing above has seen these rows
    right = round(test_accuracy * len(test))
    print(f"restored epoch {best_epoch} (val_loss {best_loss:.4f})")
    print(f"test: {100 * test_accuracy:.2f} % ({right} of {len(test)}), loss {test_loss:.4f}")

    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        mg.save(best_state, arguments.out / "model.safetensors")
        columns = np.array([list(row.values()) for row in history])
        header = ",".join(history[0])
        path = arguments.out / "history.csv"
        np.savetxt(path, columns, "%.6g", ",", header=header, comments="")
        print(f"wrote model.safetensors and history.csv to {arguments.out}")
    return test_accuracy


if __name__ == "__main__":
    main()
