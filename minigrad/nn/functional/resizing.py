"""Images of another size; `minigrad.nn.functional` re-exports it.

Each dimension is resized by itself: an output is a weighted sum of a few inputs, its taps, which
lie at positions that depend on nothing but the sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.functional import conv
from minigrad.ops.arranging import kept_beside
from minigrad.ops.common import Array
from minigrad.ops.index import picked_by_shapes
from minigrad.ops.registry import public

MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
    "area": (1, 2, 3),
}
SMOOTH = ("linear", "bilinear", "bicubic", "trilinear")


# ---------------------------------------------------------------- taps
def nearest_taps(n: int, out: int, scale: float | None, exact: bool) -> tuple[Array, None]:
    """Return which element each output is; in float32, whose rounding decides at the borders."""
    ratio = np.float32(1 / scale) if scale else np.float32(n) / np.float32(out)
    at = np.arange(out, dtype=np.float32)
    places = np.floor((at + np.float32(0.5)) * ratio if exact else at * ratio)
    return np.minimum(places, n - 1).astype(np.int64)[:, None], None


def centres(n: int, out: int, scale: float | None, align_corners: bool) -> Array:
    """Return where outputs lie among the inputs."""
    at = np.arange(out, dtype=np.float64)
    if align_corners:
        return at * ((n - 1) / (out - 1) if out > 1 else 0.0)
    return (at + 0.5) * (1 / scale if scale else n / out) - 0.5


def linear_taps(n: int, out: int, scale: float | None, align_corners: bool) -> tuple[Array, Array]:
    """Return the two neighbours of each output, and their weights."""
    at = np.maximum(centres(n, out, scale, align_corners), 0.0)
    first = np.minimum(np.floor(at).astype(np.int64), n - 1)
    far = np.clip(at - first, 0.0, 1.0)
    places = np.stack([first, np.minimum(first + 1, n - 1)], 1)
    return places, np.stack([1 - far, far], 1)


def cubic(t: Any, a: float) -> Any:
    """Return the weight of a tap at distance t, of Keys' cubic with slope a at 1."""
    t = abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def cubic_taps(n: int, out: int, scale: float | None, align_corners: bool) -> tuple[Array, Array]:
    """Return the four neighbours of each output, and their weights.

    Source: Keys, "Cubic convolution interpolation for digital image processing" (1981).
    """
    at = centres(n, out, scale, align_corners)
    first = np.floor(at).astype(np.int64)
    around = first[:, None] + np.arange(-1, 3)
    weights = cubic(at[:, None] - around, -0.75)
    return np.clip(around, 0, n - 1), weights


def smoothed_taps(
    n: int, out: int, scale: float | None, align_corners: bool, reach: int
) -> tuple[Array, Array]:
    """Return the taps of a filter that is as wide as an output, where that is smaller than an
    input: no pattern of the input is lost between the outputs.
    """
    if align_corners:
        ratio = (n - 1) / (out - 1) if out > 1 else 0.0
    else:
        ratio = 1 / scale if scale else n / out
    width = max(ratio, 1.0)
    support = reach * width
    centre = ratio * (np.arange(out) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), n)
    count = int((last - first).max())
    around = first[:, None] + np.arange(count)
    distance = (around - centre[:, None] + 0.5) / width
    hat = np.maximum(1 - abs(distance), 0) if reach == 1 else cubic(distance, -0.5)
    weights = np.where(around < last[:, None], hat, 0.0)
    return np.clip(around, 0, n - 1), weights / weights.sum(1, keepdims=True)


def resized(input: Any, axis: int, taps: tuple[Array, Array | None]) -> Any:
    """Return the sums of the taps along an axis."""
    places, weights = taps
    total: Any = None
    for k in range(places.shape[1]):
        y = picked_by_shapes(input, *(slice(None),) * axis, np.ascontiguousarray(places[:, k]))
        if weights is not None:
            column = weights[:, k].astype(input.array.dtype)
            y = y * kept_beside(column.reshape(-1, *(1,) * (input.ndim - axis - 1)), input)
        total = y if total is None else total + y
    return total


