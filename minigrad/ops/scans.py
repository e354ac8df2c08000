"""Running products, extremes and log-sums along a dimension.

Gradients of first order go through the elements once, without a division, so that zeros are exact;
those of higher orders through a scan by doubling, of log n steps of plain ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.engine.device import host_copy, to_current_device
from minigrad.engine.op import Bridge, Op
from minigrad.ops.arranging import beside
from minigrad.ops.common import Array, axis_of, floating, op
from minigrad.ops.grammar import host
from minigrad.ops.index import picked
from minigrad.ops.logarithms import Logaddexp
from minigrad.ops.registry import public
from minigrad.ops.results import result
from minigrad.ops.shape import Cat
from minigrad.ops.sorting import picked_along

INT64 = np.dtype(np.int64)
Cummax = result("cummax", "values", "indices")
Cummin = result("cummin", "values", "indices")


def by_doubling(join: Callable[[Any, Any], Any], x: Any, axis: int) -> Any:
    """Return join(x_0, ..., x_i) along an axis, of a join that may be grouped at will."""
    n, step = x.array.shape[axis], 1
    while step < n:
        lead = (slice(None),) * axis
        low = picked(x, *lead, slice(None, step))
        high = join(picked(x, *lead, slice(step, None)), picked(x, *lead, slice(None, n - step)))
        x = Cat.apply(low, high, axis=axis)
        step *= 2
    return x


def carried(g: Array, factor: Array, axis: int) -> Array:
    """Return r with r_k = g_k + factor_k r_(k+1) along an axis."""
    r = np.array(np.moveaxis(g, axis, 0), np.float64)
    by = np.moveaxis(factor, axis, 0)
    for k in range(len(r) - 2, -1, -1):
        r[k] += by[k] * r[k + 1]
    return np.moveaxis(r, 0, axis)


def shifted(a: Array, axis: int, first: Array) -> Array:
    """Return an array moved on by one along an axis, with `first` in front."""
    kept = np.moveaxis(a, axis, 0)[:-1]
    return np.moveaxis(np.concatenate([first, kept]), 0, axis)


@op
class CumProd(Op):
    """y_i = a_0 * ... * a_i along `axis`; exact where factors are 0"""

    @staticmethod
    def samples(draw: Any) -> Any:
        zeros = np.array([2.0, 0.0, 3.0, 0.0, 1.5])
        return [
            ((draw.normal(2, 3),), {"axis": 0}),
            ((draw.normal(3, 2).T,), {"axis": 1}),
            ((zeros,), {"axis": 0}),
            ((draw.normal(0),), {"axis": 0}),
        ]

    def forward(self, a: Array, axis: int) -> Array:
        x = host_copy(a)
        y = np.cumprod(x, axis=axis, dtype=x.dtype if x.dtype.kind == "f" else INT64)
        return to_current_device(y)

    def backward(self, g: Any) -> tuple[Any, ...]:
        axis = self.meta["axis"]
        a = host(self.saved(0)).astype(np.float64)
        one = np.ones((min(1, a.shape[axis]), *np.delete(a.shape, axis)))
        before = np.cumprod(shifted(a, axis, one), axis=axis)
        after = np.moveaxis(a, axis, 0)[1:]
        factor = np.moveaxis(np.concatenate([after, one]), 0, axis)
        dx = before * carried(host(g), factor, axis)
        return (beside(dx.astype(g.array.dtype), g),)

    @staticmethod
    def composite(a: Any, axis: int) -> Any:
        return by_doubling(lambda x, y: x * y, a, axis)


@op
class LogCumSumExp(Op):
    """y_i = log(e^a_0 + ... + e^a_i) along `axis`, without overflow"""

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((draw.normal(2, 3),), {"axis": 0}),
            ((draw.normal(3, 2).T,), {"axis": 1}),
            ((draw.normal(0),), {"axis": 0}),
        ]

    def forward(self, a: Array, axis: int) -> Array:
        x = host_copy(floating(a))
        with np.errstate(all="ignore"):
            y = np.logaddexp.accumulate(x, axis=axis, dtype=np.float64)
        self.y = to_current_device(y.astype(x.dtype))
        return self.y

    def backward(self, g: Any) -> tuple[Any, ...]:
        axis = self.meta["axis"]
        a, y = (host(t).astype(np.float64) for t in (self.saved(0), Bridge.new(self.result())))
        with np.errstate(all="ignore"):
            fall = np.exp(np.diff(y, axis=axis, append=np.inf) * -1)
            dx = np.exp(a - y) * carried(host(g), np.nan_to_num(fall, nan=1.0), axis)
        return (beside(dx.astype(g.array.dtype), g),)

    @staticmethod
    def composite(a: Any, axis: int) -> Any:
        return by_doubling(Logaddexp.apply, a, axis)


@public("tensor", inplace=True)
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return running products along `dim`, of the input in `dtype` if that is given.

    >>> import minigrad as mg
    >>> cumprod(mg.tensor([2, 3, 4]), 0)
    tensor([ 2,  6, 24])
    """
    return scanned("cumprod", CumProd, input, dim, dtype)


@public("tensor")
def logcumsumexp(input: Any, dim: int) -> Any:
    """Return log(exp(x_0) + ... + exp(x_i)) along `dim`, without overflow.

    >>> import minigrad as mg
    >>> logcumsumexp(mg.tensor([100.0, 100.0]), 0)
    tensor([100.0000, 100.6931])
    """
    return scanned("logcumsumexp", LogCumSumExp, input, dim, None)


def scanned(name: str, op: Any, input: Any, dim: int, dtype: Any) -> Any:
    """Return an op along a dimension; of a single number, the number."""
    x = input if dtype is None else input.to(dtype)
    axis = axis_of(name, dim, x.ndim)
    y = op.apply(x if x.ndim else x.reshape(1), axis=axis).reshape(x.shape)
    return y if dtype is None else y.to(dtype)


@public("tensor")
def cummax(input: Any, dim: int) -> Any:
    """Return (values, indices): the largest so far along `dim`, and where: of equals, the last.

    >>> import minigrad as mg
    >>> cummax(mg.tensor([1.0, 3.0, 2.0]), 0).values
    tensor([1., 3., 3.])
    """
    return Cummax(*running("cummax", np.maximum, input, dim))


@public("tensor")
def cummin(input: Any, dim: int) -> Any:
    """Return (values, indices): the smallest so far along `dim`, and where; see `cummax`."""
    return Cummin(*running("cummin", np.minimum, input, dim))


def running(name: str, extremum: np.ufunc, input: Any, dim: int) -> tuple[Any, Any]:
    """Return running extremes and their positions; a NaN stays."""
    axis = axis_of(name, dim, input.ndim)
    if not input.ndim:
        return input.clone(), beside(np.zeros((), INT64), input)
    a = host(input)
    count = np.arange(a.shape[axis]).reshape([-1 if k == axis else 1 for k in range(a.ndim)])
    new = (a == extremum.accumulate(a, axis=axis)) | (a != a)
    places = np.maximum.accumulate(np.where(new, count, 0), axis=axis).astype(INT64)
    return picked_along(input, places, axis), beside(places, input)
