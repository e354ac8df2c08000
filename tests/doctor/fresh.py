"""Programs that the doctor's thresholds were not set on: `python -m tests.doctor --fresh`.

Faults are planted in programs of other sets and sizes than those of `collection`: a fault is one
field of a `Plan` with another value.  A finding is judged by its fix: `mended` applies what its
words say to the faulty plan, blind to what was planted, and the plan's score on new rows is held
against that of the right plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import DataLoader, TensorDataset
from minigrad.diagnosis import Finding, Program, watched
from minigrad.nn import functional as F

Array = np.ndarray[Any, Any]
Rows = tuple[Array, Array]
POINTS = 0.02  # of the score that a mended program may lack
ACTIVATIONS: dict[str, Any] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softmax": lambda: nn.Softmax(1),
    "log_softmax": lambda: nn.LogSoftmax(1),
}


# ---------------------------------------------------------------- rows nobody tuned on
def friedman(rng: Any) -> Rows:
    """Return Friedman's first regression, with raw targets of 0 to 30."""
    x = rng.uniform(size=(700, 8))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    return x, (y + 10 * x[:, 3] + 5 * x[:, 4] + rng.normal(size=700))[:, None]


def houses(rng: Any) -> Rows:
    """Return prices in hundreds of thousands by area, rooms, age and distance, on their scales."""
    n = 600
    area, rooms, age, far = (
        rng.uniform(40, 220, n),
        rng.integers(1, 8, n),
        rng.uniform(0, 90, n),
        rng.gamma(2, 8, n),
    )
    price = 900 * area + 9000 * rooms - 700 * age + 160_000 * np.exp(-far / 12)
    return np.stack([area, rooms, age, far], 1), (price + rng.normal(size=n) * 15_000)[:, None]


def spirals(rng: Any) -> Rows:
    """Return the arms of three spirals, 600 points in the plane."""
    y = rng.integers(0, 3, 600)
    t = rng.uniform(0.3, 2.4, 600)
    angle = 2 * t + 2 * np.pi * y / 3
    x = np.stack([t * np.cos(angle), t * np.sin(angle)], 1)
    return x + rng.normal(size=x.shape) * 0.07, y


def moons(rng: Any) -> Rows:
    """Return two half-moons, (600, 2), and which is which, (600, 1) floats."""
    y = rng.integers(0, 2, 600)
    t = rng.uniform(0, np.pi, 600)
    x = np.stack([np.cos(t) + y, np.sin(t) * (1 - 2 * y) + y * 0.5], 1)
    return x + rng.normal(size=x.shape) * 0.12, y[:, None]


def waves(rng: Any) -> Rows:
    """Return Breiman's waveforms: 800 rows of 21 noisy features, three classes."""
    base = np.maximum(0, 6 - np.abs(np.arange(21) - np.array([[6], [14], [10]])))
    y = rng.integers(0, 3, 800)
    u = rng.uniform(size=(800, 1))
    x = u * base[y] + (1 - u) * base[(y + 1) % 3] + rng.normal(size=(800, 21))
    return x, y


def sensors(rng: Any) -> Rows:
    """Return 12 readings on scales from 1 to 1,000 of machines in five states."""
    centres = rng.normal(size=(5, 12)) * 1.3
    y = rng.integers(0, 5, 700)
    z = centres[y] + rng.normal(size=(700, 12))
    return z * 10 ** rng.uniform(0, 3, 12) + 10 ** rng.uniform(1, 3, 12), y


def bars(rng: Any) -> Rows:
    """Return noisy 10 x 10 images of a bar, upright, flat or either diagonal, (700, 1, 10, 10)."""
    y = rng.integers(0, 4, 700)
    x = rng.normal(size=(700, 1, 10, 10)) * 0.35
    for image, kind, at in zip(x[:, 0], y, rng.integers(1, 9, 700), strict=True):
        i = np.arange(10)
        rows, columns = ((i, 0 * i + at), (0 * i + at, i), (i, i), (i, 9 - i))[kind]
        image[rows, columns] += 1.2
    return x, y


ROWS: dict[str, Callable[[Any], Rows]] = {
    f.__name__: f for f in (friedman, houses, spirals, moons, waves, sensors, bars)
}
AMOUNTS = {"friedman", "houses"}  # rows whose targets are numbers
BINARY = {"moons"}  # rows with two classes, as (n, 1) floats
KINDS = {"spirals": 3, "waves": 3, "sensors": 5, "bars": 4}  # classes of the others
FEW = 60  # rows that are too few to keep new ones apart


