"""Recurrent layers over packed rows: step t has the rows of the sequences that are at least t long.

    x: (R, I), the steps one after the other; sizes: rows of each step, never rising; R their sum
    h, c: (B, ...), B = sizes[0], the state before the first step

Equal lengths are sizes of B each: then x is (T, B, I) laid flat.  Reversed, the last step comes
first, and sequences join as they become long enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError
from minigrad.engine.op import Bridge, Op
from minigrad.ops.common import Array, contiguous, op
from minigrad.ops.linalg import absent, check_dtypes, linear
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
    """Run one layer in one direction over packed rows, see `unrolled`; weights may be None.

    Sequences of one length, without a projection, go through one op for all steps.
    """
    none = absent(weights[0])
    given = tuple(none if w is None else w for w in weights)
    if given[4].array.size or len(set(sizes)) > 1 or not fitting(x, state, given):
        return unrolled(kind, x, state, given, sizes, reverse)
    fused, batch = FUSED[kind], sizes[0]
    y = fused.apply(x, *state, *given[:4], steps=len(sizes), reverse=reverse)
    cell: list[Any] = []
    if fused.states > 1:
        y, *cell = split(y, [x.array.shape[0], batch], 0)
    return y, (y[:batch] if reverse else y[-batch:], *cell)


def fitting(x: Any, state: State, weights: tuple[Any, ...]) -> bool:
    """Return whether all are of one floating dtype; the plain ops say what is wrong where not."""
    dtype = x.array.dtype
    return dtype.kind == "f" and all(t.array.dtype == dtype for t in (*state, *weights))


def check_state(name: str, label: str, state: Array, shape: tuple[int, ...]) -> None:
    """Refuse a state of another shape than the layer's."""
    if state.shape != shape:
        raise RuntimeError(f"{name}: expected {label} of shape {shape}, got {state.shape}")


