"""The ops as functions: `mg.exp(x)` is `x.exp()`.

These are typed and documented where they are written out.  An op that is not has its function, and
its method, from `tensors/registry.py`.
"""

from __future__ import annotations

from minigrad.ops import (  # noqa: F401
    arranging,
    closeness,
    earlier,
    frequencies,
    logarithms,
    matrices,
    norms,
    pairs,
    parts,
    products,
    scans,
    scatter,
    sorting,
    special,
    statistics,
    steps,
    strides,
    triangles,
    trigonometry,
    variants,
)
from minigrad.ops.elementwise import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    clamp,
    floor_divide,
    remainder,
    where,
)
from minigrad.ops.index import gather, index_select, masked_fill
from minigrad.ops.linalg import dot, matmul, outer
from minigrad.ops.norm import log_softmax, softmax
from minigrad.ops.reduce import cumsum, logsumexp, max, min, norm, std, var
from minigrad.ops.shape import (
    broadcast_to,
    cat,
    chunk,
    expand,
    flatten,
    flip,
    meshgrid,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
    unbind,
    unsqueeze,
)
from minigrad.tensors import (  # noqa: F401
    conveniences,
    graph,
    keywords,
    random_numbers,
    registry,
)
from minigrad.tensors.tensor import Tensor

exp, expm1, log, log1p = Tensor.exp, Tensor.expm1, Tensor.log, Tensor.log1p
sqrt, rsqrt, square, reciprocal = Tensor.sqrt, Tensor.rsqrt, Tensor.square, Tensor.reciprocal
sin, cos, tanh, sigmoid, relu, erf = (
    Tensor.sin,
    Tensor.cos,
    Tensor.tanh,
    Tensor.sigmoid,
    Tensor.relu,
    Tensor.erf,
)
abs, neg = Tensor.abs, Tensor.neg
isnan, isfinite, logical_not = Tensor.isnan, Tensor.isfinite, Tensor.logical_not
logical_and, logical_or = Tensor.logical_and, Tensor.logical_or
logical_xor = Tensor.logical_xor
maximum, minimum = Tensor.maximum, Tensor.minimum
eq, ne, lt, le, gt, ge = Tensor.eq, Tensor.ne, Tensor.lt, Tensor.le, Tensor.gt, Tensor.ge
sum, mean, prod = Tensor.sum, Tensor.mean, Tensor.prod
amax, amin, argmax, argmin = Tensor.amax, Tensor.amin, Tensor.argmax, Tensor.argmin
any, all = Tensor.any, Tensor.all
mm, bmm = Tensor.mm, Tensor.bmm

__all__ = [
    "abs",
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bmm",
    "broadcast_to",
    "cat",
    "chunk",
    "clamp",
    "cos",
    "cumsum",
    "dot",
    "eq",
    "erf",
    "exp",
    "expand",
    "expm1",
    "flatten",
    "flip",
    "floor_divide",
    "gather",
    "ge",
    "gt",
    "index_select",
    "isfinite",
    "isnan",
    "le",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "lt",
    "masked_fill",
    "matmul",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "min",
    "minimum",
    "mm",
    "ne",
    "neg",
    "norm",
    "outer",
    "permute",
    "prod",
    "reciprocal",
    "relu",
    "remainder",
    "reshape",
    "rsqrt",
    "sigmoid",
    "sin",
    "softmax",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sum",
    "tanh",
    "transpose",
    "unbind",
    "unsqueeze",
    "var",
    "where",
]
keywords.rename_all(globals())
registry.share(globals(), "tensor")
