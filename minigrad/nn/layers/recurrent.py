"""RNN, LSTM and GRU: layers over sequences, and their cells for one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad.engine import arguments
from minigrad.engine.device import filled
from minigrad.nn import init
from minigrad.nn.functional.layers import dropout
from minigrad.nn.layers.linear import blank
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.nn.utils.rnn import PackedSequence
from minigrad.ops.index import index_select
from minigrad.ops.recurrent import GATES, check_state, recurrent
from minigrad.ops.shape import cat, transpose
from minigrad.tensors.tensor import Tensor, new

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def blank_weights(
    module: Module,
    suffix: str,
    sizes: tuple[int, int, int, int],
    biased: bool,
    place: dict[str, Any],
) -> None:
    """Give a module the parameters of one layer in one direction; those it lacks are None.

    sizes: the input, the gates, the hidden state and its projection, 0 for none.
    """
    inputs, gates, hidden, project = sizes
    state = project or hidden
    shapes: Sequence[tuple[int, ...] | None] = (
        (gates, inputs),
        (gates, state),
        (gates,) if biased else None,
        (gates,) if biased else None,
        (project, hidden) if project else None,
    )
    for name, shape in zip(WEIGHTS, shapes, strict=True):
        if shape is not None:
            setattr(module, name + suffix, blank(*shape, **place))


class RNNBase(Module):
    """The base of RNN, LSTM and GRU, which differ in what a step computes; see `LSTM`.

    mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = self._get_name()
        if mode not in GATES:
            raise ValueError(f"{name}: expected a mode of {', '.join(GATES)}, got {mode!r}")
        self.mode = mode
        self.input_size = arguments.whole(name, "input_size", input_size, 0)
        self.hidden_size = arguments.whole(name, "hidden_size", hidden_size, 1)
        self.num_layers = arguments.whole(name, "num_layers", num_layers, 1)
        self.bias = bool(bias)
        self.batch_first = batch_first
        self.dropout = arguments.number(name, "dropout", dropout)
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"{name}: expected dropout in [0, 1], got {dropout!r}")
        self.bidirectional = bidirectional
        self.proj_size = arguments.whole(name, "proj_size", proj_size, 0)
        if self.proj_size and mode != "LSTM":
            raise ValueError(f"{name}: proj_size is LSTM's alone, got {proj_size}")
        if self.proj_size >= self.hidden_size:
            raise ValueError(
                f"{name}: expected proj_size below hidden_size {hidden_size}, got {proj_size}"
            )
        self._make_weights({"device": device, "dtype": dtype})
        self.reset_parameters()

    def _make_weights(self, place: dict[str, Any]) -> None:
        gates, state = GATES[self.mode] * self.hidden_size, self.proj_size or self.hidden_size
        for layer in range(self.num_layers):
            inputs = state * len(self._directions()) if layer else self.input_size
            for suffix in self._directions():
                sizes = inputs, gates, self.hidden_size, self.proj_size
                blank_weights(self, f"_l{layer}{suffix}", sizes, self.bias, place)

    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _weights(self, layer: int, suffix: str) -> tuple[Parameter | None, ...]:
        return tuple(getattr(self, f"{name}_l{layer}{suffix}", None) for name in WEIGHTS)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction."""
        return [
            [w for w in self._weights(layer, suffix) if w is not None]
            for layer in range(self.num_layers)
            for suffix in self._directions()
        ]

    def flatten_parameters(self) -> None:
        """Do nothing; PyTorch lays the weights in one memory for cuDNN."""

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew, from U(-l, l), l = 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    # ------------------------------------------------------------ forward
    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            order, back = input.sorted_indices, input.unsorted_indices
            sizes = input.batch_sizes.tolist()
            state = self._state(input.data, sizes[0], True, hx, order)
            rows, final = self._layers(input.data, sizes, state)
            final = [s if back is None else index_select(s, 1, back) for s in final]
            return PackedSequence(rows, input.batch_sizes, order, back), self._last(final)
        name, shape = self._get_name(), input.shape
        if input.ndim not in (2, 3):
            raise ValueError(f"{name}: expected an input of 2 or 3 dimensions, got {shape}")
        batched = input.ndim == 3
        x = input if batched else input.unsqueeze(0 if self.batch_first else 1)
        x = transpose(x, 0, 1) if self.batch_first else x
        steps, batch = x.shape[0], x.shape[1]
        if not steps:
            raise RuntimeError(f"{name}: expected at least one step, got an input of {shape}")
        state = self._state(x, batch, batched, hx, None)
        rows, final = self._layers(x.reshape(steps * batch, x.shape[2]), [batch] * steps, state)
        y = rows.reshape(steps, batch, rows.shape[1])
        y = transpose(y, 0, 1) if self.batch_first else y
        if not batched:
            y, final = y.squeeze(0 if self.batch_first else 1), [s.squeeze(1) for s in final]
        return y, self._last(final)

    def _state(
        self, x: Tensor, batch: int, batched: bool, hx: Any, order: Tensor | None
    ) -> list[Tensor]:
        """Return h, and c of an LSTM, (layers * directions, B, size), zeros where none is given."""
        name = self._get_name()
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{name}: expected inputs of input_size {self.input_size}, got shape {x.shape}"
            )
        rows = self.num_layers * len(self._directions())
        sizes = [self.proj_size or self.hidden_size]
        sizes += [self.hidden_size] if self.mode == "LSTM" else []
        if hx is None:
            return [zeros_like(x, (rows, batch, n)) for n in sizes]
        given = list(hx) if self.mode == "LSTM" else [hx]
        if len(given) != len(sizes):
            raise RuntimeError(f"{name}: expected the state (h, c), got {len(given)} tensors")
        for label, s, n in zip("hc", given, sizes, strict=False):
            wanted = (rows, batch, n) if batched else (rows, n)
            check_state(name, label, s.array, wanted)
        given = [s if batched else s.unsqueeze(1) for s in given]
        return [s if order is None else index_select(s, 1, order) for s in given]

    def _layers(
        self, rows: Tensor, sizes: list[int], state: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all layers over packed rows; return those of the last, and the final state."""
        finals: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                rows = dropout(rows, self.dropout, self.training)
            outputs = []
            for d, suffix in enumerate(self._directions()):
                own = tuple(s[len(finals)] for s in state)
                weights = self._weights(layer, suffix)
                y, final = recurrent(self.mode, rows, own, weights, sizes, bool(d))
                outputs.append(y)
                finals.append(final)
            rows = cat(outputs, 1) if len(outputs) > 1 else outputs[0]
        stacked = zip(*finals, strict=True)
        return rows, [cat([s.unsqueeze(0) for s in each], 0) for each in stacked]

    def _last(self, final: list[Tensor]) -> Any:
        return tuple(final) if self.mode == "LSTM" else final[0]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if not self.bias:
            text += f", bias={self.bias}"
        if self.batch_first:
            text += f", batch_first={self.batch_first}"
        if self.dropout:
            text += f", dropout={self.dropout}"
        if self.bidirectional:
            text += f", bidirectional={self.bidirectional}"
        return text


