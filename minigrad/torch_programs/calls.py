"""Functions of `torch` with what only PyTorch's take: `out=`, and operands by PyTorch's names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from minigrad.tensors.tensor import Tensor

SECOND = ("other", "exponent", "mat2", "vec2", "vec", "end")  # names of the second operand


def adapted(function: Any) -> Any:
    """Return a function that also takes `out=`, `input=` and the names of a second operand.

    What is no plain function is returned as it is.
    """
    if not isinstance(function, FunctionType):
        return function
    known = parameters(function)

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if not options:
            return function(*args)
        if "out" in options and "out" not in known:
            out = options.pop("out")
            found = call(*args, **options)
            return found if out is None else written(function.__name__, out, found)
        if (
            "input" in options and not args and "condition" not in options
        ):  # it is the first of every function that has it
            args = (options.pop("input"),)
        if len(args) == 1:
            for name in SECOND:
                if name in options and name not in known:
                    args += (options.pop(name),)
        return function(*args, **options)

    return call


def parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a function's parameters; of one that decorators stand around, its own."""
    code: Any = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return frozenset()
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def written(name: str, out: Any, found: Any) -> Any:
    """Write results into given tensors, which take on their shapes; return those.

    Raises: RuntimeError where a result is on the tape.
    """
    if isinstance(out, Sequence) and not isinstance(out, Tensor):
        for one, value in zip(out, found, strict=True):
            written(name, one, value)
        return out
    if found.requires_grad:
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if tuple(out.shape) != tuple(found.shape):
        out.resize_(*found.shape)
    return out.copy_(found)
