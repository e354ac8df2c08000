"""What a launch comes down to, as calls by address: `calls_of`.

Most kernels' CPU columns choose a jitted function and pass their arguments on: which, is found by
listening to one launch.  What NumPy computes while arrays are small, and what Python does besides,
is stated here: elementwise launches are loops of NumPy's or copies around a jitted loop, PLANS has
the rest.  A kernel of which nothing is said is launched from Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad_kernels.elementwise.rules import lifted_where, np_maximum, np_minimum
from minigrad_kernels.indexing import index
from minigrad_kernels.jit.address_table import total
from minigrad_kernels.jit.call_table import fits, listen
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.heard import Call, move
from minigrad_kernels.optim import clip
from minigrad_kernels.strided import move_rows, ufunc_rows
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]
Plan = Callable[..., "list[Call] | None"]
# Kernels of which the CPU column only chooses a jitted function and passes its arguments on, by
# sizes and scalars alone: what it called once it will call again (tests/capturing/test_tables.py).
FORWARDING = {
    *("gemm", "gemm_bias", "gemm_sums", "gemm_activation", "gemm_activation_saved"),
    *("gemm_masked", "gemm_accumulate", "grad_norm", "dropout"),
    *("batch_norm_forward", "batch_norm_running", "batch_norm_backward"),
    *("batch_norm_dropout_forward", "batch_norm_dropout_backward"),
    *("batch_norm_eval", "layer_norm_forward", "layer_norm_backward", "logsumexp"),
    *("softmax", "softmax_backward", "log_softmax", "log_softmax_backward"),
    *("cross_entropy_forward", "cross_entropy_backward"),
    *("max_pool", "max_pool_backward", "avg_pool", "avg_pool_backward", "scatter_add_rows"),
    *("gru_forward", "gru_backward", "lstm_forward", "lstm_backward"),
    *("sum", "mean", "prod", "cumsum", "norm", "variance", "tie_count", "extreme"),
    *("extreme_backward", "expand_centred", "expand_unit", "expand_ties", "expand_exp"),
    *("uniform", "normal", "random_bits"),
}
# The same with memory of their own besides: integers that follow from the shapes, and floats that
# they write before they read them.
WITH_SCRATCH = {"conv", "conv_backward_input", "conv_backward_weight", "max", "min"}
UFUNCS: dict[Any, np.ufunc] = {np_maximum: np.maximum, np_minimum: np.minimum}


def possible(kernel: str) -> bool:
    """Return whether launches of a kernel may come down to calls by address."""
    row = KERNELS[kernel]
    step = hasattr(row, "prepare")  # an optimizer's
    listed = kernel in FORWARDING or kernel in WITH_SCRATCH or kernel in PLANS
    return listed or step or row.rule is not None


def calls_of(kernel: str, run: Callable[..., None], args: tuple[Any, ...]) -> list[Call] | None:
    """Launch a kernel, and return what that comes down to; None where Python has to launch it.

    run: its CPU column, or the ufunc that it is on few numbers.
    """
    if not possible(kernel):
        run(*args)
        return None
    loop: Any = UFUNCS.get(run, run)
    if isinstance(loop, np.ufunc):
        run(*args)
        return strided(ufunc_rows(loop, args), args)
    if kernel in PLANS:
        planned = PLANS[kernel](*args)
        if planned is not None:
            run(*args)
            return planned if all(fits(call) for call in planned) else None
    with listen() as calls:
        run(*args)
    if not calls or not arrays_of(args):
        return None
    made = KERNELS[kernel].rule is not None and around(calls, args)
    found = made or as_rows(calls)
    if found is None or not all(fits(call) for call in found):
        return None
    return found if made or stays(found, kernel, args) else None


def strided(rows: Any, arrays: Sequence[Any]) -> list[Call] | None:
    """Return rows that are made as a call, with the arrays that it needs."""
    return None if rows is None else [(rows, tuple(arrays))]


def arrays_of(args: Sequence[Any]) -> list[Array]:
    """Return the arrays among arguments."""
    return [a for a in args if isinstance(a, np.ndarray)]


def as_rows(calls: list[Call]) -> list[Call] | None:
    """Return calls with copies as rows; None where one cannot be."""
    found: list[Call] = []
    for function, args in calls:
        made = strided(move_rows(*args), args) if function is move else [(function, args)]
        if made is None:
            return None
        found += made
    return found


# ---------------------------------------------------------------- what must be the launch's own
def span(a: Array) -> tuple[int, int]:
    """Return the first byte of an array and the one behind its last."""
    low = high = a.__array_interface__["data"][0]
    for n, step in zip(a.shape, a.strides, strict=True):
        low, high = low + min(0, (n - 1) * step), high + max(0, (n - 1) * step)
    return low, high + a.itemsize


def stays(calls: list[Call], kernel: str, args: tuple[Any, ...]) -> bool:
    """Return whether all arrays of calls are the launch's own, or parts of them: another would be
    a copy of what they held at the time, but for the seed of a dropout and what is scratch.
    """
    spans = [span(a) for a in arrays_of(args) if a.size]

    def own(low: int, high: int) -> bool:
        return any(start <= low and high <= end for start, end in spans)

    scratch = kernel in WITH_SCRATCH and all(a.flags.c_contiguous for a in arrays_of(args))
    for function, given in calls:
        if getattr(function, "__name__", "") == "walk":
            # Over large arrays: it takes a plan, which depends on layouts, a function, addresses.
            if not all(own(a, a + 1) for a in given[2:] if a):
                return False
            continue
        for a in arrays_of(given):
            seed = a.dtype == np.uint64 and kernel.startswith("batch_norm_dropout")
            if a.size and not (seed or scratch or own(*span(a))):
                return False
    return True


# ---------------------------------------------------------------- elementwise
def around(calls: list[Call], args: tuple[Any, ...]) -> list[Call] | None:
    """Return the call of a loop over contiguous arrays, with the copies that its CPU column makes
    of other layouts; None where the calls are something else.
    """
    y = args[-1]
    operands = arrays_of(args[:-1])
    if len(calls) != 1 or calls[0][0].__name__ != "loop":
        return None
    given = calls[0][1]
    before: list[Call] = []
    for a, held in zip(operands, given, strict=False):
        if a.flags.carray and a.shape == y.shape:
            continue
        made = strided(move_rows(a, held.reshape(y.shape)), (a, held))
        if made is None or held.size != y.size:
            return None
        before += made
    if y.flags.carray:
        return [*before, calls[0]]
    after = strided(move_rows(given[-1].reshape(y.shape), y), (given[-1], y))
    return None if after is None else [*before, calls[0], *after]


def plan_copy(a: Array, y: Array) -> list[Call] | None:
    """Plan a copy of few elements, or of what is no number."""
    with listen() as calls:
        KERNELS["copy"].cpu(a, y)
    return None if calls else strided(move_rows(a, y), (a, y))


def plan_where(c: Array, a: Array, b: Array, y: Array) -> list[Call] | None:
    """Plan a choice between few elements: the loop, on contiguous copies where need be."""
    with listen() as calls:
        KERNELS["where"].cpu(c, a, b, y)
    kinds = {a.dtype, b.dtype, y.dtype}
    if calls or c.dtype != np.bool_ or len(kinds) > 1 or y.dtype.kind != "f" or not y.size:
        return None
    same = [
        x if x.flags.carray and x.shape == y.shape else np.empty(y.shape, x.dtype)
        for x in (c, a, b)
    ]
    result = y if y.flags.carray else np.empty(y.shape, y.dtype)
    copies = [(x, held) for x, held in zip((c, a, b), same, strict=True) if x is not held]
    after = [] if result is y else [(result, y)]
    flat = [same[0].view(np.uint8), *same[1:], result]
    loop: Call = (lifted_where.loop, tuple(x.reshape(-1) for x in flat))
    lifted_where.loop(*loop[1][:3], np.empty(y.size, y.dtype))  # compiled, if it was not
    return as_rows([*[(move, c) for c in copies], loop, *[(move, c) for c in after]])


# ---------------------------------------------------------------- others
def compiled(function: Any, *args: Any) -> list[Call]:
    """Return a call of a jitted function, compiled for its arguments."""
    function.compile(tuple(function.typeof_pyval(a) for a in args))
    return [(function, args)]


def plan_take_rows(weight: Array, indices: Array, y: Array) -> list[Call] | None:
    """Plan the choice of rows, which NumPy makes while they are few."""
    return compiled(index.take_rows_parallel, weight, indices, y) if y.size else []


def plan_take_flat(x: Array, indices: Array, y: Array) -> list[Call] | None:
    """Plan the choice of elements."""
    return compiled(index.take_flat_parallel, x, indices, y) if y.size else []


def plan_scatter_add_flat(dy: Array, indices: Array, dx: Array) -> list[Call] | None:
    """Plan the addition of elements in their order."""
    return compiled(index.scatter_add_flat_jitted, dy, indices, dx)


def plan_scatter_flat(src: Array, indices: Array, dx: Array) -> list[Call] | None:
    """Plan the writing of elements in their order."""
    return compiled(index.scatter_flat_jitted, src, indices, dx)


@jit(name="by_address.clip_factor")
def clip_factor(norm, max_norm, factor):
    """Write what gradients are multiplied by: no more than 1, and NaN for a norm that is."""
    found = max_norm / (norm[0] + clip.SMALL)
    factor[0] = 1.0 if found >= 1.0 else found


def plan_grad_scale(table: Array, norm: Array, max_norm: float, like: Array) -> list[Call] | None:
    """Plan clipping: its factor is computed where the norm is."""
    n = total(table)
    if not n:
        return []
    low, high, factor = np.array([[-np.inf], [np.inf], [1.0]], like.dtype)
    run = clip.scale_parallel if n >= clip.MANY else clip.scale_sequential
    return [
        *compiled(clip_factor, norm, float(max_norm), factor),
        *compiled(run, table, low, high, factor, like),
    ]


def plan_bmm(a: Array, b: Array, c: Array) -> list[Call] | None:
    """Plan products of a batch: operands that are neither matrices in order nor their transposes
    are copied first.
    """
    copies = []
    same = []
    for x in (a, b):
        fit = x.flags.c_contiguous or x.swapaxes(-1, -2).flags.c_contiguous
        same.append(x if fit else np.empty(x.shape, x.dtype))
        copies += [] if fit else [(move, (x, same[-1]))]
    with listen() as calls:
        KERNELS["bmm"].cpu(*same, c)
    return as_rows([*copies, *calls])


PLANS: dict[str, Plan] = {
    "bmm": plan_bmm,
    "copy": plan_copy,
    "where": plan_where,
    "take_rows": plan_take_rows,
    "take_flat": plan_take_flat,
    "scatter_add_flat": plan_scatter_add_flat,
    "scatter_flat": plan_scatter_flat,
    "grad_scale": plan_grad_scale,
}
