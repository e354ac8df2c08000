"""Output, loss and targets: whether they go together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from minigrad.diagnosis.case import LOSSES, REGRESSION, Case, head_node
from minigrad.diagnosis.findings import Seen, check
from minigrad.diagnosis.looking import LINEAR, host

KNOWN_ROWS = 50
LOGITS = {"cross_entropy": "cross_entropy", "bce_logits": "binary_cross_entropy_with_logits"}
RANGES = {
    "ReLU": (0.0, math.inf),
    "Softplus": (0.0, math.inf),
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "LogSoftmax": (-math.inf, 0.0),
    "LogSigmoid": (-math.inf, 0.0),
    "ELU": (-1.0, math.inf),
}


def head_line(case: Case) -> str:
    """Return the user's line of the op that feeds the loss."""
    node = None if case.look is None else head_node(case.look)
    return "" if node is None else node.where


@check(
    "MG101",
    "softmax or sigmoid before cross-entropy",
    "step",
    "cross_entropy applies log-softmax itself; squashed once more the outputs differ by at most 1, "
    "so the loss cannot come near 0 and gradients are small",
)
def softmax_before_cross_entropy(case: Case) -> Iterator[Seen]:
    """Look for softmax or sigmoid before cross-entropy."""
    if case.loss_kind == "cross_entropy" and case.activation in ("Softmax", "Sigmoid", "Tanh"):
        if case.units == 1:
            return
        yield Seen(
            f"{case.activation} stands before cross_entropy",
            f"remove the {case.activation}: the model should end in its last Linear, "
            "whose outputs are the logits",
            line=head_line(case),
        )


@check(
    "MG102",
    "sigmoid or softmax before a binary cross-entropy of logits",
    "step",
    "binary_cross_entropy_with_logits applies the sigmoid itself; twice, probabilities stay "
    "between 0.5 and 0.73 for every row",
)
def sigmoid_before_logits(case: Case) -> Iterator[Seen]:
    """Look for sigmoid or softmax before a binary cross-entropy of logits."""
    if case.loss_kind == "bce_logits" and case.activation in ("Sigmoid", "Softmax", "Tanh"):
        if case.activation == "Softmax" and case.units == 1:
            return
        yield Seen(
            f"{case.activation} stands before binary_cross_entropy_with_logits",
            f"remove the {case.activation}, or take binary_cross_entropy",
            line=head_line(case),
        )


@check(
    "MG103",
    "softmax over one unit",
    "step",
    "the softmax of one number is 1, whatever the number is: the output is constant and nothing is "
    "learnt",
)
def softmax_of_one(case: Case) -> Iterator[Seen]:
    """Look for softmax over one unit."""
    look = case.look
    if look is None or look.output is None:
        return
    for node in look.nodes:
        if node.op in ("Softmax", "LogSoftmax"):
            shape = node.inputs[0].shape
            axis = node.meta.get("axis", node.meta.get("dim", -1))
            axis = axis if isinstance(axis, int) else -1
            if len(shape) and shape[axis] == 1:
                yield Seen(
                    f"a {node.op} over an axis of size 1, shape {tuple(shape)}",
                    "for two classes: nn.Linear(n, 1) with binary_cross_entropy_with_logits (in "
                    "place of Softmax a Sigmoid, with binary_cross_entropy); for C classes: "
                    "nn.Linear(n, C) with cross_entropy; for a regression no activation",
                    look.nearest_layer(node),
                    node.where,
                )
                return
    if case.loss_kind == "cross_entropy" and case.units == 1:
        yield Seen(
            "cross_entropy over one unit is always 0",
            "nn.Linear(n, C) with one unit a class; or one unit and "
            "binary_cross_entropy_with_logits",
        )


