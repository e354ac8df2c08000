"""History: one row an epoch, as dict, CSV and plot."""

from __future__ import annotations

import csv
import importlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from minigrad.engine.dispatch import write_whole
from minigrad.train.callbacks.notebook import in_notebook

Row = dict[str, float]
STEEP = 30.0  # the largest value by the least from which on a logarithmic axis shows more


@dataclass
class Best:
    """The best value of one metric so far: strictly better by `min_delta`, and never NaN.

    mode: "min" or "max".

    >>> best = Best("val_loss")
    >>> [best.update(value, epoch) for epoch, value in enumerate([math.nan, 2.0, 2.0, 1.0], 1)]
    [False, True, False, True]
    >>> best.epoch
    4
    """

    monitor: str
    mode: str = "min"
    min_delta: float = 0.0
    value: float | None = None
    epoch: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max"):
            raise ValueError(f"mode: expected 'min' or 'max', but got {self.mode!r}")
        if not self.min_delta >= 0:
            raise ValueError(f"min_delta: expected a number >= 0, but got {self.min_delta!r}")

    def update(self, value: float, epoch: int) -> bool:
        """Take an epoch's value; return whether it is the best so far."""
        if math.isnan(value):
            return False
        if self.value is not None:
            gain = self.value - value if self.mode == "min" else value - self.value
            if not gain > self.min_delta:
                return False
        self.value, self.epoch = value, epoch
        return True


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "epoch"), counted(2, "epoch")
    ('1 epoch', '2 epochs')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def figure_of(panels: int, asker: str, show: bool = False) -> tuple[Any, Any]:
    """Return a figure of matplotlib's with panels side by side, and these.

    show: have a notebook show it below the cell, as it does the figures of pyplot.
    Raises: ModuleNotFoundError without matplotlib.
    """
    try:
        figure = importlib.import_module("matplotlib.figure").Figure
        if show and in_notebook():
            figure = importlib.import_module("matplotlib.pyplot").figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{asker} needs matplotlib: pip install 'minigrad[plot]'", name="matplotlib"
        ) from error
    made = figure(figsize=(4.5 * panels, 3.4), layout="constrained")
    return made, made.subplots(1, panels, squeeze=False)[0]


def steep(values: Sequence[float]) -> bool:
    """Tell whether numbers span so much that a logarithmic axis shows more.

    >>> steep([1.0, 0.001]), steep([1.0, 0.5]), steep([1.0, 0.0])
    (True, False, False)
    """
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) >= STEEP


