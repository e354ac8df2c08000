"""`minigrad search`: independent trials of a recipe's options, several at a time by MPI."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.cli.options import UsageError, at_least, field
from minigrad.data.builtin import DATASETS
from minigrad.distributed.group import Group, current
from minigrad.engine.random import manual_seed
from minigrad.lazy import lazy
from minigrad.train.recipe import recipe

tables = lazy("minigrad.tables.recipe")
ABOUT = (
    "Draw options as a TOML file says, fit a recipe with each, and keep a table of the results. "
    "Under `mpiexec -n N+1` N trials run at a time. What is there is not run again: an interrupted "
    "search goes on by the same command. See docs/distributed.md for the file."
)
OF_RECIPE = ("activation", "dropout", "last_dropout", "weight_decay", "lr_patience", "patience")
OF_FIT = ("batch_size", "epochs")
OF_BOTH = ("hidden", "lr")
SHOWN = 10  # trials in the printed table


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = command.add_argument
    add("recipe", type=Path, metavar="RECIPE.toml", help="data, and what options are drawn from")
    add("-n", "--trials", type=at_least(1), default=16, metavar="N", help="trials in all (16)")
    add("--out", type=Path, metavar="DIR", help="where trials.jsonl is written (runs/search-NAME)")


def run(arguments: argparse.Namespace) -> int:
    """Run the trials that are missing; print the best; return the exit code."""
    plan = read(arguments.recipe)
    joined = current.group
    current.group = Group()  # each trial is one process's own
    out = arguments.out or Path("runs") / f"search-{arguments.recipe.stem}"
    path = out / "trials.jsonl"
    done = earlier(path, plan) if joined.rank == 0 else {}
    missing = [number for number in range(arguments.trials) if number not in done]
    if joined.rank == 0:
        out.mkdir(parents=True, exist_ok=True)
        here = f"{len(done)} are there, {len(missing)} to run on {max(1, joined.size - 1)}"
        print(field("search", f"{arguments.trials} trials: {here} at a time"))
    for result in results(joined, plan, missing):
        done[result["trial"]] = result
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        print(field(f"{len(done)}/{arguments.trials}", said(result, plan)), flush=True)
    current.group = joined
    if joined.rank == 0:
        print()
        print(table(list(done.values()), plan))
        print(field("wrote", str(path)))
    return 0


def read(path: Path) -> dict[str, Any]:
    """Return what a search's file says, checked.

    Raises: UsageError that names what is wrong.
    """
    try:
        plan: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    known = {"data", "target", "seed", "monitor", "fixed", "search"}
    unknown = sorted(plan.keys() - known)
    if unknown or "data" not in plan or not plan.get("search"):
        raise UsageError(
            f"{path}: expected data = ... and a table [search], and of others "
            f"{', '.join(sorted(known))}; got {', '.join(sorted(plan)) or 'nothing'}"
        )
    plan.setdefault("seed", 0)
    plan.setdefault("monitor", "val_loss")
    plan.setdefault("fixed", {})
    built_in = plan["data"] in DATASETS
    allowed = {*OF_FIT, *OF_BOTH, *(OF_RECIPE if built_in else ("recipe",))}
    wrong = sorted({*plan["fixed"], *plan["search"]} - allowed)
    if wrong:
        raise UsageError(f"{path}: no option {wrong[0]!r}: there are {', '.join(sorted(allowed))}")
    if not built_in and not Path(plan["data"]).is_file():
        raise UsageError(f"{path}: no data set and no file {plan['data']!r}")
    for name, how in plan["search"].items():
        drawn(np.random.default_rng(0), name, how)
    return plan


def drawn(rng: np.random.Generator, name: str, how: Any) -> Any:
    """Return a value of an option: one of a list, or a number between two, even in its logarithm.

    >>> drawn(np.random.default_rng(0), "hidden", [[64], [128, 64]])
    [128, 64]
    >>> 1e-4 < drawn(np.random.default_rng(0), "lr", {"low": 1e-4, "high": 1e-1, "log": True}) < 0.1
    True
    """
    if isinstance(how, list) and how:
        return how[int(rng.integers(len(how)))]
    if isinstance(how, dict) and {"low", "high"} <= how.keys() <= {"low", "high", "log", "whole"}:
        low, high = how["low"], how["high"]
        if low < high and (low > 0 or not how.get("log")):
            u = float(rng.random())
            value = low * (high / low) ** u if how.get("log") else low + (high - low) * u
            return round(value) if how.get("whole") else value
    raise UsageError(
        f"search: {name}: expected a list of values, or low < high with log or whole, got {how!r}"
    )


def settings(plan: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the options of a trial, which depend on the file and its number alone."""
    rng = np.random.default_rng([plan["seed"], number])
    found = {name: drawn(rng, name, how) for name, how in sorted(plan["search"].items())}
    return {**plan["fixed"], **found}


