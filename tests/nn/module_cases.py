"""Modules that are compared with PyTorch's: how each is made, and what it is called on.

A case is text, `nn` being minigrad's or PyTorch's; all parameters and buffers are set to the same
numbers, and outputs, gradients, buffers and repr are compared, in training and in evaluation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Values = dict[str, Array]


@dataclass(frozen=True)
class Kit:
    """A framework: its modules, how it makes a tensor and how it gives its array."""

    nn: Any
    tensor: Callable[..., Any]
    array: Callable[[Any], Array]


def x(*shape: int, seed: int = 0) -> Array:
    """Return normal numbers, none near a kink at 0."""
    found = np.random.default_rng((seed, *shape)).standard_normal(shape)
    return found + 0.05 * np.sign(found)


def n(*shape: int, below: int = 3, seed: int = 0) -> Array:
    """Return whole numbers."""
    return np.random.default_rng((seed, *shape)).integers(0, below, shape)


# How a module is made, and its inputs: arrays, or tuples of them; [array] is not differentiated.
SEQUENCES = {
    "nn.RNN(3, 4)": (x(5, 2, 3),),
    "nn.RNN(3, 4, 2, 'relu', False, True)": (x(2, 5, 3),),
    "nn.RNN(3, 4, bidirectional=True)": (x(5, 2, 3), x(2, 2, 4)),
    "nn.LSTM(3, 4)": (x(5, 2, 3),),
    "nn.LSTM(3, 4, 2, bidirectional=True)": (x(5, 2, 3), (x(4, 2, 4), x(4, 2, 4, seed=1))),
    "nn.LSTM(3, 4, 2, batch_first=True, proj_size=2)": (x(2, 5, 3),),
    "nn.LSTM(3, 4, proj_size=3, bidirectional=True)": (x(5, 3), (x(2, 3), x(2, 4))),
    "nn.LSTM(3, 4, bias=False)": (x(5, 3),),
    "nn.GRU(3, 4)": (x(5, 2, 3),),
    "nn.GRU(3, 4, 3, batch_first=True, bidirectional=True)": (x(1, 3, 3), x(6, 1, 4)),
    "nn.GRU(3, 4, bias=False)": (x(1, 3),),
    "nn.RNNCell(3, 4)": (x(2, 3),),
    "nn.RNNCell(3, 4, False, 'relu')": (x(2, 3), x(2, 4)),
    "nn.LSTMCell(3, 4)": (x(2, 3), (x(2, 4), x(2, 4, seed=1))),
    "nn.LSTMCell(3, 4, bias=False)": (x(3),),
    "nn.GRUCell(3, 4)": (x(2, 3), x(2, 4)),
    "nn.GRUCell(3, 4, False)": (x(3), x(4)),
}
POSITIVE = np.abs(x(4, 3)) + 0.2
SIGNS = np.sign(x(4, 3, seed=3))
ACTIVATIONS = {
    **{f"nn.{name}()": (x(2, 4),) for name in (
        "CELU", "Hardsigmoid", "Hardswish", "Mish", "SELU", "Softsign", "Tanhshrink", "Hardshrink",
        "Softshrink", "GLU", "PReLU",
    )},
    "nn.CELU(0.7, inplace=False)": (x(2, 4),),
    "nn.GLU(0)": (x(2, 4),),
    "nn.Hardshrink(0.2)": (x(2, 4),),
    "nn.Softshrink(0.2)": (x(2, 4),),
    "nn.PReLU(3, 0.4)": (x(2, 3, 2),),
    "nn.RReLU(0.3, 0.3)": (x(2, 4),),
    "nn.Softmin(1)": (x(2, 4),),
    "nn.Softmax2d()": (x(1, 3, 2, 2),),
    "nn.Threshold(0.3, 2.0)": (x(2, 4),),
    "nn.ReLU(inplace=False)": (x(2, 4),),
    "nn.LeakyReLU(0.2)": (x(2, 4),),
    "nn.Hardtanh(-0.5, 0.5)": (x(2, 4),),
}  # fmt: skip
LOSSES = {
    "nn.KLDivLoss(reduction='batchmean')": (x(4, 3), [POSITIVE]),
    "nn.KLDivLoss(log_target=True)": (x(4, 3), x(4, 3, seed=1)),
    "nn.PoissonNLLLoss()": (x(4, 3), [POSITIVE]),
    "nn.PoissonNLLLoss(False, True, reduction='sum')": (POSITIVE, [n(4, 3, below=5) * 1.0]),
    "nn.GaussianNLLLoss(full=True)": (x(4, 3), x(4, 3, seed=1), POSITIVE),
    "nn.HingeEmbeddingLoss(0.5)": (x(4, 3), [SIGNS]),
    "nn.MarginRankingLoss(0.1)": (x(4, 3), x(4, 3, seed=1), [SIGNS]),
    "nn.CosineEmbeddingLoss(0.1)": (x(4, 3), x(4, 3, seed=1), [SIGNS[:, 0]]),
    "nn.SoftMarginLoss(reduction='none')": (x(4, 3), [SIGNS]),
    "nn.MultiMarginLoss()": (x(4, 3), n(4)),
    "nn.MultiMarginLoss(2, 0.5, reduction='sum')": (x(4, 3), n(4)),
    "nn.MultiLabelMarginLoss()": (x(4, 3), np.array([[0, 2, -1]] * 4)),
    "nn.MultiLabelSoftMarginLoss()": (x(4, 3), [n(4, 3, below=2) * 1.0]),
    "nn.TripletMarginLoss(swap=True)": (x(4, 3), x(4, 3, seed=1), x(4, 3, seed=2)),
    "nn.TripletMarginWithDistanceLoss(margin=0.5)": (x(4, 3), x(4, 3, seed=1), x(4, 3, seed=2)),
    "nn.MSELoss(size_average=False)": (x(4, 3), x(4, 3, seed=1)),
    "nn.L1Loss(reduce=False)": (x(4, 3), x(4, 3, seed=1)),
    "nn.BCEWithLogitsLoss(None, None, None, 'sum')": (x(4, 3), [n(4, 3, below=2) * 1.0]),
    "nn.CrossEntropyLoss(None, None, -100, None, 'sum')": (x(4, 3), n(4)),
    "nn.LinearCrossEntropyLoss(3, 4)": (x(4, 3), n(4)),
    "nn.LinearCrossEntropyLoss(3, 4, out_features=(2,), bias=True, label_smoothing=0.1)": (
        x(4, 3),
        n(4, 2),
    ),
}
SPACE = {
    "nn.Conv3d(2, 3, 2, padding=1)": (x(1, 2, 3, 2, 3),),
    "nn.Conv1d(2, 4, 2, padding='same', groups=2)": (x(1, 2, 4),),
    "nn.ConvTranspose1d(2, 4, 3, 2, 1, 1, groups=2, dilation=2)": (x(2, 2, 4),),
    "nn.ConvTranspose2d(2, 3, 2, stride=2, bias=False)": (x(2, 2, 3),),
    "nn.ConvTranspose2d(2, 3, 3, 2, output_padding=1)": (x(1, 2, 2, 2),),
    "nn.ConvTranspose3d(2, 1, 2, 2)": (x(1, 2, 2, 1, 2),),
    "nn.FractionalMaxPool2d((2, 3), output_size=1)": (x(1, 2, 4, 5),),
    "nn.FractionalMaxPool3d(2, output_size=1)": (x(1, 2, 3, 3, 4),),
    "nn.MaxPool3d(2, padding=1)": (x(1, 2, 3, 2, 4),),
    "nn.AvgPool3d(2, 1)": (x(1, 2, 3, 2, 4),),
    "nn.AdaptiveAvgPool3d((1, 2, None))": (x(1, 2, 3, 2, 4),),
    "nn.AdaptiveMaxPool3d(2)": (x(1, 2, 3, 2, 4),),
    "nn.LPPool1d(2, 2)": (x(1, 2, 4),),
    "nn.LPPool2d(3.0, 2, 1)": (np.abs(x(1, 2, 3, 4)),),
    "nn.LPPool3d(2, 2)": (x(1, 1, 2, 2, 4),),
    "nn.MaxUnpool1d(2)": (x(1, 1, 2), np.array([[[1, 2]]])),
    "nn.MaxUnpool2d(2)": (x(1, 1, 1, 2), np.array([[[[1, 6]]]])),
    "nn.MaxUnpool3d(2)": (x(1, 1, 1, 1, 1), np.array([[[[[3]]]]])),
    **{f"nn.{kind}Pad1d({p})": (x(1, 2, 4),) for kind, p in (
        ("Zero", "(1, 2)"), ("Constant", "(1, 2), 0.5"), ("Reflection", "(1, 2)"),
        ("Replication", "2"), ("Circular", "(1, 2)"),
    )},
    **{f"nn.{kind}Pad2d({p})": (x(1, 2, 3, 3),) for kind, p in (
        ("Zero", "(1, 2, -1, 0)"), ("Constant", "1, 0.5"), ("Reflection", "(1, 2, 0, 1)"),
        ("Replication", "1"), ("Circular", "(1, 2, 0, 1)"),
    )},
    **{f"nn.{kind}Pad3d({p})": (x(1, 1, 2, 2, 3),) for kind, p in (
        ("Zero", "1"), ("Constant", "(1, 0, 0, 1, 1, 0), 0.5"), ("Reflection", "1"),
        ("Replication", "(1, 0, 0, 1, 1, 0)"), ("Circular", "1"),
    )},
    "nn.PixelShuffle(2)": (x(1, 4, 2, 2),),
    "nn.PixelUnshuffle(2)": (x(1, 1, 2, 4),),
    "nn.ChannelShuffle(2)": (x(1, 4, 2),),
    "nn.Fold((3, 3), 2)": (x(1, 4, 4),),
    "nn.Unfold(2, padding=1)": (x(1, 1, 2, 3),),
    "nn.Upsample(scale_factor=2, mode='linear')": (x(1, 2, 3),),
    "nn.Upsample((2, 4), mode='bicubic', align_corners=True)": (x(1, 1, 3, 2),),
    "nn.UpsamplingNearest2d(scale_factor=2)": (x(1, 1, 2, 2),),
    "nn.UpsamplingBilinear2d(size=3)": (x(1, 1, 2, 2),),
}  # fmt: skip
OTHERS = {
    "nn.CosineSimilarity(1)": (x(4, 3), x(4, 3, seed=1)),
    "nn.PairwiseDistance(2.0, keepdim=True)": (x(4, 3), x(4, 3, seed=1)),
    "nn.Bilinear(3, 2, 4)": (x(4, 3), x(4, 2)),
    "nn.Bilinear(3, 2, 4, False)": (x(4, 3), x(4, 2)),
    "nn.EmbeddingBag(5, 3)": (n(4, 2, below=5),),
    "nn.EmbeddingBag(5, 3, mode='max', padding_idx=1)": (n(4, 2, below=5),),
    "nn.Embedding(5, 3, 1, scale_grad_by_freq=True)": (n(4, 2, below=5),),
    "nn.GroupNorm(2, 4)": (x(2, 4, 3),),
    "nn.GroupNorm(1, 4, affine=False)": (x(2, 4),),
    "nn.InstanceNorm1d(2)": (x(2, 2, 3),),
    "nn.InstanceNorm1d(2, affine=True, track_running_stats=True)": (x(2, 2, 3),),
    "nn.InstanceNorm2d(2, affine=True)": (x(2, 2, 3),),
    "nn.InstanceNorm3d(2, track_running_stats=True)": (x(1, 2, 2, 2, 2),),
    "nn.BatchNorm3d(2)": (x(2, 2, 1, 2, 2),),
    "nn.RMSNorm(3)": (x(2, 3),),
    "nn.RMSNorm((2, 3), 1e-3, False)": (x(2, 2, 3),),
    "nn.LocalResponseNorm(2)": (x(1, 4, 3),),
    "nn.Dropout1d(0.0)": (x(1, 2, 3),),
    "nn.Dropout2d(0.0)": (x(1, 2, 3, 1),),
    "nn.Dropout3d(0.0)": (x(1, 2, 3, 1, 1),),
    "nn.AlphaDropout(0.0)": (x(2, 3),),
    "nn.FeatureAlphaDropout(0.0)": (x(2, 3),),
}
HIDDEN = np.triu(np.ones((3, 3), bool), 1)
PADDED = np.array([[False, False, True], [False, False, False]])
ATTENTION = {
    "nn.MultiheadAttention(4, 2)": (x(3, 2, 4), x(3, 2, 4, seed=1), x(3, 2, 4, seed=2)),
    "nn.MultiheadAttention(4, 2, bias=False, batch_first=True)": (
        *(x(2, 3, 4), x(2, 3, 4, seed=1), x(2, 3, 4, seed=2), PADDED, False, HIDDEN),
    ),
    "nn.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=2)": (
        *(x(3, 2, 4), x(3, 2, 3), x(3, 2, 2), PADDED, True, x(4, 3, 3), False),
    ),
    "nn.MultiheadAttention(4, 1)": (x(3, 4), x(3, 4, seed=1), x(3, 4, seed=2)),
    "nn.TransformerEncoderLayer(4, 2, 3, 0.0)": (x(3, 2, 4), HIDDEN, PADDED),
    "nn.TransformerEncoderLayer(4, 1, 3, 0.0, 'gelu', 1e-3, True, True, False)": (x(2, 3, 4),),
    "nn.TransformerDecoderLayer(4, 2, 3, 0.0)": (x(3, 2, 4), x(2, 2, 4), HIDDEN),
    "nn.TransformerDecoderLayer(4, 2, 3, 0.0, norm_first=True)": (x(3, 4), x(2, 4)),
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 3, 0.0), 2, nn.LayerNorm(4))": (
        *(x(3, 2, 4), HIDDEN),
    ),
    "nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 3, 0.0), 2)": (x(3, 2, 4), x(2, 2, 4)),
    "nn.Transformer(4, 2, 1, 1, 3, 0.0)": (x(3, 2, 4), x(2, 2, 4)),
    "nn.Transformer(4, 2, 1, 1, 3, 0.0, batch_first=True, norm_first=True)": (
        *(x(2, 3, 4), x(2, 3, 4, seed=1), HIDDEN, HIDDEN, None, PADDED),
    ),
}
CASES: dict[str, tuple[Any, ...]] = {
    **SEQUENCES,
    **ACTIVATIONS,
    **LOSSES,
    **SPACE,
    **OTHERS,
    **ATTENTION,
}


# ---------------------------------------------------------------- running one
def leaves(found: Any) -> Iterator[Any]:
    """Yield the tensors of nested tuples and lists."""
    if isinstance(found, tuple | list):
        for part in found:
            yield from leaves(part)
    elif found is not None:
        yield found


def built(kit: Kit, value: Any, inputs: list[Any]) -> Any:
    """Return arrays as tensors, and list the floating ones, which are differentiated."""
    if isinstance(value, list):
        return kit.tensor(value[0])
    if isinstance(value, tuple):
        return tuple(built(kit, part, inputs) for part in value)
    if not isinstance(value, np.ndarray):
        return value
    floating = value.dtype.kind == "f"
    made = kit.tensor(value, floating)
    if floating:
        inputs.append(made)
    return made


def filled(kit: Kit, module: Any) -> None:
    """Set a module's floating state to fixed numbers, variances to positive ones."""
    for i, (name, t) in enumerate(sorted(module.state_dict().items())):
        if t.is_floating_point():
            value = x(*t.shape, seed=i + 1) / 2
            t.copy_(kit.tensor(np.abs(value) + 0.5 if name.endswith("var") else value))


def run(kit: Kit, key: str, training: bool) -> Values:
    """Return the outputs of a case, its gradients and its buffers."""
    module = eval(key, {"nn": kit.nn}).double().train(training)
    filled(kit, module)
    inputs: list[Any] = []
    arguments = [built(kit, value, inputs) for value in CASES[key]]
    outputs = list(leaves(module(*arguments)))
    loss = None
    for i, y in enumerate(outputs):
        if y.is_floating_point():
            term = (y * kit.tensor(x(*y.shape, seed=50 + i))).sum()
            loss = term if loss is None else loss + term
    if loss is not None and loss.requires_grad:
        loss.backward()
    found = {f"y{i}": kit.array(y) for i, y in enumerate(outputs)}
    named = [(f"x{i}", t) for i, t in enumerate(inputs)] + list(module.named_parameters())
    found |= {f"d{name}": kit.array(t.grad) for name, t in named if t.grad is not None}
    return found | {name: kit.array(b) for name, b in module.named_buffers()}


KEYS = [(key, training) for key, training in itertools.product(CASES, (True, False))]
