"""Value: automatic differentiation of single numbers.

The operators and rules are micrograd's, on a flat tape of arrays that one jitted loop sweeps.
Numbers are Python floats, float64; functions outside their range give NaN or infinities, as tensors
do, where Python's `math` would raise.  A graph belongs to one thread.

Source: Karpathy, micrograd (2020).  It resets no gradient but the parameters'; here those of
intermediate values are of the last sweep, so that a second `backward` doubles what the leaves hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.scalar.tape import LIMIT, Current, Segment, sweep
from minigrad_kernels.scalar_program.opcodes import (
    ADD,
    ALIAS,
    DIV,
    EXP,
    FIXED_POW,
    LEAF,
    LOG,
    MUL,
    NEG,
    POW,
    RELU,
    SIGMOID,
    SUB,
    TANH,
)

make = object.__new__


def number(x: Any) -> float:
    """Return `x` as a float, or say what a Value can be made of and combined with."""
    if isinstance(x, str | bytes) or not hasattr(x, "__float__"):
        raise TypeError(f"Value: expected a number, got {x!r} ({type(x).__name__})")
    if hasattr(x, "requires_grad"):
        raise TypeError(
            "Value: expected a number, got a Tensor; minigrad.scalar.from_tensor makes Values of "
            "its elements"
        )
    return float(x)


def beyond(function: Callable[..., Any], *args: float) -> float:
    """Return NumPy's answer where Python's raises: an infinity or NaN."""
    with np.errstate(all="ignore"):
        return float(function(*[np.float64(a) for a in args]))


class Value:
    """A number that remembers how it was computed.

    >>> a, b = Value(-4.0), Value(2.0)
    >>> c = a * b + b**3
    >>> c.backward()
    >>> c.data, a.grad, b.grad
    (0.0, 2.0, 8.0)
    """

    # _grad is None where the value was computed: its segment holds the gradient.
    __slots__ = ("__weakref__", "_data", "_grad", "_index", "_link", "_segment")
    __array_ufunc__ = None  # so that NumPy numbers leave the operators to us
    _data: float
    _grad: float | None
    _index: int
    _segment: Segment | None

    def __init__(self, data: Any, _link: Any = None) -> None:
        self._data = number(data)
        self._grad = 0.0
        self._segment = None
        self._link = _link

    # ------------------------------------------------------------ data and gradient
    @property
    def data(self) -> float:
        """The number; setting it changes what is computed from now on, not what has been."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._data = number(data)
        if self._grad is not None:
            self._segment = None  # entered anew where it is used next
            return
        old = self._at(Current.segment)
        self._segment = Current.segment
        self._index = Current.segment.add(ALIAS, old, 0, self._data)

    @property
    def grad(self) -> float:
        """The gradient: summed over sweeps until it is set to 0, or that of the last sweep where
        the value was computed.
        """
        if self._grad is not None:
            return self._grad
        assert self._segment is not None
        grads = self._segment.grads
        return 0.0 if grads is None or self._index >= grads.size else float(grads[self._index])

    @grad.setter
    def grad(self, grad: Any) -> None:
        if self._grad is not None:
            self._grad = number(grad)
            return
        assert self._segment is not None
        if self._segment.grads is not None and self._index < self._segment.grads.size:
            self._segment.grads[self._index] = number(grad)

    def backward(self) -> None:
        """Add the derivative of this value to the gradient of each value that it was made of.

        >>> x = Value(3.0)
        >>> y = x * x
        >>> y.backward()
        >>> y.backward()
        >>> x.grad
        12.0
        """
        segment = self._segment
        if self._grad is not None or segment is None:
            self._grad = (self._grad or 0.0) + 1.0
            return
        sweep([(segment, self._index, 1.0)])

    def _at(self, segment: Segment) -> int:
        """Return the node that stands for this value in a segment; it becomes one if need be."""
        held = self._segment
        if held is segment:
            return self._index
        if self._grad is None:
            assert held is not None
            return segment.enter(held, self._index)
        self._segment = segment
        self._index = node = segment.add(LEAF, 0, 0, self._data)
        segment.sources[node] = self
        return node

    # ------------------------------------------------------------ operators
    # + and * are written out: they are nearly all of a neural network, and each call saved is a
    # tenth of their time (benchmarks scalar).
    def __add__(self, other: Any) -> Value:
        segment = Current.segment
        i = self._index if self._segment is segment else self._at(segment)
        if isinstance(other, Value):
            j = other._index if other._segment is segment else other._at(segment)
            b = other._data
        else:
            b = number(other)
            j = segment.add(LEAF, 0, 0, b)
        out: Value = make(Value)
        out._data = y = self._data + b
        out._grad = None
        out._segment = segment
        values = segment.values
        out._index = n = len(values)
        segment.codes.append(ADD)
        segment.left.append(i)
        segment.right.append(j)
        values.append(y)
        if n > LIMIT:
            Current.renew()
        return out

    def __mul__(self, other: Any) -> Value:
        segment = Current.segment
        i = self._index if self._segment is segment else self._at(segment)
        if isinstance(other, Value):
            j = other._index if other._segment is segment else other._at(segment)
            b = other._data
        else:
            b = number(other)
            j = segment.add(LEAF, 0, 0, b)
        out: Value = make(Value)
        out._data = y = self._data * b
        out._grad = None
        out._segment = segment
        values = segment.values
        out._index = n = len(values)
        segment.codes.append(MUL)
        segment.left.append(i)
        segment.right.append(j)
        values.append(y)
        if n > LIMIT:
            Current.renew()
        return out

    __radd__ = __add__
    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Value:
        other = lifted(other)
        return record(SUB, self, other, self._data - other._data)

    def __rsub__(self, other: Any) -> Value:
        return Value(other) - self

    def __truediv__(self, other: Any) -> Value:
        other = lifted(other)
        try:
            y = self._data / other._data
        except ArithmeticError:
            y = beyond(np.divide, self._data, other._data)
        return record(DIV, self, other, y)

    def __rtruediv__(self, other: Any) -> Value:
        return Value(other) / self

    def __pow__(self, other: Any) -> Value:
        fixed = not isinstance(other, Value)
        other = lifted(other)
        try:
            y = math.pow(self._data, other._data)
        except (ArithmeticError, ValueError):
            y = beyond(np.power, self._data, other._data)
        return record(FIXED_POW if fixed else POW, self, other, y)

    def __rpow__(self, other: Any) -> Value:
        return Value(other) ** self

    def __neg__(self) -> Value:
        return record(NEG, self, self, -self._data)

    def __pos__(self) -> Value:
        return self

    # ------------------------------------------------------------ functions
    def relu(self) -> Value:
        """Return max(x, 0); its derivative at 0 is 0."""
        return record(RELU, self, self, 0.0 if self._data <= 0.0 else self._data)

    def exp(self) -> Value:
        """Return e**x."""
        try:
            y = math.exp(self._data)
        except OverflowError:
            y = math.inf
        return record(EXP, self, self, y)

    def log(self) -> Value:
        """Return the natural logarithm, -inf at 0 and NaN below."""
        try:
            y = math.log(self._data)
        except ValueError:
            y = beyond(np.log, self._data)
        return record(LOG, self, self, y)

    def tanh(self) -> Value:
        """Return the hyperbolic tangent."""
        return record(TANH, self, self, math.tanh(self._data))

    def sigmoid(self) -> Value:
        """Return 1 / (1 + e**-x)."""
        try:
            y = 1.0 / (1.0 + math.exp(-self._data))
        except OverflowError:
            y = 0.0
        return record(SIGMOID, self, self, y)

    def __float__(self) -> float:
        return self._data

    def __repr__(self) -> str:
        return f"Value(data={self._data}, grad={self.grad})"


def lifted(x: Any) -> Value:
    """Return `x` as a Value."""
    return x if isinstance(x, Value) else Value(x)


def record(code: int, a: Value, b: Value, y: float) -> Value:
    """Return the Value y of an op on a and b, a node of the tape."""
    segment = Current.segment
    out: Value = make(Value)
    out._data = y
    out._grad = None
    out._segment = segment
    i = a._index if a._segment is segment else a._at(segment)
    j = b._index if b._segment is segment else b._at(segment)
    out._index = n = segment.add(code, i, j, y)
    if n > LIMIT:
        Current.renew()
    return out
