"""One or more samples of every module in the registry: how it is made, and what it is called on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from tests.nn.module_cases import CASES
from tests.nn.nn_cases import unpacked
from tests.npz import arrays_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """A module, its inputs, the shape it must give (None where it has no forward), its repr."""

    make: Callable[[], nn.Module]
    inputs: tuple[Array, ...]
    shape: tuple[int, ...] | None
    text: str

    def numbers(self) -> int:
        """Return how many numbers there are to differentiate by."""
        own = [p.numel() for p in self.make().parameters()]
        return sum(own) + sum(x.size for x in self.inputs if x.dtype.kind == "f")


X = np.random.default_rng(0).standard_normal((4, 3)) + 0.05
T = np.random.default_rng(1).standard_normal((4, 3))
P = 1 / (1 + np.exp(-X))
IMAGE = np.random.default_rng(2).permutation(48).reshape(2, 2, 2, 6) / 10  # without ties
CLASSES = np.array([0, 2, 1, 2])


def same(make: Callable[[], nn.Module], text: str, x: Array = X) -> list[Sample]:
    return [Sample(make, (x,), x.shape, text)]


def loss(make: Callable[[], nn.Module], text: str, *inputs: Array) -> list[Sample]:
    return [Sample(make, inputs or (X, T), (), text)]


def pair() -> list[nn.Module]:
    return [nn.Linear(3, 5), nn.Tanh()]


PAIR = "(0): Linear(in_features=3, out_features=5, bias=True)\n  (1): Tanh()\n)"

# Lazy modules as they are after their first input.
NORM = "eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)"
INSTANCE = "eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=False)"
VOLUME = "kernel_size=(1, 2, 6), stride=(1, 1, 1)"
LAZY: list[tuple[str, tuple[Any, ...], Array, tuple[int, ...], str]] = [
    ("Linear", (5,), X, (4, 5), "Linear(in_features=3, out_features=5, bias=True)"),
    (
        "Conv1d",
        (3, 2),
        IMAGE[0],
        (2, 3, 5),
        "Conv1d(2, 3, kernel_size=(2,), stride=(1,))",
    ),
    (
        "Conv2d",
        (3, (2, 3), 2),
        IMAGE,
        (2, 3, 1, 2),
        "Conv2d(2, 3, kernel_size=(2, 3), stride=(2, 2))",
    ),
    ("BatchNorm1d", (), X, (4, 3), f"BatchNorm1d(3, {NORM}"),
    ("BatchNorm2d", (), X.reshape(2, 2, 1, 3), (2, 2, 1, 3), f"BatchNorm2d(2, {NORM}"),
    ("BatchNorm3d", (), X.reshape(2, 2, 1, 1, 3), (2, 2, 1, 1, 3), f"BatchNorm3d(2, {NORM}"),
    *(
        (f"InstanceNorm{d}d", (1e-5, 0.1, True), x, x.shape, f"InstanceNorm{d}d(2, {INSTANCE}")
        for d, x in enumerate((X.reshape(2, 2, 3), IMAGE[:1, :, :, :2], IMAGE[:1, :, None]), 1)
    ),
    ("Conv3d", (1, (1, 2, 6)), IMAGE[:1, :, None], (1, 1, 1, 1, 1), f"Conv3d(2, 1, {VOLUME})"),
    *(
        (f"ConvTranspose{d}d", (1, 1), x, (1, 1, *x.shape[2:]), f"ConvTranspose{d}d(2, 1, {one})")
        for d, x, one in (
            (
                1,
                IMAGE[0, :1, :, :2].swapaxes(0, 1).reshape(1, 2, 2),
                "kernel_size=(1,), stride=(1,)",
            ),
            (2, IMAGE[:1, :, :, :2], "kernel_size=(1, 1), stride=(1, 1)"),
            (3, IMAGE[:1, :, None, :, :2], "kernel_size=(1, 1, 1), stride=(1, 1, 1)"),
        )
    ),
]


def called(name: str, options: tuple[Any, ...], x: Array) -> nn.Module:
    """Return a lazy module after its first input."""
    module: nn.Module = getattr(nn, name)(*options)
    module.eval()(mg.Tensor(x.astype(np.float32)))
    return module.train()


SAMPLES: dict[str, list[Sample]] = {
    "Linear": [
        Sample(
            lambda: nn.Linear(3, 5),
            (X,),
            (4, 5),
            "Linear(in_features=3, out_features=5, bias=True)",
        ),
        Sample(
            lambda: nn.Linear(3, 5, bias=False),
            (X.reshape(2, 2, 3),),
            (2, 2, 5),
            "Linear(in_features=3, out_features=5, bias=False)",
        ),
    ],
    "Identity": same(lambda: nn.Identity(54, unused=True), "Identity()"),
    "BatchNorm1d": [
        *same(
            lambda: nn.BatchNorm1d(3),
            "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True,"
            " track_running_stats=True)",
        ),
        *same(
            lambda: nn.BatchNorm1d(2, affine=False, track_running_stats=False, momentum=None),
            "BatchNorm1d(2, eps=1e-05, momentum=None, affine=False, bias=False,"
            " track_running_stats=False)",
            X.reshape(2, 2, 3),
        ),
    ],
    "BatchNorm2d": same(
        lambda: nn.BatchNorm2d(2),
        "BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
        X.reshape(2, 2, 1, 3),
    ),
    "LayerNorm": [
        *same(
            lambda: nn.LayerNorm(3),
            "LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=True)",
        ),
        *same(
            lambda: nn.LayerNorm((2, 3), bias=False),
            "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=False)",
            X.reshape(2, 2, 3),
        ),
    ],
    "Dropout": [
        *same(lambda: nn.Dropout(0.4), "Dropout(p=0.4, inplace=False)"),
        *same(
            lambda: nn.Dropout(0.4, scaling="classical"),
            "Dropout(p=0.4, inplace=False, scaling='classical')",
        ),
    ],
    "Embedding": [
        Sample(lambda: nn.Embedding(5, 2), (CLASSES,), (4, 2), "Embedding(5, 2)"),
        Sample(
            lambda: nn.Embedding(5, 2, padding_idx=-1),
            (CLASSES,),
            (4, 2),
            "Embedding(5, 2, padding_idx=4)",
        ),
    ],
    "Flatten": [
        Sample(nn.Flatten, (X.reshape(2, 2, 3),), (2, 6), "Flatten(start_dim=1, end_dim=-1)")
    ],
    "Unflatten": [
        Sample(
            lambda: nn.Unflatten(0, (2, -1)),
            (X,),
            (2, 2, 3),
            "Unflatten(dim=0, unflattened_size=(2, -1))",
        )
    ],
    "Conv1d": [
        Sample(
            lambda: nn.Conv1d(2, 4, 3, padding="same", groups=2),
            (IMAGE[0],),
            (2, 4, 6),
            "Conv1d(2, 4, kernel_size=(3,), stride=(1,), padding=same, groups=2)",
        ),
        Sample(
            lambda: nn.Conv1d(2, 3, 2, 2, 1, 2, bias=False, padding_mode="circular"),
            (IMAGE[0],),
            (2, 3, 3),
            "Conv1d(2, 3, kernel_size=(2,), stride=(2,), padding=(1,), dilation=(2,), bias=False,"
            " padding_mode=circular)",
        ),
    ],
    "Conv2d": [
        Sample(
            lambda: nn.Conv2d(2, 3, (3, 2), padding=(1, 0)),
            (IMAGE,),
            (2, 3, 2, 5),
            "Conv2d(2, 3, kernel_size=(3, 2), stride=(1, 1), padding=(1, 0))",
        )
    ],
    "MaxPool1d": [
        Sample(
            lambda: nn.MaxPool1d(3, 2, 1),
            (IMAGE[0],),
            (2, 2, 3),
            "MaxPool1d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)",
        )
    ],
    "MaxPool2d": [
        Sample(
            lambda: nn.MaxPool2d(2),
            (IMAGE,),
            (2, 2, 1, 3),
            "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
        )
    ],
    "AvgPool1d": [
        Sample(
            lambda: nn.AvgPool1d(2),
            (IMAGE[0],),
            (2, 2, 3),
            "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))",
        )
    ],
    "AvgPool2d": [
        Sample(
            lambda: nn.AvgPool2d(2, (1, 3), 1, ceil_mode=True),
            (IMAGE,),
            (2, 2, 3, 3),
            "AvgPool2d(kernel_size=2, stride=(1, 3), padding=1)",
        )
    ],
    "AdaptiveAvgPool1d": [
        Sample(
            lambda: nn.AdaptiveAvgPool1d(4),
            (IMAGE[0],),
            (2, 2, 4),
            "AdaptiveAvgPool1d(output_size=4)",
        )
    ],
    "AdaptiveAvgPool2d": [
        Sample(
            lambda: nn.AdaptiveAvgPool2d((1, None)),
            (IMAGE,),
            (2, 2, 1, 6),
            "AdaptiveAvgPool2d(output_size=(1, None))",
        )
    ],
    "AdaptiveMaxPool1d": [
        Sample(
            lambda: nn.AdaptiveMaxPool1d(4),
            (IMAGE[0],),
            (2, 2, 4),
            "AdaptiveMaxPool1d(output_size=4)",
        )
    ],
    "AdaptiveMaxPool2d": [
        Sample(
            lambda: nn.AdaptiveMaxPool2d(1),
            (IMAGE,),
            (2, 2, 1, 1),
            "AdaptiveMaxPool2d(output_size=1)",
        )
    ],
    "ReLU": same(nn.ReLU, "ReLU()"),
    "Tanh": same(nn.Tanh, "Tanh()"),
    "Sigmoid": same(nn.Sigmoid, "Sigmoid()"),
    "SiLU": same(nn.SiLU, "SiLU()"),
    "LogSigmoid": same(nn.LogSigmoid, "LogSigmoid()"),
    "GELU": [
        *same(nn.GELU, "GELU(approximate='none')"),
        *same(lambda: nn.GELU("tanh"), "GELU(approximate='tanh')"),
    ],
    "Softplus": [
        *same(nn.Softplus, "Softplus(beta=1.0, threshold=20.0)"),
        *same(lambda: nn.Softplus(2.0, 1.0), "Softplus(beta=2.0, threshold=1.0)"),
    ],
    "LeakyReLU": same(lambda: nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
    "ELU": same(lambda: nn.ELU(0.7), "ELU(alpha=0.7)"),
    "Hardtanh": same(lambda: nn.Hardtanh(-0.5, 0.7), "Hardtanh(min_val=-0.5, max_val=0.7)"),
    "ReLU6": same(nn.ReLU6, "ReLU6()"),
    "Softmax": same(lambda: nn.Softmax(1), "Softmax(dim=1)"),
    "LogSoftmax": same(lambda: nn.LogSoftmax(dim=0), "LogSoftmax(dim=0)"),
    "CrossEntropyLoss": [
        *loss(nn.CrossEntropyLoss, "CrossEntropyLoss()", X, CLASSES),
        *loss(
            lambda: nn.CrossEntropyLoss(
                mg.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1, ignore_index=1
            ),
            "CrossEntropyLoss()",
            X,
            CLASSES,
        ),
        *loss(nn.CrossEntropyLoss, "CrossEntropyLoss()", X, np.abs(T)),
    ],
    "NLLLoss": loss(lambda: nn.NLLLoss(mg.tensor([1.0, 2.0, 0.5])), "NLLLoss()", X, CLASSES),
    "MSELoss": loss(nn.MSELoss, "MSELoss()"),
    "L1Loss": loss(lambda: nn.L1Loss(reduction="sum"), "L1Loss()"),
    "SmoothL1Loss": loss(lambda: nn.SmoothL1Loss(beta=0.5), "SmoothL1Loss()"),
    "HuberLoss": loss(lambda: nn.HuberLoss(delta=0.5), "HuberLoss()"),
    "BCELoss": loss(nn.BCELoss, "BCELoss()", P, np.abs(np.sin(T))),
    "BCEWithLogitsLoss": loss(
        lambda: nn.BCEWithLogitsLoss(pos_weight=mg.tensor([1.0, 2.0, 3.0])),
        "BCEWithLogitsLoss()",
        X,
        np.abs(np.sin(T)),
    ),
    "Sequential": [
        Sample(lambda: nn.Sequential(*pair()), (X,), (4, 5), "Sequential(\n  " + PAIR),
        Sample(nn.Sequential, (X,), (4, 3), "Sequential()"),
    ],
    "ModuleList": [
        Sample(lambda: nn.ModuleList(pair()), (), None, "ModuleList(\n  " + PAIR),
        Sample(
            lambda: nn.ModuleList([nn.Linear(3, 5, bias=False), nn.Tanh(), nn.Tanh()]),
            (),
            None,
            "ModuleList(\n  (0): Linear(in_features=3, out_features=5, bias=False)\n"
            "  (1-2): 2 x Tanh()\n)",
        ),
    ],
    "ModuleDict": [
        Sample(
            lambda: nn.ModuleDict({"act": nn.Tanh(), "head": nn.Linear(3, 1)}),
            (),
            None,
            "ModuleDict(\n  (act): Tanh()\n"
            "  (head): Linear(in_features=3, out_features=1, bias=True)\n)",
        )
    ],
    "RNN": [
        Sample(
            lambda: nn.RNN(3, 2, nonlinearity="tanh", batch_first=True),
            (X.reshape(2, 2, 3),),
            (12,),
            "RNN(3, 2, batch_first=True)",
        )
    ],
    "LSTM": [
        Sample(
            lambda: nn.LSTM(3, 3, 2, proj_size=1, bidirectional=True),
            (X.reshape(2, 2, 3),),
            (40,),
            "LSTM(3, 3, proj_size=1, num_layers=2, bidirectional=True)",
        )
    ],
    "GRU": [
        Sample(
            lambda: nn.GRU(3, 2, bias=False),
            (X.reshape(2, 2, 3),),
            (12,),
            "GRU(3, 2, bias=False)",
        )
    ],
    "RNNCell": [
        Sample(lambda: nn.RNNCell(3, 5), (X,), (4, 5), "RNNCell(3, 5)"),
        Sample(
            lambda: nn.RNNCell(3, 5, nonlinearity="relu"),
            (X,),
            (4, 5),
            "RNNCell(3, 5, nonlinearity=relu)",
        ),
    ],
    "LSTMCell": [Sample(lambda: nn.LSTMCell(3, 2), (X,), (16,), "LSTMCell(3, 2)")],
    "SyncBatchNorm": [
        Sample(lambda: nn.SyncBatchNorm(3), (X,), (4, 3), f"SyncBatchNorm(3, {NORM}")
    ],
    "GRUCell": [Sample(lambda: nn.GRUCell(3, 5, False), (X,), (4, 5), "GRUCell(3, 5, bias=False)")],
    **{
        f"Lazy{name}": [Sample(partial(called, f"Lazy{name}", options, x), (x,), shape, text)]
        for name, options, x, shape, text in LAZY
    },
}


# ---------------------------------------------------------------- as PyTorch's answers have them
FOLDER = Path(__file__).parent.parent / "golden"
GOLDEN = unpacked(arrays_of(FOLDER / "modules.npz"))
DESCRIBED = json.loads((FOLDER / "modules.json").read_text())


def plain(inputs: tuple[Any, ...]) -> tuple[Array, ...] | None:
    """Return the arrays of a case's inputs, None where there are others than arrays among them."""
    arrays = [x[0] if isinstance(x, list) else x for x in inputs]
    return tuple(arrays) if all(isinstance(x, np.ndarray) for x in arrays) else None