def zeros_like(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return zeros of a shape, of the dtype of `x` and where it lies."""
    return new(filled(shape, 0, x.array.dtype, x.array))


@registered
class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh) for each step, or relu; see `LSTM`.

    nonlinearity: "tanh" or "relu".
    Shape: x: (T, B, input_size) -> y: (T, B, D hidden_size), h: (D layers, B, hidden_size).
    Source: Elman, "Finding structure in time" (Cognitive Science 1990).

    >>> import minigrad as mg
    >>> y, h = RNN(3, 4)(mg.ones(5, 2, 3))
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_nonlinearity("RNN", nonlinearity)
        rest = num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, *rest)
        self.nonlinearity = nonlinearity


def check_nonlinearity(name: str, nonlinearity: str) -> None:
    """Refuse what is neither "tanh" nor "relu"."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")


@registered
class LSTM(RNNBase):
    """Long short-term memory over sequences: for each step

        i, f, g, o = s, s, tanh, s of W_ih x + b_ih + W_hh h + b_hh, s the sigmoid
        c' = f c + i g;  h' = o tanh(c'), through W_hr with `proj_size`

    num_layers: each takes the outputs of the one below, through dropout in training.
    batch_first: inputs and outputs are (B, T, ...), the state is not.
    bidirectional: a second set of weights runs from the end; outputs lie beside each other, D = 2.
    Shape: x: (T, B, input_size), or (T, input_size), or a PackedSequence; (h, c), zeros if left
        out: (D layers, B, proj_size or hidden_size), (D layers, B, hidden_size)
        -> y: (T, B, D (proj_size or hidden_size)), and (h, c) after the last step.
    Weights and biases start in U(-l, l), l = 1 / sqrt(hidden_size).
    Source: Hochreiter and Schmidhuber, "Long short-term memory" (1997), with forget gates.

    >>> import minigrad as mg
    >>> y, (h, c) = LSTM(3, 4, num_layers=2)(mg.ones(5, 2, 3))
    >>> y.shape, h.shape, c.shape
    ((5, 2, 4), (2, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        rest = num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        super().__init__("LSTM", input_size, hidden_size, *rest)


@registered
class GRU(RNNBase):
    """Gated recurrent units over sequences; see `LSTM`: for each step, s the sigmoid,

        r, z = s(W_ir x + b_ir + W_hr h + b_hr), s(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h' = (1 - z) n + z h

    Shape: x: (T, B, input_size) -> y: (T, B, D hidden_size), h: (D layers, B, hidden_size).
    Source: Cho et al., "Learning phrase representations" (EMNLP 2014); r applies after W_hn.

    >>> import minigrad as mg
    >>> y, h = GRU(3, 4, bidirectional=True)(mg.ones(5, 2, 3))
    >>> y.shape, h.shape
    ((5, 2, 8), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        rest = num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        super().__init__("GRU", input_size, hidden_size, *rest)


# ---------------------------------------------------------------- cells
class RNNCellBase(Module):
    """The base of RNNCell, LSTMCell and GRUCell: one step of one layer."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = self._get_name()
        self.input_size = arguments.whole(name, "input_size", input_size, 0)
        self.hidden_size = arguments.whole(name, "hidden_size", hidden_size, 0)
        self.bias = bool(bias)
        sizes = self.input_size, GATES[mode] * self.hidden_size, self.hidden_size, 0
        blank_weights(self, "", sizes, self.bias, {"device": device, "dtype": dtype})
        if not bias:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew, from U(-l, l), l = 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def step(self, mode: str, input: Tensor, state: Sequence[Tensor] | None) -> tuple[Tensor, ...]:
        """Return the state after one step."""
        name, shape = self._get_name(), input.shape
        if input.ndim not in (1, 2) or shape[-1] != self.input_size:
            raise RuntimeError(
                f"{name}: expected an input of shape (B, {self.input_size}) or"
                f" ({self.input_size},), got {shape}"
            )
        wanted = (*shape[:-1], self.hidden_size)
        if state is None:
            state = [zeros_like(input, wanted) for _ in range(2 if mode == "LSTM" else 1)]
        for label, s in zip("hc", state, strict=False):
            check_state(name, label, s.array, wanted)
        batched = input.ndim == 2
        x = input if batched else input.unsqueeze(0)
        state = tuple(s if batched else s.unsqueeze(0) for s in state)
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, None)
        _, final = recurrent(mode, x, state, weights, [x.shape[0]], False)
        return final if batched else tuple(s.squeeze(0) for s in final)

    weight_ih: Parameter
    weight_hh: Parameter

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias={self.bias}"


@registered
class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu: one step of `RNN`.

    Shape: x: (B, input_size), h: (B, hidden_size), zeros if left out -> (B, hidden_size); all
        also without B.

    >>> import minigrad as mg
    >>> RNNCell(3, 4)(mg.ones(2, 3)).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_nonlinearity("RNNCell", nonlinearity)
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(input_size, hidden_size, bias, mode, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        mode = f"RNN_{self.nonlinearity.upper()}"
        return self.step(mode, input, None if hx is None else [hx])[0]

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


@registered
class LSTMCell(RNNCellBase):
    """One step of `LSTM`.

    Shape: x: (B, input_size), (h, c): (B, hidden_size) each, zeros if left out -> (h', c'); all
        also without B.

    >>> import minigrad as mg
    >>> h, c = LSTMCell(3, 4)(mg.ones(2, 3))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, "LSTM", device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        h, c = self.step("LSTM", input, hx)
        return h, c


@registered
class GRUCell(RNNCellBase):
    """One step of `GRU`.

    Shape: x: (B, input_size), h: (B, hidden_size), zeros if left out -> (B, hidden_size); all
        also without B.

    >>> import minigrad as mg
    >>> GRUCell(3, 4)(mg.ones(2, 3)).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, "GRU", device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self.step("GRU", input, None if hx is None else [hx])[0]
