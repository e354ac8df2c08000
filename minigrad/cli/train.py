"""`minigrad train`: the production recipe on a built-in data set, or on a table of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.cli import resuming
from minigrad.cli.options import (
    UsageError,
    at_least,
    device,
    field,
    indented,
    positive,
    widths,
)
from minigrad.data.builtin import DATASETS
from minigrad.data.standardizer import Standardizer
from minigrad.data.tabular import Split, TabularData
from minigrad.distributed.group import is_first
from minigrad.engine.random import manual_seed
from minigrad.engine.threads import set_num_threads
from minigrad.lazy import lazy
from minigrad.serialization import save
from minigrad.tables import report
from minigrad.tables.model import TableModel
from minigrad.tables.network import Shape, rates_for
from minigrad.tables.preparation import NumberInput, TablePreprocessor
from minigrad.tables.recipe import PARTS, RECIPES, TableRecipe, from_table
from minigrad.tables.targets import Classes
from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.history import History
from minigrad.train.callbacks.progress import Progress
from minigrad.train.recipe import Recipe, recipe
from minigrad_kernels import ahead

report_callback = lazy("minigrad.train.callbacks.report")
ABOUT = (
    "Train the production recipe: batch-norm, dropout, AdamW, plateau schedule, early stopping. "
    "70 % of the rows train, 15 % decide when to stop, 15 % give the score. Of a table it finds "
    "the delimiter, the header, and what each column is: numbers, categories, dates, gaps."
)
FRACTIONS = (0.7, 0.15, 0.15)
HIDDEN = (256, 128)
FILES = (
    *(resuming.MODEL, "standardizer.safetensors", "history.csv", "curves.png"),
    "report.html",
)
ENDINGS = (".gz", ".csv", ".tsv", ".txt", ".parquet")


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = command.add_argument
    names = ", ".join(DATASETS)
    add("table", nargs="?", metavar="TABLE", help="a CSV, TSV or Parquet file, gzip or not")
    add("--data", metavar="NAME|CSV", help=f"{names}, or a file as TABLE (default: digits)")
    add("--target", metavar="COLUMN", help="column to predict: name or number (default: the last)")
    task = command.add_mutually_exclusive_group()
    task.add_argument(
        "--classes", action="store_true", help="the target is a class (default: found by looking)"
    )
    task.add_argument(
        "--regression",
        action="store_true",
        help="the target is an amount (default: found by looking)",
    )
    add("--drop", metavar="A,B", default="", help="columns to leave out: names or numbers")
    add(
        "--types",
        metavar="A=KIND,...",
        default="",
        help="what columns are: number, category, date, text, drop",
    )
    add("--delimiter", metavar="X", help="between cells: ',' ';' '|' tab (default: found)")
    add("--no-header", action="store_true", help="the first line is a row, not names")
    add("--encoding", metavar="NAME", help="of the file (default: utf-8, else cp1252)")
    add("--class-weights", metavar="W", help="in the loss: balanced, or NAME=WEIGHT,... of all")
    add(
        "--recipe",
        choices=RECIPES,
        default="plain",
        help="of a table (default: plain; strong is slower)",
    )
    add(
        "--epochs",
        type=at_least(1),
        metavar="N",
        help="at most N epochs (default: 200; strong: 96)",
    )
    add(
        "--seed",
        type=at_least(0),
        default=0,
        metavar="N",
        help="of the split, weights and order (default: 0)",
    )
    add(
        "--batch-size",
        type=at_least(2),
        metavar="N",
        help="rows a step (default: 32, more of many rows)",
    )
    add(
        "--hidden",
        type=widths,
        metavar="N,N",
        help="widths of layers (default: 256,128; strong: 128,128)",
    )
    add(
        "--lr",
        type=positive,
        metavar="X",
        help="learning rate (default: 0.001; strong: about 0.04)",
    )
    add("--threads", type=at_least(1), metavar="N", help="CPU threads (default: all)")
    add("--device", type=device, default="cpu", help="cpu, cuda, cuda:1, cuda-sim (default: cpu)")
    add("--out", type=Path, metavar="DIR", help="folder for the results (default: runs/NAME)")
    add("--resume", action="store_true", help="go on with an interrupted run of the same --out")
    add("--report", action="store_true", help="write report.html too: curves, layers, errors")
    add("--quiet", action="store_true", help="print only the scores and the files")


def run(arguments: argparse.Namespace) -> int:
    """Train, score, write; return the exit code."""
    if arguments.table is not None and arguments.data is not None:
        raise UsageError("expected TABLE or --data, not both")
    name = arguments.table or arguments.data or "digits"
    if arguments.threads is not None:
        set_num_threads(arguments.threads)
    if arguments.device == "cpu" and is_first():
        ahead.start(ahead.first_step())
    if name in DATASETS:
        return train_builtin(name, arguments)
    if not Path(name).is_file():
        raise UsageError(
            f"no data set {name!r}: expected {', '.join(DATASETS)}, or the path of a CSV file"
        )
    return train_table(Path(name), arguments)


# ---------------------------------------------------------------- tables
def train_table(path: Path, arguments: argparse.Namespace) -> int:
    """Train on a file's table."""
    built = from_table(
        path,
        -1 if arguments.target is None else arguments.target,
        task="classes" if arguments.classes else "regression" if arguments.regression else None,
        types=dict(_pair(part, "--types") for part in _parts(arguments.types)),
        drop=_parts(arguments.drop),
        delimiter=_delimiter(arguments.delimiter),
        header=False if arguments.no_header else None,
        encoding=arguments.encoding,
        recipe=arguments.recipe,
        hidden=arguments.hidden,
        lr=arguments.lr,
        class_weights=_weights(arguments.class_weights),
        fractions=FRACTIONS,
        seed=arguments.seed,
        device=arguments.device,
    )
    out = arguments.out or Path("runs") / stem(path)
    out.mkdir(parents=True, exist_ok=True)
    room = room_for(out, arguments)
    if not arguments.quiet:
        print(describe_table(path, built, arguments))
    told, keeper = resuming.callbacks_for(out, arguments, path)
    names = built.target.labels if isinstance(built.target, Classes) else None
    with resuming.warnings_as_notes(arguments.quiet):
        history = built.fit(
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            callbacks=[told, keeper, *shown(out, stem(path), names, arguments)],
            resume=resuming.way(arguments),
        )
    if not history.rows:
        raise KeyboardInterrupt
    if not arguments.quiet:
        print()
    scores = built.evaluate()
    print(table_score(built, scores, history))
    verdict = report.baseline_lines(scores, built.baselines(), len(built.test)).splitlines()
    said = [line for line in verdict if line.startswith("The model")] + hints(built, arguments)
    if not arguments.quiet:
        if isinstance(built.target, Classes):
            print(indented(report.confusion_table(built.confusion(), built.target.labels)))
        print(field("against", verdict[0]))
        print(indented("\n".join(line for line in verdict[1:] if line not in said)))
    for line in said:
        print(field("note", line))
    options = {"anew": not told.resumed, "report": arguments.report}
    files = write(out, room, built.save, scores, history, **options)
    print(field("wrote", files))
    return resuming.ended(history, keeper)


