"""The bits of a result do not depend on where its arrays lie.

A loop that adds up while it writes may be compiled twice, in vector code for arrays that lie apart
and one by one for those that might overlap; the sums of the two differ in their last bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.table import KERNELS
from tests.kernels import test_table
from tests.kernels.test_table import DTYPES, SAMPLES, fresh, holder, run, shown

LIMIT = 100_000  # bytes of all arrays: beyond, they are never near each other as a whole
PAGE = 4_096
WIDTHS = (3, 4, 5, 8, 9, 12, 16, 17, 33, 40)

Array = np.ndarray[Any, Any]


def laid_out(args: list[Any], gap: int, backwards: bool) -> list[Any]:
    """Return the arguments with copies of their contiguous arrays in one buffer, `gap` bytes from
    one to the next, the last one first where `backwards`.
    """
    arrays = [i for i, a in enumerate(args) if isinstance(a, np.ndarray) and a.flags.c_contiguous]
    size = sum(args[i].nbytes + gap + 64 for i in arrays)
    memory = np.zeros(size + 64, np.uint8)
    at = -memory.ctypes.data % 64
    placed = list(args)
    for i in reversed(arrays) if backwards else arrays:
        a = args[i]
        at += -at % a.itemsize
        placed[i] = memory[at : at + a.nbytes].view(a.dtype).reshape(a.shape)
        placed[i][...] = a
        at += a.nbytes + gap
    return placed


def check(name: str, args: tuple[Any, ...]) -> None:
    """Run a kernel on its arguments near to each other and apart, and compare the bits."""
    kernel = KERNELS[name]
    mine, _ = fresh(kernel, args, -7.0)
    places = [i for i in test_table.positions(kernel, args) if isinstance(mine[i], np.ndarray)]
    expected: list[bytes] | None = None
    for gap, backwards in ((PAGE, False), (PAGE, True), (0, False), (0, True), (72, False)):
        placed = laid_out(mine, gap, backwards)
        run(kernel.cpu, placed, 1)
        got = [placed[i].tobytes() for i in places]
        expected = expected or got
        assert got == expected, f"{name}({shown(args)}): other bits {gap} bytes apart"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_bits_do_not_depend_on_addresses(
    name: str, dtype: np.dtype[Any], rng: np.random.Generator
) -> None:
    for args in SAMPLES[name](rng, dtype):
        size = sum(a.nbytes for a in args if isinstance(a, np.ndarray))
        if holder(args) is None and size < LIMIT:
            check(name, args)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_rows_of_every_width(name: str, dtype: np.dtype[Any], rng: np.random.Generator) -> None:
    for width in WIDTHS:
        x = rng.normal(size=(3, width)).astype(dtype)
        check(name, (x, np.empty(3 if name == "logsumexp" else x.shape, dtype)))
