from __future__ import annotations

import numpy as np
import pytest

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.function_pointers import call_at, entry
from minigrad_kernels.simd.registers import address, address_array


@jit()
def store(x, y, to):
    address_array(to, 1, np.int64)[0] = 10 * x + y


@jit()
def store_sum(x, y, to):
    address_array(to, 1, np.int64)[0] = x + y


@jit()
def give(x):
    return x


@jit()
def call(function, x, y, to):
    call_at(function, (x, y, address(to)))


def test_the_function_is_chosen_at_run_time() -> None:
    to = np.zeros(1, np.int64)
    for function, want in ((store, -13), (store_sum, 5)):
        call(entry(function, 3), -2, 7, to)
        assert to[0] == want


def test_arguments_of_other_integer_types_are_widened() -> None:
    to = np.zeros(1, np.int64)
    call(entry(store, 3), True, np.int32(-4), to)
    assert to[0] == 6


def test_an_address_stays_the_same() -> None:
    assert entry(store, 3) == entry(store, 3) != entry(store_sum, 3)


def test_a_function_that_returns_something_is_refused() -> None:
    with pytest.raises(TypeError, match="give must return nothing"):
        entry(give, 1)
