"""Batch normalisation of x: (N, C, S), one channel a task: see `batch_norm.py`."""

from __future__ import annotations

import numpy as np
from numba import prange

from minigrad_kernels.batch_norm_rows import coefficients, merge_gradients
from minigrad_kernels.launch import jit
from minigrad_kernels.moments import SEGMENT, centred_sums, merge, moments


@jit()
def plane_moments(x, channel, mean, var):
    centre = 0.0
    spread = 0.0
    seen = 0
    for n in range(len(x)):
        plane = x[n, channel]
        m, q = moments(plane)
        centre, spread = merge(centre, spread, seen, m, q, plane.size)
        seen += plane.size
    mean[channel] = centre
    var[channel] = spread / seen


@jit(fastmath={"contract"})
def normalise_planes(x, mean, scale, offset, channel, y):
    m = mean[channel]
    a = scale[channel]
    b = offset[channel]
    for n in range(len(x)):
        plane = x[n, channel]
        out = y[n, channel]
        for i in range(plane.size):
            out[i] = (plane[i] - m) * a + b


def planes_forward(x, weight, bias, eps, mean, var, rstd, y):
    for channel in prange(mean.size):
        plane_moments(x, channel, mean, var)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for channel in prange(mean.size):
        normalise_planes(x, mean, scale, offset, channel, y)


def planes_eval(x, weight, bias, mean, var, eps, y):
    rstd = np.empty(mean.size, x.dtype)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for channel in prange(mean.size):
        normalise_planes(x, mean, scale, offset, channel, y)


@jit()
def plane_gradients(dy, x, mean, channel, sums, products):
    total = 0.0
    product = 0.0
    for n in range(len(x)):
        plane = x[n, channel]
        g = dy[n, channel]
        for first in range(0, plane.size, SEGMENT):
            last = min(plane.size, first + SEGMENT)
            s, p = centred_sums(g[first:last], plane[first:last], mean[channel])
            total += s
            product += p
    sums[channel] = total
    products[channel] = product


@jit(fastmath={"contract"})
def gradient_planes(dy, x, mean, scale, shift, slope, channel, dx):
    m = mean[channel]
    a = scale[channel]
    s = shift[channel]
    k = slope[channel]
    for n in range(len(x)):
        plane = x[n, channel]
        g = dy[n, channel]
        out = dx[n, channel]
        for i in range(plane.size):
            out[i] = a * (g[i] - s - (plane[i] - m) * k)


def planes_backward(dy, x, count, weight, mean, rstd, dx, dw, db):
    sums = np.empty((1, mean.size), np.float64)
    products = np.empty((1, mean.size), np.float64)
    for channel in prange(mean.size):
        plane_gradients(dy, x, mean, channel, sums[0], products[0])
    scale = np.empty(mean.size, x.dtype)
    shift = np.empty(mean.size, x.dtype)
    slope = np.empty(mean.size, x.dtype)
    merge_gradients(sums, products, count, weight, rstd, dw, db, scale, shift, slope)
    for channel in prange(mean.size):
        gradient_planes(dy, x, mean, scale, shift, slope, channel, dx)
