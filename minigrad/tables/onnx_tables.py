"""A table's model as an ONNX file: columns in, predictions out, the preprocessing within.

Each column is an input of its own name, (N, 1): numbers and dates as float64 (dates in seconds
since 1970, UTC; NaN for what is missing), categories as text ("" for what is missing; whole numbers
as they are written shortest).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.onnx import Graph, Writer, helper, traced, value_info
from minigrad.tables.network import Averaged, Embedded
from minigrad.tables.preparation import DAY, CategoryInput, DateInput, NumberInput
from minigrad.tables.targets import Classes
from minigrad.tensors.tensor import Tensor

ROWS = 97


def write(model: Any, path: Path) -> Path:
    """Write a `TableModel`; see `TableModel.to_onnx`."""
    graph = Graph(ROWS)
    inputs, parts, codes = [], [], []
    for one in (*model.preprocessor.dense, *model.preprocessor.embedded):
        words = isinstance(one, CategoryInput)
        inputs.append(value_info(one.name, np.object_ if words else np.float64, ["N", 1]))
        if not words:
            parts.append(WRITERS[one.kind](graph, one))
        elif one.width:  # each network has a table of its own for these
            codes.append(_codes(graph, one))
        else:
            parts.append(_onehot(graph, one, _codes(graph, one)))
    whole = model.network
    networks = whole.networks if isinstance(whole, Averaged) else [whole]
    said = [_of_columns(graph, network, parts, codes) for network in networks]
    y = graph.node("Mean", said) if len(said) > 1 else said[0]
    outputs, target = [], model.target
    found: dict[str, Any] = {}
    if isinstance(target, Classes):
        p = graph.node("Softmax", [y], axis=1)
        best = graph.node("ArgMax", [y], axis=1, keepdims=0)
        known = target.decode(np.arange(target.n_out))
        names = known.astype(np.int64) if known.dtype.kind in "iu" else known.astype(np.object_)
        label = graph.node("Gather", [graph.constant(names), best], axis=0)
        found["prediction"] = label, names.dtype, ["N"]
        found["probabilities"] = p, np.float32, None
    else:
        wide = graph.node("Cast", [y], to=helper.np_dtype_to_tensor_dtype(np.dtype(np.float64)))
        scaled = graph.node("Mul", [wide, graph.constant(target.scale, np.float64)])
        shifted = graph.node("Add", [scaled, graph.constant(target.mean, np.float64)])
        amount = graph.node("Squeeze", [shifted, graph.integers(1)])
        found["prediction"] = amount, np.float64, ["N"]
    for name, (value, dtype, shape) in found.items():
        graph.nodes.append(helper.make_node("Identity", [value], [name]))
        outputs.append(value_info(name, dtype, shape or ["N", target.n_out]))
    return graph.save(inputs, outputs, path, "minigrad_table")


class _Head(nn.Module):
    """The part of a network that computes with numbers alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, wide: Tensor | None = None) -> Tensor:
        network = self.network
        return network.head(x, wide) if isinstance(network, Embedded) else network(x)


def _of_columns(
    graph: Graph, network: nn.Module, parts: Sequence[str], codes: Sequence[str]
) -> str:
    """Write a network over columns, and over the numbers of the categories that it embeds."""
    rows, wide = [], []
    if isinstance(network, Embedded):
        rows = [_row(graph, *pair) for pair in zip(codes, network.embeddings, strict=True)]
        wide = [_row(graph, *pair) for pair in zip(codes, network.wide, strict=False)]
    return _network(graph, network, graph.node("Concat", [*parts, *rows], axis=1), wide)


def _network(graph: Graph, network: nn.Module, whole: str, wide: Sequence[str]) -> str:
    """Write the network over its inputs, the embedded ones among them."""
    width = network.n_in if isinstance(network, Embedded) else next(network.parameters()).shape[1]
    g, names = np.random.default_rng(0), [whole]
    values = [g.normal(size=(ROWS, width)).astype(np.float32)]
    if wide and isinstance(network, Embedded):
        values.append(g.normal(size=(ROWS, network.skip.out_features)).astype(np.float32))
        names.append(graph.node("Sum", list(wide)))
    head = _Head(network)
    head.training = network.training
    listener, results = traced(head, values)
    other, _ = traced(head, [x[::-1].copy() for x in values])
    return Writer(graph, listener, other, names).write(results[0])


def _number(graph: Graph, one: NumberInput) -> str:
    gone = graph.node("IsNaN", [one.name])
    x = graph.node("Clip", [one.name, *_doubles(graph, one.low, one.high)])
    x = graph.node("Where", [gone, graph.constant(one.fill, np.float64), x])
    x = _scaled(graph, x, one.mean, one.scale)
    if one.smooth:
        third = graph.node("Div", [x, graph.constant(3.0, np.float64)])
        square = graph.node("Mul", [third, third])
        below = graph.node("Sqrt", [graph.node("Add", [square, *_doubles(graph, 1.0)])])
        x = graph.node("Div", [x, below])
    return _floats(graph, x, gone if one.indicator else None)