def digest(plan: dict[str, Any]) -> str:
    """Return what tells one plan from another."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]


def earlier(path: Path, plan: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the trials that are done, by number; a line that a kill has cut is not one.

    Raises: UsageError where they are of another plan.
    """
    found: dict[int, dict[str, Any]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    whole = []
    for line in lines:
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        if result["plan"] != digest(plan):
            raise UsageError(f"{path} is of another file than this one; give another --out")
        found[result["trial"]] = result
        whole.append(line)
    if len(whole) < len(lines):
        path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return found


def results(joined: Group, plan: dict[str, Any], numbers: list[int]) -> Iterator[dict[str, Any]]:
    """Yield trials as they are done, on rank 0; the other ranks run them."""
    if joined.size == 1:
        yield from (trial(plan, number) for number in numbers)
        return
    from mpi4py import futures  # noqa: PLC0415

    with futures.MPICommExecutor(joined.mpi.COMM_WORLD, root=0) as pool:
        if pool is not None:
            waiting = [pool.submit(trial, plan, number) for number in numbers]
            for one in futures.as_completed(waiting):
                yield one.result()


def trial(plan: dict[str, Any], number: int) -> dict[str, Any]:
    """Fit once; return the options and the scores of the best epoch, or what went wrong."""
    options = settings(plan, number)
    result = {"trial": number, "plan": digest(plan), "options": options}
    begun = time.perf_counter()
    try:
        history = fitted(plan, dict(options))
        best = min(history.rows, key=lambda row: sign(plan) * row[plan["monitor"]])
        scores = {k: v for k, v in best.items() if k not in ("lr", "seconds")}
        result.update(scores=scores, epochs=len(history.rows))
    except (ValueError, FloatingPointError) as error:
        result["error"] = " ".join(str(error).split())
    return {**result, "seconds": round(time.perf_counter() - begun, 3)}


def fitted(plan: dict[str, Any], options: dict[str, Any]) -> Any:
    """Return the history of a fit."""
    how = {name: options.pop(name) for name in OF_FIT if name in options}
    manual_seed(plan["seed"])
    if plan["data"] not in DATASETS:
        built = tables.from_table(
            plan["data"], plan.get("target", -1), seed=plan["seed"], folds=1, **options
        )
        return built.fit(**how)
    data = DATASETS[plan["data"]]()
    split = data.split(plan["seed"])
    made = recipe(data.n_features, data.n_classes, doctor=False, **options)
    return made.fit(split.train, split.validation, **how)


def sign(plan: dict[str, Any]) -> int:
    """Return 1 where less of the monitored column is better, -1 where more is."""
    return 1 if any(word in plan["monitor"] for word in ("loss", "error", "mae", "rmse")) else -1


def ranked(done: list[dict[str, Any]], plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trials that were fitted, the best first."""
    good = [one for one in done if "scores" in one]
    return sorted(good, key=lambda one: (sign(plan) * one["scores"][plan["monitor"]], one["trial"]))


def text_of(value: Any) -> str:
    """Return a value as a column shows it.

    >>> text_of(0.00123456), text_of([64, 32])
    ('0.001235', '64,32')
    """
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def said(result: dict[str, Any], plan: dict[str, Any]) -> str:
    """Return a line about a trial."""
    options = ", ".join(f"{k} {text_of(v)}" for k, v in result["options"].items())
    if "error" in result:
        return f"trial {result['trial']} failed: {result['error']:.60} ({options})"
    return f"{plan['monitor']} {result['scores'][plan['monitor']]:.4f} ({options})"


def table(done: list[dict[str, Any]], plan: dict[str, Any]) -> str:
    """Return the best trials as a table."""
    best = ranked(done, plan)[:SHOWN]
    names = [*best[0]["options"], *best[0]["scores"], "seconds"] if best else []
    lines = [["trial", *names]]
    for one in best:
        values = {**one["options"], **one["scores"], "seconds": one["seconds"]}
        lines.append([str(one["trial"]), *(text_of(values[name]) for name in names)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
