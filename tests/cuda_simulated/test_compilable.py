"""What Numba would refuse to compile is refused by the simulator, and nothing else is."""

from __future__ import annotations

import linecache
import math
import random
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from numba import cuda, njit, types
from numba.extending import register_jitable

import minigrad_cudasim
from minigrad_cudasim.api import Fault
from minigrad_cudasim.compilable import refusals
from minigrad_kernels.cuda import numba_compiler
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

REFUSED = {
    "np.zeros(3)[0]": "cuda.local.array",
    "np.empty_like(x)[0]": "cuda.local.array",
    "np.arange(3)[0]": "cuda.local.array",
    "np.sort(x)[0]": "cuda.local.array",
    "np.concatenate((x, x))[0]": "cuda.local.array",
    "np.sqrt(x[0])": "math.sqrt",
    "np.exp(x[0])": "math.exp",
    "np.abs(x[0])": "abs()",
    "np.power(x[0], 2)": "an operator",
    "np.clip(x[0], 0, 1)": "write a loop",
    "np.linalg.norm(x)": "write a loop",
    "np.random.rand()": "xoroshiro128p",
    "random.random()": "xoroshiro128p",
    "math.factorial(3)": "write a loop",
    "math.gcd(4, 6)": "write a loop",
    "sorted((2, 1))[0]": "write a loop",
    "any((True, False))": "write a loop",
    "len(f'{i}')": "",
    "[1, 2][0]": "",
}
TAKEN = [
    "np.sin(x[0])",
    "np.maximum(x[0], 1)",
    "np.float32(x[0])",
    "np.sum(x)",
    "np.pi",
    "math.sqrt(x[0])",
    "math.exp2(x[0])",
    "math.nextafter(x[0], 1.0)",
    "math.erf(x[0])",
    "abs(x[0])",
    "round(x[0])",
    "max(x[0], 1.0)",
    "min(1, 2)",
    "int(x[0])",
    "divmod(7, 2)[0]",
    "pow(x[0], 2)",
    "len(x)",
    "complex(1, 2).real",
    "isinstance(x[0], float)",
    "i in [1, 2]",
    "i not in [i, x.size]",
    "zeros(x[0])",
]


def kernel_of(expression: str) -> FunctionType:
    """Return a kernel that stores an expression."""
    text = f"def kernel(x, y):\n  i = cuda.grid(1)\n  if i < x.size:\n    y[i] = {expression}"
    name = f"<{expression}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)

    @cuda.jit(device=True)
    def zeros(x):
        return 2 * x

    names: dict[str, Any] = {"np": np, "math": math, "random": random, "cuda": cuda}
    names["zeros"] = zeros  # a name that NumPy has, too
    exec(compile(text, name, "exec"), names)
    made: FunctionType = names["kernel"]
    return made


def compiles(function: FunctionType) -> bool:
    """Return whether Numba has code for a kernel."""
    array = types.Array(types.float64, 1, "C")
    try:
        numba_compiler.compiled(cuda.jit(function), (array, array), (8, 0))
    except Exception:
        return False
    return True


@pytest.mark.parametrize("expression", [*REFUSED, *TAKEN])
def test_what_a_kernel_may_call(expression: str) -> None:
    found = refusals(kernel_of(expression))
    if expression in TAKEN:
        assert found is None
        return
    assert found is not None and found.kind == "compile"
    assert "Numba compiles no code for a GPU of" in found.summary
    assert REFUSED[expression] in found.hint
    assert found.lines == (4,)


@pytest.mark.skipif(numba_compiler.missing() is not None, reason="needs numba-cuda")
@pytest.mark.parametrize("expression", [*REFUSED, *TAKEN])
def test_it_is_what_numba_refuses(expression: str) -> None:
    assert compiles(kernel_of(expression)) == (expression in TAKEN)


def test_names_of_the_kernels_own_are_let_be() -> None:
    def kernel(x, sorted):
        zeros = x
        any = zeros[0]
        x[0] = sorted(any)

    assert refusals(kernel) is None


def plain(x):
    return 2 * x


@register_jitable
def told(x):
    return 2 * x


@njit
def both(x):
    return 2 * x


@cuda.jit(device=True)
def calls_plain(x):
    return plain(x)


@cuda.jit(device=True)
def makes_a_list(x):
    held = [x, 2 * x]
    return held[0]


@cuda.jit(device=True)
def makes_a_tuple(x):
    held = (x, 2 * x)
    return held[0]


@cuda.jit(device=True)
def deeper(x):
    return makes_a_list(x)


@cuda.jit(device=True)
def goes_over_lists(x):
    total = x
    for j in [1, 2, 4]:
        for k, m in [(j, x), (2, x)]:
            total += k * m
    return total


CALLED: dict[str, tuple[Any, str]] = {  # with what is said of it, and "" where Numba compiles it
    "plain": (plain, "is a function of Python alone"),
    "calls_plain": (calls_plain, "is a function of Python alone"),
    "makes_a_list": (makes_a_list, "a list"),
    "deeper": (deeper, "a list"),
    "makes_a_tuple": (makes_a_tuple, ""),
    "goes_over_lists": (goes_over_lists, ""),
    "told": (told, ""),
    "both": (both, ""),
}


def caller(name: str) -> FunctionType:
    """Return a kernel that calls a function."""
    function = CALLED[name][0]

    def kernel(x, y):
        i = cuda.grid(1)
        if i < x.size:
            y[i] = function(x[i])

    return kernel


@pytest.mark.parametrize("name", CALLED)
def test_what_is_called_must_be_compiled_too(name: str) -> None:
    found, said = refusals(caller(name), jitted=True), CALLED[name][1]
    assert (found is None) == (not said)
    if found is not None:
        assert found.kind == "compile" and said in found.summary
    # A kernel that is itself a function of Python stands for all that it calls.
    assert (refusals(caller(name)) is None) == (not said or name == "plain")


@pytest.mark.skipif(numba_compiler.missing() is not None, reason="needs numba-cuda")
@pytest.mark.parametrize("name", CALLED)
def test_what_is_called_is_what_numba_refuses(name: str) -> None:
    assert compiles(caller(name)) == (not CALLED[name][1])


def test_a_jitted_kernel_that_calls_a_plain_function_is_refused_where_it_is_launched() -> None:
    with minigrad_cudasim.simulate(), pytest.raises(Fault, match="cuda.jit.device=True"):
        cuda.jit(caller("plain"))[1, 8](np.ones(8), np.ones(8))
    jitted_before = cuda.jit(caller("plain"))
    with minigrad_cudasim.simulate(), pytest.raises(Fault, match="cuda.jit.device=True"):
        jitted_before[1, 8](np.ones(8), np.ones(8))
    minigrad_cudasim.launch(caller("plain"), 1, 8, np.ones(8), np.ones(8))
