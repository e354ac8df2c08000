"""Reading tables: delimiters, encodings, headers, numbers and dates as people write them."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.tables import quick as quickly
from minigrad.tables.columns import take_columns
from minigrad.tables.frame import as_frame, read_table
from minigrad.tables.text import find_delimiter, read_cells
from minigrad.tables.values import date_form, dates, number, number_form, numbers
from minigrad_kernels.jit import plain


def write(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, end: str) -> None:
    lines = [delimiter.join(row) for row in (["a", "b"], ["1.5", "x"], ["2", "y"])]
    frame = read_table(write(tmp_path, end.join(lines) + end))
    assert frame.names == ("a", "b")
    assert frame.columns == (["1.5", "2"], ["x", "y"])
    assert list(frame.lines or ()) == [2, 3]


def test_a_decimal_comma_is_no_delimiter() -> None:
    assert find_delimiter("a;b\n1,5;2,5\n") == ";"
    assert find_delimiter("1,5;2,5\n3,5;4,5\n") == ";"
    assert find_delimiter("1,5\t2,5\n3,5\t4,5\n") == "\t"
    assert find_delimiter('a,b\n"x;y",2\n"x;z",3\n') == ","
    assert find_delimiter("one\nword\n") == ","


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = "größe,farbe\n" + "".join(f"{i},grün\n" for i in range(20))
    frame = read_table(write(tmp_path, text.encode(encoding)))
    assert frame.names == ("größe", "farbe")
    assert frame.columns[1][0] == "grün"
    assert frame.notes == ((f"read as {encoding}",) if encoding[:5] not in ("utf-8",) else ())


def test_gzip(tmp_path: Path) -> None:
    data = gzip.compress(b"a,b\n1,2\n")
    assert read_table(write(tmp_path, data, "t.csv.gz")).columns == (["1"], ["2"])
    with pytest.raises(ValueError, match="is a damaged gzip file"):
        read_table(write(tmp_path, data[:-9]))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1.5,0\n2.5,1\n", None),
        ("5.1,0.2,Iris\n4.9,0.2,Iris\n6.0,1.5,other\n", None),
        ("p,x,s\ne,x,s\np,b,w\n", None),
        ("Tom,5,3\nAnn,4,2\n", None),
        ("a,b\nx,y\nz,y\n", ("a", "b")),
        ("size,kind\n1,x\n", ("size", "kind")),
        ("country,2019,2020\nFrance,1.5,2\nSpain,2,3\n", ("country", "2019", "2020")),
        (",0,1,2\n0,1,5,2\n1,1,4,2\n", ("", "0", "1", "2")),
        ("0,1,1\n1,0,1\n", None),
        ("a,b\n1,2,3\n4,5,6\n", ("", "a", "b")),
        ("a,b\n1,2,\n4,5,\n", ("a", "b")),
        ("a,a,b\n1,2,3\n", ("a", "a.2", "b")),
        ("a,,\n1,2,3\n", ("a", "", ".2")),
        ("a\n1\n2\n", ("a",)),
        ("id,x\n?,1\n2,NA\n", ("id", "x")),
    ],
)
def test_headers(tmp_path: Path, text: str, names: tuple[str, ...] | None) -> None:
    frame = read_table(write(tmp_path, text))
    assert frame.header == (names is not None)
    rows = len(text.splitlines())
    if names is None:
        assert frame.names[0] == "column_0"
        assert len(frame) == rows
        assert "no header line" in frame.notes
    else:
        assert frame.names == names
        assert len(frame) == rows - 1


def test_what_is_known_of_the_names_finds_a_header_of_words(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\nb,a\na,b\n")
    assert not read_table(path).header
    assert read_table(path, known=("a", "b", "c")).header
    assert not read_table(path, header=False, known=("a", "b")).header


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "has no rows; expected a header line and rows below it"),
        ("a,b\n1,2\n1,2,3\n", {}, "line 3 has 3 columns, but the header has 2 (delimiter: ',')"),
        ('a,b\n1,2\n"3,2\n4,5\n', {}, 't.csv line 3: a quote (") is opened and never closed'),
        ('a,b\n"x"y,2\n', {}, "line 2: quotes:"),
        ('a,b\n"' + "x,1\n" * 50_000, {}, "line 2: a quote"),
        (b"PK\x03\x04rest", {}, "holds no text: it is a zip archive or an Excel file"),
        (b"a,b\n\x00\x00\x00\x00" * 9, {}, "holds no text"),
        (b"a,b\n\xff\xfe1,2\n", {"encoding": "utf-8"}, "cannot be read as utf-8"),
        (b"a,b\n1,2\n", {"encoding": "latin-99"}, "Python knows no 'latin-99'"),
        ("a,b\n1,2\n", {"delimiter": ";;"}, "expected one character such as ',' or ';'"),
    ],
)
def test_errors(
    tmp_path: Path, content: str | bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_table(write(tmp_path, content), **options)


def test_quotes_hold_delimiters_line_ends_and_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n"x,\n""y""",1\n\nz,2\n')
    cells = read_cells(path)
    assert cells.columns == [["a", 'x,\n"y"', "z"], ["b", "1", "2"]]
    assert list(cells.lines) == [1, 2, 5]