# ---------------------------------------------------------------- functions
def sizes_for(
    input: Any, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """Return the output's sizes and the scales that the taps are to have, None for the ratios."""
    dims = input.ndim - 2
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give size or scale_factor, one of them")

    def each(given: Any, label: str) -> list[Any]:
        found = list(given) if isinstance(given, (tuple, list)) else [given] * dims
        if len(found) != dims:
            raise ArgumentError(f"interpolate: expected {dims} numbers for {label}, got {given!r}")
        return found

    if size is not None:
        wanted = [int(n) for n in each(size, "size")]
        scales: list[float | None] = [None] * dims
    else:
        factors = [float(f) for f in each(scale_factor, "scale_factor")]
        wanted = [math.floor(n * f) for n, f in zip(input.shape[2:], factors, strict=True)]
        scales = [None] * dims if recompute else list(factors)
    if min(wanted) < 1 or min(input.shape[2:]) < 1:
        raise ArgumentError(f"interpolate: sizes {input.shape[2:]} and {wanted} must be positive")
    return wanted, scales


@public("functional")
def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Return signals, images or volumes of another size, or of `scale_factor` times their own.

    mode: "nearest", "nearest-exact", "linear" (signals), "bilinear", "bicubic" (images),
        "trilinear" (volumes), or "area", the mean over the outputs' shares.
    align_corners: whether the corners' centres stay where they are; by default their edges do.
    antialias: of "bilinear" and "bicubic", whether the filter grows with the step.
    Shape: (N, C, L), (N, C, H, W) or (N, C, D, H, W) -> the same with other sizes.

    >>> import minigrad as mg
    >>> interpolate(mg.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    dims = input.ndim - 2
    if mode not in MODES or dims not in MODES[mode]:
        raise ArgumentError(
            f"interpolate: mode {mode!r} and shape {input.shape} do not fit; there are "
            f"{', '.join(f'{m} for {d} dimensions' for m, d in MODES.items())} after (N, C)"
        )
    if align_corners is not None and mode not in SMOOTH:
        raise ArgumentError(f"interpolate: align_corners is for {', '.join(SMOOTH)}, not {mode}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError("interpolate: antialias is for bilinear and bicubic")
    if input.array.dtype.kind != "f" and mode not in ("nearest", "nearest-exact"):
        raise ArgumentTypeError(f"interpolate: expected a floating input, got {input.dtype}")
    if recompute_scale_factor and size is not None:
        raise ArgumentError("interpolate: recompute_scale_factor needs scale_factor, not size")
    wanted, scales = sizes_for(input, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return averaged(input, wanted)
    corners = bool(align_corners)
    y = input
    for i, (n, out, scale) in enumerate(zip(input.shape[2:], wanted, scales, strict=True)):
        taps: Any
        if mode.startswith("nearest"):
            taps = nearest_taps(n, out, scale, mode == "nearest-exact")
        elif antialias:
            taps = smoothed_taps(n, out, scale, corners, 2 if mode == "bicubic" else 1)
        else:
            taps = (cubic_taps if mode == "bicubic" else linear_taps)(n, out, scale, corners)
        y = resized(y, i + 2, taps)
    return y


def averaged(input: Any, wanted: Sequence[int]) -> Any:
    """Return the means over the outputs' shares, a dimension at a time."""
    y = input
    for i, out in enumerate(wanted):
        rows = y.transpose(i + 2, y.ndim - 1)
        flat = rows.reshape(-1, 1, rows.shape[-1])
        means = conv.adaptive_avg_pool1d(flat, out).reshape(*rows.shape[:-1], out)
        y = means.transpose(i + 2, y.ndim - 1)
    return y


@public("functional")
def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Return images of another size, as `interpolate`, its name since."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@public("functional")
def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Return images of another size, by the nearest elements; see `interpolate`."""
    return interpolate(input, size, scale_factor, "nearest")


@public("functional")
def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Return images of another size, linear between aligned corners; see `interpolate`."""
    return interpolate(input, size, scale_factor, "bilinear", True)
