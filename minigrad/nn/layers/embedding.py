"""Embedding: a table of vectors, picked by number."""

from __future__ import annotations

from typing import Any

from minigrad.engine import arguments
from minigrad.nn import init
from minigrad.nn.functional.embeddings import embedding, row_of
from minigrad.nn.layers.linear import blank
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.tensors.tensor import Tensor


@registered
class Embedding(Module):
    """y = weight[x].

    padding_idx: a row that starts at 0 and gets no gradient.
    The weight starts in N(0, 1).
    Shape: (...) integers in [0, num_embeddings) -> (..., embedding_dim).

    >>> import minigrad as mg
    >>> Embedding(10, 4, padding_idx=0)(mg.tensor([0, 3])).tolist()[0]
    [0.0, 0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        num_embeddings = arguments.whole("Embedding", "num_embeddings", num_embeddings, 0)
        embedding_dim = arguments.whole("Embedding", "embedding_dim", embedding_dim, 0)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else row_of(padding_idx, num_embeddings)
        self.weight = blank(num_embeddings, embedding_dim, dtype=dtype)
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """Make an Embedding that shares the memory of a (rows, size) tensor."""
        if embeddings.array.ndim != 2:
            raise ValueError(
                f"from_pretrained: expected (rows, size), got shape {embeddings.array.shape}"
            )
        made = cls(0, 0)
        made.num_embeddings, made.embedding_dim = embeddings.array.shape
        if padding_idx is not None:
            made.padding_idx = row_of(padding_idx, made.num_embeddings)
        made.weight = Parameter(embeddings, requires_grad=not freeze)
        return made

    def reset_parameters(self) -> None:
        """Draw the initial weight anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, input: Tensor) -> Tensor:
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
