"""CUDA kernels of layer normalisation.

A row's moments take two passes over it, the second from the cache.  Backward reads a row of dy and
of x from memory once: the pass that writes dx has what a row adds to dw and db, and adds it to sums
of the columns in shared memory, those of a task of rows to a block, of a warp's rows to a warp.
Rows too wide for that (ROOM) are read again, a thread a column of CHUNK of them.  A second launch
adds up the tasks, or chunks, in an order that their number fixes.
"""

from __future__ import annotations

import math
from typing import Any

from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, number, run, scratch
from minigrad_kernels.cuda.rows import (
    HELD,
    WARPS,
    Rows,
    added,
    joining,
    places,
    rows_at_once,
    sizes,
)
from minigrad_kernels.cuda.rows import THREADS as ROW_THREADS

CHUNK = 64  # rows whose sums one thread adds up, or one warp, at most
TASKS = 2_048  # of rows, where each has fewer than CHUNK to a warp
ROOM = 40 * 1_024  # bytes of shared memory for the sums of columns
COLUMNS = 32  # that a block of `column_totals` adds up
GROUPS = 8  # of threads, which take every eighth part each
ADDING = COLUMNS * GROUPS  # threads of that block


@cuda.jit(device=True)
def affine(v, weight, bias, j):
    """Return v weight[j] + bias[j], without what is not there."""
    if weight.size:
        v = v * weight[j]
    if bias.size:
        v = v + bias[j]
    return v


def forward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of the forward direction in one form: see cuda/rows.py."""
    place, whole = places(warps), joining(added, warps)

    @cuda.jit
    def layer_norm_rows(x, weight, bias, eps, n, c, mean, rstd, y):
        """Write mean, 1 / sqrt(var + eps) and the normalised elements of n rows of c."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, threads = place()
        share = kind(1) / kind(c)
        while row < n:
            first = uint32(row * c)
            total = kind(0)
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    v = ptx.load128(x, uint32(first + j))
                    total += (v[0] + v[1]) + (v[2] + v[3])
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    total += x[uint32(first + j)]
                    j = uint32(j + threads)
            total, _ = whole(total, kind(0), held)
            centre = total * share
            square, rest = kind(0), kind(0)
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    v = ptx.load128(x, uint32(first + j))
                    p, q, r, o = v[0] - centre, v[1] - centre, v[2] - centre, v[3] - centre
                    square += (p * p + q * q) + (r * r + o * o)
                    rest += (p + q) + (r + o)
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    p = x[uint32(first + j)] - centre
                    square += p * p
                    rest += p
                    j = uint32(j + threads)
            square, rest = whole(square, rest, held)
            rest = rest * share  # what rounding took from the mean
            centre = centre + rest
            variance = square * share - rest * rest
            if variance < kind(0):  # by rounding; a NaN stays one
                variance = kind(0)
            scale = kind(1) / math.sqrt(variance + eps)
            if t == 0:
                mean[row] = centre
                rstd[row] = scale
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    v = ptx.load128(x, uint32(first + j))
                    made = (
                        affine((v[0] - centre) * scale, weight, bias, j),
                        affine((v[1] - centre) * scale, weight, bias, uint32(j + uint32(1))),
                        affine((v[2] - centre) * scale, weight, bias, uint32(j + uint32(2))),
                        affine((v[3] - centre) * scale, weight, bias, uint32(j + uint32(3))),
                    )
                    ptx.store128(y, uint32(first + j), made)
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    index = uint32(first + j)
                    y[index] = affine((x[index] - centre) * scale, weight, bias, j)
                    j = uint32(j + threads)
            row = uint32(row + step)

    return layer_norm_rows


@cuda.jit(device=True)
def weighed(g, weight, j):
    """Return g weight[j], or g where there is no weight."""
    return g * weight[j] if weight.size else g


@cuda.jit(device=True)
def add_four(sums, index, more):
    """Add to four numbers of shared memory, 128 bits at once."""
    p, q, r, o = ptx.load128(sums, index)
    ptx.store128(sums, index, (p + more[0], q + more[1], r + more[2], o + more[3]))


