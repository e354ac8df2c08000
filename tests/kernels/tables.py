"""Tensors, their address tables, and the comparison of an optimizer kernel with its reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numba
import numpy as np

from minigrad_kernels.jit.address_table import build_table
from minigrad_kernels.optim.multi_tensor import MANY, Step

Array = np.ndarray[Any, Any]

# Awkward, many and small, one large: an empty tensor at each end, and blocks that cross rows.
SIZES = ([0, 7, 1, 0, 33, 0], [16] * 300, [MANY + 123, 0, 5, 9_001])

alive: list[Any] = []  # what the tables of samples point to; those die with the process


class Tensors:
    """Arrays p, g and state of several sizes, and their table; scalars: single numbers behind."""

    def __init__(
        self,
        rng: np.random.Generator,
        dtype: Any,
        sizes: list[int],
        states: int,
        groups: int = 1,
        scalars: Iterable[float] = (),
    ) -> None:
        self.rows: list[list[Array]] = []
        for n in sizes:
            p, g = rng.normal(size=(2, n)).astype(dtype)
            state = [np.zeros(n, dtype) for _ in range(states)]
            self.rows.append([p, g, *state, *(np.array([x]) for x in scalars)])
        self.like = np.empty(0, dtype)
        self.groups = [k % groups for k in range(len(sizes))]
        self.steps = np.zeros(len(sizes), np.int64)
        self.table = build_table([tuple(row) for row in self.rows], self.groups)
        alive.append(self)

    def copy(self) -> Tensors:
        cuda_kernel = object.__new__(Tensors)
        cuda_kernel.rows = [[a.copy() for a in row] for row in self.rows]
        cuda_kernel.like, cuda_kernel.groups, cuda_kernel.steps = (
            self.like,
            self.groups,
            self.steps.copy(),
        )
        cuda_kernel.table = build_table([tuple(row) for row in cuda_kernel.rows], self.groups)
        alive.append(cuda_kernel)
        return cuda_kernel

    def new_gradients(self, rng: np.random.Generator) -> list[Array]:
        return [rng.normal(size=row[1].size).astype(self.like.dtype) for row in self.rows]

    def set_gradients(self, grads: list[Array]) -> None:
        for row, g in zip(self.rows, grads, strict=True):
            row[1][...] = g


def tensors_of(step: Step, rng: np.random.Generator, dtype: Any, sizes: list[int]) -> Tensors:
    """Return tensors as a step takes them, its cases for their groups in turn."""
    return Tensors(
        rng, dtype, sizes, len(step.states), len(step.cases), tuple(step.scalars.values())
    )


def samples(step: Step, tables: tuple[list[int], ...] = SIZES) -> Any:
    """Return the sampler of an optimizer's step: argument tuples of all tables' sizes."""

    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
        found = []
        for sizes in tables:
            t = tensors_of(step, rng, dtype, sizes)
            found.append((t.table, step.hyper(), t.like, t.steps))
        return found

    return sample


def check_steps(kernel: Step, dtype: Any) -> None:
    """Hold five steps to the reference, and to the same bits on one thread and on two."""
    options = kernel.hyper()
    for sizes in SIZES:
        rng = np.random.default_rng(1)
        mine = tensors_of(kernel, rng, dtype, sizes)
        plain, single = mine.copy(), mine.copy()
        for _ in range(5):
            grads = mine.new_gradients(rng)
            for t in (mine, plain, single):
                t.set_gradients(grads)
            kernel.cpu(mine.table, options, mine.like, mine.steps)
            kernel.reference(plain.table, options, plain.like, plain.steps)
            threads = numba.get_num_threads()
            numba.set_num_threads(1)
            kernel.cpu(single.table, options, single.like, single.steps)
            numba.set_num_threads(threads)
        np.testing.assert_array_equal(mine.steps, plain.steps)
        assert mine.steps.tolist() == [5] * len(sizes)
        rtol = 2e-4 if dtype == np.float32 else 1e-12
        for a, b, c in zip(mine.rows, plain.rows, single.rows, strict=True):
            for x, y, z in zip(a, b, c, strict=True):
                np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * 1e-2)
                np.testing.assert_array_equal(x, z)
