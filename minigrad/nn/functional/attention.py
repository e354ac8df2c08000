"""Attention as a function; `minigrad.nn.functional` re-exports it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError
from minigrad.engine.recording import recording
from minigrad.nn.functional.layers import dropout
from minigrad.ops.arranging import kept_beside, repeat_interleave
from minigrad.ops.elementwise import where
from minigrad.ops.linalg import matmul, swapped
from minigrad.ops.norm import softmax
from minigrad.ops.registry import public


@public("functional")
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Return softmax(q k^T * scale + mask) v.

    attn_mask: bools, True where a key is seen, or numbers that are added to the scores.
    dropout_p: of the weights, whatever the mode.  is_causal: a query sees keys up to its own place.
    scale: 1 / sqrt(E) if None.  enable_gqa: keys and values may have fewer heads than queries.
    A query that sees no key gives 0.
    Shape: query: (..., L, E), key: (..., S, E), value: (..., S, V) -> (..., L, V).
    Source: Vaswani et al., "Attention is all you need" (2017), section 3.2.1.

    >>> import minigrad as mg
    >>> q = mg.zeros(1, 2, 1)
    >>> scaled_dot_product_attention(q, q, mg.tensor([[[1.0], [3.0]]]), is_causal=True)
    tensor([[[1.],
             [2.]]])
    """
    name = "scaled_dot_product_attention"
    for t in (query, key, value):
        if t.ndim < 2 or t.dtype != query.dtype:
            raise ArgumentError(
                f"{name}: expected query, key and value of one dtype with at least two dimensions, "
                f"got {query.dtype} {query.shape}, {key.dtype} {key.shape}, {value.dtype} "
                f"{value.shape}"
            )
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (repeat_interleave(t, groups, -3) for t in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    # Half of the factor on each side: no product of large numbers overflows before it.
    half = math.sqrt(abs(factor))
    scores = matmul(query * half, swapped(key) * math.copysign(half, factor))
    mask = attn_mask
    if is_causal:
        if mask is not None:
            raise ArgumentError(f"{name}: give attn_mask or is_causal, not both")
        mask = kept_beside(np.tri(query.shape[-2], key.shape[-2], dtype=bool), query)
    weights = masked_weights(scores, mask)
    if dropout_p > 0:
        weights = dropout(weights, dropout_p)
    return matmul(weights, value)


def masked_weights(scores: Any, mask: Any) -> Any:
    """Return the softmax of scores under a mask; 0 where all of a row is masked."""
    if mask is None:
        return softmax(scores, -1)
    if mask.array.dtype.kind == "b":
        scores = where(mask, scores, -math.inf)
    else:
        scores = scores + mask
    unseen = scores.detach().amax(-1, keepdim=True) == -math.inf if scores.shape[-1] else None
    # A recording holds for any scores, with the same bits; to ask a GPU would wait for it.
    asked = recording.recorder is None and not scores.is_cuda
    if unseen is None or (asked and not bool(unseen.any())):
        return softmax(scores, -1)
    return where(unseen, 0.0, softmax(where(unseen, 0.0, scores), -1))