@check(
    "MG104",
    "the output's activation cannot reach the targets",
    "data",
    "what lies outside the activation's range cannot be predicted, and gradients vanish at its end",
)
def out_of_reach(case: Case) -> Iterator[Seen]:
    """Look for the output's activation cannot reach the targets."""
    y = case.train.y
    reach = RANGES.get(case.activation)
    if y is None or reach is None or case.loss_kind not in REGRESSION or y.dtype.kind == "b":
        return
    low, high = reach
    values = y.astype(np.float64).ravel()
    outside = float(((values < low - 1e-6) | (values > high + 1e-6)).mean())
    if outside > 0.01:
        yield Seen(
            f"the model ends in {case.activation}, whose values lie in [{low:g}, {high:g}], but "
            f"{100 * outside:.0f} % of the targets lie outside: they go from {values.min():.4g} to "
            f"{values.max():.4g}",
            f"remove the {case.activation}: a regression ends in a Linear; or scale the targets "
            "into its range",
            line=head_line(case),
        )


@check(
    "MG105",
    "a regression loss for classes",
    "data",
    "squared errors of probabilities have small gradients where the model is surely wrong, and "
    "squared errors of class numbers make class 2 lie between 1 and 3",
)
def regression_of_classes(case: Case) -> Iterator[Seen]:
    """Look for a regression loss for classes."""
    if case.loss_kind not in REGRESSION:
        return
    kind, units = case.targets, case.units
    if kind == "one-hot" and units and units > 1:
        yield Seen(
            f"{case.loss_kind} against one-hot targets of {units} classes",
            "end the model in its last Linear, without activation, and take "
            "cross_entropy(output, target.argmax(1))",
            sure=False,
        )
    elif kind == "binary" and units == 1:
        yield Seen(
            f"{case.loss_kind} against targets that are 0 and 1",
            "end the model in its last Linear, without activation, and take "
            "binary_cross_entropy_with_logits",
            sure=False,
        )
    elif kind == "codes" and units == 1:
        yield Seen(
            f"{case.loss_kind} against {case.classes} different whole numbers, which look like "
            "classes",
            f"if they are classes: nn.Linear(n, {case.classes}) as the last layer and "
            "cross_entropy(output, target.long())",
            sure=False,
        )
    elif kind == "classes" and units == 1 and case.classes and 2 < case.classes <= 20:
        yield Seen(
            f"{case.loss_kind} against {case.classes} classes as numbers",
            f"nn.Linear(n, {case.classes}) as the last layer and cross_entropy",
            sure=False,
        )


@check(
    "MG106",
    "the logarithm of what is no probability",
    "step",
    "outside (0, 1) the loss is clipped or not a number, so there is no gradient where the model "
    "errs most",
)
def log_of_no_probability(case: Case) -> Iterator[Seen]:
    """Look for the logarithm of what is no probability."""
    look, kind = case.look, case.loss_kind
    if look is None or look.output is None or kind not in ("bce", "log"):
        return
    if kind == "log":
        after = {node.op for node in look.follows(look.output)}
        if after & {"Softmax", "LogSoftmax", "Sigmoid", "LogSigmoid", "Exp", "LogSumExp"}:
            return
    head = case.head
    named = case.activation or "a Linear layer"
    if head in LINEAR or case.activation in ("ReLU", "Tanh", "ELU", "LeakyReLU", "GELU", "SiLU"):
        better = (
            "one unit a class and cross_entropy"
            if (case.units or 1) > 1
            else ("binary_cross_entropy_with_logits")
        )
        values = host(look.output)
        yield Seen(
            f"the model ends in {named}, with outputs from {values.min():.3g} to "
            f"{values.max():.3g}, and the loss takes their logarithm",
            f"end the model in its last Linear, without activation, and take {better}; or put a "
            f"{'Softmax' if (case.units or 1) > 1 else 'Sigmoid'} at its end",
            line=head_line(case),
        )


@check(
    "MG107",
    "sigmoids for exclusive classes",
    "data",
    "each class is decided by itself: nothing says that exactly one is right, and the many zeros "
    "of a one-hot row outweigh its one",
)
def sigmoids_for_exclusive(case: Case) -> Iterator[Seen]:
    """Look for sigmoids for exclusive classes."""
    bce = case.loss_kind in ("bce", "bce_logits")
    if bce and case.targets == "one-hot" and (case.units or 0) > 2:
        yield Seen(
            f"binary cross-entropy over {case.units} classes of which each row has exactly one",
            "end the model in its last Linear and take cross_entropy(output, target.argmax(1))",
            sure=False,
        )


