"""Check the loaders and batches of a Trainer, and say where they do not fit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from numbers import Number
from typing import Any

import numpy as np

from minigrad.data.dataset import Dataset
from minigrad.data.loader import DataLoader
from minigrad.engine import arguments
from minigrad.engine.device import Device, host_copy
from minigrad.nn.layers.norm import BatchNorm1d
from minigrad.nn.module import Module
from minigrad.tensors.tensor import Tensor
from minigrad.train.callbacks.base import Callback

Array = np.ndarray[Any, Any]


def as_callback(callback: Any) -> Callback:
    """Return a callback; a TypeError says what else it is."""
    if not isinstance(callback, Callback):
        made = " (a class: make one of it)" if isinstance(callback, type) else ""
        raise TypeError(f"Trainer: expected Callbacks, but got {callback!r:.80}{made}")
    return callback


def check_fit(loader: Any, epochs: Any) -> int:
    """Refuse what cannot be fitted on before anything is changed; return the epochs."""
    epochs = arguments.whole("fit", "epochs", epochs, 1)
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
    return epochs


def tell_epoch(loader: Any, epoch: int) -> None:
    """Call `set_epoch(epoch)`, counted from 0 as PyTorch's samplers have it, of what has it: the
    loader, its dataset, and the samplers that it was given.
    """
    loader = getattr(loader, "loader", loader)
    parts = [loader, getattr(loader, "dataset", None)]
    if isinstance(loader, DataLoader):
        parts += loader.samplers_given
    else:
        parts += [getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    parts += [getattr(part, "sampler", None) for part in parts[2:]]
    for part in {id(part): part for part in parts}.values():
        if callable(getattr(part, "set_epoch", None)):
            part.set_epoch(epoch)


def check_optimizer(model: Any, optimizer: Any, loss: Any) -> None:
    """Refuse an optimizer of other parameters than the model's; warn where some are left out.

    Parameters that require no gradient may be left out: that is how layers are frozen.
    """
    stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    kept = {id(p) for p in named.values()}
    kept |= {id(p) for p in loss.parameters()} if isinstance(loss, Module) else set()
    strange = len(stepped - kept)
    left_out = [name for name, p in named.items() if p.requires_grad and id(p) not in stepped]
    kind = type(optimizer).__name__
    if named and not stepped & {id(p) for p in named.values()}:
        raise ValueError(
            f"fit: {kind} steps none of the model's {len(named)} parameters, so nothing would be "
            "trained; it was made for another model, or before this one was copied or built anew: "
            "make it with this model's parameters()"
        )
    if left_out and strange:
        raise ValueError(
            f"fit: {kind} steps {strange} parameters that are not the model's, and not its "
            f"{_listed(left_out)}; they were replaced after the optimizer was made: make a new one"
        )
    if left_out:
        warnings.warn(
            f"fit: {kind} does not step {_listed(left_out)} of the model, which will stay as they "
            "are; add them to the optimizer, or freeze them with requires_grad_(False)",
            UserWarning,
            stacklevel=3,
        )


def _listed(names: list[str]) -> str:
    """Return a few names, and how many more there are.

    >>> _listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


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


def to_device(values: Any, device: Device | None) -> Any:
    """Return a Tensor on a device; leave what is none."""
    return values.to(device) if device is not None and isinstance(values, Tensor) else values


def check_finite(x: Any, target: Any, which: str, number: int) -> None:
    """Refuse NaN and infinity in a batch: they would end up in every weight."""
    for name, tensor in (("x", x), ("target", target)):
        problem = not_finite(tensor)
        if problem:
            raise ValueError(
                f"batch {number} of the {which} loader: {name} holds {problem}; fill or drop such "
                "rows before training"
            )


def all_finite(values: Tensor) -> bool:
    """Return whether no element is NaN or infinite; on a device it is found out there.

    >>> all_finite(Tensor(np.array([1.0, np.inf])))
    False
    """
    array: Any = values.array
    if isinstance(array, np.ndarray):
        return bool(np.isfinite(array).all())
    return bool(values.detach().isfinite().all().item())


