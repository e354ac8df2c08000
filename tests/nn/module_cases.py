"""Modules that are compared with PyTorch's: how each is made, and what it is called on.

A case is text, `nn` being minigrad's or PyTorch's; all parameters and buffers are set to the same
numbers, and outputs, gradients, buffers and repr are compared, in training and in evaluation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Values = dict[str, Array]


@dataclass(frozen=True)
class Kit:
    """A framework: its modules, how it makes a tensor and how it gives its array."""

    nn: Any
    tensor: Callable[..., Any]
    array: Callable[[Any], Array]


def x(*shape: int, seed: int = 0) -> Array:
    """Return normal numbers, none near a kink at 0."""
    found = np.random.default_rng((seed, *shape)).standard_normal(shape)
    return found + 0.05 * np.sign(found)


def n(*shape: int, below: int = 3, seed: int = 0) -> Array:
    """Return whole numbers."""
    return np.random.default_rng((seed, *shape)).integers(0, below, shape)


# How a module is made, and its inputs: arrays, or tuples of them.
SEQUENCES = {
    "nn.RNN(3, 4)": (x(5, 2, 3),),
    "nn.RNN(3, 4, 2, 'relu', False, True)": (x(2, 5, 3),),
    "nn.RNN(3, 4, bidirectional=True)": (x(5, 2, 3), x(2, 2, 4)),
    "nn.LSTM(3, 4)": (x(5, 2, 3),),
    "nn.LSTM(3, 4, 2, bidirectional=True)": (x(5, 2, 3), (x(4, 2, 4), x(4, 2, 4, seed=1))),
    "nn.LSTM(3, 4, 2, batch_first=True, proj_size=2)": (x(2, 5, 3),),
    "nn.LSTM(3, 4, proj_size=3, bidirectional=True)": (x(5, 3), (x(2, 3), x(2, 4))),
    "nn.LSTM(3, 4, bias=False)": (x(5, 3),),
    "nn.GRU(3, 4)": (x(5, 2, 3),),
    "nn.GRU(3, 4, 3, batch_first=True, bidirectional=True)": (x(1, 3, 3), x(6, 1, 4)),
    "nn.GRU(3, 4, bias=False)": (x(1, 3),),
    "nn.RNNCell(3, 4)": (x(2, 3),),
    "nn.RNNCell(3, 4, False, 'relu')": (x(2, 3), x(2, 4)),
    "nn.LSTMCell(3, 4)": (x(2, 3), (x(2, 4), x(2, 4, seed=1))),
    "nn.LSTMCell(3, 4, bias=False)": (x(3),),
    "nn.GRUCell(3, 4)": (x(2, 3), x(2, 4)),
    "nn.GRUCell(3, 4, False)": (x(3), x(4)),
}
CASES: dict[str, tuple[Any, ...]] = {**SEQUENCES}


# ---------------------------------------------------------------- running one
def leaves(found: Any) -> Iterator[Any]:
    """Yield the tensors of nested tuples and lists."""
    if isinstance(found, tuple | list):
        for part in found:
            yield from leaves(part)
    elif found is not None:
        yield found


def built(kit: Kit, value: Any, inputs: list[Any]) -> Any:
    """Return arrays as tensors, and list the floating ones, which are differentiated."""
    if isinstance(value, tuple):
        return tuple(built(kit, part, inputs) for part in value)
    if not isinstance(value, np.ndarray):
        return value
    floating = value.dtype.kind == "f"
    made = kit.tensor(value, floating)
    if floating:
        inputs.append(made)
    return made


def filled(kit: Kit, module: Any) -> None:
    """Set a module's floating state to fixed numbers, variances to positive ones."""
    for i, (name, t) in enumerate(sorted(module.state_dict().items())):
        if t.is_floating_point():
            value = x(*t.shape, seed=i + 1) / 2
            t.copy_(kit.tensor(np.abs(value) + 0.5 if name.endswith("var") else value))


def run(kit: Kit, key: str, training: bool) -> Values:
    """Return the outputs of a case, its gradients and its buffers."""
    module = eval(key, {"nn": kit.nn}).double().train(training)
    filled(kit, module)
    inputs: list[Any] = []
    arguments = [built(kit, value, inputs) for value in CASES[key]]
    outputs = list(leaves(module(*arguments)))
    loss = None
    for i, y in enumerate(outputs):
        if y.is_floating_point():
            term = (y * kit.tensor(x(*y.shape, seed=50 + i))).sum()
            loss = term if loss is None else loss + term
    if loss is not None and loss.requires_grad:
        loss.backward()
    found = {f"y{i}": kit.array(y) for i, y in enumerate(outputs)}
    named = [(f"x{i}", t) for i, t in enumerate(inputs)] + list(module.named_parameters())
    found |= {f"d{name}": kit.array(t.grad) for name, t in named if t.grad is not None}
    return found | {name: kit.array(b) for name, b in module.named_buffers()}


KEYS = [(key, training) for key, training in itertools.product(CASES, (True, False))]
