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
from minigrad.train.metrics import Metric, SetMetric, numbers
from minigrad.train.scores import Scored, scored

# Batches of one kind in a fit from which on their computation is captured: two recordings of the
# recipe's step take 30 ms, and a replay saves some 0.2 ms.
PAYS = 150
PLAIN = {bool, int, float, str, type(None)}
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
    return found._replace(loss=detached(found.loss))


def detached(loss: Scored) -> Scored:
    """Return a loss that lets go of its graph."""
    return loss._replace(value=loss.value.detach()) if loss.value.tracked else loss


def backward_of_sum(
    model: Any, loss: Any, metrics: Metrics, x: Any, target: Any, first: bool
) -> Computed:
    """Add the gradient of a batch's summed loss to what is there of the batches before.

    The loss is taken times what its mean was divided by, which only the sum over all batches of a
    step can be divided by.
    """
    output = model(x)
    found = scored(loss, output, target, first)
    value, weight = found.value, found.weight
    if isinstance(weight, Tensor):
        weight = weight.detach().reshape(value.shape).to(value.dtype)
    (value if found.total else value * weight).backward()
    return measured(output, target, found, metrics, [], first)


def backward_of_part(
    reducer: Any,
    model: Any,
    loss: Any,
    metrics: Metrics,
    exchanging: bool,
    x: Any,
    target: Any,
    first: bool,
) -> Computed:
    """Do the same with one process's part of a batch.

    reducer: has the gradients put together with the other processes' while they are computed,
        where `exchanging` is True: with the last batch of a step.
    """
    if exchanging:
        reducer.arm()
    return backward_of_sum(model, loss, metrics, x, target, first)


def mean_gradients(model: Any, optimizer: Any, norms: bool, share: Tensor) -> list[Tensor]:
    """Multiply summed gradients by 1 / their weight; return their norms if they are asked for."""
    with no_grad():
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p._grad is not None:
                    p.grad.mul_(share)
    return gradient_norms(model) if norms and not share.is_cuda else []


def mean_step(model: Any, optimizer: Any, norms: bool, share: Tensor) -> list[Tensor]:
    """Step the optimizer with the mean of summed gradients, with nothing between."""
    found = mean_gradients(model, optimizer, norms, share)
    optimizer.step()
    optimizer.zero_grad()
    return found


def whole_mean(parts: list[Scored]) -> tuple[Tensor, float]:
    """Return the loss of several batches together, and what their summed loss is divided by.

    >>> import minigrad as mg
    >>> batches = [(mg.tensor(2.0), 3), (mg.tensor(6.0), 1)]
    >>> whole_mean([Scored(value, rows, False, True, None) for value, rows in batches])
    (tensor(3.), 4.0)
    """
    if parts[0].total:
        return sum((part.value.detach() for part in parts[1:]), parts[0].value.detach()), 1.0
    weights = numbers([part.weight for part in parts])
    whole = sum(weights)
    if not whole:  # all targets are ignored: the mean is NaN and its gradient 0, as of one batch
        return parts[0].value.detach(), 1.0
    with no_grad():
        means = [p.value.detach() * (w / whole) for p, w in zip(parts, weights, strict=True) if w]
    return sum(means[1:], means[0]), whole


def clip_and_update(model: Any, optimizer: Any, norm: Tensor, max_norm: float) -> None:
    """Scale the gradients, whose norm is known, to at most `max_norm`; step the optimizer."""
    scale_gradients(model, norm, max_norm)
    optimizer.step()
    optimizer.zero_grad()


def plain_update(optimizer: Any, first: bool) -> None:
    """Step the optimizer, and forget the gradients."""
    optimizer.step()
    optimizer.zero_grad()


def output_of(model: Any, x: Any) -> Any:
    """Run the model on a batch."""
    return model(x)


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
    return not isinstance(metric, SetMetric) and str(module).startswith("minigrad.")


class Steps:
    """The computations of one fit.

    parts: model, loss, metrics, optimizer.
    way: True, False or "explain": say on standard error how they run.
    update: whether nobody looks at the gradients before the optimizer does: it is a part of the
    step then.  norms: whether somebody asks for the gradients' norm.  summed: whether `step` adds
    to the gradients of a summed loss, of which `finish` makes those of the mean.
    reducer: puts the gradients together with those of other processes, which compute parts of the
        same step; `step` is of a part then, and summed.
    """

    def __init__(
        self,
        parts: tuple[Any, Callable[..., Any], Metrics, Any],
        way: Any,
        *,
        update: bool = False,
        norms: bool = False,
        summed: bool = False,
        reducer: Any = None,
    ) -> None:
        self.parts = parts
        self.updates = update
        self.summed = summed = summed or reducer is not None
        model, loss, metrics, optimizer = parts
        step: Any = partial(forward_backward, model, loss, metrics, norms)
        if update:
            step = partial(whole_step, model, loss, metrics, norms, optimizer)
        if summed:
            step = partial(backward_of_sum, model, loss, metrics)
        if reducer is not None:
            step = partial(backward_of_part, reducer, model, loss, metrics)
        ending: Any = mean_step if update else mean_gradients
        self.step = Computation(step, way)
        self.finish = Computation(partial(ending, model, optimizer, norms), way)
        self.update = Computation(partial(clip_and_update, model, optimizer), way)
        self.plain_update = Computation(partial(plain_update, optimizer), way)
        self.score = Computation(partial(score, model, loss, metrics), way)

    def begin(self, epochs: int) -> None:
        """Begin an epoch, of so many that are left; of a set that is scored once, its batches."""
        for part in self.all:
            part.epochs = epochs
            part.counts.clear()

    @property
    def all(self) -> tuple[Computation, ...]:
        """The computations, in their order."""
        return self.step, self.finish, self.update, self.plain_update, self.score

    def explain(self) -> str:
        """Return how the computations ran, and why where they were not captured."""
        parts = ((part.name, part.explain()) for part in self.all)
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
            if self.worth and args[-1] is not True:
                found, reason = self.captured.attempt(args)
                if reason is None:
                    return found
            kind = kind_of(args)
            if kind not in self.worth and kind is not None:
                self.counts[kind] = count = self.counts.get(kind, 0) + 1
                # So often it will come if the epochs to come are like this one so far.
                if count * self.epochs >= PAYS:
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
    if type(values) in PLAIN:
        return type(values)
    if isinstance(values, dict):
        values = tuple(values.values())
    if isinstance(values, list | tuple):
        kinds = tuple([kind_of(value) for value in values])
        return None if None in kinds else kinds
    return type(values) if isinstance(values, bool | int | float | str | type(None)) else None