def test_a_header_of_many_names_is_not_printed_whole(tmp_path: Path) -> None:
    names = [f"gene_{i}" for i in range(2000)]
    frame = read_table(write(tmp_path, ",".join(names) + "\n" + ",".join("1" * 2000) + "\n"))
    with pytest.raises(ValueError) as caught:
        frame.find("gene_1999O")
    message = str(caught.value)
    assert "did you mean 'gene_1999'?" in message
    assert "and 1,992 more" in message
    assert len(message) < 400


def test_columns_named_by_numbers_are_found_by_name() -> None:
    frame = as_frame({"": [0, 1], "0": [5, 6], "1": [7, 8]})
    assert frame.find("1", numbers=True) == 2
    with pytest.raises(ValueError, match="no column called '2'"):
        frame.find("2", numbers=True)
    assert as_frame({"a": [0], "b": [5]}).find("-1", numbers=True) == 1


@pytest.mark.parametrize(
    ("cells", "delimiter", "form", "values"),
    [
        (["1", "2.5", "1e3"], ",", "plain", [1, 2.5, 1000]),
        (["1", "NA", "", "inf"], ",", "plain", [1, math.nan, math.nan, math.nan]),
        (["1,5", "2"], ";", "comma", [1.5, 2]),
        (["1.234,5", "2,0"], ";", "comma", [1234.5, 2]),
        (["1,234", "2,500.5"], ";", "thousands", [1234, 2500.5]),
        (["1,234", "12"], ",", "thousands", [1234, 12]),
        (["$1,200.50", "-$5"], ",", "signs", [1200.5, -5]),
        (["12 %", "7%"], ",", "signs", [12, 7]),
        (["1_000", "2"], ",", None, []),
        (["1", "x"], ",", None, []),
        (["", "NA"], ",", None, []),
        (["1,2,3", "4,5,6"], ",", None, []),
    ],
)
def test_numbers(cells: list[str], delimiter: str, form: str | None, values: list[float]) -> None:
    assert number_form(cells, delimiter) == form
    if form is not None:
        np.testing.assert_array_equal(numbers(cells, form), values)
        np.testing.assert_array_equal([number(cell, form) for cell in cells], values)


@pytest.mark.parametrize(
    ("cells", "form", "first"),
    [
        (["1970-01-02", ""], "iso", 86400),
        (["1970-01-01 01:00", "2024-02-29T12:00:01.5"], "iso", 3600),
        (["1970-01-01T00:00:00Z", "1970-01-01T02:00:00+02:00"], "iso", 0),
        (["2.1.1970", "31.12.2020"], "dmy", 86400),
        (["1/2/1970", "12/31/2020"], "mdy", 86400),
        (["2/1/1970", "31/12/2020"], "dmy", 86400),
        (["1970/1/2"], "ymd", 86400),
        (["1/2/70"], "mdy", 86400),
        (["2-Jan-1970"], "%d-%b-%Y", 86400),
        (["Jan 2, 1970"], "%b %d, %Y", 86400),
        (["2024-13-01"], None, 0),
        (["31/31/2020"], None, 0),
        (["a-b"], None, 0),
        (["12"], None, 0),
        (["3.14"], None, 0),
    ],
)
def test_dates(cells: list[str], form: str | None, first: float) -> None:
    assert date_form(cells) == form
    if form is not None:
        assert dates(cells, form)[0] == first


def test_tables_of_other_kinds() -> None:
    rows = [{"a": 1, "b": "x"}, {"b": None}]
    for data in (rows, {"a": [1, None], "b": ["x", None]}):
        frame = as_frame(data)
        assert frame.names == ("a", "b")
        np.testing.assert_array_equal(frame.columns[0], [1, np.nan])
        assert frame.columns[1] == ["x", ""]
    assert as_frame([1, 2.5]).columns[1].tolist() == [2.5]
    assert as_frame(np.eye(2, dtype=np.int8)).names == ("column_0", "column_1")
    assert as_frame([[1, "x"], [2, "y"]], names=["a", "b"]).columns[1] == ["x", "y"]
    with pytest.raises(ValueError, match="rows of one length"):
        as_frame([[1], [1, 2]])
    with pytest.raises(ValueError, match="columns of one length"):
        as_frame({"a": [1], "b": [1, 2]})


