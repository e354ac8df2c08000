"""Distributions of a model's weights, gradients and activations, by layer, without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minigrad.engine.device import host_copy
from minigrad.engine.grad_mode import enable_grad
from minigrad.nn.module import Module
from minigrad.tensors.tensor import Tensor
from minigrad.tensors.transforms import grad
from minigrad.train.traceless import of_module, untouched

Array = np.ndarray[Any, Any]
LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MOST = 8_000  # elements that quantiles are taken of: of more, so many at equal distances


class Spread(NamedTuple):
    """What is kept of an array.

    norm: the root of the sum of squares, NaN where `lost` is above 0.  zeros, lost: the shares of
    zeros, and of what is NaN or infinite.  quantiles: at `LEVELS`, of the finite elements; NaN
    where there are none.

    >>> spread_of(np.array([3.0, 0.0, 4.0, np.nan]))[:3]
    (nan, 0.25, 0.25)
    """

    norm: float
    zeros: float
    lost: float
    quantiles: tuple[float, ...]


def spread_of(array: Array) -> Spread:
    """Return what is kept of an array: its norm, NaN where an element is not finite, and the
    quantiles of those that are.

    >>> spread_of(np.arange(101.0)).quantiles
    (0.0, 5.0, 25.0, 50.0, 75.0, 95.0, 100.0)
    """
    flat = np.ravel(host_copy(array))
    if flat.dtype.kind not in "fiu" or flat.dtype.itemsize < 4:
        flat = flat.astype(np.float64)
    if not flat.size:
        return Spread(0.0, 0.0, 0.0, (float("nan"),) * len(LEVELS))
    finite = np.isfinite(flat)
    kept = flat if finite.all() else flat[finite]
    whole = kept.size == flat.size
    norm = float(np.sqrt(np.sum(np.square(kept, dtype=np.float64)))) if whole else float("nan")
    zeros = float(np.count_nonzero(flat == 0) / flat.size)
    few = np.sort(kept[:: -(-kept.size // MOST)] if kept.size > MOST else kept)
    levels = np.full(len(LEVELS), np.nan)
    if few.size:
        levels = np.interp(np.multiply(LEVELS, few.size - 1), np.arange(few.size), few)
    if kept.size > MOST:  # of all elements, whatever the few are
        levels[0], levels[-1] = kept.min(), kept.max()
    return Spread(norm, zeros, 1 - kept.size / flat.size, tuple(map(float, levels)))


class Probe(NamedTuple):
    """What a batch has shown: a `Spread` of each parameter, its gradient, each layer's output."""

    weights: dict[str, Spread]
    gradients: dict[str, Spread]
    activations: dict[str, Spread]


def probe(model: Module, loss: Any, x: Any, target: Any) -> Probe:
    """Run a batch forward and backward, look, and set everything back to the bit.

    Activations are the outputs of the modules that have no others inside.

    Raises: whatever the model and the loss raise.

    >>> import minigrad as mg
    >>> model = mg.nn.Sequential(mg.nn.Linear(2, 3), mg.nn.ReLU())
    >>> found = probe(model, lambda y, t: (y - t).pow(2).mean(), mg.ones(4, 2), mg.ones(4, 3))
    >>> list(found.weights), list(found.activations), model[0].weight.grad
    (['0.weight', '0.bias'], ['0', '1'], None)
    """
    named = dict(model.named_parameters())
    weights = {name: spread_of(p.array) for name, p in named.items()}
    learning = {name: p for name, p in named.items() if p.requires_grad}
    activations: dict[str, Spread] = {}
    with untouched({"model": model, "loss": loss}), set_back(model, loss):
        for name, module in model.named_modules():
            if next(module.children(), None) is None:
                module.register_forward_hook(watcher(name or type(module).__name__, activations))
        with enable_grad():
            found = loss(model(x), target)
            value = found[0] if isinstance(found, tuple) else found
            slopes = grad(value, list(learning.values()), allow_unused=True)
    gradients = {
        name: spread_of(slope.array)
        for name, slope in zip(learning, slopes, strict=True)
        if slope is not None
    }
    return Probe(weights, gradients, activations)


@contextmanager
def set_back(*modules: Any) -> Iterator[None]:
    """Set modules back at the end: parameters, buffers, gradients, attributes, modes, hooks."""
    undo = [of_module(module) for module in modules if isinstance(module, Module)]
    try:
        yield
    finally:
        for back in undo:
            back()


def watcher(name: str, found: dict[str, Spread]) -> Any:
    """Return a hook that keeps what a module's output is like; of several calls the last."""

    def look(module: Any, args: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(first, Tensor):
            found[name] = spread_of(first.array)

    return look
