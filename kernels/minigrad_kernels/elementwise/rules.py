"""Elementwise kernels: y[i] = f(a[i], ...), operands broadcast and strided, never materialised.

A rule is written once, as a scalar function, and lifted (elementwise/kernels.py).  Below `PARALLEL`
elements a rule that NumPy has as a ufunc is that ufunc (it compiles nothing and takes any
strides).  Integer and bool arrays always go to NumPy.

Shapes: inputs broadcast against y: (...); y may be strided and may be one of the inputs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.elementwise import moderate_exp
from minigrad_kernels.elementwise.broadcast_copy import repeat, repeated
from minigrad_kernels.elementwise.kernels import Lifted, lift, row_of
from minigrad_kernels.kernel import EXACT, PARALLEL, Kernel, Rounding, Rule
from minigrad_kernels.math.error_function import vector_erf
from minigrad_kernels.math.exponential import exponential, vector_expm1
from minigrad_kernels.math.logarithm import vector_log, vector_log1p
from minigrad_kernels.math.scalar import like, rule

Array = np.ndarray[Any, Any]
CLOSE: Rounding = (4.0, 0.0)


# ---------------------------------------------------------------- the rules
@rule
def neg(a):
    """Return the negative."""
    return -a


@rule
def absolute(a):
    """Return the absolute value."""
    return abs(a)


@rule
def exp(a):
    """Return the exponential."""
    return exponential(a)


@rule
def expm1(a):
    """Return the exponential less one."""
    return vector_expm1(a)


@rule
def log(a):
    """Return the natural logarithm."""
    return vector_log(a)


@rule
def log1p(a):
    """Return the natural logarithm of one more."""
    return vector_log1p(a)


@rule
def sqrt(a):
    """Return the square root."""
    return math.sqrt(a)


@rule
def erf(a):
    """Return the error function."""
    return vector_erf(a)


@rule
def reciprocal(a):
    """Return the reciprocal."""
    return like(a, 1) / a


@rule
def square(a):
    """Return the square."""
    return a * a


@rule
def square_backward(g, a):
    """Return the gradient of the square."""
    return g * a * like(a, 2)


@rule
def power(a, b):
    """Return the first operand to the power of the second."""
    return a**b


@rule
def add(a, b):
    """Return the sum of two operands."""
    return a + b


@rule
def sub(a, b):
    """Return the difference of two operands."""
    return a - b


@rule
def mul(a, b):
    """Return the product of two operands."""
    return a * b


@rule
def div(a, b):
    """Return the quotient of two operands."""
    return a / b


@rule
def maximum(a, b):
    """Return the larger operand, NaN where one is."""
    return a if a > b or a != a else b


@rule
def minimum(a, b):
    """Return the smaller operand, NaN where one is."""
    return a if a < b or a != a else b


@rule
def larger_share(g, a, b):
    """Return the gradient of max(a, b) in a: half where they are equal, all where one is NaN."""
    return g * (like(a, 0) if a < b else (like(a, 0.5) if a == b else like(a, 1)))


@rule
def copied(a):
    """Return the element as it is."""
    return a


@rule
def where(c, a, b):
    """Return the second operand where the first is true, else the third."""
    return a if c != 0 else b


# ---------------------------------------------------------------- NumPy spellings
def np_where(c: Array, a: Array, b: Array, y: Array) -> None:
    """Write a where c, else b; y may be a."""
    if y is a:
        np.copyto(y, b, where=~c)
        return
    np.copyto(y, b)
    np.copyto(y, a, where=c)


def np_maximum(a: Array, b: Array, y: Array | None = None) -> Array:
    """Return the larger of a and b, NaN where one is."""
    return np.maximum(a, b, out=y)  # NumPy deprecates a third positional argument of these two


def np_minimum(a: Array, b: Array, y: Array | None = None) -> Array:
    """Return the smaller of a and b, NaN where one is."""
    return np.minimum(a, b, out=y)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def np_share(g: Array, a: Array, b: Array) -> Array:
    """Return a's part of the gradient of maximum: half of it on ties."""
    return g * np.where(a < b, 0, np.where(a == b, 0.5, 1))


def plain(ufunc: np.ufunc, draws: str = "normal", truth: bool = False) -> Kernel:
    """Return a row whose reference and CPU column are NumPy's own loop, as for comparisons."""

    def cost(*args: Array) -> tuple[int, int]:
        """Return the flops and the bytes of a launch."""
        return args[-1].size, sum(a.nbytes for a in args)

    rule = Rule(None, ufunc.nin, ufunc, True, draws=draws, truth=truth, rounding=EXACT)
    return row_of(rule, ufunc, ufunc, cost)


def function(ufunc: np.ufunc) -> Kernel:
    """Return the row of a function whose vectorised loop is NumPy's at every size."""

    def reference(a: Array, y: Array) -> None:
        """Compute y = ufunc(a) in float64."""
        y[...] = ufunc(a.astype(np.float64))

    def cost(a: Array, y: Array) -> tuple[int, int]:
        """Return the flops and the bytes of a launch."""
        return 10 * y.size, a.nbytes + y.nbytes

    rule = Rule(None, 1, ufunc, True, 10, rounding=CLOSE)
    return row_of(rule, reference, ufunc, cost, small=ufunc)


def sign_reference(a: Array, y: Array) -> None:
    """Compute y = sign(a), 0 for NaN."""
    y[...] = np.nan_to_num(np.sign(a))


