"""What the tests of resuming train: runs that differ in one part, and what is left of them."""

from __future__ import annotations

import os
import pkgutil
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn, optim
from minigrad.optim import lr_scheduler as schedules
from minigrad.train import (
    Callback,
    EarlyStopping,
    GradientClipping,
    ModelCheckpoint,
    ScheduleLR,
    StopOnNonFinite,
    Trainer,
    accuracy,
)
from tests.train.toys import rows

EPOCHS = 4
STEPS = 6  # an epoch

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.02, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.02),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.05),
    "adadelta": lambda p: optim.Adadelta(p, lr=1.0),
    "adamax": lambda p: optim.Adamax(p, lr=0.01),
    "nadam": lambda p: optim.NAdam(p, lr=0.01),
    "radam": lambda p: optim.RAdam(p, lr=0.01),
    "asgd": lambda p: optim.ASGD(p, lr=0.05),
    "rprop": lambda p: optim.Rprop(p, lr=0.01),
    "lion": lambda p: optim.Lion(p, lr=0.003),
    "adafactor": lambda p: optim.Adafactor(p, lr=0.02),
}
SCHEDULES: dict[str, Callable[[Any], list[Callback]]] = {
    "none": lambda o: [],
    "plateau": lambda o: [ScheduleLR(schedules.ReduceLROnPlateau(o, patience=0))],
    "one cycle": lambda o: [
        ScheduleLR(lambda o, total: schedules.OneCycleLR(o, 0.05, total_steps=total))
    ],
    "cosine": lambda o: [ScheduleLR(schedules.CosineAnnealingLR(o, T_max=EPOCHS))],
    "warm": lambda o: [
        ScheduleLR(
            schedules.SequentialLR(
                o,
                [schedules.LinearLR(o, total_iters=5), schedules.ExponentialLR(o, 0.9)],
                milestones=[7],
            ),
            per="step",
        )
    ],
}
CALLBACKS: dict[str, Callable[[], list[Callback]]] = {
    "none": lambda: [],
    "stopping": lambda: [EarlyStopping(patience=1)],
    "recipe": lambda: [StopOnNonFinite(), GradientClipping(max_norm=0.5), EarlyStopping()],
    "own": lambda: [Average(), EarlyStopping(monitor="accuracy", patience=9)],
}


class Average(Callback):
    """A mean of the weights over the steps, which is what a checkpoint has to bring back."""

    mean: dict[str, Any] = {}

    def on_fit_begin(self, trainer: Any) -> None:
        self.count, self.mean = (
            0,
            {n: p.detach().numpy() * 0 for n, p in trainer.model.named_parameters()},
        )

    def on_step_end(self, trainer: Any) -> None:
        self.count += 1
        for name, p in trainer.model.named_parameters():
            self.mean[name] = self.mean[name] + (p.detach().numpy() - self.mean[name]) / self.count

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "mean": dict(self.mean)} if self.mean else {}

    def load_state_dict(self, state: Any) -> None:
        self.count, self.mean = state["count"], dict(state["mean"])


class Killed(BaseException):
    """A run ends here."""


class KillAt(Callback):
    """End the run after a step, when all others have seen it."""

    order = 2_000_000

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self.step:
            raise Killed


def f1(output: Any, target: Any) -> float:
    """Return a score that is no mean of the batches' scores."""
    found, wanted = output.numpy().argmax(1) == 0, target.numpy() == 0
    return float(2 * (found & wanted).sum() / max((found.sum() + wanted.sum()), 1))


def run(
    optimizer: str = "adamw",
    schedule: str = "none",
    callbacks: str = "stopping",
    *more: Callback,
    capture: bool = True,
    doctor: bool = False,
    seed: int = 0,
    **options: Any,
) -> tuple[Trainer, Any, Any]:
    """Return a trainer and its loaders, with 6 steps an epoch, the last one smaller."""
    mg.manual_seed(seed)
    width = options.pop("width", 8)
    model = nn.Sequential(
        *(nn.Linear(4, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3)),
        nn.Linear(width, 3),
    )
    made = OPTIMIZERS[optimizer](
        optim.decay_groups(model, 0.01) if optimizer == "adamw" else model.named_parameters()
    )
    parts = [*SCHEDULES[schedule](made), *CALLBACKS[callbacks](), *more]
    metrics = {"accuracy": accuracy, "f1": f1}
    ways = {"capture": capture, "doctor": doctor}
    trainer = Trainer(model, made, callbacks=parts, metrics=metrics, **ways)
    train = mg.data.TensorDataset(*rows(options.pop("count", 45)))
    loader = mg.data.DataLoader(train, options.pop("batch_size", 8), shuffle=True)
    assert not options, options
    validation = mg.data.DataLoader(mg.data.TensorDataset(*rows(24, 1)), 13)
    return trainer, loader, validation


def left(trainer: Trainer) -> dict[str, Any]:
    """Return all that a fit has left, times apart."""
    history = trainer.history
    mean = [c.mean for c in trainer.callbacks if isinstance(c, Average)]
    return {
        "model": {n: t.numpy().tobytes() for n, t in trainer.model.state_dict().items()},
        "optimizer": bits(trainer.optimizer.state_dict()),
        "rows": repr([{k: v for k, v in r.items() if k != "seconds"} for r in history.rows]),
        "ended": (history.best_epoch, history.restored_epoch, history.stop_reason, trainer.step),
        "average": bits(mean),
        "draw": mg.rand(3).tolist(),
        "random": random.random(),
    }


def bits(value: Any) -> Any:
    """Return a state with the bytes of its arrays."""
    if isinstance(value, dict):
        return {name: bits(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [bits(part) for part in value]
    if isinstance(value, mg.Tensor):
        return value.numpy().tobytes()
    return value.tobytes() if isinstance(value, np.ndarray) else value


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


class Begun(Callback):
    """Print the number of the process when its first step is done, and all kernels are loaded."""

    said = False

    def on_step_end(self, trainer: Any) -> None:
        if not self.said:
            print("begun", os.getpid(), flush=True)
        self.said = True


def killing(point: str, count: int) -> None:
    """Have this process killed at a call of a function, that of this number."""
    module, _, name = point.rpartition(".")
    held = pkgutil.resolve_name(module.replace("pathlib.Path", "pathlib:Path"))
    function, calls = getattr(held, name), iter(range(1, count + 1))

    def call(*args: Any, **options: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)

    setattr(held, name, call)


def main(folder: str, threads: str, epochs: str, every_steps: str, width: str = "8") -> None:
    """Run to the end, or until killed, in a process of its own; leave a digest of what is left."""
    mg.set_num_threads(int(threads))
    random.seed(0)
    keeper = ModelCheckpoint(folder, every_steps=int(every_steps) or None, monitor="val_loss")
    begun = Begun()
    parts = ("adamw", "one cycle", "own", begun, keeper)
    trainer, loader, validation = run(*parts, width=int(width))
    if "KILL_AT" in os.environ:
        point, _, count = os.environ["KILL_AT"].partition(" ")
        killing(point, int(count))
    trainer.fit(loader, validation, epochs=int(epochs), resume="auto")
    begun.on_step_end(trainer)  # where no step was left
    written = Path(folder, "left.txt.part")
    written.write_text(repr(left(trainer)))
    written.rename(Path(folder, "left.txt"))  # killed within the write, it is not there


def serve() -> None:
    """Run each line's arguments in a child that has imported all and computed nothing yet."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                main(*line.split())
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print("ended", os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main(*sys.argv[1:])