# ---------------------------------------------------------------- plans
@dataclass(frozen=True)
class Plan:
    """A program in fields: rows, model, loss, optimizer, training.

    scale_x, scale_y: whether inputs, targets are standardised.  act, head: of the hidden layers,
    at the end ("" for none).  norm, dropout: after each hidden layer.  init: "" for the layers'
    own.  labels: "", "shuffled", "one-based".  batch: 0 for all rows.  body: what comes before the
    hidden layers; see `BODIES`.  loop: "trainer", or by hand "right" or with a mistake of its own.
    """

    rows: str
    hidden: tuple[int, ...] = (64, 32)
    units: int | None = None
    act: str = "relu"
    head: str = ""
    loss: str = "cross_entropy"
    optimizer: str = "AdamW"
    lr: float = 3e-3
    options: tuple[tuple[str, Any], ...] = ()
    epochs: int = 60
    batch: int = 32
    shuffle: bool = True
    ordered: bool = False
    scale_x: bool = True
    scale_y: bool = True
    norm: bool = False
    dropout: float = 0.0
    dropout_first: bool = False
    last_dropout: float = 0.0
    init: str = ""
    labels: str = ""
    targets: str = ""
    frozen: int = 0
    loop: str = "trainer"
    body: str = ""

    @property
    def amounts(self) -> bool:
        """Whether the targets are numbers."""
        return self.rows in AMOUNTS

    @property
    def two(self) -> bool:
        """Whether the targets are two classes, one output's worth."""
        return self.rows in BINARY


class Broken(nn.Module):
    """A model that detaches its first layer's output."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Any) -> Any:
        """Apply the layers; the first gets no gradient."""
        first, *others = self.layers
        x = first(x).detach()
        for layer in others:
            x = layer(x)
        return x


def split(plan: Plan) -> tuple[Rows, Rows, float, float]:
    """Return training and new rows as the plan has them, and the targets' mean and deviation."""
    rng = np.random.default_rng(7)
    x, y = ROWS[plan.rows](rng)
    few = len(x) < FEW
    cut = len(x) if few else int(0.7 * len(x))
    if plan.scale_x:
        axis = 0 if x.ndim == 2 else None
        spread = x[:cut].std(axis)
        x = (x - x[:cut].mean(axis)) / np.where(spread > 0, spread, 1.0)
    mean, deviation = 0.0, 1.0
    if plan.amounts and plan.scale_y:
        mean, deviation = float(y[:cut].mean()), float(y[:cut].std())
    y = (y - mean) / deviation if plan.amounts else y
    x, train = x.astype(np.float32), y[:cut]
    if plan.labels == "shuffled":
        train = train[rng.permutation(cut)]
    given = x[:cut]
    if plan.ordered:
        order = np.argsort(train.reshape(cut, -1)[:, 0], kind="stable")
        given, train = given[order], train[order]
    if plan.labels == "one-based":
        train = train + 1
    if plan.labels == "signs":
        train = 2 * train - 1
    if plan.amounts or plan.two:
        train = train.astype(np.float32)
        if plan.targets == "flat":
            train = train[:, 0]
        if plan.targets == "codes":
            train = train[:, 0].astype(np.int64)
    elif plan.targets == "one-hot":
        train = np.eye(plan.units or kinds(plan.rows), dtype=np.float32)[train]
    elif plan.targets == "numbers":
        train = train[:, None].astype(np.float32)
    kept = slice(None) if few else slice(cut, None)
    return (given, train), (x[kept], y[kept]), mean, deviation


def kinds(rows: str) -> int:
    """Return how many outputs are right for a set."""
    return KINDS.get(rows, 1)


BODIES: dict[str, Callable[[], tuple[list[nn.Module], int]]] = {
    "conv": lambda: (
        [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()],
        8 * 16,
    ),
}