def backward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of dx and of the columns' sums in one form: see cuda/rows.py."""
    place, whole = places(warps), joining(added, warps)
    at_once = WARPS // warps  # rows of a block, and sums of each column
    each = 4 if vector else 1  # columns of a thread side by side

    @cuda.jit(device=True)
    def clear(sums, own, c, t, threads):
        """Clear the columns that a thread adds to, which none other does: no barrier is needed."""
        j = uint32(t * uint32(each))
        while j < c:
            for k in range(each):
                sums[uint32(own + j + uint32(k))] = kind(0)
                sums[uint32(own + c + j + uint32(k))] = kind(0)
            j = uint32(j + threads * uint32(each))

    @cuda.jit
    def layer_norm_gradient(dy, x, weight, mean, rstd, n, c, span, tasks, dx, parts):
        """Write dx of n rows of c elements, and the sums of dy xhat and dy over each task's rows.

        A task is `span` rows of a block.  parts: (tasks, 2, c), or empty where there is no weight;
        else dynamic shared memory has 2 c numbers for each row that a block works on at once.
        """
        held = cuda.shared.array(HELD, kind)
        sums = cuda.shared.array(0, kind, alignment=16)
        _, _, t, threads = place()
        share = kind(1) / kind(c)
        copy = uint32(0)
        if at_once > 1:
            copy = uint32(cuda.threadIdx.x >> uint32(5))
        pair = uint32(c * uint32(2))
        own = uint32(copy * pair)  # where the sums of this thread's warp begin
        task = uint32(cuda.blockIdx.x)
        while task < tasks:
            if parts.size:
                clear(sums, own, c, t, threads)
            row = uint32(task * span)
            end = min(n, uint32(row + span))
            row = uint32(row + copy)
            while row < end:
                first = uint32(row * c)
                centre, scale = mean[row], rstd[row]
                total, product = kind(0), kind(0)
                if vector:
                    j = uint32(t * uint32(4))
                    while j < c:
                        d, v = ptx.load128(dy, uint32(first + j)), ptx.load128(x, uint32(first + j))
                        p = weighed(d[0], weight, j)
                        q = weighed(d[1], weight, uint32(j + uint32(1)))
                        r = weighed(d[2], weight, uint32(j + uint32(2)))
                        o = weighed(d[3], weight, uint32(j + uint32(3)))
                        total += (p + q) + (r + o)
                        left = p * (v[0] - centre) + q * (v[1] - centre)
                        product += left + (r * (v[2] - centre) + o * (v[3] - centre))
                        j = uint32(j + threads * uint32(4))
                else:
                    j = t
                    while j < c:
                        p = weighed(dy[uint32(first + j)], weight, j)
                        total += p
                        product += p * (x[uint32(first + j)] - centre)
                        j = uint32(j + threads)
                total, product = whole(total, product, held)
                total = total * share
                product = product * share * scale * scale
                if vector:
                    j = uint32(t * uint32(4))
                    while j < c:
                        d, v = ptx.load128(dy, uint32(first + j)), ptx.load128(x, uint32(first + j))
                        e, f, g, h = v[0] - centre, v[1] - centre, v[2] - centre, v[3] - centre
                        p = weighed(d[0], weight, j)
                        q = weighed(d[1], weight, uint32(j + uint32(1)))
                        r = weighed(d[2], weight, uint32(j + uint32(2)))
                        o = weighed(d[3], weight, uint32(j + uint32(3)))
                        made = (
                            scale * (p - total - e * product),
                            scale * (q - total - f * product),
                            scale * (r - total - g * product),
                            scale * (o - total - h * product),
                        )
                        ptx.store128(dx, uint32(first + j), made)
                        if parts.size:
                            more = (
                                d[0] * (e * scale),
                                d[1] * (f * scale),
                                d[2] * (g * scale),
                                d[3] * (h * scale),
                            )
                            add_four(sums, uint32(own + j), more)
                            add_four(sums, uint32(own + c + j), d)
                        j = uint32(j + threads * uint32(4))
                else:
                    j = t
                    while j < c:
                        index = uint32(first + j)
                        d = dy[index]
                        e = x[index] - centre
                        p = weighed(d, weight, j)
                        dx[index] = scale * (p - total - e * product)
                        if parts.size:
                            sums[uint32(own + j)] += d * (e * scale)
                            sums[uint32(own + c + j)] += d
                        j = uint32(j + threads)
                row = uint32(row + uint32(at_once))
            if parts.size:
                cuda.syncthreads()  # behind it the warps' sums are read
                j = uint32(cuda.threadIdx.x)
                while j < pair:
                    found = sums[j]
                    for k in range(1, at_once):
                        found += sums[uint32(uint32(k) * pair + j)]
                    parts[uint32(task * pair + j)] = found
                    j = uint32(j + uint32(ROW_THREADS))
                cuda.syncthreads()  # behind it they are cleared
            task = uint32(task + uint32(cuda.gridDim.x))

    return layer_norm_gradient


