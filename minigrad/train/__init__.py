"""Training: the Trainer's loop, its callbacks, metrics and history."""

from __future__ import annotations

import warnings
from typing import Any

from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.early_stopping import EarlyStopping
from minigrad.train.callbacks.guards import GradientClipping, StopOnNonFinite
from minigrad.train.callbacks.history import History
from minigrad.train.callbacks.model_checkpoint import ModelCheckpoint
from minigrad.train.callbacks.progress import Progress
from minigrad.train.callbacks.schedule_lr import ScheduleLR
from minigrad.train.metrics import accuracy, binary_accuracy
from minigrad.train.trainer import Trainer

__all__ = [
    "Callback",
    "EarlyStopping",
    "GradientClipping",
    "History",
    "ModelCheckpoint",
    "ScheduleLR",
    "Progress",
    "StopOnNonFinite",
    "Trainer",
    "accuracy",
    "binary_accuracy",
]


def __getattr__(name: str) -> Any:
    """Return the callback ScheduleLR under its earlier name, with a warning."""
    if name == "LRScheduler":
        warnings.warn(
            "minigrad.train.LRScheduler is called ScheduleLR now", DeprecationWarning, stacklevel=2
        )
        return ScheduleLR
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