def model_of(plan: Plan, n_in: int) -> nn.Module:
    """Return the plan's model, made anew."""
    layers: list[nn.Module] = []
    if plan.body or plan.rows == "bars":
        layers, n_in = BODIES[plan.body or "conv"]()
    for width in plan.hidden:
        layers.append(nn.Linear(n_in, width))
        drop = [nn.Dropout(plan.dropout)] if plan.dropout else []
        norm = [nn.BatchNorm1d(width)] if plan.norm else []
        act = [ACTIVATIONS[plan.act]()] if plan.act else []
        layers += [*drop, *norm, *act] if plan.dropout_first else [*norm, *act, *drop]
        n_in = width
    layers.append(nn.Linear(n_in, plan.units or kinds(plan.rows)))
    layers += [nn.Dropout(plan.last_dropout)] if plan.last_dropout else []
    layers += [ACTIVATIONS[plan.head]()] if plan.head else []
    model = nn.Sequential(*layers)
    with mg.no_grad():
        rng = np.random.default_rng(0)
        for module in model.modules():
            if isinstance(module, nn.Linear) and plan.init:
                made = {
                    "alike": lambda s: np.full(s, 0.1),
                    "large": lambda s: 3 * rng.normal(size=s),
                    "huge": lambda s: rng.uniform(-1000, 1000, size=s),
                    "small": lambda s: 1e-4 * rng.normal(size=s),
                    "dead": lambda s: -np.abs(rng.normal(size=s)),
                }[plan.init](module.weight.shape)
                module.weight.copy_(mg.tensor(made.astype(np.float32)))
                if plan.init == "dead" and module.bias is not None:
                    module.bias.copy_(mg.full(module.bias.shape, -5.0))
    for module in [m for m in model.modules() if isinstance(m, nn.Linear)][: plan.frozen]:
        module.requires_grad_(False)
    return Broken(model) if plan.loop == "detached" else model


LOSSES: dict[str, Any] = {
    "cross_entropy": F.cross_entropy,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "bce": F.binary_cross_entropy,
    "bce_logits": F.binary_cross_entropy_with_logits,
    "nll": F.nll_loss,
    "sum": lambda o, t: ((o - t) ** 2).sum(),
    "mse by hand": lambda o, t: ((o - t) ** 2).mean(),
    "minus": lambda o, t: -F.cross_entropy(o, t),
}


def run(plan: Plan, doctor: bool = True) -> tuple[list[Finding], float]:
    """Train by a plan; return what the doctor found, and the score on new rows: accuracy or R²."""
    _ = mg.manual_seed(0)
    (x, y), new, mean, deviation = split(plan)
    findings: list[Finding] = []

    def make() -> tuple[Any, Any, Any]:
        model = model_of(plan, x[0].size)
        of = list(model.parameters())
        if plan.loop == "head only":
            of = of[-2:]
        stepped = model_of(plan, x[0].size).parameters() if plan.loop == "other model" else of
        optimizer = getattr(optim, plan.optimizer)(stepped, lr=plan.lr, **dict(plan.options))
        return (
            model,
            optimizer,
            DataLoader(TensorDataset(x, y), plan.batch or len(x), shuffle=plan.shuffle),
        )

    model: Any = None
    try:
        if plan.loop in ("trainer", "detached"):
            model, optimizer, loader = make()
            trainer = mg.Trainer(
                model, optimizer, LOSSES[plan.loss], doctor="collect" if doctor else False
            )
            try:
                trainer.fit(loader, epochs=plan.epochs)
            finally:
                findings = list(trainer.doctor.report) if doctor else []
        else:
            program = Program()
            with watched(program):
                model, optimizer, loader = make()
                try:
                    by_hand(plan, model, optimizer, loader)
                except (ValueError, IndexError, TypeError, RuntimeError) as error:
                    program.error = error
            findings = list(program.report())
    except (ValueError, IndexError, TypeError, RuntimeError, FloatingPointError):
        return findings, -1.0
    return findings, score(plan, model, new, mean, deviation)


def by_hand(plan: Plan, model: Any, optimizer: Any, loader: Any) -> None:
    """Train by a loop."""
    if plan.loop == "eval":
        model.eval()
    for _ in range(plan.epochs):
        for x, y in loader:
            loss = LOSSES[plan.loss](model(x), y)
            if plan.loop == "no backward":
                optimizer.zero_grad()
            elif plan.loop == "zero_grad late":
                loss.backward()
                optimizer.zero_grad()
            else:
                if plan.loop != "no zero_grad":
                    optimizer.zero_grad()
                loss.backward()
            if plan.loop != "no step":
                optimizer.step()
        if plan.loop == "scored in training":
            with mg.no_grad():
                model(x)


