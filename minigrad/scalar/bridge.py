"""From Values to tensors and back, with the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.dtypes import float64, numpy_dtype
from minigrad.engine.grad_mode import is_grad_enabled
from minigrad.scalar.tape import follow, sweep
from minigrad.scalar.value import Value
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]


def to_tensor(values: Any, dtype: Any = float64) -> Tensor:
    """Return a tensor of Values, in lists nested to any depth; its gradient goes on into them.

    Shape: lists of n lists of m Values -> (n, m); a Value alone -> ().

    Raises: TypeError for anything but Values, ValueError for lists of unequal lengths.

    >>> a, b = Value(3.0), Value(4.0)
    >>> to_tensor([a * 2, b]).square().sum().backward()
    >>> a.grad, b.grad
    (24.0, 8.0)
    """
    held = np.array(values, object)
    flat = held.reshape(-1).tolist()
    for value in flat:
        if isinstance(value, list):
            raise ValueError("to_tensor: the lists of Values differ in length")
        if not isinstance(value, Value):
            raise TypeError(
                f"to_tensor: expected Values, got {value!r} ({type(value).__name__}); make a "
                "tensor of numbers with minigrad.tensor"
            )
    data = np.array([value.data for value in flat], numpy_dtype(dtype)).reshape(held.shape)
    tensor = Tensor(data, requires_grad=is_grad_enabled())
    if tensor.requires_grad:
        places = [(v, v._segment, 0 if v._grad is not None else v._index) for v in flat]

        def carry(gradient: Tensor) -> None:
            links = []
            seeds = []
            for (value, segment, node), g in zip(
                places, gradient.array.reshape(-1).tolist(), strict=True
            ):
                if value._grad is None:
                    seeds.append((segment, node, g))
                    continue
                value._grad += g
                if value._link is not None:
                    links.append((value._link, g))
            follow(links)
            if seeds:
                sweep(seeds)

        tensor.register_hook(carry)
    return tensor


class Gate:
    """The node that gathers the gradients of a tensor's elements, to pass them on in one sweep."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.gradient = np.zeros(tensor.array.size)

    def collect(self, place: int, g: float) -> None:
        """Add to the gradient of element `place`."""
        self.gradient[place] += g

    def flush(self) -> None:
        """Differentiate through the tensor's own graph."""
        data = self.tensor.array
        gradient = self.gradient.reshape(data.shape).astype(data.dtype)
        self.gradient = np.zeros(data.size)
        self.tensor.backward(Tensor(gradient))


def from_tensor(tensor: Tensor) -> Any:
    """Return a tensor's elements as Values, in lists nested like its shape; their gradients go on
    into the tensor.

    Shape: (n, m) -> n lists of m Values; () -> a Value.

    >>> import minigrad as mg
    >>> w = mg.tensor([2.0, 3.0], requires_grad=True)
    >>> x, y = from_tensor(w * 10)
    >>> (x * y).backward()
    >>> w.grad
    tensor([300., 200.])
    """
    gate = Gate(tensor) if tensor.requires_grad and is_grad_enabled() else None
    values = np.empty(tensor.array.size, object)
    for k, number in enumerate(tensor.array.reshape(-1).tolist()):
        values[k] = Value(number, None if gate is None else (gate, k))
    return values.reshape(tensor.array.shape).tolist()
