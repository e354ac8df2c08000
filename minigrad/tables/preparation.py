"""From columns to what a network takes: filled, scaled, coded, and the way back for targets.

All statistics are those of the training rows, in float64; what comes out is float32.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np

from minigrad.tables.columns import USED, Taken, date_cells, labels, number_cells, take_columns
from minigrad.tables.frame import Frame, as_frame, listed
from minigrad.tables.targets import TARGETS, Target, centre
from minigrad.tables.values import rank

Array = np.ndarray[Any, Any]
FEW = 12  # categories up to which each has an input of its own, beyond it is embedded
WIDEST = 32  # numbers an embedding has at most
REACH = 5.0  # outliers: farther from the middle than so many times the middle 80 % are wide
DAY = 86400.0


@dataclass(frozen=True)
class NumberInput:
    """A column of numbers: missing ones filled by the median, with a column that says so; outliers
    clipped; then mean 0 and deviation 1.

    words: that stand for nothing, such as "unknown".
    smooth: instead, the median is 0, the quartiles are 1 apart, and x becomes x / sqrt(1 + x^2 / 9)
        (Holzmüller, Grinsztajn and Steinwart 2024, see strong.py).
    """

    kind: ClassVar[str] = "number"
    name: str
    form: str
    fill: float
    low: float
    high: float
    mean: float
    scale: float
    indicator: bool
    words: tuple[str, ...] = ()
    smooth: bool = False

    @classmethod
    def fit(cls, taken: Taken, rows: Array, smooth: bool = False) -> NumberInput:
        """Take the statistics of the training rows."""
        values = taken.values[rows]
        there = values[~np.isnan(values)]
        indicator = len(there) < len(values)
        if not len(there):
            nothing = (0.0, 0.0, 0.0, 0.0, 1.0)
            return cls(taken.name, taken.form, *nothing, indicator, taken.words, smooth)
        low, high = bounds(there)
        fill = float(np.median(there))
        filled = np.where(np.isnan(values), fill, np.clip(values, low, high))
        mean, scale = middle(filled) if smooth else centre(filled)
        statistics = (fill, low, high, mean, scale)
        return cls(taken.name, taken.form, *statistics, indicator, taken.words, smooth)

    def read(self, frame: Frame) -> Array:
        """Return the column's numbers in a table of new rows."""
        return number_cells(frame, self.name, self.form, self.words)

    def encode(self, values: Array) -> Array:
        """Return the inputs: (N,) -> (N, 1), or (N, 2) with the indicator."""
        gone = np.isnan(values)
        filled = np.where(gone, self.fill, np.clip(values, self.low, self.high))
        scaled = (filled - self.mean) / self.scale
        if self.smooth:
            scaled /= np.sqrt(1 + np.square(scaled / 3))
        return np.stack([scaled, gone], 1) if self.indicator else scaled[:, None]

    @property
    def outputs(self) -> list[str]:
        """Return the names of the inputs that it gives."""
        return [self.name] + [f"{self.name} is missing"] * self.indicator


@dataclass(frozen=True)
class DateInput:
    """A column of dates: the time since the first, and where it stands in year, week and day.

    parts: of year, week and day those in which the training rows differ, each as sine and cosine.
    """

    kind: ClassVar[str] = "date"
    name: str
    form: str
    low: float
    high: float
    mean: float
    scale: float
    parts: tuple[str, ...]
    indicator: bool

    @classmethod
    def fit(cls, taken: Taken, rows: Array) -> DateInput:
        """Take the statistics of the training rows."""
        values = taken.values[rows]
        there = values[~np.isnan(values)]
        indicator = len(there) < len(values)
        if not len(there):
            return cls(taken.name, taken.form, 0.0, 0.0, 0.0, 1.0, (), indicator)
        span = float(there.max() - there.min())
        mean, scale = centre(there)
        parts = [name for name, part in PARTS.items() if len(np.unique(part(there))) > 1]
        low, high = float(there.min()) - span, float(there.max()) + span
        return cls(taken.name, taken.form, low, high, mean, scale, tuple(parts), indicator)

    def read(self, frame: Frame) -> Array:
        """Return the column's dates in a table of new rows, in seconds."""
        return date_cells(frame, self.name, self.form)

    def encode(self, values: Array) -> Array:
        """Return the inputs: (N,) -> (N, 1 + 2 parts + indicator)."""
        gone = np.isnan(values)
        filled = np.where(gone, self.mean, values)
        columns = [(np.clip(filled, self.low, self.high) - self.mean) / self.scale]
        for part in self.parts:
            angle = 2 * np.pi * PARTS[part](filled)
            columns += [np.where(gone, 0.0, np.sin(angle)), np.where(gone, 0.0, np.cos(angle))]
        return np.stack(columns + [gone] * self.indicator, 1)

    @property
    def outputs(self) -> list[str]:
        """Return the names of the inputs that it gives."""
        waves = [f"{self.name} {wave} of {p}" for p in self.parts for wave in ("sine", "cosine")]
        return [self.name, *waves] + [f"{self.name} is missing"] * self.indicator