def score(plan: Plan, model: Any, new: Rows, mean: float, deviation: float) -> float:
    """Return accuracy or R² on new rows."""
    x, y = new
    model.eval()
    with mg.no_grad():
        output = np.asarray(model(mg.tensor(x)).tolist(), np.float64)
    if not np.isfinite(output).all():
        return -1.0
    if plan.amounts:
        output = output.reshape(len(y), -1)
        rest = ((output * deviation + mean) - (y * deviation + mean)) ** 2
        return max(-1.0, float(1 - rest.mean() / (y * deviation).var()))
    if plan.two and y.shape[1] > 1:
        half = 0.0 if plan.loss == "bce_logits" else 0.5
        return float(((output > half) == (y > 0.5)).mean())
    labels = y.reshape(-1) + (plan.labels == "one-based")
    if output.shape[1] > 1:
        return float((output.argmax(1) == labels).mean())
    if plan.two:
        half = 0.0 if plan.loss == "bce_logits" else 0.5
        return float(((output[:, 0] > half) == (labels > 0.5)).mean())
    return float((np.round(output[:, 0]) == labels).mean())


# ---------------------------------------------------------------- the fix, applied
def mended(plan: Plan, found: Finding) -> Plan | None:
    """Return a plan with a finding's fix applied, None where its words name no change of it."""
    code, fix = found.code, found.fix
    rate = re.search(r"\blr=([0-9][0-9.e+-]*)", fix)
    lr = float(rate[1]) if rate else plan.lr / 10
    classes: dict[str, Any] = {"head": "", "labels": plan.labels}
    epochs = re.search(r"epochs=(\d+)", fix)
    times = re.search(r"(\d+) times as many", fix)
    if code in ("MG101", "MG102", "MG104", "MG114"):
        return replace(plan, head="")
    if code == "MG108":
        return replace(plan, head="", loss="bce_logits")
    if code == "MG306":
        return replace(plan, head={"relu softmax": "softmax"}.get(plan.head, ""))
    if code == "MG116":
        return replace(plan, head="", loss="cross_entropy")
    if code in ("MG103", "MG105", "MG106", "MG107", "MG109", "MG201", "MG202"):
        if "binary_cross_entropy_with_logits" in fix and plan.two:
            return replace(plan, **classes, units=1, loss="bce_logits", targets="")
        if plan.amounts:
            return replace(plan, head="", loss="mse") if code == "MG103" else None
        if "as 0 and 1" in fix:
            return replace(plan, labels="")
        if "target - 1" in fix:
            return replace(plan, labels="", units=None)
        width = re.search(r"nn\.Linear\(n, (\d+)\)", fix)
        units = int(width[1]) if width else plan.units
        return replace(plan, **classes, units=units, loss="cross_entropy", targets="")
    simple: dict[str, dict[str, Any]] = {
        "MG110": {"targets": ""},
        "MG111": {"loss": "mse"},
        "MG113": {"loss": "cross_entropy"},
        "MG115": {"last_dropout": 0.0},
        "MG205": {"scale_x": True},
        "MG112": {"scale_x": True, "init": ""},
        "MG209": {"shuffle": True},
        "MG211": {"scale_y": True},
        "MG216": {"labels": ""},
        "MG302": {"dropout_first": False},
        "MG304": {"batch": 32},
        "MG305": {"dropout": 0.2 if plan.dropout else 0.0},
        "MG307": {"act": "relu"},
        "MG308": {"init": ""},
        "MG309": {"init": ""},
        "MG310": {"hidden": tuple(64 if width == 1 else width for width in plan.hidden)},
        "MG314": {"act": "relu"},
        "MG301": {"act": "relu"},
        "MG401": {"loop": "trainer", "frozen": 0},
        "MG402": {"loop": "trainer"},
        "MG404": {"frozen": 0},
        "MG405": {"loop": "trainer"},
        "MG406": {"lr": lr},
        "MG407": {"lr": lr},
        "MG411": {"lr": lr},
        "MG412": {"loop": "right"},
        "MG413": {"options": (*plan.options, ("weight_decay", 1e-4))},
        "MG415": {"loop": "right"},
        "MG416": {"loop": "right"},
        "MG417": {"optimizer": "AdamW", "lr": lr, "options": ()},
        "MG601": {"lr": lr},
        "MG602": {"lr": lr},
        "MG603": {"act": "relu"},
        "MG604": {"lr": lr, "init": "", "scale_x": True},
        "MG605": {"scale_x": True, "init": "", "act": "relu"},
        "MG606": {
            "scale_x": True,
            "optimizer": "AdamW",
            "lr": lr,
            "options": (),
            "act": "relu",
            "head": "",
        },
        "MG607": {"lr": lr},
        "MG704": {
            "hidden": (128, 64),
            "act": "relu",
            "dropout": 0.0,
            "optimizer": "AdamW",
            "lr": lr,
            "options": (),
        },
        "MG707": {"loop": "right"},
        "MG708": {"loop": "right"},
        "MG710": {"batch": 32},
    }
    if code == "MG410":
        key = re.search(r"(eps|betas|momentum)=(.*)", fix)
        usual = {"eps": 1e-8, "betas": (0.9, 0.999), "momentum": 0.9}
        return key and replace(plan, options=((key[1], usual[key[1]]),))
    if code == "MG701":
        count = int(epochs[1]) if epochs else plan.epochs * int(times[1] if times else 4)
        return replace(plan, epochs=count)
    changes = simple.get(code)
    return None if changes is None else replace(plan, **changes)


