"""A case: all that the checks look at, and what follows from it about the loss, the output, the
targets.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from minigrad.diagnosis import baselines
from minigrad.diagnosis.looking import ACTIVATIONS, Look, Node, host
from minigrad.nn.module import Module
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
LEAST = 0.3  # skill below which nothing is learnt, whatever the rows are
CHANCE = 0.04  # of the skill of simple methods, which know some of their rows by chance
FEW_ROWS = 8  # that a straight line is held against
FEW_FEATURES = 100  # of rows among which neighbours mean something
MOST_FEATURES = 1024  # of rows that simple methods are tried on
KEPT = 1024  # rows of a set that are kept to look at

# Losses by the name of their function or module, in the doctor's words.
LOSSES = {
    "cross_entropy": "cross_entropy",
    "CrossEntropyLoss": "cross_entropy",
    "nll_loss": "nll",
    "NLLLoss": "nll",
    "binary_cross_entropy": "bce",
    "BCELoss": "bce",
    "binary_cross_entropy_with_logits": "bce_logits",
    "BCEWithLogitsLoss": "bce_logits",
    "mse_loss": "mse",
    "MSELoss": "mse",
    "l1_loss": "l1",
    "L1Loss": "l1",
    "smooth_l1_loss": "huber",
    "SmoothL1Loss": "huber",
    "huber_loss": "huber",
    "HuberLoss": "huber",
}
REGRESSION = {"mse", "l1", "huber"}


class Sample:
    """The first rows of a set, as its batches brought them.

    sizes: rows of the batches.  whole: whether it is the whole of an epoch.
    """

    def __init__(self) -> None:
        self.inputs: list[Array] = []
        self.targets: list[Array] = []
        self.sizes: list[int] = []
        self.rows = 0
        self.whole = False
        self.looked = False  # whether the checks of rows have run
        self._keys: Array | None = None

    def add(self, x: Array | None, y: Array | None, rows: int) -> None:
        """Take a batch of so many rows; those for which there is room are copied."""
        self.sizes.append(rows)
        if self.rows >= KEPT or x is None or y is None or not x.ndim or not y.ndim:
            return
        if self.inputs and (
            x.shape[1:] != self.inputs[0].shape[1:] or y.shape[1:] != self.targets[0].shape[1:]
        ):
            return
        room = KEPT - self.rows
        self.inputs.append(np.array(x[:room]))
        self.targets.append(np.array(y[:room]))
        self.rows += min(rows, room)

    @property
    def keys(self) -> Array | None:
        """Return a number for each row kept, the same for the same row; None without rows."""
        x = self.x
        if x is None or x.ndim < 2 or not x.size:
            return None
        if self._keys is None or len(self._keys) != len(x):
            flat = np.ascontiguousarray(x.reshape(len(x), -1))
            self._keys = np.array([hash(row.tobytes()) for row in flat])
        return self._keys

    def take(self, x: Any, target: Any) -> None:
        """Take a batch as a loader gives it."""
        rows = len(x) if isinstance(x, Tensor) and x.ndim else 0
        if self.rows < KEPT and isinstance(x, Tensor) and isinstance(target, Tensor):
            self.add(host(x, KEPT), host(target, KEPT), rows)
        else:
            self.add(None, None, rows)

    @property
    def x(self) -> Array | None:
        """Return the inputs kept, (n, ...); None where there are none."""
        return _joined(self.inputs)

    @property
    def y(self) -> Array | None:
        """Return the targets kept, (n, ...); None where there are none."""
        return _joined(self.targets)


def _joined(parts: list[Array]) -> Array | None:
    if len(parts) > 1:
        parts[:] = [np.concatenate(parts)]
    return parts[0] if parts else None


def unwrapped(loss: Any) -> str:
    """Return the name of the function or module that a loss is, under `partial`.

    >>> import minigrad as mg
    >>> unwrapped(partial(mg.nn.functional.mse_loss)), unwrapped(mg.nn.L1Loss())
    ('mse_loss', 'L1Loss')
    """
    while isinstance(loss, partial):
        loss = loss.func
    if isinstance(loss, Module):
        return type(loss).__name__
    return str(getattr(loss, "__name__", type(loss).__name__))


def of_library(loss: Any) -> bool:
    """Return whether a loss is one of `mg.nn`."""
    while isinstance(loss, partial):
        loss = loss.func
    module = type(loss).__module__ if isinstance(loss, Module) else getattr(loss, "__module__", "")
    return str(module).startswith("minigrad.nn.")


def kind_of_targets(y: Array | None) -> str:
    """Return what targets are: "classes" (integers), "binary" (0 and 1), "one-hot", "multi-label",
    "codes" (floats that are few whole numbers), "numbers", "" where there are none.

    >>> [kind_of_targets(np.array(y)) for y in ([0, 2, 1], [0.0, 1.0], [[0, 1], [1, 1]], [0.5])]
    ['classes', 'binary', 'multi-label', 'numbers']
    """
    if y is None or not y.size:
        return ""
    column = y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)
    zero_one = bool(np.isin(y, (0, 1)).all())
    if column:
        if y.dtype.kind in "iu" and y.ndim == 1:
            return "classes"
        if zero_one:
            return "binary"
        values = np.unique(y)
        whole = bool((values == np.round(values)).all())
        if whole and 2 < len(values) <= 20 and len(values) * 5 <= len(y):
            from_start = values[0] in (0, 1)
            if from_start and values[-1] - values[0] == len(values) - 1:
                return "codes"
        return "numbers"
    if y.ndim == 2 and zero_one:
        return "one-hot" if bool((y.sum(1) == 1).all()) else "multi-label"
    if y.dtype.kind in "iu" and y.ndim > 1:
        return "classes"
    return "numbers"


class Case:
    """What is looked at: a model with what trains it, the steps seen, the rows, the history.

    way: "trainer", "script" or "static", by who asks.
    looks: steps that were looked at.  history: rows of the epochs.  losses: by step.
    events: what a program did, by name, with its lines; see `watching`.
    """

    def __init__(self, model: Any, way: str) -> None:
        self.way = way
        self.model: Any = model
        self.optimizers: list[Any] = []
        self.loss: Any = None
        self.train_loader: Any = None
        self.val_loader: Any = None
        self.callbacks: list[Any] = []
        self.schedules: list[tuple[Any, str, str]] = []  # scheduler, per, monitor
        self.epochs = 0
        self.steps = 0
        self.steps_per_epoch: int | None = None
        self.history: Any = None
        self.looks: list[Look] = []
        self.step_looks: Look | None = None
        self.losses: list[tuple[int, float]] = []
        self.train = Sample()
        self.validation = Sample()
        self.outputs: Array | None = None  # of the sample's rows, after the fit
        self.probe: dict[str, Any] = {}
        self.events: dict[str, list[str]] = {}
        self.error: BaseException | None = None
        self._kind_of: tuple[Any, str] = (None, "")

    # ------------------------------------------------------------ the loss
    @property
    def look(self) -> Look | None:
        """Return the step whose tape is open to be read."""
        return self.step_looks

    @property
    def loss_kind(self) -> str:
        """Return the kind of the loss, by its name or its ops; "other" where it is not known."""
        if self.loss is not None:
            known = LOSSES.get(unwrapped(self.loss))
            if known or of_library(self.loss):
                return known or "other"
        if self.look is not None and self.look.nodes:
            failed = LOSSES.get(self.probe.get("failed loss", ""))
            self._kind = failed or kind_by_ops(self.look)
        return getattr(self, "_kind", "other")

    @property
    def head(self) -> str:
        """Return the activation whose result goes into the loss; "" for none."""
        if self.look is not None and self.look.nodes:
            node = head_node(self.look)
            self._head = "" if node is None else node.op
        return getattr(self, "_head", "")

    @property
    def activation(self) -> str:
        """Return the head in the words of `nn`."""
        return ACTIVATIONS.get(self.head, "")

    @property
    def units(self) -> int | None:
        """Return the width of the output."""
        if self.look is not None and self.look.output is not None:
            shape = self.look.output.shape
            self._units = int(shape[1]) if len(shape) > 1 else 1
        return getattr(self, "_units", None)

    @property
    def targets(self) -> str:
        """Return what the targets are; see `kind_of_targets`."""
        y = self.train.y
        if y is None and self.look is not None and self.look.target is not None:
            y = host(self.look.target)
        if y is not self._kind_of[0]:
            self._kind_of = y, kind_of_targets(y)
        return self._kind_of[1]

    @property
    def classes(self) -> int | None:
        """Return how many classes the targets show; None where they are no classes."""
        y = self.train.y
        kind = self.targets
        if y is None or not y.size:
            return None
        if kind in ("classes", "codes"):
            return len(np.unique(y[y >= 0] if (y >= 0).any() else y))
        if kind == "one-hot":
            return int(y.shape[1])
        return 2 if kind == "binary" else None

    @property
    def classifies(self) -> bool:
        """Whether the targets are classes, and the loss is one of classes or none that is known."""
        return self.targets in ("one-hot", "binary", "multi-label") or (
            self.targets in ("classes", "codes") and self.loss_kind not in REGRESSION
        )

    # ------------------------------------------------------------ how it went
    @property
    def curve(self) -> list[float]:
        """Return the training loss by epoch, or by parts of the steps where no epochs are known."""
        if self.history is not None and len(self.history):
            return [float(row["loss"]) for row in self.history.rows if "loss" in row]
        values = [loss for _, loss in self.losses]
        per = self.steps_per_epoch or 1
        epochs = [values[i : i + per] for i in range(0, len(values) - per + 1, per)]
        return [float(np.mean(part)) for part in epochs]

    @property
    def skill(self) -> float | None:
        """Return how much of what is to be learnt the model knows of its own training rows: 0 for
        what a constant output does, 1 for all; None where that is not known.
        """
        if "skill" in self.probe:
            known: float | None = self.probe["skill"]
            return known
        y, output = self.train.y, self.outputs
        if y is None or output is None or len(y) < len(output) or not np.isfinite(output).all():
            return None
        y = y[: len(output)]
        return skill(self, y, output)

    @property
    def enough(self) -> float:
        """Return the skill from which on a model has learnt: 0.9, or what simple methods reach
        where the rows are too noisy for that.
        """
        if "enough" not in self.probe:
            self.probe["enough"] = enough(self)
        known: float = self.probe["enough"]
        return known

    @property
    def learnt(self) -> bool:
        """Whether the model has learnt its training rows well enough to leave it alone."""
        skilled = self.skill
        known = skilled is not None and (skilled >= 0.9 or skilled >= self.enough)
        return known and not self.misnamed

    @property
    def misnamed(self) -> bool:
        """Whether targets that look like classes are taken for amounts, and the outputs, rounded,
        name the class of fewer rows than nearest neighbours do.
        """
        if "misnamed" not in self.probe:
            self.probe["misnamed"] = misnamed(self)
        return bool(self.probe["misnamed"])

    @property
    def failing(self) -> bool:
        """Whether the model knows little of its training rows, or its loss is no number."""
        curve = self.curve
        if curve and not math.isfinite(curve[-1]):
            return True
        skilled = self.skill
        return skilled is not None and skilled < 0.6 and skilled < self.enough - 0.1


def enough(case: Case) -> float:
    """Return the skill that can be asked of a model of these rows."""
    x, y, output = case.train.x, case.train.y, case.outputs
    if x is None or y is None or output is None or x.dtype.kind != "f" or "skill" in case.probe:
        return 0.9
    n = min(len(x), len(y), len(output))
    kind = case.targets
    few = n < baselines.FEWEST
    straight = sum(p.ndim > 1 for p in case.model.parameters()) == 1
    if few and not (straight and n >= FEW_ROWS):
        return 0.9  # neighbours say little
    if x[0].size > MOST_FEATURES or not np.isfinite(x).all():
        return 0.9
    if kind == "one-hot":
        targets, classes = y[:n], True
    elif case.classifies and y.size == len(y):
        labels = np.unique(y.reshape(-1)[:n], return_inverse=True)[1]
        targets, classes = np.eye(int(labels.max()) + 1)[labels], True
    elif y.dtype.kind in "fi" and case.loss_kind in REGRESSION and np.isfinite(y).all():
        targets, classes = y[:n].reshape(n, -1), False
    else:
        return 0.9
    rows = x[:n].reshape(n, -1)
    near, linear = baselines.scores(rows, targets, classes)
    case.probe["linear"] = linear
    if few:
        return max(LEAST, min(0.9, linear - CHANCE)) if linear else 0.9
    if x[0].size <= FEW_FEATURES:
        case.probe["dependence"] = partial(baselines.dependence, rows, targets)
    return max(LEAST, min(0.9, max(near, linear) - CHANCE))


def misnamed(case: Case) -> bool:
    """Return whether classes would be named better by a model that takes them for classes."""
    x, y, output = case.train.x, case.train.y, case.outputs
    numbered = case.targets in ("codes", "classes") and case.loss_kind in REGRESSION
    if not numbered or x is None or y is None or output is None or x.dtype.kind != "f":
        return False
    n = min(len(x), len(y), len(output), baselines.MOST)
    if output.size != len(output) or n < baselines.FEWEST or x[0].size > MOST_FEATURES:
        return False
    if y.size != len(y) or not np.isfinite(x[:n]).all():
        return False
    labels = y.reshape(-1)[:n].round()
    kinds = np.unique(labels, return_inverse=True)[1]
    rows = np.eye(int(kinds.max()) + 1)[kinds]
    near = baselines.neighbours(baselines.standardised(x[:n].reshape(n, -1)), rows).argmax(1)
    named = float((output.reshape(-1)[:n].round() == labels).mean())
    return bool(float((near == kinds).mean()) > named + 0.05)


def skill(case: Case, y: Array, output: Array) -> float | None:
    """Return a score in which 0 is a constant output and 1 is perfect."""
    kind = case.targets
    if kind == "binary" or (kind == "multi-label" and output.shape == y.shape):
        flat, labels = output.reshape(len(y), -1), y.reshape(len(y), -1)
        if flat.shape != labels.shape:
            return None
        half = 0.0 if case.loss_kind == "bce_logits" else 0.5
        right = float(((flat > half) == (labels > 0.5)).mean())
        base = float(np.maximum(labels.mean(0), 1 - labels.mean(0)).mean())
    elif case.classifies and output.ndim == 2 and output.shape[1] > 1:
        labels = y.argmax(1) if kind == "one-hot" else y.reshape(len(y), -1)[:, 0]
        if kind != "one-hot" and y.size != len(y):
            return None
        right = float((output.argmax(1) == labels).mean())
        base = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    elif output.size == y.size and case.loss_kind != "cross_entropy":
        flat, labels = output.reshape(len(y), -1), y.reshape(len(y), -1).astype(np.float64)
        spread = float(((labels - labels.mean(0)) ** 2).mean())
        return None if not spread else 1 - float(((labels - flat) ** 2).mean()) / spread
    else:
        return None
    return None if base >= 1 else (right - base) / (1 - base)


def kind_by_ops(look: Look) -> str:
    """Return the kind of a loss by the ops between the output and its value."""
    if look.output is None:
        return "other"
    nodes = look.follows(look.output)
    names = [node.op for node in nodes]
    if "CrossEntropy" in names:
        return "cross_entropy"
    if "BceLogits" in names or "BceLogitsWeighted" in names:
        return "bce_logits"
    if "BinaryCrossEntropy" in names:
        return "bce"
    if "Log" in names or "LogSoftmax" in names or "LogSigmoid" in names:
        return "log"
    if {"Index", "Neg"} <= set(names) and not {"Sub", "Mul"} & set(names):
        return "nll"
    if "Sub" in names:
        if "Abs" in names:
            return "l1"
        if {"Square", "Pow", "Mul"} & set(names):
            return "mse"
    return "other"


def loss_node(look: Look) -> Node | None:
    """Return the op of the library that is a loss of logits or probabilities, if there is one."""
    for node in reversed(look.nodes):
        if node.op in ("CrossEntropy", "BceLogits", "BceLogitsWeighted", "BinaryCrossEntropy"):
            return node
    return None


def head_node(look: Look) -> Node | None:
    """Return the op whose result goes into the loss, past those that only change the shape."""
    node = loss_node(look)
    fed = node.inputs[0] if node is not None else look.output
    return None if fed is None else look.producer(fed)
