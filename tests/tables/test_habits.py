"""Habits of real files and of other programs' bug reports: each is read as a person would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.tables.columns import Taken, take_columns
from minigrad.tables.frame import Frame, as_frame, read_table
from minigrad.tables.quick import QUICK_FROM
from minigrad.tables.targets import Classes, take_target
from minigrad.tables.values import date_form, dates, read_numbers

ROWS = "".join(f"{i},{i * 7 % 5}.5,{'xyz'[i % 3]}\n" for i in range(3, 30))


def read(folder: Path, content: str) -> Frame:
    path = folder / "t.csv"
    path.write_text(content, encoding="utf-8", newline="")
    return read_table(path)


def taken(cells: list[str]) -> Taken:
    return take_columns(as_frame({"x": cells}))[0]


@pytest.mark.parametrize(
    ("above", "below", "left"),
    [
        ("# made by a program\n# in 2020\n", "", (1, 2)),
        ("Sales of the year\n\n", "", (1,)),
        ("", "\nSource: a bureau of figures\n", (30,)),
        ("# top\n", "Total of all\n", (1, 30)),
        ("! a remark\n", "", (1,)),
    ],
)
def test_remarks_around_a_table(tmp_path: Path, above: str, below: str, left: Any) -> None:
    frame = read(tmp_path, f"{above}n,size,kind\n{ROWS}{below}")
    assert frame.names == ("n", "size", "kind")
    assert len(frame) == 27
    numbers = ", ".join(map(str, left))
    assert frame.notes == (f"no rows, left out: line{'s' * (len(left) > 1)} {numbers}",)
    if not below:
        assert next(iter(frame.lines or ())) == above.count("\n") + 2


def test_a_line_cut_short_is_no_remark(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 29 has 1 columns, but the header has 3"):
        read(tmp_path, f"n,size,kind\n{ROWS}7\n")


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_excels_first_line_names_the_delimiter(tmp_path: Path, first: str) -> None:
    frame = read(tmp_path, f"{first}\na;b\n1,5;x\n2,5;y\n")
    assert (frame.names, frame.delimiter, list(frame.lines or ())) == (("a", "b"), ";", [3, 4])


def test_a_large_file_that_begins_with_an_empty_line(tmp_path: Path) -> None:
    rows = "1.25,2\n" * (QUICK_FROM // 6)
    frame = read(tmp_path, "\na,b\n" + rows)
    assert frame.names == ("a", "b")
    assert np.asarray(take_columns(frame)[0].kind) == "constant"
    assert len(frame) == rows.count("\n")


def test_quotes_after_backslashes(tmp_path: Path) -> None:
    frame = read(tmp_path, 'a,b\n"say \\"no\\"",1\n"x, y",2\n')
    assert frame.columns[0] == ['say "no"', "x, y"]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("team,0,1,2,3\nA,5.5,2,3,1\nB,4,2,2,2\n", True),
        ("0,1,2,3,4\n5.5,2,2,3,1\n4,2,2,1,0\n", True),
        ("0,1,2\n1,5,2\n", False),
        ("2,1,?,38.5\n1,1,?,39\n2,1,5,38\n", False),
        ("start,,end,\nx,y,z,w\nx,,z,w\n", True),
        ("?,x,?\n?,y,b\nq,x,c\n", False),
        ("a,b,a\nx,y,z\n", False),
    ],
)
def test_headers(tmp_path: Path, text: str, header: bool) -> None:
    assert read(tmp_path, text).header == header


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1 234,5", "12", "7 000"], [1234.5, 12, 7000]),
        (["1\u00a0234", "12"], [1234, 12]),
        (["1'234.5", "2"], [1234.5, 2]),
        (["\u22125", "3"], [-5, 3]),
        (["$1,200", "($300)"], [1200, -300]),
        (["(5%)", "7%"], [-5, 7]),
        (["23.4 kmpl", "19 kmpl"], [23.4, 19]),
        (["1,248 CC", "", "998CC"], [1248, np.nan, 998]),
        (["1.5", "..", "#VALUE!", "1.#QNAN"], [1.5, np.nan, np.nan, np.nan]),
    ],
)
def test_numbers(cells: list[str], values: list[float]) -> None:
    found = read_numbers(cells)
    assert found is not None
    np.testing.assert_array_equal(found[1], values)


@pytest.mark.parametrize(
    "cells",
    [["1st", "2nd"], ["12A", "14B"], ["5 kg", "3 lb"], ["0x1F", "0x2A"], ["1_000"], ["R+5", "D+1"]],
)
def test_what_is_no_number(cells: list[str]) -> None:
    assert read_numbers(cells) is None


def test_codes_keep_their_zeros() -> None:
    codes = ["01067", "80331", "04109", "20095"] * 10
    assert taken(codes).kind == "category"
    assert taken(["0", "10", "20", "30"] * 10).kind == "number"
    assert taken([f"{i:05d}" for i in range(0, 4000, 7)]).kind == "number"  # each once
    target, _, _ = take_target(as_frame({"y": codes}), "y", "classes")
    assert isinstance(target, Classes) and target.labels[0] == "01067"


def test_codes_of_a_large_file_too(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7},0{1000 + i % 90}\n" for i in range(QUICK_FROM // 7))
    kinds = [t.kind for t in take_columns(read(tmp_path, "n,zip\n" + rows))]
    assert kinds == ["number", "category"]


def test_marks_among_numbers_stand_for_nothing() -> None:
    column = taken(["0.5", "**", "0.75", "**", "0.25", "**"])
    assert (column.kind, column.words, column.missing) == ("number", ("**",), 3)
    assert taken(["1", "low", "2", "low"]).kind == "category"


@pytest.mark.parametrize(
    ("cells", "form", "seconds"),
    [
        (["1970-1-2", "2014-12-31"], "iso", 86400),
        (["02-01-1970", "31-12-2020"], "dmy", 86400),
        (["01-02-1970", "12-31-2020"], "mdy", 86400),
        (["1/2/1970 1:30 PM", "12/31/2020 12:00 AM"], "mdy", 86400 + 13.5 * 3600),
        (["03:14:50", "23:00:01"], "time", 3 * 3600 + 14 * 60 + 50),
        (["12:30 AM", "1:00 pm"], "time", 1800),
        (["Jan-70", "Sep-63"], "%b-%y", 0),
        (["1970, January"], "%Y, %B", 0),
        (["00:00:05  1 Jan 1970"], "%H:%M:%S %d %b %Y", 5),
        (["01-Jan-70", "01-Jan-29"], "%d-%b-%y", 0),
    ],
)
def test_dates(cells: list[str], form: str, seconds: float) -> None:
    assert date_form(cells) == form
    assert dates(cells, form)[0] == seconds


def test_short_years_are_those_of_spreadsheets() -> None:
    found = dates(["Sep-63", "Sep-29", "Sep-30"], "%b-%y").astype("datetime64[s]")
    assert [str(date)[:4] for date in found] == ["1963", "2029", "1930"]


def test_none_is_a_class_among_words() -> None:
    frame = as_frame({"y": ["None", "Apnea", "Insomnia", ""] * 5})
    target, codes, _ = take_target(frame, "y")
    assert isinstance(target, Classes)
    assert target.labels == ("Apnea", "Insomnia", "None")
    assert (codes == -1).sum() == 5
    assert (target.read(frame) == codes).all()
    numbers = as_frame({"y": ["None", "1", "2"] * 5})
    assert take_target(numbers, "y", "classes")[0].labels == ("1", "2")  # type: ignore


def test_an_index_of_some_rows_is_no_number() -> None:
    table = {"": [5, 2, 9, 4], "size": [5, 2, 9, 4], "id": [7, 3, 9, 1]}
    assert [t.kind for t in take_columns(as_frame(table))] == ["row number", "number", "number"]
    assert take_columns(as_frame({"": [0.5, 1.5, 2.5]}))[0].kind == "number"
    assert take_columns(as_frame({"": [3, 3, 2, 1]}))[0].kind == "number"


def test_words_of_a_large_file_are_those_of_a_small_one(tmp_path: Path) -> None:
    words = ["red", "dark grey", "", "größe", "a word of more", " red ", "dark gray", "x" * 16]
    cells = [words[i * 5 % 8] for i in range(QUICK_FROM // 8)]
    long = ["y" * 17 + str(i % 3) for i in range(len(cells))]
    text = "".join(f"{i},{a},{b}\n" for i, (a, b) in enumerate(zip(cells, long, strict=True)))
    frame = read(tmp_path, "n,a,b\n" + text)
    assert frame.columns[1] == [cell.strip() for cell in cells]
    assert frame.columns[2] == long
