"""Arguments of any size for every kernel of the table: what `compare` computes and times.

>>> import numpy as np
>>> from minigrad_kernels.compare.examples import EXAMPLES
>>> example = EXAMPLES["softmax"]
>>> example.shape, example.sizes((4096,)), example.sizes((3, 5))
('NxC', (64, 64), (3, 5))
>>> x, y = example.make(np.random.default_rng(0), np.dtype(np.float32), 3, 5)
>>> x.shape, y.dtype
((3, 5), dtype('float32'))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad_kernels.compare.examples_base import Example, Rng, normal, positive, unwritten
from minigrad_kernels.compare.examples_layers import DRAW, IMAGES, NORMS, ROWS
from minigrad_kernels.jit.arguments import Rows
from minigrad_kernels.scalar_program.opcodes import BINARY, LEAF, MUL, TANH

# ---------------------------------------------------------------- elementwise
TESTS = frozenset({"isnan", "isfinite", "logical_not"})
COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or"})
BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift")
UNARY = TESTS | {
    *("neg", "abs", "sign", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "erf"),
    *("reciprocal", "square", "floor", "copy"),
}
POSITIVE = frozenset({"log", "log1p", "sqrt"})
BINARIES = (
    *("add", "sub", "mul", "div", "pow", "maximum", "minimum", "floor_divide", "remainder"),
    *("square_backward", *COMPARISONS, *BITWISE),
)
ACTIVATIONS = (
    *("tanh", "sigmoid", "relu", "leaky_relu", "elu", "clamp", "softplus", "logsigmoid"),
    *("silu", "gelu", "gelu_tanh"),
)
NUMBERS: dict[str, tuple[float, ...]] = {  # scalar arguments
    **dict.fromkeys(("leaky_relu", "leaky_relu_backward"), (0.25, 0.0)),
    **dict.fromkeys(("elu", "elu_backward"), (1.5, 0.0)),
    **dict.fromkeys(("clamp", "clamp_backward", "hardtanh_backward"), (-1.0, 0.5)),
}
NEAR_ONE = {
    "gelu",
    "gelu_tanh",
    "silu",
    "bce_logits_backward",
    "bce_logits_slope",
} | {  # exact beside numbers of size 1, not in the tails
    f"{name}_backward" for name in ("tanh", "sigmoid", "softplus", "silu", "gelu", "gelu_tanh")
}


def elementwise(name: str, operands: int) -> Example:
    """Return the example of a kernel of one, two or three operands of N elements."""
    draw = positive if name in POSITIVE or name in ("pow", "floor_divide", "remainder") else normal

    def make(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
        if name in BITWISE:
            words = rng.integers(0, 64, (2, n))
            return (*words, unwritten(np.int64, n))
        inputs = [draw(rng, dtype, n) for _ in range(operands)]
        if name == "where":
            inputs[0] = inputs[0] > 0
        if name.startswith("bce_logits"):  # targets and weights: in [0, 1)
            inputs[-1], inputs[1] = rng.random(n).astype(dtype), rng.random(n).astype(dtype)
        y = unwritten(bool if name in TESTS | COMPARISONS else dtype, n)
        return (*inputs, *NUMBERS.get(name, ()), y)

    return Example(make, cancels=name in NEAR_ONE)


ELEMENTWISE = {
    **{name: elementwise(name, 1) for name in (*UNARY, *ACTIVATIONS)},
    **{name: elementwise(name, 2) for name in BINARIES},
    **{f"{name}_backward": elementwise(f"{name}_backward", 2) for name in ACTIVATIONS},
    "hardtanh_backward": elementwise("hardtanh_backward", 2),
    **{name: elementwise(name, 3) for name in ("where", "larger_share")},
    "bce_logits": elementwise("bce_logits", 2),
    **{
        name: elementwise(name, 3)
        for name in ("bce_logits_backward", "bce_logits_weighted", "bce_logits_slope")
    },
}


# ---------------------------------------------------------------- matrix products
def product(*more: str) -> Callable[..., tuple[Any, ...]]:
    """Return what makes a (M, K), b (K, N), and what `more` names."""

    def make(rng: Rng, dtype: Any, m: int, k: int, n: int) -> tuple[Any, ...]:
        known: dict[str, Callable[[], Any]] = {
            "bias": lambda: normal(rng, dtype, n),
            "saved": lambda: normal(rng, dtype, m, n),
            "relu": lambda: "relu",
            "c": lambda: unwritten(dtype, m, n),
            "old": lambda: normal(rng, dtype, m, n),
            "sums": lambda: unwritten(dtype, m),
        }
        made = [known[name]() for name in more]
        return normal(rng, dtype, m, k), normal(rng, dtype, k, n), *made

    return make


def batched(rng: Rng, dtype: Any, b: int, m: int, k: int, n: int) -> tuple[Any, ...]:
    """Return a (B, M, K), b (B, K, N) and c."""
    return normal(rng, dtype, b, m, k), normal(rng, dtype, b, k, n), unwritten(dtype, b, m, n)


PRODUCTS = {
    name: Example(product(*more), "MxKxN", cancels=True)
    for name, more in {
        "gemm": ("c",),
        "gemm_bias": ("bias", "c"),
        "gemm_accumulate": ("old",),
        "gemm_activation": ("bias", "relu", "c"),
        "gemm_activation_saved": ("bias", "relu", "c", "c"),
        "gemm_masked": ("saved", "relu", "c"),
        "gemm_sums": ("c", "sums"),
    }.items()
} | {"bmm": Example(batched, "BxMxKxN", cancels=True)}


# ---------------------------------------------------------------- groups (outer, reduced, inner)
def group_reduction(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x, m of each group, and y."""
    return normal(rng, dtype, o, r, i), normal(rng, dtype, o, i), unwritten(dtype, o, i)


