"""`minigrad predict`: a trained model on the rows of a new table, to a CSV of predictions."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.cli.options import UsageError, field
from minigrad.cli.train import stem
from minigrad.engine.dispatch import write_whole
from minigrad.tables import report
from minigrad.tables.frame import read_table
from minigrad.tables.model import TableModel, load_model

ABOUT = (
    "Predict the rows of a table: a CSV with a prediction a row, and the probability of each "
    "class. Columns may come in any order, and more of them; the target may be there or not."
)
SHOWN = 5  # rows printed


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = command.add_argument
    add("model", type=Path, metavar="MODEL", help="model.safetensors of `minigrad train`")
    add("table", type=Path, metavar="TABLE", help="the rows: a CSV, TSV or Parquet file")
    add("--out", metavar="CSV", help="where to, - prints (default: TABLE.predictions.csv)")
    add("--delimiter", metavar="X", help="between cells (default: found by looking)")
    add("--no-header", action="store_true", help="the first line is a row, not names")
    add("--encoding", metavar="NAME", help="of the file (default: utf-8, else cp1252)")
    add("--force", action="store_true", help="overwrite the CSV where it is there already")
    add("--quiet", action="store_true", help="print only the file")


def run(arguments: argparse.Namespace) -> int:
    """Read, predict, write; return the exit code."""
    for path in (arguments.model, arguments.table):
        if not path.is_file():
            raise UsageError(f"no such file: {path}")
    out = Path(arguments.out or f"{stem(arguments.table)}.predictions.csv")
    if str(out) != "-" and out.exists() and not arguments.force:
        raise UsageError(f"{out} is there already: name another with --out, or add --force")
    model = load_model(arguments.model)
    frame = read_table(
        arguments.table,
        delimiter={"tab": "\t", "\\t": "\t"}.get(arguments.delimiter, arguments.delimiter),
        header=False if arguments.no_header else None,
        encoding=arguments.encoding,
        known=model.preprocessor.names,
    )
    aligned = model.preprocessor.aligned(frame)
    predictions, probabilities = model.predict_both(aligned)
    text = table_of(model, predictions, probabilities)
    if str(out) == "-":
        sys.stdout.write(text)
        return 0
    write_whole(out, text)
    if not arguments.quiet:
        print(field("model", f"{arguments.model}: {model!r}"))
        for remark in (*frame.notes, *model.preprocessor.remarks(aligned)):
            print(field("note", remark))
        if model.target.name in aligned.names:
            print(field("scores", scores(model, aligned)))
    print(field("wrote", f"{len(predictions):,} predictions to {out}"))
    return 0


def table_of(model: TableModel, predictions: Any, probabilities: Any) -> str:
    """Return predictions as CSV, probabilities with six digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if probabilities is None:
        writer.writerow(["prediction"])
        writer.writerows([f"{value:.9g}"] for value in predictions)
        return text.getvalue()
    writer.writerow(["prediction", *(f"p({name})" for name in model.class_names)])
    for label, row in zip(predictions.tolist(), probabilities.tolist(), strict=True):
        writer.writerow([label, *(f"{p:.6g}" for p in row)])
    return text.getvalue()


def scores(model: TableModel, frame: Any) -> str:
    """Return the scores on rows that have the target, or why there are none."""
    try:
        found = model.evaluate(frame)
    except ValueError as error:
        return f"none: {error}"
    return report.scores_line({k: v for k, v in found.items() if not np.isnan(v)})
