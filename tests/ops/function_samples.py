"""Calls of every function of `minigrad.tensors.functions` with NumPy's answer:
`FUNCTION_SAMPLES[name]`.

A call is (args, options, reference): arrays among the args become tensors, float ones are
differentiated, and `reference(*args)` gets the arrays themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.checking.samples import DOMAINS, SECOND, apart, normal, positive, unit
from minigrad.engine.op import Op
from minigrad.ops.arithmetic import Binary
from minigrad.ops.registry import OPS, function_name
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]
Calls = list[tuple[tuple[Any, ...], dict[str, Any], Callable[..., Any]]]

LAYOUTS = (  # of one operand
    lambda make: make(),
    lambda make: make(0, 2),
    lambda make: make(1),
    lambda make: make(2, 3),
    lambda make: make(3, 2).T,
    lambda make: make(3, 4)[::-2, 1::2],
)
BOTH = (((), ()), ((3,), ()), ((2, 1), (1, 3)), ((0, 3), (3,)), ((2, 3), (2, 3)))


def unary(reference: Any, make: Any = normal) -> Calls:
    return [((layout(make),), {}, reference) for layout in LAYOUTS]


def binary(reference: Any, make: Any = normal, other: Any = None) -> Calls:
    return [((make(*a), (other or make)(*b)), {}, reference) for a, b in BOTH]


def whole(*shape: int) -> Array:
    """Return integers of both signs."""
    return np.random.default_rng(7).integers(-40, 40, shape)


def bits(*shape: int) -> Array:
    """Return numbers of bits, to shift by."""
    return np.random.default_rng(8).integers(0, 9, shape)


def ties(*shape: int) -> Array:
    """Return small whole numbers, so that comparisons meet equals."""
    return np.asarray(np.rint(normal(*shape)) + 0.0)


def over(reference: Any, make: Any = normal, whole: bool = True, several: bool = True) -> Calls:
    """Return calls of a reduction: over all, one dim, several, kept and not."""
    given: list[dict[str, Any]] = [{}] if whole else []
    given += [{"dim": 1}, {"dim": -1, "keepdim": True}]
    if several:
        given += [{"dim": (0, 2)}, {"dim": (-1, 0), "keepdim": True}]
    found: Calls = []
    for options in given:
        axis, keep = options.get("dim"), options.get("keepdim", False)
        found.append(
            (
                (make(2, 3, 2),),
                options,
                lambda x, axis=axis, keep=keep: reference(x, axis=axis, keepdims=keep),
            )
        )
    if whole:
        found.append(((make(),), {}, reference))
    return found


def np_softmax(x: Array, dim: int) -> Array:
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def np_logsumexp(x: Array, **over: Any) -> Array:
    return np.log(np.exp(x).sum(**over))


def np_prod(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return x.prod(axis=axis, keepdims=keepdims)


ERF = np.vectorize(math.erf, otypes=[np.float64])
INDEX = np.array([[0, 1], [2, 0]])

# What is no op of one or two operands by itself, or has an answer of another spelling.
FUNCTION_SAMPLES: dict[str, Calls] = {
    "neg": unary(np.negative),
    "rsqrt": unary(lambda x: 1 / np.sqrt(x), positive),
    "reciprocal": unary(lambda x: 1 / x, positive),
    "sigmoid": unary(lambda x: 1 / (1 + np.exp(-x))),
    "relu": unary(lambda x: np.maximum(x, 0), apart),
    "erf": unary(ERF),
    "sign": unary(np.sign, apart),
    "logit": unary(lambda x: np.log(x / (1 - x)), unit),
    "floor": unary(np.floor),
    "isnan": unary(np.isnan),
    "isfinite": unary(np.isfinite),
    "logical_not": unary(np.logical_not, ties),
    "logical_and": binary(np.logical_and, ties),
    "logical_or": binary(np.logical_or, ties),
    "logical_xor": binary(np.logical_xor, ties),
    "bitwise_and": binary(np.bitwise_and, whole),
    "bitwise_or": binary(np.bitwise_or, whole),
    "bitwise_xor": binary(np.bitwise_xor, whole),
    "bitwise_not": unary(np.invert, whole),
    "bitwise_left_shift": binary(np.left_shift, whole, bits),
    "bitwise_right_shift": binary(np.right_shift, whole, bits),
    "floor_divide": binary(np.floor_divide, normal, positive),
    "remainder": [
        *binary(np.remainder, normal, positive),
        ((normal(3), -0.75), {}, np.remainder),
        ((whole(3), 3), {}, np.remainder),
    ],
    "add": [
        *binary(np.add),
        ((normal(2), normal(2)), {"alpha": 3}, lambda a, b: a + 3 * b),
        ((normal(2), 2.5), {}, np.add),
    ],
    "sub": [
        *binary(np.subtract),
        ((normal(2), normal(2)), {"alpha": 3}, lambda a, b: a - 3 * b),
        ((normal(2), 2), {}, np.subtract),
    ],
    "mul": [*binary(np.multiply), ((normal(2), 2.5), {}, np.multiply)],
    "div": [*binary(np.divide, normal, positive), ((normal(2), 2.5), {}, np.divide)],
    "pow": [
        *binary(np.power, positive),
        *(((normal(3), p), {}, lambda x, p: x**p) for p in (2, 3, 1, 0, 2.0)),
        ((positive(3), 0.5), {}, np.power),
        ((positive(3), -1.5), {}, np.power),
    ],
    "maximum": binary(np.maximum),
    "minimum": binary(np.minimum),
    **{
        name: [*binary(f, ties), ((ties(3), 1), {}, f)]
        for name, f in (
            ("eq", np.equal),
            ("ne", np.not_equal),
            ("lt", np.less),
            ("le", np.less_equal),
            ("gt", np.greater),
            ("ge", np.greater_equal),
        )
    },
    "clamp": [
        ((apart(2, 3), -0.5, 0.5), {}, np.clip),
        ((apart(3),), {"min": 0.1}, lambda x: np.maximum(x, 0.1)),
        ((apart(3),), {"max": 0.1}, lambda x: np.minimum(x, 0.1)),
        ((apart(2, 3), normal(3) - 1.05, positive(2, 1)), {}, np.clip),
    ],
    "where": [
        ((normal(2, 3) > 0, normal(3), normal(2, 1)), {}, np.where),
        ((normal(3) > 0, normal(3), 0.5), {}, np.where),
        ((normal(3) > 0, -1.0, normal(3)), {}, np.where),
        ((np.array(True), normal(), normal(2)), {}, np.where),
    ],
    "masked_fill": [
        ((normal(2, 3), normal(3) > 0, -2.0), {}, lambda x, m, v: np.where(m, v, x)),
    ],
    "sum": [*over(np.sum), ((normal(0, 2),), {}, np.sum)],
    "mean": over(np.mean),
    "prod": over(np_prod, several=False),
    "amax": over(np.max, apart),
    "amin": over(np.min, apart),
    "any": over(np.any, ties),
    "all": over(np.all, ties),
    "argmax": over(np.argmax, several=False),
    "argmin": over(np.argmin, several=False),
    "max": [
        ((apart(2, 3),), {}, np.max),
        ((apart(2, 3), 1), {}, lambda x, d: (x.max(d), x.argmax(d))),
        ((apart(3, 2).T, -2, True), {}, lambda x, d, k: (x.max(0)[None], x.argmax(0)[None])),
        ((normal(2, 3), normal(3)), {}, np.maximum),
    ],
    "min": [
        ((apart(2, 3),), {}, np.min),
        ((apart(2, 3), 1), {}, lambda x, d: (x.min(d), x.argmin(d))),
        ((normal(2, 3), normal(3)), {}, np.minimum),
    ],
    "var": [
        *over(lambda x, axis, keepdims: x.var(axis=axis, keepdims=keepdims, ddof=1))[:-1],
        ((normal(2, 3), 1), {"correction": 0}, lambda x, d: x.var(d)),
        ((normal(2, 3), 1), {"correction": 1.5}, lambda x, d: x.var(d, ddof=1.5)),
    ],
    "std": [
        *over(lambda x, axis, keepdims: x.std(axis=axis, keepdims=keepdims, ddof=1))[:-1],
        ((normal(2, 3), 1), {"correction": 0}, lambda x, d: x.std(d)),
    ],
    "norm": [
        ((normal(2, 3),), {}, lambda x: np.sqrt((x * x).sum())),
        *(
            ((apart(2, 3), p, 1), {}, lambda x, p, d: np.linalg.norm(x, p, d))
            for p in (1, 2, 2.5, math.inf, -math.inf, 0)
        ),
        ((normal(2, 3), "fro", None, True), {}, lambda x, *_: np.linalg.norm(x)[None, None]),
    ],
    "logsumexp": over(np_logsumexp, whole=False),
    "cumsum": [
        ((normal(2, 3), 1), {}, np.cumsum),
        ((normal(3, 2).T, -2), {}, lambda x, d: np.cumsum(x, 0)),
        ((normal(), 0), {}, lambda x, d: x),
    ],
    "softmax": [((normal(2, 3), d), {}, np_softmax) for d in (0, -1)],
    "log_softmax": [((normal(2, 3), d), {}, lambda x, d: np.log(np_softmax(x, d))) for d in (0, 1)],
    "matmul": [
        ((normal(*a), normal(*b)), {}, np.matmul)
        for a, b in (
            ((3,), (3,)),
            ((2, 3), (3,)),
            ((3,), (3, 2)),
            ((2, 3), (3, 2)),
            ((2, 2, 3), (3,)),
            ((3,), (2, 3, 2)),
            ((2, 1, 2, 3), (2, 3, 1)),
            ((0, 3), (3, 2)),
        )
    ],
    "mm": [((normal(3, 2).T, normal(3, 2)), {}, np.matmul)],
    "bmm": [((normal(2, 2, 3), normal(2, 3, 1)), {}, np.matmul)],
    "dot": [((normal(3), normal(3)), {}, np.dot)],
    "outer": [((normal(2), normal(3)), {}, np.outer), ((normal(0), normal(3)), {}, np.outer)],
    "reshape": [
        ((normal(2, 3), (3, -1)), {}, np.reshape),
        ((normal(3, 2).T, (6,)), {}, np.reshape),
    ],
    "permute": [((normal(2, 3, 1), (-1, 0, 1)), {}, np.transpose)],
    "transpose": [
        ((normal(2, 3, 1), 0, -1), {}, np.swapaxes),
        ((normal(), 0, -1), {}, lambda x, *_: x),
    ],
    "expand": [
        ((normal(2, 1), (3, -1, 2)), {}, lambda x, s: np.broadcast_to(x, (3, 2, 2))),
    ],
    "broadcast_to": [((normal(3), (2, 3)), {}, np.broadcast_to)],
    "squeeze": [
        ((normal(1, 2, 1),), {}, np.squeeze),
        ((normal(1, 2, 1), -1), {}, np.squeeze),
        ((normal(1, 2, 1), (0, 1)), {}, lambda x, d: x[0]),
    ],
    "unsqueeze": [((normal(2, 3), d), {}, np.expand_dims) for d in (0, 1, -1)],
    "flatten": [
        ((normal(2, 3, 2),), {}, np.ravel),
        ((normal(2, 3, 2), 1, -1), {}, lambda x, *_: x.reshape(2, 6)),
        ((normal(),), {}, np.ravel),
    ],
    "flip": [((normal(2, 3), (0, -1)), {}, np.flip), ((normal(2, 3), 1), {}, np.flip)],
    "cat": [
        (([normal(2, 3), normal(1, 3)],), {}, np.concatenate),
        (([normal(2, 3), normal(2, 1)], -1), {}, np.concatenate),
    ],
    "stack": [
        (([normal(2), normal(2)],), {}, np.stack),
        (([normal(2), normal(2)], -1), {}, np.stack),
    ],
    "split": [
        ((normal(5, 2), 2), {}, lambda x, n: tuple(np.split(x, [2, 4]))),
        ((normal(2, 5), (1, 4), -1), {}, lambda x, n, d: tuple(np.split(x, [1], 1))),
    ],
    "chunk": [((normal(5, 2), 2), {}, lambda x, n: tuple(np.split(x, [3])))],
    "unbind": [
        ((normal(2, 3),), {}, lambda x: tuple(x)),
        ((normal(2, 3), -1), {}, lambda x, d: tuple(x.T)),
    ],
    "meshgrid": [
        ((normal(2), normal(3)), {}, lambda a, b: tuple(np.meshgrid(a, b, indexing="ij"))),
        (
            (normal(2), normal(3)),
            {"indexing": "xy"},
            lambda a, b: tuple(np.meshgrid(a, b, indexing="xy")),
        ),
    ],
    "gather": [
        ((normal(3, 2), 0, INDEX), {}, lambda x, d, i: np.take_along_axis(x, i, d)),
        ((normal(2, 3), -1, INDEX), {}, lambda x, d, i: np.take_along_axis(x, i, 1)),
    ],
    "index_select": [
        ((normal(2, 3), 1, np.array([2, 0, 2])), {}, lambda x, d, i: np.take(x, i, d)),
    ],
}


def of_op(op: type[Op]) -> Calls:
    """Return the calls of a function of the registry, with the reference of its kernel's rule."""
    rule = KERNELS[function_name(op)].rule
    assert rule is not None, f"state calls of {function_name(op)} above: its kernel is no rule's"
    if issubclass(op, Binary):
        first, second = op.domains
        return binary(rule.reference, DOMAINS[first], SECOND[second])
    return unary(rule.reference, DOMAINS[op.domain])


def of_a_rule(op: type[Op]) -> bool:
    """Say whether an op is a kernel's rule; what else is made of other ops is held to PyTorch."""
    name = function_name(op)
    return name in KERNELS and KERNELS[name].rule is not None


COMPOSED: set[str] = set()  # functions of such ops that are no rule's
for _op in OPS.values():
    if _op.public != "tensor":
        continue
    if function_name(_op) not in FUNCTION_SAMPLES:
        if not of_a_rule(_op):
            COMPOSED |= {function_name(_op), *getattr(_op, "also", ())}
            continue
        FUNCTION_SAMPLES[function_name(_op)] = of_op(_op)
    for _alias in getattr(_op, "also", ()):
        FUNCTION_SAMPLES[_alias] = FUNCTION_SAMPLES[function_name(_op)][:2]
