"""The network of a table's model: embeddings beside numbers, then the recipe's layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from minigrad import nn
from minigrad.nn import init
from minigrad.tensors.functions import cat
from minigrad.tensors.tensor import Tensor
from minigrad.train.recipe import ACTIVATIONS, mlp


@dataclass(frozen=True)
class Shape:
    """All that a network is built from.

    n_dense: inputs that are used as they come.  tables: rows and columns of each embedding.
    hidden: widths.  rates: of dropout, one a hidden layer.
    skip: whether a linear layer from inputs to outputs stands beside the others.
    wide: whether embedded categories have weights in it too, as columns of 0 and 1 have.
    networks: how many of this shape are averaged.
    """

    n_dense: int
    tables: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...]
    n_out: int
    activation: str
    rates: tuple[float, ...]
    skip: bool = False
    wide: bool = False
    networks: int = 1

    @property
    def n_in(self) -> int:
        """Return how many numbers the first layer sees."""
        return self.n_dense + sum(width for _, width in self.tables)

    def build(self) -> nn.Module:
        """Return a network of this shape, its weights drawn anew."""
        if self.networks > 1:
            return Averaged([replace(self, networks=1).build() for _ in range(self.networks)])
        return TableNetwork(self) if self.tables or self.skip else self.layers()

    def layers(self) -> nn.Sequential:
        """Return the recipe's layers, after the embeddings."""
        return mlp([self.n_in, *self.hidden, self.n_out], self.activation, self.rates)

    def state(self) -> dict[str, Any]:
        """Return the shape as what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Shape:
        """Return the shape whose state this is.

        Raises: ValueError where it is none.
        """
        try:
            shape = cls(
                size(state["n_dense"], 0),
                tuple((size(rows), size(width)) for rows, width in state["tables"]),
                tuple(size(width) for width in state["hidden"]),
                size(state["n_out"]),
                str(state["activation"]),
                tuple(float(rate) for rate in state["rates"]),
                bool(state["skip"]),
                bool(state.get("wide", False)),
                size(state.get("networks", 1)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no shape of a network: {error!r}") from None
        if shape.activation not in ACTIVATIONS or len(shape.rates) < len(shape.hidden):
            raise ValueError(f"no shape of a network: {shape}")
        return shape

    def __str__(self) -> str:
        embedded = "".join(f" + {rows}x{width}" for rows, width in self.tables)
        one = " -> ".join([f"{self.n_dense}{embedded}", *map(str, (*self.hidden, self.n_out))])
        return f"{self.networks} networks of {one}" if self.networks > 1 else one


def size(value: Any, least: int = 1) -> int:
    """Return a size that a file states.

    Raises: ValueError for what is none.
    """
    if not isinstance(value, int) or not least <= value < 1 << 24:
        raise ValueError(f"expected a size, got {value!r}")
    return value


class Averaged(nn.Module):
    """The mean of what several networks say.

    Shape: `x: (N, ...)` -> that of one network.

    Source: Breiman, "Bagging predictors" (1996); Krogh and Vedelsby, "Neural network ensembles,
    cross validation, and active learning" (1994), for parts held out in turn.

    >>> import minigrad as mg
    >>> Averaged([nn.Identity(), nn.Tanh()])(mg.zeros(2, 3)).shape
    (2, 3)
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(list(networks))

    def forward(self, x: Tensor) -> Tensor:
        said = [network(x) for network in self.networks]
        return sum(said[1:], said[0]) * (1 / len(said))