def derived(key: str, inputs: tuple[Array, ...]) -> Sample:
    """Return the sample that a case of module_cases is."""
    outputs = [v for name, v in GOLDEN[f"{key}|True"].items() if re.fullmatch(r"y\d+", name)]
    shape = outputs[0].shape if len(outputs) == 1 else (sum(y.size for y in outputs),)
    make = partial(eval, key, {"nn": nn})
    return Sample(make, inputs, shape, DESCRIBED[key]["repr"])


SAMPLES["ParameterList"] = [
    Sample(
        lambda: nn.ParameterList([mg.zeros(2, 3), mg.ones(1)]),
        (),
        None,
        "ParameterList(\n    (0): Parameter containing: [minigrad.float32 of size 2x3]\n"
        "    (1): Parameter containing: [minigrad.float32 of size 1]\n)",
    )
]
SAMPLES["ParameterDict"] = [
    Sample(
        lambda: nn.ParameterDict({"a": mg.zeros(2)}),
        (),
        None,
        "ParameterDict((a): Parameter containing: [minigrad.float32 of size 2])",
    )
]
SAMPLES["CTCLoss"] = [
    Sample(
        nn.CTCLoss,
        (X[:, None] - 2.0, np.array([[1, 2]]), np.array([4]), np.array([2])),
        (),
        "CTCLoss()",
    )
]
for _key, _given in CASES.items():
    _name = _key.split("(")[0].removeprefix("nn.")
    _inputs = plain(_given)
    if _inputs is not None and (_name not in SAMPLES or _key.endswith("()")):
        SAMPLES.setdefault(_name, []).append(derived(_key, _inputs))
