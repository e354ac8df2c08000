"""What a Trainer asks of loaders and batches, and says when they do not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.backend import Device, host_copy
from minigrad.data.loader import DataLoader
from minigrad.nn.norm import BatchNorm1d
from minigrad.tensors import Tensor
from minigrad.train.callback import Callback

Array = np.ndarray[Any, Any]


def as_callback(callback: Any) -> Callback:
    """Return a callback; a TypeError says what else it is."""
    if not isinstance(callback, Callback):
        made = " (a class: make one of it)" if isinstance(callback, type) else ""
        raise TypeError(f"Trainer: expected Callbacks, but got {callback!r:.80}{made}")
    return callback


def check_fit(loader: Any, epochs: Any) -> None:
    """Refuse what cannot be fitted on before anything is changed."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"fit: expected epochs as a whole number >= 1, but got {epochs!r}")
    if isinstance(loader, Tensor | np.ndarray):
        raise TypeError(
            f"fit: expected a loader of (x, target) batches, but got one {type(loader).__name__}; "
            "write DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)"
        )
    if iter(loader) is loader and epochs > 1:
        raise TypeError(
            f"fit: {type(loader).__name__} can be read only once, but there are {epochs} epochs; "
            "pass a DataLoader or a list of batches"
        )


def length(loader: Any) -> int | None:
    """Return the number of batches of an epoch, None where it is not known."""
    try:
        return len(loader)
    except TypeError:
        return None


def pair(batch: Any, which: str) -> tuple[Any, Any]:
    """Return input and target of a batch as Tensors."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        got = f"{type(batch).__name__}"
        if isinstance(batch, tuple | list):
            got += f" of {len(batch)} fields"
        raise TypeError(
            f"the {which} loader should give batches (x, target), but gave a {got}; use "
            "TensorDataset(x, y), or a collate_fn that returns two fields"
        )
    x, target = batch
    return as_tensor(x), as_tensor(target)


def as_tensor(values: Any) -> Any:
    """Return an array as a Tensor; leave what a model may know how to take."""
    return Tensor(values) if isinstance(values, np.ndarray) else values


def moved(values: Any, device: Device | None) -> Any:
    """Return a Tensor on a device; leave what is none."""
    return values.to(device) if device is not None and isinstance(values, Tensor) else values


def check_finite(x: Any, target: Any, which: str, number: int) -> None:
    """Refuse NaN and infinity in a batch: they would end up in every weight."""
    for name, tensor in (("x", x), ("target", target)):
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            continue
        if tensor.is_cuda and bool(tensor.isfinite().all()):
            continue
        values = host_copy(tensor.array)
        finite = np.isfinite(values)
        if not finite.all():
            bad = np.argwhere(~finite)
            first = tuple(int(i) for i in bad[0])
            raise ValueError(
                f"batch {number} of the {which} loader: {name} holds {len(bad)} values that are "
                f"not finite, the first is {values[first]} at {list(first)}; fill or drop "
                "such rows before training"
            )


def check_last(loader: Any, model: Any, x: Any) -> None:
    """Refuse a last batch of one row where batch-norm would fail on it at the epoch's end."""
    if not isinstance(loader, DataLoader) or loader.drop_last or loader.batch_size == 1:
        return
    rows, size = len(loader.dataset), loader.batch_size
    flat = isinstance(x, Tensor) and x.ndim == 2
    if rows % size != 1 or not flat:
        return
    for name, module in model.named_modules():
        if isinstance(module, BatchNorm1d) and module.training:
            raise ValueError(
                f"the training loader's last batch has 1 row ({rows} rows = {rows // size} x {size}"
                f" + 1), but batch-norm ({name or 'the model'}) needs at least 2 to train on: pass "
                "drop_last=True to the DataLoader, or another batch_size"
            )


def no_batch(which: str, loader: Any) -> str:
    """Return the message about a loader that gave nothing."""
    if isinstance(loader, Tensor | np.ndarray):
        return f"{which}: expected at least one row, but got shape {tuple(loader.shape)}"
    return (
        f"the {which} loader gave no batch; expected at least one. An iterator or generator can be "
        "read only once: pass a DataLoader or a list of batches"
    )


def inputs(data: Any, batch_size: int) -> Iterator[Any]:
    """Yield the inputs of a prediction, batch by batch."""
    if batch_size < 1:
        raise ValueError(f"predict: expected batch_size >= 1, but got {batch_size}")
    if isinstance(data, Tensor | np.ndarray):
        rows = as_tensor(data)
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]
        return
    for batch in data:
        yield as_tensor(batch[0] if isinstance(batch, tuple | list) else batch)


def add_place(error: Exception, epoch: int, step: int, batch: tuple[Any, ...]) -> None:
    """Add to an error where it happened and the shapes of the batch."""
    if not batch:
        return
    which, number, x, target = batch
    error.add_note(
        f"(epoch {epoch}, step {step}, batch {number} of the {which} loader: "
        f"x {describe(x)}, target {describe(target)})"
    )


def describe(values: Any) -> str:
    """Return shape and dtype.

    >>> describe(Tensor(np.zeros((2, 3), np.float32)))
    '(2, 3) float32'
    """
    if isinstance(values, Tensor):
        return f"{tuple(values.shape)} {values.array.dtype}"
    if isinstance(values, Mapping):
        return f"dict of {', '.join(map(str, values))}"
    return type(values).__name__


def full_batches(rows: int, batch_size: int) -> bool:
    """Return whether the last batch, of one row, should be dropped for batch-norm's sake.

    >>> full_batches(97, 32), full_batches(98, 32), full_batches(1, 32)
    (True, False, False)
    """
    return rows % batch_size == 1 and math.ceil(rows / batch_size) > 1
