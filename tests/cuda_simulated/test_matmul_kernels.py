"""Each step of the CUDA products by itself: every layout, precision, split and epilogue."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad_cudasim as simulate
from minigrad_kernels.cuda.precision import PRECISIONS
from minigrad_kernels.cuda.targets import Simulator
from minigrad_kernels.matmul import cuda_gemm as matmul
from minigrad_kernels.matmul.cuda_gemm import Choice, choose
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.own import Own, planted
from tests.kernels.samples.matmul import matrix

require_greenlet()

Array = np.ndarray[Any, Any]
SINGLE = np.dtype(np.float32)
LAYOUTS = ("rows", "columns", "strided")
# Relative errors of a product's terms: two operands rounded to so many bits, and float32's sums.
UNITS = {"naive": 2.0**-22, "tiled": 2.0**-22, "registers": 2.0**-22, "tf32": 2.0**-10}
UNITS |= {"bf16": 2.0**-7.9, "tf32.packed": 2.0**-10, "bf16.packed": 2.0**-7.9}


@pytest.fixture(autouse=True)
def highest() -> Iterator[None]:
    yield
    matmul.set_precision("highest")


def launched(
    choice: Choice, *arrays: Array, most: int = 3, checks: bool = True, **after: Any
) -> Any:
    """Return c, and sums of rows, of a product under the simulator by one of the steps."""
    target = Simulator(most=most, checks=checks)
    a, b = (cuda_kernels.strided(target, x) for x in arrays)
    c = target.empty((*arrays[0].shape[:-1], arrays[1].shape[-1]), arrays[0].dtype)
    sums = target.empty(c.shape[0], arrays[0].dtype) if c.ndim == 2 else None
    after = {
        k: cuda_kernels.strided(target, v) if isinstance(v, np.ndarray) else v
        for k, v in after.items()
    }
    matmul.compute(a, b, c, **after, sums=sums, choice=choice)
    return target.read(c), None if sums is None else target.read(sums)


def close(got: Array, a: Array, b: Array, step: str) -> None:
    """Hold a product to float64's, term by term within the step's roundings."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    allowed = UNITS[step] * np.matmul(np.abs(wide_a), np.abs(wide_b))
    assert (np.abs(got - np.matmul(wide_a, wide_b)) <= allowed + 1e-30).all()


def operands(m: int, k: int, n: int, layouts: tuple[str, str] = ("rows", "rows")) -> list[Array]:
    rng = np.random.default_rng(m * k + n)
    return [
        matrix(rng, shape, SINGLE, layout)
        for shape, layout in zip(((m, k), (k, n)), layouts, strict=True)
    ]


@pytest.mark.parametrize("layouts", list(itertools.product(LAYOUTS, LAYOUTS)), ids="-".join)
@pytest.mark.parametrize("step", ["tiled", "registers", "tf32", "bf16"])
def test_every_layout_without_a_copy(step: str, layouts: tuple[str, str]) -> None:
    tile = 16 if step == "tiled" else 64
    a, b = operands(20, 20, 24, layouts)
    c, sums = launched(Choice(step, tile, 1, 20), a, b)
    close(c, a, b, step)
    close(sums[:, None], a, np.ones((20, 1), np.float32), "tiled")


@pytest.mark.parametrize("step", ["tiled", "registers", "tf32", "bf16"])
def test_tiles_and_splits_of_a_batch(step: str) -> None:
    tile = 16 if step == "tiled" else 64
    m, k, n = tile + 1, 20, 4
    rng = np.random.default_rng(3)
    a = rng.standard_normal((2, m, k)).astype(np.float32)
    b = np.broadcast_to(rng.standard_normal((k, n)).astype(np.float32), (2, k, n))
    choice = Choice(step, tile, 2, 16)
    first, _ = launched(choice, a, b)
    second, _ = launched(choice, a, b, most=1, checks=False)
    assert first.tobytes() == second.tobytes()
    close(first, a, b, step)


