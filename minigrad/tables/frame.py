"""Frame: a table's columns with their names, whatever the table came from."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.engine.values import unmasked
from minigrad.lazy import lazy
from minigrad.tables.quick import Column, columns_quickly, first_lines, is_quick
from minigrad.tables.text import Cells, cut, read_bytes, read_text
from minigrad.tables.values import MISSING

pandas = lazy("pandas")
Array = np.ndarray[Any, Any]
YEARS = range(1900, 2101)
HEAD = 300  # lines from which the header is found


@dataclass(frozen=True)
class Frame:
    """A table: names and columns of one length.

    columns: lists of text, "" where a cell is empty, or float64 arrays, NaN there.
    source: what errors call it.  header: whether the names came from it, or were made up.
    lines: the line of a file on which each row stands.
    notes: what is to be said of the reading, such as a header that was not there.
    """

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str = "the table"
    header: bool = True
    delimiter: str = ","
    lines: Sequence[int] | None = None
    notes: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def column(self, name: str) -> Column:
        """Return a column by its name."""
        return self.columns[self.names.index(name)]

    def place(self, row: int, name: str) -> str:
        """Say where a cell is."""
        where = f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.source} {where}, column {name!r}"

    def take(self, rows: Array) -> Frame:
        """Return some rows."""
        picked = tuple(
            c[rows] if isinstance(c, np.ndarray) else [c[i] for i in rows] for c in self.columns
        )
        lines = None if self.lines is None else [self.lines[i] for i in rows]
        return replace(self, columns=picked, lines=lines)

    def find(self, wanted: str | int, numbers: bool = False) -> int:
        """Return the number of a column that is named, or numbered from 0 or from the end.

        numbers: whether a name that no column has, and that is a number, counts as one.
        Raises: ValueError that suggests the nearest name.
        """
        if isinstance(wanted, str):
            if wanted in self.duplicates:
                count = self.duplicates.count(wanted) + 1
                raise ValueError(
                    f"{self.source} has {count} columns called {wanted!r}; choose one by its number"
                )
            if wanted in self.names:
                return self.names.index(wanted)
            number = numbers and wanted.lstrip("-").isdigit() and self.header
            if number and any(name.isdigit() for name in self.names):
                number = False  # a number is a name here, and there is none of that name
            if number or (numbers and not self.header and wanted.lstrip("-").isdigit()):
                return self.find(int(wanted))
            raise ValueError(f"{self.source} has no column called {wanted!r}{self._near(wanted)}")
        if not -len(self.names) <= wanted < len(self.names):
            raise ValueError(
                f"{self.source} has {len(self.names)} columns, so no column {wanted} "
                f"(they count from 0; -1 is the last)"
            )
        return wanted % len(self.names)

    def _near(self, wanted: str) -> str:
        folded = {name.casefold(): name for name in self.names}
        near = difflib.get_close_matches(wanted.casefold(), folded, 1, 0.6)
        meant = f"; did you mean {folded[near[0]]!r}?" if near else ""
        return f"{meant}; the columns are {listed(self.names)}"


def listed(names: Iterable[str | int], most: int = 8) -> str:
    """Return a few names, and how many more there are.

    >>> listed("abcd", 2)
    "'a', 'b' and 2 more"
    """
    names = list(names)
    shown = ", ".join(
        repr(shortened(name)) if isinstance(name, str) else str(name) for name in names[:most]
    )
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def shortened(name: str, most: int = 40) -> str:
    """Return a name of at most so many characters."""
    return name if len(name) <= most else f"{name[: most - 3]}..."


def as_frame(data: Any, *, names: Sequence[str] | None = None, **options: Any) -> Frame:
    """Return a table as a Frame: a path, a DataFrame, a dict of columns, a list of dicts, rows as
    lists, an array of two dimensions, a Tensor.

    options: of `read_table`, for a path.  names: of the columns of lists and arrays.

    >>> as_frame({"a": [1, 2], "b": ["x", None]}).columns
    (array([1., 2.]), ['x', ''])
    """
    if isinstance(data, Frame):
        return data
    if isinstance(data, str | PathLike):
        return read_table(data, **options)
    if isinstance(data, Mapping):
        return _from_columns(data)
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        parts = {}
        for i, name in enumerate(data.columns):
            parts[i] = (str(name).strip(), data.iloc[:, i])
        return _made([n for n, _ in parts.values()], [_pandas_column(c) for _, c in parts.values()])
    if isinstance(data, list | tuple) and data and all(isinstance(row, Mapping) for row in data):
        keys = list(dict.fromkeys(str(key) for row in data for key in row))
        columns = {key: [row.get(key) for row in data] for key in keys}
        return _from_columns(columns)
    return _from_rows(data, names)


def _from_columns(data: Mapping[Any, Any]) -> Frame:
    columns = [_column(values) for values in data.values()]
    lengths = {str(name): len(c) for name, c in zip(data, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"table: expected columns of one length, but got {lengths}")
    return _made([str(name).strip() for name in data], columns)


def _from_rows(data: Any, names: Sequence[str] | None) -> Frame:
    if hasattr(data, "detach"):
        data = data.detach().cpu().numpy()
    if not isinstance(data, np.ndarray):
        data = [list(row) if isinstance(row, list | tuple | np.ndarray) else row for row in data]
        widths = {len(row) if isinstance(row, list) else 0 for row in data}
        if widths == {0}:
            data = [data]  # one row
        elif len(widths) > 1:
            raise ValueError(f"table: expected rows of one length, but got {sorted(widths)}")
        columns = [_column(column) for column in zip(*data, strict=True)]
    else:
        if data.dtype.names:
            return _from_columns({name: data[name] for name in data.dtype.names})
        rows = np.atleast_2d(np.asarray(unmasked(data)))
        if rows.ndim != 2:
            raise ValueError(f"table: expected rows and columns, but got shape {rows.shape}")
        columns = [_column(column) for column in rows.T]
    made_up = names is None
    chosen = numbered(len(columns)) if names is None else [str(name) for name in names]
    if len(chosen) != len(columns):
        raise ValueError(f"table: {len(columns)} columns have {len(chosen)} names")
    return replace(_made(chosen, columns), header=not made_up)


def _made(names: list[str], columns: list[Column]) -> Frame:
    unique, duplicates = distinct(names)
    return Frame(tuple(unique), tuple(columns), duplicates=duplicates)


def numbered(count: int) -> list[str]:
    """Return names for columns that have none.

    >>> numbered(2)
    ['column_0', 'column_1']
    """
    return [f"column_{i}" for i in range(count)]


def _pandas_column(series: Any) -> Column:
    kind = getattr(series.dtype, "kind", "O")
    if kind in "iuf" and not hasattr(series, "cat"):
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan), np.float64)
    return _column(series.tolist())


def _column(values: Any) -> Column:
    """Return values of any type as text or as float64."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return values.astype(np.float64)
    listed_values = values.tolist() if hasattr(values, "tolist") else list(values)
    kinds = {type(value) for value in listed_values if not _nothing(value)}
    if kinds and all(issubclass(k, int | float | np.number) and k is not bool for k in kinds):
        return np.array([np.nan if _nothing(v) else float(v) for v in listed_values], np.float64)
    if not kinds and len(listed_values):
        return np.full(len(listed_values), np.nan)
    return [canonical(value) for value in listed_values]


