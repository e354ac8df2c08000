"""Optimizers, parameter groups, gradient clipping and learning rate schedulers.

Names, defaults and results are PyTorch's; `OPTIMIZERS` lists the optimizers that a kernel steps by
name.  Every class of an optimizer in a file of this folder is found and is a public name.
"""

from __future__ import annotations

import importlib
import pkgutil

from minigrad.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_
from minigrad.optim import lr_scheduler, swa_utils
from minigrad.optim.adadelta import Adadelta as Adadelta
from minigrad.optim.adafactor import Adafactor as Adafactor
from minigrad.optim.adagrad import Adagrad as Adagrad
from minigrad.optim.adam import Adam as Adam
from minigrad.optim.adam import AdamW as AdamW
from minigrad.optim.adamax import Adamax as Adamax
from minigrad.optim.asgd import ASGD as ASGD
from minigrad.optim.lbfgs import LBFGS as LBFGS
from minigrad.optim.lion import Lion as Lion
from minigrad.optim.muon import Muon as Muon
from minigrad.optim.nadam import NAdam as NAdam
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.param_groups import decay_groups
from minigrad.optim.radam import RAdam as RAdam
from minigrad.optim.rmsprop import RMSprop as RMSprop
from minigrad.optim.rprop import Rprop as Rprop
from minigrad.optim.sgd import SGD as SGD
from minigrad.optim.sparse_adam import SparseAdam as SparseAdam


def _found() -> dict[str, type[Optimizer]]:
    """Return the optimizers of this folder's files by name."""
    files = [
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)
    ]
    kinds = [kind for file in files for kind in vars(file).values() if isinstance(kind, type)]
    return {
        kind.__name__: kind
        for kind in kinds
        if issubclass(kind, Optimizer) and kind is not Optimizer
    }


_ALL = _found()
OPTIMIZERS = {name: kind for name, kind in _ALL.items() if kind.steps}
globals().update(_ALL)

__all__ = [
    "OPTIMIZERS",
    "Optimizer",
    "clip_grad_norm_",
    "clip_grad_value_",
    "decay_groups",
    "lr_scheduler",
    "swa_utils",
]
__all__ += sorted(_ALL)
