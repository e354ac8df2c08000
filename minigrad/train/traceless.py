"""Do something with a fit's objects, then set them back to the bit.

What is set back: parameters, buffers and gradients, attributes of modules, an optimizer's state and
options, positions of loaders, train and eval modes, and all random numbers that a fit may draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from minigrad.data.random_sources import Sources
from minigrad.nn.module import Module
from minigrad.optim.optimizer import Optimizer
from minigrad.tensors.tensor import Tensor
from minigrad.train.attributes import Attributes
from minigrad.train.modes import modes_of, set_modes

Undo = Callable[[], None]


@contextmanager
def untouched(roots: Mapping[str, Any], *loaders: Any) -> Iterator[None]:
    """Set loaders, what lies below them, and random numbers back at the end.

    roots: objects by name, to be looked through for random generators; see `Sources`.

    >>> import minigrad as mg
    >>> with untouched({}):
    ...     first = mg.rand(1)
    >>> bool(first == mg.rand(1))
    True
    """
    sources = Sources(roots)
    noted = sources.state_dict()
    attributes = Attributes({f"loader {i}": loader for i, loader in enumerate(loaders)})
    # What wraps a loader calls it so.
    inner = [getattr(loader, "loader", None) for loader in loaders]
    kept = [(vars(x), dict(vars(x))) for x in (*loaders, *inner) if hasattr(x, "__dict__")]
    try:
        yield
    finally:
        for own, before in kept:
            own.clear()
            own.update(before)
        attributes.set(attributes.first)
        sources.load_state_dict(noted)


@contextmanager
def traceless(
    model: Module, optimizer: Optimizer, loss: Any, roots: Mapping[str, Any], *loaders: Any
) -> Iterator[None]:
    """Set everything back at the end, as `untouched` does, and model, loss and optimizer.

    >>> import minigrad as mg
    >>> model = mg.nn.Linear(1, 1)
    >>> optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    >>> before = model.weight.item()
    >>> with traceless(model, optimizer, None, {}):
    ...     model(mg.ones(1, 1)).sum().backward()
    ...     optimizer.step()
    >>> model.weight.item() == before, model.weight.grad
    (True, None)
    """
    modules = [part for part in (model, loss) if isinstance(part, Module)]
    with untouched(roots, *loaders):
        undo = [*map(of_module, modules), of_optimizer(optimizer)]
        try:
            yield
        finally:
            for back in undo:
                back()


def of_module(module: Module) -> Undo:
    """Return what sets a module back."""
    modes = modes_of(module)
    attributes = [(vars(m), dict(vars(m))) for m in module.modules()]
    tensors = [of_tensor(t) for t in (*module.parameters(), *module.buffers())]

    def back() -> None:
        for now, before in attributes:
            now.clear()
            now.update(before)
        for undo in tensors:
            undo()
        set_modes(modes)

    return back


def of_tensor(tensor: Tensor) -> Undo:
    """Return what sets a tensor and its gradient back: the same memory, with what it held."""
    array, gradient, needed = tensor.array, tensor._grad, tensor.requires_grad
    values = array.copy()
    slopes = None if gradient is None else (gradient.array, gradient.array.copy())

    def back() -> None:
        tensor.array = array
        array[...] = values
        tensor.bump_version()
        if tensor.requires_grad != needed:
            tensor.requires_grad_(needed)
        tensor._grad = gradient
        if gradient is not None and slopes is not None:
            gradient.array = slopes[0]
            slopes[0][...] = slopes[1]

    return back


def of_optimizer(optimizer: Optimizer) -> Undo:
    """Return what sets an optimizer back: its options, and its state where there is any."""
    groups = [(group, dict(group)) for group in optimizer.param_groups]
    steps, count = optimizer._steps.copy(), optimizer._step_count
    slots = [
        (
            slot,
            slot.shape,
            [(name, array, array.copy()) for name, array in slot.arrays.items()],
            {n: x.detach().clone() if isinstance(x, Tensor) else x for n, x in slot.own.items()},
        )
        for slot in optimizer._slots
    ]

    def back() -> None:
        for group, before in groups:
            group.clear()
            group.update(before)
        for slot, shape, arrays, own in slots:
            slot.shape = shape
            slot.arrays = {name: array for name, array, _ in arrays}
            for _, array, values in arrays:
                array[...] = values
            slot.own = own
        optimizer._steps = steps
        optimizer._step_count = count
        optimizer._forget()  # launches hold what is gone

    return back
