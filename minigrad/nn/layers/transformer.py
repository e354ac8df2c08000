"""Transformer layers, stacks of them, and the whole of encoder and decoder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.engine.device import Device, moved
from minigrad.engine.dtypes import numpy_dtype
from minigrad.nn import functional, init
from minigrad.nn.layers.attention import MultiheadAttention
from minigrad.nn.layers.container import ModuleList
from minigrad.nn.layers.dropout import Dropout
from minigrad.nn.layers.linear import Linear
from minigrad.nn.layers.norm import LayerNorm
from minigrad.nn.module import Module, registered
from minigrad.tensors.tensor import Tensor, new

Activation = str | Callable[[Tensor], Tensor]
Mask = Tensor | None


def activation_of(name: str, activation: Activation) -> Callable[[Tensor], Tensor]:
    """Return the function that a word stands for; a function or module as it is."""
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"{name}: activation must be 'relu' or 'gelu', got {activation!r}")
    function: Callable[[Tensor], Tensor] = getattr(functional, activation)
    return function


@registered
class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers, each beside a residual and with a normalisation.

    d_model: the size of an element.  nhead: heads.  dim_feedforward: between the linear layers.
    activation: "relu", "gelu" or a function.  norm_first: normalise before each part, not after.
    Shape: (S, N, d_model), or (N, S, d_model) with batch_first, or (S, d_model); the same out.
    Source: Vaswani et al., "Attention is all you need" (2017), section 3.1.

    >>> import minigrad as mg
    >>> TransformerEncoderLayer(4, 2, dim_feedforward=8)(mg.ones(3, 2, 4)).shape
    (3, 2, 4)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **place
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation_of("TransformerEncoderLayer", activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the layer's output; masks as in `MultiheadAttention`."""
        how = src_mask, src_key_padding_mask, is_causal
        if self.norm_first:
            x = src + self._sa_block(self.norm1(src), *how)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(src + self._sa_block(src, *how))
        made: Tensor = self.norm2(x + self._ff_block(x))
        return made

    def _sa_block(self, x: Tensor, mask: Mask, padding: Mask, is_causal: bool) -> Any:
        causal = is_causal and mask is not None
        return self.dropout1(self.self_attn(x, x, x, padding, False, mask, is_causal=causal)[0])

    def _ff_block(self, x: Tensor) -> Any:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


@registered
class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's output, then two linear layers; see
    `TransformerEncoderLayer`.

    Shape: tgt: (T, N, d_model), memory: (S, N, d_model) -> (T, N, d_model); see there.

    >>> import minigrad as mg
    >>> layer = TransformerDecoderLayer(4, 2, dim_feedforward=8)
    >>> layer(mg.ones(3, 2, 4), mg.ones(5, 2, 4)).shape
    (3, 2, 4)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}
        self.self_attn, self.multihead_attn = (
            MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **place)
            for _ in range(2)
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm_first = norm_first
        self.norm1, self.norm2, self.norm3 = (
            LayerNorm(d_model, layer_norm_eps, bias=bias, **place) for _ in range(3)
        )
        self.dropout1, self.dropout2, self.dropout3 = (Dropout(dropout) for _ in range(3))
        self.activation = activation_of("TransformerDecoderLayer", activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Return the layer's output; masks as in `MultiheadAttention`."""
        own = tgt_mask, tgt_key_padding_mask
        other = memory, memory_mask, memory_key_padding_mask
        if self.norm_first:
            x = tgt + self._sa_block(self.norm1(tgt), *own)
            x = x + self._mha_block(self.norm2(x), *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(tgt + self._sa_block(tgt, *own))
        x = self.norm2(x + self._mha_block(x, *other))
        made: Tensor = self.norm3(x + self._ff_block(x))
        return made

    def _sa_block(self, x: Tensor, mask: Mask, padding: Mask) -> Any:
        return self.dropout1(self.self_attn(x, x, x, padding, False, mask)[0])

    def _mha_block(self, x: Tensor, memory: Tensor, mask: Mask, padding: Mask) -> Any:
        return self.dropout2(self.multihead_attn(x, memory, memory, padding, False, mask)[0])

    def _ff_block(self, x: Tensor) -> Any:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))


def copies(layer: Module, count: int) -> ModuleList:
    """Return copies of a layer, which begin with equal weights."""
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


@registered
class TransformerEncoder(Module):
    """A stack of copies of an encoder layer.

    enable_nested_tensor, mask_check: PyTorch's, of its faster way in evaluation.

    >>> import minigrad as mg
    >>> layer = TransformerEncoderLayer(4, 2, dim_feedforward=8)
    >>> TransformerEncoder(layer, 2)(mg.ones(3, 2, 4)).shape
    (3, 2, 4)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Return the output of the last layer, normalised by `norm` where there is one."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


@registered
class TransformerDecoder(Module):
    """A stack of copies of a decoder layer.

    >>> import minigrad as mg
    >>> layer = TransformerDecoderLayer(4, 2, dim_feedforward=8)
    >>> TransformerDecoder(layer, 2)(mg.ones(3, 2, 4), mg.ones(5, 2, 4)).shape
    (3, 2, 4)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Return the output of the last layer, normalised by `norm` where there is one."""
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks)
        return tgt if self.norm is None else self.norm(tgt)


@registered
class Transformer(Module):
    """An encoder and a decoder that attends to its output.

    custom_encoder, custom_decoder: in place of the stacks.
    Shape: src: (S, N, d_model), tgt: (T, N, d_model) -> (T, N, d_model), or with N first.
    Source: Vaswani et al., "Attention is all you need" (2017).

    >>> import minigrad as mg
    >>> model = Transformer(4, 2, 1, 1, 8)
    >>> model(mg.ones(5, 2, 4), mg.ones(3, 2, 4)).shape
    (3, 2, 4)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}
        sizes: tuple[Any, ...] = (d_model, nhead, dim_feedforward, dropout, activation)
        how = {
            **{"layer_norm_eps": layer_norm_eps, "batch_first": batch_first},
            **{"norm_first": norm_first, "bias": bias, **place},
        }

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **place)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*sizes, **how), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*sizes, **how), num_decoder_layers, norm()
        )
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        """Draw all matrices by Xavier's rule."""
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Mask = None,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the decoder's output; masks as in `MultiheadAttention`."""
        axis = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[axis] != tgt.shape[axis]:
            raise RuntimeError(
                f"Transformer: src and tgt have batches of {src.shape[axis]} and {tgt.shape[axis]}"
            )
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(
                f"Transformer: expected last sizes of {self.d_model}, got {src.shape} and"
                f" {tgt.shape}"
            )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        paddings = tgt_key_padding_mask, memory_key_padding_mask
        return self.decoder(tgt, memory, tgt_mask, memory_mask, *paddings)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """Return the causal mask: 0 up to each place, -inf after it.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        kind = np.dtype(np.float32) if dtype is None else numpy_dtype(dtype)
        mask = np.triu(np.full((sz, sz), -np.inf, kind), 1)
        return new(mask if device is None else moved(mask, Device(device)))