class Embedded(nn.Module):
    """A network over the columns of a table, of which the last ones are categories to be embedded;
    beside its layers a linear model of the same columns, if it has `skip`.

    Source: Guo and Berkhahn, "Entity embeddings of categorical variables" (2016); Cheng et al.,
    "Wide & deep learning for recommender systems" (2016), for the linear model beside.
    """

    skip: Any  # a Linear, or None

    def __init__(
        self, n_dense: int, tables: Sequence[tuple[int, int]], n_out: int, wide: bool
    ) -> None:
        super().__init__()
        self.n_dense = n_dense
        self.n_in = n_dense + sum(width for _, width in tables)
        embeddings = [nn.Embedding(*table) for table in tables]
        self.embeddings = nn.ModuleList(embeddings)
        for embedding in embeddings:
            init.normal_(embedding.weight, 0.0, 0.3)
            init.zeros_(embedding.weight.detach()[0])  # what is unknown says nothing
        weights = [nn.Embedding(rows, n_out) for rows, _ in tables if wide]
        self.wide = nn.ModuleList(weights)
        for embedding in weights:
            init.zeros_(embedding.weight)

    def begin_linear(self, weight: Any, bias: Any, wide: Sequence[tuple[Any, Any]] = ()) -> None:
        """Let the skip begin as a linear model of the inputs.

        weight: (n_out, n_dense), of those that are used as they come.
        wide: for each embedded column the codes and their weights, (codes, n_out).
        """
        assert self.skip is not None
        assert self.skip.bias is not None
        self.skip.weight.array[:, : self.n_dense] = weight
        self.skip.weight.array[:, self.n_dense :] = 0.0
        self.skip.bias.array[:] = bias
        for embedding, (codes, weights) in zip(self.wide, wide, strict=True):
            assert isinstance(embedding, nn.Embedding)
            embedding.weight.array[...] = 0.0
            embedding.weight.array[codes] = weights

    def linear_part(self) -> list[nn.Parameter]:
        """Return the parameters of the linear model beside the layers."""
        return [*self.skip.parameters(), *self.wide.parameters()]

    def last_part(self) -> list[nn.Parameter]:
        """Return the parameters that what the layers say is proportional to."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        codes = x[:, self.n_dense :].long()
        parts = [x[:, : self.n_dense]] if self.n_dense else []
        parts += [table(codes[:, i]) for i, table in enumerate(self.embeddings)]
        wide = None
        for i, weights in enumerate(self.wide):
            one = weights(codes[:, i])
            wide = one if wide is None else wide + one
        return self.head(cat(parts, 1), wide)

    def head(self, whole: Tensor, wide: Tensor | None = None) -> Tensor:
        """Return the outputs for numbers beside embedded categories: (N, n_in) -> (N, n_out).

        wide: the linear weights of the embedded categories, (N, n_out), if there are any.
        """
        raise NotImplementedError


class TableNetwork(Embedded):
    """The recipe's layers over the columns of a table, and a linear layer beside them.

    Shape: `x: (N, n_dense + tables)` -> `(N, n_out)`; the last columns hold whole numbers.

    >>> import minigrad as mg
    >>> network = TableNetwork(Shape(1, ((5, 2),), (4,), 3, "relu", (0.0,)))
    >>> network(mg.tensor([[0.5, 4.0], [0.1, 0.0]])).shape
    (2, 3)
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape.n_dense, shape.tables, shape.n_out, shape.wide)
        self.layers = shape.layers()
        self.skip = nn.Linear(shape.n_in, shape.n_out) if shape.skip else None
        if self.skip is not None:  # the rest begins with nothing to say
            init.zeros_(self.skip.weight)
            init.zeros_(self.layers[-1].weight)
            init.zeros_(self.layers[-1].bias)

    def head(self, whole: Tensor, wide: Tensor | None = None) -> Tensor:
        """Return the outputs for numbers beside embedded categories."""
        said = self.layers(whole)
        if self.skip is not None:
            said = said + self.skip(whole)
        return said if wide is None else said + wide

    def last_part(self) -> list[nn.Parameter]:
        """Return the parameters that what the layers say is proportional to."""
        return list(self.layers[-1].parameters())


def rates_for(hidden: Sequence[int], dropout: float, last_dropout: float) -> tuple[float, ...]:
    """Return the dropout of each hidden layer."""
    return tuple([dropout] * (len(hidden) - 1) + [last_dropout])