def _date(graph: Graph, one: DateInput) -> str:
    gone = graph.node("IsNaN", [one.name])
    filled = graph.node("Where", [gone, graph.constant(one.mean, np.float64), one.name])
    clipped = graph.node("Clip", [filled, *_doubles(graph, one.low, one.high)])
    columns = [_scaled(graph, clipped, one.mean, one.scale)]
    days = _divided(graph, filled, DAY)
    for part in one.parts:
        place = {"year": _of_year, "week": _of_week, "day": _of_day}[part](graph, filled, days)
        angle = graph.node("Mul", [place, *_doubles(graph, 2 * np.pi)])
        for wave in ("Sin", "Cos"):  # runtimes have these in float32 alone
            turned = _cast(graph, graph.node(wave, [_cast(graph, angle, np.float32)]), np.float64)
            columns.append(graph.node("Where", [gone, *_doubles(graph, 0.0), turned]))
    return _floats(graph, graph.node("Concat", columns, axis=1), gone if one.indicator else None)


def _of_day(graph: Graph, seconds: str, days: str) -> str:
    start = graph.node("Mul", [days, *_doubles(graph, DAY)])
    return _scaled(graph, graph.node("Sub", [seconds, start]), 0.0, DAY)


def _of_week(graph: Graph, seconds: str, days: str) -> str:
    shifted = graph.node("Add", [days, *_doubles(graph, 3.0)])
    weeks = graph.node("Mul", [_divided(graph, shifted, 7.0), *_doubles(graph, 7.0)])
    return _scaled(graph, graph.node("Sub", [shifted, weeks]), 0.0, 7.0)


def _of_year(graph: Graph, seconds: str, days: str) -> str:
    """Write the day of the year over 365.25, counted in eras of 400 years that begin in March.

    Source: Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    """

    def add(a: str, b: str) -> str:
        return str(graph.node("Add", [a, b]))

    def less(a: str, b: str) -> str:
        return str(graph.node("Sub", [a, b]))

    def times(a: str, value: float) -> str:
        return str(graph.node("Mul", [a, *_doubles(graph, value)]))

    def number(value: float) -> str:
        return _doubles(graph, value)[0]

    def over(a: str, value: float) -> str:
        return _divided(graph, a, value)

    z = add(days, number(719468.0))
    of_era = less(z, times(over(z, 146097.0), 146097.0))
    some = add(less(of_era, over(of_era, 1460.0)), over(of_era, 36524.0))
    year = over(less(some, over(of_era, 146096.0)), 365.0)
    before = less(add(times(year, 365.0), over(year, 4.0)), over(year, 100.0))
    from_march = less(of_era, before)
    # Within an era: the year is a leap year by 4, not by 100, but number 0, which is by 400.
    by_four = _whole(graph, year, 4.0)
    by_hundred = less(_whole(graph, year, 100.0), _whole(graph, year, 400.0))
    leap = less(by_four, by_hundred)
    late = graph.node("GreaterOrEqual", [from_march, number(306.0)])
    early = add(add(from_march, number(59.0)), leap)
    day = graph.node("Where", [late, less(from_march, number(306.0)), early])
    return _scaled(graph, day, 0.0, 365.25)


def _whole(graph: Graph, x: str, by: float) -> str:
    """Write 1 where a number is a multiple, else 0."""
    rest = graph.node("Mul", [_divided(graph, x, by), *_doubles(graph, by)])
    return _cast(graph, graph.node("Equal", [rest, x]), np.float64)


def _codes(graph: Graph, one: CategoryInput) -> str:
    """Write the numbers of categories, 0 for one that is not known."""
    return str(
        graph.node(
            "LabelEncoder",
            [one.name],
            domain="ai.onnx.ml",
            keys_strings=list(one.labels),
            values_int64s=list(range(1, len(one.labels) + 1)),
            default_int64=0,
        )
    )


def _onehot(graph: Graph, one: CategoryInput, codes: str) -> str:
    known = graph.constant(np.arange(1, len(one.labels) + 1)[None], np.int64)
    return _cast(graph, graph.node("Equal", [codes, known]), np.float32)


def _row(graph: Graph, codes: str, table: Any) -> str:
    weight = graph.constant(table.weight.detach().cpu().numpy(), name="embedding")
    return str(graph.node("Gather", [weight, graph.node("Squeeze", [codes, graph.integers(1)])]))


WRITERS: dict[str, Any] = {"number": _number, "date": _date}


def _doubles(graph: Graph, *values: float) -> list[str]:
    return [graph.constant(value, np.float64) for value in values]


def _scaled(graph: Graph, x: str, mean: float, scale: float) -> str:
    shifted = graph.node("Sub", [x, *_doubles(graph, mean)]) if mean else x
    return str(graph.node("Div", [shifted, *_doubles(graph, scale)]))


def _divided(graph: Graph, x: str, by: float) -> str:
    return str(graph.node("Floor", [graph.node("Div", [x, *_doubles(graph, by)])]))


def _cast(graph: Graph, x: str, dtype: Any) -> str:
    return str(graph.node("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))


def _floats(graph: Graph, x: str, gone: str | None) -> str:
    """Write numbers as float32, and beside them whether they were missing."""
    x = _cast(graph, x, np.float32)
    if gone is None:
        return x
    return str(graph.node("Concat", [x, _cast(graph, gone, np.float32)], axis=1))
