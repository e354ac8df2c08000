"""Programs that people asked about, each faulty and as its answer mends it:
`python -m tests.doctor --public`.

Ports, in our own words, of PyTorch programs of forums, question sites, blogs and issue trackers.
They keep the layers, loss, optimizer and learning rate of the page where it gives them; rows that
it does not give are made up of the same kind, and long trainings are shortened where the corrected
program still learns.  Nothing was tuned on them before their first run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from tests.doctor import fresh
from tests.doctor.fresh import POINTS, Plan, Rows, run

FORUM = "discuss.pytorch.org/t/"
HUB = "github.com/"


# ---------------------------------------------------------------- rows
def xor(rng: Any) -> Rows:
    """Return the four rows of XOR."""
    return np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([[0], [1], [1], [0]])


def xor_classes(rng: Any) -> Rows:
    """Return the four rows of XOR, and their classes."""
    x, y = xor(rng)
    return x, y[:, 0]


def line(rng: Any) -> Rows:
    """Return four rows of a one and a number, and the number."""
    x = np.array([[1, 2], [1, 3], [1, 7], [1, 9.0]])
    return x, x[:, 1:].copy()


def sum_of_two(rng: Any) -> Rows:
    """Return pairs of numbers in (0, 1), and their sums."""
    x = rng.uniform(size=(1000, 2))
    return x, x.sum(1, keepdims=True)


def sum_of_three(rng: Any) -> Rows:
    """Return three numbers in (0, 1), and their sums."""
    x = rng.uniform(size=(1024, 3))
    return x, x.sum(1, keepdims=True)


def wide_plane(rng: Any) -> Rows:
    """Return pairs of numbers of deviation 100, and 5 times the one plus 3 times the other."""
    x = rng.normal(size=(3000, 2)) * 100
    return x, 5 * x[:, :1] + 3 * x[:, 1:] + rng.normal(size=(3000, 1))


def samples(rng: Any) -> Rows:
    """Return 100 rows of seven features in (0, 1), two classes."""
    x = rng.uniform(size=(100, 7))
    return x, (x[:, 0] + x[:, 1] - x[:, 2] + 0.5 * x[:, 3] > 0.75).astype(np.int64)


def clicks(rng: Any) -> Rows:
    """Return 700 rows of twelve features, two classes as (n, 1)."""
    x = rng.normal(size=(700, 12))
    y = x[:, 0] * x[:, 1] + x[:, 2] - x[:, 3] + 0.3 * rng.normal(size=700) > 0
    return x, y[:, None].astype(np.int64)


def sine_of_product(rng: Any) -> Rows:
    """Return pairs of numbers, and the sine of their product."""
    x = rng.normal(size=(3000, 2))
    return x, np.sin(x[:, :1] * x[:, 1:])


def powers(rng: Any) -> Rows:
    """Return the square and the number itself from 2 to 5, and its sine."""
    x = rng.permutation(np.linspace(2, 5, 100))[:, None]
    return np.concatenate([x**2, x], 1), np.sin(x) + rng.normal(size=x.shape) / 20


def paraboloid(rng: Any) -> Rows:
    """Return pairs of numbers in (0, 1), and the sum of their squares."""
    x = rng.uniform(size=(1000, 2))
    return x, (x**2).sum(1, keepdims=True)


def suburbs(rng: Any) -> Rows:
    """Return poverty, crime and rooms of suburbs on their scales, and prices of 5 to 50."""
    n = 500
    poor, crime, rooms = rng.uniform(2, 38, n), rng.exponential(4, n), rng.normal(6.3, 0.7, n)
    price = 22 - 0.6 * (poor - 13) - 0.1 * crime + 5 * (rooms - 6.3) + 2 * rng.normal(size=n)
    return np.stack([poor, crime, rooms], 1), price.clip(5, 50)[:, None]


def ramps(rng: Any) -> Rows:
    """Return windows of ten values that rise by 0.05, (n, 10, 1), and the value two steps on."""
    start = rng.uniform(0, 1, 200)
    x = start[:, None] + 0.05 * np.arange(10)
    return x[:, :, None], (x[:, -1:] + 0.1)


def digits(rng: Any) -> Rows:
    """Return handwritten digits of 0 to 1 in another order, (700, 64)."""
    data = mg.data.load_digits()
    x, y = np.asarray(data.x, np.float64), np.asarray(data.y)
    order = rng.permutation(len(x))[:700]
    return x[order] / x.max(), y[order]


def images(rng: Any) -> Rows:
    """Return handwritten digits as (n, 1, 8, 8) of 0 to 255."""
    x, y = digits(rng)
    return (x * 255).reshape(-1, 1, 8, 8), y


def unit_images(rng: Any) -> Rows:
    """Return handwritten digits as (n, 1, 8, 8) of 0 to 1."""
    x, y = digits(rng)
    return x.reshape(-1, 1, 8, 8), y


def second_largest(rng: Any) -> Rows:
    """Return five numbers in (0, 1), and the second largest."""
    x = rng.uniform(size=(2000, 5))
    return x, np.sort(x, 1)[:, -2:-1]


def parabola(rng: Any) -> Rows:
    """Return whole numbers from 30 to 50, and a quadratic function of them."""
    x = np.arange(30, 51.0)[:, None]
    return x, x * x / 64 - 5 * x / 4 + 25


def valley(rng: Any) -> Rows:
    """Return 100 numbers from 0 to 1, and the square of their distance from a half."""
    x = rng.permutation(np.arange(100) / 100)[:, None]
    return x, (x - 0.5) ** 2


def spendings(rng: Any) -> Rows:
    """Return eight ages from 65 to 100, and what is spent at them."""
    x = np.arange(65, 101, 5.0)[:, None]
    return x, 10 * x - 450


def exams(rng: Any) -> Rows:
    """Return two marks around 92, and whether they suffice."""
    x = rng.normal(92, 18, size=(400, 2))
    return x, (x.sum(1) + 4 * rng.normal(size=400) > 184)[:, None].astype(np.int64)


def documents(rng: Any) -> Rows:
    """Return 900 documents of ten kinds as the shares of 60 words."""
    y = rng.integers(0, 10, 900)
    rates = rng.gamma(0.4, 1, size=(10, 60))
    x = rng.poisson(6 * rates[y]) * rng.uniform(0.5, 2, size=(1, 60))
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9), y


def squashed(rng: Any) -> Rows:
    """Return 20 numbers in (0, 1), and the sigmoid of a matrix times them."""
    x = rng.uniform(size=(1000, 20))
    return x, 1 / (1 + np.exp(-x @ rng.normal(size=(20, 20))))


def masks(rng: Any) -> Rows:
    """Return noisy images of a bright rectangle, (n, 1, 8, 8), and where it is, (n, 64)."""
    n = 240
    y = np.zeros((n, 8, 8))
    for mask in y:
        top, left = rng.integers(0, 4, 2)
        high, wide = rng.integers(2, 5, 2)
        mask[top : top + high, left : left + wide] = 1
    return (y + 0.4 * rng.normal(size=y.shape))[:, None], y.reshape(n, 64)


def heat(rng: Any) -> Rows:
    """Return noisy images of a point, (n, 1, 8, 8), and a bell around it, (n, 64)."""
    n = 240
    at = rng.uniform(1, 6, size=(n, 2, 1, 1))
    i = np.arange(8)
    square = (i[:, None] - at[:, 0]) ** 2 + (i - at[:, 1]) ** 2
    x = np.exp(-square) + 0.1 * rng.normal(size=square.shape)
    return x[:, None], np.exp(-square / 4).reshape(n, 64)


def values(rng: Any) -> Rows:
    """Return states of four numbers, and the values of two actions, mostly below 0."""
    x = rng.normal(size=(800, 4))
    y = np.stack([-4 + 2 * x[:, 0] - x[:, 1] ** 2, -3 + x[:, 2] * x[:, 3]], 1)
    return x, y


def states(rng: Any) -> Rows:
    """Return states of four numbers, and which of six actions was taken."""
    x = rng.normal(size=(900, 4))
    return x, (x @ rng.normal(size=(4, 6)) + 0.5 * x[:, :1] ** 2 * rng.normal(size=6)).argmax(1)


def windows(rng: Any) -> Rows:
    """Return windows of 16 values of noisy waves, and the value after them."""
    t = rng.uniform(0, 2 * np.pi, 800)[:, None] + 0.4 * np.arange(17)
    x = np.sin(t) + 0.5 * np.sin(2.3 * t) + 0.1 * rng.normal(size=t.shape)
    return x[:, :16], x[:, 16:]


def sales(rng: Any) -> Rows:
    """Return ten features of shops, and the logarithm of their sales."""
    x = rng.normal(size=(800, 10))
    y = 8.7 + 0.5 * x[:, 0] - 0.4 * x[:, 1] + 0.3 * x[:, 2] * x[:, 3]
    return x, (y + 0.1 * rng.normal(size=800))[:, None]


def crosses(rng: Any) -> Rows:
    """Return 21 random and 9 times the same cross in a field of nine, and whether it is one."""
    x = rng.uniform(size=(30, 9))
    x[21:] = [1, 0, 1, 0, 1, 0, 1, 0, 1]
    return x, (np.arange(30) >= 21)[:, None].astype(np.int64)


def topics(rng: Any) -> Rows:
    """Return texts as 20 numbers, and which of six topics they touch, (n, 6)."""
    x = rng.normal(size=(800, 20))
    return x, (x @ rng.normal(size=(20, 6)) > 2.0).astype(np.int64)


def names(rng: Any) -> Rows:
    """Return sequences of 12 numbers, (n, 12, 1), and whether they rise, fall or stay."""
    y = rng.integers(0, 3, 600)
    slope = np.array([-0.1, 0.0, 0.1])[y][:, None]
    x = slope * np.arange(12) + rng.normal(size=(600, 1)) + 0.15 * rng.normal(size=(600, 12))
    return x[:, :, None], y


fresh.ROWS |= {
    f.__name__: f
    for f in (
        *(xor, xor_classes, line, sum_of_two, sum_of_three, wide_plane, samples, clicks),
        *(sine_of_product, powers, paraboloid, suburbs, ramps, digits, images, unit_images),
        *(second_largest, parabola, valley, spendings, exams, documents, squashed, masks, heat),
        *(values, states, windows, sales, crosses, topics, names),
    )
}
WIDTHS = {"squashed": 20, "masks": 64, "heat": 64, "values": 2, "topics": 6}
fresh.KINDS |= {"xor_classes": 2, "samples": 2, "digits": 10, "images": 10, "unit_images": 10}
fresh.KINDS |= {"documents": 10, "states": 6, "names": 3, **WIDTHS}
fresh.AMOUNTS |= {
    *("line", "sum_of_two", "sum_of_three", "wide_plane", "sine_of_product", "powers"),
    *("paraboloid", "suburbs", "ramps", "second_largest", "parabola", "valley", "spendings"),
    *("squashed", "heat", "values", "windows", "sales"),
}
fresh.BINARY |= {"xor", "clicks", "exams", "masks", "crosses", "topics"}


# ---------------------------------------------------------------- models
class Last(nn.Module):
    """A recurrent layer's output at the last step: (N, T, 1) to (N, width)."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        """Return the last step's hidden state."""
        return self.layer(x)[0][:, -1]


def convolutions(*channels: int) -> list[nn.Module]:
    """Return convolutions of 3 x 3 that keep the size, with ReLUs, then all in one row."""
    layers: list[nn.Module] = []
    before = 1
    for width in channels:
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
        before = width
    return [*layers, nn.MaxPool2d(2), nn.Flatten()]


fresh.BODIES |= {
    "lstm": lambda: ([Last(nn.LSTM(1, 32, batch_first=True))], 32),
    "rnn": lambda: ([Last(nn.RNN(1, 32, batch_first=True))], 32),
    "conv 8": lambda: (convolutions(16), 16 * 16),
    "deep conv 8": lambda: (convolutions(16, 16, 16, 16), 16 * 16),
    "none": lambda: ([nn.Flatten()], 64),
}
fresh.ACTIVATIONS |= {
    "relu softmax": lambda: nn.Sequential(nn.ReLU(), nn.Softmax(1)),
    "leaky": nn.LeakyReLU,
}
fresh.LOSSES |= {
    "bce of sigmoid": lambda o, t: F.binary_cross_entropy(o.sigmoid(), t),
    "log by hand": lambda o, t: -o.log()[range(len(t)), t].mean(),
    "l1 by hand": lambda o, t: (o - t).abs().sum(),
}


# ---------------------------------------------------------------- pairs
@dataclass(frozen=True)
class Pair:
    """A program as it was asked about, and as the answer mends it.

    source: the page.  codes: those that name the fault.
    """

    name: str
    source: str
    faulty: Plan
    right: Plan
    codes: frozenset[str]


HIGH = {"MG406", "MG601", "MG602", "MG604", "MG607"}
LATE = {"MG407", "MG417", "MG701", "MG710"}


def pairs() -> Iterator[Pair]:
    """Yield all pairs."""
    sgd = {"optimizer": "SGD"}
    adam = {"optimizer": "Adam"}
    raw = {"scale_x": False, "scale_y": False}
    whole = {"batch": 0, "loop": "right"}
    asked: list[tuple[str, str, dict[str, Any], dict[str, Any], set[str]]] = [
        (
            "XOR without an activation",
            FORUM + "13287",
            {
                **{"rows": "xor", "hidden": (8,), "act": "", "head": "sigmoid", "loss": "l1"},
                **{**sgd, **raw, "lr": 0.2, "epochs": 500, "batch": 1, "loop": "right"},
            },
            {"act": "relu", "loss": "mse"},
            {"MG301"},
        ),
        (
            "XOR by sigmoids and SGD",
            FORUM + "98714",
            {
                **{"rows": "xor", "hidden": (4,), "act": "sigmoid", "head": "sigmoid"},
                **{**sgd, **raw, "loss": "mse", "lr": 0.01, "epochs": 400, "batch": 1},
                "loop": "right",
            },
            {"hidden": (16,), "head": "", "loss": "bce_logits", **adam, "lr": 0.02},
            {"MG105", "MG314", *LATE},
        ),
        (
            "a line, targets of another shape",
            FORUM + "simple-linear-regression",
            {
                **{"rows": "line", "hidden": (), "loss": "mse by hand", **adam, **raw, **whole},
                **{"lr": 0.02, "epochs": 800, "targets": "flat"},
            },
            {"targets": ""},
            {"MG110"},
        ),
        (
            "a sum of two, no backward",
            "stackoverflow.com/q/67248908",
            {
                **{"rows": "sum_of_two", "hidden": (), "loss": "mse", **adam, **raw, **whole},
                **{"lr": 0.01, "epochs": 600, "targets": "flat", "loop": "no backward"},
            },
            {"targets": "", "loop": "right"},
            {"MG110", "MG415", "MG416"},
        ),
        (
            "a plane, targets of another shape",
            FORUM + "50431",
            {
                **{"rows": "wide_plane", "hidden": (), "loss": "mse", **sgd, **raw},
                **{"lr": 1e-5, "epochs": 30, "batch": 100, "targets": "flat", "loop": "right"},
            },
            {"targets": ""},
            {"MG110"},
        ),
        (
            "a sum of three, targets of another shape",
            FORUM + "148155",
            {
                **{"rows": "sum_of_three", "hidden": (), "loss": "mse", **sgd, **raw, **whole},
                **{"lr": 0.1, "epochs": 500, "targets": "flat"},
            },
            {"targets": ""},
            {"MG110"},
        ),
        (
            "two classes, a small learning rate",
            FORUM + "177433",
            {
                **{"rows": "samples", "hidden": (60, 100, 30), **sgd, "scale_x": False},
                **{"lr": 1e-4, "epochs": 150, "batch": 10},
            },
            {"lr": 0.05},
            LATE,
        ),
        (
            "ReLU before the sigmoid",
            FORUM + "56327",
            {
                **{"rows": "clicks", "hidden": (64,), "head": "relu", "loss": "bce of sigmoid"},
                **{**adam, "lr": 3e-3, "loop": "right"},
            },
            {"head": ""},
            {"MG306", "MG114"},
        ),
        (
            "seven narrow layers by SGD",
            HUB + "pytorch/pytorch/issues/63626",
            {
                **{"rows": "sine_of_product", "hidden": (10,) * 7, "loss": "l1", **sgd},
                **{"scale_x": False, "scale_y": False, "lr": 0.01, "epochs": 20, "batch": 100},
            },
            {**adam, "lr": 3e-3, "epochs": 100, "hidden": (64, 64)},
            {*LATE, "MG603", "MG704", "MG606"},
        ),
        (
            "powers, a summed loss",
            FORUM + "71751",
            {
                **{"rows": "powers", "hidden": (), "loss": "sum", **sgd, **raw, **whole},
                **{"lr": 0.01, "options": (("momentum", 0.9),), "epochs": 800},
            },
            {"loss": "mse", "scale_x": True},
            {"MG111", "MG205", *HIGH},
        ),
        (
            "squares, targets of another shape",
            "datascience.stackexchange.com/q/115368",
            {
                **{"rows": "paraboloid", "hidden": (10, 5), "loss": "mse", **adam, **raw, **whole},
                **{"lr": 0.01, "epochs": 400, "targets": "flat"},
            },
            {"targets": ""},
            {"MG110"},
        ),
        (
            "prices by raw features",
            "syntaxbug.com/d1e7d3ba69",
            {
                **{"rows": "suburbs", "hidden": (), "loss": "mse", **sgd, **raw},
                **{"lr": 0.01, "epochs": 60},
            },
            {"scale_x": True},
            {"MG205", *HIGH},
        ),
        (
            "an LSTM without zero_grad",
            "stats.stackexchange.com/q/376851",
            {
                **{"rows": "ramps", "body": "lstm", "hidden": (), "loss": "mse", **adam, **raw},
                **{"lr": 3e-3, "epochs": 30, "loop": "no zero_grad"},
            },
            {"loop": "right"},
            {"MG412"},
        ),
        (
            "softmax and a large learning rate",
            FORUM + "43814",
            {
                **{"rows": "unit_images", "body": "conv 8", "hidden": (64,), "head": "softmax"},
                **{**adam, "scale_x": False, "lr": 0.1, "epochs": 8, "batch": 64},
            },
            {"head": "", "lr": 2e-3},
            {"MG101", *HIGH},
        ),
        (
            "the second largest number by SGD",
            "sama.guegue.com/blog/pytorch-neural-networks-why-your",
            {
                **{"rows": "second_largest", "hidden": (64, 32), "loss": "mse", **sgd, **raw},
                **{"lr": 1e-3, "epochs": 40},
            },
            {**adam, "lr": 1e-3},
            LATE,
        ),
        (
            "a quadratic function of raw numbers",
            FORUM + "failing-to-learn-a-quadratic-function",
            {
                **{"rows": "parabola", "hidden": (100, 100, 100), "loss": "l1 by hand", **adam},
                **{**raw, **whole, "lr": 1e-5, "epochs": 200},
            },
            {"scale_x": True, "lr": 1e-3, "epochs": 600},
            {"MG205", "MG211", *LATE},
        ),
        (
            "a valley by SGD",
            "stats.stackexchange.com/q/280372",
            {
                **{"rows": "valley", "hidden": (16, 16), "loss": "mse", **sgd, **raw},
                **{"batch": 0, "lr": 1e-3, "epochs": 600},
            },
            {**adam, "lr": 0.01},
            LATE,
        ),
        (
            "spendings by age",
            HUB + "pytorch/pytorch/issues/149827",
            {
                **{"rows": "spendings", "hidden": (), "loss": "mse", **sgd, **raw, **whole},
                **{"lr": 1e-3, "epochs": 1000},
            },
            {"scale_x": True, "scale_y": True, "lr": 0.01},
            {"MG205", "MG211", *HIGH},
        ),
        (
            "marks around 92",
            "python.19633.com/Python/1010052967",
            {
                **{"rows": "exams", "hidden": (5,), "act": "sigmoid", "head": "sigmoid"},
                **{**adam, **raw, **whole, "loss": "bce", "lr": 1e-3, "epochs": 500},
            },
            {"scale_x": True, "lr": 0.01},
            {"MG205", "MG314", "MG605", *LATE},
        ),
        (
            "deep sigmoids, softmax, no zero_grad",
            "datafield.dev/aibook/part-03/chapter-12",
            {
                **{"rows": "documents", "hidden": (64,) * 5, "act": "sigmoid", "head": "softmax"},
                **{**sgd, "scale_x": False, "lr": 1e-4, "epochs": 40, "loop": "no zero_grad"},
            },
            {"act": "relu", "head": "", **adam, "lr": 1e-3, "loop": "right"},
            {"MG101", "MG314", "MG412", "MG603", *LATE},
        ),
        (
            "digits, ReLU at the end",
            "whosebug.com/question/5667031",
            {
                **{"rows": "digits", "hidden": (64,), "head": "relu", **sgd, "scale_x": False},
                **{"lr": 0.5, "epochs": 40, "batch": 64},
            },
            {"head": ""},
            {"MG114"},
        ),
        (
            "digits, nll_loss of logits",
            HUB + "udacity/deep-learning-v2-pytorch/pull/198",
            {
                **{"rows": "digits", "hidden": (128, 64), "loss": "nll", **adam},
                **{"scale_x": False, "lr": 3e-3, "epochs": 5, "batch": 64},
            },
            {"head": "log_softmax"},
            {"MG116"},
        ),
        (
            "deep convolutions, a large learning rate",
            HUB + "chengyangfu/pytorch-vgg-cifar10/issues/7",
            {
                **{"rows": "unit_images", "body": "deep conv 8", "hidden": (64,), **sgd},
                **{"lr": 0.5, "options": (("momentum", 0.9),), "epochs": 12, "batch": 32},
            },
            {"lr": 0.02},
            HIGH,
        ),
        (
            "raw images",
            HUB + "pytorch/pytorch/issues/1997",
            {
                **{"rows": "images", "body": "conv 8", "hidden": (64,), **sgd},
                **{"scale_x": False, "lr": 0.01, "options": (("momentum", 0.5),), "epochs": 15},
                "loop": "right",
            },
            {"scale_x": True},
            {"MG205", "MG112", *HIGH},
        ),
        (
            "sigmoids, momentum and a learning rate of 4",
            HUB + "lionelmessi6410/Neural-Networks-from-Scratch/issues/2",
            {
                **{"rows": "digits", "hidden": (64,), "act": "sigmoid", **sgd, "scale_x": False},
                **{"lr": 4.0, "options": (("momentum", 0.9),), "epochs": 10, "batch": 8},
                "loop": "right",
            },
            {"lr": 0.05},
            HIGH,
        ),
        (
            "a matrix behind a sigmoid",
            FORUM + "153791",
            {
                **{"rows": "squashed", "hidden": (), "head": "sigmoid", "loss": "mse", **sgd},
                **{**raw, **whole, "lr": 1.0, "epochs": 300},
            },
            {**adam, "lr": 0.05, "epochs": 600},
            LATE,
        ),
        (
            "sigmoid twice",
            HUB + "Lightning-AI/pytorch-lightning/pull/7096",
            {
                **{"rows": "clicks", "hidden": (32,), "head": "sigmoid", "loss": "bce_logits"},
                **{**adam, "lr": 1e-2, "epochs": 20},
            },
            {"head": ""},
            {"MG102"},
        ),
        (
            "masks, sigmoid twice",
            HUB + "avBuffer/UNet3plus_pth/issues/23",
            {
                **{"rows": "masks", "body": "conv 8", "hidden": (64,), "head": "sigmoid"},
                **{"loss": "bce_logits", **adam, "lr": 5e-3, "epochs": 20, "loop": "right"},
            },
            {"head": ""},
            {"MG102"},
        ),
        (
            "documents, softmax before the loss",
            HUB + "ariecattan/SciCo/issues/2",
            {
                **{"rows": "documents", "hidden": (64,), "head": "softmax", **adam},
                **{"scale_x": False, "lr": 1e-3, "epochs": 15, "loop": "right"},
            },
            {"head": ""},
            {"MG101"},
        ),
        (
            "values of actions behind a ReLU",
            HUB + "dennybritz/reinforcement-learning/pull/104",
            {
                **{"rows": "values", "hidden": (64,), "head": "relu", "loss": "mse", **raw},
                **{"optimizer": "RMSprop", "lr": 1e-3, "epochs": 80},
            },
            {"head": ""},
            {"MG104"},
        ),
        (
            "ReLU before a policy's softmax",
            HUB + "Bowen1911/ML_practice/issues/2",
            {
                **{"rows": "states", "hidden": (128,), "head": "relu softmax", **adam},
                **{"loss": "log by hand", "lr": 3e-3, "epochs": 30, "loop": "right"},
            },
            {"head": "softmax"},
            {"MG306"},
        ),
        (
            "ReLU on the logits of actions",
            HUB + "sfujim/BCQ/issues/6",
            {
                **{"rows": "states", "hidden": (64, 64), "head": "relu", **adam},
                **{"lr": 3e-3, "epochs": 30},
            },
            {"head": ""},
            {"MG114"},
        ),
        (
            "a heat map without zero_grad",
            HUB + "yastrebksv/TennisCourtDetector/issues/7",
            {
                **{"rows": "heat", "body": "conv 8", "hidden": (64,), "loss": "mse", **adam},
                **{**raw, "lr": 3e-3, "epochs": 20, "loop": "no zero_grad"},
            },
            {"loop": "right"},
            {"MG412"},
        ),
        (
            "images, no step",
            HUB + "microsoft/nni/pull/3339",
            {
                **{"rows": "unit_images", "body": "conv 8", "hidden": (64,), **adam},
                **{"lr": 2e-3, "epochs": 8, "loop": "no step"},
            },
            {"loop": "right"},
            {"MG416"},
        ),
        (
            "a forecast of one step, targets of another shape",
            HUB + "jsboige/CoursIA/pull/926",
            {
                **{"rows": "windows", "hidden": (64,), "loss": "mse", "lr": 1e-3, "epochs": 60},
                **{"batch": 64, "targets": "flat", "loop": "right"},
            },
            {"targets": ""},
            {"MG110"},
        ),
        (
            "sales, targets of another shape",
            HUB + "pytorch/pytorch/issues/16045",
            {
                **{"rows": "sales", "hidden": (64, 32), "loss": "mse by hand", **adam},
                **{"lr": 3e-3, "epochs": 50, "batch": 64, "targets": "flat", "loop": "right"},
            },
            {"targets": ""},
            {"MG110"},
        ),
        (
            "a cross, targets of another shape",
            "forums.fast.ai/t/58206",
            {
                **{"rows": "crosses", "hidden": (), "head": "sigmoid", "loss": "mse by hand"},
                **{**sgd, **raw, **whole, "lr": 0.5, "epochs": 800, "targets": "flat"},
            },
            {"targets": ""},
            {"MG110"},
        ),
        (
            "a hidden layer of one unit",
            HUB + "will-maclean/sb3-burn/pull/38",
            {
                **{"rows": "values", "hidden": (1,), "loss": "mse", **adam, "lr": 5e-3},
                "epochs": 80,
            },
            {"hidden": (64,)},
            {"MG310", "MG704", "MG604"},
        ),
        (
            "labels of -1 and 1",
            "taourl.com/read-2252160",
            {
                **{"rows": "clicks", "hidden": (32,), "head": "sigmoid", "loss": "bce", **adam},
                **{"lr": 3e-3, "epochs": 30, "labels": "signs", "loop": "right"},
            },
            {"labels": ""},
            {"MG201"},
        ),
        (
            "huge first weights",
            "taourl.com/read-2208585",
            {
                **{"rows": "sales", "hidden": (50,), "loss": "mse", **sgd, "lr": 0.01},
                **{"epochs": 60, "init": "huge", "loop": "right"},
            },
            {"init": ""},
            {"MG309", *HIGH},
        ),
        (
            "cross-entropy for several labels a row",
            "errorhandle.ai/multilabel-classification-converges-to-all-zeroes",
            {
                **{"rows": "topics", "hidden": (64,), "head": "softmax", "loss": "cross_entropy"},
                **{**adam, "lr": 3e-3, "epochs": 30},
            },
            {"head": "", "loss": "bce_logits"},
            {"MG101", "MG108"},
        ),
        (
            "XOR as two classes, no backward",
            "leyaa.ai/codefly/learn/pytorch/part-1/pytorch-backward-pass-lossbackward",
            {
                **{"rows": "xor_classes", "hidden": (8,), **sgd, "scale_x": False, "lr": 0.1},
                **{"epochs": 800, "batch": 0, "loop": "no backward"},
            },
            {"loop": "right"},
            {"MG415", "MG416"},
        ),
        (
            "XOR by two sigmoids, 100 epochs",
            "oalahurikar.github.io/ai-blog/Ai-Insights/XOR-NN",
            {
                **{"rows": "xor", "hidden": (4,), "act": "sigmoid", "head": "sigmoid", **sgd},
                **{**raw, **whole, "loss": "mse", "lr": 1.0, "epochs": 100},
            },
            {"epochs": 3000},
            {"MG105", "MG314", *LATE},
        ),
        (
            "a model made anew after its optimizer",
            "duoke360.com/post/34678",
            {
                **{"rows": "sales", "hidden": (16,), "loss": "mse", **sgd, "lr": 0.1},
                **{"epochs": 20, "loop": "other model"},
            },
            {"loop": "right"},
            {"MG402"},
        ),
        (
            "all weights alike",
            "pages.dogdog.run/machine_learning/weight_initialization",
            {
                **{"rows": "values", "hidden": (32,), "loss": "mse", **sgd, "lr": 0.05},
                **{"epochs": 80, "init": "alike"},
            },
            {"init": ""},
            {"MG308"},
        ),
        (
            "ReLUs that died",
            "blog.csdn.net/weixin_38314865/106174761",
            {
                **{"rows": "states", "hidden": (32, 32), **adam, "lr": 0.5, "epochs": 30},
                "loop": "right",
            },
            {"lr": 5e-3},
            HIGH,
        ),
        (
            "a recurrent net, the learning rate of another",
            "leyaa.ai/codefly/learn/nlp/part-2/nlp-rnnbased-text-generation",
            {
                **{"rows": "names", "body": "rnn", "hidden": (), **adam, "lr": 1.0},
                **{"scale_x": False, "epochs": 20},
            },
            {"lr": 3e-3},
            HIGH,
        ),
    ]
    for name, source, fields, changes, codes in asked:
        faulty = Plan(**fields)
        yield Pair(name, source, faulty, replace(faulty, **changes), frozenset(codes))


# ---------------------------------------------------------------- judging
@dataclass(frozen=True)
class Judged:
    """What came of a pair.

    findings: of the faulty program, in the report's order.  fixes: after how many of them, one on
    top of the other, the right program's score is reached; 0 where it never is.  first: whether the
    first that names a change does alone.  alarms: what was said of the right program.
    """

    pair: Pair
    findings: list[str]
    faulty: float
    right: float
    scores: list[tuple[str, float]]
    fixes: int
    first: bool
    alarms: list[str]

    @property
    def named(self) -> bool:
        """Whether a code that names the fault was found."""
        return bool(self.pair.codes & set(self.findings))

    @property
    def harmless(self) -> bool:
        """Whether the fault costs nothing on new rows."""
        return self.faulty >= self.right - POINTS


def applied(plan: Plan, findings: list[Any]) -> Iterator[tuple[str, Plan]]:
    """Yield the codes and plans of all different fixes, those that only train longer last."""
    seen = {plan}
    for finding in sorted(findings, key=lambda finding: finding.code == "MG701"):
        other = fresh.mended(plan, finding)
        if other is not None and other not in seen:
            seen.add(other)
            yield finding.code, other


def judged(pair: Pair) -> Judged:
    """Run a pair, and what the findings' fixes make of the faulty program."""
    alarms, right = run(pair.right)
    findings, faulty = run(pair.faulty)
    target = right - POINTS
    scores: list[tuple[str, float]] = []
    tried: list[tuple[float, Plan]] = []
    fixes = 0
    for code, plan in applied(pair.faulty, findings):
        tried.append((run(plan, False)[1], plan))
        scores.append((code, tried[-1][0]))
        if tried[-1][0] >= target:
            fixes = 1
            break
    first = fixes == 1 and len(tried) == 1
    both = pair.faulty
    for code, _ in scores[:2]:
        found = [finding for finding in findings if finding.code == code]
        both = fresh.mended(both, found[0]) or both
    if len(scores) > 1 and not fixes:
        scores.append(("the first two", run(both, False)[1]))
        fixes = 2 if scores[-1][1] >= target else 0
    if tried and not fixes:
        best = max(tried, key=lambda entry: entry[0])[1]
        for code, plan in applied(best, run(best)[0]):
            scores.append((f"then {code}", run(plan, False)[1]))
            if scores[-1][1] >= target:
                fixes = 2
                break
    names = sorted({finding.code for finding in findings})
    codes = sorted({finding.code for finding in alarms})
    return Judged(pair, names, faulty, right, scores, fixes, first, codes)


def table(words: list[str]) -> None:
    """Print what came of all pairs, or of those whose name holds one of some words."""
    found = []
    for pair in pairs():
        if words and not any(word in pair.name for word in words):
            continue
        r = judged(pair)
        found.append(r)
        fix = "first" if r.first else ("NO FIX", "one", "two")[r.fixes]
        scores = " ".join(f"{code}: {score:.3f}" for code, score in r.scores)
        print(
            f"{'named ' if r.named else 'MISSED'} {fix:6} {pair.name}: {r.faulty:.3f}, right "
            f"{r.right:.3f} {r.alarms or ''} | {' '.join(r.findings)} | {scores}",
            flush=True,
        )
    print("\n| pairs | programs | named | first fix | one fix | two | said of the corrected |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for label, part in (("all", found), ("that cost", [r for r in found if not r.harmless])):
        fixes = [sum(r.first for r in part), *(sum(0 < r.fixes <= n for r in part) for n in (1, 2))]
        counts = [len(part), sum(r.named for r in part), *fixes, sum(len(r.alarms) for r in part)]
        print(f"| {label} | {' | '.join(map(str, counts))} |")