def group_norm(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x and y."""
    return normal(rng, dtype, o, r, i), unwritten(dtype, o, i)


def group_variance(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x, the divisor, 0 for no root, mean and y."""
    x = normal(rng, dtype, o, r, i)
    return x, float(max(r - 1, 1)), 0, unwritten(np.float64, o, i), unwritten(np.float64, o, i)


def group_spread(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return c and m of each group, x, and dx."""
    x, few = normal(rng, dtype, o, r, i), normal(rng, np.float64, o, i)
    return few, positive(rng, np.float64, o, i), x, unwritten(dtype, o, r, i)


def prod_backward(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return dy, y = prod(x), x of numbers about 1, and dx."""
    x = (1 + normal(rng, np.float64, o, r, i) / 200).astype(dtype)
    y = x.astype(np.float64).prod(axis=1).astype(dtype)
    return normal(rng, dtype, o, i), y, x, unwritten(dtype, o, r, i)


def extreme(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x, 1 for the largest, y and its place."""
    x = normal(rng, dtype, o, r, i)
    return x, 1, unwritten(dtype, o, i), unwritten(np.int64, o, i)


def extreme_backward(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return dy, the places, and dx."""
    return normal(rng, dtype, o, i), rng.integers(0, r, (o, i)), unwritten(dtype, o, r, i)


GROUPS = {
    "norm": Example(group_norm, "OxRxI"),
    "variance": Example(group_variance, "OxRxI"),
    "tie_count": Example(group_reduction, "OxRxI"),
    **{
        name: Example(group_spread, "OxRxI", cancels=True)
        for name in ("spread_centred", "spread_unit", "spread_ties", "spread_exp")
    },
    "prod_backward": Example(prod_backward, "OxRxI", cancels=True),
    "extreme": Example(extreme, "OxRxI"),
    "extreme_backward": Example(extreme_backward, "OxRxI"),
}


# ---------------------------------------------------------------- indices, random numbers, tapes
def picked(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return x, N numbers of its elements, and y."""
    return normal(rng, dtype, n), rng.integers(0, n, n), unwritten(dtype, n)


def scattered(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return what is scattered, its places, each of them once, and what is written over."""
    return normal(rng, dtype, n), rng.permutation(n), normal(rng, dtype, n)


def random(dtype: Any = None) -> Callable[..., tuple[Any, ...]]:
    """Return what makes seed, stream, call and y."""

    def make(rng: Rng, asked: Any, n: int) -> tuple[Any, ...]:
        return *DRAW[2:], np.array([5], np.int64), unwritten(dtype or asked, n)

    return make


def dropout(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return x, p, scale, seed, stream, call and y."""
    return normal(rng, dtype, n), *DRAW, np.array([5], np.int64), unwritten(dtype, n)


def tape(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return codes, operands and values of N nodes, every third one given: always float64."""
    codes = rng.choice([MUL, TANH], n).astype(np.int8)
    codes[::3] = LEAF
    below = np.maximum(np.arange(n), 1)
    left = rng.integers(0, below).astype(np.int32)
    right = np.where(np.isin(codes, BINARY), rng.integers(0, below), left).astype(np.int32)
    return codes, left, right, rng.uniform(-1, 1, n)


def tape_backward(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return a tape, what the sweep has reached, and the gradients: 1 of the last node."""
    reached, grads = np.zeros(n, np.uint8), np.zeros(n)
    reached[-1], grads[-1] = 1, 1.0
    return *tape(rng, dtype, n), reached, grads


OTHERS = {
    "take_flat": Example(picked),
    "scatter_add_flat": Example(picked, cancels=True),
    "scatter_flat": Example(scattered),
    "uniform": Example(random(), own_dtype=True),
    "normal": Example(random(), cancels=True, own_dtype=True),
    "random_bits": Example(random(np.uint32)),
    "dropout": Example(dropout),
    "scalar_forward": Example(tape, own_dtype=True),
    "scalar_backward": Example(tape_backward, own_dtype=True),
}


# ---------------------------------------------------------------- optimizers
TENSORS = 8  # that N elements are spread over


def stepped(hyper: Sequence[float], states: int, product: bool = False) -> Example:
    """Return the example of an optimizer: a table of tensors, hyperparameters, like, steps.

    product: a last state of one float64 (NAdam's running product).
    """

    def make(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
        rows = tensors(rng, dtype, n, states, product)
        return rows, np.array([hyper]), np.empty(0, dtype), np.zeros(len(rows.arrays), np.int64)

    return Example(make, cancels=True)


def tensors(rng: Rng, dtype: Any, n: int, states: int, product: bool = False) -> Rows:
    """Return parameters, gradients and zeros for states, N elements in all."""
    rows = []
    for part in np.array_split(np.arange(n), TENSORS):
        zeros = [np.zeros(part.size, dtype) for _ in range(states)]
        last = [np.ones(1)] if product else []
        rows.append([*normal(rng, dtype, 2, part.size), *zeros, *last])
    return Rows(rows)


def clipping(*more: Any) -> Callable[..., tuple[Any, ...]]:
    """Return what makes a table, `more`, and like; "norm" and "out" are arrays of one element."""

    def make(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
        like = np.empty(0, dtype)
        made = {"like": like, "norm": np.array([5.0]), "out": unwritten(np.float64, 1)}
        return tensors(rng, dtype, n, 0), *(made.get(m, m) for m in more)

    return make


ADAM = 1e-3, 0.9, 0.999, 1e-8, 0.01, 1.0, 0.0  # lr, betas, eps, decay, decoupled, maximize
RMSPROP = 1e-2, 0.0, 0.0, 0.0, 1e-8, 0.99  # lr, decay, decoupled, maximize, eps, alpha
MOMENTS = 2e-3, 0.0, 0.0, 0.0, 1e-8, 0.9, 0.999, 4e-3
SGD = 1e-2, 0.9, 0.0, 0.0, 0.0, 0.0
STEPS = {
    "adam_step": stepped(ADAM, 2),
    "amsgrad_step": stepped(ADAM, 3),
    "rmsprop_step": stepped((*RMSPROP, 0.0, 0.0), 1),
    "rmsprop_momentum_step": stepped((*RMSPROP, 0.9, 0.0), 2),
    "rmsprop_centered_step": stepped((*RMSPROP, 0.0, 1.0), 2),
    "rmsprop_centered_momentum_step": stepped((*RMSPROP, 0.9, 1.0), 3),
    "adagrad_step": stepped((1e-2, 0.0, 0.0, 0.0, 1e-10, 0.0, 0.0, 0.0), 1),
    "nadam_step": stepped(MOMENTS, 2, product=True),
    "radam_step": stepped(MOMENTS, 2),
    "sgd_step": stepped(SGD, 0),
    "sgd_momentum_step": stepped(SGD, 1),
    "grad_norm": Example(clipping(2.0, "like", "out"), cancels=True),
    "grad_scale": Example(clipping("norm", 1.0, "like"), cancels=True),
    "grad_clamp": Example(clipping(0.5, "like"), cancels=True),
}

EXAMPLES: dict[str, Example] = {
    **ELEMENTWISE,
    **PRODUCTS,
    **ROWS,
    **NORMS,
    **IMAGES,
    **GROUPS,
    **OTHERS,
    **STEPS,
}
