"""Preprocessing: what columns become, its state, and rows of every kind."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from minigrad.tables.columns import take_columns
from minigrad.tables.frame import as_frame
from minigrad.tables.preparation import FEW, TablePreprocessor
from minigrad.tables.targets import take_target


def fitted(table: dict[str, Any], **options: Any) -> TablePreprocessor:
    return TablePreprocessor.fit(as_frame(table), **options)


def test_numbers_are_filled_scaled_and_marked() -> None:
    p = fitted({"a": [1.0, 2.0, None, 9.0]})
    x = p.transform({"a": [None, 2.0, math.inf]})
    assert p.outputs == ["a", "a is missing"]
    np.testing.assert_array_equal(x[:, 1], [1, 0, 1])
    assert x[0, 0] == x[1, 0] == x[2, 0]  # the median is 2
    whole = p.transform({"a": [1.0, 2.0, None, 9.0]})[:, 0]
    np.testing.assert_allclose([whole.mean(), whole.std()], [0, 1], atol=1e-6)
    assert x.dtype == np.float32


def test_outliers_are_clipped() -> None:
    values = [*np.linspace(0, 1, 99), 1e30]
    x = fitted({"a": values}).transform({"a": values})
    assert np.abs(x).max() < 30
    assert x[:99].std() > 0.3
    mostly_zero = [0.0] * 98 + [5.0, 7.0]
    assert len(np.unique(fitted({"a": mostly_zero}).transform({"a": mostly_zero}))) == 3


def test_seconds_since_1970_keep_their_seconds() -> None:
    stamps = 1_700_000_000 + np.arange(100)
    x = fitted({"t": stamps}).transform({"t": stamps})
    assert len(np.unique(x)) == 100
    np.testing.assert_allclose(np.diff(x[:, 0]), np.diff(x[:, 0])[0], rtol=1e-4)


def test_few_categories_have_an_input_each_and_many_an_embedding() -> None:
    few = fitted({"c": ["b", "a", None] * 4})
    assert few.outputs == ["c missing", "c = a", "c = b"] or few.outputs == [
        "c = a",
        "c = b",
        "c missing",
    ]
    rows = few.transform({"c": ["a", "unseen", ""]})
    assert rows.sum(1).tolist() == [1, 0, 1]
    labels = [f"k{i}" for i in range(FEW + 1)]
    many = fitted({"c": labels * 3 + ["once"] + ["k0"] * 20})
    assert many.tables == [(FEW + 2, 7)]
    codes = many.transform({"c": ["k0", "once", "never", *labels]})[:, 0]
    assert codes[1] == codes[2] == 0
    assert sorted(codes[3:]) == list(range(1, FEW + 2))


def test_numbers_as_categories_agree_between_text_and_numbers() -> None:
    p = fitted({"c": [1, 2, 3] * 5}, types={"c": "category"})
    np.testing.assert_array_equal(
        p.transform({"c": ["1.0", "2"]}), p.transform({"c": np.array([1, 2])})
    )


def test_dates_know_year_week_and_day() -> None:
    days = [f"2024-{m:02d}-{d:02d}" for m in (1, 5, 9) for d in (1, 2, 9)]
    p = fitted({"t": days})
    names = ["t"] + [
        f"t {wave} of {part}" for part in ("year", "week") for wave in ("sine", "cosine")
    ]
    assert p.outputs == names
    x = p.transform({"t": ["2024-01-02", "2024-01-09", ""]})
    np.testing.assert_array_equal(x[0, 3:], x[1, 3:])  # the same day of the week
    assert not x[2, 1:].any()
    with pytest.raises(ValueError, match=r"row 1, column 't': expected a date, but got 'soon'"):
        p.transform({"t": ["soon"]})


def test_what_columns_are_taken_for() -> None:
    n = 60
    table = {
        "id": range(n),
        "n": [i * 0.5 for i in range(n)],
        "word": [f"w{i}" for i in range(n)],
        "kind": ["a", "b"] * (n // 2),
        "flag": [True, False, None] * (n // 3),
        "same": [3] * n,
        "none": [None] * n,
        "code": ["1_0", "2_0"] * (n // 2),
        "when": ["2024-01-31", "2023-02-01"] * (n // 2),
    }
    kinds = {t.name: t.kind for t in take_columns(as_frame(table))}
    assert kinds == {
        "id": "row number",
        "n": "number",
        "word": "text",
        "kind": "category",
        "flag": "category",
        "same": "constant",
        "none": "empty",
        "code": "category",
        "when": "date",
    }
    with pytest.raises(ValueError, match="has no column to learn from: 'a' \\(constant\\)"):
        fitted({"a": [1, 1]})
    with pytest.raises(ValueError, match="column 'word' holds no dates of one form"):
        take_columns(as_frame(table), types={"word": "date"})


def test_the_state_is_json_and_comes_back_whole() -> None:
    table = {
        "n": [0.1, 1 / 3, None, 1e300],
        "c": ["x", "y", "", "é"],
        "d": ["2024-01-31", "2023-02-01", "", "2020-05-05 12:00"],
    }
    frame = as_frame({**table, "y": [1.5, 2.5, 3.5, 4.5]})
    target, _, _ = take_target(frame, "y")
    p = TablePreprocessor.fit(frame, target=target)
    text = json.dumps(p.state_dict(), allow_nan=False)
    again = TablePreprocessor.from_state(json.loads(text))
    np.testing.assert_array_equal(p.transform(table), again.transform(table))
    assert json.dumps(again.state_dict()) == text
    assert again.target == target


def test_a_state_of_another_kind_is_refused() -> None:
    state = fitted({"a": [1.0, 2.0], "c": ["x", "y"]}).state_dict()
    for change in (
        {"inputs": [{"kind": "colour"}]},
        {"inputs": [{**state["inputs"][0], "mean": "much"}]},
        {"inputs": [{**state["inputs"][0], "mean": math.nan}]},
        {"inputs": [{**state["inputs"][1], "labels": [1]}]},
        {"inputs": None},
        {"target": {"task": "guess"}},
    ):
        with pytest.raises(ValueError, match="no state of one"):
            TablePreprocessor.from_state(json.loads(json.dumps({**state, **change})))


def test_rows_of_every_kind_meet() -> None:
    frame = as_frame(
        {"a": [1.0, 2.0, 3.0], "y": [0.5, 2.5, 1.5], "same": [1, 1, 1], "b": [5, 7, 6]}
    )
    target, _, _ = take_target(frame, "y")
    p = TablePreprocessor.fit(frame, target=target)
    expected = p.transform({"b": [7], "a": [1]})
    for rows in (
        [{"b": 7, "a": 1, "more": "x"}],
        [1, 1, 7],
        [[1.0, 1, 7]],
        np.array([[1, 1, 7]], np.int8),
        np.array([1, 99, 1, 7]),
        (1, 7),
    ):
        np.testing.assert_array_equal(p.transform(rows), expected)
    with pytest.raises(ValueError, match="rows of 5 columns without names; expected 3"):
        p.transform([[1, 2, 3, 4, 5]])
    with pytest.raises(ValueError, match="lacks 1 of the columns"):
        p.transform({"a": [1]})


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["x", "y"] * 10, "classes"),
        ([0, 1] * 10, "classes"),
        ([0.5, 1.5] * 10, "classes"),
        ([0.5, 1.5, 2.5, 3.5] * 5, "regression"),
        ([3, 4, 5] * 10, "classes"),
        (list(range(40)), "regression"),
        (["1", "2", "NA"] * 10, "classes"),
        (["1,5", "2,5", "3"] * 10, "regression"),
    ],
)
def test_the_nature_of_a_target(values: list[Any], task: str) -> None:
    frame = as_frame({"y": values})
    frame = (
        frame
        if not isinstance(values[0], str)
        else type(frame)(frame.names, frame.columns, delimiter=";")
    )
    assert take_target(frame, "y")[0].task == task


def test_rare_classes_are_left_out_aloud() -> None:
    frame = as_frame({"y": ["a", "b"] * 9 + ["c", "c"]})
    target, codes, notes = take_target(frame, "y")
    assert target.labels == ("a", "b")
    assert codes[-2:].tolist() == [-1, -1]
    assert notes == ["2 rows left out, of classes with less than 3: 'c'"]
    with pytest.raises(ValueError, match="always holds 2: nothing to learn"):
        take_target(as_frame({"y": [2, 2, 2]}), "y", "regression")


def test_a_few_words_among_numbers_stand_for_nothing() -> None:
    cells = [f"{i}.5" for i in range(60)] + ["unknown", "k.A."] * 2
    (taken,) = take_columns(as_frame({"a": cells}))
    assert (taken.kind, taken.missing, taken.words) == ("number", 4, ("k.A.", "unknown"))
    assert taken.about == "'k.A.', 'unknown' taken for missing, 0.5 to 59.5"
    p = fitted({"a": cells})
    p = TablePreprocessor.from_state(json.loads(json.dumps(p.state_dict())))
    np.testing.assert_array_equal(p.transform({"a": ["unknown"]}), p.transform({"a": [None]}))
    with pytest.raises(ValueError, match="expected a number, but got 'lost'"):
        p.transform({"a": ["lost", "3"]})
    for other in (cells + ["odd"] * 10, [*cells, "x", "y"], ["1", "2", "low"] * 20):
        assert take_columns(as_frame({"a": other}))[0].kind != "number"
