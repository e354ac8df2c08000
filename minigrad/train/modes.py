"""Train and eval modes during a fit: kept as the user has set them, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minigrad.nn.module import Module

Modes = list[tuple[Module, bool]]


def modes_of(model: Module) -> Modes:
    """Return every module with its mode, parents before their children."""
    return [(module, module.training) for module in model.modules()]


def set_modes(modes: Modes) -> None:
    """Set every module's mode, by `train()`, which a module may have overridden."""
    try:
        for module, training in modes:
            if module.training != training:
                module.train(training)
    finally:
        for module, training in modes:
            if module.training != training:  # a parent's or its own train() has set another
                module.training = training


@contextmanager
def modes_kept(model: Module) -> Iterator[None]:
    """Give every module its train or eval mode back at the end.

    >>> import minigrad as mg
    >>> model = mg.nn.Dropout(0.5)
    >>> with modes_kept(model):
    ...     _ = model.eval()
    >>> model.training
    True
    """
    before = modes_of(model)
    try:
        yield
    finally:
        set_modes(before)


def to_training(model: Module) -> None:
    """Call `model.train()`, and leave in eval mode what the user had put there below the model.

    >>> import minigrad as mg
    >>> model = mg.nn.Sequential(mg.nn.BatchNorm1d(2), mg.nn.Dropout(0.5))
    >>> _ = model[0].eval()
    >>> to_training(model)
    >>> [module.training for module in model.modules()]
    [True, False, True]
    """
    in_eval = [module for module in model.modules() if not module.training]
    whole = not model.training
    model.train()
    if in_eval and not whole:
        frozen = set(map(id, in_eval))
        set_modes([(m, m.training and id(m) not in frozen) for m in model.modules()])