def _of_year(seconds: Array) -> Array:
    days = np.floor(seconds / DAY).astype("datetime64[D]")
    years = days.astype("datetime64[Y]")
    return (days - years.astype("datetime64[D]")).astype(np.float64) / 365.25


def _of_week(seconds: Array) -> Array:
    return np.floor(seconds / DAY + 3) % 7 / 7


def _of_day(seconds: Array) -> Array:
    return seconds % DAY / DAY


PARTS = {"year": _of_year, "week": _of_week, "day": _of_day}


@dataclass(frozen=True)
class CategoryInput:
    """A column of categories: few have an input each, many an embedding.

    labels: those that it knows; "" stands for missing.  What it does not know, or has seen once
    only where it embeds, is 0 in all inputs, or number 0 of the embedding.
    width: of the embedding; 0 for an input each.
    """

    kind: ClassVar[str] = "category"
    name: str
    labels: tuple[str, ...]
    width: int

    @classmethod
    def fit(cls, taken: Taken, rows: Array) -> CategoryInput:
        """Take the labels of the training rows."""
        counts = Counter(taken.values[i] for i in rows.tolist())
        known = sorted(counts, key=rank)
        if len(known) <= FEW:
            return cls(taken.name, tuple(known), 0)
        known = [label for label in known if counts[label] > 1]
        width = min(WIDEST, round(1.6 * (len(known) + 1) ** 0.56))
        return cls(taken.name, tuple(known), max(width, 1))

    def read(self, frame: Frame) -> list[str]:
        """Return the column's labels in a table of new rows."""
        return labels(frame.column(self.name))

    def encode(self, values: Sequence[str]) -> Array:
        """Return the inputs: (N, labels) of 0 and 1, or the numbers (N, 1) for an embedding."""
        numbers = {label: i for i, label in enumerate(self.labels, 1)}
        codes = np.array([numbers.get(value, 0) for value in values], np.int64)
        if self.width:
            return codes[:, None].astype(np.float64)
        return (codes[:, None] == np.arange(1, len(self.labels) + 1)).astype(np.float64)

    def unknown(self, values: Sequence[str]) -> list[str]:
        """Return labels that it does not know."""
        return sorted(set(values) - set(self.labels) - {""})

    @property
    def outputs(self) -> list[str]:
        """Return the names of the inputs that it gives."""
        if self.width:
            return [f"{self.name} (embedded)"]
        return [
            f"{self.name} = {label}" if label else f"{self.name} missing" for label in self.labels
        ]


Input = NumberInput | DateInput | CategoryInput
INPUTS: dict[str, Any] = {cls.kind: cls for cls in (NumberInput, DateInput, CategoryInput)}


def bounds(values: Array) -> tuple[float, float]:
    """Return between which numbers a column's values are clipped.

    >>> bounds(np.array([0.0, 1, 2, 3, 1e9]))[1] < 1e9
    True
    """
    tenth, middle, ninetieth = np.quantile(values, (0.1, 0.5, 0.9), method="nearest")
    spread = float(ninetieth - tenth)
    if len(values) < 10:
        spread = float(np.median(np.abs(values - middle))) * 2.5
    if spread == 0.0:
        return float(values.min()), float(values.max())
    return float(middle - REACH * spread), float(middle + REACH * spread)