def rights() -> dict[str, Plan]:
    """Return the right plans, by their rows."""
    return {
        "friedman": Plan("friedman", loss="mse"),
        "houses": Plan("houses", loss="mse", epochs=80),
        "spirals": Plan("spirals", lr=5e-3),
        "moons": Plan("moons", loss="bce_logits", hidden=(32, 16), lr=5e-3),
        "waves": Plan("waves", hidden=(32,), epochs=20),
        "sensors": Plan("sensors", epochs=30),
        "bars": Plan("bars", hidden=(32,), epochs=20),
    }


def faults() -> Iterator[tuple[str, Plan, Plan, set[str]]]:
    """Yield a fault's name, the faulty plan, the right one, and codes that name the fault."""
    right = rights()
    high, low = {"MG406", "MG601", "MG602", "MG604", "MG607"}, {"MG407", "MG701", "MG710"}
    late = {"MG701", "MG710", "MG407", "MG417"}
    planted: list[tuple[str, str, set[str], dict[str, Any]]] = [
        ("softmax before cross_entropy", "spirals sensors", {"MG101"}, {"head": "softmax"}),
        ("sigmoid before cross_entropy", "waves bars", {"MG101"}, {"head": "sigmoid"}),
        ("relu before cross_entropy", "spirals bars", {"MG114"}, {"head": "relu"}),
        ("sigmoid before bce of logits", "moons", {"MG102"}, {"head": "sigmoid"}),
        ("no sigmoid before bce", "moons", {"MG106"}, {"loss": "bce"}),
        ("softmax of one unit", "moons", {"MG103"}, {"head": "softmax", "loss": "bce"}),
        ("sigmoid for amounts", "friedman houses", {"MG104"}, {"head": "sigmoid"}),
        ("relu for amounts", "houses friedman", {"MG104"}, {"head": "relu"}),
        ("tanh for raw amounts", "friedman", {"MG104"}, {"head": "tanh", "scale_y": False}),
        ("nll of logits", "sensors", {"MG116"}, {"loss": "nll"}),
        ("nll of softmax", "waves", {"MG116"}, {"loss": "nll", "head": "softmax"}),
        (
            "squared error of class numbers",
            "sensors spirals",
            {"MG105"},
            {"loss": "mse", "units": 1, "targets": "numbers"},
        ),
        (
            "squared error of one-hot classes",
            "spirals",
            {"MG105"},
            {
                "loss": "mse",
                "head": "softmax",
                "targets": "one-hot",
                "optimizer": "SGD",
                "lr": 0.01,
            },
        ),
        (
            "sigmoids for exclusive classes",
            "sensors",
            {"MG107", "MG701"},
            {"loss": "bce", "head": "sigmoid", "targets": "one-hot", "epochs": 3},
        ),
        (
            "loss that broadcasts",
            "friedman houses",
            {"MG110"},
            {"loss": "mse by hand", "targets": "flat", "loop": "right"},
        ),
        (
            "loss summed",
            "friedman",
            {"MG111", *high},
            {"loss": "sum", "optimizer": "SGD", "lr": 0.05},
        ),
        ("loss turned round", "waves", {"MG113"}, {"loss": "minus", "epochs": 5}),
        (
            "learning rate too high",
            "spirals sensors friedman bars moons",
            high,
            {"optimizer": "Adam", "lr": 1.0},
        ),
        (
            "SGD's learning rate too high",
            "houses sensors",
            high,
            {"optimizer": "SGD", "lr": 10.0, "options": (("momentum", 0.9),)},
        ),
        (
            "learning rate too low",
            "spirals houses bars moons",
            low,
            {"optimizer": "Adam", "lr": 1e-6},
        ),
        (
            "SGD's learning rate too low",
            "sensors friedman",
            {*low, "MG417"},
            {"optimizer": "SGD", "lr": 1e-5},
        ),
        ("too few epochs", "spirals houses bars sensors", late, {"epochs": 3, "lr": 3e-4}),
        ("far too few epochs", "moons friedman", late, {"epochs": 6, "lr": 2e-4}),
        (
            "plain SGD",
            "spirals moons",
            {"MG417", "MG701", "MG407"},
            {"optimizer": "SGD", "lr": 0.01},
        ),
        (
            "Adam's epsilon",
            "spirals",
            {"MG410"},
            {"optimizer": "Adam", "options": (("eps", 1.0),), "lr": 1e-3},
        ),
        (
            "momentum near 1",
            "waves sensors",
            {"MG410", *high},
            {"optimizer": "SGD", "lr": 0.1, "options": (("momentum", 0.999),)},
        ),
        (
            "weight decay too large",
            "spirals sensors",
            {"MG413"},
            {"optimizer": "Adam", "options": (("weight_decay", 2.0),)},
        ),
        (
            "inputs not scaled",
            "sensors houses",
            {"MG205"},
            {"scale_x": False, "optimizer": "SGD", "lr": 0.01},
        ),
        ("inputs not scaled, Adam", "sensors", {"MG205"}, {"scale_x": False, "lr": 1e-3}),
        ("targets not scaled", "houses friedman", {"MG211", "MG701"}, {"scale_y": False}),
        ("labels shuffled", "friedman spirals sensors", {"MG216"}, {"labels": "shuffled"}),
        (
            "labels from 1",
            "sensors spirals",
            {"MG202", "MG201"},
            {"labels": "one-based"},
        ),
        (
            "ordered and not shuffled",
            "sensors spirals",
            {"MG209"},
            {"ordered": True, "shuffle": False},
        ),
        ("optimizer of the head alone", "spirals friedman", {"MG401"}, {"loop": "head only"}),
        ("optimizer of another model", "waves", {"MG402"}, {"loop": "other model"}),
        ("a layer detached", "spirals", {"MG405"}, {"loop": "detached"}),
        ("all layers frozen", "waves", {"MG404"}, {"frozen": 2}),
        ("zero_grad forgotten", "spirals houses", {"MG412"}, {"loop": "no zero_grad"}),
        ("zero_grad before the step", "sensors", {"MG415"}, {"loop": "zero_grad late"}),
        ("no step", "moons", {"MG416"}, {"loop": "no step"}),
        (
            "trained in eval mode",
            "sensors",
            {"MG708"},
            {"loop": "eval", "norm": True, "dropout": 0.2},
        ),
        (
            "scored in training mode",
            "waves",
            {"MG707"},
            {"loop": "scored in training", "dropout": 0.3},
        ),
        ("too much dropout", "sensors spirals", {"MG305"}, {"dropout": 0.9}),
        (
            "dropout before batch-norm",
            "waves",
            {"MG302"},
            {"dropout_first": True, "norm": True, "dropout": 0.3},
        ),
        ("dropout on the output", "sensors", {"MG115"}, {"last_dropout": 0.5}),
        ("batches of two under batch-norm", "spirals", {"MG304"}, {"batch": 2, "norm": True}),
        ("weights alike", "sensors spirals", {"MG308"}, {"init": "alike"}),
        ("weights too large", "waves friedman", {"MG309", "MG112"}, {"init": "large"}),
        ("weights too small", "bars spirals", {"MG309"}, {"init": "small"}),
        ("dead ReLUs", "moons sensors", {"MG604", "MG312", "MG309"}, {"init": "dead"}),
        ("no activation", "spirals moons", {"MG301"}, {"act": ""}),
        (
            "deep sigmoids",
            "spirals",
            {"MG314", "MG603"},
            {"act": "sigmoid", "hidden": (32, 32, 32, 32)},
        ),
        ("a hidden layer of one unit", "sensors", {"MG310"}, {"hidden": (64, 1, 32)}),
        ("softmax within the model", "spirals", {"MG307"}, {"act": "softmax"}),
        ("one batch an epoch", "waves", {"MG710", "MG701"}, {"batch": 600, "epochs": 6}),
    ]
    for name, sets, codes, changes in planted:
        for rows in sets.split():
            yield f"{name}, {rows}", replace(right[rows], **changes), right[rows], codes


