"""Optimizers, parameter groups, gradient clipping and learning rate schedulers.

Names, defaults and results are PyTorch's; `OPTIMIZERS` lists the optimizers by name.
"""

from __future__ import annotations

from minigrad.optim import lr_scheduler
from minigrad.optim.adagrad import Adagrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.clip_grad import clip_grad_norm_, clip_grad_value_
from minigrad.optim.nadam import NAdam
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.param_groups import decay_groups
from minigrad.optim.radam import RAdam
from minigrad.optim.rmsprop import RMSprop
from minigrad.optim.sgd import SGD

OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.__name__: kind for kind in (SGD, Adam, AdamW, RMSprop, Adagrad, NAdam, RAdam)
}

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "decay_groups",
    "lr_scheduler",
]