class History:
    """The record of a fit: one row an epoch, why it ended, which epoch was best.

    rows: dicts with `epoch`, `loss` and the metrics, the same with `val_` before the name where
        there was a validation loader, the `lr` of the epoch and its `seconds`.
    best_epoch: of EarlyStopping's metric where there is one, else of val_loss, else of loss.
    restored_epoch: whose weights the model has now; None when nothing was restored.
    stop_reason: why the fit ended.  interrupted: whether it was by Ctrl-C.

    >>> history = History()
    >>> history.append({"epoch": 1, "loss": 0.5})
    >>> history["loss"], history.best_epoch
    ([0.5], 1)
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.best_epoch: int | None = None
        self.restored_epoch: int | None = None
        self.stop_reason = ""
        self.interrupted = False
        self._best: Best | None = None

    def append(self, row: Row) -> None:
        """Add the row of a finished epoch."""
        self.rows.append(row)
        if self._best is None:
            self._best = Best("val_loss" if "val_loss" in row else "loss")
        if self._best.update(row[self._best.monitor], int(row["epoch"])):
            self.best_epoch = self._best.epoch

    @property
    def last(self) -> Row:
        """Return the row of the last finished epoch."""
        if not self.rows:
            raise IndexError("History: no epoch has been finished yet")
        return self.rows[-1]

    @property
    def names(self) -> list[str]:
        """Return the columns."""
        return list(self.rows[0]) if self.rows else []

    @property
    def seconds(self) -> float:
        """Return the time of all finished epochs together."""
        return sum(row.get("seconds", 0.0) for row in self.rows)

    def row(self, epoch: int) -> Row:
        """Return the row of an epoch, counted from 1."""
        for row in self.rows:
            if row["epoch"] == epoch:
                return row
        raise LookupError(f"History: epoch {epoch} is not among the {len(self)} finished ones")

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all there is, for a checkpoint: rows that are alike by columns."""
        best = None if self._best is None else asdict(self._best)
        kept = {k: v for k, v in vars(self).items() if k not in ("rows", "_best")}
        rows: Any = [dict(row) for row in self.rows]
        if rows and all(list(row) == self.names for row in rows):
            rows = self.to_dict()
        return {**kept, "rows": rows, "best": best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the history that `state` was taken of."""
        rest = dict(state)
        best = rest.pop("best")
        rows = rest.pop("rows")
        if isinstance(rows, Mapping):
            rows = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
        self.rows = [dict(row) for row in rows]
        self._best = None if best is None else Best(**best)
        vars(self).update(rest)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> list[float]:
        if self.rows and name not in self.names:
            raise KeyError(f"History has no column {name!r}; it has {', '.join(self.names)}")
        return [row[name] for row in self.rows]

    def to_dict(self) -> dict[str, list[float]]:
        """Return the columns by name.

        >>> history = History()
        >>> history.append({"epoch": 1, "loss": 0.5})
        >>> history.to_dict()
        {'epoch': [1], 'loss': [0.5]}
        """
        return {name: self[name] for name in self.names}

    def to_csv(self, path: str | PathLike[str]) -> Path:
        """Write the rows as CSV, numbers in full precision; return the path."""
        path = Path(path)
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.names)
        writer.writerows(row.values() for row in self.rows)
        write_whole(path, text.getvalue())
        return path

    def plot(self, path: str | PathLike[str] | None = None, axes: Any = None) -> Any:
        """Draw the curves with matplotlib, the best epoch marked; return the axes, one a curve.

        Training and validation share an axes; the learning rate has its own where it changed.  Loss
        and learning rate are drawn on a logarithmic scale where they span a factor of 30.

        path: where to save the figure, the format by its suffix.
        axes: where to draw, as many as there are curves or more; by default a new figure, which is
            `axes[0].figure`, which a notebook shows.
        Raises: ModuleNotFoundError without matplotlib; ValueError before an epoch is finished, and
            for too few axes.
        """
        if not self.rows:
            raise ValueError("History.plot: no epoch has been finished, so nothing can be drawn")
        own = [n for n in self.names if n not in ("epoch", "lr", "seconds")]
        curves = [n for n in own if not n.startswith("val_") or n[4:] not in own]
        curves += ["lr"] * ("lr" in self.names and len(set(self["lr"])) > 1)
        if axes is None:
            _, panels = figure_of(len(curves), "History.plot", show=True)
        else:
            panels = list(axes) if hasattr(axes, "__iter__") else [axes]
        if len(panels) < len(curves):
            raise ValueError(
                f"History.plot: expected {len(curves)} axes, for {', '.join(curves)}, but got "
                f"{len(panels)}"
            )
        for panel, name in zip(panels, curves, strict=False):
            self._draw(panel, name)
        if path is not None:
            panels[0].figure.savefig(path, dpi=120)
        return panels

    def _draw(self, panel: Any, name: str) -> None:
        """Draw a column, and its validation, on an axes of matplotlib's."""
        values: list[float] = []
        lone = "o" if len(self) == 1 else None  # a line of one point is not seen
        first = "lr" if name == "lr" else "training"
        for column, label in ((name, first), (f"val_{name}", "validation")):
            if column in self.names:
                panel.plot(self["epoch"], self[column], label=label, marker=lone)
                values += self[column]
        if name in ("loss", "lr") and steep(values):
            panel.set_yscale("log")
        if self.best_epoch is not None:
            panel.axvline(
                self.best_epoch, color="gray", linestyle=":", label=f"best: {self.best_epoch}"
            )
        title = "learning rate" if name == "lr" else name.replace("_", " ")
        panel.set(title=title, xlabel="epoch")
        panel.grid(alpha=0.3)
        panel.legend()

    def __repr__(self) -> str:
        if not self.rows:
            return "History(no finished epoch)"
        best = "" if self.best_epoch is None else f", best epoch {self.best_epoch}"
        numbers = ", ".join(f"{k}={v:.4g}" for k, v in self.last.items() if k != "epoch")
        return f"History({counted(len(self), 'epoch')}{best}; last: {numbers})"
