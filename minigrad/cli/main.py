"""The command line: `minigrad train`, `minigrad check`, `minigrad compare` and `minigrad run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minigrad import compare
from minigrad.checking import command as checking_command
from minigrad.cli import run as running
from minigrad.data.builtin import DATASETS
from minigrad.data.csv_files import load_csv
from minigrad.data.tabular import Split, TabularData
from minigrad.engine.device import Device
from minigrad.engine.random import manual_seed
from minigrad.serialization import save
from minigrad.train.callbacks.history import History, counted
from minigrad.train.callbacks.progress import Progress
from minigrad.train.recipe import Recipe, recipe

FRACTIONS = (0.7, 0.15, 0.15)
INTERRUPTED = 130  # what a shell returns for a command ended by Ctrl-C


class UsageError(Exception):
    """An error that the user can mend, said in one line."""


class Parser(argparse.ArgumentParser):
    """argparse with one line for an error, where it prints the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 2 for a mistake in the arguments or the data.

    >>> main(["train", "--data", "nothing.csv"])
    2
    """
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (UsageError, ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"minigrad {arguments.command}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def parser() -> Parser:
    """Return the parser of all commands."""
    top = Parser(prog="minigrad", description="A small deep-learning framework.")
    top.add_argument("--version", action="version", version=f"minigrad {_version()}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    train_parser(commands)
    check_parser(commands)
    compare_parser(commands)
    run_parser(commands)
    return top


def train_parser(commands: Any) -> None:
    """Add `minigrad train` with its options."""
    command = commands.add_parser(
        "train",
        help="train the production recipe on a data set, up to its test score",
        description="Train the production recipe: batch-norm, dropout, AdamW, plateau schedule, "
        "early stopping. 70 % of the rows train, 15 % decide when to stop, 15 % give the score.",
    )
    add = command.add_argument
    names = ", ".join(DATASETS)
    add("--data", default="digits", metavar="NAME|CSV", help=f"{names}, or a file (digits)")
    add("--target", metavar="COLUMN", help="name or number of the CSV's target column (the last)")
    add("--epochs", type=_at_least(1), default=200, metavar="N", help="at most N epochs (200)")
    add("--seed", type=_at_least(0), default=0, metavar="N", help="split, weights, order (0)")
    add("--batch-size", type=_at_least(2), default=32, metavar="N", help="rows a step (32)")
    add("--hidden", type=_widths, default=(256, 128), metavar="N,N", help="layers (256,128)")
    add("--lr", type=_positive, default=1e-3, metavar="X", help="first learning rate (0.001)")
    add("--device", type=_device, default="cpu", help="cpu, cuda, cuda:1 or cuda-sim (cpu)")
    add("--out", type=Path, metavar="DIR", help="where results are written (runs/NAME)")
    add("--quiet", action="store_true", help="print only the score and the files")
    command.set_defaults(run=train)


def check_parser(commands: Any) -> None:
    """Add `minigrad check` with its options."""
    description = f"{checking_command.HELP.capitalize()}, in float64, to second order."
    command = commands.add_parser("check", help=checking_command.HELP, description=description)
    checking_command.add_options(command)
    command.set_defaults(run=checking_command.run)


def compare_parser(commands: Any) -> None:
    """Add `minigrad compare` with its options."""
    command = commands.add_parser("compare", help=compare.HELP, description=compare.HELP)
    compare.options(command)
    command.set_defaults(run=compare.run_command)


def run_parser(commands: Any) -> None:
    """Add `minigrad run` with its options."""
    command = commands.add_parser("run", help=running.HELP, description=running.HELP)
    running.add_options(command)
    command.set_defaults(run=running.run)


def train(arguments: argparse.Namespace) -> int:
    """Train, score, write; return the exit code."""
    say = _silent if arguments.quiet else print
    data = _load(arguments.data, arguments.target)
    manual_seed(arguments.seed)
    split = data.split(arguments.seed, FRACTIONS)
    options = {"lr": arguments.lr, "device": arguments.device}
    built = recipe(data.n_features, data.n_classes, arguments.hidden, **options)
    out = arguments.out or Path("runs") / data.name
    out.mkdir(parents=True, exist_ok=True)
    say(describe(data, split, arguments, built))
    progress = [] if arguments.quiet else [Progress()]
    history = built.fit(
        split.train,
        split.validation,
        epochs=arguments.epochs,
        batch_size=min(arguments.batch_size, len(split.train)),
        callbacks=progress,
    )
    if not history.rows:
        raise KeyboardInterrupt
    say("")
    print(score(built, split, history))
    print(_field("wrote", write(out, built, split, history)))
    return INTERRUPTED if history.interrupted else 0


def describe(data: TabularData, split: Split, arguments: Any, built: Recipe) -> str:
    """Return what is about to be trained on what."""
    sizes = [data.n_features, *arguments.hidden, data.n_classes]
    option = built.optimizer.param_groups[0]
    parts = (f"{len(part):,} {name}" for name, part in zip(_PARTS, split, strict=True))
    return "\n".join(
        [
            _field(
                "data",
                f"{data.name}: {len(data):,} rows, {data.n_features} features, "
                f"{data.n_classes} classes",
            ),
            _field(
                "split",
                f"{', '.join(parts)} rows; seed {arguments.seed}, classes in "
                "proportion, standardised",
            ),
            _field(
                "model", f"{' -> '.join(map(str, sizes))}, {built.parameter_count:,} parameters"
            ),
            _indented(repr(built.model)),
            _field(
                "recipe",
                f"AdamW, lr {option['lr']:g}, weight decay {option['weight_decay']:g} "
                f"on weights, batches of {arguments.batch_size}, at most {arguments.epochs} "
                "epochs",
            ),
            "",
        ]
    )


def score(built: Recipe, split: Split, history: History) -> str:
    """Return the test score, and of which epoch the weights are."""
    scores = built.evaluate(split.test)
    rows = len(split.test)
    wrong = round(rows * (1 - scores["accuracy"]))
    epoch = history.restored_epoch
    weights = "the last step" if epoch is None else f"epoch {epoch}, the best on validation"
    return _field(
        "test",
        f"accuracy {100 * scores['accuracy']:.2f} % ({wrong} of {rows} wrong), "
        f"loss {scores['loss']:.4f}; weights of {weights}",
    )


def write(out: Path, built: Recipe, split: Split, history: History) -> str:
    """Write model, standardizer, history and curves; return a line that names them."""
    files = [save(built.model, out / "model.safetensors")]
    if split.standardizer is not None:
        files.append(save(split.standardizer, out / "standardizer.safetensors"))
    files.append(history.to_csv(out / "history.csv"))
    missing = ""
    try:
        history.plot(out / "curves.png")
        files.append(out / "curves.png")
    except ModuleNotFoundError as error:
        missing = f"; no curves: {error}"
    return f"{', '.join(file.name for file in files)} in {out}{missing}"


# ---------------------------------------------------------------- arguments and lines
_PARTS = ("training", "validation", "test")


def _load(name: str, target: str | None) -> TabularData:
    """Return an embedded data set, or a CSV file."""
    if name in DATASETS:
        if target is not None:
            raise UsageError(f"--target is for CSV files; {name} has its own target")
        return DATASETS[name]()
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no data set {name!r}: expected {', '.join(DATASETS)}, or the path of a CSV file"
        )
    column: str | int = -1 if target is None else target
    if target is not None and target.lstrip("-").isdigit():
        column = int(target)
    return _classifiable(load_csv(path, column))


def _classifiable(data: TabularData) -> TabularData:
    """Refuse a target such as a price: every part of the split needs rows of each class."""
    counts = np.bincount(data.y, minlength=data.n_classes)
    rarest = int(counts.argmin())
    distinct = counted(data.n_classes, "distinct value")
    if data.n_classes < 2 or counts[rarest] < len(FRACTIONS):
        raise UsageError(
            f"{data.name}: the target column has {distinct} in {len(data)} rows, "
            f"{data.target_names[rarest]!r} in {counts[rarest]}; expected at least 2 classes of at "
            f"least {len(FRACTIONS)} rows each (choose the column with --target)"
        )
    return data


def _at_least(least: int) -> Callable[[str], int]:
    """Return what reads an option as a whole number of at least `least`."""

    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number >= {least}, got {text!r}")
        return value

    return whole


def _device(text: str) -> Device:
    """Return a device that can be used."""
    try:
        device = Device(text)
        device.target()
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return device


def _positive(text: str) -> float:
    """Read an option as a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def _widths(text: str) -> tuple[int, ...]:
    """Read an option as widths of hidden layers, such as 256,128."""
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = (0,)
    if min(widths) < 1:
        raise argparse.ArgumentTypeError(f"expected widths such as 256,128, got {text!r}")
    return widths


def _field(name: str, text: str) -> str:
    """Return a line with a name and its text beside it."""
    return f"{name:<8}{text}"


def _indented(text: str) -> str:
    """Return a text whose lines begin where the texts of fields do."""
    return "\n".join(f"{'':<8}{line}" for line in text.splitlines())


def _silent(text: str) -> None:
    """Print nothing."""


def _one_line(error: BaseException) -> str:
    """Return an error's message as one line."""
    return " ".join(str(error).split())


def _version() -> str:
    """Return the version of the installed package."""
    try:
        return version("minigrad")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "(not installed)"
