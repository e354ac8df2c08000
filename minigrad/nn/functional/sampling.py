"""Images read at any points; `minigrad.nn.functional` re-exports it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError
from minigrad.ops.arranging import beside
from minigrad.ops.common import Array
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import host
from minigrad.ops.index import picked
from minigrad.ops.linalg import matmul
from minigrad.ops.registry import public


@public("functional")
def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Return where the elements of images of `size` come from under affine maps, for
    `grid_sample`.

    Shape: theta: (N, 2, 3), size: (N, C, H, W) -> (N, H, W, 2); (N, 3, 4) and five sizes -> (N, D,
        H, W, 3).
    """
    dims = len(size) - 2
    if dims not in (2, 3) or tuple(theta.shape[1:]) != (dims, dims + 1) or theta.ndim != 3:
        raise ArgumentError(
            f"affine_grid: theta (N, 2, 3) goes with four sizes, (N, 3, 4) with five, got "
            f"{theta.shape} and {tuple(size)}"
        )
    lines = []
    for n in size[2:]:
        line = np.linspace(-1, 1, n) if n > 1 else np.zeros(n)
        lines.append(line if align_corners or n < 2 else line * (n - 1) / n)
    grids = np.meshgrid(*lines, indexing="ij")[::-1]
    base = np.stack([*grids, np.ones_like(grids[0])], -1).reshape(-1, dims + 1)
    points = matmul(beside(base.astype(theta.array.dtype), theta), theta.transpose(1, 2))
    return points.reshape(theta.shape[0], *size[2:], dims)


@public("functional")
def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """Return images read at points between -1 and 1, x first.

    mode: "bilinear", "nearest" or "bicubic" (of images).  padding_mode: what lies outside:
        "zeros", the "border" or its "reflection".
    align_corners: whether -1 and 1 are the centres of the corners; by default their edges.
    Shape: input: (N, C, H, W), grid: (N, H', W', 2) -> (N, C, H', W'); or with a depth, and 3.
    """
    dims = input.ndim - 2
    if dims not in (2, 3) or grid.ndim != input.ndim or grid.shape[-1] != dims:
        raise ArgumentError(
            "grid_sample: expected an input (N, C, H, W) and a grid (N, H', W', 2), or with a "
            f"depth and 3, got {input.shape} and {grid.shape}"
        )
    if input.shape[0] != grid.shape[0] or input.dtype != grid.dtype:
        raise ArgumentError(
            f"grid_sample: input and grid must be of one batch and dtype, got {input.dtype} "
            f"{input.shape} and {grid.dtype} {grid.shape}"
        )
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and dims == 3):
        raise ArgumentError(f"grid_sample: mode {mode!r} is not for {dims} dimensions")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(f"grid_sample: padding_mode {padding_mode!r} is not known")
    corners = bool(align_corners)
    sizes = input.shape[2:]
    points = [  # of each dimension, in elements
        unscaled(grid[..., dims - 1 - i], n, corners) for i, n in enumerate(sizes)
    ]
    if mode == "bicubic":
        return cubic_sample(input, points, padding_mode, corners)
    points = [kept_inside(p, n, padding_mode, corners) for p, n in zip(points, sizes, strict=True)]
    if mode == "nearest":
        return looked_up(input, [np.rint(host(p)) for p in points])
    return between(input, points)


def unscaled(x: Any, n: int, corners: bool) -> Any:
    """Return coordinates of [-1, 1] in elements."""
    return (x + 1) * ((n - 1) / 2) if corners else ((x + 1) * n - 1) / 2


def kept_inside(x: Any, n: int, padding_mode: str, corners: bool) -> Any:
    """Return coordinates brought into the image, where the padding does so."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, span = (0.0, n - 1.0) if corners else (-0.5, float(n))
        if not span:
            return x * 0
        away = (x - low).abs()
        turns = np.floor(host(away) / span)
        rest = away - beside((turns * span).astype(x.array.dtype), x)
        x = where(beside(turns % 2 == 0, x), rest, span - rest) + low
    return x.clamp(0, n - 1)


def looked_up(input: Any, places: Sequence[Array]) -> Any:
    """Return the elements at places (N, ...) of each dimension; 0 outside of the image."""
    sizes = input.shape[2:]
    inside = np.ones(places[0].shape, bool)
    for at, n in zip(places, sizes, strict=True):
        inside &= (at >= 0) & (at <= n - 1)
    safe = [np.where(inside, at, 0).astype(np.int64)[:, None] for at in places]
    lead = (1,) * (places[0].ndim - 1)
    n, c = (np.arange(k) for k in input.shape[:2])
    found = picked(input, n.reshape(-1, 1, *lead), c.reshape(1, -1, *lead), *safe)
    return where(beside(inside[:, None], input), found, 0.0)


def between(input: Any, points: Sequence[Any]) -> Any:
    """Return the weighted sums of the elements around points."""
    firsts = [np.floor(host(p)) for p in points]
    fars = [p - beside(f, p) for p, f in zip(points, firsts, strict=True)]
    total: Any = None
    for corner in itertools.product((0, 1), repeat=len(points)):
        weight: Any = 1.0
        for far, side in zip(fars, corner, strict=True):
            weight = weight * (far if side else 1 - far)
        y = looked_up(input, [f + side for f, side in zip(firsts, corner, strict=True)])
        y = y * weight.unsqueeze(1)
        total = y if total is None else total + y
    return total


def cubic_weights(t: Any) -> list[Any]:
    """Return the weights of four taps around a point at distance t behind the second."""
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def cubic_sample(input: Any, points: Sequence[Any], padding_mode: str, corners: bool) -> Any:
    """Return the cubic sums of the four by four elements around points."""
    firsts = [np.floor(host(p)) for p in points]
    weights = [cubic_weights(p - beside(f, p)) for p, f in zip(points, firsts, strict=True)]
    sizes, like = input.shape[2:], points[0]

    def places(axis: int, tap: int) -> Array:
        at = beside((firsts[axis] + tap - 1).astype(like.array.dtype), like)
        return np.asarray(host(kept_inside(at, sizes[axis], padding_mode, corners)))

    total: Any = None
    for i, j in itertools.product(range(4), repeat=2):
        y = looked_up(input, [np.rint(places(0, i)), np.rint(places(1, j))])
        y = y * (weights[0][i] * weights[1][j]).unsqueeze(1)
        total = y if total is None else total + y
    return total
