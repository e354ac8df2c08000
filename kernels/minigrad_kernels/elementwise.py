"""Elementwise kernels: y[i] = f(a[i], ...), operands broadcast and strided, never materialised.

A rule is written once, as a scalar function, and lifted.  Below `PARALLEL` elements a rule that NumPy has as a ufunc
is that ufunc (it compiles nothing and takes any strides); above, and for the rules that NumPy lacks, a
jitted loop: flat where all operands are contiguous, else over at most three collapsed dimensions.
Integer and bool arrays always go to the reference.

Shapes: inputs broadcast against y: (...); y may be strided and may be one of the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.launch import PARALLEL, Kernel, jit, like

Array = np.ndarray[Any, Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


# ---------------------------------------------------------------- lifting a rule of one, two or three operands
def flat(rule: Any, count: int, name: str, parallel: bool) -> Any:
    """Return a jitted loop over contiguous 1-D operands."""
    if count == 1:

        @jit(name=f"{name}.flat1.{parallel}", parallel=parallel)
        def loop(a: Array, y: Array) -> None:
            for i in prange(y.size):
                y[i] = rule(a[i])

    elif count == 2:

        @jit(name=f"{name}.flat2.{parallel}", parallel=parallel)
        def loop(a: Array, b: Array, y: Array) -> None:
            for i in prange(y.size):
                y[i] = rule(a[i], b[i])

    else:

        @jit(name=f"{name}.flat3.{parallel}", parallel=parallel)
        def loop(a: Array, b: Array, c: Array, y: Array) -> None:
            for i in prange(y.size):
                y[i] = rule(a[i], b[i], c[i])

    return loop


def strided(rule: Any, count: int, name: str) -> Any:
    """Return a jitted parallel loop over 3-D operands of any strides (0 where broadcast)."""
    if count == 1:

        @jit(name=f"{name}.strided1", parallel=True)
        def loop(a: Array, y: Array) -> None:
            for ij in prange(y.shape[0] * y.shape[1]):
                i = ij // y.shape[1]
                j = ij % y.shape[1]
                for k in range(y.shape[2]):
                    y[i, j, k] = rule(a[i, j, k])

    elif count == 2:

        @jit(name=f"{name}.strided2", parallel=True)
        def loop(a: Array, b: Array, y: Array) -> None:
            for ij in prange(y.shape[0] * y.shape[1]):
                i = ij // y.shape[1]
                j = ij % y.shape[1]
                for k in range(y.shape[2]):
                    y[i, j, k] = rule(a[i, j, k], b[i, j, k])

    else:

        @jit(name=f"{name}.strided3", parallel=True)
        def loop(a: Array, b: Array, c: Array, y: Array) -> None:
            for ij in prange(y.shape[0] * y.shape[1]):
                i = ij // y.shape[1]
                j = ij % y.shape[1]
                for k in range(y.shape[2]):
                    y[i, j, k] = rule(a[i, j, k], b[i, j, k], c[i, j, k])

    return loop


def collapse(arrays: tuple[Array, ...]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Merge neighbouring dimensions that every array walks as one; return the shape and each array's strides.

    All arrays have one shape already.  Dimensions of size 1 are dropped.

    >>> a = np.zeros((4, 3, 2))
    >>> collapse((a, a[0, 0].reshape(1, 1, 2).repeat(3, 1).repeat(4, 0)))
    ((24,), [(8,), (8,)])
    """
    shape: list[int] = []
    strides: list[list[int]] = [[] for _ in arrays]
    for axis in range(arrays[0].ndim - 1, -1, -1):
        size = arrays[0].shape[axis]
        if size == 1:
            continue
        steps = [a.strides[axis] for a in arrays]
        if shape and all(s == held[0] * shape[0] for s, held in zip(steps, strides, strict=True)):
            shape[0] *= size
            continue
        shape.insert(0, size)
        for held, s in zip(strides, steps, strict=True):
            held.insert(0, s)
    return tuple(shape), [tuple(s) for s in strides]


