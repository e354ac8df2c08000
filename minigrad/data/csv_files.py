"""Tables from CSV files; what cannot be read is named by line and column."""

from __future__ import annotations

import csv
import math
from os import PathLike
from pathlib import Path

import numpy as np

from minigrad.data.tabular import TabularData


def load_csv(
    path: str | PathLike[str],
    target: str | int = -1,
    *,
    regression: bool = False,
    delimiter: str = ",",
) -> TabularData:
    """Read a CSV file with a header line into features and a target.

    target: name or number of the target's column, by default the last.
    regression: read the target as numbers; otherwise its distinct values are the classes, numbers
        in rising order, then words in alphabetical order.
    All other columns must be finite numbers: encode categories and fill gaps first.

    Raises: ValueError naming line and column of what is not a finite number, a line of another
        length, an empty file, or an unknown target.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "fruit.csv"
    >>> _ = path.write_text("weight,size,kind\\n1.5,2,apple\\n0.1,1,cherry\\n")
    >>> load_csv(path, target="kind")
    <fruit: 2 rows, 2 features, 2 classes (apple 1, cherry 1)>
    """
    path = Path(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter)
        lines = [(reader.line_num, cells) for cells in reader if cells]
    if len(lines) < 2:
        raise ValueError(f"load_csv: {path} has no rows; expected a header line and rows below it")
    header = [name.strip() for name in lines[0][1]]
    column = _target_column(path, header, target)
    features = [i for i in range(len(header)) if i != column]
    x = np.empty((len(lines) - 1, len(features)), np.float32)
    labels = []
    for row, (line, cells) in enumerate(lines[1:]):
        if len(cells) != len(header):
            raise ValueError(
                f"load_csv: {path} line {line} has {len(cells)} columns, but the header has "
                f"{len(header)}"
            )
        place = f"{path} line {line}"
        x[row] = [_number(cells[i], f"{place}, column {header[i]!r}") for i in features]
        labels.append((cells[column].strip(), f"{place}, column {header[column]!r}"))
    names: tuple[str, ...] = ()
    if regression:
        y = np.array([_number(*label) for label in labels], np.float32)
    else:
        y, names = _classes(labels)
    return TabularData(path.stem, x, y, tuple(header[i] for i in features), names)


def _target_column(path: Path, header: list[str], target: str | int) -> int:
    """Return the number of the target's column.

    Raises: ValueError where there is none of that name or number.
    """
    if isinstance(target, str):
        if header.count(target) != 1:
            raise ValueError(
                f"load_csv: {path} has {header.count(target)} columns called {target!r}; the "
                f"columns are {header}"
            )
        return header.index(target)
    if not -len(header) <= target < len(header):
        raise ValueError(f"load_csv: {path} has {len(header)} columns, so no column {target}")
    return target % len(header)


def _number(cell: str, place: str) -> float:
    """Return a cell as a number.

    Raises: ValueError that says where, for one that is not finite.
    """
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        shown = repr(cell) if cell.strip() else "nothing"
        raise ValueError(f"load_csv: {place}: expected a finite number, but got {shown}")
    return value


def _classes(labels: list[tuple[str, str]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the distinct labels."""
    for label, place in labels:
        if not label:
            raise ValueError(f"load_csv: {place}: expected a class, but got nothing")
    words = [label for label, _ in labels]
    names = tuple(sorted(set(words), key=_rank))
    numbers = {name: i for i, name in enumerate(names)}
    return np.array([numbers[word] for word in words], np.int64), names


def _rank(label: str) -> tuple[bool, float, str]:
    """Return what labels are sorted by: numbers first, by their values."""
    try:
        return (False, float(label), label)
    except ValueError:
        return (True, 0.0, label)
