"""Scores: loss and metrics over all batches of a set, as if it had been one batch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from minigrad.engine.grad_mode import enable_grad, no_grad
from minigrad.engine.trace import Tape
from minigrad.nn.functional.means import watched
from minigrad.tensors.functions import cat
from minigrad.tensors.tensor import Tensor
from minigrad.train.metrics import Metric, RowMeans, SetMetric

HELD_AT_MOST = 1 << 28  # bytes of outputs and targets kept for metrics of the whole set


class Scored(NamedTuple):
    """A loss or metric of one batch, and what it is the mean of, or the total over."""

    value: Any
    weight: Any
    total: bool
    known: bool  # said by the function, not taken to be the rows
    part: Any  # the weight of a mean that went into a value which says nothing itself, or None


def scored(function: Any, output: Any, target: Any, first: bool = False) -> Scored:
    """Call a loss or metric, and find out what its mean was divided by.

    first: whether this is the first batch, in which (N, 1) against (N,) is looked for.

    >>> import minigrad as mg
    >>> found = scored(mg.nn.functional.l1_loss, mg.zeros(3, 2), mg.ones(3, 2))
    >>> found.value.item(), found.weight, found.known
    (1.0, 6, True)
    """
    if first and column_meets_row(output, target):
        with enable_grad(), Tape() as tape:  # a tape sees nothing under no_grad
            value, reports = watched(function, output, target)
        check_broadcast(tape, output, target)
    else:
        value, reports = watched(function, output, target)
    if isinstance(value, tuple) and len(value) == 2:
        return Scored(*value, False, True, None)
    for report in reports:
        if report.result is value:
            return Scored(value, report.weight, report.total, True, None)
    rows = output.shape[0] if isinstance(output, Tensor) and output.ndim else 1
    weighted = [r.weight for r in reports if not isinstance(r.weight, int) and not r.total]
    return Scored(value, rows, False, False, weighted[0] if weighted else None)


def column_meets_row(output: Any, target: Any) -> bool:
    """Return whether one is (N, 1) and the other (N,), which NumPy broadcasts to (N, N)."""
    if not isinstance(output, Tensor) or not isinstance(target, Tensor):
        return False
    shapes = sorted((output.shape, target.shape), key=len)
    return len(shapes[0]) == 1 and shapes[0][0] > 1 and shapes[1] == (*shapes[0], 1)


def check_broadcast(tape: Tape, output: Tensor, target: Tensor) -> None:
    """Refuse a loss or metric that has paired every output with every target."""
    rows = len(output)
    for entry in tape:
        if {(rows, 1), (rows,)} <= set(entry.shapes) and entry.shape == (rows, rows):
            raise ValueError(
                f"outputs of shape {output.shape} against targets of shape {target.shape}: "
                f"{entry.op} at {entry.where} broadcasts them to {entry.shape}, every output with "
                "every target; give both one shape, say with output.squeeze(1)"
            )


class Scores:
    """Collect the loss and the metrics of a set batch by batch.

    A batch counts by what its mean was divided by: the rows, the summed class weights, the targets
    that are not ignored.  Losses of the library, `accuracy` and functions that return (mean,
    weight) say what that is; of any other loss it is the rows.  A metric that does not say it gets
    all outputs and targets at once, since an F1 score is no mean of the batches' scores; in parts,
    averaged by their rows, where batches differ in more than their rows or take more than 256 MiB.
    A SetMetric is put together from such parts, to what it is of the whole.
    """

    def __init__(self, metrics: dict[str, Metric]) -> None:
        self._metrics = metrics
        self._means = RowMeans()
        self._probes: dict[str, Any] = {}  # of metrics that wait for the whole set: the first batch
        self._parts: list[tuple[list[Any], list[Any]]] = []
        self._sets: dict[str, list[Any]] = {}  # of each SetMetric, what is known of the parts
        self._held = 0
        self.batches = 0
        self._shares: set[float] = set()

    def add(self, output: Any, target: Any, loss: Scored, metrics: dict[str, Scored]) -> None:
        """Take a batch, its loss, and the metrics of it that are known already."""
        self.batches += 1
        self._means.add("loss", loss.value, loss.weight, loss.total)
        if loss.part is not None:
            self._shares.add(round(float(loss.part) / loss.weight, 6))
        if not self._metrics:
            return
        with no_grad():
            for name, metric in self._metrics.items():
                if isinstance(metric, SetMetric):
                    if not (isinstance(output, Tensor) and isinstance(target, Tensor)):
                        raise TypeError(
                            f"metrics: {name!r} takes output and target as one Tensor each, but got"
                            f" {type(output).__name__} and {type(target).__name__}"
                        )
                    self._sets.setdefault(name, [])
                elif name not in self._probes:
                    found = metrics.get(name) or scored(metric, output, target, self.batches == 1)
                    together = isinstance(output, Tensor) and isinstance(target, Tensor)
                    if found.known or not together:
                        self._means.add(name, found.value, found.weight, found.total)
                    else:
                        self._probes[name] = found.value
        if self._probes or self._sets:
            self._hold(output, target)

    def _hold(self, output: Tensor, target: Tensor) -> None:
        size = output.array.nbytes + target.array.nbytes
        if self._parts:
            outputs, targets = self._parts[-1]
            alike = outputs[0].shape[1:] == output.shape[1:]
            alike = alike and targets[0].shape[1:] == target.shape[1:]
            if alike and output.ndim and target.ndim and self._held + size <= HELD_AT_MOST:
                outputs.append(output)
                targets.append(target)
                self._held += size
                return
            self._close()
        self._parts.append(([output], [target]))
        self._held = size

    def _close(self) -> None:
        """Compute the metrics of the last part, and let its tensors go."""
        outputs, targets = self._parts[-1]
        rows = sum(len(output) if output.ndim else 1 for output in outputs)
        with no_grad():
            whole = [cat(part, 0) if len(part) > 1 else part[0] for part in (outputs, targets)]
            values = self._probes
            if self.batches > 1:
                values = {name: self._metrics[name](*whole) for name in self._probes}
            for name, parts in self._sets.items():
                metric: Any = self._metrics[name]
                parts.append(metric.part(*whole))
        for name, value in values.items():
            self._means.add(name, value, rows)
        self._parts[-1] = ([None], [None])

    def state_dict(self) -> dict[str, Any]:
        """Return what has been collected, for a checkpoint in mid-epoch."""
        held = None
        if self._parts and self._parts[-1][0][0] is not None:
            outputs, targets = self._parts[-1]
            whole = [cat(part, 0) if len(part) > 1 else part[0] for part in (outputs, targets)]
            held = {"output": whole[0], "target": whole[1]}
        return {
            "batches": self.batches,
            "means": self._means.state_dict(),
            "probes": dict(self._probes),
            "parts": len(self._parts),
            "sets": {name: list(parts) for name, parts in self._sets.items()},
            "held": held,
            "shares": set(self._shares),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the batches of a state."""
        self.batches = state["batches"]
        self._means.load_state_dict(state["means"])
        self._probes = dict(state["probes"])
        self._parts = [([None], [None]) for _ in range(state["parts"])]
        self._sets = {name: list(parts) for name, parts in state["sets"].items()}
        self._shares = set(state["shares"])
        held = state["held"]
        if held is not None:
            self._parts[-1] = ([held["output"]], [held["target"]])
            self._held = held["output"].array.nbytes + held["target"].array.nbytes

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics by name."""
        return self._metrics

    @classmethod
    def merged(
        cls, metrics: dict[str, Metric], states: list[Any], batches: int | None = None
    ) -> Scores:
        """Return the scores of several collections together, in their order.

        states: their `state_dict`s.  batches: how many they are of; by default of all.
        """
        made = cls(metrics)
        kept = [state for state in states if state["batches"]]
        made.batches = sum(state["batches"] for state in kept) if batches is None else batches
        made._means = RowMeans.merged([state["means"] for state in kept])
        for state in kept:
            made._probes = {**state["probes"], **made._probes}
            made._shares |= state["shares"]
            for name, parts in state["sets"].items():
                made._sets.setdefault(name, []).extend(parts)
            if state["held"] is not None:
                made._hold(state["held"]["output"], state["held"]["target"])
        return made

    def results(self) -> dict[str, float]:
        """Return the scores of all batches by name: the loss, then the metrics as they were given.

        Warns: UserWarning where a score depends on how the set was cut into batches.
        """
        if self._parts:
            self._close()
        if len(self._shares) > 1:
            warnings.warn(
                "the loss combines a mean over class weights, or over targets that are not ignored,"
                " with something else, so that its average depends on the batch size; return"
                " (loss, weight) from it, the weight being what the batch counts",
                UserWarning,
                stacklevel=4,
            )
        found = self._means.results()
        for name, parts in self._sets.items():
            metric: Any = self._metrics[name]
            found[name] = float(metric.combine(parts))
        return {name: found[name] for name in ("loss", *self._metrics) if name in found}
