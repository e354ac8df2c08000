"""Example arguments of the recurrent layers; sizes: steps, rows of the batch, hidden units."""

from __future__ import annotations

from typing import Any

from minigrad_kernels.example import DRAWS, Array, Example, Rng, normal, unwritten


def weight(rng: Rng, dtype: Any, gates: int, size: int) -> Array:
    """Return W of so many gates, whose products are of size 1."""
    return normal(rng, dtype, gates * size, size) * dtype.type(size**-0.5)


def opened(rng: Rng, dtype: Any, *shape: int) -> Array:
    """Return what sigmoid or tanh give: numbers between 0 and 1."""
    return DRAWS["unit"](rng, dtype, *shape)


def lstm_forward(rng: Rng, dtype: Any, t: int, b: int, n: int) -> tuple[Any, ...]:
    """Return w, reverse, gates, h, c and curved."""
    w, gates = weight(rng, dtype, 4, n), normal(rng, dtype, t, b, 4 * n)
    states = normal(rng, dtype, 2, t + 1, b, n)
    return w, False, gates, *states, unwritten(dtype, t, b, n)


def lstm_backward(rng: Rng, dtype: Any, t: int, b: int, n: int) -> tuple[Any, ...]:
    """Return dy, w, gates, c, curved, reverse, dh, d and dc."""
    dy, w = normal(rng, dtype, t, b, n), weight(rng, dtype, 4, n)
    saved = opened(rng, dtype, t, b, 4 * n), normal(rng, dtype, t + 1, b, n)
    made = unwritten(dtype, b, n), unwritten(dtype, t, b, 4 * n), normal(rng, dtype, b, n)
    return dy, w, *saved, opened(rng, dtype, t, b, n), False, *made


def gru_forward(rng: Rng, dtype: Any, t: int, b: int, n: int) -> tuple[Any, ...]:
    """Return w, bias, reverse, gates, h and inner."""
    w, bias = weight(rng, dtype, 3, n), normal(rng, dtype, n)
    gates, h = normal(rng, dtype, t, b, 3 * n), normal(rng, dtype, t + 1, b, n)
    return w, bias, False, gates, h, unwritten(dtype, t, b, n)


def gru_backward(rng: Rng, dtype: Any, t: int, b: int, n: int) -> tuple[Any, ...]:
    """Return dy, w, gates, h, inner, reverse, dh, d and recurrent."""
    dy, w = normal(rng, dtype, t, b, n), weight(rng, dtype, 3, n)
    saved = opened(rng, dtype, t, b, 3 * n), normal(rng, dtype, t + 1, b, n)
    made = unwritten(dtype, b, n), unwritten(dtype, t, b, 3 * n), unwritten(dtype, t, b, 3 * n)
    return dy, w, *saved, normal(rng, dtype, t, b, n), False, *made


EXAMPLES = {
    made.__name__: Example(made, "OxRxI", cancels=True)
    for made in (lstm_forward, lstm_backward, gru_forward, gru_backward)
}
