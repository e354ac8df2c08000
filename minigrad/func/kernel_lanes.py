"""Kernels over arrays with lanes: all lanes in one launch where a kernel allows it, else one each.

Elementwise kernels broadcast; a reduction has its axes moved; what works row by row, plane by plane
or image by image takes the lanes as more of these; products of matrices are batched.  Any other
kernel runs lane by lane.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.dispatch import KERNELS, dispatch

Array = np.ndarray[Any, Any]
Sizes = tuple[tuple[int, int], ...]


class CannotLaunch(RuntimeError):
    """The outputs of a kernel lack lanes that its inputs have."""


@functools.cache
def outputs_of(name: str) -> tuple[int, ...]:
    """Return the positions of the arguments that a kernel writes."""
    row = KERNELS[name]
    names = list(inspect.signature(row.reference).parameters)
    found = tuple([i for i, n in enumerate(names) if n in row.out or n in row.inout])
    return found or (len(names) - 1,)


def launch(name: str, views: list[Any], args: Sequence[Any], sizes: Sizes) -> None:
    """Run a kernel on wholes (see lanes.py); args: as the kernel would get them for one lane.

    Raises: CannotLaunch where an output lacks lanes.
    """
    d = len(sizes)
    shapes = [view.shape[:d] for view in views if isinstance(view, np.ndarray)]
    lanes = tuple([max(column) for column in zip(*shapes, strict=True)])
    written = outputs_of(name)
    if KERNELS[name].rule is not None:
        written = (len(args) - 1,)
    for i in written:
        if views[i].shape[:d] != lanes:
            raise CannotLaunch(f"{name}: its output has no lanes of its own")
    if not math.prod(lanes):
        return
    rule: Any = elementwise if KERNELS[name].rule is not None else RULES.get(name, one_by_one)
    if rule(name, views, args, lanes) is False:
        one_by_one(name, views, args, lanes)


def run(name: str, *args: Any) -> None:
    """Run a kernel of the CPU."""
    dispatch.kernels[name](*args)


def one_by_one(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> None:
    """Run a kernel lane by lane."""
    d = len(lanes)
    function = dispatch.kernels[name]
    for at in np.ndindex(*lanes):
        given = []
        for view in views:
            if isinstance(view, np.ndarray):
                place = tuple([i if n > 1 else 0 for i, n in zip(at, view.shape[:d], strict=True)])
                view = view[(*place, ...)]
            given.append(view)
        function(*given)


def elementwise(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> None:
    """Run an elementwise kernel: sizes of 1 stand between the lanes and what broadcasts."""
    d = len(lanes)
    rank = views[-1].ndim - d
    given = []
    for view in views:
        if isinstance(view, np.ndarray) and view.ndim - d < rank:
            view = view[(slice(None),) * d + (None,) * (rank - view.ndim + d) + (...,)]
        given.append(view)
    run(name, *given)


def reduction(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
    """Run a reduction over axes, counted behind the lanes."""
    x, axes, y = views
    d = len(lanes)
    if isinstance(axes, int):
        moved: Any = axes + d
    else:
        moved = tuple([axis + d for axis in axes])
    if x.shape[:d] != lanes:
        x = np.broadcast_to(x, lanes + x.shape[d:])
    run(name, x, moved, y)


def running(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
    """Run a cumulative sum."""
    x, axis, backwards, y = views
    d = len(lanes)
    run(name, np.broadcast_to(x, lanes + x.shape[d:]), axis + d, backwards, y)


def merged(view: Array, lanes: tuple[int, ...]) -> Array:
    """Return a whole with its lanes and its first axis as one, copied where it must be."""
    d = len(lanes)
    if view.shape[:d] != lanes:
        view = np.broadcast_to(view, lanes + view.shape[d:])
    return np.ascontiguousarray(view).reshape(
        math.prod(lanes) * view.shape[d], *view.shape[d + 1 :]
    )


def folded(*kept: int) -> Callable[..., Any]:
    """Return a rule for a kernel that treats its first axis element by element: lanes are more of
    these.  kept: positions of arrays that all share, and that may not differ by lane.
    """

    def rule(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
        d = len(lanes)
        given, back = [], []
        written = outputs_of(name)
        for i, view in enumerate(views):
            if not isinstance(view, np.ndarray):
                given.append(view)
            elif i in kept:
                if view.shape[:d] != (1,) * d:
                    return False
                given.append(view[(0,) * d + (...,)])
            elif i in written:
                if view.flags.c_contiguous:
                    given.append(merged(view, lanes))
                else:
                    held = np.empty(view.shape, view.dtype)
                    back.append((view, held))
                    given.append(merged(held, lanes))
            else:
                given.append(merged(view, lanes))
        run(name, *given)
        for view, held in back:
            view[...] = held
        return True

    return rule


# ---------------------------------------------------------------- products of matrices
def single(view: Array, d: int) -> bool:
    """Say whether an array is the same in all lanes."""
    return view.shape[:d] == (1,) * d


def stacked(view: Array, lanes: tuple[int, ...]) -> Array:
    """Return the matrices of a whole as one batch (B, M, K)."""
    d = len(lanes)
    if view.shape[:d] != lanes:
        view = np.broadcast_to(view, lanes + view.shape[d:])
    return view.reshape(math.prod(lanes), *view.shape[d:])


def product(a: Array, b: Array, c: Array, lanes: tuple[int, ...]) -> None:
    """Compute c = a @ b in every lane; c is contiguous."""
    d = len(lanes)
    if single(b, d) and not single(a, d):
        run("gemm", merged(a, lanes), b[(0,) * d + (...,)], merged(c, lanes))
        return
    if a.shape[-1] == 1:  # products of a column and a row
        run("mul", a, b, c)
        return
    run("bmm", stacked(a, lanes), stacked(b, lanes), stacked(c, lanes))


def gemm(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
    """C = a @ b"""
    a, b, c = views
    if not c.flags.c_contiguous:
        return False
    product(a, b, c, lanes)
    return True


def bmm(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
    """c[i] = a[i] @ b[i]"""
    a, b, c = views
    d = len(lanes)
    if not c.flags.c_contiguous:
        return False
    inner = (*lanes, c.shape[d])
    a = np.broadcast_to(a, (*inner, *a.shape[-2:]))
    b = np.broadcast_to(b, (*inner, *b.shape[-2:]))
    run("bmm", stacked(a, inner), stacked(b, inner), stacked(c, inner))
    return True


def gemm_bias(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
    """C = a @ b + bias"""
    a, b, bias, c = views
    if not c.flags.c_contiguous:
        return False
    product(a, b, c, lanes)
    elementwise("add", [c, bias, c], args, lanes)
    return True


def gemm_sums(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
    """C = a @ b, sums = a summed along its rows"""
    a, b, c, sums = views
    if not c.flags.c_contiguous:
        return False
    product(a, b, c, lanes)
    reduction("sum", [a, (1,), sums], args, lanes)
    return True


def gemm_activation(
    name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]
) -> Any:
    """Y = f(a @ b + bias), and z, what f is applied to"""
    a, b, bias, activation, *results = views
    z, y = results[0], results[-1]
    if not z.flags.c_contiguous or activation == "softplus":
        return False
    product(a, b, z, lanes)
    if bias.shape[-1]:
        elementwise("add", [z, bias, z], args, lanes)
    run(activation, z, y)
    return True


# ---------------------------------------------------------------- by positions
def take(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
    """Y = x[indices], elements or rows; where one of both is the same in all lanes."""
    x, indices, y = views
    d = len(lanes)
    if single(indices, d):
        y[...] = x[(slice(None),) * d + (indices[(0,) * d + (...,)],)]
        return True
    if single(x, d) and y.flags.c_contiguous:
        run(name, x[(0,) * d + (...,)], merged(indices, lanes), merged(y, lanes))
        return True
    return False


# ---------------------------------------------------------------- losses
def cross_entropy(name: str, views: list[Any], args: Sequence[Any], lanes: tuple[int, ...]) -> Any:
    """The loss of one row a lane: its own sum and mean, where it counts."""
    x, target, weight, ignore_index, smoothing, _, loss, logsum, total, divisor, dx = views
    d = len(lanes)
    if x.shape[d] != 1 or weight.shape[-1] or (target == ignore_index).any():
        return False
    held = np.empty(1, total.dtype), np.empty(1, divisor.dtype)
    rows = [merged(view, lanes) for view in (x, target, loss, logsum, dx)]
    options = weight[(0,) * d + (...,)], ignore_index, smoothing, False
    run(name, *rows[:2], *options, *rows[2:4], *held, rows[4])
    total[...] = loss
    divisor[...] = 1
    return True


RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("sum", "mean", "max", "min", "prod", "argmax", "argmin"), reduction),
    "cumsum": running,
    **dict.fromkeys(
        (
            *("norm", "variance", "tie_count", "expand_centred", "expand_unit", "expand_ties"),
            *("expand_exp", "extreme", "extreme_backward", "prod_backward"),
            *("softmax", "log_softmax", "logsumexp", "softmax_backward", "log_softmax_backward"),
            "max_pool_backward",
        ),
        folded(),
    ),
    "layer_norm_forward": folded(1, 2),
    "max_pool": folded(1, 2),
    "avg_pool": folded(1, 2),
    "avg_pool_backward": folded(1, 2),
    "conv": folded(1, 2),
    "conv_backward_input": folded(1),
    "gemm": gemm,
    "bmm": bmm,
    "gemm_bias": gemm_bias,
    "gemm_sums": gemm_sums,
    "gemm_activation": gemm_activation,
    "gemm_activation_saved": gemm_activation,
    "take_flat": take,
    "take_rows": take,
    "cross_entropy_forward": cross_entropy,
    "cross_entropy_backward": folded(3),
}
