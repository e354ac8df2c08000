"""load_csv: values, classes, and errors that name line and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.data import load_csv


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_features_and_classes(tmp_path: Path) -> None:
    data = load_csv(write(tmp_path, "a,kind,b\n1,dog,2.5\n-3,cat,1e3\n\n4,dog,0\n"), target="kind")
    assert data.name == "table"
    assert data.feature_names == ("a", "b")
    assert data.target_names == ("cat", "dog")
    np.testing.assert_array_equal(data.x, np.array([[1, 2.5], [-3, 1000], [4, 0]], np.float32))
    assert data.y.tolist() == [1, 0, 1]
    assert data.x.dtype == np.float32
    assert data.y.dtype == np.int64


def test_numeric_classes_are_sorted_as_numbers(tmp_path: Path) -> None:
    data = load_csv(write(tmp_path, "a,y\n0,10\n0,9\n0,other\n0,10\n"))
    assert data.target_names == ("9", "10", "other")
    assert data.y.tolist() == [1, 0, 2, 1]


def test_regression(tmp_path: Path) -> None:
    data = load_csv(write(tmp_path, "y,a\n0.5,1\n2,3\n"), target=0, regression=True)
    assert data.y.tolist() == [0.5, 2.0]
    assert data.y.dtype == np.float32
    assert data.n_classes == 0


def test_a_byte_order_mark_quotes_and_another_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeffa;"long; name";y\r\n1;2;x\r\n3;4;z\r\n')
    data = load_csv(path, target="y", delimiter=";")
    assert data.feature_names == ("a", "long; name")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "has no rows; expected a header line and rows below it"),
        ("a,b\n", {}, "has no rows"),
        ("a,b\n1,2\n3\n", {}, "line 3 has 1 columns, but the header has 2"),
        ("a,y\n1,x\n\nold,x\n", {}, "line 4, column 'a': expected a finite number, but got 'old'"),
        ("a,y\n,x\n", {}, "line 2, column 'a': expected a finite number, but got nothing"),
        ("a,y\nnan,x\n", {}, "line 2, column 'a': expected a finite number, but got 'nan'"),
        (
            "a,y\n1,nan\n",
            {},
            "line 2, column 'y': expected a class, but got 'nan'; leave such rows",
        ),
        ("size,y\n1,2\n", {"target": "sise"}, "called 'sise'; did you mean 'size'?"),
        ("a,a,y\n1,2,3\n", {"target": "a"}, "has 2 columns called 'a'; choose one by its number"),
        ("a,y\n1_0,2\n", {}, "column 'a': expected a finite number, but got '1_0'"),
        ("a,y\n1,\n", {}, "line 2, column 'y': expected a class, but got nothing"),
        ("a,y\n1,x\n", {"regression": True}, "column 'y': expected a finite number, but got 'x'"),
        ("a,y\n1,2\n", {"target": "z"}, "has no column called 'z'; the columns are 'a', 'y'"),
        ("a,y\n1,2\n", {"target": 2}, "has 2 columns, so no column 2"),
    ],
)
def test_errors_name_the_place(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_csv(write(tmp_path, text), **options)


def test_new_rows_have_no_target(tmp_path: Path) -> None:
    path = write(tmp_path, "length,width\n1.5,2.5\n3.5,4.5\n")
    for data in (load_csv(path), load_csv(path, target=None)):
        assert data.y is None
        assert data.x.tolist() == [[1.5, 2.5], [3.5, 4.5]]
        assert data.fetch(np.array([1]))[0].tolist() == [[3.5, 4.5]]
        assert repr(data) == "<table: 2 rows, 2 features, no target>"
        with pytest.raises(ValueError, match="has no target; name its column in load_csv"):
            data.split()
    assert load_csv(path, regression=True).y.tolist() == [2.5, 4.5]


def test_a_file_of_numbers_keeps_its_first_row(tmp_path: Path) -> None:
    data = load_csv(write(tmp_path, "1.5,0\n2.5,1\n"))
    assert (len(data), data.feature_names) == (2, ("column_0",))
    assert len(load_csv(write(tmp_path, "1,0\n2,1\n"), header=True)) == 1
