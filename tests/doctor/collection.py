"""Faulty and clean programs that the doctor is measured on: `python -m tests.doctor`.

The faulty ones are ports, in a few lines, of the kinds of fault that public collections hold:
TheDeepChecker's planted regressions and image classifiers, the silent errors of TrainCheck,
GRIST's numerical bugs, the Keras programs of Stack Overflow that UMLAUT, AutoTrainer, DeepDiagnosis
and DeepFD are about, DeepCrime's mutations.  Each says which codes name its fault; one of them has
to be found.  The clean programs are right, and nothing may be found in them.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import DataLoader, TensorDataset
from minigrad.nn import functional as F
from minigrad.train import EarlyStopping, GradientClipping, ScheduleLR

Layers = Callable[[int, int], list[nn.Module]]


# ---------------------------------------------------------------- data
def regression(raw: bool = False, n: int = 320) -> tuple[Any, Any]:
    """Return fuel consumption as of cars: 7 features on their own scales, (n, 1) targets."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 7))
    y = 23 + 5 * z[:, :1] - 4 * z[:, 1:2] + 3 * np.sin(2 * z[:, 2:3]) + rng.normal(size=(n, 1)) / 2
    scale, shift = np.array([1, 100, 40, 800, 3, 4, 1]), np.array([5, 190, 100, 3000, 15, 76, 2])
    x = z * scale + shift if raw else z
    return x.astype(np.float32), (y if raw else (y - 23) / 7).astype(np.float32)


def digits(raw: bool = False, n: int = 480) -> tuple[Any, Any]:
    """Return handwritten digits, (n, 64) and the classes."""
    data = mg.data.load_digits()
    x, y = np.asarray(data.x)[:n], np.asarray(data.y)[:n]
    return (x * (16 if raw and x.max() <= 1 else 1) if raw else x / x.max()).astype(np.float32), y


def table(name: str, raw: bool = False) -> tuple[Any, Any]:
    """Return a built-in table, standardised unless `raw`."""
    data = getattr(mg.data, f"load_{name}")()
    x, y = np.asarray(data.x), np.asarray(data.y)
    return (x if raw else (x - x.mean(0)) / x.std(0)).astype(np.float32), y


def blob(kinds: int = 3, size: float = 1.0, n: int = 300) -> tuple[Any, Any]:
    """Return blobs of points in the plane, and which blob a point is of."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, kinds, n)
    centres = np.array([[-2, -2], [2, -1], [0, 2.5], [3, 3]])[:kinds]
    return (size * (centres[y] + rng.normal(size=(n, 2)) * 0.7)).astype(np.float32), y


def circles(size: float = 1.0, n: int = 300) -> tuple[Any, Any]:
    """Return two rings, and which ring a point is of as (n, 1) floats."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, n)
    angle, radius = rng.uniform(0, 2 * np.pi, n), 1 + y + rng.normal(size=n) * 0.1
    x = size * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return x.astype(np.float32), y[:, None].astype(np.float32)


def xor() -> tuple[Any, Any]:
    """Return the four rows of XOR, (4, 1) targets."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return x, np.array([[0], [1], [1], [0]], np.float32)


def one_hot(data: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return data with their classes as one-hot rows."""
    return data[0], np.eye(int(data[1].max()) + 1, dtype=np.float32)[data[1]]