def describe_table(path: Path, built: TableRecipe, arguments: argparse.Namespace) -> str:
    """Return what was read, what each column was taken for, and what is about to be trained."""
    frame, target = built.frame, built.target
    features = len(built.preprocessor.columns)
    plural = "s" * (features != 1)
    what = f"{target.n_out} classes" if isinstance(target, Classes) else "regression"
    group = built.recipe.optimizer.param_groups[0]
    counts = (f"{len(part):,} {name}" for name, part in zip(PARTS, built.rows, strict=True))
    batch = arguments.batch_size or built.batch_size
    epochs = arguments.epochs or built.epochs
    how = "classes in proportion, " if isinstance(target, Classes) else ""
    asked = arguments.classes or arguments.regression
    lines = [
        field("data", f"{stem(path)}: {len(frame):,} rows, {features} feature{plural}, {what}"),
        indented(report.summary(built.taken)),
        "",
        report.columns_table(built.taken, built.preprocessor),
        "",
        field("target", report.target_line(target, asked)),
        *(field("note", note) for note in built.notes),
        field("split", f"{', '.join(counts)} rows; seed {built.seed}, {how}standardised"),
        field("model", f"{built.shape}, {built.recipe.parameter_count:,} parameters"),
        field(
            "recipe",
            f"AdamW, lr {group['lr']:g}, weight decay {group['weight_decay']:g} on weights, "
            f"batches of {batch}, at most {epochs} epochs",
        ),
        "",
    ]
    return "\n".join(lines)


def table_score(built: TableRecipe, scores: dict[str, float], history: History) -> str:
    """Return the test scores, and of which epoch the weights are."""
    weights = weights_of(history)
    if built.share is not None and built.share < 1:
        kept = f"{built.share:.0%} of the network" if built.share else "none of the network"
        weights += f", {kept} beside the linear model that it began with"
    if not isinstance(built.target, Classes):
        return field("test", f"{report.scores_line(scores)}; weights of {weights}")
    rest = {name: value for name, value in scores.items() if name != "accuracy"}
    rows = len(built.test)
    wrong = round(rows * (1 - scores["accuracy"]))
    first = (
        f"accuracy {100 * scores['accuracy']:.2f} % ({wrong} of {rows} wrong); weights of {weights}"
    )
    return f"{field('test', first)}\n{indented(report.scores_line(rest))}"