def not_finite(values: Any) -> str:
    """Say how many values of a tensor are NaN or infinite, and where; "" for none."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        return ""
    if all_finite(values):
        return ""
    array = host_copy(values.array)
    bad = np.argwhere(~np.isfinite(array))
    first = tuple(int(i) for i in bad[0])
    return f"{len(bad)} values that are not finite, the first is {array[first]} at {list(first)}"


def check_last(loader: Any, model: Any, x: Any) -> None:
    """Refuse a last batch of one row where batch-norm would fail on it at the epoch's end."""
    # Of a stream the number of rows is not known; samplers take as many as they like.
    if not isinstance(loader, DataLoader) or loader.drop_last or not loader.keeps_position:
        return
    if loader.batch_size == 1:
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


def inputs(data: Any, batch_size: Any) -> Iterator[Any]:
    """Yield the inputs of a prediction, batch by batch, each row once and in the data's order.

    Of a DataLoader the dataset is read anew, in its own order and to its end, whatever the loader
    shuffles or drops; the loader stays where it stands.
    """
    size = arguments.whole("predict", "batch_size", batch_size, 1)
    if isinstance(data, DataLoader):
        data = DataLoader(
            data.dataset,
            data.batch_size,
            collate_fn=data.collate_fn,
            generator=data.generator,
            prefetch=data.prefetch,
            transform=data.transform,
        )
    elif isinstance(data, Dataset) and len(data):
        data = DataLoader(data, size)
    elif isinstance(data, list | tuple) and _is_number(data):
        data = _row_array(data)
    if isinstance(data, Tensor | np.ndarray):
        if not data.ndim:
            raise ValueError("predict: expected rows, shape (N, ...), but got a single number")
        for start in range(0, len(data), size):
            rows = as_tensor(data[start : start + size])
            problem = not_finite(rows)
            if problem:
                counted = f"of the rows {start} to {start + len(rows) - 1}"
                raise ValueError(_refused(f"x holds {problem} {counted}"))
            yield rows
        return
    for number, batch in enumerate(data, 1):
        x = as_tensor(batch[0] if isinstance(batch, tuple | list) else batch)
        problem = not_finite(x)
        if problem:
            raise ValueError(_refused(f"x of batch {number} holds {problem}"))
        yield x


def _refused(problem: str) -> str:
    """Return why `predict` refuses inputs."""
    return (
        f"predict: {problem}; what comes of them would look like a prediction: fill or drop such "
        "rows, or call the model itself"
    )


def _is_number(values: Any) -> bool:
    """Return whether what lies deepest in nested lists is a number, not a tensor."""
    while isinstance(values, list | tuple) and values:
        values = values[0]
    return isinstance(values, Number | np.bool_)


def _row_array(rows: Any) -> Array:
    """Return nested lists of numbers as an array, floats as float32."""
    try:
        array = np.asarray(rows)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            "predict: expected rows of numbers, all of one length, but the lists differ in length "
            "or hold something else"
        )
    return array.astype(np.float32) if array.dtype == np.float64 else array


def predicted(model: Any, run: Any, x: Any, device: Device | None, convert: bool) -> Tensor:
    """Return the model's outputs for a batch of rows.

    run: calls the model.
    convert: the rows came as arrays or lists, whose dtype says little: floats are given as the
        model's parameters are, and integers too where the model takes no integers.
    """
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
    x = to_device(x, device)
    convert = convert and dtype is not None and isinstance(x, Tensor) and x.dtype != dtype
    if convert and x.is_floating_point():
        x, convert = x.to(dtype), False
    try:
        output = run(x)
    except (TypeError, ValueError):
        if not convert:
            raise
        output = run(x.to(dtype))
    rows = len(x) if isinstance(x, Tensor) else None
    if not isinstance(output, Tensor):
        raise TypeError(
            f"predict: expected the model to return a Tensor, but it returned a "
            f"{type(output).__name__}; call the model itself, under mg.no_grad()"
        )
    if rows is not None and (output.ndim == 0 or len(output) != rows):
        raise ValueError(
            f"predict: expected one output a row, but for x {describe(x)} the model gave "
            f"{describe(output)}; a single row is given as x[None]"
        )
    return output


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
