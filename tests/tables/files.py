"""The fifteen kinds of tables of a new user, small, and the lines that make each."""

from __future__ import annotations

import datetime
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rows = list[list[Any]]
MAKERS: dict[str, tuple[str, list[str]]] = {}  # kind -> (file name, options of train)


def lines(head: list[str] | None, rows: Rows, sep: str = ",") -> str:
    table = ([head] if head else []) + rows
    return "".join(sep.join("" if c is None else str(c) for c in row) + "\n" for row in table)


def kind(name: str, *options: str) -> Callable[[Any], Any]:
    def register(make: Any) -> Any:
        MAKERS[make.__name__] = (name, list(options))
        return make

    return register


def r() -> np.random.Generator:
    return np.random.default_rng(0)


@kind("penguins.csv", "--target", "species")
def penguins(g: np.random.Generator) -> str:
    rows = []
    for i in range(90):
        species = i % 3
        bill = None if i % 17 == 0 else round(38 + 5 * species + g.normal(), 1)
        sex = ("male", "female", "NA")[i % 3 if i % 7 == 0 else i % 2]
        rows.append([("Adelie", "Chinstrap", "Gentoo")[species], ("Dream", "Biscoe")[i % 2]])
        rows[-1] += [bill, round(180 + 15 * species + 4 * g.normal()), sex, 2007 + i % 3]
    return lines(["species", "island", "bill_mm", "flipper_mm", "sex", "year"], rows)


@kind("titanic.csv", "--target", "Survived")
def titanic(g: np.random.Generator) -> str:
    rows = []
    for i in range(120):
        sex, age = ("male", "female")[i % 2], None if i % 5 == 0 else int(g.integers(1, 80))
        rows.append([i + 1, int(g.random() < 0.2 + 0.6 * (i % 2)), f'"Doe{i}, Mr. ""J"""', sex])
        rows[-1] += [age, f"T{i * 7}", round(float(g.lognormal(3)), 2), "SCQ"[i % 3]]
    names = ["PassengerId", "Survived", "Name", "Sex", "Age", "Ticket", "Fare", "Embarked"]
    return lines(names, rows)


@kind("houses.csv")
def houses(g: np.random.Generator) -> str:
    rows = []
    for i in range(150):
        size, quarter = g.uniform(40, 300), int(g.integers(20))
        price = 1000 * size + 2000 * quarter + 5000 * g.normal()
        sold = f"{1 + i % 28:02d}.{1 + i % 12:02d}.{2010 + i % 9}"
        rows.append([f"quarter{quarter}", f"{size:.1f}".replace(".", ","), sold, f"{price:.0f}"])
    return lines(["quarter", "size", "sold", "price"], rows, ";")


@kind("wine.csv")
def wine_quality(g: np.random.Generator) -> str:
    x = g.normal(size=(120, 4)).round(3)
    quality = np.clip(np.round(5.5 + x[:, 0]), 4, 7).astype(int)
    rows = [[*a, q] for a, q in zip(x.tolist(), quality.tolist(), strict=True)]
    return lines(["a", "b", "c", "d", "quality"], rows, ";")


@kind("fraud.csv.gz", "--target", "class", "--class-weights", "balanced")
def fraud(g: np.random.Generator) -> bytes:
    x = g.normal(size=(400, 4)).round(3)
    y = (x[:, 0] > 2).astype(int)
    rows = [[*a, b] for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    return gzip.compress(lines(["v1", "v2", "v3", "v4", "class"], rows).encode())


@kind("weather.tsv", "--target", "temperature")
def weather(g: np.random.Generator) -> str:
    rows, start = [], datetime.datetime(2020, 9, 13)
    for i in range(120):
        at = start + datetime.timedelta(hours=i)
        degrees = 15 + 8 * np.sin(2 * np.pi * (at.hour - 9) / 24) + 0.1 * g.normal()
        rows.append(
            [1_600_000_000 + 3600 * i, f"{at:%Y-%m-%d %H:%M}", "?" if i % 9 == 0 else i % 50]
        )
        rows[-1].append(round(degrees, 2))
    return lines(["stamp", "time", "humidity", "temperature"], rows, "\t")


@kind("numbers.csv")
def numbers_without_a_header(g: np.random.Generator) -> str:
    return lines(None, [[f"{g.normal():.3f}", f"{g.normal():.3f}", i % 2] for i in range(60)])


@kind("housing.data")
def blanks_between(g: np.random.Generator) -> str:
    x = g.normal(size=(80, 3))
    return "".join(f" {a:8.4f}  {b:7.3f}   {a + b:6.2f}\n" for a, b, _ in x.tolist())


@kind("frame.csv", "--target", "1")
def an_index_and_numbered_columns(g: np.random.Generator) -> str:
    return lines(["", "0", "1", "2"], [[i, i % 7, i % 3, i % 4] for i in range(60)])


@kind("wide.csv", "--target", "kind")
def wide(g: np.random.Generator) -> str:
    x = g.normal(size=(40, 300)).round(2)
    rows = [[*a, "ab"[i % 2]] for i, a in enumerate(x.tolist())]
    return lines([*(f"gene{i}" for i in range(300)), "kind"], rows)


@kind("excel.csv", "--target", "Art")
def excel_in_cp1252(g: np.random.Generator) -> bytes:
    rows = [
        [f"{1000 + i}".replace("1", "1.", 1) + ",5", ("Größe", "Maß")[i % 2]] for i in range(40)
    ]
    return lines(["Fläche", "Art"], rows, ";").encode("cp1252")


@kind("utf16.txt", "--target", "y")
def utf_16(g: np.random.Generator) -> bytes:
    return lines(
        ["x", "y"], [[i % 5, "ja" if i % 5 > 2 else "nein"] for i in range(40)], "\t"
    ).encode("utf-16")


@kind("double.csv", "--target", "y", "--drop", "note")
def duplicated_and_useless_columns(g: np.random.Generator) -> str:
    rows = [[i % 3, i % 5, "m", None, f"word{i}", "yn"[i % 3 > 0]] for i in range(40)]
    return lines(["a", "a", "unit", "gap", "note", "y"], rows)


@kind("amounts.csv", "--target", "total", "--types", "shop=category")
def money_and_percent(g: np.random.Generator) -> str:
    rows = [[f'"${1000 + 37 * i:,}.50"', f"{i % 90}%", i % 4, 10 * i + i % 4] for i in range(60)]
    return lines(["spent", "share", "shop", "total"], rows)


@kind("labels.csv", "--target", "kind")
def labels_that_are_missing(g: np.random.Generator) -> str:
    return lines(["x", "kind"], [[i % 8, ["3", "1", "nan", "2", ""][i % 5]] for i in range(60)])


def write(folder: Path, name: str) -> tuple[Path, list[str]]:
    """Write a kind of table; return its path and the options to train on it."""
    file, options = MAKERS[name]
    content = globals()[name](r())
    path = folder / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path, options
