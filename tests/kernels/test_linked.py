"""What kernels call stays IR for them to link in, until Python calls it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numba import types

from minigrad_kernels import example
from minigrad_kernels.jit import cache, plain
from minigrad_kernels.jit.call_table import row_of
from minigrad_kernels.jit.compile import JITTED, jit
from minigrad_kernels.jit.function_pointers import code_address
from minigrad_kernels.jit.linked import is_linked

pytestmark = pytest.mark.skipif(plain.ON, reason="plain mode compiles nothing")

FLOAT = (types.float64,)
COUNT = itertools.count()
Made = Callable[[Callable[..., Any]], Any]


@pytest.fixture
def kernel(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Return what makes a function one of the package's kernels, cached in a folder of its own."""
    monkeypatch.setattr(cache, "cache_path", lambda: tmp_path)
    made = []

    def make(function: Callable[..., Any]) -> Any:
        name = f"probe_linked.{function.__name__}{next(COUNT)}"
        function.__module__ = example.__name__  # one that there is, or Numba keeps nothing
        found = jit(name=name)(function)
        made.append(name)
        return found

    yield make
    for name in made:
        del JITTED[name]


def linked(function: Any, args: tuple[Any, ...] = FLOAT) -> bool:
    """Return whether a function is compiled for its callers alone."""
    return is_linked(function.overloads[args])


def pair(kernel: Made) -> tuple[Any, Any]:
    """Return a function and one that calls it."""

    @kernel
    def scaled(x):
        return 3 * x

    @kernel
    def twice(x):
        return scaled(x) + scaled(x)

    return scaled, twice


def test_a_callee_has_no_machine_code_until_python_calls_it(kernel: Made) -> None:
    scaled, twice = pair(kernel)
    assert twice(2.0) == 12.0
    assert linked(scaled)
    assert not linked(twice)
    assert len(scaled.nopython_signatures) == 1
    with pytest.raises(RuntimeError, match="compiled for its callers alone"):
        scaled.overloads[FLOAT].library.get_pointer_to_function("scaled")
    assert scaled(2.0) == 6.0
    assert not linked(scaled)

    @kernel
    def after(x):
        return scaled(x) + twice(x)

    assert after(2.0) == 18.0
    assert not linked(scaled)
    assert not linked(twice)


def test_both_kinds_are_kept_on_disk_and_machine_code_does_for_both(kernel: Made) -> None:
    scaled, twice = pair(kernel)
    twice(2.0)
    assert sum(scaled.stats.cache_misses.values()) == 1

    def again(function: Any) -> Any:
        """The same function in a new process, as far as the cache can tell."""
        function.overloads.clear()
        function.stats.cache_hits.clear()
        function.stats.cache_misses.clear()
        return function

    again(scaled)

    @kernel
    def thrice(x):
        return scaled(x) + scaled(x) + scaled(x)

    assert thrice(2.0) == 18.0
    assert linked(scaled)
    assert sum(scaled.stats.cache_hits.values()) == 1
    assert again(scaled)(2.0) == 6.0  # from the disk there is IR alone
    assert sum(scaled.stats.cache_misses.values()) == 1
    again(scaled)

    @kernel
    def four(x):
        return 2 * scaled(x) + 2 * scaled(x)

    assert four(2.0) == 24.0
    assert sum(scaled.stats.cache_misses.values()) == 0


def test_a_callee_that_calls_itself(kernel: Made) -> None:
    @kernel
    def power(x, n):
        if n == 0:
            return 1.0
        return x * power(x, n - 1)

    @kernel
    def cube(x):
        return power(x, 3)

    @kernel
    def above(x):
        return cube(x) + cube(x)

    assert above(2.0) == 16.0
    assert linked(cube)
    assert cube(2.0) == 8.0
    assert power(2.0, 5) == 32.0


def test_a_circle_of_functions_is_refused(kernel: Made) -> None:
    @kernel
    def even(n):
        if n == 0:
            return True
        return odd(n - 1)

    @kernel
    def odd(n):
        if n == 0:
            return False
        return even(n - 1)

    with pytest.raises(RuntimeError, match="make one function of the two"):
        even(4)


def test_other_types_and_an_error_in_a_callee(kernel: Made) -> None:
    @kernel
    def checked(x):
        if x < 0:
            raise ValueError("expected a positive number")
        return x

    @kernel
    def caller(x):
        return checked(x) + 1

    assert caller(2.0) == 3.0
    assert caller(2) == 3
    assert linked(checked, (types.int64,))
    with pytest.raises(ValueError, match="expected a positive number"):
        caller(-1.0)
    with pytest.raises(ValueError, match="expected a positive number"):
        checked(-1)


def test_the_address_of_a_callee_is_that_of_machine_code(kernel: Made) -> None:
    @kernel
    def cleared(x):
        x[:] = 0

    @kernel
    def both(x, y):
        cleared(x)
        cleared(y)

    x, y = np.ones(3), np.ones(3)
    both(x, y)
    signature = (types.Array(types.float64, 1, "C"),)
    assert linked(cleared, signature)
    assert row_of(cleared, (x,)) is None  # nobody has called it yet
    assert code_address(cleared, signature)
    assert not linked(cleared, signature)
    assert row_of(cleared, (x,)) is not None


def test_a_callee_finds_what_it_prints() -> None:
    program = """
import numba
from minigrad_kernels.jit.compile import jit
def made(function):
    function.__module__ = "minigrad_kernels.example"
    return jit(name="probe_linked." + function.__name__)(function)
@made
def said(x):
    print("so it is", x)
@made
def caller(x):
    said(x)
caller(1)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "so it is 1\n"
