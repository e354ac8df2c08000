"""The production recipe for multilayer perceptrons, as one function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import FunctionType
from typing import Any

from minigrad import nn
from minigrad.data.dataset import Dataset
from minigrad.data.loader import DataLoader
from minigrad.engine import arguments
from minigrad.nn.functional import cross_entropy
from minigrad.optim import AdamW, decay_groups
from minigrad.optim.lr_scheduler import ReduceLROnPlateau
from minigrad.tensors.tensor import Tensor
from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.early_stopping import EarlyStopping
from minigrad.train.callbacks.guards import StopOnNonFinite
from minigrad.train.callbacks.history import History
from minigrad.train.callbacks.schedule_lr import ScheduleLR
from minigrad.train.checks import full_batches
from minigrad.train.metrics import accuracy, named_metrics
from minigrad.train.trainer import Trainer

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "selu": nn.SELU,
    "mish": nn.Mish,
}


def recipe(
    n_in: int,
    n_out: int,
    hidden: Sequence[int] = (256, 128),
    activation: str = "relu",
    dropout: float = 0.2,
    last_dropout: float = 0.5,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    *,
    lr_patience: int = 8,
    lr_factor: float = 0.5,
    patience: int = 30,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    metrics: Any = None,
    device: Any = None,
    capture: bool | str = True,
    doctor: Any = True,
) -> Recipe:
    """Build the production MLP with its optimizer, schedule and callbacks, ready to fit.

    Hidden layers: Linear without bias, BatchNorm, activation, Dropout; then a Linear head.
    AdamW with weight decay on the weights alone, the learning rate cut on a plateau of the
    validation loss, early stopping with the best weights and buffers restored.

    Shape: `model: (N, n_in) float32 -> (N, n_out)` logits.
    hidden: widths, one a hidden layer; none gives a linear model.
    activation: relu, gelu, silu, tanh, elu, leaky_relu, selu or mish.
    dropout, last_dropout: probabilities in [0, 1), of all but the last hidden layer, and of the
        last.  lr: of AdamW.  weight_decay: decoupled, on weights, not on biases and norms.
    lr_patience, lr_factor: after more than so many epochs without improvement, lr times so much.
    patience: epochs without improvement until early stopping.
    loss, metrics: of (output, target); cross-entropy and accuracy by default.  With n_out=1 the
        losses of `mg.nn` and binary_accuracy take targets (N,) as (N, 1), as a regression has them.
    device: where to train, "cuda" say; the CPU by default.
    capture: whether training steps are captured where that pays; see `Trainer`.
    doctor: whether to look for mistakes while fitting; see `Trainer`.

    Raises: ValueError for sizes below 1, an unknown activation, and cross-entropy over one class.

    Source: Ioffe and Szegedy 2015 (batch normalisation before the activation, no bias before it);
    Srivastava et al. 2014 (dropout); Loshchilov and Hutter 2019 (AdamW); Prechelt 1998.

    >>> import minigrad as mg
    >>> train, validation, test = mg.data.load_iris().split(seed=0)
    >>> built = recipe(4, 3, hidden=(16,))
    >>> history = built.fit(train, validation, epochs=3, batch_size=32)
    >>> sorted(built.evaluate(test))
    ['accuracy', 'loss']
    """
    try:
        sizes = [arguments.whole("recipe", "a size", n, 1) for n in (n_in, *hidden, n_out)]
    except ValueError:
        raise ValueError(
            "recipe: expected n_in, hidden and n_out as whole numbers >= 1, but got "
            f"n_in={n_in!r}, hidden={tuple(hidden)!r}, n_out={n_out!r}"
        ) from None
    n_out = sizes[-1]
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"recipe: expected activation to be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
        )
    if n_out == 1 and loss is cross_entropy:
        raise ValueError(
            "recipe: cross-entropy over one class is always 0; use n_out=2, or with one logit "
            "loss=mg.nn.functional.binary_cross_entropy_with_logits (mse_loss for a regression)"
        )
    if metrics is None:
        metrics = {"accuracy": accuracy} if loss is cross_entropy else {}
    if n_out == 1:
        loss = for_one_column(loss)
        metrics = {name: for_one_column(m) for name, m in named_metrics(metrics).items()}
    rates = [dropout] * (len(hidden) - 1) + [last_dropout]
    model = mlp(sizes, activation, rates)
    return around(
        model,
        loss,
        metrics,
        lr,
        weight_decay,
        lr_patience=lr_patience,
        lr_factor=lr_factor,
        patience=patience,
        device=device,
        capture=capture,
        doctor=doctor,
    )


def around(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    metrics: Any = None,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    *,
    lr_patience: int = 8,
    lr_factor: float = 0.5,
    patience: int = 30,
    device: Any = None,
    capture: bool | str = True,
    doctor: Any = True,
) -> Recipe:
    """Return the recipe's optimizer, schedule and callbacks around a model; see `recipe`.

    >>> around(nn.Linear(2, 1), nn.functional.mse_loss).parameter_count
    3
    """
    optimizer = AdamW(decay_groups(model, weight_decay), lr=lr)
    scheduler = ReduceLROnPlateau(optimizer, factor=lr_factor, patience=lr_patience)
    callbacks = [StopOnNonFinite(), ScheduleLR(scheduler), EarlyStopping(patience=patience)]
    return Recipe(model, optimizer, scheduler, callbacks, loss, metrics, device, capture, doctor)


def mlp(sizes: Sequence[int], activation: str, rates: Sequence[float]) -> nn.Sequential:
    """Return the recipe's layers.

    >>> len(mlp([4, 8, 8, 3], "relu", [0.2, 0.5]))
    9
    """
    layers: list[nn.Module] = []
    for n_in, n_out, rate in zip(sizes[:-2], sizes[1:-1], rates, strict=False):
        layers += [
            nn.Linear(n_in, n_out, bias=False),  # batch-norm's shift is the bias
            nn.BatchNorm1d(n_out),
            ACTIVATIONS[activation](),
            nn.Dropout(rate),
        ]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def for_one_column(function: Any) -> Any:
    """Return a loss or metric of the library that takes targets (N,) for outputs (N, 1).

    Functions of one's own stay as they are: they may have seen to it themselves.

    >>> import minigrad as mg
    >>> for_one_column(mg.nn.functional.l1_loss)(mg.zeros(2, 1), mg.ones(2)).item()
    1.0
    """
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    if not isinstance(inner, nn.Module) and not isinstance(inner, FunctionType):
        return function
    owner = type(inner) if isinstance(inner, nn.Module) else inner
    if not owner.__module__.startswith("minigrad."):
        return function

    def aligned(output: Tensor, target: Tensor) -> Any:
        column = output.ndim == 2 and target.ndim == 1 and output.shape[1] == 1
        return function(output, target.unsqueeze(1) if column else target)

    aligned.__name__ = getattr(inner, "__name__", type(inner).__name__)
    return aligned


class Recipe:
    """The parts that `recipe` builds: `model`, `optimizer`, `scheduler`, `callbacks`; and how to
    fit it.  `scheduler` is None where a callback makes one for each fit.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: AdamW,
        scheduler: ReduceLROnPlateau | None,
        callbacks: list[Callback],
        loss: Callable[[Tensor, Tensor], Tensor],
        metrics: Any,
        device: Any = None,
        capture: bool | str = True,
        doctor: Any = True,
    ) -> None:
        self.device = device
        self.capture = capture
        self.doctor = doctor
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.callbacks = callbacks
        self.loss = loss
        self.metrics = metrics

    @property
    def parameter_count(self) -> int:
        """Return how many numbers are trained."""
        return sum(p.numel() for p in self.model.parameters())

    def trainer(self, callbacks: Iterable[Callback] = ()) -> Trainer:
        """Return a Trainer with the recipe's callbacks and further ones."""
        return Trainer(
            self.model,
            self.optimizer,
            self.loss,
            metrics=self.metrics,
            callbacks=[*self.callbacks, *callbacks],
            device=self.device,
            capture=self.capture,
            doctor=self.doctor,
        )

    def fit(
        self,
        train: Any,
        validation: Any,
        *,
        epochs: int = 200,
        batch_size: int = 32,
        callbacks: Iterable[Callback] = (),
        resume: Any = None,
    ) -> History:
        """Train until the validation loss stops improving, at most `epochs` epochs.

        train, validation: datasets, of which loaders are made (the training rows in a new order
            every epoch; a last batch of one row is left out), or loaders.
        batch_size: rows a step, where loaders are made.
        resume: "auto" or a path: see `Trainer.fit`.
        """
        batch_size = arguments.whole("fit", "batch_size", batch_size, 1)
        train_loader = training_loader(train, batch_size)
        val_loader = whole_loader(validation, 2 * batch_size)  # nothing is kept for backward
        trainer = self.trainer(callbacks)
        return trainer.fit(train_loader, val_loader, epochs=epochs, resume=resume)

    def evaluate(self, data: Any) -> dict[str, float]:
        """Return loss and metrics over a dataset or a loader."""
        return self.trainer().evaluate(whole_loader(data))

    def predict(self, data: Any) -> Tensor:
        """Return the logits of all rows of a Tensor, an array, a dataset or a loader."""
        return self.trainer().predict(whole_loader(data))

    def __repr__(self) -> str:
        group = self.optimizer.param_groups[0]
        decay = group["weight_decay"]
        return (
            f"Recipe({self.parameter_count:,} parameters, AdamW(lr={group['lr']:g}, "
            f"weight_decay={decay:g} on weights), {', '.join(map(repr, self.callbacks))})\n"
            f"{self.model!r}"
        )


def training_loader(data: Any, batch_size: int) -> Any:
    """Return a shuffling loader of a dataset; a loader itself.

    >>> from minigrad.data import load_iris
    >>> len(training_loader(load_iris(), 149))
    1
    """
    if not isinstance(data, Dataset):
        return data
    drop_last = full_batches(len(data), batch_size)
    return DataLoader(data, batch_size, shuffle=True, drop_last=drop_last)


def whole_loader(data: Any, batch_size: int = 64) -> Any:
    """Return a loader of a dataset in its order; anything else itself."""
    return DataLoader(data, batch_size) if isinstance(data, Dataset) else data