# ---------------------------------------------------------------- sums over the rows
@cuda.jit
def column_parts(dy, x, mean, rstd, n, c, parts):
    """Write the sums of dy xhat and of dy over chunks of rows: (chunks, 2, c).

    A thread adds up a column of a chunk.
    """
    tasks = uint32(uint32(parts.size) >> uint32(1))
    task = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while task < tasks:
        chunk = uint32(task // c)
        column = uint32(task - chunk * c)
        row = uint32(chunk * uint32(CHUNK))
        end = min(n, uint32(row + uint32(CHUNK)))
        product, total = dy.dtype.type(0), dy.dtype.type(0)
        while row < end:
            index = uint32(row * c + column)
            product += dy[index] * ((x[index] - mean[row]) * rstd[row])
            total += dy[index]
            row = uint32(row + uint32(1))
        index = uint32(uint32(chunk * uint32(2)) * c + column)
        parts[index] = product
        parts[uint32(index + c)] = total
        task = uint32(task + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def column_totals(parts, count, c, dw, db):
    """Add up parts: (count, 2, c) in float64, by a group of threads every GROUPS-th, then those.

    A block takes COLUMNS columns of both, neighbours in neighbouring threads.
    """
    held = cuda.shared.array(ADDING, float64)
    lane = uint32(cuda.threadIdx.x & uint32(COLUMNS - 1))
    group = uint32(cuda.threadIdx.x >> uint32(5))
    pair = uint32(c * uint32(2))
    first = uint32(cuda.blockIdx.x * uint32(COLUMNS))
    while first < pair:
        column = uint32(first + lane)
        total = float64(0)
        if column < pair:
            k = group
            while k < count:
                total += parts[uint32(k * pair + column)]
                k = uint32(k + uint32(GROUPS))
        held[cuda.threadIdx.x] = total
        cuda.syncthreads()
        if group == 0 and column < pair:
            for k in range(1, GROUPS):
                total += held[uint32(lane + uint32(k * COLUMNS))]
            if column < c:
                dw[column] = dw.dtype.type(total)
            else:
                db[uint32(column - c)] = db.dtype.type(total)
        cuda.syncthreads()
        first = uint32(first + uint32(cuda.gridDim.x) * uint32(COLUMNS))


FORWARD, BACKWARD = Rows(forward_of), Rows(backward_of)


def layer_norm_forward(
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    eps: float,
    mean: DeviceArray,
    rstd: DeviceArray,
    y: DeviceArray,
) -> None:
    """Compute mean, rstd and y: see norm/layer_norm.py for shapes."""
    n, c = x.shape
    if x.size:
        few = weight, bias, number(eps, x), *sizes(n, c), mean, rstd
        FORWARD(n, c, (x, y), flat(x), *few, flat(y))


def layer_norm_backward(
    dy: DeviceArray,
    x: DeviceArray,
    weight: DeviceArray,
    mean: DeviceArray,
    rstd: DeviceArray,
    dx: DeviceArray,
    dw: DeviceArray,
    db: DeviceArray,
) -> None:
    """Compute dx, and dw and db where there is a weight."""
    n, c = x.shape
    at_once = rows_at_once(c)
    room = 2 * c * at_once * x.itemsize if dw.size else 0
    if room > ROOM:
        room = 0
    span = at_once * (min(CHUNK, max(1, blocks(n, at_once * TASKS))) if room else 1)
    tasks = blocks(n, span)
    parts = scratch(2 * tasks * c if room else 0, x.dtype, x)
    if x.size:
        few = weight, mean, rstd, *sizes(n, c, span, tasks)
        wide = flat(dy), flat(x)
        BACKWARD(tasks * at_once, c, (dy, x, dx), *wide, *few, flat(dx), parts, shared=room)
    if dw.size:
        if not room:
            tasks = blocks(n, CHUNK)
            parts = scratch(2 * tasks * c, x.dtype, x)
            if tasks:
                few = mean, rstd, *sizes(n, c), parts
                run(column_parts, blocks(tasks * c), THREADS, flat(dy), flat(x), *few)
        few = parts, *sizes(tasks, c), dw, db
        run(column_totals, blocks(2 * c, COLUMNS), ADDING, *few)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "layer_norm_forward": layer_norm_forward,
    "layer_norm_backward": layer_norm_backward,
}
CHECKS: tuple[Check, ...] = (
    *FORWARD.checks(
        "layer_norm_forward",
        lambda k: (k[::1], k[::1], k[::1], k, uint32, uint32, k[::1], k[::1], k[::1]),
    ),
    *BACKWARD.checks(
        "layer_norm_backward", lambda k: (*[k[::1]] * 5, *[uint32] * 4, k[::1], k[::1])
    ),
    *(
        check
        for k in (float32, float64)
        for check in (
            Check(
                f"layer_norm_backward.columns/{k}",
                column_parts,
                (*[k[::1]] * 4, uint32, uint32, k[::1]),
                float64=k == float64,
            ),
            Check(
                f"layer_norm_backward.totals/{k}",
                column_totals,
                (k[::1], uint32, uint32, k[::1], k[::1]),
                float64=True,
            ),
        )
    ),
)