@check(
    "MG108",
    "softmax for classes that do not exclude each other",
    "data",
    "softmax shares one unit of probability among all classes: rows with several labels, or none, "
    "cannot be fitted",
)
def softmax_for_many(case: Case) -> Iterator[Seen]:
    """Look for softmax for classes that do not exclude each other."""
    y = case.train.y
    soft = case.loss_kind == "cross_entropy" or case.activation == "Softmax"
    if y is not None and soft and case.targets == "multi-label":
        sums = y.sum(1)
        yield Seen(
            f"softmax over targets with {sums.min():g} to {sums.max():g} labels a row",
            "end the model in its last Linear and take binary_cross_entropy_with_logits",
        )


@check(
    "MG109",
    "more or fewer outputs than classes",
    "data",
    "outputs without a class only take probability away; with too few, classes cannot be told "
    "apart",
)
def units_and_classes(case: Case) -> Iterator[Seen]:
    """Look for more or fewer outputs than classes."""
    y, units = case.train.y, case.units
    if y is None or units is None or not y.size:
        return
    kind = case.targets
    if kind == "classes" and case.loss_kind == "cross_entropy" and case.train.whole:
        count = int(y.max()) + 1
        few = case.train.rows < KNOWN_ROWS or y.min() >= 1
        if units > count and units <= 100 and not few:
            yield Seen(
                f"{units} outputs, but the labels are 0 to {count - 1}",
                f"nn.Linear(n, {count}) as the last layer",
                sure=False,
            )
        return
    binary = units == 1 and case.loss_kind in ("bce", "bce_logits")
    if binary and kind in ("codes", "classes") and y.max() > 1:
        yield Seen(
            f"one output with a binary cross-entropy, but {case.classes} classes",
            f"nn.Linear(n, {int(y.max()) + 1}) as the last layer and "
            "cross_entropy(output, target.long())",
        )


@check(
    "MG110",
    "the loss pairs every output with every target",
    "step",
    "(N, 1) against (N,) broadcasts to (N, N): the model learns the mean of all targets",
)
def broadcast(case: Case) -> Iterator[Seen]:
    """Look for the loss pairs every output with every target."""
    look = case.look
    if look is None or look.output is None:
        return
    for node in look.follows(look.output):
        shapes = {tuple(t.shape) for t in node.inputs}
        made = tuple(node.outputs[0].shape)
        if len(made) == 2 and made[0] == made[1] > 1 and {(made[0], 1), (made[0],)} <= shapes:
            yield Seen(
                f"{node.op} of shapes {(made[0], 1)} and {(made[0],)} gives {made}",
                "give both one shape: target.unsqueeze(1), or output.squeeze(1)",
                line=node.where,
            )
            return
    paired = LOSSES.get(case.probe.get("failed loss", "")) in REGRESSION | {"bce", "bce_logits"}
    if paired and look.target is not None:
        output, target = tuple(look.output.shape), tuple(look.target.shape)
        if output != target and output[:1] == target[:1] and {1} >= {*output[1:], *target[1:]}:
            yield Seen(
                f"{case.probe['failed loss']} of output {output} and target {target}",
                "give both one shape: target.unsqueeze(1), or output.squeeze(1)",
            )


@check(
    "MG111",
    "the loss is summed over the batch",
    "step",
    "the gradient grows with the batch, and so does the step: a learning rate fits one batch size "
    "only",
)
def summed(case: Case) -> Iterator[Seen]:
    """Look for the loss is summed over the batch."""
    look, loss = case.look, case.loss
    told = getattr(loss, "reduction", None)
    while isinstance(loss, partial):
        told = loss.keywords.get("reduction", told)
        loss = loss.func
    rows = 0
    last = None
    after: set[str] = set()
    if look is not None and look.output is not None and look.output.ndim:
        rows = int(look.output.shape[0])
        after = {node.op for node in look.follows(look.output)}
        last = look.producer(look.loss) if look.loss is not None else None
        while last is not None and last.op in ("Neg", "Add", "Cast", "Reshape"):
            last = look.producer(last.inputs[0])
    by_op = (
        last is not None
        and last.op == "Sum"
        and last.inputs[0].ndim > 0
        and last.inputs[0].shape[0] == rows
        and not {"Mean", "Div"} & after
        and last.outputs[0].numel() == 1
    )
    if rows > 1 and (told == "sum" or by_op):
        yield Seen(
            f"the loss is the sum over the {rows} rows of a batch",
            'take the mean: reduction="mean", or .mean() for .sum()',
            line="" if last is None else last.where,
            sure=False,
        )


