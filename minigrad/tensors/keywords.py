"""NumPy's names of arguments, which PyTorch takes too: `axis` for `dim`, `keepdims` for `keepdim`.

>>> def total(input, dim=None, keepdim=False):
...     return dim, keepdim
>>> numpy_names(total)(0, axis=1, keepdims=True)
(1, True)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

from minigrad.engine.errors import ArgumentTypeError

NAMES = {"axis": "dim", "keepdims": "keepdim"}


def numpy_names(function: Any) -> Callable[..., Any]:
    """Return a function that takes NumPy's names, too; itself where it has no such parameter.

    Raises: in a call, TypeError where an argument is given under both of its names.
    """
    if not isinstance(function, FunctionType):
        return function
    code = function.__code__
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    known = {theirs: ours for theirs, ours in NAMES.items() if ours in own and theirs not in own}
    if not known or hasattr(function, "numpy_names"):
        return function

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if options:
            for theirs, ours in known.items():
                if theirs in options:
                    if ours in options:
                        raise ArgumentTypeError(
                            f"{function.__name__}: {ours} is given twice, as {theirs} too"
                        )
                    options[ours] = options.pop(theirs)
        return function(*args, **options)

    call.numpy_names = known  # type: ignore[attr-defined]
    return call


def rename_all(names: dict[str, Any] | Any) -> None:
    """Let all functions of a module's names, or of a class, take NumPy's names."""
    held = names if isinstance(names, dict) else dict(vars(names))
    for name, function in list(held.items()):
        made = numpy_names(function)
        if made is function or name.startswith("__"):
            continue
        if isinstance(names, dict):
            names[name] = made
        else:
            setattr(names, name, made)
