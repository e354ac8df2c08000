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
        ("a,y\n1,\n", {}, "line 2, column 'y': expected a class, but got nothing"),
        ("a,y\n1,x\n", {"regression": True}, "column 'y': expected a finite number, but got 'x'"),
        ("a,y\n1,2\n", {"target": "z"}, "has 0 columns called 'z'; the columns are ['a', 'y']"),
        ("a,y\n1,2\n", {"target": 2}, "has 2 columns, so no column 2"),
    ],
)
def test_errors_name_the_place(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_csv(write(tmp_path, text), **options)