def walk(loop: Any, arrays: tuple[Array, ...]) -> None:
    """Call a 3-D `loop` on `arrays` of one shape, collapsed; dimensions beyond three are looped over here."""
    shape, strides = collapse(arrays)
    view = np.lib.stride_tricks.as_strided
    while len(shape) < 3:
        shape = (1, *shape)
        strides = [(0, *s) for s in strides]
    views = [view(a, shape, s) for a, s in zip(arrays, strides, strict=True)]
    for index in np.ndindex(shape[:-3]):
        loop(*[v[index] for v in views])


def large(loops: tuple[Any, Any, Any], ufunc: Callable[..., Any] | None, args: tuple[Array, ...]) -> None:
    """Run the jitted loop that fits the operands: (flat sequential, flat parallel, strided)."""
    y = args[-1]
    shape = y.shape
    dtype = y.dtype
    if dtype not in FLOATS:
        assert ufunc is not None, "this kernel takes float32 and float64 arrays"
        ufunc(*args)
        return
    for a in args:
        if a.shape != shape or not a.flags.c_contiguous:
            inputs = [np.broadcast_to(a, shape) for a in args[:-1]]
            if y.size >= PARALLEL or not y.flags.c_contiguous:
                walk(loops[2], (*inputs, y))
                return
            args = (*[np.ascontiguousarray(a) for a in inputs], y)  # small: cheaper than another loop
            break
    loop = loops[0] if y.size < PARALLEL else loops[1]
    loop(*[a.reshape(-1) for a in args])


def jitted(loops: tuple[Any, Any, Any], count: int) -> Callable[..., None]:
    """Return the CPU column of a rule that NumPy lacks; a call of the jitted loop itself costs what a ufunc does."""
    flat_loop = loops[0]
    if count == 1:

        def cpu(a: Array, y: Array) -> None:
            if (
                y.size < PARALLEL
                and y.ndim == 1
                and a.size == y.size
                and a.flags.c_contiguous
                and y.flags.c_contiguous
            ):
                flat_loop(a, y)
            else:
                large(loops, None, (a, y))

    else:

        def cpu(a: Array, b: Array, y: Array) -> None:
            if (
                y.size < PARALLEL
                and y.ndim == 1
                and a.size == b.size == y.size
                and a.flags.c_contiguous
                and b.flags.c_contiguous
                and y.flags.c_contiguous
            ):
                flat_loop(a, b, y)
            else:
                large(loops, None, (a, b, y))

    return cpu


def by_size(name: str, rule: Any, count: int, ufunc: Callable[..., Any] | None) -> Callable[..., None]:
    """Return the CPU column of an elementwise row: NumPy's ufunc or a jitted loop, by size alone.

    Written out by number of operands: a call through `*args` costs as much as the ufunc on 16 elements.
    """
    loops = flat(rule, count, name, False), flat(rule, count, name, True), strided(rule, count, name)
    if ufunc is None:
        return jitted(loops, count)
    if count == 1:

        def cpu(a: Array, y: Array) -> None:
            if y.size < PARALLEL:
                ufunc(a, y)
            else:
                large(loops, ufunc, (a, y))

    elif count == 2:

        def cpu(a: Array, b: Array, y: Array) -> None:
            if y.size < PARALLEL:
                ufunc(a, b, y)
            else:
                large(loops, ufunc, (a, b, y))

    else:

        def cpu(a: Array, b: Array, c: Array, y: Array) -> None:
            if y.size < PARALLEL:
                ufunc(a, b, c, y)
            else:
                large(loops, ufunc, (a, b, c, y))

    return cpu


def lift(name: str, rule: Any, count: int, reference: Callable[..., Any], small: bool, flops: int) -> Kernel:
    """Build the row of a rule.

    reference: NumPy's expression.  small: whether that is a ufunc, and so how a small array is computed.
    """

    def wide(*args: Array) -> None:
        inputs = [a.astype(np.float64) if a.dtype == np.float32 else a for a in args[:-1]]
        with np.errstate(all="ignore"):
            args[-1][...] = reference(*inputs)

    def cost(*args: Array) -> tuple[int, int]:
        return flops * args[-1].size, sum(a.nbytes for a in args)

    fast = reference if small else None
    cpu = by_size(name, rule, count, fast)
    return Kernel(wide, cpu, cost, small=fast)


