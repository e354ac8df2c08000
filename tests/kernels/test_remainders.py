"""fmod, remainder and floor_divide give NumPy's bits, in vector code and beside it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numba.core.caching import NullCache

from minigrad_kernels.elementwise import remainders
from minigrad_kernels.kernel import PARALLEL
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]
NAMES = ("fmod", "remainder", "floor_divide")


def special(dtype: Any) -> Array:
    info = np.finfo(dtype)
    ends = np.array([0, 1, 2.5, 3, np.inf, info.max, info.tiny, info.smallest_subnormal], dtype)
    both = np.array([*ends, *-ends, np.nan], dtype)
    return np.array(np.meshgrid(both, both)).reshape(2, -1)


def same(got: Array, want: Array) -> None:
    np.testing.assert_array_equal(got, want)
    held = want == want
    np.testing.assert_array_equal(np.signbit(got[held]), np.signbit(want[held]))


@pytest.mark.parametrize("scale", [1, 1e3, 2.0**22, 2.0**51, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_numpy_s_bits(name: str, dtype: Any, scale: float, rng: np.random.Generator) -> None:
    n = 2 * PARALLEL
    a, b = (rng.normal(size=(2, n)) * [[3 * scale], [3]]).astype(dtype)
    if scale == 1e3:  # whole numbers: remainders of 0, quotients that are whole
        a, b = np.round(a), np.round(b)
    pairs = special(dtype)
    a[: pairs.shape[1]], b[: pairs.shape[1]] = pairs
    a[PARALLEL + 100], b[PARALLEL + 2_000] = np.inf, 0  # one in a block of moderate quotients
    with np.errstate(all="ignore"):
        want = getattr(np, name)(a, b)
    y = np.empty_like(a)
    KERNELS[name].cpu(a, b, y)
    same(y, want)
    KERNELS[name].cpu(a, b, b)  # in place
    same(b, want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quotients_next_to_whole_numbers(dtype: Any, rng: np.random.Generator) -> None:
    b = rng.uniform(1, 2, 4 * PARALLEL).astype(dtype)
    a = (np.round(2.0 ** rng.uniform(0, 24, b.size)) * b).astype(dtype)
    a = np.nextafter(a, np.where(rng.random(b.size) < 0.5, -np.inf, np.inf).astype(dtype))
    for name in NAMES:
        y = np.empty_like(a)
        KERNELS[name].cpu(a, b, y)
        same(y, getattr(np, name)(a, b))


def test_layouts_and_broadcasts(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(300, 200)).T, rng.normal(size=300)
    a.flags.writeable = False
    for name in NAMES:
        y = np.empty((200, 300)).T.T
        KERNELS[name].cpu(a, b, y)
        same(y, getattr(np, name)(a, b))
        few = np.empty(3)
        KERNELS[name].cpu(a[0, :3], b[:3], few)
        same(few, getattr(np, name)(a[0, :3], b[:3]))


def test_the_loop_is_vector_code() -> None:
    loop = remainders.blocks("tests.fmod", remainders.of_fmod)
    loop._cache = NullCache()  # code from a cache cannot be read
    x = np.ones(3, np.float32)
    loop(x, x, x.copy())
    (code,) = loop.inspect_llvm().values()
    assert re.search(r"call <\d+ x float> @llvm.fma", code)
