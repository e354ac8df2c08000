"""EMA and SWA: evaluate and keep averages of the weights, while the raw ones go on training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import device_of, moved
from minigrad.nn.layers.norm import BatchNorm
from minigrad.nn.state import named_tensors
from minigrad.optim.swa_utils import (
    fade,
    get_ema_multi_avg_fn,
    get_swa_multi_avg_fn,
    refresh_statistics,
)
from minigrad.tensors.tensor import Tensor, new
from minigrad.train import checks as batches
from minigrad.train.callbacks.base import Callback
from minigrad.train.run_state import roots
from minigrad.train.traceless import untouched

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
KEEPS = ("average", "raw")


class WeightAveraging(Callback):
    """The base of EMA and SWA: takes averages of a model's weights and has them evaluated.

    From the end of an epoch's last step to the end of its hooks the model has the averaged weights:
    they are validated, and they are what EarlyStopping keeps of its best epoch.  Then the raw
    weights come back and training goes on, to the bit as it would without this callback.

    refresh_batch_norm: before each such evaluation, compute the running statistics of the batch
        normalisations that are in training mode anew, by a pass over the training loader that
        leaves its order and the random numbers as they were; False averages them like weights.
    keep: what the model has after the fit: "average", the averaged weights as they were evaluated
        after the last finished epoch; or "raw".  Where EarlyStopping has restored its best epoch,
        the model keeps that.  A fit that ends before anything was averaged leaves the raw weights.

    A checkpoint holds both: the raw weights as its "model", the average in this callback's state.
    """

    order = 90  # after what keeps weights or looks at metrics, before what draws and writes

    def __init__(self, refresh_batch_norm: bool, keep: str) -> None:
        if keep not in KEEPS:
            raise ValueError(
                f"{type(self).__name__}: expected keep to be one of {KEEPS}, got {keep!r}"
            )
        self.refresh_batch_norm = bool(refresh_batch_norm)
        self.keep = keep
        self.count = 0  # weights that the average is of
        self._average: Arrays = {}
        self._evaluated: Arrays = {}  # parameters and buffers as they were evaluated last
        self._raw: Arrays = {}  # what the model gets back, while it has the averaged weights
        self._pairs: Any = ()  # averages, and the tensors that they are of

    def mix(self, averages: list[Tensor], values: list[Tensor]) -> None:
        """Take values into averages, in place."""
        raise NotImplementedError

    # ------------------------------------------------------------ averages
    def _averaged(self, model: Any) -> dict[str, Tensor]:
        """Return what is averaged, by name."""
        found = dict(model.named_parameters())
        if not self.refresh_batch_norm:
            buffers = dict(model.named_buffers())
            found |= {name: b for name, b in buffers.items() if b.is_floating_point()}
        return found

    def take(self, model: Any) -> None:
        """Take a model's weights into the average; the first ones are copied."""
        if not self.count:
            values = self._averaged(model)
            self._average = {name: value.array.copy() for name, value in values.items()}
        else:
            if not self._pairs:
                values = self._averaged(model)
                for name, value in values.items():
                    if type(self._average[name]) is not type(value.array):  # it came from a file
                        place = device_of(value.array)
                        self._average[name] = moved(self._average[name], place)
                averages = [new(self._average[name]) for name in values]
                self._pairs = averages, [*values.values()]
            self.mix(*self._pairs)
        self.count += 1

    def on_fit_begin(self, trainer: Any) -> None:
        self.count = 0
        self._average, self._evaluated, self._raw, self._pairs = {}, {}, {}, ()

    def on_epoch_begin(self, trainer: Any) -> None:
        self._pairs = ()  # a model may get other parameters between epochs

    def on_train_epoch_end(self, trainer: Any) -> None:
        if not self.count:
            return
        tensors = named_tensors(trainer.model)
        self._raw = {name: tensor.array.copy() for name, tensor in tensors.items()}
        write(tensors, self._average)
        if self.refresh_batch_norm:
            refresh(trainer)
        self._evaluated = {name: tensor.array.copy() for name, tensor in tensors.items()}

    def on_epoch_end(self, trainer: Any) -> None:
        self._back(trainer)

    def _back(self, trainer: Any) -> None:
        raw, self._raw = self._raw, {}
        if raw:
            write(named_tensors(trainer.model), raw)

    def on_fit_end(self, trainer: Any) -> None:
        if trainer.history.restored_epoch is not None:
            self._raw = {}
            return
        self._back(trainer)  # where an error came in between
        if self.keep == "average" and self._evaluated:
            write(named_tensors(trainer.model), self._evaluated)

    # ------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the averages."""
        parts = {"average": self._average, "evaluated": self._evaluated, "raw": self._raw}
        return {
            "count": self.count,
            **{part: {n: a.copy() for n, a in arrays.items()} for part, arrays in parts.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises: ValueError for other keys.
        """
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected the keys {sorted(own)}, but got "
                f"{sorted(state)}"
            )
        self.count, self._pairs = int(state["count"]), ()
        self._average, self._evaluated, self._raw = (
            {name: as_own(values) for name, values in state[part].items()}
            for part in ("average", "evaluated", "raw")
        )


class EMA(WeightAveraging):
    """Evaluate and keep an average of the weights that fades exponentially with the steps.

    average = decay * average + (1 - decay) * weights, after each optimizer step

    decay: in [0, 1): 0.999 is an average of about the last thousand steps.
    warmup: begin with less, min(decay, (1 + n) / (10 + n)) at step n, for fits of few steps.
    refresh_batch_norm, keep: see `WeightAveraging`.

    Raises: ValueError for a decay outside of [0, 1).
    Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; the
        warmup is TensorFlow's `ExponentialMovingAverage`.

    >>> EMA(0.99)
    EMA(decay=0.99)
    """

    def __init__(
        self,
        decay: float = 0.999,
        *,
        warmup: bool = False,
        refresh_batch_norm: bool = True,
        keep: str = "average",
    ) -> None:
        super().__init__(refresh_batch_norm, keep)
        self.decay = arguments.number("EMA", "decay", decay)
        if not 0 <= self.decay < 1:
            raise ValueError(f"EMA: expected decay in [0, 1), but got {decay!r}")
        self.warmup = bool(warmup)

    def mix(self, averages: list[Tensor], values: list[Tensor]) -> None:
        decay = self.decay
        if self.warmup:
            decay = min(decay, (1 + self.count) / (10 + self.count))
        if any(average.is_cuda for average in averages):
            get_ema_multi_avg_fn(decay)(averages, [v.detach() for v in values], self.count)
            return
        for average, value in zip(averages, values, strict=True):
            fade(average.array, value.array, decay)

    def on_step_end(self, trainer: Any) -> None:
        self.take(trainer.model)

    def __repr__(self) -> str:
        return f"EMA(decay={self.decay:g}{', warmup=True' if self.warmup else ''})"


class SWA(WeightAveraging):
    """Evaluate and keep the mean of the weights at the ends of the epochs from `start` on.

    start: the first such epoch, from 1; or a share of the fit's epochs in (0, 1): 0.75 averages the
        last quarter.  Give the learning rate a schedule that stays high from there, `SWALR` say.
    refresh_batch_norm, keep: see `WeightAveraging`.

    Raises: ValueError for a start out of range.
    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima and better
        generalization".

    >>> SWA(start=10)
    SWA(start=10)
    """

    def __init__(
        self,
        start: int | float = 0.75,
        *,
        refresh_batch_norm: bool = True,
        keep: str = "average",
    ) -> None:
        super().__init__(refresh_batch_norm, keep)
        if isinstance(start, float) and not 0 < start < 1:
            raise ValueError(
                f"SWA: expected start as a share of the epochs in (0, 1), or a whole number from 1 "
                f"on, but got {start!r}"
            )
        self.start = (
            start if isinstance(start, float) else arguments.whole("SWA", "start", start, 1)
        )

    def mix(self, averages: list[Tensor], values: list[Tensor]) -> None:
        get_swa_multi_avg_fn()(averages, [value.detach() for value in values], self.count)

    def on_train_epoch_end(self, trainer: Any) -> None:
        first = self.start
        if isinstance(first, float):
            first = int(first * trainer.epochs) + 1
        if trainer.epoch >= first:
            self.take(trainer.model)
        super().on_train_epoch_end(trainer)

    def __repr__(self) -> str:
        return f"SWA(start={self.start})"


def write(tensors: dict[str, Tensor], arrays: Arrays) -> None:
    """Write arrays into tensors, in place: what was captured goes on with their memory."""
    for name, array in arrays.items():
        tensors[name].array[...] = array
        tensors[name].bump_version("by an average of weights")


def as_own(values: Any) -> Array:
    """Return a copy of a saved array."""
    found: Array = values.array.copy() if isinstance(values, Tensor) else np.array(values)
    return found


def refresh(trainer: Any) -> None:
    """Compute the statistics of batch normalisations in training mode anew, over the training
    loader; all else stays as it was.
    """
    norms = [
        m
        for m in trainer.model.modules()
        if isinstance(m, BatchNorm) and m.training and m.running_mean is not None
    ]
    if not norms:
        return
    loader = trainer.train_loader
    with untouched(roots(trainer), loader):
        pairs = (batches.pair(batch, "training") for batch in loader)
        refresh_statistics(
            norms, trainer.model, (batches.to_device(x, trainer.device) for x, _ in pairs)
        )
