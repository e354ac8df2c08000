"""Pooling over every small shape of window: values, places and gradients, none read or written
outside; windows without elements among them.

The oracle lists the elements of each window one by one.  PyTorch's answers, stored and live, are a
second one, but for windows without elements: there its gradient is written outside the array.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.nn.functional import max_pool1d, max_pool2d
from tests.nn.window_cases import Case, Library, cases, framed, grid, run, windows
from tests.npz import arrays_of

Array = np.ndarray[Any, Any]
GOLDEN = arrays_of(Path(__file__).parents[1] / "golden" / "windows.npz")


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
        row_windows, column_windows = windows(n, k, s, p, d, ceil), windows(m, l, t, q, e, ceil)
        assert y.shape == (2, 2, len(row_windows), len(column_windows))
        for (i, rows), (j, columns) in product(enumerate(row_windows), enumerate(column_windows)):
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


MINIGRAD = Library(
    F,
    lambda a, grad: mg.Tensor(a, requires_grad=grad),
    lambda y, inputs, weight: mg.grad(y, inputs, weight),
    lambda t: t.detach().numpy(),
)


def compare(case: Case, found: list[Array], want: list[Array]) -> None:
    got = np.concatenate([a.reshape(-1) for a in found])
    expected = np.concatenate([a.reshape(-1) for a in want])
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-12, err_msg=str(case))


def test_agrees_with_the_stored_answers() -> None:
    ends = np.cumsum(GOLDEN["counts"])
    stored = np.split(GOLDEN["numbers"], ends[:-1])
    with mg.check_launches():
        for case, want in zip(cases(), stored, strict=True):
            compare(case, run(MINIGRAD, case), [want])


def test_agrees_with_torch_live() -> None:
    made = pytest.importorskip("tests.golden.make_windows", reason="needs torch")
    for case in cases()[::5]:
        compare(case, run(MINIGRAD, case), run(made.TORCH, case))


def test_without_elements() -> None:
    """No images, no channels where those may be missing; a plane without elements is refused."""
    x = mg.zeros(0, 2, 4, 4, requires_grad=True)
    for pool in (
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.avg_pool2d(x, 2),
        lambda x: F.adaptive_avg_pool2d(x, 2),
        lambda x: F.adaptive_max_pool2d(x, 2),
        lambda x: F.conv2d(x, mg.ones(3, 2, 3, 3), padding="same")[:, :2, :2, :2],
    ):
        y = pool(x)
        assert y.shape == (0, 2, 2, 2)
        (g,) = mg.grad(y.sum(), x)
        assert g.shape == x.shape
    for n, m in ((0, 4), (4, 0), (0, 0)):
        for refused in (
            lambda x: F.max_pool2d(x, 2),
            lambda x: F.avg_pool2d(x, 2),
            lambda x: F.adaptive_avg_pool2d(x, 2),
            lambda x: F.adaptive_max_pool2d(x, 2),
        ):
            with pytest.raises((ValueError, RuntimeError)):
                refused(mg.zeros(1, 2, n, m))


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
