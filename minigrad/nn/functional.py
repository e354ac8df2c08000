"""Layers and losses as functions: `import minigrad.nn.functional as F`."""

from minigrad.nn.functional_activations import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    relu,
    relu6,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from minigrad.nn.functional_classes import cross_entropy, nll_loss
from minigrad.nn.functional_layers import (
    batch_norm,
    dropout,
    embedding,
    layer_norm,
    linear,
    normalize,
    one_hot,
)

__all__ = [
    "batch_norm",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "hardtanh",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "nll_loss",
    "normalize",
    "one_hot",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
