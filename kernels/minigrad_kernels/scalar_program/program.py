"""A flat tape of numbers: computed forwards, differentiated backwards, each in one loop.

Node i holds value[i] = f(value[left[i]], value[right[i]]), f by code[i]; left and right come before
i.  A LEAF's value is given; ALIAS passes the gradient of a replaced value on to what it replaced.

    scalar_forward:  values of all nodes but leaves and aliases, in rising order
    scalar_backward: gradients of sum_i seed[i] value[i] in falling order; `grads` holds the seeds
                     and `reached` a 1 beside each, all else 0; both are completed in place

What no seed reaches is never touched, so that an infinite slope elsewhere brings no NaN.

Shapes: codes: (n,) int8; left, right: (n,) int32; values, grads: (n,) float64; reached: (n,) uint8.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
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

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- references
def scalar_forward_reference(codes: Array, left: Array, right: Array, values: Array) -> None:
    """Compute the values: (n,) of all nodes in order; leaves keep theirs."""
    functions: dict[int, Callable[..., Any]] = {
        ADD: np.add,
        SUB: np.subtract,
        MUL: np.multiply,
        DIV: np.divide,
        NEG: lambda a, b: -a,
        POW: np.power,
        FIXED_POW: np.power,
        RELU: lambda a, b: a if a > 0 or a != a else 0.0,
        EXP: lambda a, b: np.exp(a),
        LOG: lambda a, b: np.log(a),
        TANH: lambda a, b: np.tanh(a),
        SIGMOID: lambda a, b: 1 / (1 + np.exp(-a)),
    }
    with np.errstate(all="ignore"):
        for i, code in enumerate(codes):
            if code not in (LEAF, ALIAS):
                values[i] = functions[code](values[left[i]], values[right[i]])


def slopes(code: int, a: Any, b: Any, y: Any) -> tuple[Any, Any]:
    """Return the derivatives of a node's value in its operands a and b, given its value y."""
    if code in (POW, FIXED_POW):
        by_a = np.float64(0.0) if b == 0 else b * np.power(a, b - 1)
        if code == FIXED_POW:
            return by_a, np.float64(0.0)  # a constant, but one that the value rests on
        return by_a, np.float64(0.0) if a == 0 and b > 0 else y * np.log(a)
    one = np.float64(1.0)
    return {
        ALIAS: (one, None),
        ADD: (one, one),
        SUB: (one, -one),
        MUL: (b, a),
        DIV: (1 / b, -y / b),
        NEG: (-one, None),
        RELU: (one * (y > 0), None),
        EXP: (y, None),
        LOG: (1 / a, None),
        TANH: (1 - y * y, None),
        SIGMOID: (y * (1 - y), None),
    }[code]


def scalar_backward_reference(
    codes: Array, left: Array, right: Array, values: Array, reached: Array, grads: Array
) -> None:
    """Add the gradients: (n,) of all nodes that are reached, in falling order."""
    with np.errstate(all="ignore"):
        for i in reversed(range(codes.size)):
            if not reached[i] or codes[i] == LEAF:
                continue
            a, b = values[left[i]], values[right[i]]
            operands = zip((left[i], right[i]), slopes(int(codes[i]), a, b, values[i]), strict=True)
            for operand, slope in operands:
                if slope is not None:
                    reached[operand] = 1
                    grads[operand] += grads[i] * slope


# ---------------------------------------------------------------- CPU
@jit()
def scalar_forward_cpu(codes, left, right, values):
    """Compute the values: (n,) of all nodes in order; leaves keep theirs."""
    for i in range(codes.size):
        code = codes[i]
        if code <= ALIAS:
            continue
        a = values[left[i]]
        b = values[right[i]]
        if code == MUL:
            y = a * b
        elif code == ADD:
            y = a + b
        elif code == RELU:
            y = 0.0 if a <= 0.0 else a
        elif code == SUB:
            y = a - b
        elif code == DIV:
            y = a / b
        elif code == NEG:
            y = -a
        elif code == POW or code == FIXED_POW:
            y = a**b
        elif code == EXP:
            y = math.exp(a)
        elif code == LOG:
            y = math.log(a)
        elif code == TANH:
            y = math.tanh(a)
        else:
            y = 1.0 / (1.0 + math.exp(-a))
        values[i] = y


@jit()
def scalar_backward_cpu(codes, left, right, values, reached, grads):
    """Add the gradients: (n,) of all nodes that are reached, in falling order."""
    for i in range(codes.size - 1, -1, -1):
        code = codes[i]
        if not reached[i] or code == LEAF:
            continue
        j = left[i]
        k = right[i]
        g = grads[i]
        reached[j] = 1
        if code == MUL:
            reached[k] = 1
            grads[j] += g * values[k]
            grads[k] += g * values[j]
        elif code == ADD:
            reached[k] = 1
            grads[j] += g
            grads[k] += g
        elif code == RELU:
            grads[j] += g if values[i] > 0.0 else g * 0.0
        elif code == SUB:
            reached[k] = 1
            grads[j] += g
            grads[k] -= g
        elif code == DIV:
            reached[k] = 1
            grads[j] += g / values[k]
            grads[k] -= g * values[i] / values[k]
        elif code == ALIAS:
            grads[j] += g
        elif code == NEG:
            grads[j] -= g
        elif code == FIXED_POW or code == POW:
            a = values[j]
            b = values[k]
            if b != 0.0:
                grads[j] += g * (b * a ** (b - 1.0))
            reached[k] = 1
            if code == POW and (a != 0.0 or b <= 0.0):
                grads[k] += g * (values[i] * math.log(a))
        elif code == EXP:
            grads[j] += g * values[i]
        elif code == LOG:
            grads[j] += g / values[j]
        elif code == TANH:
            grads[j] += g * (1.0 - values[i] * values[i])
        else:
            grads[j] += g * (values[i] * (1.0 - values[i]))


# ---------------------------------------------------------------- cost and rows
def scalar_forward_cost(codes: Array, left: Array, right: Array, values: Array) -> tuple[int, int]:
    """Return the operations and the bytes of `scalar_forward`."""
    return codes.size, codes.nbytes + left.nbytes + right.nbytes + 3 * values.nbytes


def scalar_backward_cost(
    codes: Array, left: Array, right: Array, values: Array, reached: Array, grads: Array
) -> tuple[int, int]:
    """Return the operations and the bytes of `scalar_backward`."""
    flops, traffic = scalar_forward_cost(codes, left, right, values)
    return 4 * flops, traffic + 3 * (reached.nbytes + grads.nbytes)


KERNELS = {
    "scalar_forward": Kernel(
        scalar_forward_reference, scalar_forward_cpu, scalar_forward_cost, out=(), inout=("values",)
    ),
    "scalar_backward": Kernel(
        scalar_backward_reference,
        scalar_backward_cpu,
        scalar_backward_cost,
        out=(),
        inout=("reached", "grads"),
    ),
}