# ---------------------------------------------------------------- the rules
@jit()
def neg(a):
    return -a


@jit()
def absolute(a):
    return abs(a)


@jit()
def sign(a):
    return like(a, 1) if a > 0 else (like(a, -1) if a < 0 else a)


@jit()
def exp(a):
    return math.exp(a)


@jit()
def expm1(a):
    return math.expm1(a)


@jit()
def log(a):
    return np.log(a)


@jit()
def log1p(a):
    return np.log1p(a)


@jit()
def sqrt(a):
    return np.sqrt(a)


@jit()
def sin(a):
    return math.sin(a)


@jit()
def cos(a):
    return math.cos(a)


@jit()
def tanh(a):
    return math.tanh(a)


@jit()
def erf(a):
    return math.erf(a)


@jit()
def reciprocal(a):
    return like(a, 1) / a


@jit()
def square(a):
    return a * a


@jit()
def sigmoid(a):
    if a >= 0:
        return like(a, 1) / (like(a, 1) + math.exp(-a))
    e = math.exp(a)
    return e / (like(a, 1) + e)


@jit()
def relu(a):
    return like(a, 0) if a <= 0 else a  # NaN passes


@jit()
def softplus(a):
    if a > 20:  # PyTorch's threshold: linear above
        return a
    return np.log1p(math.exp(a))


@jit()
def logsigmoid(a):
    return min(a, like(a, 0)) - np.log1p(math.exp(-abs(a)))


@jit()
def silu(a):
    return a * sigmoid(a)


@jit()
def gelu(a):
    return a * (like(a, 0.5) * (like(a, 1) + math.erf(a * like(a, math.sqrt(0.5)))))


@jit()
def gelu_tanh(a):
    inner = like(a, math.sqrt(2 / math.pi)) * (a + like(a, 0.044715) * a * a * a)
    return like(a, 0.5) * a * (like(a, 1) + math.tanh(inner))


@jit()
def power(a, b):
    return a**b


@jit()
def add(a, b):
    return a + b


@jit()
def sub(a, b):
    return a - b


@jit()
def mul(a, b):
    return a * b


@jit()
def div(a, b):
    return a / b


@jit()
def maximum(a, b):
    return a if a > b or a != a else b


@jit()
def minimum(a, b):
    return a if a < b or a != a else b


@jit()
def tanh_backward(g, y):
    return g * (like(y, 1) - y * y)


@jit()
def sigmoid_backward(g, y):
    return g * (y * (like(y, 1) - y))


@jit()
def relu_backward(g, y):
    return g if y > 0 else like(y, 0)


@jit()
def softplus_backward(g, a):
    return g if a > 20 else g * sigmoid(a)


@jit()
def silu_backward(g, a):
    s = sigmoid(a)
    return g * (s * (like(a, 1) + a * (like(a, 1) - s)))


@jit()
def gelu_backward(g, a):
    cdf = like(a, 0.5) * (like(a, 1) + math.erf(a * like(a, math.sqrt(0.5))))
    pdf = math.exp(like(a, -0.5) * a * a) * like(a, 1 / math.sqrt(2 * math.pi))
    return g * (cdf + a * pdf)


@jit()
def where(c, a, b):
    return a if c else b


# ---------------------------------------------------------------- NumPy spellings
def np_where(c: Array, a: Array, b: Array, y: Array) -> None:
    if y is a:
        np.copyto(y, b, where=~c)
        return
    np.copyto(y, b)
    np.copyto(y, a, where=c)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def np_sigmoid(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


def np_cdf(a: Array) -> Array:
    return 0.5 * (1 + _erf(a * math.sqrt(0.5)))


def np_gelu_tanh(a: Array) -> Array:
    return 0.5 * a * (1 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))


def np_gelu_backward(g: Array, a: Array) -> Array:
    return g * (np_cdf(a) + a * np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi))


def np_silu_backward(g: Array, a: Array) -> Array:
    s = np_sigmoid(a)
    return g * s * (1 + a * (1 - s))


