"""RMSprop, Adagrad, NAdam and RAdam over all parameters at once; g, decay and t are as in
optim/adam.py.

    rmsprop  v = alpha v + (1 - alpha) g^2;  s = sqrt(v)
             centered  a = a + (1 - alpha)(g - a);  s = sqrt(v - a^2)
             u = g / (s + eps);  momentum  b = momentum b + u;  u = b;  p = p - lr u
    adagrad  s = s + g^2;  p = p - lr / (1 + (t - 1) lr_decay)  g / (sqrt(s) + eps)
    nadam    m, v as Adam;  mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2);  q = q mu_t
             u = (1 - mu_t) / (1 - q) g + mu_(t+1) / (1 - q mu_(t+1)) m
             p = p - lr u / (sqrt(v / (1 - beta2^t)) + eps)
    radam    m, v as Adam;  r_inf = 2 / (1 - beta2) - 1
             r = r_inf - 2 t beta2^t / (1 - beta2^t);  u = 1, or for r > 5
             u = sqrt((1 - beta2^t)(r - 4)(r - 2) r_inf / ((r_inf - 4)(r_inf - 2) r))
                 / (sqrt(v) + eps)
             p = p - lr / (1 - beta1^t) m u

Shapes: a row of the table is p, g and the state in the order of the formulas, each (n,); nadam's
last address leads to its q: (1,) float64.  hyper: (groups, 8), columns as named below.
Source: Tieleman and Hinton 2012, lecture 6.5; Graves 2013, eq. 38 (centered; eps outside of the
root as in PyTorch); Duchi et al. 2011, figure 1; Dozat 2016, Algorithm 2, mu of its section 3.1;
Liu et al. 2020, Algorithm 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import STATE, callee, memory, stepped
from minigrad_kernels.optim.multi_tensor import decayed, lift, prepare_decay, row_of
from minigrad_kernels.simd.registers import address_array

Array = np.ndarray[Any, Any]

# One order of columns for the four, so that they share their first lines.
LR, WEIGHT_DECAY, DECOUPLED, MAXIMIZE, EPS, FIRST, SECOND, THIRD = range(8)
ALPHA, MOMENTUM, CENTERED = FIRST, SECOND, THIRD  # rmsprop
LR_DECAY = FIRST  # adagrad
BETA1, BETA2, MOMENTUM_DECAY = FIRST, SECOND, THIRD  # nadam, radam


# ---------------------------------------------------------------- references
def decayed_reference(p: Array, g: Array, h: Array) -> tuple[Any, Any]:
    """Return weight and gradient in float64 after sign and decay."""
    weight, grad = np.float64(p), np.float64(g)
    grad = -grad if h[MAXIMIZE] else grad
    if h[DECOUPLED]:
        return weight * (1 - h[LR] * h[WEIGHT_DECAY]), grad
    return weight, grad + h[WEIGHT_DECAY] * weight if h[WEIGHT_DECAY] else grad


def moments_reference(m: Array, v: Array, grad: Array, h: Array) -> tuple[Any, Any]:
    first = h[BETA1] * np.float64(m) + (1 - h[BETA1]) * grad
    second = h[BETA2] * np.float64(v) + (1 - h[BETA2]) * grad**2
    m[...] = first
    v[...] = second
    return first, second


def rmsprop_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    for (p, g, v, *rest), h, _ in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h)
        second = h[ALPHA] * np.float64(v) + (1 - h[ALPHA]) * grad**2
        v[...] = second
        if h[CENTERED]:
            mean = h[ALPHA] * np.float64(rest[0]) + (1 - h[ALPHA]) * grad
            rest[0][...] = mean
            second = second - mean**2
        update = grad / (np.sqrt(second) + h[EPS])
        if h[MOMENTUM]:
            update = h[MOMENTUM] * np.float64(rest[-1]) + update
            rest[-1][...] = update
        p[...] = weight - h[LR] * update


def adagrad_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    for (p, g, s), h, t in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h)
        second = np.float64(s) + grad**2
        s[...] = second
        p[...] = weight - h[LR] / (1 + (t - 1) * h[LR_DECAY]) * grad / (np.sqrt(second) + h[EPS])


def nadam_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    products = [memory(row[STATE + 2], 1, np.float64) for row in table]
    for q, (arrays, h, t) in zip(
        products, stepped(table[:, : STATE + 2], hyper, like, steps), strict=True
    ):
        p, g, m, v = arrays
        weight, grad = decayed_reference(p, g, h)
        first, second = moments_reference(m, v, grad, h)
        mu = h[BETA1] * (1 - 0.5 * 0.96 ** (t * h[MOMENTUM_DECAY]))
        mu_next = h[BETA1] * (1 - 0.5 * 0.96 ** ((t + 1) * h[MOMENTUM_DECAY]))
        q[0] *= mu
        update = (1 - mu) * grad / (1 - q[0]) + mu_next * first / (1 - q[0] * mu_next)
        p[...] = weight - h[LR] * update / (np.sqrt(second / (1 - h[BETA2] ** t)) + h[EPS])


def radam_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    for (p, g, m, v), h, t in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h)
        first, second = moments_reference(m, v, grad, h)
        correction = 1 - h[BETA2] ** t
        limit = 2 / (1 - h[BETA2]) - 1
        r = limit - 2 * t * h[BETA2] ** t / correction
        update = first / (1 - h[BETA1] ** t)
        if r > 5:
            rectified = (r - 4) * (r - 2) * limit / ((limit - 4) * (limit - 2) * r)
            update = update * np.sqrt(rectified * correction) / (np.sqrt(second) + h[EPS])
        p[...] = weight - h[LR] * update


# ---------------------------------------------------------------- rmsprop
@callee()
def rmsprop_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    prepare_decay(h[LR], h[WEIGHT_DECAY], h[DECOUPLED], h[MAXIMIZE], c)
    c[3] = h[ALPHA]
    c[4] = 1.0 - h[ALPHA]
    c[5] = h[EPS]
    c[6] = h[MOMENTUM]
    c[7] = h[LR]


@callee()
def rmsprop_rule(c: Any, p: float, g: float, v: float) -> tuple[float, float]:
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    return p - c[7] * g / (math.sqrt(v) + c[5]), v


@callee()
def rmsprop_momentum_rule(
    c: Any, p: float, g: float, v: float, b: float
) -> tuple[float, float, float]:
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    b = c[6] * b + g / (math.sqrt(v) + c[5])
    return p - c[7] * b, v, b


@callee()
def rmsprop_centered_rule(
    c: Any, p: float, g: float, v: float, a: float
) -> tuple[float, float, float]:
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    a = a + c[4] * (g - a)
    return p - c[7] * g / (math.sqrt(v - a * a) + c[5]), v, a


@callee()
def rmsprop_centered_momentum_rule(
    c: Any, p: float, g: float, v: float, a: float, b: float
) -> tuple[float, float, float, float]:
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    a = a + c[4] * (g - a)
    b = c[6] * b + g / (math.sqrt(v - a * a) + c[5])
    return p - c[7] * b, v, a, b


# ---------------------------------------------------------------- adagrad
@callee()
def adagrad_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    prepare_decay(h[LR], h[WEIGHT_DECAY], h[DECOUPLED], h[MAXIMIZE], c)
    c[3] = h[LR] / (1.0 + np.float64(t - 1) * h[LR_DECAY])
    c[4] = h[EPS]


@callee()
def adagrad_rule(c: Any, p: float, g: float, s: float) -> tuple[float, float]:
    p, g = decayed(c, p, g)
    s = s + g * g
    return p - c[3] * g / (math.sqrt(s) + c[4]), s


# ---------------------------------------------------------------- nadam
@callee()
def prepare_moments(h: Array, c: Array) -> None:
    """Set c[3] to c[5] to what both moments need."""
    c[3] = 1.0 - h[BETA1]
    c[4] = h[BETA2]
    c[5] = 1.0 - h[BETA2]


@callee()
def nadam_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    prepare_decay(h[LR], h[WEIGHT_DECAY], h[DECOUPLED], h[MAXIMIZE], c)
    prepare_moments(h, c)
    product = address_array(row[STATE + 2], 1, np.float64)
    mu = h[BETA1] * (1.0 - 0.5 * 0.96 ** (np.float64(t) * h[MOMENTUM_DECAY]))
    mu_next = h[BETA1] * (1.0 - 0.5 * 0.96 ** (np.float64(t + 1) * h[MOMENTUM_DECAY]))
    product[0] *= mu
    c[6] = h[LR] * (1.0 - mu) / (1.0 - product[0])
    c[7] = h[LR] * mu_next / (1.0 - product[0] * mu_next)
    c[8] = 1.0 / math.sqrt(1.0 - h[BETA2] ** np.float64(t))
    c[9] = h[EPS]


@callee()
def nadam_rule(c: Any, p: float, g: float, m: float, v: float) -> tuple[float, float, float]:
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    v = c[4] * v + c[5] * g * g
    return p - (c[6] * g + c[7] * m) / (math.sqrt(v) * c[8] + c[9]), m, v


# ---------------------------------------------------------------- radam
@callee()
def radam_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    prepare_decay(h[LR], h[WEIGHT_DECAY], h[DECOUPLED], h[MAXIMIZE], c)
    prepare_moments(h, c)
    decay = h[BETA2] ** np.float64(t)
    limit = 2.0 / (1.0 - h[BETA2]) - 1.0
    r = limit - 2.0 * np.float64(t) * decay / (1.0 - decay)
    c[6] = h[LR] / (1.0 - h[BETA1] ** np.float64(t))
    c[7] = 0.0  # too few steps for the variance to be trusted
    if r > 5.0:
        rectified = (r - 4.0) * (r - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * r)
        c[7] = c[6] * math.sqrt(rectified * (1.0 - decay))
    c[8] = h[EPS]


@callee()
def radam_rule(c: Any, p: float, g: float, m: float, v: float) -> tuple[float, float, float]:
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    v = c[4] * v + c[5] * g * g
    if c[7] != 0:
        update = c[7] * m / (math.sqrt(v) + c[8])
    else:
        update = c[6] * m
    return p - update, m, v


KERNELS = {
    "rmsprop_step": row_of(
        rmsprop_reference, lift(rmsprop_rule, rmsprop_prepare, 1, "rmsprop"), 9, 1
    ),
    "rmsprop_momentum_step": row_of(
        rmsprop_reference,
        lift(rmsprop_momentum_rule, rmsprop_prepare, 2, "rmsprop_momentum"),
        11,
        2,
    ),
    "rmsprop_centered_step": row_of(
        rmsprop_reference,
        lift(rmsprop_centered_rule, rmsprop_prepare, 2, "rmsprop_centered"),
        14,
        2,
    ),
    "rmsprop_centered_momentum_step": row_of(
        rmsprop_reference,
        lift(rmsprop_centered_momentum_rule, rmsprop_prepare, 3, "rmsprop_centered_momentum"),
        16,
        3,
    ),
    "adagrad_step": row_of(
        adagrad_reference, lift(adagrad_rule, adagrad_prepare, 1, "adagrad"), 7, 1
    ),
    "nadam_step": row_of(nadam_reference, lift(nadam_rule, nadam_prepare, 2, "nadam"), 16, 2),
    "radam_step": row_of(radam_reference, lift(radam_rule, radam_prepare, 2, "radam"), 14, 2),
}
