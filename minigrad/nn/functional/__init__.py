"""Layers and losses as functions: `import minigrad.nn.functional as F`."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from minigrad.nn.functional import (
    attention,
    distances,
    dropping,
    folding,
    fractional,
    groups,
    losses,
    resizing,
    sampling,
    sequences,
    transposed,
    units,
    volumes,
)
from minigrad.nn.functional.activations import (
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
from minigrad.nn.functional.classification import cross_entropy, nll_loss
from minigrad.nn.functional.conv import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    conv1d,
    conv2d,
    max_pool1d,
    max_pool2d,
)
from minigrad.nn.functional.embeddings import embedding, one_hot
from minigrad.nn.functional.layers import (
    batch_norm,
    batch_norm_activation_dropout,
    dropout,
    layer_norm,
    linear,
    linear_activation,
    normalize,
)
from minigrad.nn.functional.padding import pad
from minigrad.nn.functional.regression import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from minigrad.tensors import registry as _registry

if _TYPE_CHECKING:
    from minigrad.published.functional import *  # noqa: F403

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_activation_dropout",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "hardtanh",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "linear_activation",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]
_registry.share(globals(), "functional")
