"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from minigrad.engine.grad_mode import no_grad
from minigrad.ops.shape import cat
from minigrad.tensors.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return parameters laid end to end; gradients flow back to them.

    >>> import minigrad as mg
    >>> parameters_to_vector([mg.ones(2), mg.zeros(1, 1)])
    tensor([1., 1., 0.])
    """
    found: Tensor = cat([p.reshape(-1) for p in parameters], 0)
    return found


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write a vector's elements into parameters, one after the other.

    Raises: ValueError for another number of elements than there are.

    >>> import minigrad as mg
    >>> w = mg.zeros(1, 2)
    >>> vector_to_parameters(mg.tensor([1.0, 2.0]), [w])
    >>> w
    tensor([[1., 2.]])
    """
    targets = list(parameters)
    count = sum(p.numel() for p in targets)
    if vec.shape != (count,):
        raise ValueError(
            f"vector_to_parameters: expected a vector of {count} elements, got shape {vec.shape}"
        )
    begin = 0
    with no_grad():
        for p in targets:
            p.copy_(vec[begin : begin + p.numel()].reshape(p.shape))
            begin += p.numel()