def sign(a: Array, y: Array) -> None:
    """Write -1, 0 or 1; 0 for NaN, as PyTorch, so that |x| has no gradient there."""
    np.sign(a, y)
    if y.dtype.kind == "f":
        np.copyto(y, 0, where=np.isnan(y))


def copy_reference(a: Array, y: Array) -> None:
    """Write a to y, which it broadcasts against."""
    y[...] = a


def copy_cost(a: Array, y: Array) -> tuple[int, int]:
    """Return the flops, none, and the bytes of a copy."""
    return 0, y.nbytes + a.nbytes


lifted_where = Lifted("where", where, 3)


def where_cpu(c: Array, a: Array, b: Array, y: Array) -> None:
    """Write a where c, else b, on the CPU: by NumPy while y is small."""
    if y.size < PARALLEL or y.dtype.kind != "f":
        np_where(c, a, b, y)
    else:
        lifted_where.large(c.view(np.uint8), a, b, y)


lifted_copy = Lifted("copy", copied, 1)
WORDS = {4: np.dtype(np.float32), 8: np.dtype(np.float64)}


def copy(a: Array, y: Array) -> None:
    """Write a to y, which it broadcasts against, on the CPU: by NumPy while y is small."""
    small = y.size < PARALLEL or y.itemsize not in WORDS
    if small or a.dtype != y.dtype or not a.flags.aligned:
        np.copyto(y, a, casting="unsafe")
        return
    word = WORDS[y.itemsize]
    a, y = a.view(word), y.view(word)
    sizes = repeated(a.shape, y.shape) if a.size < y.size else None
    if sizes is not None and a.flags.c_contiguous and y.flags.c_contiguous:
        repeat(a.reshape(-1), *sizes, y.reshape(-1))
    else:
        lifted_copy.large(a, y)


RULES = {
    "neg": Rule(neg, 1, np.negative, ufunc=True, rounding=EXACT),
    "abs": Rule(absolute, 1, np.absolute, ufunc=True, rounding=EXACT),
    "exp": Rule(exp, 1, np.exp, ufunc=True, flops=10, rounding=CLOSE),
    "expm1": Rule(expm1, 1, np.expm1, ufunc=True, flops=10, rounding=CLOSE),
    "log": Rule(log, 1, np.log, ufunc=True, flops=10, draws="positive", rounding=CLOSE),
    "log1p": Rule(log1p, 1, np.log1p, ufunc=True, flops=10, draws="positive", rounding=CLOSE),
    "sqrt": Rule(sqrt, 1, np.sqrt, ufunc=True, draws="positive", rounding=EXACT),
    "erf": Rule(erf, 1, _erf, flops=30, rounding=CLOSE),
    "reciprocal": Rule(reciprocal, 1, np.reciprocal, ufunc=True, rounding=EXACT),
    "square": Rule(square, 1, np.square, ufunc=True, rounding=EXACT),
    "square_backward": Rule(square_backward, 2, lambda g, a: 2 * g * a, flops=2, rounding=EXACT),
    "add": Rule(add, 2, np.add, ufunc=True, rounding=EXACT),
    "sub": Rule(sub, 2, np.subtract, ufunc=True, rounding=EXACT),
    "mul": Rule(mul, 2, np.multiply, ufunc=True, rounding=EXACT),
    "div": Rule(div, 2, np.divide, ufunc=True, rounding=EXACT),
    "pow": Rule(power, 2, np.power, ufunc=True, flops=20, draws="positive", rounding=(5.0, 0.0)),
    "maximum": Rule(maximum, 2, np_maximum, ufunc=True, rounding=EXACT),
    "minimum": Rule(minimum, 2, np_minimum, ufunc=True, rounding=EXACT),
    "larger_share": Rule(larger_share, 3, np_share, flops=2, rounding=EXACT),
}
WHERE = Rule(where, 3, np_where, draws=("truth", "normal", "normal"), rounding=EXACT)
COPY = Rule(copied, 1, np.positive, rounding=EXACT)
SIGN = Rule(None, 1, np.sign, rounding=EXACT)
LOOPS = {"exp": moderate_exp.loop}
KERNELS = {
    **{name: lift(name, rule, LOOPS.get(name)) for name, rule in RULES.items()},
    "where": row_of(WHERE, np_where, where_cpu, lambda *args: (0, sum(a.nbytes for a in args))),
    "sin": function(np.sin),
    "cos": function(np.cos),
    "copy": row_of(COPY, copy_reference, copy, copy_cost),
    "sign": row_of(SIGN, sign_reference, sign, copy_cost),
    "eq": plain(np.equal, truth=True),
    "ne": plain(np.not_equal, truth=True),
    "lt": plain(np.less, truth=True),
    "le": plain(np.less_equal, truth=True),
    "gt": plain(np.greater, truth=True),
    "ge": plain(np.greater_equal, truth=True),
    "logical_and": plain(np.logical_and, truth=True),
    "logical_or": plain(np.logical_or, truth=True),
    "logical_not": plain(np.logical_not, truth=True),
    "isfinite": plain(np.isfinite, truth=True),
    "isnan": plain(np.isnan, truth=True),
    "floor": plain(np.floor),
    "bitwise_and": plain(np.bitwise_and, "bits"),
    "bitwise_or": plain(np.bitwise_or, "bits"),
    "bitwise_xor": plain(np.bitwise_xor, "bits"),
    "left_shift": plain(np.left_shift, "bits"),
    "right_shift": plain(np.right_shift, "bits"),
}
