"""What the cells of a column say: numbers, dates, or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MISSING = frozenset(
    (
        *("", "?", "-", "--", ".", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "-nan", "-NaN"),
        *("NaT", "null", "NULL", "Null", "None", "none", "<NA>", "#N/A", "#NA", "#N/A N/A"),
        *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "(null)", "\\N"),
        *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "..", "..."),
    )
)
# How numbers are written, besides Python's way: what a whole cell looks like, and how it is read.
COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d+)?([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?|[+-]?\d*(\.\d*)?([eE][+-]?\d+)?")
BLANKS = "\u00a0\u2009\u202f '\u2019"  # that part thousands
PARTED_BY_BLANKS = re.compile(rf"[+-]?\d{{1,3}}([{BLANKS}]\d{{3}})+([.,]\d*)?|[+-]?\d+([.,]\d*)?")
SIGNS = "$€£¥₹%"
MINUS = "\u2212"  # the mathematical sign
UNIT = re.compile(r"([+-]?[\d.,]*\d)\s*([A-Za-zµ°Ωº²³/]{1,8})")


def number(cell: str, form: str = "plain") -> float:
    """Return a cell as a number; NaN for nothing and for infinity, which is no measurement.

    form: `plain` as Python writes it, `comma` 1.234,5, `thousands` 1,234.5, `signs` $1,234, 5 % or
        ($7), `blanks` 1 234,5, `unit kg` 5 kg.
    Raises: ValueError for what is no number, numbers with underscores too.

    >>> number("1,5", "comma"), number("$1,200", "signs")
    (1.5, 1200.0)
    """
    if cell in MISSING:
        return np.nan
    if MINUS in cell:
        cell = cell.replace(MINUS, "-")
    if form.startswith("unit "):
        found = UNIT.fullmatch(cell)
        if found and found[2] == form[5:]:
            cell = found[1]
        form = "thousands"
    if form == "blanks" and PARTED_BY_BLANKS.fullmatch(cell):
        cell = cell.translate(_NO_BLANKS).replace(",", ".")
    if form == "signs":
        if cell[:1] == "(" and cell[-1:] == ")":
            cell = "-" + cell[1:-1]
        cell = cell.strip(SIGNS).strip()
        if cell[:1] == "-" and cell[1:2] in SIGNS:
            cell = "-" + cell[1:].strip(SIGNS)
        form = "thousands"
    if form == "comma" and COMMA.fullmatch(cell):
        cell = cell.replace(".", "").replace(",", ".")
    elif form == "thousands" and THOUSANDS.fullmatch(cell):
        cell = cell.replace(",", "")
    if "_" in cell:
        raise ValueError(f"no number: {cell!r}")
    value = float(cell)
    return value if abs(value) < np.inf else np.nan


_NO_BLANKS = {ord(blank): None for blank in BLANKS}


def are_codes(cells: Sequence[str]) -> bool:
    """Say whether cells are codes of digits that only look like numbers: 01067, 80331.

    All have one length, of at least three, and some begin with 0.

    >>> are_codes(["01067", "80331", ""]), are_codes(["0", "10"]), are_codes(["0.5", "1.5"])
    (True, False, False)
    """
    first = next((cell for cell in cells if cell not in MISSING), "")
    if len(first) < 3 or not first.isdigit():
        return False
    there = set(cells) - MISSING
    return (
        all(len(cell) == len(first) and cell.isdigit() for cell in there)
        and any(cell[0] == "0" for cell in there)
        and len(there) > 1
    )


def numbers(cells: Sequence[str], form: str = "plain") -> Array:
    """Return cells as float64, NaN for missing ones.

    Raises: ValueError where one is no number.

    >>> numbers(["1", "", "2.5"]).tolist()
    [1.0, nan, 2.5]
    """
    if form == "plain":
        try:
            found = np.array(list(map(float, cells)), np.float64)
        except ValueError:
            pass
        else:
            if "_" not in "".join(cells):  # float("1_0") is 10.0
                found[~np.isfinite(found)] = np.nan
                return found
    return np.array([number(cell, form) for cell in cells], np.float64)


def read_numbers(cells: Sequence[str], delimiter: str = ",") -> tuple[str, Array] | None:
    """Return how the numbers of a column are written and their values; None where some cell is no
    number, or all are missing.

    >>> read_numbers(["1,5", "2"], ";")
    ('comma', array([1.5, 2. ]))
    """
    first = cells[0] if cells else ""
    odd = first not in MISSING and not _reads(first, "plain")
    if odd and not (any(c.isdigit() for c in first) and _odd_number(first)):
        return None  # most columns of words are known by their first cell
    try:
        found = numbers(cells)
    except ValueError:
        pass
    else:
        return None if np.isnan(found).all() and _all_missing(cells) else ("plain", found)
    sample = [cell for cell in cells if cell not in MISSING]
    for form in _forms_for(sample, delimiter):
        if all(_reads(cell, form) for cell in sample[:50]):
            try:
                return form, numbers(cells, form)
            except ValueError:
                continue
    return None


def _odd_number(cell: str) -> bool:
    unit = UNIT.fullmatch(cell)
    known = unit is not None and unit[2].casefold() not in NO_UNITS
    return known or any(mark in cell for mark in "," + SIGNS + BLANKS + MINUS)


NO_UNITS = frozenset(("st", "nd", "rd", "th", "am", "pm", "a", "b", "c", "d", "e", "x"))


def number_form(cells: Sequence[str], delimiter: str = ",") -> str | None:
    """Return how the numbers of a column are written, None where some cell is no number.

    >>> number_form(["1,5", "2"], ";"), number_form(["1", "a"]), number_form(["$5", ""])
    ('comma', None, 'signs')
    """
    found = read_numbers(cells, delimiter)
    return None if found is None else found[0]


def _forms_for(cells: Sequence[str], delimiter: str) -> tuple[str, ...]:
    """Return the ways of writing that a column may be in, the likeliest first."""
    if any(cell.strip("-(")[:1] in SIGNS or cell.strip(")")[-1:] in SIGNS for cell in cells):
        return ("signs",)
    units = {found[2] for cell in cells[:50] if (found := UNIT.fullmatch(cell))}
    if len(units) == 1 and not {unit.casefold() for unit in units} & NO_UNITS:
        return (f"unit {units.pop()}",)
    if any(blank in cell for cell in cells[:50] for blank in BLANKS):
        return ("blanks",)
    if delimiter == "," or any(re.search(r",\d{3}\.", cell) for cell in cells):
        return ("thousands",)
    return ("comma", "thousands")


def _all_missing(cells: Sequence[str]) -> bool:
    return all(cell in MISSING for cell in cells)


def _reads(cell: str, form: str) -> bool:
    try:
        number(cell, form)
    except ValueError:
        return False
    return True


def rank(label: str) -> tuple[bool, float, str]:
    """Return what labels are sorted by: numbers first, by their values.

    >>> sorted(["b", "10", "9", "nan"], key=rank)
    ['9', '10', 'b', 'nan']
    """
    try:
        value = number(label)
    except ValueError:
        value = np.nan
    return (True, 0.0, label) if np.isnan(value) else (False, value, label)


# ---------------------------------------------------------------- dates
ISO = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?)?"
)
CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp][Mm])?"
PARTED = re.compile(rf"(\d{{1,4}})([/.-])(\d{{1,2}})\2(\d{{1,4}})(?:,?[T ]\s*{CLOCK})?")
TIME = re.compile(CLOCK)
WORDS = (
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%y", "%Y-%m"),
    *("%b-%y", "%b-%Y", "%b %Y", "%B %Y", "%Y, %B", "%a %b %d %Y", "%A, %B %d, %Y", "%d-%B-%Y"),
    *("%H:%M:%S %d %b %Y", "%d %b %Y %H:%M", "%d %b %Y %H:%M:%S", "%a %b %d %H:%M:%S %Y"),
    *("%b %d, %Y %I:%M:%S %p", "%b %d, %Y %I:%M %p", "%b %d %Y", "%d/%b/%Y:%H:%M:%S %z"),
)
SHORT_YEARS = 30  # 00 to 29 are of this century, as in spreadsheets
EPOCH = datetime(1970, 1, 1)


def date_form(cells: Sequence[str]) -> str | None:
    """Return how the dates of a column are written, None where some cell is no date.

    iso: 2024-01-31 12:30; dmy, mdy, ymd: 31/1/2024, in which the day comes first where any number
    says so, or where points or dashes part them; time: 12:30, 1:30 PM; or a pattern of `strptime`.

    >>> date_form(["2024-01-31", ""]), date_form(["31.01.2024"]), date_form(["1/2/2024"])
    ('iso', 'dmy', 'mdy')
    """
    sample = [cell for cell in cells if cell not in MISSING]
    if not sample or not any(mark in sample[0] for mark in "-/. :"):
        return None
    first = sample[0]
    if ISO.fullmatch(first):
        forms: tuple[str, ...] = ("iso",)
    elif found := PARTED.fullmatch(first):
        if len(found[1]) == 4:
            forms = ("ymd",)
        elif len(found[1]) <= 2:
            forms = ("mdy", "dmy") if found[2] == "/" else ("dmy", "mdy")
        else:
            return None
    elif TIME.fullmatch(first):
        forms = ("time",)
    else:
        forms = WORDS
    for form in forms:
        reader = _reader(form)
        try:
            for cell in sample:
                reader(cell)
        except (ValueError, OverflowError):
            continue
        return form
    return None


def dates(cells: Sequence[str], form: str) -> Array:
    """Return dates as seconds since 1970, UTC, NaN for missing ones.

    Raises: ValueError where one is no date.

    >>> dates(["1970-01-02", ""], "iso").tolist()
    [86400.0, nan]
    """
    reader = _reader(form)
    known: dict[str, float] = dict.fromkeys(MISSING, np.nan)
    for cell in set(cells) - MISSING:
        known[cell] = (reader(cell) - EPOCH) / timedelta(seconds=1)
    return np.array([known[cell] for cell in cells], np.float64)


def _reader(form: str) -> Callable[[str], datetime]:
    """Return what reads a date that is written in a form."""
    if form == "iso":
        return _iso
    if form in ("dmy", "mdy", "ymd"):
        return lambda cell: _parted(cell, form)
    if form == "time":
        return _time
    return lambda cell: _worded(cell, form)


def _worded(cell: str, form: str) -> datetime:
    """Read a date that is written with words."""
    found = datetime.strptime(cell, form)
    if "%y" in form and found.year >= 2000 + SHORT_YEARS:
        found = found.replace(year=found.year - 100)
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def _time(cell: str) -> datetime:
    found = TIME.fullmatch(cell)
    if not found:
        raise ValueError(f"no time: {cell!r}")
    hour, minute, second = _clock(*found.groups())
    return EPOCH.replace(hour=hour, minute=minute, second=second)


def _clock(*parts: str | None) -> tuple[int, int, int]:
    """Return hour, minute and second of what CLOCK finds."""
    hour, minute, second = (int(part or 0) for part in parts[:3])
    if half := parts[3]:
        if not 1 <= hour <= 12:
            raise ValueError(f"no hour of a half day: {hour}")
        hour = hour % 12 + 12 * (half.casefold() == "pm")
    return hour, minute, second


def _iso(cell: str) -> datetime:
    if not ISO.fullmatch(cell):
        raise ValueError(f"no date: {cell!r}")
    try:
        found = datetime.fromisoformat(cell)
    except ValueError:
        head, _, tail = cell.replace("T", " ").partition(" ")
        year, month, day = map(int, head.split("-"))
        found = datetime.fromisoformat(
            f"{date(year, month, day).isoformat()} {tail.zfill(5) if tail else '00:00'}"
        )
    if found.tzinfo is not None:
        found = found.astimezone(UTC).replace(tzinfo=None)
    return found


def _parted(cell: str, form: str) -> datetime:
    found = PARTED.fullmatch(cell)
    if not found:
        raise ValueError(f"no date: {cell!r}")
    parts = dict(zip(form, (found[1], found[3], found[4]), strict=True))
    year = int(parts["y"])
    if len(parts["y"]) <= 2:
        year += 1900 if year >= SHORT_YEARS else 2000
    return datetime(year, int(parts["m"]), int(parts["d"]), *_clock(*found.groups()[4:]))
