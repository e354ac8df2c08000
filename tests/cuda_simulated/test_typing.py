"""A simulated kernel computes in the types that Numba gives its numbers: the same bits, both ways.

What is expected is computed by the same source, compiled by Numba for the CPU: its typing of
numbers is that of its CUDA target.  Results are kept in 64 bits, so that a float32 where a float64
was due shows, and a uint32 where a uint64 was.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import cuda, njit
from numba.core import types
from numba.core.compiler import run_frontend
from numba.core.registry import cpu_target
from numba.core.typed_passes import type_inference_stage
from numpy import uint32, uint64

import minigrad_cudasim as simulate
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
INFIX = ["+", "-", "*", "/", "//", "%", "&", "|", "^", "<", "<=", ">", ">=", "==", "!="]
REALS = ["int32", "int64", "uint8", "uint32", "uint64", "float32", "float64"]
UNARY = (
    *("-a", "+a", "~a", "not a", "abs(a)", "int(a)", "float(a)", "bool(a)", "round(a)", "a**2"),
    *("a**3", "a**-1", "math.sqrt(abs(a))", "math.fabs(a)"),
    *(
        "float32(a)",
        "float64(a)",
        "int32(a)",
        "int64(a)",
        "uint32(a)",
        "uint64(a)",
    ),
    *(f"a {op} {literal}" for op in INFIX for literal in ("3", "-2", "0.1", "2**40", "True")),
    *(f"3 {op} a" for op in INFIX),
    *("a << 13", "a >> 3", "1 << (a & 7)", "a + 1 - 2", "(a + 1) / 3", "math.sqrt(a * 0 + 2)"),
)
BINARY = (
    *(f"a {op} b" for op in INFIX),
    *("a << (b & 7)", "a >> (b & 7)", "min(a, b)", "max(a, b)", "a if i % 2 else b"),
    *("math.copysign(a, b)", "math.fmod(a, b)", "a and b", "a or b", "a + b * a - b"),
    *("(a + b) / 3 * 2", "a * 1000003 + b >> 3", "pick(a, b)", "total(a, b)", "turned(a, b)"),
)
SAMPLE = [  # pairs, of which each operation is tried at every run
    *[("float32", t) for t in ("int64", "float32", "uint8", "bool", "float64")],
    *[("uint32", t) for t in ("int32", "uint32", "float32")],
    *[("uint64", "int64"), ("uint8", "uint8"), ("int64", "int64")],
]
HEAD = """
import math
from numba import cuda, njit
from numpy import float32, float64, int32, int64, uint32, uint64


@njit
def pick(a, b):
    if a < b:
        return a
    return b


@njit
def total(a, b):
    made = 0
    for k in range(3):
        if k == 1:
            made += a
            continue
        made += b
    return made


@njit
def turned(a, b):
    found = a
    while found < 100:
        if found > 50:
            break
        found = found * 2 + b * b + 1
        if found * 0 != 0:
            break
    return found


@njit(error_model="numpy")
def batch(i, x, y, reals, wholes, pairs):
    a, b = x[i], y[i]
"""
TAIL = """

def kernel(x, y, reals, wholes, pairs):
    i = cuda.grid(1)
    if i < x.size:
        batch(i, x, y, reals, wholes, pairs)


@njit
def compiled(x, y, reals, wholes, pairs):
    for i in range(x.size):
        batch(i, x, y, reals, wholes, pairs)
"""

Array = np.ndarray[Any, Any]


def numbers(dtype: str, seed: int) -> Array:
    """Return small and large numbers of a type, none of them 0."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(32) < (0.7 if seed == 1 else 2)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        small = rng.integers(-20 if limits.min else 1, 50, 20)
        wide = rng.integers(limits.min, limits.max, 12, kind, endpoint=True)
        made = np.concatenate([small.astype(kind), wide])
        return np.where(made == 0, 1, made).astype(kind)
    made = rng.normal(size=32) * 10.0 ** rng.integers(-3, 4, 32)
    if kind.kind == "c":
        return (made + 1j * rng.normal(size=32)).astype(kind)
    return made.astype(kind)


def left_out(expression: str, a: str, b: str) -> bool:
    """Tell whether an expression has no meaning that a language promises: out of range, 1 / 0."""
    whole = np.dtype(a).kind in "iub"
    if np.dtype(a).kind == "c" and re.match(r"[a-z]*(int|float)\d+\(a\)", expression):
        return True
    if a == "uint64" and expression == "round(a)":
        return True  # Numba goes through float64
    if np.dtype(a).kind == "c" and expression in ("a**3", "a**-1"):
        return True  # a transcendental function
    if expression in ("uint32(a)", "uint64(a)"):
        return not whole
    return a == "bool" and (expression == "a**-1" or expression.split()[1:2] in (["//"], ["%"]))