@check(
    "MG112",
    "the first loss is far from that of a guess",
    "data",
    "the outputs start large and wrong, so the first steps only shrink them: inputs are not "
    "standardised, or weights too large",
)
def first_loss(case: Case) -> Iterator[Seen]:
    """Look for the first loss is far from that of a guess."""
    if not case.losses or case.losses[0][0] != 1:
        return
    value = case.losses[0][1]
    units = case.units or 1
    guess = None
    if case.loss_kind == "cross_entropy" and units > 1:
        guess = math.log(units)
    elif case.loss_kind in ("bce", "bce_logits"):
        guess = math.log(2)
    if guess is not None and math.isfinite(value) and value > 3 * guess + 1:
        yield Seen(
            f"the first loss is {value:.3g}, that of a guess {guess:.3g}",
            "standardise the inputs (mg.data.Standardizer), and start the layers as nn.Linear does",
            sure=False,
        )


@check(
    "MG113",
    "the loss has the wrong sign",
    "step",
    "the optimizer makes it fall, and with it the errors grow",
)
def wrong_sign(case: Case) -> Iterator[Seen]:
    """Look for the loss has the wrong sign."""
    for step, value in case.losses[:1]:
        kind = case.loss_kind
        classes = case.targets in ("one-hot", "binary", "multi-label", "classes", "codes")
        never = kind in REGRESSION or kind in LOGITS
        if value < 0 and (never or (classes and kind in ("log", "bce", "nll"))):
            if kind == "nll" and case.activation == "Softmax":
                return  # MG116 says more
            yield Seen(
                f"the loss of step {step} is {value:.3g}, but a loss of this kind is never below 0",
                "turn its sign round",
            )


@check(
    "MG114",
    "ReLU on logits",
    "step",
    "no logit can be below 0, and a unit that is 0 for all rows never gets a gradient again",
)
def relu_on_logits(case: Case) -> Iterator[Seen]:
    """Look for ReLU on logits."""
    if case.loss_kind in LOGITS and case.activation in ("ReLU", "Softplus"):
        yield Seen(
            f"{case.activation} stands before {LOGITS[case.loss_kind]}",
            f"remove the {case.activation} after the last Linear",
            line=head_line(case),
        )


@check(
    "MG115",
    "dropout on the output",
    "step",
    "the prediction itself is set to 0 at random, so the loss cannot become small",
)
def dropout_on_output(case: Case) -> Iterator[Seen]:
    """Look for dropout on the output."""
    look = case.look
    node = None if look is None else head_node(look)
    if node is not None and node.op in ("Dropout", "BatchNormDropout"):
        yield Seen(
            "the last thing before the loss is Dropout",
            "remove the Dropout after the last Linear",
            line=node.where,
        )


@check(
    "MG116",
    "nll_loss of what are no log-probabilities",
    "step",
    "nll_loss only picks the target's entry and turns its sign: without a log-softmax the others "
    "are never held against it",
)
def nll_of_no_logs(case: Case) -> Iterator[Seen]:
    """Look for nll_loss of what are no log-probabilities."""
    look = case.look
    if case.loss_kind != "nll" or look is None or look.output is None or look.output.ndim < 2:
        return
    values: Any = host(look.output).astype(np.float64)
    with np.errstate(all="ignore"):
        sums = np.exp(values).sum(1)
    if not np.allclose(sums, 1, atol=1e-3):
        named = case.activation or "a Linear layer"
        yield Seen(
            f"the model ends in {named}, and exp(output) sums to {sums.ravel()[0]:.3g} over the "
            "classes",
            "end the model in its last Linear and take cross_entropy; or put LogSoftmax at its end",
            line=head_line(case),
        )
