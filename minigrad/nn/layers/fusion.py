"""Neighbours in a Sequential that have one op for all of them: the same bits in fewer passes.

    Linear, ReLU                              -> linear_activation
    BatchNorm1d, ReLU, Dropout   in training  -> batch_norm_activation_dropout

Other activations round otherwise on the way out of a matrix product than by themselves.
Subclasses, modules with hooks, and what the fused op does not take run one by one as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from minigrad.engine import random
from minigrad.engine.sharding import now
from minigrad.nn.functional.layers import batch_norm_activation_dropout, linear_activation
from minigrad.nn.layers.activation import ReLU
from minigrad.nn.layers.dropout import Dropout
from minigrad.nn.layers.linear import Linear
from minigrad.nn.layers.norm import BatchNorm1d
from minigrad.nn.module import Module
from minigrad.tensors.tensor import Tensor

LONGEST = 3  # modules that one op stands for


def run_some(input: Any, modules: Sequence[Module]) -> tuple[Any, int]:
    """Run the first of `modules`, or as many as one op does; return the result and their number."""
    first = modules[0]
    if type(first) is Linear and len(modules) > 1:
        if type(modules[1]) is ReLU and has_no_hooks(modules[:2]):
            return linear_activation(input, first.weight, first.bias, "relu"), 2
    elif type(first) is BatchNorm1d and len(modules) == LONGEST and has_no_hooks(modules):
        drop = modules[2]
        if type(modules[1]) is ReLU and type(drop) is Dropout and dropping(drop, first, input):
            block = partial(
                batch_norm_activation_dropout,
                activation="relu",
                p=drop.p,
                generator=drop.generator,
                scaling=drop.scaling,
            )
            return first.normalise(input, block), LONGEST
    return first(input), 1


def has_no_hooks(modules: Sequence[Module]) -> bool:
    """Return whether nobody listens to any of the modules."""
    return all(module._hooks is None for module in modules)


def dropping(drop: Dropout, norm: BatchNorm1d, input: Tensor) -> bool:
    """Return whether batch-norm and dropout both do what they do in training only, on rows."""
    if random.default.shared or now.shard is not None:
        return False
    plain = not drop.inplace and 0 < drop.p < 1 and input.array.ndim == 2
    return norm.training and drop.training and plain
