"""Tables of numbers from CSV files; what cannot be read is named by line and column."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np

from minigrad.data.tabular import TabularData
from minigrad.tables.frame import Column, Frame, canonical, read_table
from minigrad.tables.values import MISSING, number, number_form, numbers, rank

Array = np.ndarray[Any, Any]


def load_csv(
    path: str | PathLike[str],
    target: str | int | EllipsisType | None = ...,
    *,
    regression: bool = False,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
) -> TabularData:
    """Read a CSV file of numbers into features and a target.

    target: name or number of the target's column; None for rows without one, which are to be
        predicted: `y` is None then.  By default the last column, or none where that holds
        fractions, of which no value is a class, and `regression` is not set.
    regression: read the target as numbers; otherwise its distinct values are the classes, numbers
        in rising order, then words in alphabetical order.
    delimiter, header, encoding: found by looking, where they are None; `header=False` for a first
        line of values, where columns are called column_0, column_1, ...
    All other columns must be finite numbers.  For categories, dates and gaps there is
    `mg.recipe.from_table`.

    Raises: ValueError naming line and column of what is not a finite number, a line of another
        length, a quote that is not closed, an empty file, or an unknown target.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "fruit.csv"
    >>> _ = path.write_text("weight,size,kind\\n1.5,2,apple\\n0.1,1,cherry\\n")
    >>> load_csv(path, target="kind")
    <fruit: 2 rows, 2 features, 2 classes (apple 1, cherry 1)>
    """
    path = Path(path)
    try:
        frame = read_table(path, delimiter=delimiter, header=header, encoding=encoding)
        column = _target_column(frame, target, regression)
    except ValueError as error:
        raise ValueError(f"load_csv: {error}") from None
    features = [i for i in range(len(frame.names)) if i != column]
    x = np.empty((len(frame), len(features)), np.float32)
    for place, i in enumerate(features):
        x[:, place] = _numbers(frame, i)
    feature_names = tuple(frame.names[i] for i in features)
    names: tuple[str, ...] = ()
    y: Array | None = None
    if column is not None and regression:
        y = _numbers(frame, column).astype(np.float32)
    elif column is not None:
        y, names = _classes(frame, column)
    return TabularData(path.stem, x, y, feature_names, names)


def _target_column(
    frame: Frame, target: str | int | EllipsisType | None, regression: bool
) -> int | None:
    """Return the number of the target's column, None for a table without one.

    Raises: ValueError where there is none of that name or number.
    """
    if target is None:
        return None
    if not isinstance(target, EllipsisType):
        return frame.find(target)
    last = len(frame.names) - 1
    if not regression and _fractions(frame.columns[last], frame.delimiter):
        return None
    return last


def _fractions(cells: Column, delimiter: str) -> bool:
    """Say whether a column holds numbers of which some is no whole one."""
    form = number_form(cells, delimiter) if isinstance(cells, list) else None
    values = numbers(cells, form) if form and isinstance(cells, list) else cells
    if isinstance(values, list):
        return False
    there = values[np.isfinite(values)]
    return bool((there != np.floor(there)).any())


def _numbers(frame: Frame, column: int) -> Array:
    """Return a column as numbers.

    Raises: ValueError that says where, for one that is not finite.
    """
    cells, name = frame.columns[column], frame.names[column]
    if isinstance(cells, np.ndarray):
        found = cells
    else:
        form = number_form(cells, frame.delimiter) or "plain"
        try:
            found = numbers(cells, form)
        except ValueError:
            found = np.array([_number_or_nan(cell, form) for cell in cells])
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        row = int(bad[0])
        cell = cells[row]
        gone = not cell if isinstance(cell, str) else np.isnan(cell)
        shown = "nothing" if gone else repr(cell) if isinstance(cell, str) else f"{cell:g}"
        place = frame.place(row, name)
        raise ValueError(f"load_csv: {place}: expected a finite number, but got {shown}")
    return found


def _number_or_nan(cell: str, form: str) -> float:
    try:
        return number(cell, form)
    except ValueError:
        return math.nan


def _classes(frame: Frame, column: int) -> tuple[Array, tuple[str, ...]]:
    """Number the distinct labels."""
    cells, name = frame.columns[column], frame.names[column]
    words = cells if isinstance(cells, list) else [canonical(value) for value in cells.tolist()]
    for row, word in enumerate(words):
        if word in MISSING:
            shown = repr(word) if word else "nothing"
            place = frame.place(row, name)
            raise ValueError(
                f"load_csv: {place}: expected a class, but got {shown}; leave such rows out"
            )
    names = tuple(sorted(set(words), key=rank))
    codes = {name: i for i, name in enumerate(names)}
    return np.array([codes[word] for word in words], np.int64), names