def _nothing(value: Any) -> bool:
    """Say whether a value stands for nothing: None, NaN, NaT, pandas' NA."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def canonical(value: Any) -> str:
    """Return a value as the text that a CSV file would hold.

    >>> canonical(2.0), canonical(True), canonical(None)
    ('2', 'True', '')
    """
    if _nothing(value):
        return ""
    if isinstance(value, float | np.floating) and not isinstance(value, bool):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat(" ")) if hasattr(value, "hour") else str(value.isoformat())
    return str(value).strip()


# ---------------------------------------------------------------- files
def read_table(
    path: str | PathLike[str],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    known: Iterable[str] = (),
) -> Frame:
    """Read a table from a file: CSV, TSV and the like, gzip or not, or Parquet (by pandas).

    header: whether the first line holds names; found by looking where None.
    known: names that the header should have: where the first line has most of them it is one.
    Raises: ValueError for a damaged file, or one without rows; OSError.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = path.write_text("1,2\\n3,4\\n")
    >>> read_table(path).names
    ('column_0', 'column_1')
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return replace(as_frame(_parquet(path)), source=str(path))
    data = read_bytes(path)
    text, delimiter, encoding = read_text(data, path, delimiter, encoding)
    large = is_quick(text, delimiter)
    cells = cut(first_lines(text, HEAD) if large else text, delimiter, encoding, path)
    named = _header(cells, known) if header is None else header
    columns: list[Column] = [column[named:] for column in cells.columns]
    lines = cells.lines[named:]
    if large:
        quick = None
        if not cells.short_header and not cells.left_out:
            quick = columns_quickly(text, data, delimiter, named, cells.columns)
        if quick is None:
            cells = cut(text, delimiter, encoding, path)
            columns, lines = [column[named:] for column in cells.columns], cells.lines[named:]
        else:
            columns, lines = quick, range(1 + named, 1 + named + len(quick[0]))
    first = [column[0] for column in cells.columns]
    if named and cells.rows < 2:
        raise ValueError(f"{path} has no rows; expected a header line and rows below it")
    notes = [] if encoding in ("utf-8", "ascii") else [f"read as {encoding}"]
    unique, duplicates = distinct(first) if named else (numbered(len(first)), ())
    if cells.left_out:
        s = "s" * (len(cells.left_out) > 1)
        notes.append(f"no rows, left out: line{s} {listed(cells.left_out, 5)}")
    if duplicates:
        notes.append(f"columns of one name, numbered: {listed(sorted(set(duplicates)))}")
    if not named:
        notes.append("no header line")
    return Frame(
        tuple(unique),
        tuple(columns),
        str(path),
        named,
        delimiter,
        lines,
        tuple(notes),
        duplicates,
    )


