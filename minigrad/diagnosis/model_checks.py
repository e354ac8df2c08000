"""The model: its layers, their order and their first weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.diagnosis.case import Case, head_node
from minigrad.diagnosis.findings import Seen, check, written
from minigrad.diagnosis.looking import ACTIVATIONS, LINEAR, SAME, Look, Node, host, norm
from minigrad.nn.layers.conv import Conv1d, Conv2d, Conv3d
from minigrad.nn.layers.dropout import Dropout
from minigrad.nn.layers.linear import Linear

NORMS = {"BatchNorm", "BatchNormDropout"}
NOT_BENT = SAME | {"Dropout", *NORMS, "BatchNormEval", "LayerNorm"}
WEIGHTED = (Linear, Conv1d, Conv2d, Conv3d)


def behind(look: Look, tensor: Any, passing: set[str]) -> Node | None:
    """Return the first op behind a tensor that is none of those to pass, nor adds a parameter."""
    node = look.producer(tensor)
    while node is not None:
        if node.op in passing:
            node = look.producer(node.inputs[0])
        elif node.op == "Add" and any(id(t) in look.names for t in node.inputs):
            rest = [t for t in node.inputs if id(t) not in look.names]
            node = look.producer(rest[0]) if rest else None
        else:
            return node
    return None


def has_weight(look: Look, node: Node) -> bool:
    """Return whether an op multiplies by a parameter."""
    return node.op in LINEAR and bool(look.layer_name(node))


@check(
    "MG301",
    "two linear layers without an activation between",
    "step",
    "together they are one linear layer: the second adds parameters, but nothing that the first "
    "cannot do",
)
def no_activation_between(case: Case) -> Iterator[Seen]:
    """Look for two linear layers without an activation between."""
    look = case.look
    if look is None or look.output is None:
        return
    path = list(look.leads_to(look.output))
    bent = any(node.op not in NOT_BENT | LINEAR | {"Add"} for node in path)
    bent = bent or any(node.op in ("LinearActivation", "BatchNormDropout") for node in path)
    pairs = []
    for node in reversed(path):
        if not has_weight(look, node):
            continue
        before = behind(look, node.inputs[0], NOT_BENT - {"BatchNormDropout"})
        linear = before is not None and before.op in LINEAR - {"LinearActivation"}
        if linear and before is not None and has_weight(look, before):
            uses = sum(any(t is before.outputs[0] for t in n.inputs) for n in look.nodes)
            if uses == 1:
                pairs.append((look.layer_name(before), look.layer_name(node), node.where))
    if pairs:
        first, second, where = pairs[0]
        more = f", and {len(pairs) - 1} more such pairs" if len(pairs) > 1 else ""
        yield Seen(
            f"{first!r} is followed by {second!r} with no activation between{more}",
            f"nn.ReLU() between {first!r} and {second!r}",
            first,
            where,
            sure=not bent and len(pairs) > 0,
        )


@check(
    "MG302",
    "dropout before batch-norm",
    "step",
    "dropout changes the variance in training and not in evaluation, so the running variance that "
    "batch-norm keeps fits neither",
)
def dropout_before_norm(case: Case) -> Iterator[Seen]:
    """Look for dropout before batch-norm."""
    look = case.look
    for node in [] if look is None else look.nodes:
        if node.op in NORMS and look is not None:
            before = behind(look, node.inputs[0], SAME | set(ACTIVATIONS) - {"LinearActivation"})
            if before is not None and before.op == "Dropout":
                yield Seen(
                    f"batch-norm {look.layer_name(node)!r} takes what a Dropout gives",
                    "put the Dropout after it: Linear, BatchNorm, activation, Dropout",
                    look.layer_name(node),
                    node.where,
                )
                return


@check(
    "MG303",
    "a bias before batch-norm",
    "step",
    "batch-norm subtracts the batch's mean and the bias with it: it is trained for nothing",
)
def bias_before_norm(case: Case) -> Iterator[Seen]:
    """Look for a bias before batch-norm."""
    look = case.look
    found = []
    for node in [] if look is None else look.nodes:
        if node.op in NORMS and look is not None:
            before = look.producer(node.inputs[0])
            biased = before is not None and before.op in LINEAR and len(before.inputs) > 2
            if biased and before is not None and before.inputs[2].numel():
                found.append(look.layer_name(before))
    if found:
        yield Seen(
            f"{', '.join(map(repr, found[:3]))} has a bias, and batch-norm follows",
            "bias=False in the layer before batch-norm",
            found[0],
            sure=False,
        )


def note_norms(case: Case) -> None:
    """Note over how many values of a row batch-norm takes its statistics."""
    for node in [] if case.look is None else case.look.nodes:
        if node.op in NORMS:
            shape = node.inputs[0].shape
            case.probe["spatial"] = int(np.prod(shape[2:])) if len(shape) > 2 else 1


@check(
    "MG304",
    "tiny batches under batch-norm",
    "data",
    "mean and variance of a few rows are mostly chance, and one row has no variance at all",
)
def tiny_batches(case: Case) -> Iterator[Seen]:
    """Look for tiny batches under batch-norm."""
    sizes = case.train.sizes
    spatial = case.probe.get("spatial")
    if not sizes or spatial is None:
        return
    usual, last = sizes[0] * spatial, sizes[-1] * spatial
    if usual < 8:
        yield Seen(
            f"batch-norm over {usual} values a channel in training",
            "a batch_size of at least 16, or nn.LayerNorm",
            sure=usual < 4,
        )
    elif last == 1 and len(sizes) > 1:
        yield Seen(
            f"the last batch has one row, the others {sizes[0]}",
            "DataLoader(..., drop_last=True)",
        )


@check(
    "MG305",
    "much dropout",
    "setup",
    "with more than half of a layer gone at each step the model learns slowly, or too little",
)
def much_dropout(case: Case) -> Iterator[Seen]:
    """Look for much dropout."""
    for name, module in case.model.named_modules():
        if isinstance(module, Dropout) and 0.5 < module.p <= 1:
            yield Seen(
                f"Dropout {name!r} drops {100 * module.p:g} %",
                f"nn.Dropout(0.2) for {name!r}",
                name,
                sure=module.p > 0.75,
            )
            return


@check(
    "MG306",
    "one activation after another",
    "step",
    "the second sees only what the first lets through: after ReLU a sigmoid is at least 0.5, a "
    "second softmax is nearly flat",
)
def double_activation(case: Case) -> Iterator[Seen]:
    """Look for one activation after another."""
    look = case.look
    for node in [] if look is None else look.nodes:
        if look is None or node.op not in ACTIVATIONS or node.op == "LinearActivation":
            continue
        before = look.producer(node.inputs[0])
        if node.op == "BatchNormDropout" or before is None or before.op not in ACTIVATIONS:
            continue
        first, second = ACTIVATIONS[before.op], ACTIVATIONS[node.op]
        squashed = ("Softmax", "Sigmoid", "LogSoftmax", "Tanh")
        if before.op == "BatchNormDropout":
            continue
        if second == "LogSoftmax" and case.loss_kind == "cross_entropy":
            continue  # the loss's own; MG101 and MG114 say more
        if first == second or second in squashed:
            if first == second == "LogSoftmax" or (first, second) == ("Tanh", "Softmax"):
                continue
            yield Seen(
                f"{second} is applied to what {first} gives",
                f"keep one of them; before a last {second} stands a Linear"
                if second in squashed
                else f"keep one {first}",
                look.nearest_layer(node),
                node.where,
                sure=first in ("ReLU", "Softmax", "Sigmoid", "LogSoftmax") and second in squashed,
            )
            return


@check(
    "MG307",
    "softmax within the model",
    "step",
    "softmax makes all units of a hidden layer share the sum 1: they are small, and their "
    "gradients smaller",
)
def hidden_softmax(case: Case) -> Iterator[Seen]:
    """Look for softmax within the model."""
    look = case.look
    for node in [] if look is None else look.nodes:
        if look is not None and has_weight(look, node):
            before = behind(look, node.inputs[0], SAME | {"Dropout"})
            if before is not None and before.op in ("Softmax", "LogSoftmax"):
                source = look.producer(before.inputs[0])
                if source is not None and has_weight(look, source):
                    yield Seen(
                        f"a {before.op} stands before {look.layer_name(node)!r}",
                        "nn.ReLU() in its place",
                        look.layer_name(node),
                        before.where,
                    )
                    return


@check(
    "MG308",
    "all units of a layer start alike",
    "setup",
    "they get the same gradients and stay alike: the layer is as wide as one unit",
)
def symmetric(case: Case) -> Iterator[Seen]:
    """Look for all units of a layer start alike."""
    weights = [
        (name, module.weight)
        for name, module in case.model.named_modules()
        if isinstance(module, WEIGHTED) and module.weight is not None
    ]
    alike = []
    for name, weight in weights:
        array = host(weight, None)
        if array.ndim > 1 and array.size and len(array) > 1 and bool((array == array[:1]).all()):
            alike.append((name, float(array.ravel()[0]), not array.any()))
    # A last layer of zeros is a known start, and so is one layer alone.
    hidden = [entry for entry in alike if not (entry[2] and entry[0] == weights[-1][0])]
    if hidden and len(weights) > 1:
        name, value, _ = hidden[0]
        yield Seen(
            f"all units of {name!r} have the same weights ({value:g}, ...)",
            f"nn.init.kaiming_uniform_({written(name)}.weight, nonlinearity='relu'), or leave the "
            "layer as it was made",
            name,
        )


@check(
    "MG309",
    "first weights too large or too small",
    "setup",
    "signals grow or shrink by the same factor in each layer, and gradients do on their way back",
)
def scale_of_weights(case: Case) -> Iterator[Seen]:
    """Look for first weights too large or too small."""
    for name, module in case.model.named_modules():
        if not isinstance(module, WEIGHTED) or module.weight is None:
            continue
        array = host(module.weight, None)
        fan_in = int(np.prod(array.shape[1:]))
        if array.size < 16 or not array.any() or case.probe.get("trained"):
            continue
        size = norm(array) / math.sqrt(array.size)
        factor = size * math.sqrt(fan_in)
        if factor > 4 or factor < 0.05:
            yield Seen(
                f"the weights of {name!r} have the root mean square {size:.3g} with {fan_in} "
                f"inputs: they scale a signal by {factor:.2g}",
                f"nn.init.kaiming_uniform_({written(name)}.weight, nonlinearity='relu'), or leave "
                "the layer as it was made",
                name,
                sure=factor > 10,
            )
            return


@check(
    "MG310",
    "a hidden layer of one unit",
    "step",
    "all that the layers after it know of a row is one number",
)
def one_hidden_unit(case: Case) -> Iterator[Seen]:
    """Look for a hidden layer of one unit."""
    look = case.look
    if look is None or look.output is None:
        return
    head = head_node(look)
    linear = [node for node in look.nodes if has_weight(look, node) and node.op != "MatMul"]
    for node in linear[:-1]:
        shape = node.outputs[0].shape
        if node is not head and len(shape) == 2 and shape[1] == 1 and node.inputs[0].shape[1] > 1:
            yield Seen(
                f"{look.layer_name(node)!r} has one unit, and layers follow",
                f"more units in {look.layer_name(node)!r}, 64 say",
                look.layer_name(node),
                node.where,
                sure=False,
            )
            return


@check(
    "MG311",
    "rows of a batch mix",
    "end",
    "a row's prediction depends on the other rows of its batch: a reshape, a softmax or a norm "
    "goes over the wrong axis",
)
def rows_mix(case: Case) -> Iterator[Seen]:
    """Look for rows of a batch mix."""
    change = case.probe.get("mixing")
    if change is not None and change > 1e-3:
        yield Seen(
            f"in eval mode the outputs of the first rows change by {100 * change:.2g} % when the "
            "other rows are left out",
            "keep axis 0 apart: x.flatten(1) for x.reshape(...), softmax(1), and no sum, mean or "
            "norm over axis 0",
        )


@check(
    "MG312",
    "the output does not depend on the input",
    "end",
    "every row gets the same prediction, the best constant at most",
)
def constant_output(case: Case) -> Iterator[Seen]:
    """Look for the output does not depend on the input."""
    output, x, y = case.outputs, case.train.x, case.train.y
    if output is None or x is None or y is None or len(output) < 4 or output.dtype.kind != "f":
        return
    if not np.isfinite(output).all() or bool((y == y[:1]).all()) or case.loss_kind == "other":
        return
    if bool((x == x[:1]).all()):
        return
    spread = float(output.std(0).max())
    if spread <= 1e-5 * max(float(np.abs(output).max()), 1e-3):
        yield Seen(
            f"over {len(output)} different rows the outputs vary by {spread:.2g}",
            "look for dead ReLUs (MG604), a softmax over one unit (MG103), a first layer that is "
            "not used; standardise the inputs and lower the learning rate tenfold",
        )


@check(
    "MG313",
    "parameters that the model does not know",
    "step",
    "model.parameters() does not give them: the optimizer does not step them, and state_dict() "
    "loses them",
)
def unknown_parameters(case: Case) -> Iterator[Seen]:
    """Look for parameters that the model does not know."""
    look = case.look
    if look is None:
        return
    known = set(look.names)
    known |= {id(p) for o in case.optimizers for group in o.param_groups for p in group["params"]}
    for node in look.nodes:
        # An input may require a gradient too; what stands second is a weight.
        for t in node.inputs[1:] if node.op in LINEAR | NORMS | {"LayerNorm"} else ():
            leaf = t.requires_grad and t.is_leaf and id(t) not in known
            if leaf and t is not look.target and t.ndim and look.producer(t) is None:
                yield Seen(
                    f"{node.op} takes a tensor {tuple(t.shape)} that requires a gradient and is no "
                    "parameter of the model",
                    "assign it as nn.Parameter, or its layers in an nn.ModuleList in place of a "
                    "list",
                    line=node.where,
                )
                return


@check(
    "MG314",
    "sigmoid or tanh within the model",
    "end",
    "their gradient is at most 0.25 or 1 and near 0 for large inputs: layer by layer less of it "
    "arrives",
)
def squashing_layers(case: Case) -> Iterator[Seen]:
    """Look for sigmoid or tanh within the model."""
    if not case.looks or not case.looks[0].stats or case.skill is None or case.learnt:
        return
    figures = list(case.looks[0].stats.values())
    hidden = [f for f in figures if f["activation"] in ("Sigmoid", "Tanh")]
    if case.activation in ("Sigmoid", "Tanh") and hidden:
        hidden = hidden[:-1]
    hidden = [f for f in hidden if f["activation"] == "Sigmoid"] or hidden
    if hidden and (hidden[0]["activation"] == "Sigmoid" or case.failing):
        names = ", ".join(dict.fromkeys(repr(f["layer"]) for f in hidden[:3]))
        yield Seen(
            f"{hidden[0]['activation']} after {names}, and the model knows {known(case)} of its "
            "training rows",
            f"nn.ReLU() for each nn.{hidden[0]['activation']}() within the model",
            hidden[0]["layer"],
            hidden[0]["where"],
            sure=False,
        )


def known(case: Case) -> str:
    """Return the model's skill in words."""
    value = case.skill
    return "nothing" if value is None or value < 0 else f"{100 * value:.0f} %"