def floats(data: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return data with their classes as (n, 1) floats."""
    return data[0], data[1].reshape(len(data[1]), -1).astype(np.float32)


# ---------------------------------------------------------------- programs
def mlp(*widths: int, act: Any = nn.ReLU, head: Any = None) -> nn.Sequential:
    """Return an MLP with an activation between its layers, and one at its end if asked for."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out)] + ([act()] if act is not None else [])
    if act is not None:
        layers.pop()
    return nn.Sequential(*layers, *([head()] if head is not None else []))


@dataclass
class Program:
    """A program: what is fitted, how, and which codes name its fault, none for a clean one."""

    source: str
    name: str
    codes: set[str]
    data: Callable[[], tuple[Any, Any]]
    model: Callable[[], nn.Module]
    loss: Any = F.cross_entropy
    optimizer: Any = field(default=lambda p: optim.AdamW(p, lr=5e-3))
    epochs: int = 30
    batch: int = 32
    callbacks: Callable[[Any], list[Any]] = lambda optimizer: []
    validation: Callable[[], tuple[Any, Any]] | None = None
    shuffle: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def run(self) -> mg.diagnosis.Report:
        """Run the program with a doctor beside it; return what it has found."""
        _ = mg.manual_seed(0)
        model = self.model()
        optimizer = self.optimizer(model.parameters())
        trainer = mg.Trainer(
            model, optimizer, self.loss, callbacks=self.callbacks(optimizer), doctor="collect"
        )
        train = DataLoader(TensorDataset(*self.data()), self.batch, shuffle=self.shuffle)
        held = self.validation
        loader = None if held is None else DataLoader(TensorDataset(*held()), 256)
        # Some are refused, or come to nothing: that is what the doctor is to name.
        with contextlib.suppress(ValueError, IndexError, TypeError, FloatingPointError):
            trainer.fit(train, loader, epochs=self.epochs)
        return trainer.doctor.report


def sgd(lr: float, **options: Any) -> Any:
    """Return what makes an SGD."""
    return lambda p: optim.SGD(p, lr=lr, **options)


def adam(lr: float = 5e-3, **options: Any) -> Any:
    """Return what makes an Adam."""
    return lambda p: optim.Adam(p, lr=lr, **options)


def initialised(model: nn.Sequential, values: Any) -> nn.Sequential:
    """Return a model whose weights are written by a function of their shape."""
    with mg.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.copy_(mg.tensor(values(p.shape).astype(np.float32)))
    return model


def shuffled_labels(data: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return data with their targets in another order."""
    return data[0], data[1][np.random.default_rng(3).permutation(len(data[1]))]


def twice_normalised() -> tuple[Any, Any]:
    """Return the regression's inputs, standardised, and divided by their raw scale again."""
    x, y = regression()
    return (x / np.array([500.0])).astype(np.float32), y


def regr(name: str, codes: set[str], **changes: Any) -> Program:
    """Return the regression of TheDeepChecker with a fault."""
    given = {
        "data": regression,
        "model": lambda: mlp(7, 64, 64, 1),
        "loss": F.mse_loss,
        "optimizer": adam(1e-3),
        "epochs": 60,
    }
    return Program("TheDeepChecker", f"regression, {name}", codes, **{**given, **changes})


def image(name: str, codes: set[str], **changes: Any) -> Program:
    """Return the image classifier of TheDeepChecker with a fault."""
    given = {"data": digits, "model": lambda: mlp(64, 64, 10), "epochs": 25}
    return Program("TheDeepChecker", f"images, {name}", codes, **{**given, **changes})


def keras(name: str, codes: set[str], data: Any, model: Any, loss: Any, **more: Any) -> Program:
    """Return a program of the kind that people ask about."""
    return Program("Keras programs", name, codes, data, model, loss, **more)


LR_HIGH, LR_LOW = {"MG406", "MG601", "MG602", "MG604"}, {"MG407", "MG701"}


def two_column(output: Any, target: Any) -> Any:
    """Return minus the mean log-probability, by hand."""
    return -(target * output.log()).sum(1).mean()


FAULTY: list[Program] = [
    # ------------------------------------------------ TheDeepChecker's 17 regressions
    regr("double normalisation", {"MG205", "MG407", "MG701"}, data=twice_normalised),
    regr("flipped sign", {"MG113"}, loss=lambda o, t: -F.mse_loss(o, t), epochs=10),
    regr("high learning rate", LR_HIGH, optimizer=adam(3.0)),
    regr("Adam's epsilon", {"MG410"}, optimizer=adam(1e-3, eps=1.0)),
    regr("low learning rate", LR_LOW, optimizer=adam(1e-6)),
    regr("missing normalisation", {"MG205", "MG211"}, data=lambda: regression(True)),
    regr(
        "missing regularisation",
        {"MG702", "MG703"},
        data=lambda: regression(n=24),
        validation=lambda: tuple(a[24:] for a in regression(n=200)),
        epochs=150,
    ),
    regr("over-regularisation", {"MG413"}, optimizer=adam(1e-3, weight_decay=5.0)),
    regr(
        "over-scaled outputs", {"MG211"}, data=lambda: (regression()[0], regression(True)[1] * 40)
    ),
    regr("ReLU at the end", {"MG104"}, model=lambda: mlp(7, 64, 1, head=nn.ReLU)),
    regr(
        "wrong activation", {"MG314", "MG701"}, model=lambda: mlp(7, 64, 64, 64, 1, act=nn.Sigmoid)
    ),
    regr(
        "constant weights",
        {"MG308"},
        model=lambda: initialised(mlp(7, 64, 64, 1), lambda s: np.full(s, 0.1)),
    ),
    regr(
        "weights too large",
        {"MG309"},
        model=lambda: initialised(
            mlp(7, 64, 64, 1), lambda s: np.random.default_rng(0).normal(size=s) * 10
        ),
    ),
    regr(
        "labels of other rows",
        {"MG216", "MG701", "MG704"},
        data=lambda: shuffled_labels(regression()),
    ),
    regr("loss that broadcasts", {"MG110"}, loss=lambda o, t: ((o - t.reshape(-1)) ** 2).mean()),
    regr(
        "loss summed",
        {"MG111", *LR_HIGH},
        loss=lambda o, t: ((o - t) ** 2).sum(),
        optimizer=sgd(0.05),
    ),
    regr("cross-entropy", {"MG103"}, loss=F.cross_entropy, epochs=3),
    # ------------------------------------------------ TheDeepChecker's classifiers
    image("missing normalisation", {"MG205"}, data=lambda: digits(True), optimizer=sgd(0.5)),
    image(
        "redundant softmax", {"MG101"}, model=lambda: mlp(64, 64, 10, head=lambda: nn.Softmax(1))
    ),
    image("missing softmax", {"MG106"}, data=lambda: one_hot(digits()), loss=two_column, epochs=2),
    image(
        "softmax over the batch",
        {"MG311"},
        model=lambda: mlp(64, 32, 10, head=lambda: nn.Softmax(0)),
        data=lambda: one_hot(digits()),
        loss=lambda o, t: -(t * (o + 1e-9).log()).sum(1).mean(),
    ),
    image("high learning rate", LR_HIGH, optimizer=adam(5.0)),
    image("low learning rate", LR_LOW, optimizer=adam(1e-6)),
    image("wrong labels", {"MG216", "MG701"}, data=lambda: shuffled_labels(digits())),
    image("unbalanced data", {"MG210"}, data=lambda: unbalanced(), epochs=2),
    image(
        "constant weights",
        {"MG308"},
        model=lambda: initialised(mlp(64, 64, 10), lambda s: np.full(s, 0.05)),
    ),
    image(
        "random weights",
        {"MG309"},
        model=lambda: initialised(
            mlp(64, 64, 10), lambda s: np.random.default_rng(0).normal(size=s) * 5
        ),
    ),
    image("wrong activation", {"MG301"}, model=lambda: mlp(64, 32, 32, 10, act=None)),
    image(
        "mean squared error",
        {"MG105"},
        data=lambda: one_hot(digits()),
        loss=F.mse_loss,
        model=lambda: mlp(64, 32, 10, head=nn.Sigmoid),
        optimizer=sgd(0.1),
    ),
    image("over-regularisation", {"MG413"}, optimizer=adam(5e-3, weight_decay=3.0)),
    image("flipped sign", {"MG113"}, loss=lambda o, t: -F.cross_entropy(o, t), epochs=3),
    image(
        "dropout too high",
        {"MG305"},
        model=lambda: nn.Sequential(
            nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.95), nn.Linear(64, 10)
        ),
    ),
    # ------------------------------------------------ Stack Overflow's Keras programs
    keras(
        "softmax over one unit",
        {"MG103"},
        circles,
        lambda: mlp(2, 16, 1, head=lambda: nn.Softmax(1)),
        F.binary_cross_entropy,
    ),
    keras(
        "relu before binary cross-entropy",
        {"MG106"},
        circles,
        lambda: mlp(2, 16, 1, head=nn.ReLU),
        F.binary_cross_entropy,
        epochs=5,
    ),
    keras(
        "no activation before binary cross-entropy",
        {"MG106"},
        circles,
        lambda: mlp(2, 16, 1),
        F.binary_cross_entropy,
        epochs=5,
    ),
    keras(
        "sigmoid and loss of logits",
        {"MG102"},
        circles,
        lambda: mlp(2, 16, 1, head=nn.Sigmoid),
        F.binary_cross_entropy_with_logits,
    ),
    keras(
        "sigmoid for a regression",
        {"MG104"},
        regression,
        lambda: mlp(7, 32, 1, head=nn.Sigmoid),
        F.mse_loss,
    ),
    keras(
        "tanh for a regression",
        {"MG104"},
        lambda: regression(True),
        lambda: mlp(7, 32, 1, head=nn.Tanh),
        F.mse_loss,
    ),
    keras(
        "softmax for a regression",
        {"MG103", "MG104"},
        regression,
        lambda: mlp(7, 32, 1, head=lambda: nn.Softmax(1)),
        F.mse_loss,
    ),
    keras(
        "sigmoid for exclusive classes",
        {"MG101"},
        lambda: table("iris"),
        lambda: mlp(4, 16, 3, head=nn.Sigmoid),
        F.cross_entropy,
    ),
    keras(
        "relu before cross-entropy",
        {"MG114"},
        lambda: table("wine"),
        lambda: mlp(13, 16, 3, head=nn.ReLU),
        F.cross_entropy,
    ),
    keras(
        "squared error for classes as numbers",
        {"MG105"},
        lambda: floats(table("wine", True)),
        lambda: mlp(13, 4, 1),
        F.mse_loss,
        epochs=15,
    ),
    keras(
        "one unit for three classes",
        {"MG105", "MG109"},
        lambda: floats(blob()),
        lambda: mlp(2, 16, 1, head=nn.Sigmoid),
        F.mse_loss,
    ),
    keras(
        "XOR, too few epochs",
        {"MG701", "MG417"},
        xor,
        lambda: mlp(2, 8, 1, act=nn.Tanh, head=nn.Sigmoid),
        F.binary_cross_entropy,
        optimizer=sgd(0.1),
        epochs=100,
        batch=4,
    ),
    keras(
        "XOR, learning rate too low",
        LR_LOW,
        xor,
        lambda: mlp(2, 8, 1, act=nn.Tanh, head=nn.Sigmoid),
        F.mse_loss,
        optimizer=sgd(0.001),
        epochs=200,
        batch=4,
    ),
    keras(
        "XOR without hidden activation",
        {"MG301"},
        xor,
        lambda: mlp(2, 8, 1, act=None),
        F.binary_cross_entropy_with_logits,
        epochs=200,
        batch=4,
    ),
    keras(
        "wine not scaled",
        {"MG205"},
        lambda: table("wine", True),
        lambda: mlp(13, 16, 3),
        F.cross_entropy,
        optimizer=sgd(0.01),
        epochs=20,
    ),
    keras(
        "breast cancer not scaled",
        {"MG205"},
        lambda: floats(table("breast_cancer", True)),
        lambda: mlp(30, 16, 1),
        F.binary_cross_entropy_with_logits,
        optimizer=sgd(0.01),
        epochs=10,
    ),
    keras(
        "labels from 1",
        {"MG202"},
        lambda: (blob()[0], blob()[1] + 1),
        lambda: mlp(2, 16, 3),
        F.cross_entropy,
        epochs=2,
    ),
    keras(
        "blobs times 100, deep",
        {"MG205", "MG314"},
        lambda: blob(3, 100.0),
        lambda: mlp(2, 16, 16, 16, 16, 3, act=nn.Sigmoid),
        F.cross_entropy,
        optimizer=sgd(0.01),
    ),
    keras(
        "vanishing gradient",
        {"MG603", "MG314"},
        circles,
        lambda: mlp(2, *[16] * 8, 1, act=nn.Sigmoid),
        F.binary_cross_entropy_with_logits,
        optimizer=sgd(0.1),
    ),
    keras(
        "exploding gradient",
        {"MG309", *LR_HIGH},
        circles,
        lambda: initialised(
            mlp(2, 32, 32, 32, 1), lambda s: np.random.default_rng(0).normal(size=s) * 3
        ),
        F.binary_cross_entropy_with_logits,
        optimizer=sgd(1.0),
    ),
    keras(
        "dying ReLU",
        {"MG604", "MG406", "MG312"},
        circles,
        lambda: mlp(2, 16, 16, 1),
        F.binary_cross_entropy_with_logits,
        optimizer=sgd(50.0),
    ),
    keras(
        "oscillating loss",
        {"MG406", "MG607"},
        lambda: table("iris"),
        lambda: mlp(4, 16, 3),
        F.cross_entropy,
        optimizer=sgd(8.0, momentum=0.9),
    ),
    keras(
        "slow convergence",
        {"MG407", "MG417", "MG701"},
        lambda: table("iris"),
        lambda: mlp(4, 16, 3),
        F.cross_entropy,
        optimizer=sgd(0.001),
        epochs=20,
    ),
    keras(
        "labels not one-hot for sigmoids",
        {"MG107"},
        lambda: one_hot(digits()),
        lambda: mlp(64, 8, 10, head=nn.Sigmoid),
        F.binary_cross_entropy,
        optimizer=sgd(0.05),
    ),
    keras(
        "hidden softmax",
        {"MG307"},
        lambda: table("iris"),
        lambda: mlp(4, 16, 3, act=lambda: nn.Softmax(1)),
        F.cross_entropy,
    ),
    keras("one hidden unit", {"MG310"}, digits, lambda: mlp(64, 1, 10), F.cross_entropy),
    keras(
        "batches of the whole set",
        {"MG710", "MG701"},
        digits,
        lambda: mlp(64, 32, 10),
        F.cross_entropy,
        batch=480,
        epochs=10,
        optimizer=adam(1e-3),
    ),
    keras(
        "not shuffled",
        {"MG209"},
        lambda: sorted_rows(table("iris")),
        lambda: mlp(4, 16, 3),
        F.cross_entropy,
        shuffle=False,
        batch=16,
    ),
    keras(
        "dropout before batch-norm",
        {"MG302"},
        lambda: table("iris"),
        lambda: nn.Sequential(
            nn.Linear(4, 16), nn.Dropout(0.5), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)
        ),
        F.cross_entropy,
    ),
    keras(
        "double ReLU and sigmoid",
        {"MG306"},
        circles,
        lambda: nn.Sequential(
            nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1), nn.ReLU(), nn.Sigmoid()
        ),
        F.binary_cross_entropy,
    ),
    # ------------------------------------------------ TrainCheck's silent errors
    Program(
        "TrainCheck",
        "layers in a plain list",
        {"MG313"},
        lambda: table("iris"),
        lambda: Listed(),
        optimizer=lambda p: optim.AdamW(p, lr=5e-3),
    ),
    Program(
        "TrainCheck",
        "a layer that forward leaves out",
        {"MG405"},
        lambda: table("iris"),
        lambda: Unused(),
    ),
    Program(
        "TrainCheck",
        "batch-norm over batches of two",
        {"MG304"},
        lambda: table("iris"),
        lambda: nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)),
        batch=2,
        epochs=2,
    ),
    Program(
        "TrainCheck",
        "schedule in the wrong unit",
        {"MG501", "MG502", "MG503"},
        lambda: table("iris"),
        lambda: mlp(4, 16, 3),
        epochs=20,
        callbacks=lambda o: [ScheduleLR(optim.lr_scheduler.StepLR(o, 3, 0.1), per="step")],
    ),
    # ------------------------------------------------ GRIST's numerical bugs
    Program(
        "GRIST",
        "logarithm of 0",
        {"MG601", "MG106"},
        lambda: one_hot(blob()),
        lambda: mlp(2, 8, 3, head=nn.ReLU),
        loss=two_column,
        epochs=2,
    ),
    Program(
        "GRIST",
        "softmax by hand overflows",
        {"MG601"},
        lambda: blob(3, 300.0),
        lambda: mlp(2, 8, 3),
        loss=lambda o, t: (
            -(o.exp() / o.exp().sum(1, keepdim=True)).log()[mg.arange(len(t)), t].mean()
        ),
        epochs=2,
        optimizer=sgd(0.5),
    ),
    Program(
        "GRIST",
        "division by a spread of 0",
        {"MG601", "MG212"},
        lambda: (blob()[0] * np.float32(0), blob()[1]),
        lambda: Normalised(),
        epochs=2,
    ),
    # ------------------------------------------------ DeepCrime's mutations
    Program(
        "DeepCrime",
        "training rows in the validation set",
        {"MG208"},
        lambda: table("iris"),
        lambda: mlp(4, 16, 3),
        validation=lambda: table("iris"),
    ),
    Program(
        "DeepCrime",
        "label noise",
        {"MG216", "MG701", "MG704"},
        lambda: noisy(digits()),
        lambda: mlp(64, 32, 10),
    ),
    Program(
        "DeepCrime",
        "rows of one class removed",
        {"MG215"},
        lambda: tuple(a[table("iris")[1] < 2] for a in table("iris")),
        lambda: mlp(4, 16, 3),
        validation=lambda: table("iris"),
    ),
    Program(
        "DeepCrime",
        "gradient clip too small",
        {"MG414", "MG407", "MG701"},
        digits,
        lambda: mlp(64, 32, 10),
        optimizer=sgd(0.05),
        callbacks=lambda o: [GradientClipping(1e-4)],
    ),
    Program(
        "DeepCrime",
        "activation removed",
        {"MG301"},
        circles,
        lambda: mlp(2, 16, 1, act=None),
        F.binary_cross_entropy_with_logits,
    ),
    Program(
        "DeepCrime",
        "epochs",
        {"MG701"},
        digits,
        lambda: mlp(64, 32, 10),
        optimizer=adam(1e-3),
        epochs=5,
    ),
]