# ---------------------------------------------------------------- all steps as one op
class Steps(Op):
    """The base of the fused layers: rows of all steps in one memory, and the state before each.

    Inputs: x, the state, W_ih, W_hh, both biases, empty for none.  Output: (T B, H), the rows of
    the steps; below them, of an LSTM, the cells after the last one.
    """

    states = 1
    gates = 1

    def begin(self, arrays: Sequence[Any], steps: int, reverse: bool) -> None:
        """Take the inputs apart, and multiply the inputs of all steps by W_ih at once."""
        self.state = arrays[1 : 1 + self.states]
        x, (w_ih, w_hh, b_ih, b_hh) = arrays[0], arrays[1 + self.states :]
        self.rows, self.w_ih, self.w_hh = contiguous(x), w_ih, w_hh
        self.batch, self.size = self.state[0].shape
        self.order = range(steps)[:: -1 if reverse else 1]
        self.reverse = reverse
        check_dtypes("recurrent", x, w_ih)
        if x.shape[0] != steps * self.batch:
            raise ArgumentError(f"recurrent: {steps} steps of {self.batch} rows, got {x.shape}")
        self.parts = empty((x.shape[0], w_ih.shape[0]), x.dtype, x)
        self.biased = bool(b_ih.size)
        bias = self.bias_of_all(b_ih, b_hh)
        if bias.size:
            launch("gemm_bias", self.rows, w_ih.T, bias, self.parts)
        else:
            launch("gemm", self.rows, w_ih.T, self.parts)

    def bias_of_all(self, b_ih: Array, b_hh: Array) -> Array:
        """Return the bias that is added for all steps at once."""
        if not b_ih.size:
            return b_ih
        both = empty(b_ih.shape, b_ih.dtype, b_ih)
        launch("add", b_ih, b_hh, both)
        return both

    def blank(self, *shape: int) -> Array:
        """Return memory of the layer's dtype."""
        return empty(shape, self.rows.dtype, self.rows)

    def chain(self, first: Array) -> Array:
        """Return memory for a state before and after each step; `first` stands at its beginning,
        or at its end in reverse.
        """
        made = self.blank((len(self.order) + 1) * self.batch, self.size)
        launch("copy", first, made[self.before(self.order[0])])
        return made

    def at(self, t: int) -> slice:
        """Return the rows of step t."""
        return slice(t * self.batch, (t + 1) * self.batch)

    def before(self, t: int) -> slice:
        """Return the rows of the state before step t, in a chain."""
        return self.at(t + 1 if self.reverse else t)

    def after(self, t: int) -> slice:
        """Return the rows of the state after step t, in a chain."""
        return self.at(t if self.reverse else t + 1)

    def all_before(self, chain: Array) -> Array:
        """Return the state before each step, step by step."""
        return chain[self.batch :] if self.reverse else chain[: -self.batch]

    def rows_of(self, chain: Array) -> Array:
        """Return the states after each step of a chain in memory of their own: what users are given
        they may write to.
        """
        made = self.blank(len(self.order) * self.batch, self.size)
        launch("copy", chain[: -self.batch] if self.reverse else chain[self.batch :], made)
        return made

    def by_step(self, rows: Array) -> Array:
        """Return contiguous rows as steps of the batch, one of them more of a chain."""
        return rows.reshape(rows.shape[0] // max(1, self.batch), self.batch, rows.shape[1])

    def zeros(self) -> Array:
        """Return a gradient of the state before anything has arrived."""
        made = self.blank(self.batch, self.size)
        made.fill(0)
        return made

    def saved_all(self) -> None:
        """Raise where an input was written to since."""
        for i in range(len(self.inputs)):
            self.saved(i)

    def ended(self, d: Array, recurrent: Array, chain: Array, *states: Array) -> tuple[Any, ...]:
        """Return the gradients of all inputs.

        d, recurrent: of the gates, as x's part has them, and as the state's part has them.
        """
        first = 1 + self.states
        found: list[Any] = [None] * (first + 4)
        if self.needs(0):
            found[0] = self.blank(*self.rows.shape)
            launch("gemm", d, self.w_ih, found[0])
        found[1:first] = states
        db, dc = self.blank(d.shape[1]), self.blank(d.shape[1])
        if self.needs(first) or self.needs(first + 2):
            found[first] = self.blank(*self.w_ih.shape)
            launch("gemm_sums", d.T, self.rows, found[first], db)
        if self.needs(first + 1) or self.needs(first + 3):
            found[first + 1] = self.blank(*self.w_hh.shape)
            launch("gemm_sums", recurrent.T, self.all_before(chain), found[first + 1], dc)
        if self.biased:
            found[first + 2 :] = [db, dc]
        return tuple(
            Bridge.new(a) if a is not None and self.needs(i) else None for i, a in enumerate(found)
        )

    @classmethod
    def samples(cls, draw: Any) -> Any:
        """Return points to try the op at: both directions, with biases and without."""
        steps, batch, inputs, size = 3, 2, 3, 2
        wide, normal = cls.gates * size, draw.normal
        found = []
        for reverse, x in ((False, normal(steps * batch, inputs)), (True, normal(inputs, 6).T)):
            state = [normal(batch, size) for _ in range(cls.states)]
            weights = normal(wide, inputs) / 2, normal(wide, size) / 2
            biases = (draw.ABSENT, draw.ABSENT) if reverse else (normal(wide), normal(wide))
            how = {"steps": steps, "reverse": reverse}
            found.append(((x, *state, *weights, *biases), how))
        return found

    @classmethod
    def composed(cls, kind: str, inputs: tuple[Any, ...], steps: int, reverse: bool) -> Any:
        """Return the same in plain ops."""
        x, state, weights = inputs[0], inputs[1 : 1 + cls.states], inputs[1 + cls.states :]
        sizes = [x.array.shape[0] // steps] * steps
        given = (*weights, absent(x))
        y, final = unrolled(kind, x, state, given, sizes, reverse)
        return cat([y, *final[1:]], 0)


class Elman(Steps):
    """h = f(W_ih x + b_ih + W_hh h + b_hh) for each step"""

    activation = ""

    def forward(self, *arrays: Any, steps: int, reverse: bool) -> Array:
        self.begin(arrays, steps, reverse)
        self.h = self.chain(self.state[0])
        for t in self.order:
            z = self.parts[self.at(t)]
            launch("gemm_accumulate", self.h[self.before(t)], self.w_hh.T, z)
            launch(self.activation, z, self.h[self.after(t)])
        return self.rows_of(self.h)

    def backward(self, g: Any) -> tuple[Any, ...]:
        self.saved_all()
        dy = g.array
        d, dh = self.blank(*self.parts.shape), self.zeros()
        for t in reversed(self.order):
            launch("add", dh, dy[self.at(t)], dh)
            launch(self.activation + "_backward", dh, self.h[self.after(t)], d[self.at(t)])
            launch("gemm", d[self.at(t)], self.w_hh, dh)
        return self.ended(d, d, self.h, dh)


@op
class RnnTanh(Elman):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh) for each of T steps

    x: (T B, I), h: (B, H), W_ih: (H, I), W_hh: (H, H), biases: (H,) or empty -> (T B, H)
    """

    activation = "tanh"

    @staticmethod
    def composite(*inputs: Any, steps: int, reverse: bool) -> Any:
        return RnnTanh.composed("RNN_TANH", inputs, steps, reverse)


@op
class RnnRelu(Elman):
    """h = max(W_ih x + b_ih + W_hh h + b_hh, 0) for each of T steps; shapes: see RnnTanh"""

    activation = "relu"

    @staticmethod
    def composite(*inputs: Any, steps: int, reverse: bool) -> Any:
        return RnnRelu.composed("RNN_RELU", inputs, steps, reverse)


@op
class Lstm(Steps):
    """i, f, g, o = W_ih x + b_ih + W_hh h + b_hh;  c = s(f) c + s(i) tanh(g);  h = s(o) tanh(c)

    x: (T B, I), h, c: (B, H), W_ih: (4 H, I), W_hh: (4 H, H), biases: (4 H,) or empty
    -> (T B + B, H): h of every step, then the last c
    """

    states = 2
    gates = 4

    def forward(self, *arrays: Any, steps: int, reverse: bool) -> Array:
        self.begin(arrays, steps, reverse)
        self.h, self.c = self.chain(self.state[0]), self.chain(self.state[1])
        self.curved = self.blank(steps * self.batch, self.size)  # tanh of the cells
        self.w_hh = contiguous(self.w_hh)
        states = self.by_step(self.h), self.by_step(self.c), self.by_step(self.curved)
        launch("lstm_forward", self.w_hh, reverse, self.by_step(self.parts), *states)
        rows = steps * self.batch
        made = self.blank(rows + self.batch, self.size)
        launch("copy", self.h[: -self.batch] if reverse else self.h[self.batch :], made[:rows])
        launch("copy", self.c[self.after(self.order[-1])], made[rows:])
        return made

    def backward(self, g: Any) -> tuple[Any, ...]:
        self.saved_all()
        dy, rows = contiguous(g.array), self.rows.shape[0]
        d = self.blank(*self.parts.shape)
        dh, dc = self.blank(self.batch, self.size), self.blank(self.batch, self.size)
        launch("copy", dy[rows:], dc)
        saved = self.by_step(self.parts), self.by_step(self.c), self.by_step(self.curved)
        given = self.by_step(dy[:rows]), self.w_hh, *saved
        launch("lstm_backward", *given, self.reverse, dh, self.by_step(d), dc)
        return self.ended(d, d, self.h, dh, dc)

    @staticmethod
    def composite(*inputs: Any, steps: int, reverse: bool) -> Any:
        return Lstm.composed("LSTM", inputs, steps, reverse)


@op
class Gru(Steps):
    """r, z = s(x_r + h_r), s(x_z + h_z);  n = tanh(x_n + r h_n);  h = n + z (h - n)

    where x_. = W_ih x + b_ih and h_. = W_hh h + b_hh.  x: (T B, I), h: (B, H), W_ih: (3 H, I),
    W_hh: (3 H, H), biases: (3 H,) or empty -> (T B, H)
    """

    gates = 3

    def bias_of_all(self, b_ih: Array, b_hh: Array) -> Array:
        """Return the bias that is added for all steps at once: n's second one is inside of r."""
        two = 2 * self.size
        self.bias = contiguous(b_hh)[two:]
        if not b_ih.size:
            return b_ih
        both = empty(b_ih.shape, b_ih.dtype, b_ih)
        launch("add", b_ih[:two], b_hh[:two], both[:two])
        launch("copy", b_ih[two:], both[two:])
        return both

    def forward(self, *arrays: Any, steps: int, reverse: bool) -> Array:
        self.begin(arrays, steps, reverse)
        self.h = self.chain(self.state[0])
        self.inner = self.blank(steps * self.batch, self.size)  # W_n h + b of each step
        self.w_hh = contiguous(self.w_hh)
        found = self.by_step(self.parts), self.by_step(self.h), self.by_step(self.inner)
        launch("gru_forward", self.w_hh, self.bias, reverse, *found)
        return self.rows_of(self.h)

    def backward(self, g: Any) -> tuple[Any, ...]:
        self.saved_all()
        d, recurrent = self.blank(*self.parts.shape), self.blank(*self.parts.shape)
        dh = self.blank(self.batch, self.size)
        saved = self.by_step(self.parts), self.by_step(self.h), self.by_step(self.inner)
        given = self.by_step(contiguous(g.array)), self.w_hh, *saved
        launch("gru_backward", *given, self.reverse, dh, self.by_step(d), self.by_step(recurrent))
        return self.ended(d, recurrent, self.h, dh)

    @staticmethod
    def composite(*inputs: Any, steps: int, reverse: bool) -> Any:
        return Gru.composed("GRU", inputs, steps, reverse)


FUSED: dict[str, type[Steps]] = {
    "RNN_TANH": RnnTanh,
    "RNN_RELU": RnnRelu,
    "LSTM": Lstm,
    "GRU": Gru,
}
