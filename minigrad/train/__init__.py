"""Training: the Trainer's loop, its callbacks, metrics and history."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.early_stopping import EarlyStopping
from minigrad.train.callbacks.guards import GradientClipping, StopOnNonFinite
from minigrad.train.callbacks.history import History
from minigrad.train.callbacks.model_checkpoint import ModelCheckpoint
from minigrad.train.callbacks.progress import Progress
from minigrad.train.callbacks.schedule_lr import ScheduleLR
from minigrad.train.metrics import SetMetric, accuracy, binary_accuracy
from minigrad.train.trainer import Trainer

if TYPE_CHECKING:
    from minigrad.train.callbacks.averaging import EMA, SWA, WeightAveraging
    from minigrad.train.callbacks.csv_logger import CSVLogger
    from minigrad.train.callbacks.gradient_monitor import GradientMonitor
    from minigrad.train.callbacks.learning_rate_monitor import LearningRateMonitor
    from minigrad.train.callbacks.report import Report
    from minigrad.train.callbacks.tensorboard import TensorBoard
    from minigrad.train.callbacks.timer import Timer
    from minigrad.train.set_metrics import (
        AUROC,
        F1,
        MAE,
        R2,
        RMSE,
        AveragePrecision,
        BalancedAccuracy,
        Precision,
        Recall,
        TopKAccuracy,
        confusion_matrix,
    )

# What is loaded when it is first asked for, by its module.
LATER = {
    "minigrad.train.callbacks.averaging": ("EMA", "SWA", "WeightAveraging"),
    "minigrad.train.callbacks.report": ("Report",),
    "minigrad.train.callbacks.csv_logger": ("CSVLogger",),
    "minigrad.train.callbacks.gradient_monitor": ("GradientMonitor",),
    "minigrad.train.callbacks.learning_rate_monitor": ("LearningRateMonitor",),
    "minigrad.train.callbacks.tensorboard": ("TensorBoard",),
    "minigrad.train.callbacks.timer": ("Timer",),
    "minigrad.train.set_metrics": (
        *("AUROC", "F1", "MAE", "R2", "RMSE", "AveragePrecision", "BalancedAccuracy", "Precision"),
        *("Recall", "TopKAccuracy", "confusion_matrix"),
    ),
}

__all__ = [
    "AUROC",
    "AveragePrecision",
    "BalancedAccuracy",
    "CSVLogger",
    "Callback",
    "EMA",
    "EarlyStopping",
    "F1",
    "GradientClipping",
    "GradientMonitor",
    "History",
    "ModelCheckpoint",
    "LearningRateMonitor",
    "MAE",
    "Precision",
    "R2",
    "RMSE",
    "Recall",
    "Report",
    "ScheduleLR",
    "Progress",
    "SWA",
    "SetMetric",
    "StopOnNonFinite",
    "TensorBoard",
    "Timer",
    "TopKAccuracy",
    "Trainer",
    "WeightAveraging",
    "accuracy",
    "binary_accuracy",
    "confusion_matrix",
]


def __getattr__(name: str) -> Any:
    """Return what is loaded later, and ScheduleLR under its earlier name, with a warning."""
    for module, names in LATER.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    if name == "LRScheduler":
        warnings.warn(
            "minigrad.train.LRScheduler is called ScheduleLR now", DeprecationWarning, stacklevel=2
        )
        return ScheduleLR
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
