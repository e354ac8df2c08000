"""`torch.Tensor` and its kinds: `torch.LongTensor(2, 3)`, `isinstance(x, torch.FloatTensor)`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.dtypes import DTYPES, DType
from minigrad.engine.values import default_dtype
from minigrad.tensors import creation
from minigrad.tensors.conveniences import KINDS
from minigrad.tensors.shapes import Size
from minigrad.tensors.tensor import Tensor


class Kind(type):
    """The class of the kinds: calling one makes a tensor, and tensors of its dtype are instances.

    A class that inherits from one is a class of tensors of its own.
    """

    @property
    def dtype(cls) -> DType | None:
        """The dtype of the tensors of this kind; None for any."""
        return MADE_BY[cls][0] if cls in MADE_BY else None

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if cls in MADE_BY:
            return MADE_BY[cls][1](*args, **options)
        return super().__call__(*args, **options)

    def __instancecheck__(cls, x: Any) -> bool:
        if cls not in MADE_BY:
            return super().__instancecheck__(x)
        return isinstance(x, Tensor) and cls.dtype in (None, x.dtype)

    def __subclasscheck__(cls, other: Any) -> bool:
        if cls in MADE_BY and cls.dtype is None:
            return issubclass(other, Tensor)
        return super().__subclasscheck__(other)

    def __setattr__(cls, name: str, value: Any) -> None:
        if cls in MADE_BY:
            setattr(Tensor, name, value)  # a method given to torch.Tensor is one of every tensor
        else:
            super().__setattr__(name, value)

    def __eq__(cls, other: Any) -> bool:
        return other is cls or (other is Tensor and cls.__name__ == "Tensor" and cls in MADE_BY)

    def __hash__(cls) -> int:
        return hash(Tensor) if cls.__name__ == "Tensor" else super().__hash__()


MADE_BY: dict[Any, tuple[DType | None, Callable[..., Any]]] = {}


def kind(name: str, package: str, dtype: DType | None, make: Callable[..., Any]) -> Any:
    """Return the class of the tensors of a dtype, or of all, that `make` makes."""
    named = {"__module__": package, "__doc__": f"Tensors of {dtype or 'any dtype'}."}
    found = Kind(name, (Tensor,), named)
    MADE_BY[found] = dtype, make
    return found


def made(name: str, dtype: DType | None, *args: Any, device: Any = None) -> Tensor:
    """Return a tensor of sizes, of nested lists, of an array or of another tensor.

    >>> made("Tensor", None, [1, 2]), made("FloatTensor", None, 2, 0).shape
    (tensor([1., 2.]), (2, 0))
    """
    wanted = default_dtype() if dtype is None else dtype
    if not args:
        return creation.empty(0, dtype=wanted, device=device)
    first = args[0]
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in args)
    if whole or (len(args) == 1 and isinstance(first, Size)):
        return creation.empty(*args, dtype=wanted, device=device)
    if len(args) > 1:
        raise TypeError(f"{name}: expected sizes, or values in one list or array, got {args!r:.80}")
    if isinstance(first, Tensor):
        if dtype is not None and first.dtype is not wanted:
            raise TypeError(
                f"{name}: expected a tensor of {wanted}, got {first.dtype}; use .to({wanted})"
            )
        return first.detach()
    if isinstance(first, int | float):
        raise TypeError(f"{name}: expected sizes or values, got {first!r}; use torch.tensor(...)")
    return creation.tensor(first, dtype=wanted, device=device)


def variable(data: Any, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    """Return a tensor over the same memory, off the tape."""
    found: Tensor = data.detach().requires_grad_(requires_grad)
    return found


TENSORS = {
    "Tensor": kind("Tensor", "torch", None, partial(made, "Tensor", None)),
    **{
        KINDS[d.name]: kind(KINDS[d.name], "torch", d, partial(made, KINDS[d.name], d))
        for d in DTYPES.values()
    },
}
Variable = kind("Variable", "torch.autograd", None, variable)