def hints(built: TableRecipe, arguments: argparse.Namespace) -> list[str]:
    """Return hints on what the scores hide."""
    if not isinstance(built.target, Classes):
        return []
    weighted = arguments.class_weights is not None
    hint = report.imbalance_hint(built.confusion(), built.target.labels, weighted)
    return [hint] if hint else []


def stem(path: Path) -> str:
    """Return a file's name without its endings.

    >>> stem(Path("data/houses.csv.gz"))
    'houses'
    """
    name = path.name
    while any(name.endswith(ending) and name != ending for ending in ENDINGS):
        name = name[: name.rfind(".")]
    return name


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pair(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.rpartition("=")
    if not sign or not name:
        raise UsageError(f"{option}: expected COLUMN=..., got {text!r}")
    return name.strip(), value.strip()


def _delimiter(text: str | None) -> str | None:
    return {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";"}.get(
        text or "", text
    )


def _weights(text: str | None) -> str | dict[str, float] | None:
    if text is None or text == "balanced":
        return text
    try:
        pairs = (_pair(part, "--class-weights") for part in _parts(text))
        return {name: float(value) for name, value in pairs}
    except ValueError:
        raise UsageError(f"--class-weights: expected NAME=WEIGHT, got {text!r}") from None


# ---------------------------------------------------------------- built-in data sets
def train_builtin(name: str, arguments: argparse.Namespace) -> int:
    """Train on a data set of the package."""
    if arguments.recipe != "plain":
        raise UsageError(f"--recipe is for CSV files; {name} has the plain one")
    arguments.epochs = arguments.epochs or 200
    arguments.hidden = HIDDEN if arguments.hidden is None else arguments.hidden
    arguments.lr = arguments.lr or 1e-3
    for option in ("target", "drop", "types", "delimiter", "encoding", "class_weights"):
        if getattr(arguments, option):
            flag = option.replace("_", "-")
            raise UsageError(f"--{flag} is for CSV files; {name} has its own {option}")
    if arguments.regression:
        raise UsageError(f"--regression is for CSV files; {name} has classes")
    say: Callable[..., None] = _silent if arguments.quiet else print
    data = DATASETS[name]()
    manual_seed(arguments.seed)
    split = data.split(arguments.seed, FRACTIONS)
    options = {"lr": arguments.lr, "device": arguments.device}
    built = recipe(data.n_features, data.n_classes, arguments.hidden, **options)
    out = arguments.out or Path("runs") / data.name
    out.mkdir(parents=True, exist_ok=True)
    room = room_for(out, arguments)
    batch_size = arguments.batch_size or 32
    say(describe(data, split, arguments, built, batch_size))
    told, keeper = resuming.callbacks_for(out, arguments, None)
    with resuming.warnings_as_notes(arguments.quiet):
        history = built.fit(
            split.train,
            split.validation,
            epochs=arguments.epochs,
            batch_size=min(batch_size, len(split.train)),
            callbacks=[told, keeper, *shown(out, data.name, data.target_names, arguments)],
            resume=resuming.way(arguments),
        )
    if not history.rows:
        raise KeyboardInterrupt
    say("")
    scores = built.evaluate(split.test)
    print(score(scores, len(split.test), history))
    model = table_model(data, split, built, arguments)

    def save_model(path: Path, scores: dict[str, float]) -> Path:
        model.about["scores"] = scores
        return model.save(path)

    options = {"anew": not told.resumed, "report": arguments.report}
    files = write(out, room, save_model, scores, history, split.standardizer, **options)
    print(field("wrote", files))
    return resuming.ended(history, keeper)


def describe(
    data: TabularData, split: Split, arguments: Any, built: Recipe, batch_size: int
) -> str:
    """Return what is about to be trained on what."""
    sizes = [data.n_features, *arguments.hidden, data.n_classes]
    option = built.optimizer.param_groups[0]
    parts = (f"{len(part):,} {name}" for name, part in zip(PARTS, split, strict=True))
    return "\n".join(
        [
            field(
                "data",
                f"{data.name}: {len(data):,} rows, {data.n_features} features, "
                f"{data.n_classes} classes",
            ),
            field(
                "split",
                f"{', '.join(parts)} rows; seed {arguments.seed}, classes in "
                "proportion, standardised",
            ),
            field("model", f"{' -> '.join(map(str, sizes))}, {built.parameter_count:,} parameters"),
            indented(repr(built.model)),
            field(
                "recipe",
                f"AdamW, lr {option['lr']:g}, weight decay {option['weight_decay']:g} "
                f"on weights, batches of {batch_size}, at most {arguments.epochs} "
                "epochs",
            ),
            "",
        ]
    )


def score(scores: dict[str, float], rows: int, history: History) -> str:
    """Return the test score, and of which epoch the weights are."""
    wrong = round(rows * (1 - scores["accuracy"]))
    return field(
        "test",
        f"accuracy {100 * scores['accuracy']:.2f} % ({wrong} of {rows} wrong), "
        f"loss {scores['loss']:.4f}; weights of {weights_of(history)}",
    )


def table_model(
    data: TabularData, split: Split, built: Recipe, arguments: argparse.Namespace
) -> TableModel:
    """Return the model with its preprocessing, which `minigrad predict` takes."""
    assert split.standardizer is not None
    state = split.standardizer.state_dict()
    most = float(np.finfo(np.float64).max)
    inputs = [
        NumberInput(name, "plain", float(mean), -most, most, float(mean), float(scale), False)
        for name, mean, scale in zip(data.feature_names, state["mean"], state["scale"], strict=True)
    ]
    target = Classes("target", data.target_names)
    preprocessor = TablePreprocessor(inputs, data.feature_names, target)
    rates = rates_for(arguments.hidden, 0.2, 0.5)
    shape = Shape(data.n_features, (), tuple(arguments.hidden), data.n_classes, "relu", rates)
    counts = dict(zip(PARTS, map(len, split), strict=True))
    about = {"seed": arguments.seed, "rows": counts}
    return TableModel(built.model, shape, preprocessor, about)


# ---------------------------------------------------------------- results
def shown(out: Path, name: str, class_names: Any, arguments: argparse.Namespace) -> list[Callback]:
    """Return what shows the fit, and what writes the page about it."""
    found: list[Callback] = [] if arguments.quiet else [Progress()]
    if arguments.report:
        given = {k: v for k, v in vars(arguments).items() if v not in (None, "", False)}
        options = ", ".join(f"{k} {v}" for k, v in given.items() if not callable(v))
        found.append(
            report_callback.Report(
                out / "report.html",
                class_names=class_names,
                title=f"{name}: minigrad train",
                details={"data": name, "options": options},
            )
        )
    return found


def weights_of(history: History) -> str:
    """Say of which epoch the weights are."""
    epoch = history.restored_epoch
    return "the last step" if epoch is None else f"epoch {epoch}, the best on validation"


def write(
    out: Path,
    room: Callable[[], Path | None],
    save_model: Callable[[Path, dict[str, float]], Path],
    scores: dict[str, float],
    history: History,
    standardizer: Standardizer | None = None,
    *,
    anew: bool = True,
    report: bool = False,
) -> str:
    """Write model, history and curves; return a line that names them.

    room: makes room for the files of this run.  anew: False where the run was resumed: what is
    there is its own.  report: whether there is one, to be named too.
    """
    if not is_first():
        return ""
    kept = room() if anew else None
    files = [save_model(out / resuming.MODEL, scores)]
    if standardizer is not None:
        files.append(save(standardizer, out / "standardizer.safetensors"))
    files.append(history.to_csv(out / "history.csv"))
    missing = ""
    try:
        history.plot(out / "curves.png")
        files.append(out / "curves.png")
    except ModuleNotFoundError as error:
        missing = f"; no curves: {error}"
    files += [out / "report.html"] * report
    earlier = f"; the earlier run is now in {kept}" if kept else ""
    return f"{', '.join(file.name for file in files)} in {out}{earlier}{missing}"


def room_for(out: Path, arguments: argparse.Namespace) -> Callable[[], Path | None]:
    """Return what makes room for the files of this run: at its end; or now, where a report is
    written during the fit, but for a run that goes on, whose own report stays.
    """
    if not arguments.report or not is_first():
        return partial(make_room, out, FILES)
    if arguments.resume:
        return partial(make_room, out, FILES[:-1])
    kept = make_room(out, FILES)
    return lambda: kept


def make_room(out: Path, names: Sequence[str]) -> Path | None:
    """Move the files of an earlier run to a folder of their own; return it, None for no files."""
    old = [out / name for name in names if (out / name).exists()]
    if not old:
        return None
    number = 1
    while (out / f"earlier-{number}").exists():
        number += 1
    kept = out / f"earlier-{number}"
    kept.mkdir()
    for file in old:
        file.rename(kept / file.name)
    return kept


def _silent(text: str) -> None:
    """Print nothing."""
