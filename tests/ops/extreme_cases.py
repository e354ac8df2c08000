"""Functions of one number at the ends of their range: the grid, the bounds, how each is spelled.

BOUNDS states for every function how far value and gradient may be from the exact ones at the given
number: |got - exact| <= ulps eps (|exact| + floor).  Floor 0 is a bound on the relative error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SIZES = (
    *(1e-45, 1e-40, 1.2e-38, 1e-37, 1e-30, 1e-20, 1e-10, 1e-7, 1e-4, 0.01, 0.1, 0.3, 0.54, 0.56),
    *(0.7, 0.99, 1.0, 1.01, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0, 12.0, 13.0, 14.4, 15.0),
    *(17.0, 19.9, 20.5, 30.0, 37.0, 50.0, 80.0, 87.0, 88.0, 89.0, 95.0, 103.0, 104.0, 120.0, 200.0),
    *(700.0, 709.0, 712.0, 744.0, 746.0, 1e3, 1e4, 1e6, 1e10, 1e19, 1e20, 1e30, 1e38, 3e38),
)
MORE = (5e-324, 1e-310, 1e-300, 1e-200, 1e-160, 1e-100, 1e100, 1e150, 1e160, 1e200, 1e300, 1.7e308)
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan)


def grid(dtype: Any) -> Array:
    """Return the numbers of a dtype at which the functions are tried, of both signs."""
    sizes = SIZES if dtype == np.float32 else SIZES + MORE
    return np.array([*sizes, *(-x for x in sizes), *SPECIAL]).astype(dtype)


# name: the call as text, for minigrad and torch alike, given x, lib and F
CALLS = {
    "exp": "x.exp()",
    "expm1": "x.expm1()",
    "log": "x.log()",
    "log1p": "x.log1p()",
    "sqrt": "x.sqrt()",
    "rsqrt": "x.rsqrt()",
    "reciprocal": "x.reciprocal()",
    "square": "x.square()",
    "cube": "x ** 3",
    "root": "x ** 0.5",
    "abs": "x.abs()",
    "tanh": "x.tanh()",
    "sigmoid": "x.sigmoid()",
    "erf": "x.erf()",
    "relu": "F.relu(x)",
    "leaky_relu": "F.leaky_relu(x, 0.25)",
    "elu": "F.elu(x)",
    "hardtanh": "F.hardtanh(x)",
    "softplus": "F.softplus(x)",
    "silu": "F.silu(x)",
    "gelu": "F.gelu(x)",
    "gelu_tanh": "F.gelu(x, approximate='tanh')",
    "logsigmoid": "F.logsigmoid(x)",
    "bce_0": "F.binary_cross_entropy_with_logits(x, lib.zeros_like(x), reduction='none')",
    "bce_1": "F.binary_cross_entropy_with_logits(x, lib.ones_like(x), reduction='none')",
    "bce_half": "F.binary_cross_entropy_with_logits(x, 0.5 * lib.ones_like(x), reduction='none')",
    "bce_positive": "F.binary_cross_entropy_with_logits(x, lib.ones_like(x), reduction='none', "
    "pos_weight=lib.tensor(3.0, dtype=x.dtype))",
    "mse": "F.mse_loss(x, lib.zeros_like(x), reduction='none')",
    "l1": "F.l1_loss(x, lib.zeros_like(x), reduction='none')",
    "huber": "F.huber_loss(x, lib.zeros_like(x), reduction='none')",
    "smooth_l1": "F.smooth_l1_loss(x, lib.zeros_like(x), reduction='none')",
    "divided": "1e-20 / x",
}
# name: (ulps of the value, its floor, ulps of the gradient, its floor)
BOUNDS = {
    **dict.fromkeys(("exp", "log", "log1p", "relu", "hardtanh", "leaky_relu"), (4, 0, 5, 0)),
    **dict.fromkeys(("expm1", "elu", "sqrt", "abs", "l1", "mse", "huber"), (5, 0, 6, 0)),
    **dict.fromkeys(("smooth_l1", "square", "softplus", "logsigmoid"), (5, 0, 6, 0)),
    **dict.fromkeys(("rsqrt", "reciprocal", "divided", "cube", "root"), (5, 0, 8, 0)),
    **dict.fromkeys(("bce_0", "bce_1", "bce_positive"), (6, 0, 8, 0)),
    "bce_half": (6, 0, 8, 0.5),  # s(x) - 1/2 is 0 at 0
    **dict.fromkeys(("tanh", "sigmoid"), (5, 0, 6, 1)),  # of the rounded y: see their docstrings
    "erf": (4, 0, 100, 0),  # exp(-a^2) of a rounded a^2, as large as 100
    # x times a factor that vanishes: exact beside numbers of size 1
    **dict.fromkeys(("silu", "gelu", "gelu_tanh"), (6, 1, 12, 1)),
}


def evaluate(lib: Any, F: Any, name: str, x: Array) -> tuple[Array, Array]:
    """Return a function's values and gradients at x, by minigrad or torch."""
    t = lib.tensor(x.tolist(), dtype=getattr(lib, x.dtype.name), requires_grad=True)
    y = eval(CALLS[name], {"x": t, "lib": lib, "F": F})  # the text above
    y.backward(lib.ones_like(y))
    return y.detach().numpy().copy(), t.grad.numpy().copy()


def kind(values: Array) -> Array:
    """Return 0 for a number, 1 and 2 for the infinities, 3 for NaN."""
    return np.where(
        np.isnan(values), 3, np.where(values == np.inf, 1, np.where(values == -np.inf, 2, 0))
    ).astype(np.int8)
