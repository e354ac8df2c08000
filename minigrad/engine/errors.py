"""What an op refuses: Python's errors, and PyTorch's RuntimeError at once.

PyTorch raises a RuntimeError for most arguments that do not fit, and programs written for it catch
that; the errors here are also what Python calls such a mistake.

    >>> import minigrad as mg
    >>> try:
    ...     mg.ones(2, 3) @ mg.ones(2, 3)
    ... except RuntimeError as e:
    ...     print(isinstance(e, ValueError), str(e)[:40])
    True matmul: shapes (2, 3) and (2, 3) do not
"""

from __future__ import annotations


class ArgumentError(ValueError, RuntimeError):
    """An argument whose shape or value does not fit."""


class ArgumentTypeError(TypeError, RuntimeError):
    """An argument of a type or dtype that does not fit."""


class ArgumentIndexError(IndexError, ValueError, RuntimeError):
    """An index or a dimension that the argument does not have."""


__all__ = ["ArgumentError", "ArgumentIndexError", "ArgumentTypeError"]
