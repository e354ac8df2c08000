"""Embedding: a table of vectors, picked by number."""

from __future__ import annotations

from typing import Any

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError
from minigrad.nn import functional, init
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
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        num_embeddings = arguments.whole("Embedding", "num_embeddings", num_embeddings, 0)
        embedding_dim = arguments.whole("Embedding", "embedding_dim", embedding_dim, 0)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else row_of(padding_idx, num_embeddings)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is not None:
            if _weight.shape != (num_embeddings, embedding_dim):
                raise ArgumentError(
                    f"Embedding: _weight has shape {_weight.shape}, expected"
                    f" {(num_embeddings, embedding_dim)}"
                )
            self.weight = Parameter(_weight, requires_grad=not _freeze)
            return
        self.weight = blank(num_embeddings, embedding_dim, device=device, dtype=dtype)
        self.weight.requires_grad_(not _freeze)
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """Make an Embedding that shares the memory of a (rows, size) tensor."""
        if embeddings.array.ndim != 2:
            raise ArgumentError(
                f"from_pretrained: expected (rows, size), got shape {embeddings.array.shape}"
            )
        rows, size = embeddings.array.shape
        rest = max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze
        return cls(rows, size, padding_idx, *rest)

    def reset_parameters(self) -> None:
        """Draw the initial weight anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, input: Tensor) -> Tensor:
        return embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        return described(self, ("padding_idx", "max_norm"))


def described(module: Any, names: tuple[str, ...]) -> str:
    """Return the sizes of an embedding and what else was given."""
    text = f"{module.num_embeddings}, {module.embedding_dim}"
    for name in names:
        value = getattr(module, name)
        if value is not None:
            text += f", {name}={value}"
    if module.norm_type != 2:
        text += f", norm_type={module.norm_type}"
    if module.scale_grad_by_freq:
        text += f", scale_grad_by_freq={module.scale_grad_by_freq}"
    if module.sparse:
        text += ", sparse=True"
    return text


@registered
class EmbeddingBag(Module):
    """The sum, mean or maximum of the rows that each bag names; see `functional.embedding_bag`.

    Shape: (B, N) integers, or (M,) and offsets (B,) -> (B, embedding_dim).

    >>> import minigrad as mg
    >>> EmbeddingBag(10, 4, mode="sum")(mg.tensor([1, 2, 4]), mg.tensor([0, 1])).shape
    (2, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = None if padding_idx is None else row_of(padding_idx, num_embeddings)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        if _weight is not None:
            self.weight = Parameter(_weight)
            return
        self.weight = blank(num_embeddings, embedding_dim, device=device, dtype=dtype)
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Make an EmbeddingBag that shares the memory of a (rows, size) tensor."""
        rest = max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings
        rows, size = embeddings.shape
        made = cls(rows, size, *rest, include_last_offset, padding_idx)
        made.weight.requires_grad_(not freeze)
        return made

    def reset_parameters(self) -> None:
        """Draw the initial weight anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Any:
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = described(self, ("max_norm",))
        if self.sparse:
            text = text.replace(", sparse=True", "")
        text += f", mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