@pytest.mark.parametrize("step", ["registers", "tf32"])
def test_the_large_tiles(step: str) -> None:
    for (m, k, n), layouts in (((130, 4, 4), ("rows", "rows")), ((3, 17, 8), ("columns", "rows"))):
        a, b = operands(m, k, n, layouts)
        c, sums = launched(Choice(step, 128, 1, k), a, b)
        close(c, a, b, step)
        close(sums[:, None], a, np.ones((k, 1), np.float32), "tiled")


@pytest.mark.parametrize("splits", [1, 2])
@pytest.mark.parametrize("n", [8, 7])
@pytest.mark.parametrize("step", ["registers", "bf16"])
def test_what_follows_a_product(step: str, n: int, splits: int) -> None:
    m, k = 9, 20
    a, b = operands(m, k, n)
    rng = np.random.default_rng(n)
    bias, saved = rng.standard_normal(n).astype(np.float32), rng.standard_normal((m, n))
    saved = saved.astype(np.float32)
    choice = Choice(step, 64, splits, 16 if splits > 1 else k)
    product, _ = launched(choice, a, b)
    y, _ = launched(choice, a, b, kind="activation", name="tanh", bias=bias)
    cuda_kernels.agree("tanh", [y], [np.tanh((product + bias).astype(np.float64))], "tanh", SINGLE)
    c, sums = launched(choice, a, b, kind="mask", name="relu", side=saved)
    assert c.tolist() == np.where(saved > 0, product, np.float32(0)).tolist()
    close(sums[:, None], a, np.ones((k, 1), np.float32), "tiled")


def test_infinities_stay_in_their_rows_and_columns() -> None:
    a, b = operands(20, 18, 20)
    a[3, 17], b[17, 5] = np.inf, np.nan
    for step in ("tiled", "registers", "tf32", "bf16"):
        c, _ = launched(Choice(step, 16 if step == "tiled" else 64, 1, 18), a, b)
        finite = np.isfinite(c)
        assert not finite[3].any() and np.isnan(c[:, 5]).all()
        assert np.delete(np.delete(finite, 3, 0), 5, 1).all()


TENSOR = "matmul.cuda_tensor_cores:tensor('plain', '', True, 64, 'tf32', {0}, {0})"
WORDS, VECTORS = TENSOR.format(False), TENSOR.format(True)
SYNC = "cuda.syncthreads()"
MUTANTS = (
    Own(WORDS, "", "barrier after copies removed", SYNC, "pass", kinds=("race", "uninitialised")),
    Own(WORDS, "", "c over operands in use", SYNC, "pass", which=1, kinds=("race",)),
    Own(WORDS, "", "c read too soon", SYNC, "pass", which=2, kinds=("race", "uninitialised")),
    Own(WORDS, "", "next tile over the last", SYNC, "pass", which=3, kinds=("race",)),
    Own(VECTORS, "", "copies not waited for", "wait_copies(1)", "wait_copies(2)",
        kinds=("uninitialised", "race")),
    Own(VECTORS, "", "half of the warps silent", "wy == uint32(h)", "wy == 0",
        kinds=("wrong", "uninitialised")),
    Own(VECTORS, "", "a stage too far", "here < uint32(shared - stage)",
        "here <= uint32(shared - stage)", kinds=("bounds",)),
    Own("matmul.cuda_tensor_cores:fetcher(64, False)", "", "a row too many", "i * 8) < left",
        "i * 8) <= left", kinds=("bounds", "race", "wrong")),
    Own("matmul.cuda_tensor_cores:fetcher(64, True)", "", "k not ended",
        "if index < end", "if index <= end",
        kinds=("bounds", "wrong")),
    Own("matmul.cuda_tensor_cores:right_tf32", "", "k exchanged in b alone",
        "ptx.to_tf32(v[0]), ptx.to_tf32(v[1])", "ptx.to_tf32(v[1]), ptx.to_tf32(v[0])",
        kinds=("wrong",)),
)  # fmt: skip