def typed(expressions: tuple[str, ...], a: str, b: str) -> list[tuple[str, Any]]:
    """Return the expressions that Numba compiles for two types, with the type that they have."""
    space: dict[str, Any] = {}
    exec(HEAD, space)
    context, target = cpu_target.typing_context, cpu_target.target_context
    context.refresh()
    target.refresh()
    given = (*(types.boolean if t == "bool" else getattr(types, t) for t in (a, b)), types.int64)
    found = []
    for expression in expressions:
        exec(f"def f(a, b, i): return {expression}", space)
        try:
            tree = run_frontend(space["f"])
            result = type_inference_stage(context, target, tree, given, None, {})[1]
        except Exception:
            continue
        if not left_out(expression, a, b) and isinstance(result, types.Number | types.Boolean):
            found.append((expression, result))
    return found


def outcomes(path: Path, a: str, b: str, found: list[tuple[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the bits of each expression: compiled, all threads at once, one after the other."""
    homes, lines = [], []
    for number, (expression, kind) in enumerate(found):
        home = "pairs" if isinstance(kind, types.Complex) else "wholes"
        home = "reals" if isinstance(kind, types.Float) else home
        homes.append(home)
        lines.append(f"    {home}[{number}, i] = {expression}")
    path.write_text(HEAD + "\n".join(lines) + "\n" + TAIL)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x, y = numbers(a, 1), numbers(b, 2)
    made = []
    for way in ("compiled", True, False):
        out = {
            name: np.zeros((len(found), x.size), dtype)
            for name, dtype in (("reals", float), ("wholes", np.int64), ("pairs", complex))
        }
        if way == "compiled":
            module.compiled(x, y, *out.values())
        else:
            report = simulate.check(module.kernel, 1, x.size, x, y, *out.values(), lanes=bool(way))
            assert not report.faults, report.faults[0]
        made.append([canonical(out[home][i]) for i, home in enumerate(homes)])
    return list(zip(*made, strict=True))


def canonical(values: Array) -> bytes:
    """Return the bits of numbers, all NaN alike."""
    return np.where(values == values, values, np.nan).astype(values.dtype).tobytes()


def disagreements(path: Path, a: str, b: str, expressions: tuple[str, ...]) -> list[str]:
    """Return the expressions that come out in other bits than compiled ones."""
    found = typed(expressions, a, b)
    wrong = []
    for (expression, kind), (right, at_once, alone) in zip(
        found, outcomes(path, a, b, found), strict=True
    ):
        if right != at_once or right != alone:
            how = "both ways" if at_once == alone else "at once" if right == alone else "alone"
            wrong.append(f"{a} {b}: {expression} -> {kind} ({how})")
    return wrong


@pytest.mark.parametrize(("a", "b"), [*itertools.product(DTYPES, DTYPES)])
def test_two_numbers_give_what_numba_computes(
    a: str, b: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if (a, b) not in SAMPLE and not request.config.getoption("--all-trials"):
        pytest.skip("of all pairs: --all-trials")
    assert disagreements(tmp_path / f"{a}_{b}.py", a, b, BINARY) == []


@pytest.mark.parametrize("a", DTYPES)
def test_one_number_gives_what_numba_computes(
    a: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if a not in ("float32", "uint32", "uint8") and not request.config.getoption("--all-trials"):
        pytest.skip("of all types: --all-trials")
    assert disagreements(tmp_path / f"{a}_alone.py", a, a, UNARY) == []


def test_functions_that_cuda_types_by_itself_round_floats_to_floats() -> None:
    def kernel(x, n, y):
        y[0] = math.floor(x[0]) / 3
        y[1] = math.ceil(x[0]) / x[0]
        y[2] = math.trunc(n[0]) / 3
        y[3] = math.pow(x[0], 2) - math.pow(x[0], 2.0)

    x, n = np.full(1, 2.7, np.float32), np.full(1, 5)
    for lanes in (True, False):
        y = np.zeros(4)
        simulate.launch(kernel, 1, 1, x, n, y, lanes=lanes)
        assert y.tolist() == [2 / 3, float(np.float32(3) / x[0]), 5 / 3, 0]


# ---------------------------------------------------------------- names, loops and arrays
@njit
def smaller(a, low=2):
    if a > low:
        return a / 3
    if a < 0:
        return 0
    return a


@njit
def both(a, b):
    return a * 2, b + 1


def accumulates_from_a_whole_number(i, x, y, out):
    acc = 0
    for k in range(i + 1):
        acc += x[k]
    out[0, i] = acc / 3
    total = 0.0
    for k in range(i + 1):
        total += x[k] * y[k]
    out[1, i] = total


def branches_of_two_types(i, x, y, out):
    if i % 3 == 0:
        v = 1
    elif i % 3 == 1:
        v = x[i]
    else:
        v = y[i] * y[i]
    out[0, i] = v * v / 7
    w = x[i]
    if i > 5:
        w = w * 3
    out[1, i] = w * w


def loops_left_early(i, x, y, out):
    v = x[i]
    for k in range(6):
        if k == i % 7:
            v = v / 3
            break
        if k % 2:
            continue
        v = v + y[k]
    else:
        v = 1
    out[0, i] = v * v
    n = 0
    while True:
        n = n + x[n]
        if n > 3 or n < 1:
            break
        n = 5
    out[1, i] = n / 9


def swapped(i, x, y, out):
    a, b = x[i], y[i]
    for _ in range(3):
        a, b = b, a + b
    out[0, i] = a * a
    out[1, i] = b * b / 3


def calls(i, x, y, out):
    p, q = both(x[i], y[i])
    out[0, i] = smaller(p) * smaller(q, 1) + smaller(i)
    pair = (x[i], y[i] * 3)
    out[1, i] = pair[0] * pair[0] + pair[1]


def elements_changed_in_place(i, x, y, out):
    x[i] += 1
    x[i] *= y[i]
    x[i] -= 0.1
    out[0, i] += x[i]
    y[i] //= 3
    y[i] += x[i] > 2
    out[1, i] = y[i] * y[i] / 3


def hashes(i, x, y, out):
    h = uint32(2166136261)
    for k in range(uint32(i + 3)):
        h = (h ^ k) * uint32(16777619)
    out[0, i] = h >> 7
    s = uint64(i + 88172645463325252)
    for _ in range(4):
        s ^= s << uint64(13)
        s ^= s >> uint64(7)
        s ^= s << 17
    out[1, i] = s % uint64(1000003)
    t = i
    for _ in range(9):
        t = t * 6364136223846793005 + 1442695040888963407
        t ^= t >> 29
    out[2, i] = t % 1000003


def of_chains(i, x, y, out):
    out[0, i] = (0 < x[i] < y[i]) + (x[i] <= 1 <= y[i] * 0.3)
    out[1, i] = (x[i] or y[i]) * (x[i] and 3) * (i and x[i])
    out[2, i] = min(x[i], y[i], 3) + max(x[i], 1) + abs(-x[i] * 7)


RULES = (
    accumulates_from_a_whole_number,
    branches_of_two_types,
    loops_left_early,
    swapped,
    calls,
    elements_changed_in_place,
    hashes,
    of_chains,
)


@pytest.mark.parametrize(("a", "b"), [*itertools.product(REALS, REALS)])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_names_have_the_types_that_numba_unites(
    rule: Any, a: str, b: str, request: pytest.FixtureRequest
) -> None:
    every = request.config.getoption("--all-trials") and (rule is not hashes or a == b)
    if (a, b) not in (("float32", "uint32"), ("int32", "float32")) and not every:
        pytest.skip("of all pairs: --all-trials")
    compiled = njit(error_model="numpy")(rule)

    def looped(x, y, out):
        for i in range(x.size):
            compiled(i, x, y, out)

    def kernel(x, y, out):
        i = cuda.grid(1)
        if i < x.size:
            compiled(i, x, y, out)

    made = []
    for way in ("compiled", True, False):
        x, y, out = (np.arange(1, 33) / 4).astype(a), numbers(b, 2), np.zeros((3, 32))
        x[::3] *= x.dtype.type(5)
        if way == "compiled":
            looped(x, y, out)
        else:
            report = simulate.check(kernel, 2, 16, x, y, out, lanes=bool(way))
            assert not report.faults, report.faults[0]
            assert report.lanes == bool(way)
        made.append([*map(canonical, out), canonical(x), canonical(y)])
    assert made[0] == made[2], rule.__name__
    assert made[1] == made[2], rule.__name__
