"""Recurrent layers over packed rows: step t has the rows of the sequences that are at least t long.

    x: (R, I), the steps one after the other; sizes: rows of each step, never rising; R their sum
    h, c: (B, ...), B = sizes[0], the state before the first step

Equal lengths are sizes of B each: then x is (T, B, I) laid flat.  Reversed, the last step comes
first, and sequences join as they become long enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.ops.common import Array
from minigrad.ops.linalg import absent, linear
from minigrad.ops.shape import cat, chunk, split
from minigrad.ops.unary import Relu, Sigmoid, Tanh

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}
State = tuple[Any, ...]


# ---------------------------------------------------------------- a step, in plain ops
def tanh_step(x: Any, state: State, weight: Any, bias: Any, project: Any) -> State:
    """Return h = tanh(x + W h + b); x: the input's part."""
    return (Tanh.apply(x + linear(state[0], weight, bias)),)


def relu_step(x: Any, state: State, weight: Any, bias: Any, project: Any) -> State:
    """Return h = max(x + W h + b, 0); x: the input's part."""
    return (Relu.apply(x + linear(state[0], weight, bias)),)


def lstm_step(x: Any, state: State, weight: Any, bias: Any, project: Any) -> State:
    """Return c = f c + i g and h = o tanh(c), through `project` where it is not empty."""
    h, c = state
    i, f, g, o = chunk(x + linear(h, weight, bias), 4, -1)
    c = Sigmoid.apply(f) * c + Sigmoid.apply(i) * Tanh.apply(g)
    h = Sigmoid.apply(o) * Tanh.apply(c)
    return (linear(h, project) if project.array.size else h), c


def gru_step(x: Any, state: State, weight: Any, bias: Any, project: Any) -> State:
    """Return h = (1 - z) n + z h, n = tanh(x_n + r (W_n h + b_n))."""
    (h,) = state
    r, z, n = chunk(x, 3, -1)
    hr, hz, hn = chunk(linear(h, weight, bias), 3, -1)
    r, z = Sigmoid.apply(r + hr), Sigmoid.apply(z + hz)
    n = Tanh.apply(n + r * hn)
    return (n + z * (h - n),)


STEPS: dict[str, Callable[..., State]] = {
    "RNN_TANH": tanh_step,
    "RNN_RELU": relu_step,
    "LSTM": lstm_step,
    "GRU": gru_step,
}


# ---------------------------------------------------------------- all steps, in plain ops
def first_rows(state: State, rows: int) -> State:
    """Return the state of the first sequences."""
    return tuple(s if s.array.shape[0] == rows else s[:rows] for s in state)


def joined(parts: Sequence[State]) -> State:
    """Return states laid below each other."""
    return (
        parts[0]
        if len(parts) == 1
        else tuple(cat(list(rows), 0) for rows in zip(*parts, strict=True))
    )


def unrolled(
    kind: str, x: Any, state: State, weights: tuple[Any, ...], sizes: Sequence[int], reverse: bool
) -> tuple[Any, State]:
    """Return the outputs of all steps, as rows, and the state after the last of each sequence.

    weights: of the input, of the state, both biases and the projection; empty where there is none.
    """
    w_ih, w_hh, b_ih, b_hh, project = weights
    step = STEPS[kind]
    gates = split(linear(x, w_ih, b_ih), list(sizes), 0)
    outputs: list[Any] = [None] * len(sizes)
    now = first_rows(state, sizes[-1]) if reverse else state
    finished: list[State] = []
    for t in reversed(range(len(sizes))) if reverse else range(len(sizes)):
        rows, held = sizes[t], now[0].array.shape[0]
        if rows > held:
            now = joined([now, tuple(s[held:rows] for s in state)])
        elif rows < held:
            finished.append(tuple(s[rows:] for s in now))
            now = first_rows(now, rows)
        now = step(gates[t], now, w_hh, b_hh, project)
        outputs[t] = now[0]
    return cat(outputs, 0), joined([now, *reversed(finished)])


def recurrent(
    kind: str, x: Any, state: State, weights: tuple[Any, ...], sizes: Sequence[int], reverse: bool
) -> tuple[Any, State]:
    """Run one layer in one direction over packed rows, see `unrolled`; weights may be None."""
    none = absent(weights[0])
    given = tuple(none if w is None else w for w in weights)
    return unrolled(kind, x, state, given, sizes, reverse)


def check_state(name: str, label: str, state: Array, shape: tuple[int, ...]) -> None:
    """Refuse a state of another shape than the layer's."""
    if state.shape != shape:
        raise RuntimeError(f"{name}: expected {label} of shape {shape}, got {state.shape}")
