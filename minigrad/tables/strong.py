"""The stronger recipe for tables: what the best perceptrons for tables do, one network of several.

`from_table(..., recipe="strong")` builds it.  What it does otherwise than the plain one:

* numbers are centred by the median, scaled by the quartiles and clipped smoothly
  (preparation.NumberInput), weights scaled by 1/sqrt(inputs) and drawn from a normal distribution,
  each input by a learnt factor with 6 times the rate and biases with a tenth of it; SELU for
  classes, Mish for amounts; the schedule "coslog4", Adam's beta2 of 0.95, the weights of the best
  epoch, amounts within those that were seen: Holzmüller, Grinsztajn and Steinwart, "Better by
  default: strong pre-tuned MLPs and boosted trees on tabular data" (NeurIPS 2024), RealMLP-TD-S in
  appendix A.  Without its label smoothing: the smoothed network's log loss hides it behind the
  linear model that it is weighed against, and fourteen other tables had 0.5 points more without.
* a linear layer beside the others, with which it begins as with the linear model.
* several members in one network, which share all weights but the signs and sizes that they give
  the inputs, and their last layers; they are trained side by side and averaged: Gorishniy,
  Kotelnikov and Babenko, "TabM: advancing tabular deep learning with parameter-efficient
  ensembling" (ICLR 2025), TabM-mini in section 3.3.
* with `periodic`, numbers beside cosines of them of learnt frequencies, brought to three numbers by
  a layer for each: the embedding "PBLD" of the first paper, after Gorishniy, Rubachev and Babenko,
  "On embeddings for numerical features in tabular deep learning" (NeurIPS 2022).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.nn import init
from minigrad.nn.functional import cross_entropy, linear, mse_loss
from minigrad.optim import AdamW
from minigrad.optim.lr_scheduler import LambdaLR
from minigrad.tables.network import Averaged, Embedded, Shape, size
from minigrad.tensors.creation import empty, ones
from minigrad.tensors.functions import cat
from minigrad.tensors.tensor import Tensor
from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.early_stopping import EarlyStopping
from minigrad.train.callbacks.guards import StopOnNonFinite
from minigrad.train.callbacks.schedule_lr import ScheduleLR
from minigrad.train.metrics import accuracy
from minigrad.train.recipe import ACTIVATIONS, Recipe

Array = np.ndarray[Any, Any]
EPOCHS = 96
BATCH = 256
MEMBERS = 8
HIDDEN = (128, 128)
BETAS = (0.9, 0.95)
WAVES, OF_WAVES, SPREAD = 16, 3, 0.1  # cosines of a number, what they become, their frequencies
RATES = {"classes": 0.04, "regression": 0.07}
# How many times the rate: factors of inputs, biases, embeddings, the linear layer beside.
FACTOR, BIAS, EMBEDDING, SKIP = 6.0, 0.1, 0.1, 0.02


def coslog4(part: float) -> float:
    """Return the factor of the learning rate when a part of all steps is done, from 0 to 1: four
    cosine waves, each twice as long as the one before.

    >>> [round(coslog4(part), 2) for part in (0.0, 1 / 45, 1 / 15, 1.0)]
    [0.0, 0.93, 0.0, 0.0]
    """
    return 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * part)))


@dataclass(frozen=True)
class StrongShape:
    """All that a network of the stronger recipe is built from.

    n_dense: inputs that are used as they come.  numeric: which of them are numbers.
    tables: rows and columns of each embedding.  hidden: widths.  members: of the ensemble.
    dropout: after each hidden layer.  periodic: whether numbers have cosines beside them.
    classes: whether outputs are of classes.
    wide: whether embedded categories have weights in the linear layer beside, too.
    networks: how many of this shape are averaged.
    """

    n_dense: int
    numeric: tuple[int, ...]
    tables: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...]
    n_out: int
    activation: str
    dropout: float
    members: int
    periodic: bool
    classes: bool
    wide: bool = False
    networks: int = 1

    @property
    def n_in(self) -> int:
        """Return how many numbers the first layer sees."""
        waves = OF_WAVES * len(self.numeric) if self.periodic else 0
        return self.n_dense + sum(width for _, width in self.tables) + waves

    def build(self) -> nn.Module:
        """Return a network of this shape, its weights drawn anew."""
        if self.networks > 1:
            return Averaged([replace(self, networks=1).build() for _ in range(self.networks)])
        return StrongNetwork(self)

    def state(self) -> dict[str, Any]:
        """Return the shape as what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> StrongShape:
        """Return the shape whose state this is.

        Raises: ValueError where it is none.
        """
        try:
            shape = cls(
                size(state["n_dense"], 0),
                tuple(size(place, 0) for place in state["numeric"]),
                tuple((size(rows), size(width)) for rows, width in state["tables"]),
                tuple(size(width) for width in state["hidden"]),
                size(state["n_out"]),
                str(state["activation"]),
                float(state["dropout"]),
                size(state["members"]),
                bool(state["periodic"]),
                bool(state["classes"]),
                bool(state.get("wide", False)),
                size(state.get("networks", 1)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no shape of a network: {error!r}") from None
        most = max(shape.numeric, default=-1)
        if shape.activation not in ACTIVATIONS or most >= shape.n_dense or not shape.hidden:
            raise ValueError(f"no shape of a network: {shape}")
        return shape

    def __str__(self) -> str:
        embedded = "".join(f" + {rows}x{width}" for rows, width in self.tables)
        waves = f" + {OF_WAVES * len(self.numeric)} of cosines" if self.periodic else ""
        layers = map(str, (*self.hidden, self.n_out))
        members = f"{self.members} members of " if self.members > 1 else ""
        one = members + " -> ".join([f"{self.n_dense}{embedded}{waves}", *layers])
        return f"{self.networks} networks of {one}" if self.networks > 1 else one


class ScaledLinear(nn.Module):
    """A linear layer whose weights are scaled by 1/sqrt(inputs), and drawn from N(0, 1).

    Shape: `x: (N, n_in)` -> `(N, n_out)`.

    >>> import minigrad as mg
    >>> ScaledLinear(4, 2)(mg.ones(3, 4)).shape
    (3, 2)
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(empty(n_out, n_in))
        self.bias = nn.Parameter(empty(n_out))
        self.factor = 1 / math.sqrt(n_in)
        init.normal_(self.weight)
        init.normal_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.factor, self.bias)


class PeriodicEmbedding(nn.Module):
    """Cosines of each number, of learnt frequencies and phases, and a small layer for each number.

    Shape: `x: (N, F)` -> `(N, 3 F)`.

    >>> import minigrad as mg
    >>> PeriodicEmbedding(2)(mg.ones(5, 2)).shape
    (5, 6)
    """

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.frequency = nn.Parameter(empty(numbers, WAVES))
        self.phase = nn.Parameter(empty(numbers, WAVES))
        self.weight = nn.Parameter(empty(numbers, WAVES, OF_WAVES))
        self.bias = nn.Parameter(empty(numbers, 1, OF_WAVES))
        init.normal_(self.frequency, 0.0, SPREAD)
        init.uniform_(self.phase, -math.pi, math.pi)
        for parameter in (self.weight, self.bias):
            init.uniform_(parameter, -1 / math.sqrt(WAVES), 1 / math.sqrt(WAVES))

    def forward(self, x: Tensor) -> Tensor:
        waves = (x.unsqueeze(2) * self.frequency * (2 * math.pi) + self.phase).cos()
        made = waves.transpose(0, 1).matmul(self.weight) + self.bias
        return made.transpose(0, 1).reshape(len(x), -1)


class StrongNetwork(Embedded):
    """Members that share their layers; see the sources of this file.

    Shape: `x: (N, n_dense + tables)` -> in training `(members, N, n_out)`, what each says; else
    `(N, n_out)`: the logarithm of their mean probabilities, or the mean of their amounts, within
    `reach`.

    >>> import minigrad as mg
    >>> shape = StrongShape(2, (0,), ((5, 2),), (4,), 3, "selu", 0.0, 2, True, True)
    >>> network = shape.build()
    >>> x = mg.tensor([[0.5, 1.0, 4.0]])
    >>> network(x).shape, network.eval()(x).exp().sum().item()
    ((2, 1, 3), 1.0)
    """

    skip: nn.Linear
    reach: Tensor

    def __init__(self, shape: StrongShape) -> None:
        super().__init__(shape.n_dense, shape.tables, shape.n_out, shape.wide)
        self.shape = shape
        waves = shape.periodic and shape.numeric
        self.waves = PeriodicEmbedding(len(shape.numeric)) if waves else None
        self.scale = nn.Parameter(ones(shape.n_in))
        signs = empty(shape.members, shape.n_in)
        init.uniform_(signs, -1.0, 1.0)
        self.members = nn.Parameter(signs.sign() if shape.members > 1 else ones(1, shape.n_in))
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([shape.n_in, *shape.hidden]):
            layers += [ScaledLinear(n_in, n_out), ACTIVATIONS[shape.activation]()]
            layers += [nn.Dropout(shape.dropout)] * (shape.dropout > 0)
        self.layers = nn.Sequential(*layers)
        self.skip = nn.Linear(self.n_in, shape.n_out)  # begun by `begin_linear`
        self.weight = nn.Parameter(empty(shape.members, shape.hidden[-1], shape.n_out))
        self.bias = nn.Parameter(empty(shape.members, 1, shape.n_out))
        init.zeros_(self.weight)
        init.zeros_(self.bias)
        self.register_buffer("reach", Tensor(np.array([-np.inf, np.inf], np.float32)))

    def head(self, whole: Tensor, wide: Tensor | None = None) -> Tensor:
        """Return the outputs for numbers beside embedded categories."""
        shape, parts = self.shape, whole
        if self.waves is not None:
            parts = cat([whole, self.waves(whole[:, list(shape.numeric)])], 1)
        each = (parts * self.scale).unsqueeze(0) * self.members.unsqueeze(1)
        last = self.layers(each.reshape(-1, shape.n_in))
        last = last.reshape(shape.members, -1, shape.hidden[-1])
        said = last.matmul(self.weight * (1 / math.sqrt(shape.hidden[-1]))) + self.bias
        said = said + self.skip(whole)
        if wide is not None:
            said = said + wide
        if self.training:
            return said
        if shape.classes:
            return said.log_softmax(2).exp().mean(0).log()
        low, high = self.reach.tolist()
        return said.mean(0).clamp(low, high)

    def last_part(self) -> list[nn.Parameter]:
        """Return the parameters that what the layers say is proportional to."""
        return [self.weight, self.bias]


def of_members(function: Any) -> Any:
    """Return a loss or metric that takes what all members say of each row.

    >>> import minigrad as mg
    >>> of_members(mse_loss)(mg.zeros(2, 3, 1), mg.ones(3, 1)).item()
    1.0
    """

    def of_all(output: Tensor, target: Tensor) -> Any:
        if output.ndim == 3:
            members, rows, n_out = output.shape
            output = output.reshape(members * rows, n_out)
            target = target.repeat(members, *[1] * (target.ndim - 1))
        column = output.shape[1] == 1 and target.ndim == 1
        return function(output, target.unsqueeze(1) if column else target)

    of_all.__name__ = getattr(function, "__name__", "loss")
    return of_all


def groups(network: StrongNetwork, lr: float) -> list[dict[str, Any]]:
    """Return the parameters in groups, each with its learning rate."""
    rates = {"scale": FACTOR, "embeddings": EMBEDDING, "waves": EMBEDDING}
    rates |= {"skip": SKIP, "wide": SKIP}
    found: dict[float, list[Any]] = {1.0: []}
    for name, parameter in network.named_parameters():
        usual = BIAS if name.endswith("bias") else 1.0
        found.setdefault(rates.get(name.partition(".")[0], usual), []).append(parameter)
    return [{"params": params, "lr": lr * rate} for rate, params in found.items()]


def strong_recipe(
    shape: StrongShape,
    lr: float,
    weight_decay: float,
    weights: Array | None = None,
    patience: int | None = None,
    device: Any = None,
) -> Recipe:
    """Return network, optimizer, schedule and callbacks of the stronger recipe.

    weights: of classes, (C,).  patience: epochs without a better validation loss until it stops;
        None for all epochs, as the schedule is made for them.
    """
    network = StrongNetwork(shape)
    optimizer = AdamW(groups(network, lr), lr, betas=BETAS, weight_decay=weight_decay)

    def schedule(optimizer: Any, steps: int) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: coslog4(min(step / steps, 1.0)))

    callbacks: list[Callback] = [StopOnNonFinite(), ScheduleLR(schedule, per="step")]
    callbacks.append(EarlyStopping(patience=patience or 1_000_000))
    loss: Any = of_members(mse_loss)
    metrics: Any = {}
    if shape.classes:
        metrics = {"accuracy": of_members(accuracy)}
        given = None if weights is None else Tensor(weights)
        moved = given if given is None or device is None else given.to(device)
        loss = of_members(partial(cross_entropy, weight=moved))
    return Recipe(network, optimizer, None, callbacks, loss, metrics, device)


def batch_for(rows: int) -> int:
    """Return how many rows a step takes: a quarter of them, from 32 to 256.

    >>> batch_for(100), batch_for(600), batch_for(100_000)
    (32, 128, 256)
    """
    return min(BATCH, max(32, 1 << max(round(math.log2(max(rows, 4) / 4)), 0)))


def numeric_places(inputs: Sequence[Any]) -> tuple[int, ...]:
    """Return which of the inputs are numbers and times."""
    places, at = [], 0
    for one in inputs:
        if one.kind in ("number", "date"):
            places.append(at)
        at += len(one.outputs)
    return tuple(places)


def shape_from(state: Mapping[str, Any]) -> Shape | StrongShape:
    """Return the shape, of either recipe, whose state this is.

    Raises: ValueError where it is none.
    """
    return StrongShape.from_state(state) if "members" in state else Shape.from_state(state)
