"""The pushforward of one op: from tangents of its inputs to tangents of its outputs.

Of an elementwise op the rule is its own pushforward, for its Jacobian is diagonal; a linear op is
applied to the tangent.  The rule of any other op is linear in the gradient of the output: its own
gradient with respect to that, at the tangents, is what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.autograd.function import Function, FunctionNode
from minigrad.engine import backward
from minigrad.engine.backward import fitted, sweep
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import Op
from minigrad.engine.routes import edges_of
from minigrad.func.lane_ops import Stack
from minigrad.func.reverse import within
from minigrad.ops.arithmetic import Add, Binary, Div, Mul, Neg, Sub
from minigrad.ops.index import IndexSet
from minigrad.ops.linalg import Linear, MatMul, matmul, swapped
from minigrad.ops.shape import Cat, Expand
from minigrad.ops.unary import Unary
from minigrad.tensors.creation import full_like, zeros_like
from minigrad.tensors.tensor import cast, new

# Ops of one operand that are linear in it: the tangent goes through the op itself.
LINEAR = {
    *("Reshape", "Permute", "Expand", "Flip", "Split", "Index", "IndexAdd", "Sum", "Mean", "Neg"),
    *("Clone", "Identity", "Cast", "Move", "CumSum", "MaxUnpool", "AvgPool", "AvgUnpool"),
    *("ToLanes", "FromLanes", "Spread", "SumLanes", "Unstack", "Copies"),
}


def pushed(
    op: Op, inputs: Sequence[Any], tangents: Sequence[Any], outputs: Sequence[Any]
) -> Sequence[Any]:
    """Return the tangents of an op's outputs; None stands for zero."""
    name = type(op).__name__
    if isinstance(op, FunctionNode) and op.function.jvp is not Function.jvp:
        return by_user(op, inputs, tangents)
    if name in LINEAR:
        found = type(op).apply(tangents[0], **op.meta)
        return found if type(op).several else [found]
    if isinstance(op, Unary) and op.composite is None:
        return [shaped(op.backward(tangents[0])[0], outputs[0])]
    rule = RULES.get(type(op))
    if rule is not None:
        return [shaped(rule(op, inputs, tangents, outputs[0]), outputs[0])]
    if isinstance(op, Binary) and op.composite is None:
        return [of_binary(op, tangents, outputs[0])]
    return transposed(op, inputs, tangents, outputs)


def shaped(t: Any, like: Any) -> Any:
    """Return a tangent in the shape and dtype of its output."""
    if t.array.shape != like.array.shape:
        t = Expand.apply(t, shape=like.array.shape)
    return t if t.array.dtype == like.array.dtype else cast(t, like.array.dtype)


def total(a: Any, b: Any) -> Any:
    """Return the sum of two tangents, None standing for zero."""
    return b if a is None else a if b is None else a + b


def of_binary(op: Op, tangents: Sequence[Any], y: Any) -> Any:
    """Push through an elementwise op of two operands: the rule, one operand at a time."""
    found = None
    for i, t in enumerate(tangents):
        if t is not None:
            found = total(found, op.backward(shaped(t, y))[i])
    return found


def of_add(op: Op, inputs: Any, tangents: Any, y: Any) -> Any:
    """Dy = da + db"""
    return total(*tangents)


def of_sub(op: Op, inputs: Any, tangents: Any, y: Any) -> Any:
    """Dy = da - db"""
    a, b = tangents
    return a if b is None else Neg.apply(b) if a is None else a - b


def of_mul(op: Op, inputs: Any, tangents: Any, y: Any) -> Any:
    """Dy = da b + a db"""
    a, b = tangents
    return total(
        None if a is None else Mul.apply(a, op.saved(1)),
        None if b is None else Mul.apply(op.saved(0), b),
    )


def of_div(op: Op, inputs: Any, tangents: Any, y: Any) -> Any:
    """Dy = da / b - (a / b) (db / b)"""
    a, b = tangents
    divisor = op.saved(1)
    return total(
        None if a is None else a / divisor,
        None if b is None else -(op.saved(0) / divisor) * (b / divisor),
    )


def of_matmul(op: Op, inputs: Any, tangents: Any, y: Any) -> Any:
    """Dy = da @ b + a @ db"""
    a, b = tangents
    return total(
        None if a is None else MatMul.apply(a, op.saved(1)),
        None if b is None else MatMul.apply(op.saved(0), b),
    )


def of_linear(op: Op, inputs: Any, tangents: Any, y: Any) -> Any:
    """Dy = dx W^T + x dW^T + db"""
    x, weight, bias = tangents
    found = bias
    if x is not None:
        found = total(found, matmul(x, swapped(op.saved(1))))
    if weight is not None:
        found = total(found, matmul(op.saved(0), swapped(weight)))
    return found


def of_linear_parts(op: Op, inputs: Any, tangents: Any, y: Any) -> Any:
    """The op of the tangents, zeros for those that are none."""
    parts = [zeros_like(t) if g is None else g for t, g in zip(inputs, tangents, strict=True)]
    return type(op).apply(*parts, **op.meta)


RULES: dict[Any, Callable[..., Any]] = {
    Add: of_add,
    Sub: of_sub,
    Mul: of_mul,
    Div: of_div,
    MatMul: of_matmul,
    Linear: of_linear,
    Cat: of_linear_parts,
    IndexSet: of_linear_parts,
    Stack: of_linear_parts,
}


def by_user(op: FunctionNode, inputs: Any, tangents: Any) -> Sequence[Any]:
    """Push through a Function that states its jvp."""
    by_place = dict(zip(op.wanted, tangents, strict=True))
    given = [by_place.get(i) for i in range(op.count)]
    if op.ctx._materialize:
        tensors = dict(zip(op.wanted, inputs, strict=True))
        given = [
            zeros_like(tensors[i]) if g is None and i in tensors else g for i, g in enumerate(given)
        ]
    found = op.function.jvp(op.ctx, *given)
    return found if isinstance(found, tuple) else (found,)


def dummy(y: Any) -> Any:
    """Return a leaf like a result, for a gradient that stands for any."""
    t = within(full_like(y.detach(), 0.5), y)
    return new(t.array).requires_grad_()


def transposed(
    op: Op, inputs: Sequence[Any], tangents: Sequence[Any], outputs: Sequence[Any]
) -> Sequence[Any]:
    """Push through any op: its rule takes a gradient of the outputs linearly to the inputs, so the
    gradient of that, at the tangents, is what is asked for.
    """
    keep = mode.recording
    mode.recording = mode.level(True)
    try:
        dummies = [dummy(y) if y.tracked else None for y in outputs]
        parts = backward.apply_rule(op, dummies if op.slots is not None else dummies[0], True)
        roots, seeds = [], []
        for edge, part, tangent in zip(op.edges or (), parts, tangents, strict=True):
            if edge is not None and part is not None and tangent is not None and part.tracked:
                roots.append(fitted(op, edge, part))
                seeds.append(tangent)
        wanted = [d for d in dummies if d is not None]
        mode.recording = keep
        found = sweep(roots, seeds, bool(keep), bool(keep), edges_of(wanted)) if roots else {}
    finally:
        mode.recording = keep
    return [None if d is None or id(d) not in found else found[id(d)][1] for d in dummies]
