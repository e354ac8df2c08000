"""What each column of a table is taken for: a number, a category, a date, or nothing of use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minigrad.tables.frame import Column, Frame, canonical
from minigrad.tables.values import (
    MISSING,
    are_codes,
    date_form,
    dates,
    number,
    numbers,
    read_numbers,
)

Array = np.ndarray[Any, Any]
USED = ("number", "category", "date")
LEFT_OUT = ("constant", "empty", "row number", "text", "dropped")
TYPES = (*USED, "text", "drop")
TEXT_FROM = 20  # words of more than so many values, most of which come once, are no categories
ODD_WORDS = 3  # among numbers, at most so many kinds, in a tenth of the rows
UNNAMED = ("", "unnamed: 0")
INDEX_NAMES = frozenset(["", "id", "index", "idx", "row", "no", "nr", "number", "unnamed: 0", "#"])


@dataclass(frozen=True)
class Taken:
    """A column, read.

    kind: of USED or LEFT_OUT.  form: how its numbers or dates are written.
    values: float64, NaN where missing, for numbers and dates (in seconds); for categories text, ""
        where missing.
    """

    name: str
    kind: str
    form: str = ""
    values: Any = field(default=(), repr=False)
    missing: int = 0
    distinct: int = 0
    about: str = ""
    words: tuple[str, ...] = ()  # that stand for nothing among numbers


def take_columns(
    frame: Frame,
    types: Mapping[str, str] | None = None,
    drop: Iterable[str] = (),
    leave: Iterable[str] = (),
) -> list[Taken]:
    """Say what every column is taken for, and read it.

    types: kinds by column, where the user knows better: number, category, date, text or drop.
    drop: columns to leave out.  leave: columns not to look at at all, the target.
    Raises: ValueError for an unknown column or kind, or a column that is not of its stated kind.

    >>> from minigrad.tables.frame import as_frame
    >>> table = as_frame({"size": [1, 2, 4], "kind": ["a", "b", "a"], "unit": ["m", "m", "m"]})
    >>> [(t.name, t.kind) for t in take_columns(table)]
    [('size', 'number'), ('kind', 'category'), ('unit', 'constant')]
    """
    stated = {}
    for name, kind in dict(types or {}).items():
        if kind not in TYPES:
            raise ValueError(
                f"types: expected one of {', '.join(TYPES)} for {name!r}, got {kind!r}"
            )
        stated[frame.names[frame.find(name, numbers=True)]] = kind
    for name in drop:
        stated[frame.names[frame.find(name, numbers=True)]] = "drop"
    left = set(leave)
    return [
        take_column(frame, name, column, stated.get(name))
        for name, column in zip(frame.names, frame.columns, strict=True)
        if name not in left
    ]


def take_column(frame: Frame, name: str, column: Column, kind: str | None) -> Taken:
    """Say what a column is taken for, and read it."""
    if kind in ("drop", "text"):
        return Taken(name, "dropped" if kind == "drop" else "text", about="as asked for")
    if kind is not None:
        return _stated(frame, name, column, kind)
    if isinstance(column, np.ndarray):
        return _number(name, column, "plain")
    if all(cell in MISSING for cell in column):
        return Taken(name, "empty", missing=len(column))
    found = read_numbers(column, frame.delimiter)
    if found is not None:
        codes = _category(name, column) if are_codes(column) else None
        if codes is not None and codes.kind == "category":
            return codes
        return _number(name, found[1], found[0])
    form = date_form(column)
    if form is not None:
        return _date(name, dates(column, form), form)
    nearly = nearly_numbers(column, frame.delimiter)
    if nearly is not None:
        form, values, words = nearly
        taken = _number(name, values, form)
        said = f"{', '.join(map(repr, words))} taken for missing, {taken.about}"
        return replace(taken, words=words, about=said)
    return _category(name, column)


def nearly_numbers(
    cells: Sequence[str], delimiter: str
) -> tuple[str, Array, tuple[str, ...]] | None:
    """Return form and values of a column of many numbers among which a few words stand for nothing,
    and those words; None for any other column.  Marks such as ** may stand in any number of rows.

    >>> cells = [str(i) for i in range(40)] + ["unknown"]
    >>> nearly_numbers(cells, ",")[2]
    ('unknown',)
    """
    counts = Counter(cell for cell in cells if cell not in MISSING)
    words = tuple(sorted(word for word in counts if not any(c.isdigit() for c in word)))
    odd = sum(counts[word] for word in words)
    if not 0 < len(words) <= ODD_WORDS or len(counts) == len(words):
        return None
    marks = not any(c.isalpha() for word in words for c in word)
    if not marks and (len(counts) - len(words) <= TEXT_FROM or 10 * odd > sum(counts.values())):
        return None
    found = read_numbers(without(cells, words), delimiter)
    return None if found is None else (*found, words)


def without(cells: Sequence[str], words: Iterable[str]) -> list[str]:
    """Return cells with nothing in place of some words.

    >>> without(["1", "x"], ["x"])
    ['1', '']
    """
    left = set(words)
    return ["" if cell in left else cell for cell in cells]


def _stated(frame: Frame, name: str, column: Column, kind: str) -> Taken:
    """Read a column as what the user says it is."""
    if kind == "category":
        return _category(name, column, stated=True)
    if kind == "number":
        if isinstance(column, np.ndarray):
            return _number(name, column, "plain", stated=True)
        found = read_numbers(column, frame.delimiter)
        form = found[0] if found else "plain"
        return _number(name, number_cells(frame, name, form), form, stated=True)
    written = date_form(column) if isinstance(column, list) else None
    if written is None:
        raise ValueError(f"{frame.source}: column {name!r} holds no dates of one form")
    assert isinstance(column, list)
    return _date(name, dates(column, written), written)


def _number(name: str, values: Array, form: str, stated: bool = False) -> Taken:
    values = np.where(np.isfinite(values), values, np.nan)
    there = values[~np.isnan(values)]
    missing = len(values) - len(there)
    if not len(there):
        return Taken(name, "empty", missing=missing)
    low, high = there.min(), there.max()
    if low == high and not missing:
        return Taken(name, "constant", form, about=f"always {canonical(low)}", distinct=1)
    if not stated and not missing and _is_index(name, values):
        return Taken(name, "row number", about=f"{canonical(low)} to {canonical(high)}")
    written = {"comma": "decimal comma, ", "thousands": "commas in thousands, "}.get(form, "")
    about = f"{written}{low:g} to {high:g}"
    return Taken(name, "number", form, values, missing, _distinct(there), about)


def _distinct(values: Array) -> int:
    return len(np.unique(values))


def _is_index(name: str, values: Array) -> bool:
    """Say whether numbers only count the rows."""
    named = name.strip().casefold()
    counts = len(values) > 2 and bool((np.diff(values) == 1).all()) and values[0] in (0, 1)
    if named in UNNAMED and len(values) > 2:  # an index, of which some rows may be gone
        whole = bool((values == np.floor(values)).all()) and values.min() >= 0
        return counts or (whole and _distinct(values) == len(values))
    return counts and (named in INDEX_NAMES or named.endswith(("id", "_no", " no", "_nr")))


def _date(name: str, values: Array, form: str) -> Taken:
    there = values[~np.isnan(values)]
    missing = len(values) - len(there)
    if len(there) and there.min() == there.max() and not missing:
        return Taken(name, "constant", form, about="always the same date", distinct=1)
    first, last = (str(np.datetime64(int(end), "s"))[:10] for end in (there.min(), there.max()))
    if form == "time":
        ends = (str(np.datetime64(int(end), "s"))[11:16] for end in (there.min(), there.max()))
        about = "of day, " + " to ".join(ends)
        return Taken(name, "date", form, values, missing, _distinct(there), about)
    order = {"dmy": "day first, ", "mdy": "month first, "}.get(form, "")
    about = f"{order}{first} to {last}"
    return Taken(name, "date", form, values, missing, _distinct(there), about)


def _category(name: str, column: Column, stated: bool = False) -> Taken:
    values = labels(column)
    counts = Counter(value for value in values if value)
    missing = len(values) - sum(counts.values())
    there = len(values) - missing
    if not counts:
        return Taken(name, "empty", missing=missing)
    if len(counts) == 1 and not missing:
        return Taken(name, "constant", about=f"always {next(iter(counts))!r}"[:60], distinct=1)
    if not stated and len(counts) > TEXT_FROM and 2 * len(counts) > there:
        about = f"{len(counts):,} different of {there:,}"
        return Taken(name, "text", missing=missing, distinct=len(counts), about=about)
    most = ", ".join(f"{label} {count}" for label, count in counts.most_common(3))
    about = most if len(counts) <= 3 else f"{most}, ..."
    return Taken(name, "category", "", values, missing, len(counts), about)


def labels(column: Column) -> list[str]:
    """Return cells as labels: numbers as they are written shortest, "" for what is missing.

    >>> labels(["1.0", "x", "NA"]), labels(np.array([1.0, np.nan]))
    (['1', 'x', ''], ['1', ''])
    """
    if isinstance(column, np.ndarray):
        known = {value: canonical(value) for value in np.unique(column[~np.isnan(column)]).tolist()}
        return [known.get(value, "") for value in column.tolist()]
    seen = {cell: _label(cell) for cell in set(column)}
    return [seen[cell] for cell in column]


def _label(cell: str) -> str:
    if cell in MISSING:
        return ""
    try:
        value = number(cell)
    except ValueError:
        return cell
    return cell if np.isnan(value) else canonical(value)


def number_cells(frame: Frame, name: str, form: str, words: tuple[str, ...] = ()) -> Array:
    """Return a column as numbers that are written in a form, or in Python's.

    words: that stand for nothing.
    Raises: ValueError that names the place of the first cell that is no number.
    """
    column = frame.column(name)
    if isinstance(column, np.ndarray):
        return np.where(np.isfinite(column), column, np.nan)
    if words:
        column = without(column, words)
    for way in dict.fromkeys((form, "plain")):
        try:
            return numbers(column, way)
        except ValueError:
            continue
    found = read_numbers(column, frame.delimiter)
    if found is not None:
        return found[1]
    for row, cell in enumerate(column):
        try:
            number(cell, form)
        except ValueError:
            place = frame.place(row, name)
            raise ValueError(f"{place}: expected a number, but got {cell[:40]!r}") from None
    raise ValueError(f"{frame.source}, column {name!r}: numbers written in several ways")


def date_cells(frame: Frame, name: str, form: str) -> Array:
    """Return a column of dates as seconds.

    Raises: ValueError that names the place of the first cell that is no date.
    """
    column = frame.column(name)
    if isinstance(column, np.ndarray):
        if np.isnan(column).all():
            return column
        raise ValueError(f"{frame.place(0, name)}: expected a date, but got {column[0]:g}")
    for way in dict.fromkeys((form, date_form(column) or form)):
        try:
            return dates(column, way)
        except ValueError:
            continue
    for row, cell in enumerate(column):
        try:
            dates([cell], form)
        except ValueError:
            place = frame.place(row, name)
            raise ValueError(f"{place}: expected a date, but got {cell[:40]!r}") from None
    raise AssertionError("unreachable: some cell is no date")