def plain(ufunc: np.ufunc) -> Kernel:
    """Return a row whose two columns are NumPy's own loop: comparisons and logic, already at vector speed."""

    def cost(*args: Array) -> tuple[int, int]:
        return args[-1].size, sum(a.nbytes for a in args)

    return Kernel(ufunc, ufunc, cost)


def copy_reference(a: Array, y: Array) -> None:
    y[...] = a


def copy(a: Array, y: Array) -> None:
    np.copyto(y, a, casting="unsafe")


def copy_cost(a: Array, y: Array) -> tuple[int, int]:
    return 0, y.nbytes + a.nbytes


KERNELS = {
    # name: rule, operands, NumPy's expression, is it a ufunc with an out argument, flops an element
    **{
        name: lift(name, *row)
        for name, row in {
            "neg": (neg, 1, np.negative, True, 1),
            "abs": (absolute, 1, np.absolute, True, 1),
            "sign": (sign, 1, np.sign, True, 1),
            "exp": (exp, 1, np.exp, True, 10),
            "expm1": (expm1, 1, np.expm1, True, 10),
            "log": (log, 1, np.log, True, 10),
            "log1p": (log1p, 1, np.log1p, True, 10),
            "sqrt": (sqrt, 1, np.sqrt, True, 1),
            "sin": (sin, 1, np.sin, True, 10),
            "cos": (cos, 1, np.cos, True, 10),
            "tanh": (tanh, 1, np.tanh, True, 10),
            "erf": (erf, 1, _erf, False, 10),
            "reciprocal": (reciprocal, 1, np.reciprocal, True, 1),
            "square": (square, 1, np.square, True, 1),
            "sigmoid": (sigmoid, 1, np_sigmoid, False, 12),
            "relu": (relu, 1, lambda a: np.maximum(a, 0), False, 1),
            "softplus": (softplus, 1, lambda a: np.where(a > 20, a, np.logaddexp(a, 0)), False, 20),
            "logsigmoid": (logsigmoid, 1, lambda a: -np.logaddexp(0, -a), False, 20),
            "silu": (silu, 1, lambda a: a * np_sigmoid(a), False, 13),
            "gelu": (gelu, 1, lambda a: a * np_cdf(a), False, 13),
            "gelu_tanh": (gelu_tanh, 1, np_gelu_tanh, False, 17),
            "add": (add, 2, np.add, True, 1),
            "sub": (sub, 2, np.subtract, True, 1),
            "mul": (mul, 2, np.multiply, True, 1),
            "div": (div, 2, np.divide, True, 1),
            "pow": (power, 2, np.power, True, 20),
            "maximum": (maximum, 2, np.maximum, True, 1),
            "minimum": (minimum, 2, np.minimum, True, 1),
            "tanh_backward": (tanh_backward, 2, lambda g, y: g * (1 - y * y), False, 3),
            "sigmoid_backward": (sigmoid_backward, 2, lambda g, y: g * y * (1 - y), False, 3),
            "relu_backward": (relu_backward, 2, lambda g, y: np.where(y > 0, g, 0), False, 1),
            "softplus_backward": (
                softplus_backward,
                2,
                lambda g, a: np.where(a > 20, g, g * np_sigmoid(a)),
                False,
                13,
            ),
            "silu_backward": (silu_backward, 2, np_silu_backward, False, 17),
            "gelu_backward": (gelu_backward, 2, np_gelu_backward, False, 26),
        }.items()
    },
    "where": Kernel(
        np_where,
        by_size("where", where, 3, np_where),
        lambda *args: (0, sum(a.nbytes for a in args)),
    ),
    "copy": Kernel(copy_reference, copy, copy_cost),
    "eq": plain(np.equal),
    "ne": plain(np.not_equal),
    "lt": plain(np.less),
    "le": plain(np.less_equal),
    "gt": plain(np.greater),
    "ge": plain(np.greater_equal),
    "logical_and": plain(np.logical_and),
    "logical_or": plain(np.logical_or),
    "logical_not": plain(np.logical_not),
    "isfinite": plain(np.isfinite),
    "isnan": plain(np.isnan),
    "floor": plain(np.floor),
    "floor_divide": plain(np.floor_divide),
    "remainder": plain(np.remainder),
}