def outcome() -> str:
    """Return what is found in TF32 products of two tiles and two layouts by one block."""
    try:
        for layouts in (("columns", "rows"), ("rows", "columns")):
            a, b = operands(72, 52, 4, layouts)
            close(launched(Choice("tf32", 64, 1, 52), a, b, most=1)[0], a, b, "tf32")
    except simulate.Fault as fault:
        return fault.kind
    except AssertionError:
        return "wrong"
    return "nothing"


def test_nothing_is_found_in_the_kernel_of_tensor_cores() -> None:
    assert outcome() == "nothing"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.title)
def test_mistakes_in_the_kernel_of_tensor_cores_are_found(mutant: Own) -> None:
    with planted(mutant):
        assert outcome() in mutant.kinds


def test_the_choice_depends_on_sizes_and_precision() -> None:
    def step(m: int, n: int, k: int, batch: int = 1, dtype: Any = np.float32) -> Any:
        return [choose(m, n, k, batch, dtype, p)[:3] for p in PRECISIONS]

    packed = [("tf32.packed", 256, 1), ("bf16.packed", 256, 1)]
    assert step(4096, 4096, 4096) == [("registers", 128, 1), *packed]
    assert choose(4096, 4096, 4096, 1, np.float32, "high", 100 * 1024)[:2] == ("tf32.packed", 128)
    assert choose(4096, 4096, 4096, 1, np.float32, "high", 64 * 1024)[:2] == ("tf32", 128)
    assert choose(1024, 1024, 2**16, 1, np.float32, "high")[:3] == ("tf32.packed", 128, 2)
    assert step(1023, 1024, 1024)[1:] == [("tf32", 64, 1), ("bf16", 64, 1)]
    assert step(512, 512, 512) == [(s, 64, 2) for s in ("registers", "tf32", "bf16")]
    assert step(512, 512, 512, 64) == [(s, 128, 1) for s in ("registers", "tf32", "bf16")]
    assert step(8, 9, 10) == step(0, 9, 10) == [("naive", 1, 1)] * 3
    assert step(4096, 10, 64) == [("tiled", 16, 1)] * 3
    assert step(10, 10, 10**6) == [("tiled", 16, 128)] * 3
    assert step(4096, 4096, 64, dtype=np.float64) == [("tiled", 16, 1)] * 3
    for k in (129, 1000, 4097, 10**6):
        made = choose(100, 100, k, 1, np.float32, "highest")
        assert (made.splits - 1) * made.chunk < k <= made.splits * made.chunk


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_precision_is_asked_for(precision: str) -> None:
    a, b = operands(40, 5, 36)
    a[...] = np.nextafter(np.float32(1), np.float32(2))  # 1 in fewer bits than 24
    b[...] = 1
    matmul.set_precision(precision)
    assert matmul.get_precision() == precision
    args = (a, b, np.full((40, 36), np.nan, np.float32))
    (c,) = cuda_kernels.run("gemm", matmul.gemm, KERNELS["gemm"], args, Simulator())
    assert (c > 5).all() == (precision == "highest") and (c >= 5).all()


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of 'highest', 'high', 'medium', got 'tf32'"):
        matmul.set_precision("tf32")


def test_an_operand_lies_where_it_lay() -> None:
    target = Simulator()
    whole = target.empty((6, 8), np.float32)
    line, place = matmul.operand_of(whole[1:4, 7:0:-2])
    assert line.address == whole.address + 4 * (8 + 1) and line.size == 2 * 8 + 6 + 1
    assert place == (6, 8, 2**32 - 2, 0)
    line, place = matmul.operand_of(whole.T)
    assert (line.address, line.size) == (whole.address, 48) and place == (0, 1, 8, 0)
    spread = np.lib.stride_tricks.as_strided(whole.geometry, (5, 2, 8), (0, 32, 4))
    line, place = matmul.operand_of(whole.like(spread))
    assert (line.address, line.size) == (whole.address, 16) and place == (0, 8, 1, 0)