def middle(values: Array) -> tuple[float, float]:
    """Return the median, and how far the quartiles are apart; of many equal values half the range.

    >>> middle(np.array([0.0, 1.0, 2.0, 3.0, 100.0]))
    (2.0, 2.0)
    """
    first, median, third = np.quantile(values, (0.25, 0.5, 0.75))
    scale = float(third - first) or float(values.max() - values.min()) / 2
    return float(median), scale if scale > 0 and math.isfinite(scale) else 1.0


# ---------------------------------------------------------------- the whole
class TablePreprocessor:
    """Turn the rows of a table into a network's inputs, and know everything that this takes.

    Fitted on the training rows: numbers are filled, clipped and scaled, dates told apart by year,
    week and day, categories coded.  `state_dict` is plain JSON; `from_state` takes it back.

    inputs: one a column used.  target: None, or `Classes` or `Amount`.
    names: all columns of the table that it was fitted on, without the target, in their order.

    Shape: `transform(table of N rows) -> (N, n_in) float32`: first what is ready to be used, then a
    column for each embedding, with whole numbers.

    >>> rows = {"size": [1.0, 3.0, None], "kind": ["a", "b", "a"]}
    >>> preprocessor = TablePreprocessor.fit(as_frame(rows))
    >>> preprocessor.outputs
    ['size', 'size is missing', 'kind = a', 'kind = b']
    >>> preprocessor.transform({"kind": ["b"], "size": [2.0]}).tolist()
    [[0.0, 0.0, 0.0, 1.0]]
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        names: Sequence[str],
        target: Target | None = None,
        header: bool = True,
        position: int = -1,
    ) -> None:
        self.inputs = list(inputs)
        self.names = tuple(names)
        self.target = target
        self.header = header
        self.position = position  # of the target among all columns

    @classmethod
    def fit(
        cls,
        frame: Frame,
        rows: Array | None = None,
        taken: Sequence[Taken] | None = None,
        target: Target | None = None,
        *,
        types: Mapping[str, str] | None = None,
        drop: Iterable[str] = (),
        smooth: bool = False,
    ) -> TablePreprocessor:
        """Fit on the rows of these numbers (all of them by default).

        smooth: how numbers are scaled, see NumberInput.
        Raises: ValueError where no column is of use.
        """
        left = [] if target is None else [target.name]
        if taken is None:
            taken = take_columns(frame, types, drop, left)
        rows = np.arange(len(frame)) if rows is None else rows
        used = [t for t in taken if t.kind in USED]
        if not used:
            kinds = ", ".join(f"{t.name!r} ({t.kind})" for t in taken[:5])
            raise ValueError(
                f"{frame.source} has no column to learn from: {kinds or 'none at all'}"
            )
        names = [name for name in frame.names if name not in left]
        position = frame.names.index(target.name) if target is not None else -1
        inputs = [
            NumberInput.fit(t, rows, smooth) if t.kind == "number" else INPUTS[t.kind].fit(t, rows)
            for t in used
        ]
        return cls(inputs, names, target, frame.header, position)

    @property
    def dense(self) -> list[Input]:
        """Return the inputs that are ready to be used."""
        return [i for i in self.inputs if not getattr(i, "width", 0)]

    @property
    def embedded(self) -> list[CategoryInput]:
        """Return the inputs whose numbers are to be embedded."""
        return [i for i in self.inputs if isinstance(i, CategoryInput) and i.width]

    @property
    def outputs(self) -> list[str]:
        """Return the names of all columns that `transform` gives."""
        return [name for i in (*self.dense, *self.embedded) for name in i.outputs]

    @property
    def tables(self) -> list[tuple[int, int]]:
        """Return how many rows and columns each embedding has."""
        return [(len(i.labels) + 1, i.width) for i in self.embedded]

    @property
    def columns(self) -> list[str]:
        """Return the columns that it uses."""
        return [i.name for i in self.inputs]

    def encode(self, values: Mapping[str, Any]) -> Array:
        """Return the network's inputs for columns that have been read."""
        parts = [i.encode(values[i.name]) for i in (*self.dense, *self.embedded)]
        return np.concatenate(parts, 1).astype(np.float32)

    def transform(self, data: Any) -> Array:
        """Return the network's inputs for the rows of a table: anything that `as_frame` takes.

        Raises: ValueError for columns that are missing, and for cells that are not of their kind.
        """
        frame = self.aligned(data)
        return self.encode({i.name: i.read(frame) for i in self.inputs})

    def aligned(self, data: Any) -> Frame:
        """Return a table with the columns that the model knows, by their names.

        Rows without names are told apart by their number: all columns that the table had, without
        the target or with it, or those used alone.
        """
        options = {} if isinstance(data, Frame) else {"known": self.names}
        is_path = isinstance(data, str) or hasattr(data, "__fspath__")
        frame = as_frame(data, **(options if is_path else {}))
        if not frame.header:
            frame = self._named(frame)
        missing = [name for name in self.columns if name not in frame.names]
        if missing:
            known = f"; it has {listed(frame.names)}"
            raise ValueError(
                f"{frame.source} lacks {len(missing)} of the columns that the model was trained on:"
                f" {listed(missing)}{known}"
            )
        return frame

    def _named(self, frame: Frame) -> Frame:
        """Name the columns of rows without names."""
        count = len(frame.names)
        names = list(self.names)
        if count != len(names) and count == len(names) + 1 and self.target is not None:
            names.insert(self.position, self.target.name)
        elif count != len(names):
            names = self.columns
        if count != len(names):
            raise ValueError(
                f"{frame.source} has rows of {count} columns without names; expected "
                f"{len(self.names)}: {listed(self.names)}"
            )
        return Frame(tuple(names), frame.columns, frame.source, True, frame.delimiter, frame.lines)

    def remarks(self, frame: Frame) -> list[str]:
        """Say what in a table of new rows the training rows did not have."""
        said = []
        for i in self.inputs:
            if isinstance(i, CategoryInput):
                unknown = i.unknown(i.read(frame))
                if unknown:
                    said.append(
                        f"column {i.name!r} holds categories never seen: {listed(unknown, 3)}"
                    )
            elif not i.indicator:
                gone = int(np.isnan(i.read(frame)).sum())
                if gone:
                    said.append(
                        f"column {i.name!r} misses {gone} values, and missed none in training"
                    )
        known = {*self.names, *([self.target.name] if self.target else [])}
        extra = [name for name in frame.names if name not in known]
        if extra:
            said.append(f"columns not used: {listed(extra)}")
        return said

    # ------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """Return all that it knows, as what JSON can hold."""
        target = self.target
        return {
            "inputs": [{"kind": i.kind, **asdict(i)} for i in self.inputs],
            "names": list(self.names),
            "target": None if target is None else {"task": target.task, **asdict(target)},
            "header": self.header,
            "position": self.position,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TablePreprocessor:
        """Return the one whose state this is.

        Raises: ValueError where it is none.
        """
        try:
            inputs = [_made(INPUTS[entry["kind"]], entry, "kind") for entry in state["inputs"]]
            target = state["target"]
            if target is not None:
                target = _made(TARGETS[target["task"]], target, "task")
            names, header, position = state["names"], state["header"], state["position"]
            return cls(inputs, names, target, header, position)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"TablePreprocessor: no state of one: {error!r}") from None

    def __repr__(self) -> str:
        return (
            f"TablePreprocessor({len(self.inputs)} of {len(self.names)} columns, "
            f"{len(self.outputs)} inputs)"
        )


def _made(cls: Any, entry: Mapping[str, Any], left: str) -> Any:
    """Return what an entry of a state stands for.

    Raises: TypeError where it has other fields, or values of another type.
    """
    expected = {f.name: f.type for f in fields(cls)}
    values = {f.name: f.default for f in fields(cls) if f.name == "smooth"}  # of earlier files
    values |= {key: value for key, value in entry.items() if key != left}
    if set(values) != set(expected):
        raise TypeError(f"{cls.__name__} has the fields {sorted(expected)}, not {sorted(values)}")
    for key, kind in expected.items():
        value = values[key]
        if kind.startswith("tuple"):
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise TypeError(f"{cls.__name__}.{key}: expected a list of words, got {value!r}")
            values[key] = tuple(value)
        elif kind == "float":
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise TypeError(f"{cls.__name__}.{key}: expected a number, got {value!r}")
            values[key] = float(value)
        elif type(value).__name__ != kind:
            raise TypeError(f"{cls.__name__}.{key}: expected {kind}, got {value!r}")
    return cls(**values)