def test_dataframes() -> None:
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame(
        {
            "n": pandas.array([1, None], dtype="Int64"),
            "c": pandas.Categorical(["x", None]),
            "b": [True, False],
            "t": pandas.to_datetime(["2024-01-31", None]),
        }
    )
    frame = as_frame(data)
    np.testing.assert_array_equal(frame.columns[0], [1, np.nan])
    assert frame.columns[1:] == (["x", ""], ["True", "False"], ["2024-01-31 00:00:00", ""])


def test_parquet_comes_by_way_of_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame({"a": [1.5, 2.5], "b": ["x", None]})
    monkeypatch.setattr(pandas, "read_parquet", lambda path: data)
    frame = read_table(tmp_path / "t.parquet")
    assert (frame.names, frame.columns[1]) == (("a", "b"), ["x", ""])
    assert frame.source.endswith("t.parquet")


def test_a_parquet_file(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    data = pandas.DataFrame(
        {
            "n": [1.5, None, 3.0],
            "whole": pandas.array([1, None, 3], dtype="Int64"),
            "kind": pandas.Categorical(["x", None, "y"]),
            "word": ["a", "b", None],
            "day": pandas.to_datetime(["2024-01-31", None, "2024-02-01"]),
            "yes": [True, False, True],
        }
    )
    data.to_parquet(tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet")
    assert frame.names == tuple(data.columns)
    np.testing.assert_array_equal(frame.columns[0], [1.5, np.nan, 3])
    np.testing.assert_array_equal(frame.columns[1], [1, np.nan, 3])
    assert frame.columns[2:] == (
        ["x", "", "y"],
        ["a", "b", ""],
        ["2024-01-31 00:00:00", "", "2024-02-01 00:00:00"],
        ["True", "False", "True"],
    )
    assert [t.kind for t in take_columns(frame)] == [
        "number",
        "number",
        *["category"] * 2,
        "date",
        "category",
    ]


def test_parquet_needs_its_readers(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    path = write(tmp_path, b"PAR1 damaged", "t.parquet")
    with pytest.raises((ValueError, ModuleNotFoundError), match="Parquet|pyarrow"):
        read_table(path)


ODD = ["1", "-2.5", "1e5", "NA", "", "x", "1_0", "TRUE", "False", "+3", " 4 ", "inf", "007", "1,5"]
ODD += ["99999999999999999999", "0.1", "2024-01-31", "0x1A", "nan", "5.", "a b"]


@pytest.mark.parametrize("seed", range(20))
def test_the_kernel_reads_what_the_own_parser_reads(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = np.random.default_rng(seed)
    kinds = [g.choice(ODD, size=int(g.integers(1, 4))) for _ in range(6)]
    rows = [[str(g.choice(kind)) for kind in kinds] for _ in range(400)]
    head = [[f"c{i}" for i in range(6)]] * (seed % 2)
    path = write(tmp_path, "".join(";".join(row) + "\n" for row in head + rows))
    own = read_table(path, delimiter=";", header=seed % 2 == 1)
    monkeypatch.setattr(quickly, "QUICK_FROM", 0)
    quick = read_table(path, delimiter=";", header=seed % 2 == 1)
    assert plain.ON or seed or any(isinstance(column, np.ndarray) for column in quick.columns)
    assert (quick.names, quick.notes, list(quick.lines or ())) == (
        own.names,
        own.notes,
        list(own.lines or ()),
    )
    for a, b in zip(take_columns(own), take_columns(quick), strict=True):
        assert (a.kind, a.missing, a.distinct, a.about) == (b.kind, b.missing, b.distinct, b.about)
        if a.kind in ("number", "date"):
            np.testing.assert_array_equal(a.values, b.values)
        else:
            assert a.values == b.values


ODD_TEXTS = [
    *("a,b\n1,2\n\n3,4\n", "a,b\n1,2,3\n4,5,6\n", "a,b\n1,2\n3\n", "a,b\n1,2\n3,4,5\n"),
    *("a\n1\n\n2\n", "a,b\n1,2\n \n3,4\n", 'a,b\n1,"2"\n', "a,b\n1,2,\n3,4,\n", "a,b\n1,2"),
    *("a,b\n1,ä\n2,ö\n", "a,b\r\n1,2\r\n3,x\r\n", "a,b\n1, x \n\t2,y\n", "a,b\n,\n,\n"),
    '"a","b"\n1,2\n3,4\n\n',
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_the_kernel_leaves_odd_texts_to_the_own_parser(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, text)

    def read() -> tuple[Any, ...]:
        try:
            frame = read_table(path, delimiter=",")
        except ValueError as error:
            return (str(error),)
        taken = take_columns(frame)
        seen = [(t.name, t.kind, t.missing, np.array(t.values).tolist()) for t in taken]
        return frame.names, frame.notes, list(frame.lines or ()), repr(seen)

    own = read()
    monkeypatch.setattr(quickly, "QUICK_FROM", 0)
    assert read() == own
