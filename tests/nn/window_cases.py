"""Windows of every small shape: pooling, adaptive pooling and convolutions, for the golden file.

`answers(library)` runs all of them in PyTorch or in minigrad, which have the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Options = dict[str, Any]
NAN = float("nan")
FRAME = 32  # numbers around an array


@dataclass(frozen=True)
class Library:
    """What the cases use of a library.

    tensor: of an array, without a copy; grad: of results, inputs and what the results weigh.
    """

    functional: Any
    tensor: Callable[[Array, bool], Any]
    grad: Callable[[Any, list[Any], Any], Any]
    array: Callable[[Any], Array]


def windows(n: int, k: int, s: int, p: int, d: int, ceil: bool) -> list[list[int]]:
    """Return the elements of each window of n."""
    free = n + 2 * p - d * (k - 1) - 1
    count = -(-free // s) + 1 if ceil else free // s + 1
    if ceil and (count - 1) * s >= n + p:
        count -= 1
    return [
        [i * s - p + j * d for j in range(k) if 0 <= i * s - p + j * d < n] for i in range(count)
    ]


def grid() -> list[tuple[int, int, int, int, int, bool]]:
    """Return (n, kernel, stride, padding, dilation, ceil_mode) of every window that is taken."""
    return [
        (n, k, s, p, d, ceil)
        for n, k, s, p, d, ceil in product(
            (1, 2, 3, 5), (1, 2, 3), (1, 2, 4), (0, 1, 2, 3), (1, 2, 4, 5), (False, True)
        )
        if 2 * p <= d * (k - 1) + 1 and n + 2 * p >= d * (k - 1) + 1
    ]


def framed(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return numbers, and the memory around them, full of NaN: what is read there shows."""
    size = int(np.prod(shape))
    memory = np.full(size + 2 * FRAME, NAN)
    memory[FRAME : FRAME + size] = np.random.default_rng(size).permutation(size)
    return memory[FRAME : FRAME + size].reshape(shape), memory


# ---------------------------------------------------------------- the cases
Case = tuple[str, tuple[tuple[int, ...], ...], Options]


def pooled() -> Iterator[Case]:
    """Yield pooling of signals over the grid, and of images over pairs of its rows.

    Without windows that have no elements: there PyTorch writes its gradient outside the array.
    """
    taken = [row for row in grid() if 2 * row[3] <= row[1] and all(windows(*row))]
    for n, k, s, p, d, ceil in taken:
        how: Options = {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": ceil}
        yield "max_pool1d", ((1, 2, n),), {**how, "dilation": d, "return_indices": True}
        if d == 1:
            for include in (False, True):
                yield "avg_pool1d", ((1, 2, n),), {**how, "count_include_pad": include}
    apart = [row for row in taken if row[5]], [row for row in taken if not row[5]]
    for rows in apart:
        for one, two in zip(rows[::3], reversed(rows[::3]), strict=True):
            both = tuple(zip(one, two, strict=True))
            how = {"kernel_size": both[1], "stride": both[2], "padding": both[3]}
            how["ceil_mode"] = one[5]
            full = {**how, "dilation": both[4], "return_indices": True}
            yield "max_pool2d", ((1, 1, *both[0]),), full
            for include, divisor in ((False, None), (True, None), (True, 5)):
                extra = {"count_include_pad": include, "divisor_override": divisor}
                yield "avg_pool2d", ((1, 1, *both[0]),), {**how, **extra}


def adaptive() -> Iterator[Case]:
    """Yield adaptive pooling to more and to fewer outputs than inputs."""
    for n, out in product(range(1, 8), range(1, 9)):
        yield "adaptive_avg_pool1d", ((1, 2, n),), {"output_size": out}
        yield "adaptive_max_pool1d", ((1, 2, n),), {"output_size": out, "return_indices": True}
    for n, m in ((1, 1), (1, 5), (4, 3), (5, 7)):
        for size in ((1, 1), (2, 3), (5, 4), (7, 1)):
            yield "adaptive_avg_pool2d", ((1, 1, n, m),), {"output_size": size}
            full = {"output_size": size, "return_indices": True}
            yield "adaptive_max_pool2d", ((1, 1, n, m),), full


def convolved() -> Iterator[Case]:
    """Yield convolutions over the grid, with any padding, whole numbers throughout."""
    for n, k, s, p, d in product((1, 2, 5), (1, 2, 3), (1, 2, 4), (0, 1, 3), (1, 2, 4)):
        if n + 2 * p < d * (k - 1) + 1:
            continue
        groups = 2 if (n + k + s + p + d) % 3 == 0 else 1
        how: Options = {"stride": s, "padding": p, "dilation": d, "groups": groups}
        yield "conv1d", ((1, 2, n), (2, 2 // groups, k), (2,)), how
        m, j = n % 3 + 1, min(k, 2)
        if m + 2 >= d * (j - 1) + 1:
            how = {"stride": (s, 1), "padding": (p, 1), "dilation": (1, d), "groups": groups}
            if n + 2 * p >= k:
                yield "conv2d", ((1, 2, n, m), (2, 2 // groups, k, j), (2,)), how


def cases() -> list[Case]:
    """Return (function, shapes of its tensors, options) of every case."""
    return [*pooled(), *adaptive(), *convolved()]


def run(library: Library, case: Case) -> list[Array]:
    """Return values, places where there are some, and gradients; NaN around what is read."""
    name, shapes, options = case
    held = [framed(shape) for shape in shapes]
    inputs = [library.tensor(a, True) for a, _ in held]
    found = getattr(library.functional, name)(*inputs, **options)
    y, *places = found if isinstance(found, tuple) else (found,)
    shape = tuple(y.shape)
    weight = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    grads = library.grad(y, inputs, library.tensor(weight, False))
    for _, memory in held:
        assert np.isnan(memory).sum() == 2 * FRAME, (name, shapes, options)
    return [library.array(t) for t in (y, *places, *grads)]


def joined(results: list[list[Array]]) -> dict[str, Array]:
    """Return all results in one line, and how many numbers each case has."""
    lines = [np.concatenate([a.reshape(-1) for a in found]) for found in results]
    return {"numbers": np.concatenate(lines), "counts": np.array([len(a) for a in lines])}
