"""Metrics: functions of output and target, their mean over an epoch, and those of whole sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.nn.functional import means
from minigrad.ops.shape import stack
from minigrad.tensors.tensor import Tensor

Metric = Callable[[Tensor, Tensor], Any]
PARTS = ("values", "weights", "totals")  # of the means over batches, as they are saved


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
    return _share(output.argmax(1) == target)


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
    return _share((output > 0) == (target > 0.5))


def _share(right: Tensor) -> Tensor:
    """Return the share of elements that are right, and report what it is the mean of."""
    result = right.float().mean()
    if means.watch.reports is not None:
        means.report(result, right.numel())
    return result


class SetMetric:
    """A metric of a whole set, put together from parts of it: inherit and write both methods.

    `part(output, target)` returns what is to be known of some rows, `combine(parts)` the metric of
    all of them: exact, however the set was cut.  A checkpoint in mid-epoch holds the parts: they
    should be of what `mg.save` takes.

    >>> import minigrad as mg
    >>> class Largest(SetMetric):
    ...     def part(self, output, target):
    ...         return (output - target).abs().max().item()
    ...     def combine(self, parts):
    ...         return max(parts)
    >>> Largest()(mg.tensor([1.0, 5.0]), mg.tensor([1.0, 2.0]))
    3.0
    """

    def part(self, output: Any, target: Any) -> Any:
        """Return what is to be known of some rows."""
        raise NotImplementedError(f"{type(self).__name__} lacks part(self, output, target)")

    def combine(self, parts: list[Any]) -> float:
        """Return the metric of all parts together, of at least one."""
        raise NotImplementedError(f"{type(self).__name__} lacks combine(self, parts)")

    def __call__(self, output: Any, target: Any) -> float:
        return self.combine([self.part(output, target)])

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class RowMeans:
    """Means over batches, each batch weighted by its rows, or by what its mean was divided by.

    Values are kept as they come and read once, in `results`, so that no step waits for a number.

    >>> means = RowMeans()
    >>> means.add("loss", 1.0, 3)
    >>> means.add("loss", 2.0, 1)
    >>> means.results()
    {'loss': 1.25}
    """

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[Any, Any, bool]]] = {}

    def add(self, name: str, value: Any, weight: Any, total: bool = False) -> None:
        """Take the mean over one batch of this weight, or the total over it."""
        self._values.setdefault(name, []).append((value, weight, total))

    def results(self) -> dict[str, float]:
        """Return the means by name, in the order in which they came; summed in float64.

        A batch of weight 0, all of whose targets are ignored say, counts for nothing.
        """
        return {name: self._mean(entries) for name, entries in self._values.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what has been added, as arrays of values, weights and flags by name.

        A number that was read and comes back as a float64 counts as it would have.
        """
        state = {}
        for name, entries in self._values.items():
            values, weights, totals = zip(*entries, strict=True)
            state[name] = {
                "values": np.array(numbers(list(values)), np.float64),
                "weights": np.array(numbers(list(weights)), np.float64),
                "totals": np.array(totals, bool),
            }
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after what `state` was taken of."""
        self._values = {
            name: list(zip(*(kept[part].tolist() for part in PARTS), strict=True))
            for name, kept in state.items()
        }

    @classmethod
    def merged(cls, states: list[Any]) -> RowMeans:
        """Return the means over what several states have, in their order.

        >>> means = RowMeans()
        >>> means.add("loss", 1.0, 3)
        >>> RowMeans.merged([means.state_dict()] * 2).results()
        {'loss': 1.0}
        """
        made = cls()
        for state in states:
            one = cls()
            one.load_state_dict(state)
            for name, entries in one._values.items():
                made._values.setdefault(name, []).extend(entries)
        return made

    @staticmethod
    def _mean(entries: list[tuple[Any, Any, bool]]) -> float:
        values = np.array(numbers([value for value, _, _ in entries]))
        weights = np.array(numbers([weight for _, weight, _ in entries]))
        totals = np.where([total for _, _, total in entries], values, values * weights)
        if not weights.any():
            return float("nan")
        return float(totals[weights != 0].sum() / weights.sum())


def numbers(values: list[Any]) -> list[float]:
    """Return tensors of one element and numbers as floats; those on a device are read together."""
    if all(isinstance(value, Tensor) and value.is_cuda for value in values):
        found: list[float] = stack([value.reshape(()) for value in values]).double().tolist()
        return found
    return [float(value) for value in values]


def name_of(metric: Any) -> str:
    """Return what a metric is called where it is given without a name."""
    own = type(metric).__name__ if isinstance(metric, SetMetric) else repr(metric)
    return str(getattr(metric, "__name__", own))


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
        named = {name_of(metrics): metrics}
    else:
        named = {name_of(metric): metric for metric in metrics}
    for name, metric in named.items():
        if not callable(metric):
            raise TypeError(
                f"metrics: expected functions of (output, target), but {name!r} is {metric!r}; "
                "write metrics={'accuracy': mg.train.accuracy}"
            )
        if name in {"loss", "epoch", "lr", "seconds"} or name.startswith("val_"):
            raise ValueError(f"metrics: {name!r} is taken by the history; choose another name")
    return named