class Listed(nn.Module):
    """Keeps its hidden layers in a list, where nobody finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = [nn.Linear(4, 16)]
        self.last = nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return self.last(self.hidden[0](x).relu())


class Unused(nn.Module):
    """Has a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return self.last(self.first(x).relu())


class Normalised(nn.Module):
    """Divides its inputs by their spread."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 8, 3)

    def forward(self, x: Any) -> Any:
        return self.net((x - x.mean(0)) / x.std(0))


def unbalanced() -> tuple[Any, Any]:
    """Return digits of which nearly all are zeros."""
    x, y = digits(n=1700)
    kept = np.flatnonzero(y == 0).tolist() + np.flatnonzero(y == 1)[:8].tolist()
    return x[kept], y[kept]


def sorted_rows(data: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return data ordered by their classes."""
    order = np.argsort(data[1], kind="stable")
    return data[0][order], data[1][order]


def noisy(data: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return data of which most labels are drawn at random."""
    rng = np.random.default_rng(5)
    y = data[1].copy()
    at = rng.random(len(y)) < 0.9
    y[at] = rng.integers(0, 10, int(at.sum()))
    return data[0], y


def halves(data: tuple[Any, Any], first: bool) -> tuple[Any, Any]:
    """Return three quarters of the rows, or the others."""
    order = np.random.default_rng(7).permutation(len(data[0]))
    cut = 3 * len(order) // 4
    kept = order[:cut] if first else order[cut:]
    return data[0][kept], data[1][kept]


def clean(name: str, data: Any, model: Any, loss: Any = F.cross_entropy, **more: Any) -> Program:
    """Return a program that is right, validated on rows of its own."""
    return Program(
        "clean",
        name,
        set(),
        lambda: halves(data(), True),
        model,
        loss,
        validation=lambda: halves(data(), False),
        **more,
    )


def normed(*widths: int) -> nn.Sequential:
    """Return the recipe's layers."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU()]
        layers += [nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


CLEAN: list[Program] = [
    clean("iris, MLP", lambda: table("iris"), lambda: mlp(4, 16, 3), epochs=60),
    clean(
        "iris, raw as scikit-learn has it",
        lambda: table("iris", True),
        lambda: mlp(4, 32, 3),
        epochs=80,
        optimizer=adam(1e-2),
    ),
    clean("wine, MLP", lambda: table("wine"), lambda: mlp(13, 32, 3)),
    clean("wine, recipe", lambda: table("wine"), lambda: normed(13, 64, 32, 3), epochs=40),
    clean(
        "breast cancer, one logit",
        lambda: floats(table("breast_cancer")),
        lambda: mlp(30, 32, 1),
        F.binary_cross_entropy_with_logits,
    ),
    clean(
        "breast cancer, sigmoid",
        lambda: floats(table("breast_cancer")),
        lambda: mlp(30, 32, 1, head=nn.Sigmoid),
        F.binary_cross_entropy,
    ),
    clean(
        "breast cancer, linear",
        lambda: floats(table("breast_cancer")),
        lambda: nn.Linear(30, 1),
        F.binary_cross_entropy_with_logits,
        optimizer=sgd(0.5),
    ),
    clean("digits, MLP", digits, lambda: mlp(64, 64, 10), epochs=40),
    clean("digits, recipe", digits, lambda: normed(64, 64, 32, 10), epochs=60),
    clean("digits, momentum", digits, lambda: mlp(64, 64, 10), optimizer=sgd(0.1, momentum=0.9)),
    clean(
        "digits, log-softmax and nll",
        digits,
        lambda: mlp(64, 64, 10, head=lambda: nn.LogSoftmax(1)),
        F.nll_loss,
        epochs=40,
    ),
    clean(
        "digits, GELU, one-cycle",
        digits,
        lambda: mlp(64, 64, 10, act=nn.GELU),
        callbacks=lambda o: [
            ScheduleLR(lambda o, total: optim.lr_scheduler.OneCycleLR(o, 0.02, total_steps=total))
        ],
    ),
    clean(
        "digits, convolution",
        lambda: (digits()[0].reshape(-1, 1, 8, 8), digits()[1]),
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
        ),
        epochs=30,
    ),
    clean("regression, standardised", regression, lambda: mlp(7, 64, 64, 1), F.mse_loss, epochs=60),
    clean(
        "regression, Huber and cosine",
        regression,
        lambda: mlp(7, 64, 1, act=nn.SiLU),
        F.huber_loss,
        epochs=60,
        optimizer=adam(1e-2),
        callbacks=lambda o: [ScheduleLR(optim.lr_scheduler.CosineAnnealingLR(o, 60))],
    ),
    clean(
        "regression, absolute error", regression, lambda: mlp(7, 64, 64, 1), nn.L1Loss(), epochs=60
    ),
    clean(
        "linear regression",
        lambda: (regression()[0], regression()[0] @ np.ones((7, 1), np.float32)),
        lambda: nn.Linear(7, 1),
        F.mse_loss,
        optimizer=sgd(0.1),
    ),
    clean(
        "XOR",
        lambda: tuple(np.repeat(a, 30, 0) for a in xor()),
        lambda: mlp(2, 16, 1, act=nn.Tanh),
        F.binary_cross_entropy_with_logits,
        optimizer=adam(2e-2),
        epochs=60,
    ),
    clean(
        "circles, SELU",
        circles,
        lambda: mlp(2, 32, 32, 1, act=nn.SELU),
        F.binary_cross_entropy_with_logits,
        epochs=60,
    ),
    clean(
        "blobs, early stopping",
        blob,
        lambda: mlp(2, 16, 3),
        epochs=80,
        callbacks=lambda o: [EarlyStopping(patience=8)],
    ),
    clean(
        "several labels a row",
        lambda: (regression()[0], (regression()[0][:, :3] > 0).astype(np.float32)),
        lambda: mlp(7, 64, 3),
        F.binary_cross_entropy_with_logits,
        epochs=60,
    ),
    clean(
        "counts, exponential output",
        lambda: (regression()[0], np.abs(regression()[1]) * 2),
        lambda: mlp(7, 64, 64, 1, head=nn.Softplus),
        F.mse_loss,
        epochs=80,
    ),
    clean("classes as probabilities", lambda: one_hot(table("wine")), lambda: mlp(13, 32, 3)),
    clean(
        "layer-norm and dropout",
        digits,
        lambda: nn.Sequential(
            nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(), nn.Dropout(0.1), nn.Linear(64, 10)
        ),
        epochs=40,
    ),
]


def noisy_classes(n: int = 600) -> tuple[Any, Any]:
    """Return two classes that overlap, (n, 1)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 10)).astype(np.float32)
    return x, (x[:, :3].sum(1) + rng.normal(size=n) * 1.2 > 0).astype(np.float32)[:, None]


def noisy_numbers(n: int = 500) -> tuple[Any, Any]:
    """Return a regression of which two fifths are noise."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    return x, (x[:, :1] + rng.normal(size=(n, 1)) * 0.8).astype(np.float32)


def hard_classes(n: int = 800, kinds: int = 4) -> tuple[Any, Any]:
    """Return four classes that overlap."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, kinds, n)
    return (rng.normal(size=(kinds, 6))[y] + rng.normal(size=(n, 6))).astype(np.float32), y


def rare_class(n: int = 600) -> tuple[Any, Any]:
    """Return two classes of which one is rare, (n, 1)."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    return x, (x[:, 0] + 0.5 * rng.normal(size=n) > 1.1).astype(np.float32)[:, None]


# Written after the thresholds were set; three of the first run were false alarms, on noisy rows.
CLEAN += [
    clean(
        "noisy binary mlp",
        noisy_classes,
        lambda: mlp(10, 32, 1),
        F.binary_cross_entropy_with_logits,
        optimizer=adam(1e-3),
        epochs=30,
    ),
    clean(
        "noisy binary mlp long",
        noisy_classes,
        lambda: mlp(10, 32, 1),
        F.binary_cross_entropy_with_logits,
        optimizer=adam(1e-3),
        epochs=100,
    ),
    clean(
        "noisy binary sigmoid+bce sgd.1",
        noisy_classes,
        lambda: mlp(10, 16, 1, head=nn.Sigmoid),
        F.binary_cross_entropy,
        optimizer=sgd(0.1),
        epochs=50,
    ),
    clean(
        "noisy binary logreg",
        noisy_classes,
        lambda: nn.Linear(10, 1),
        F.binary_cross_entropy_with_logits,
        optimizer=sgd(0.1),
        epochs=30,
    ),
    clean(
        "noisy binary drop bn",
        noisy_classes,
        lambda: normed(10, 32, 16, 1),
        F.binary_cross_entropy_with_logits,
        optimizer=adam(1e-3),
        epochs=40,
    ),
    clean(
        "noisy binary es",
        noisy_classes,
        lambda: mlp(10, 32, 32, 1),
        F.binary_cross_entropy_with_logits,
        optimizer=adam(1e-3),
        epochs=100,
        callbacks=lambda o: [EarlyStopping(patience=5)],
    ),
    clean(
        "noisy reg",
        noisy_numbers,
        lambda: mlp(8, 32, 1),
        F.mse_loss,
        optimizer=adam(1e-3),
        epochs=40,
    ),
    clean(
        "noisy reg linear",
        noisy_numbers,
        lambda: nn.Linear(8, 1),
        F.mse_loss,
        optimizer=sgd(0.05),
        epochs=30,
    ),
    clean(
        "noisy reg tanh",
        noisy_numbers,
        lambda: mlp(8, 16, 1, act=nn.Tanh),
        F.mse_loss,
        optimizer=adam(5e-3),
        epochs=40,
    ),
    clean(
        "noisy reg dropout",
        noisy_numbers,
        lambda: nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 1)),
        F.mse_loss,
        epochs=40,
    ),
    clean("hard cls", hard_classes, lambda: mlp(6, 64, 4), optimizer=adam(1e-3), epochs=40),
    clean(
        "hard cls softmax head mom",
        hard_classes,
        lambda: mlp(6, 32, 4),
        optimizer=sgd(0.05, momentum=0.9),
        epochs=30,
    ),
    clean("hard cls sgd", hard_classes, lambda: mlp(6, 32, 4), optimizer=sgd(0.1), epochs=40),
    clean(
        "a rare class",
        rare_class,
        lambda: mlp(6, 32, 1),
        F.binary_cross_entropy_with_logits,
        epochs=30,
    ),
    clean(
        "tanh hidden iris",
        lambda: table("iris"),
        lambda: mlp(4, 10, 3, act=nn.Tanh),
        optimizer=sgd(0.1),
        epochs=100,
    ),
    Program(
        "clean",
        "xor 4 rows relu",
        set(),
        xor,
        lambda: mlp(2, 16, 1, head=nn.Sigmoid),
        F.binary_cross_entropy,
        adam(1e-2),
        400,
        4,
    ),
    Program(
        "clean",
        "xor 4 rows sgd tanh",
        set(),
        xor,
        lambda: mlp(2, 8, 1, act=nn.Tanh, head=nn.Sigmoid),
        F.mse_loss,
        sgd(1.0),
        2000,
        4,
    ),
    Program(
        "clean",
        "digits no val 10 epochs adam",
        set(),
        digits,
        lambda: mlp(64, 128, 10),
        F.cross_entropy,
        adam(1e-3),
        12,
        16,
    ),
    clean(
        "digits dropout .5",
        digits,
        lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
        optimizer=adam(1e-3),
        epochs=30,
    ),
    clean(
        "regression raw y small",
        lambda: (regression()[0], regression(True)[1]),
        lambda: mlp(7, 64, 64, 1),
        F.mse_loss,
        optimizer=adam(1e-2),
        epochs=100,
    ),
    clean(
        "bc raw with bn first",
        lambda: floats(table("breast_cancer", True)),
        lambda: nn.Sequential(nn.BatchNorm1d(30), nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1)),
        F.binary_cross_entropy_with_logits,
        epochs=30,
    ),
    clean(
        "autoencoder",
        lambda: (digits()[0], digits()[0]),
        lambda: mlp(64, 16, 64, head=nn.Sigmoid),
        F.mse_loss,
        epochs=40,
    ),
    clean(
        "deep relu", digits, lambda: mlp(64, 64, 64, 64, 64, 10), optimizer=adam(1e-3), epochs=30
    ),
    clean(
        "leaky circles",
        circles,
        lambda: mlp(2, 16, 16, 1, act=nn.LeakyReLU),
        F.binary_cross_entropy_with_logits,
        optimizer=adam(1e-2),
        epochs=60,
    ),
    clean(
        "bce softmax 2 units onehot",
        lambda: one_hot(blob(2)),
        lambda: mlp(2, 16, 2, head=lambda: nn.Softmax(1)),
        F.binary_cross_entropy,
        epochs=30,
    ),
    clean(
        "softmax custom ce",
        lambda: one_hot(blob(3)),
        lambda: mlp(2, 16, 3, head=lambda: nn.Softmax(1)),
        lambda o, t: -(t * (o + 1e-8).log()).sum(1).mean(),
        epochs=30,
    ),
]


def judged(program: Program) -> tuple[bool, list[str]]:
    """Return whether a program is judged rightly, and the codes that were found."""
    codes = program.run().codes
    right = bool(program.codes & set(codes)) if program.codes else not codes
    return right, codes
