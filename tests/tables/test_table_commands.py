"""Every kind of table trains and predicts in one command each, or is refused by one clear line."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.cli import main as cli
from minigrad.tables.frame import read_table
from tests.tables import files

QUICK = ("--epochs", "2", "--hidden", "8", "--out")


def train(path: Path, options: list[str], out: Path) -> int:
    return cli.main(["train", str(path), *options, *QUICK, str(out)])


@pytest.mark.parametrize("name", files.MAKERS)
def test_a_command_trains_and_a_command_predicts(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, options = files.write(tmp_path, name)
    assert train(path, options, tmp_path / "out") == 0
    printed = capsys.readouterr().out
    said = "regression" if "regression" in printed.splitlines()[0] else "classification"
    assert f"{said}, by its values" in printed
    model = tmp_path / "out" / "model.safetensors"
    predictions = tmp_path / "p.csv"
    assert cli.main(["predict", str(model), str(path), "--out", str(predictions)]) == 0
    with predictions.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    built = mg.load_model(model)
    count = len(files_frame(path))
    assert len(rows) == count + 1
    assert "scores" in capsys.readouterr().out
    if built.class_names:
        assert rows[0] == ["prediction", *(f"p({label})" for label in built.class_names)]
        np.testing.assert_allclose([sum(map(float, row[1:])) for row in rows[1:]], 1, atol=1e-4)
    np.testing.assert_array_equal(
        [row[0] for row in rows[1:]],
        [f"{v:.9g}" if isinstance(v, float) else str(v) for v in built.predict(path).tolist()],
    )


def files_frame(path: Path) -> list[str]:
    """Return a table's rows, by its column most certain to be there."""
    frame = read_table(path)
    return list(frame.columns[0])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("titanic", "1 row number (left out), 2 text (left out)"),
        ("titanic", "Ticket       text"),
        ("houses", "embedding"),
        ("houses", "decimal comma"),
        ("houses", "day first, 2010-01-01"),
        ("weather", "R2"),
        ("numbers_without_a_header", "no header line"),
        ("an_index_and_numbered_columns", "3 classes"),
        ("wide", "and 270 more columns: 270 number"),
        ("excel_in_cp1252", "read as cp1252"),
        ("duplicated_and_useless_columns", "columns of one name, numbered: 'a'"),
        ("duplicated_and_useless_columns", "1 constant (left out), 1 empty (left out), 1 dropped"),
        ("labels_that_are_missing", "24 rows left out, whose target is missing"),
        ("wine_quality", "if they are amounts: --regression"),
        ("fraud", "average precision"),
        ("fraud", "true \\ taken for"),
        ("fraud", "linear model       accuracy"),
    ],
)
def test_what_is_said(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, options = files.write(tmp_path, name)
    assert train(path, options, tmp_path / "out") == 0
    assert said in capsys.readouterr().out


def test_the_strong_recipe_by_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, options = files.write(tmp_path, "penguins")
    small = ["--recipe", "strong", "--epochs", "20", "--hidden", "8"]
    assert cli.main(["train", str(path), *options, *small]) == 0
    said = capsys.readouterr().out
    assert "8 members of" in said
    assert "at most 20 epochs" in said
    assert (
        cli.main(["predict", "runs/penguins/model.safetensors", str(path), "--out", "p.csv"]) == 0
    )
    assert len(Path("p.csv").read_text().splitlines()) == 91
    assert cli.main(["train", "--data", "digits", "--recipe", "strong"]) == 2
    assert "--recipe is for CSV files" in capsys.readouterr().err


def test_a_second_run_keeps_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, options = files.write(tmp_path, "penguins")
    out = tmp_path / "out"
    assert train(path, options, out) == 0
    first = (out / "model.safetensors").read_bytes()
    capsys.readouterr()
    for number in (1, 2):
        assert train(path, ["--seed", str(number), *options], out) == 0
        assert f"the earlier run is now in {out / f'earlier-{number}'}" in capsys.readouterr().out
    assert (out / "earlier-1" / "model.safetensors").read_bytes() == first
    assert (out / "model.safetensors").read_bytes() != first


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    path, options = files.write(tmp_path, "houses")
    for name in ("a", "b"):
        assert train(path, [*options, "--quiet"], tmp_path / name) == 0
    written = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert written[0] == written[1]


def test_a_built_in_data_set_predicts_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--data", "iris", "--quiet", *QUICK, str(tmp_path)]) == 0
    rows = tmp_path / "new.csv"
    rows.write_text("5.1,3.5,1.4,0.2\n6.5,3.0,5.8,2.2\n")
    capsys.readouterr()
    model = str(tmp_path / "model.safetensors")
    assert cli.main(["predict", model, str(rows), "--out", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "prediction,p(setosa),p(versicolor),p(virginica)"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a,b\n1,x\n",
            "lacks 1 of the columns that the model was trained on: 'c'; it has 'a', 'b'",
        ),
        ("a,b,c\n1,x,old\n", "line 2, column 'c': expected a number, but got 'old'"),
        ("1,2\n3,4\n", "has rows of 2 columns without names; expected 3: 'a', 'b', 'c'"),
        ("", "has no rows"),
        ('a,b,c\n1,x,"2\n', "a quote"),
    ],
)
def test_tables_that_cannot_be_predicted(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = {"a": [1, 2] * 10, "b": ["x", "y"] * 10, "c": [0.5, 1.5] * 10, "y": [0.1, 0.7] * 10}
    built = mg.recipe.from_table(table, "y", hidden=(4,))
    model = built.save(tmp_path / "m.safetensors")
    rows = tmp_path / "new.csv"
    rows.write_text(content)
    assert cli.main(["predict", str(model), str(rows), "--out", str(tmp_path / "p.csv")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("minigrad predict: error: ")
    assert message in error
    assert error.count("\n") == 1


def test_predictions_are_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = {"a": [1, 2] * 10, "y": ["u", "v"] * 10}
    mg.recipe.from_table(table, "y", hidden=(4,)).save("m.safetensors")
    Path("new.csv").write_text("extra,a\nk,1\nk,\n")
    assert cli.main(["predict", "m.safetensors", "new.csv"]) == 0
    said = capsys.readouterr().out
    assert "column 'a' misses 1 values, and missed none in training" in said
    assert "columns not used: 'extra'" in said
    assert "2 predictions to new.predictions.csv" in said
    assert cli.main(["predict", "m.safetensors", "new.csv"]) == 2
    assert "is there already: name another with --out, or add --force" in capsys.readouterr().err
    assert cli.main(["predict", "m.safetensors", "new.csv", "--force", "--quiet"]) == 0
    assert cli.main(["predict", "nothing", "new.csv"]) == 2
    assert "no such file: nothing" in capsys.readouterr().err


def mutated(data: bytes, g: np.random.Generator) -> bytes:
    """Return a table with one thing changed: a byte, a quote, a cell, a line, the encoding."""
    at = int(g.integers(len(data)))
    lines = data.split(b"\n")
    line = int(g.integers(len(lines)))
    how = int(g.integers(9))
    if how == 0:
        return data[:at] + bytes([int(g.integers(256))]) + data[at + 1 :]
    if how == 1:
        return data[:at] + b'"' + data[at:]
    if how == 2:
        return data[:at]
    if how == 3:
        lines[line] += b",1"
    elif how == 4:
        lines[line] = lines[line].rpartition(b",")[0]
    elif how == 5:
        del lines[line]
    elif how == 6:
        lines.insert(line, lines[line])
    elif how == 7:
        return data.decode("latin-1").encode(("utf-16", "utf-8-sig", "utf-32")[at % 3])
    else:
        lines[line] = lines[line].replace(b",", b";")
    return b"\n".join(lines)


def test_mutated_tables_end_in_a_result_or_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    g = np.random.default_rng(1)
    ends = {0: 0, 2: 0}
    for number in range(200 if request.config.getoption("--all-trials") else 60):
        path, options = files.write(tmp_path, list(files.MAKERS)[number % len(files.MAKERS)])
        path.write_bytes(mutated(path.read_bytes(), g))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            out = ["--out", str(tmp_path / "out" / str(number))]
            small = ["--quiet", "--epochs", "1", "--hidden", "4"]
            code = cli.main(["train", str(path), *options, *small, *out])
        error = capsys.readouterr().err
        assert code in ends, (number, error)
        assert error.count("\n") == (code == 2), (number, error)
        assert len(error) < 600, (number, error)
        ends[code] += 1
    assert min(ends.values()) > 3, ends