# ---------------------------------------------------------------- judging
@dataclass(frozen=True)
class Verdict:
    """What came of a faulty program.

    named: whether a code that names the fault was found.  scores: by finding, on new rows with its
    fix applied.  second: the same, with fixes of the best one's findings on top.
    """

    name: str
    named: bool
    codes: list[str]
    faulty: float
    right: float
    scores: list[tuple[str, float]]
    second: list[tuple[str, float]]

    @property
    def harmless(self) -> bool:
        """Whether the fault costs nothing on new rows."""
        return self.faulty >= self.right - POINTS

    @property
    def mended(self) -> bool:
        """Whether one finding's fix reaches the right program's score."""
        return any(score >= self.right - POINTS for _, score in self.scores)

    @property
    def mended_in_two(self) -> bool:
        """Whether one finding's fix does, or two in succession."""
        return self.mended or any(score >= self.right - POINTS for _, score in self.second)


def fixed(plan: Plan, findings: list[Finding]) -> list[tuple[str, float, Plan]]:
    """Return codes, scores and plans of all different fixes of some findings."""
    plans: dict[Plan, str] = {}
    for finding in findings:
        other = mended(plan, finding)
        if other is not None and other != plan:
            plans.setdefault(other, finding.code)
    return [(code, run(other, False)[1], other) for other, code in plans.items()]


