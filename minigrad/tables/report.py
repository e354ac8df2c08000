"""What a person reads of a table's model: columns, scores, baselines, and what to think of them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.lazy import lazy
from minigrad.tables.columns import USED, Taken
from minigrad.tables.frame import shortened
from minigrad.tables.preparation import TablePreprocessor
from minigrad.tables.targets import Amount, Classes

rich_console = lazy("rich.console")
rich_table = lazy("rich.table")
rich_text = lazy("rich.text")
Array = np.ndarray[Any, Any]
MOST_LINES = 40  # of columns shown
MOST_SHOWN = 12  # classes of a confusion matrix shown
CORNER = "true \\ taken for"
RARE = 0.2  # a class of less than this share is hidden by accuracy
PERCENT = ("accuracy", "balanced_accuracy")
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R2",
}


def columns_table(taken: Sequence[Taken], preprocessor: TablePreprocessor) -> str:
    """Return a table of what each column was taken for, of many columns the first.

    >>> from minigrad.tables.frame import as_frame
    >>> from minigrad.tables.columns import take_columns
    >>> frame = as_frame({"size": [1.0, None]})
    >>> print(columns_table(take_columns(frame), TablePreprocessor.fit(frame)))
    column  taken for  missing  distinct  inputs  values
    size    number     1        1         2       1 to 1
    """
    inputs = {i.name: i for i in preprocessor.inputs}
    table = rich_table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("column", "taken for", "missing", "distinct", "inputs", "values"):
        table.add_column(heading, no_wrap=True)
    shown = taken if len(taken) <= MOST_LINES else taken[: MOST_LINES - 10]
    for column in shown:
        made = "left out"
        if column.name in inputs:
            found = inputs[column.name]
            width = getattr(found, "width", 0)
            made = f"embedding {width}" if width else str(len(found.outputs))
        table.add_row(
            rich_text.Text(shortened(column.name, 30)),
            column.kind,
            f"{column.missing:,}" if column.missing else "",
            f"{column.distinct:,}" if column.distinct else "",
            made,
            rich_text.Text(shortened(column.about, 44)),
        )
    text = io.StringIO()
    rich_console.Console(file=text, width=140, soft_wrap=True).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    if len(shown) < len(taken):
        rest = taken[len(shown) :]
        kinds: dict[str, int] = {}
        for column in rest:
            kinds[column.kind] = kinds.get(column.kind, 0) + 1
        counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        lines.append(f"... and {len(rest):,} more columns: {counted}")
    return "\n".join(lines)


def summary(taken: Sequence[Taken]) -> str:
    """Return how many columns are of each kind.

    >>> summary([Taken("a", "number"), Taken("b", "number"), Taken("c", "empty")])
    '2 number, 1 empty (left out)'
    """
    kinds: dict[str, int] = {}
    for column in taken:
        kinds[column.kind] = kinds.get(column.kind, 0) + 1
    return ", ".join(
        f"{count:,} {kind}" + ("" if kind in USED else " (left out)")
        for kind, count in kinds.items()
    )


def scores_line(scores: Mapping[str, float]) -> str:
    """Return scores in one line.

    >>> scores_line({"accuracy": 0.975, "auroc": 0.99876})
    'accuracy 97.50 %, AUROC 0.9988'
    """
    return ", ".join(f"{NAMES[name]} {shown(name, value)}" for name, value in scores.items())


def shown(name: str, value: float) -> str:
    """Return a score as a person reads it."""
    if np.isnan(value):
        return "-"
    if name in PERCENT:
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" if name in ("mae", "rmse") else f"{value:.4f}"


def main_score(scores: Mapping[str, float]) -> str:
    """Return the score by which models are held against each other: R2, or accuracy."""
    return "r2" if "r2" in scores else "accuracy"


def baseline_lines(
    scores: Mapping[str, float], others: Mapping[str, Mapping[str, float]], rows: int
) -> str:
    """Return the scores of the baselines on so many rows, and a plain word where the model is no
    better.
    """
    main = main_score(scores)
    names = [main, "balanced_accuracy", "auroc"] if main == "accuracy" else ["r2", "mae"]
    titles = {"majority": "majority class", "mean": "mean", "linear": "linear model"}
    lines = []
    for name, found in others.items():
        kept = {key: found[key] for key in names if key in found}
        lines.append(f"{titles.get(name, 'nearest neighbours'):<19}{scores_line(kept)}")
    best = max(others, key=lambda name: others[name][main])
    title = {"majority": "the majority class", "mean": "the mean", "linear": "a linear model"}
    known = title.get(best, "nearest neighbours")
    ours, theirs = scores[main], others[best][main]
    if ours < theirs:
        advice = "use that, or train otherwise"
        if main == "accuracy" and theirs - ours < (theirs * (1 - theirs) / rows) ** 0.5:
            advice = f"in {rows} rows that may be chance"
        lines.append(
            f"The model is WORSE than {known} ({shown(main, ours)} against {shown(main, theirs)} "
            f"{NAMES[main]}): {advice}."
        )
    elif ours == theirs:
        lines.append(f"The model is no better than {known}.")
    return "\n".join(lines)


def confusion_table(table: Array, labels: Sequence[str]) -> str:
    """Return a confusion matrix as text, of many classes those most often wrong.

    >>> print(confusion_table(np.array([[5, 1], [0, 4]]), ["cat", "dog"]))
    true ... taken for  cat  dog
    cat                 5    1
    dog                 0    4
    """
    rows = range(len(labels))
    if len(labels) > MOST_SHOWN:
        wrong = table.sum(1) - table.diagonal()
        rows = sorted(np.argsort(-wrong, kind="stable")[:MOST_SHOWN].tolist())  # type: ignore
    names = [shortened(labels[i], 12) for i in rows]
    first = max(len(CORNER), *map(len, names))
    widths = [
        max(len(name), len(str(table[:, i].max()))) for i, name in zip(rows, names, strict=True)
    ]
    lines = [
        "  ".join(
            [CORNER.ljust(first)]
            + [name.rjust(width) for name, width in zip(names, widths, strict=True)]
        )
    ]
    for i, name in zip(rows, names, strict=True):
        cells = [str(table[i, j]).rjust(width) for j, width in zip(rows, widths, strict=True)]
        lines.append("  ".join([name.ljust(first), *cells]))
    return "\n".join(lines)


def imbalance_hint(table: Array, labels: Sequence[str], weighted: bool) -> str:
    """Return a hint where accuracy hides that a rare class is not found; "" where it does not.

    >>> imbalance_hint(np.array([[990, 2], [6, 2]]), ["ok", "fraud"], False)[:47]
    'Accuracy hides an imbalance: of 8 rows of class'
    """
    counts = table.sum(1)
    share = counts / max(counts.sum(), 1)
    said = []
    for i in np.argsort(share, kind="stable").tolist():
        if 0 < share[i] < RARE / max(len(labels) - 1, 1) and 2 * table[i, i] < counts[i]:
            said.append(f"of {counts[i]} rows of class {labels[i]!r} {table[i, i]} were found")
    if not said:
        return ""
    more = f"; {len(said) - 3} more such classes" if len(said) > 3 else ""
    advice = "" if weighted else "; --class-weights balanced weighs rare classes more"
    return f"Accuracy hides an imbalance: {', '.join(said[:3])}{more}{advice}."


def target_line(target: Classes | Amount, asked: bool) -> str:
    """Say what is predicted, and why."""
    why = "as asked for" if asked else "by its values"
    if isinstance(target, Classes):
        names = ", ".join(shortened(label, 20) for label in target.labels[:8])
        more = f" and {len(target.labels) - 8} more" if len(target.labels) > 8 else ""
        return (
            f"{target.name!r}: classification, {why}; {len(target.labels)} classes: {names}{more}"
        )
    return (
        f"{target.name!r}: regression, {why}; mean {target.mean:.6g}, deviation {target.scale:.6g}"
    )
