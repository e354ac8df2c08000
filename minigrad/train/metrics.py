"""Metrics: functions of a batch's output and target, and their mean over an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.ops.shape import stack
from minigrad.tensors import Tensor

Metric = Callable[[Tensor, Tensor], Any]


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is the target's.

    Shape: `output: (N, C, ...)`, `target: (N, ...) int64` -> `()`.

    Raises: ValueError for shapes that do not go together, TypeError for a target of floats.

    >>> import minigrad as mg
    >>> accuracy(mg.tensor([[2.0, 1.0], [0.0, 3.0]]), mg.tensor([0, 0])).item()
    0.5
    """
    if target.is_floating_point():
        raise TypeError(
            f"accuracy: expected classes as integers, but the target is {target.dtype}; "
            "for 0/1 targets of a single logit use binary_accuracy"
        )
    expected = output.shape[:1] + output.shape[2:]
    if output.ndim < 2 or target.shape != expected:
        raise ValueError(
            "accuracy: expected output (N, C, ...) and target (N, ...), but got "
            f"{output.shape} and {target.shape}"
        )
    return (output.argmax(1) == target).float().mean()


def binary_accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Return the share of elements whose logit is above 0 where the target is 1, and only there.

    Shape: `output, target: (...)` alike -> `()`.

    Raises: ValueError when the shapes differ.

    >>> import minigrad as mg
    >>> binary_accuracy(mg.tensor([1.5, -0.5]), mg.tensor([1.0, 1.0])).item()
    0.5
    """
    if output.shape != target.shape:
        raise ValueError(
            f"binary_accuracy: expected equal shapes, but got {output.shape} and {target.shape}"
        )
    return ((output > 0) == (target > 0.5)).float().mean()


class RowMeans:
    """Means over batches, each batch weighted by its rows.

    Values are kept as they come and read once, in `results`, so that no step waits for a number.

    >>> means = RowMeans()
    >>> means.add("loss", 1.0, rows=3)
    >>> means.add("loss", 2.0, rows=1)
    >>> means.results()
    {'loss': 1.25}
    """

    def __init__(self) -> None:
        self._values: dict[str, list[Any]] = {}
        self._rows: dict[str, list[int]] = {}

    def add(self, name: str, value: Any, rows: int) -> None:
        """Take the mean over one batch of so many rows."""
        self._values.setdefault(name, []).append(value)
        self._rows.setdefault(name, []).append(rows)

    def results(self) -> dict[str, float]:
        """Return the means by name, in the order in which they came; summed in float64."""
        return {
            name: float(np.average(np.array(numbers(values)), weights=self._rows[name]))
            for name, values in self._values.items()
        }


def numbers(values: list[Any]) -> list[float]:
    """Return tensors of one element and numbers as floats; those on a device are read together."""
    if all(isinstance(value, Tensor) and value.is_cuda for value in values):
        found: list[float] = stack([value.reshape(()) for value in values]).double().tolist()
        return found
    return [float(value) for value in values]


def named_metrics(metrics: Any) -> dict[str, Metric]:
    """Return metrics by name: from a dict, or a sequence of functions, named as they are.

    >>> list(named_metrics([accuracy]))
    ['accuracy']
    """
    if metrics is None:
        return {}
    if isinstance(metrics, dict):
        named = dict(metrics)
    elif callable(metrics):
        named = {metrics.__name__: metrics}
    else:
        named = {getattr(metric, "__name__", repr(metric)): metric for metric in metrics}
    for name, metric in named.items():
        if not callable(metric):
            raise TypeError(
                f"metrics: expected functions of (output, target), but {name!r} is {metric!r}; "
                "write metrics={'accuracy': mg.train.accuracy}"
            )
        if name in {"loss", "epoch", "lr", "seconds"} or name.startswith("val_"):
            raise ValueError(f"metrics: {name!r} is taken by the history; choose another name")
    return named