def _header(cells: Cells, known: Iterable[str]) -> bool:
    """Say whether the first line holds names: those that are known, or what looks like some."""
    names, first = set(known), [column[0] for column in cells.columns]
    found = bool(names) and len(names & set(first)) * 2 > min(len(names), len(first))
    return found or has_header(cells)


def _parquet(path: Path) -> Any:
    try:
        return pandas.read_parquet(path)
    except ImportError as error:
        raise ModuleNotFoundError(
            "a Parquet file needs pandas and pyarrow: pip install 'minigrad[data]' pyarrow"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and not path.is_file():
            raise
        raise ValueError(f"{path} is a damaged Parquet file: {error}") from error


def distinct(names: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return names of which none comes twice, and those that had to be numbered.

    >>> distinct(["a", "b", "a"])
    (['a', 'b', 'a.2'], ('a',))
    """
    taken = set(names)
    seen: Counter[str] = Counter()
    unique, repeated = [], []
    for name in names:
        seen[name] += 1
        if seen[name] == 1:
            unique.append(name)
            continue
        if name:
            repeated.append(name)
        while f"{name}.{seen[name]}" in taken:
            seen[name] += 1
        unique.append(f"{name}.{seen[name]}")
        taken.add(unique[-1])
    return unique, tuple(repeated)


def has_header(cells: Cells) -> bool:
    """Say whether a table's first line holds names, by what stands below it.

    A word above numbers is a name.  Numbers above numbers are a row; but not 0, 1, 2 after an empty
    cell or a word that comes nowhere else (so pandas writes an index), nor from 0 on in at least
    four columns, nor years beside words that come nowhere else.  What stands for nothing says
    nothing.
    """
    if cells.short_header:
        return True
    first = [column[0] for column in cells.columns]
    below = [column[1 : 1 + 200] for column in cells.columns]
    numeric = [_is_number(cell) for cell in first]
    if cells.rows < 2:
        return not any(numeric)
    words_above_numbers = any(
        cell not in MISSING and not is_number and _mostly_numbers(rest)
        for cell, is_number, rest in zip(first, numeric, below, strict=True)
    )
    if words_above_numbers:
        return True
    numbers = [cell for cell, is_number in zip(first, numeric, strict=True) if is_number]
    rest = [cell for cell, is_number in zip(first, numeric, strict=True) if not is_number]
    counted = numbers == [str(i) for i in range(len(numbers))]
    if numbers and rest == [""] and not first[0] and counted:
        return True
    words = [
        (cell, column)
        for cell, n, column in zip(first, numeric, below, strict=True)
        if not n and cell not in MISSING
    ]
    recurring = any(cell in column for cell, column in words)
    if len(numbers) > 3 and counted and len(rest) < 2 and len(words) == len(rest) and not recurring:
        return not words or bool(words[0][0] == first[0])
    if not numbers:
        return bool(words) and not recurring and len({cell for cell, _ in words}) == len(words)
    years = all(cell.isdigit() and int(cell) in YEARS for cell in numbers)
    return bool(words) and not recurring and years and len(set(numbers)) == len(numbers)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return cell not in MISSING


def _mostly_numbers(cells: Sequence[str]) -> bool:
    """Say whether nine of ten cells that hold something are numbers."""
    there = [cell for cell in cells if cell not in MISSING]
    return bool(there) and sum(map(_is_number, there)) >= 0.9 * len(there)
