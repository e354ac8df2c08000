"""What a Trainer computes on a batch: a training step, an update, scores; captured where that pays.

The functions below are the computations.  `Steps` runs them for a fit: each as `mg.capture` has it,
once batches of a kind come often enough, and as they stand here otherwise, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from minigrad.engine.grad_mode import no_grad
from minigrad.lazy import lazy
from minigrad.nn.utils.clip_grad import gradient_norms, scale_gradients
from minigrad.tensors.tensor import Tensor
from minigrad.train.metrics import Metric
from minigrad.train.scores import Scored, scored

# Batches of one kind in a fit from which on their computation is captured: two recordings of the
# recipe's step take 30 ms, and a replay saves some 0.2 ms.
PAYS = 150
LIMIT = 1 << 30  # bytes that a captured computation may make on its way: all are held meanwhile
WAYS = (True, False, "explain")
_capturing = lazy("minigrad.capturing.captured")
Metrics = dict[str, Metric]


class Computed(NamedTuple):
    """What became of a batch.

    output: None where nobody needs it any more.  metrics: those of the library.
    norms: of the gradients, one a dtype, where they were asked for.
    """

    output: Any
    loss: Scored
    metrics: dict[str, Scored]
    norms: list[Tensor]


def forward_backward(
    model: Any, loss: Any, metrics: Metrics, norms: bool, x: Any, target: Any, first: bool
) -> Computed:
    """Run the model forward and the loss backward.

    first: look whether the loss pairs every output with every target.
    """
    output = model(x)
    found = scored(loss, output, target, first)
    found.value.backward()
    # On a device they would be read there one by one.
    asked = gradient_norms(model) if norms and not found.value.is_cuda else []
    return measured(output, target, found, metrics, asked, first)


def whole_step(
    model: Any,
    loss: Any,
    metrics: Metrics,
    norms: bool,
    optimizer: Any,
    x: Any,
    target: Any,
    first: bool,
) -> Computed:
    """Run a whole training step, with nothing between its parts."""
    found = forward_backward(model, loss, metrics, norms, x, target, first)
    optimizer.step()
    optimizer.zero_grad()
    return found


def clip_and_update(model: Any, optimizer: Any, norm: Tensor, max_norm: float) -> None:
    """Scale the gradients, whose norm is known, to at most `max_norm`; step the optimizer."""
    scale_gradients(model, norm, max_norm)
    optimizer.step()
    optimizer.zero_grad()


def score(model: Any, loss: Any, metrics: Metrics, x: Any, target: Any, first: bool) -> Computed:
    """Run the model and the loss on a batch."""
    output = model(x)
    return measured(output, target, scored(loss, output, target, first), metrics, [], first)


def measured(
    output: Any, target: Any, loss: Scored, metrics: Metrics, norms: list[Tensor], first: bool
) -> Computed:
    """Return a batch's output and scores, those of the library's metrics too."""
    output = output.detach() if isinstance(output, Tensor) else output
    with no_grad():
        found = {
            name: scored(metric, output, target, first)
            for name, metric in metrics.items()
            if of_library(metric)
        }
    needed = len(found) < len(metrics) or not all(one.known for one in found.values())
    return Computed(output if needed else None, loss, found, norms)


def of_library(metric: Any) -> bool:
    """Return whether a metric is the library's, which reads no number and leaves nothing behind.

    >>> from minigrad.train.metrics import accuracy
    >>> of_library(accuracy), of_library(max)
    (True, False)
    """
    module = getattr(metric, "__module__", None) or ""
    return str(module).startswith("minigrad.")


class Steps:
    """The computations of one fit.

    parts: model, loss, metrics, optimizer.
    way: True, False or "explain": say on standard error how they run.
    update: whether nobody looks at the gradients before the optimizer does: it is a part of the
    step then.  norms: whether somebody asks for the gradients' norm.
    """

    def __init__(
        self,
        parts: tuple[Any, Callable[..., Any], Metrics, Any],
        way: Any,
        *,
        update: bool = False,
        norms: bool = False,
    ) -> None:
        self.parts = parts
        self.updates = update
        model, loss, metrics, optimizer = parts
        step: Any = partial(forward_backward, model, loss, metrics, norms)
        if update:
            step = partial(whole_step, model, loss, metrics, norms, optimizer)
        self.step = Computation(step, way)
        self.update = Computation(partial(clip_and_update, model, optimizer), way)
        self.score = Computation(partial(score, model, loss, metrics), way)

    def begin(self, epochs: int) -> None:
        """Begin an epoch, of so many that are left."""
        for part in (self.step, self.update, self.score):
            part.epochs = epochs
            part.counts.clear()

    def explain(self) -> str:
        """Return how the computations ran, and why where they were not captured."""
        parts = ((part.name, part.explain()) for part in (self.step, self.update, self.score))
        return "\n".join(f"{name}: {said}" for name, said in parts if said)


class Computation:
    """One function of batches: captured for the kinds of batch that come often enough."""

    def __init__(self, function: Any, way: Any) -> None:
        self.function = function
        self.name = function.func.__name__
        self.captured: Any = None
        if way:
            self.captured = _capturing.capture(function, explain=way == "explain", memory=LIMIT)
        self.epochs = 1  # that are left, this one too
        self.counts: dict[Any, int] = {}  # of this epoch's batches, by their kind
        self.worth: set[Any] = set()
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        """Compute; the last argument may say that this is the first batch, to be looked at."""
        self.calls += 1
        if self.captured is not None:
            kind = kind_of(args)
            self.counts[kind] = count = self.counts.get(kind, 0) + 1
            # So often it will come if the epochs to come are like this one so far.
            if count * self.epochs >= PAYS and kind is not None:
                self.worth.add(kind)
            if kind in self.worth and args[-1] is not True:
                return self.captured(*args)
        return self.function(*args)

    def explain(self) -> str:
        """Return how the calls ran; "" where there were none."""
        if not self.calls:
            return ""
        if self.captured is None:
            return f"{self.calls} eager: capture=False"
        calls = dict(self.captured.calls)
        few = self.calls - sum(calls.values())
        calls["eager"] += few
        said = ", ".join(f"{n} {how}" for how, n in calls.items())
        reasons = list(self.captured.refused.values())
        if not calls["recorded"]:
            reasons.append(
                f"a kind of batch that comes less than {PAYS} times in a fit is not captured"
            )
        return "; ".join([said, *dict.fromkeys(reasons)])


def kind_of(values: Any) -> Any:
    """Return what tells batches that can be captured from each other; None for what cannot.

    >>> import minigrad as mg
    >>> kind_of((mg.zeros(2, 3),)), kind_of((object(),))
    ((((2, 3), 'f'),), None)
    """
    if isinstance(values, Tensor):
        array = values.array
        return array.shape, array.dtype.char
    if isinstance(values, dict):
        values = tuple(values.values())
    if isinstance(values, list | tuple):
        kinds = tuple(map(kind_of, values))
        return None if None in kinds else kinds
    return type(values) if isinstance(values, bool | int | float | str | type(None)) else None
