"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from minigrad.engine.errors import ArgumentError
from minigrad.nn import functional, init
from minigrad.nn.functional.layers import dropout
from minigrad.nn.layers.linear import Linear, blank
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.ops.linalg import linear, matmul
from minigrad.ops.shape import cat, chunk
from minigrad.tensors.creation import zeros
from minigrad.tensors.tensor import Tensor

NEVER = float("-inf")


class NonDynamicallyQuantizableLinear(Linear):
    """The output projection of `MultiheadAttention`: a `Linear`, under the name that PyTorch's
    prints.

    >>> NonDynamicallyQuantizableLinear(2, 3)
    NonDynamicallyQuantizableLinear(in_features=2, out_features=3, bias=True)
    """


@registered
class MultiheadAttention(Module):
    """Attention by several heads: each has its part of projected queries, keys and values.

        y = W_o [h_1, ..., h_n] + b_o,  h_i = softmax(q_i k_i^T / sqrt(E / n) + mask) v_i

    embed_dim: E, a multiple of num_heads.  kdim, vdim: sizes of keys and values, E by default.
    bias: of the projections.  add_bias_kv: learn one more key and value.  add_zero_attn: add one
        of zeros.  dropout: of the attention's weights in training.
    Shape: query: (L, N, E), key: (S, N, kdim), value: (S, N, vdim), or (N, L, E), ... with
        batch_first, or without N -> (L, N, E), and the weights, (N, L, S), None where not needed.
    Source: Vaswani et al., "Attention is all you need" (2017), section 3.2.2.

    >>> import minigrad as mg
    >>> x = mg.ones(3, 2, 4)
    >>> y, weights = MultiheadAttention(4, 2)(x, x, x)
    >>> y.shape, weights.shape
    ((3, 2, 4), (2, 3, 3))
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ArgumentError(
                "MultiheadAttention: expected embed_dim to be a multiple of num_heads, both"
                f" positive, got {embed_dim} and {num_heads}"
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        place = {"device": device, "dtype": dtype}
        sizes = {"q": embed_dim, "k": self.kdim, "v": self.vdim}
        same, e = self._qkv_same_embed_dim, embed_dim
        for name, n in sizes.items():
            made = None if same else blank(e, n, **place)
            self.register_parameter(f"{name}_proj_weight", made)
        self.register_parameter("in_proj_weight", blank(3 * e, e, **place) if same else None)
        self.register_parameter("in_proj_bias", blank(3 * e, **place) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(e, e, bias, **place)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, blank(1, 1, e, **place) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the projections by Xavier's rule, and set their biases to 0."""
        weights = self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        for w in weights:
            if w is not None:
                init.xavier_uniform_(w)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            if self.out_proj.bias is not None:
                init.zeros_(self.out_proj.bias)
        for b in (self.bias_k, self.bias_v):
            if b is not None:
                init.xavier_normal_(b)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the result, and the weights where they are asked for.

        key_padding_mask: (N, S), True for keys that nobody sees.  attn_mask: (L, S) or
            (N num_heads, L, S), True where a key is not seen, or numbers that are added.
        average_attn_weights: over the heads; else they are (N, num_heads, L, S).
        is_causal: says that attn_mask is the causal one.
        """
        batched = self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise RuntimeError("MultiheadAttention: is_causal needs attn_mask, the causal one")
        axis = 0 if self.batch_first and batched else 1
        if not batched:
            query, key, value = (t.unsqueeze(1) for t in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif axis == 0:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        q, k, v = self._projected(query, key, value)
        k, v, extra = self._lengthened(k, v)
        q, k, v = (self._by_head(t) for t in (q, k, v))
        if self.add_zero_attn:
            zero = zeros(*k.shape[:2], 1, k.shape[3], dtype=k.dtype, device=k.device)
            k, v, extra = cat([k, zero], 2), cat([v, zero], 2), extra + 1
        mask = self._mask(attn_mask, key_padding_mask, q, key.shape[0], extra)
        y, weights = self._attended(q, k, v, mask, need_weights)
        n, heads, length, size = y.shape
        rows = y.permute(2, 0, 1, 3).reshape(length, n, heads * size)
        out: Tensor = self.out_proj(rows)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return out.squeeze(1), None if weights is None else weights.squeeze(0)
        return out.transpose(0, 1) if axis == 0 else out, weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Return whether there is a batch; refuse sizes that do not fit."""
        shapes = f"{query.shape}, {key.shape}, {value.shape}"
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise AssertionError(
                f"MultiheadAttention: expected query, key and value of 2 or 3 dimensions: {shapes}"
            )
        sizes = query.shape[-1], key.shape[-1], value.shape[-1]
        wanted = self.embed_dim, self.kdim, self.vdim
        if sizes != wanted or key.shape[:-1] != value.shape[:-1]:
            raise AssertionError(
                f"MultiheadAttention: expected last sizes of {wanted}, and keys and values of one"
                f" length, got {shapes}"
            )
        return query.ndim == 3

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        biases: tuple[Any, ...] = (None, None, None)
        if self.in_proj_bias is not None:
            biases = chunk(self.in_proj_bias, 3, 0)
        if self.in_proj_weight is None:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        elif query is key and key is value:
            return chunk(linear(query, self.in_proj_weight, self.in_proj_bias), 3, -1)
        else:
            weights = chunk(self.in_proj_weight, 3, 0)
        inputs = query, key, value
        return tuple(linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True))

    def _lengthened(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, int]:
        """Return keys and values with the learnt ones, and how many these are."""
        if self.bias_k is None or self.bias_v is None:
            return k, v, 0
        n, e = k.shape[1:]
        return cat([k, self.bias_k.expand(1, n, e)]), cat([v, self.bias_v.expand(1, n, e)]), 1

    def _by_head(self, t: Tensor) -> Tensor:
        """Return (L, N, E) as (N, heads, L, E / heads)."""
        length, n = t.shape[:2]
        return t.reshape(length, n, self.num_heads, self.head_dim).permute(1, 2, 0, 3)

    def _mask(
        self, attn: Tensor | None, padding: Tensor | None, q: Tensor, keys: int, extra: int
    ) -> Tensor | None:
        """Return both masks as numbers to add, (1 or N, 1 or heads, L or 1, S), or None."""
        n, heads, length = q.shape[:3]
        total: Tensor | None = None
        if attn is not None:
            wanted = (length, keys), (n * heads, length, keys)
            if attn.shape not in wanted:
                raise RuntimeError(
                    f"MultiheadAttention: expected attn_mask of shape {wanted[0]} or {wanted[1]},"
                    f" got {attn.shape}"
                )
            sizes = (1, 1) if attn.ndim == 2 else (n, heads)
            total = added(attn, q).reshape(*sizes, length, keys)
        if padding is not None:
            if padding.shape != (n, keys):
                raise AssertionError(
                    f"MultiheadAttention: expected key_padding_mask of shape {(n, keys)}, got"
                    f" {padding.shape}"
                )
            hidden = added(padding, q).reshape(n, 1, 1, keys)
            total = hidden if total is None else total + hidden
        if total is not None and extra:
            seen = zeros(*total.shape[:-1], extra, dtype=total.dtype, device=total.device)
            total = cat([total, seen], 3)
        return total

    def _attended(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        p = self.dropout if self.training else 0.0
        if not need_weights:
            return functional.scaled_dot_product_attention(q, k, v, mask, p), None
        scores = matmul(q * self.head_dim**-0.5, k.mT)
        weights = functional.softmax(scores if mask is None else scores + mask, -1)
        weights = dropout(weights, p) if p else weights
        return matmul(weights, v), weights


def added(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask as numbers to add: -inf where it is True."""
    if mask.dtype == bool:
        blank_mask = zeros(*mask.shape, dtype=like.dtype, device=like.device)
        return blank_mask.masked_fill(mask, NEVER)
    return mask.to(like.dtype)
