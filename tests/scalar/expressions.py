"""Expressions of two values in the operators that micrograd has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def long_one(a: Any, b: Any) -> Any:
    """Use every operator, several more than once."""
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    return f / 2.0 + 10.0 / f


EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "long": long_one,
    "square of one value": lambda a, b: a * a + b,
    "sum of one value": lambda a, b: a + a + b,
    "numbers on the left": lambda a, b: 3 - a + 2 * b + 1 / b + (4 + a),
    "negative power": lambda a, b: (a * b) ** -2,
    "relu both ways": lambda a, b: a.relu() + b.relu() * 5,
    "division": lambda a, b: a / b / a,
}
