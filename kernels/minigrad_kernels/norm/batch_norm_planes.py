"""Batch normalisation of x: (N, C, S), one channel a task: see `norm/batch_norm.py`."""

from __future__ import annotations

import numpy as np
from numba import prange

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.math.moments import SEGMENT, merge, moments_at, products_at
from minigrad_kernels.norm.batch_norm_rows import coefficients, gradient_coefficients
from minigrad_kernels.simd.lanes import fma, load, splat, store, width
from minigrad_kernels.simd.registers import VECTOR_BYTES, address, prefetch


@jit()
def plane(x, n, channel):
    """Return the address of x[n, channel]."""
    return address(x) + (n * x.shape[1] + channel) * x.shape[2] * (VECTOR_BYTES // width(x))


@jit()
def plane_moments(x, channel, mean, var):
    """Write a channel's mean and biased variance over all its planes."""
    centre = 0.0
    spread = 0.0
    seen = 0
    size = x.shape[2]
    for n in range(len(x)):
        m, q = moments_at(x, plane(x, n, channel), size)
        centre, spread = merge(centre, spread, seen, m, q, size)
        seen += size
    mean[channel] = centre
    var[channel] = spread / seen


@jit(inline="always")
def normalise_step(x, at, out, m, a, b, count):
    """Write (x - m) * a + b for one register."""
    store(fma(load(x, at, count) - m, a, b), x, out, count, False)


@jit()
def normalise_plane(x, at, out, size, ahead, mean, scale, offset):
    """Write (x - mean) * scale + offset, with the lines `ahead` bytes further on their way."""
    m = splat(mean)
    a = splat(scale)
    b = splat(offset)
    lanes = width(x)
    for _ in range(size // lanes):
        prefetch(at + ahead, 0)
        prefetch(out + ahead, 1)
        normalise_step(x, at, out, m, a, b, lanes)
        at += VECTOR_BYTES
        out += VECTOR_BYTES
    if size % lanes:
        normalise_step(x, at, out, m, a, b, size % lanes)


@jit()
def normalise_planes(x, mean, scale, offset, channel, y):
    """Write a channel's y = (x - mean) * scale + offset."""
    m = mean[channel]
    a = scale[channel]
    b = offset[channel]
    ahead = plane(x, 1, channel) - plane(x, 0, channel)
    for n in range(len(x)):
        out = plane(y, n, channel)
        normalise_plane(x, plane(x, n, channel), out, x.shape[2], ahead, m, a, b)


def planes_forward(x, weight, bias, eps, mean, var, rstd, y):
    """Write mean, var, rstd and y of x: (N, C, S), a channel a task."""
    for channel in prange(mean.size):
        plane_moments(x, channel, mean, var)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for channel in prange(mean.size):
        normalise_planes(x, mean, scale, offset, channel, y)


def planes_eval(x, weight, bias, mean, var, eps, y):
    """Write y of x: (N, C, S) from given statistics, a channel a task."""
    rstd = np.empty(mean.size, x.dtype)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for channel in prange(mean.size):
        normalise_planes(x, mean, scale, offset, channel, y)


@jit()
def plane_gradients(dy, x, mean, channel, sums, products):
    """Write a channel's sums of dy and of dy * (x - mean) over all its planes."""
    total = 0.0
    product = 0.0
    size = x.shape[2]
    for n in range(len(x)):
        dy_at = plane(dy, n, channel)
        x_at = plane(x, n, channel)
        for first in range(0, size, SEGMENT):
            skip = first * (VECTOR_BYTES // width(x))
            count = min(SEGMENT, size - first)
            s, p = products_at(x, dy_at + skip, x_at + skip, count, mean[channel])
            total += s
            product += p
    sums[channel] = total
    products[channel] = product


@jit(inline="always")
def gradient_step(x, dy_at, x_at, out, m, a, s, k, count):
    """Write a * (dy - s - (x - m) * k) for one register."""
    d = load(x, x_at, count) - m
    store(a * (load(x, dy_at, count) - s - d * k), x, out, count, False)


@jit()
def gradient_plane(x, dy_at, x_at, out, size, ahead, mean, scale, shift, slope):
    """Write scale * (dy - shift - (x - mean) * slope)."""
    m = splat(mean)
    a = splat(scale)
    s = splat(shift)
    k = splat(slope)
    lanes = width(x)
    for _ in range(size // lanes):
        prefetch(dy_at + ahead, 0)
        prefetch(x_at + ahead, 0)
        prefetch(out + ahead, 1)
        gradient_step(x, dy_at, x_at, out, m, a, s, k, lanes)
        dy_at += VECTOR_BYTES
        x_at += VECTOR_BYTES
        out += VECTOR_BYTES
    if size % lanes:
        gradient_step(x, dy_at, x_at, out, m, a, s, k, size % lanes)


@jit()
def gradient_planes(dy, x, mean, scale, shift, slope, channel, dx):
    """Write a channel's dx = scale * (dy - shift - (x - mean) * slope)."""
    m = mean[channel]
    a = scale[channel]
    s = shift[channel]
    k = slope[channel]
    ahead = plane(x, 1, channel) - plane(x, 0, channel)
    for n in range(len(x)):
        dy_at = plane(dy, n, channel)
        x_at = plane(x, n, channel)
        gradient_plane(x, dy_at, x_at, plane(dx, n, channel), x.shape[2], ahead, m, a, s, k)


def planes_backward(dy, x, count, weight, mean, rstd, dx, dw, db):
    """Write dx, dw and db of x: (N, C, S), a channel a task; count: elements a channel, or inf."""
    sums = np.empty(mean.size, np.float64)
    products = np.empty(mean.size, np.float64)
    for channel in prange(mean.size):
        plane_gradients(dy, x, mean, channel, sums, products)
    scale = np.empty(mean.size, x.dtype)
    shift = np.empty(mean.size, x.dtype)
    slope = np.empty(mean.size, x.dtype)
    gradient_coefficients(sums, products, count, weight, rstd, dw, db, scale, shift, slope)
    for channel in prange(mean.size):
        gradient_planes(dy, x, mean, scale, shift, slope, channel, dx)
