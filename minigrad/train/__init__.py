"""Training: the Trainer's loop, its callbacks, metrics and history."""

from __future__ import annotations

from minigrad.train.callback import Callback
from minigrad.train.early_stopping import EarlyStopping
from minigrad.train.guards import GradientClipping, StopOnNonFinite
from minigrad.train.history import History
from minigrad.train.metrics import accuracy, binary_accuracy
from minigrad.train.progress import Progress
from minigrad.train.scheduling import LRScheduler
from minigrad.train.trainer import Trainer

__all__ = [
    "Callback",
    "EarlyStopping",
    "GradientClipping",
    "History",
    "LRScheduler",
    "Progress",
    "StopOnNonFinite",
    "Trainer",
    "accuracy",
    "binary_accuracy",
]
