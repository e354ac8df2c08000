"""Pooling over every small shape of window: values, places and gradients, none read or written
outside; windows without elements among them.

The oracle lists the elements of each window one by one.  PyTorch, where it is installed, is a
second one, but for windows without elements: there its gradient is written outside the array.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.nn.functional import max_pool1d, max_pool2d

Array = np.ndarray[Any, Any]
NAN = float("nan")


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
    memory = np.full(size + 64, NAN)
    memory[32 : 32 + size] = np.random.default_rng(size).permutation(size)
    return memory[32 : 32 + size].reshape(shape), memory


def test_max_pool_of_signals() -> None:
    empty = 0
    for n, k, s, p, d, ceil in grid():
        lists = windows(n, k, s, p, d, ceil)
        memory, around = framed((2, 3, n))
        x = mg.Tensor(memory, requires_grad=True)
        y, places = max_pool1d(x, k, s, p, d, ceil, return_indices=True)
        want = np.full((2, 3, len(lists)), -np.inf)
        at = np.full(want.shape, -1)
        for i, window in enumerate(lists):
            empty += not window
            if window:
                want[..., i] = memory[..., window].max(-1)
                at[..., i] = np.array(window)[memory[..., window].argmax(-1)]
        how = f"n={n} kernel={k} stride={s} padding={p} dilation={d} ceil_mode={ceil}"
        np.testing.assert_array_equal(y.array, want, err_msg=how)
        np.testing.assert_array_equal(places.array, at, err_msg=how)
        weight = np.arange(1.0, want.size + 1).reshape(want.shape)
        (g,) = mg.grad(y, x, mg.tensor(weight), create_graph=True)
        dx = np.zeros(memory.shape)
        for index in np.ndindex(*want.shape):
            if at[index] >= 0:
                dx[(*index[:2], at[index])] += weight[index]
        np.testing.assert_array_equal(g.array, dx, err_msg=how)
        assert np.isnan(around).sum() == 64
    assert empty > 50


def test_max_pool_to_second_order() -> None:
    """The gradient is linear in dy, and a window without elements has no part in it."""
    for n, k, p, d in ((1, 2, 1, 2), (2, 2, 3, 5), (3, 2, 2, 4), (5, 3, 1, 2)):
        x = mg.tensor(np.random.default_rng(0).normal(size=(1, 2, n, n)), requires_grad=True)
        y = max_pool2d(x, k, 1, p, d)
        dy = mg.ones(y.shape, dtype=mg.float64, requires_grad=True)
        (g,) = mg.grad(y, x, dy, create_graph=True)
        (back,) = mg.grad(g.sum(), dy)
        np.testing.assert_array_equal(back.array, np.isfinite(y.array).astype(float))


def test_two_dimensions_are_the_product_of_one() -> None:
    some = grid()[::23]
    for (n, k, s, p, d, ceil), (m, l, t, q, e, _) in zip(some, reversed(some), strict=True):
        if 2 * q > e * (l - 1) + 1:
            continue
        memory, around = framed((2, 2, n, m))
        x = mg.Tensor(memory, requires_grad=True)
        y = max_pool2d(x, (k, l), (s, t), (p, q), (d, e), ceil)
        down, across = windows(n, k, s, p, d, ceil), windows(m, l, t, q, e, ceil)
        assert y.shape == (2, 2, len(down), len(across))
        for (i, rows), (j, columns) in product(enumerate(down), enumerate(across)):
            seen = memory[:, :, rows][..., columns]
            np.testing.assert_array_equal(y.array[..., i, j], seen.max((2, 3), initial=-np.inf))
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.sum().item() == np.isfinite(y.array).sum()
        assert np.isnan(around).sum() == 64


def test_the_process_survives_windows_without_elements() -> None:
    """The heap, written outside, made the process die some calls later."""
    for dtype in (mg.float32, mg.float64):
        for _ in range(200):
            x = mg.ones(1, 2, 1, 1, dtype=dtype, requires_grad=True)
            F.max_pool2d(x, 2, 1, 1, dilation=2).sum().backward()
            assert x.grad is not None
            assert not x.grad.array.any()


def test_against_torch() -> None:
    torch = pytest.importorskip("torch")
    for n, k, s, p, d, ceil in grid():
        if 2 * p > k or not all(windows(n, k, s, p, d, ceil)):  # its own bound for signals
            continue
        held, _ = framed((2, 3, n))
        x, z = mg.Tensor(held, requires_grad=True), torch.tensor(held, requires_grad=True)
        pairs = [
            (
                F.max_pool1d(x, k, s, p, d, ceil),
                torch.nn.functional.max_pool1d(z, k, s, p, d, ceil),
            )
        ]
        if d == 1:
            for include in (False, True):
                how = k, s, p, ceil, include
                pairs.append((F.avg_pool1d(x, *how), torch.nn.functional.avg_pool1d(z, *how)))
        for y, w in pairs:
            weight = np.arange(1.0, w.numel() + 1).reshape(tuple(w.shape))
            np.testing.assert_allclose(y.array, w.detach().numpy(), rtol=1e-14)
            (g,) = mg.grad(y, x, mg.tensor(weight))
            (h,) = torch.autograd.grad(w, z, torch.tensor(weight))
            np.testing.assert_allclose(g.array, h.numpy(), rtol=1e-13)


def test_on_the_simulated_device() -> None:
    """The simulator checks every access, and has the CPU's bits."""
    for n, k, s, p, d in ((1, 2, 1, 1, 2), (3, 2, 2, 2, 4), (2, 2, 1, 3, 5), (5, 3, 2, 1, 1)):
        memory, _ = framed((1, 2, n, n))
        found = []
        for device in ("cpu", "cuda-sim"):
            x = mg.tensor(memory.astype(np.float32), device=device, requires_grad=True)
            y = max_pool2d(x, k, s, p, d)
            y.sum().backward()
            assert x.grad is not None
            found.append((y.detach().cpu().array, x.grad.cpu().array))
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a, b)