def judged(name: str, bad: Plan, right: Plan, codes: set[str]) -> Verdict:
    """Run a faulty program, and what its findings' fixes make of it."""
    target = run(right, False)[1]
    findings, faulty = run(bad)
    first = fixed(bad, findings)
    best = max(first, key=lambda entry: entry[1], default=None)
    second: list[tuple[str, float, Plan]] = []
    if best is not None and best[1] < target - POINTS:
        second = fixed(best[2], run(best[2])[0])
    found = sorted({finding.code for finding in findings})
    scores, more = ([(code, value) for code, value, _ in part] for part in (first, second))
    return Verdict(name, bool(codes & set(found)), found, faulty, target, scores, more)


def table(words: list[str]) -> None:
    """Print what came of all programs, or of those whose name holds one of some words."""
    alarms = {name: [f.code for f in run(plan)[0]] for name, plan in rights().items()}
    print("right programs:", {name: codes for name, codes in alarms.items() if codes} or "no alarm")
    verdicts = []
    for name, bad, right, codes in faults():
        if words and not any(word in name for word in words):
            continue
        verdict = judged(name, bad, right, codes)
        verdicts.append(verdict)
        fix = "one fix" if verdict.mended else "two" if verdict.mended_in_two else "NO FIX"
        named = "named " if verdict.named else "MISSED"
        print(
            f"{named} {fix:7} {name}: {verdict.faulty:.3f}, right {verdict.right:.3f}, "
            f"{' '.join(verdict.codes)} {[(c, round(v, 3)) for c, v in verdict.scores]} "
            f"{[(c, round(v, 3)) for c, v in verdict.second]}",
            flush=True,
        )
    print("\n| planted | programs | named | mended by one fix | by two |")
    print("| --- | ---: | ---: | ---: | ---: |")
    costly = [v for v in verdicts if not v.harmless]
    for label, part in (("all", verdicts), ("that cost more than 2 points", costly)):
        counts = (len(part), *(sum(getattr(v, n) for v in part) for n in MEASURED))
        print(f"| {label} | " + " | ".join(map(str, counts)) + " |")


MEASURED = ("named", "mended", "mended_in_two")
