"""The battery of dtypes: every op with every pair of dtypes and every kind of number, as PyTorch.

Where minigrad differs on purpose stands in `OURS`, and each entry must still differ.
"""

from __future__ import annotations

import operator
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.engine.dtype_cases import DTYPES, FAMILIES, PYTHON, RAISES, answer

GOLDEN = Path(__file__).parents[1] / "golden" / "dtypes.npz"
Answer = tuple[int, list[float]]

COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
ARITHMETIC = "add|sub|mul|floordiv|mod|pow|and_|or_|xor|lshift|rshift"
WHOLE = r"(?!.*(300|2\.5|float64))"
IN_PLACE = "iadd|isub|imul|ifloordiv|imod|ipow|iand|ior|ixor|ilshift|irshift"
# family, name, what minigrad does: "raises", or "accepts" what PyTorch refuses, or "computes" where
# PyTorch wraps a number or takes another dtype.
OURS = (
    # An int that the dtype does not hold is refused; PyTorch takes it modulo 256.
    (ARITHMETIC, r"uint8. (-3|300)|int8. 300|-3 uint8.", "raises"),
    (IN_PLACE, r"uint8. (-3|300)|int8. 300", "raises"),
    ("choices", r"where (uint8. -3|-3 uint8.)", "raises"),
    ("choices", rf"clamp uint8 (-3 {WHOLE}.*|{WHOLE}.* -3)", "raises"),
    ("written", r"(?!.*\d\*\*).* uint8 (-1|-3|-129)", "raises"),
    # ... and compared rightly.
    ("|".join(sorted(COMPARISONS)), r"(uint8. (-3|300)|int8. 300|-3 uint8.)", "computes"),
    # An integer to a negative power is no integer; PyTorch gives 0.
    ("pow", r"(bool|uint8|int\d+)[01] int\d+[01]", "raises"),
    ("pow", r"(-3|True|2|np\.(bool|u?int\d+)) int\d+1", "raises"),
    ("ipow", r"(uint8|int\d+)[01] int\d+1", "raises"),
    ("pow|ipow", r"bool[01] True", "raises"),
    # NumPy's bool counts as Python's; PyTorch takes it for a float, or refuses it.
    (".*", r".*np\.bool.*", "as True"),
    # NumPy's numbers are numbers; PyTorch refuses some that are no subclass of float.
    ("written", r".*np\.float32", "accepts"),
    ("creation", r"tensor\(\[(bool, u?int\d+|u?int\d+, bool)\]\)", "accepts"),
    # 2^70 is a float32, and true.
    ("written", r"(fill_|\[.*\]=|masked_fill|full\w*) (bool|float\d+) 2\*\*70", "accepts"),
    # Values are converted in an index assignment however they are indexed.
    ("written", r"\[list\]= \w+ \w+", "accepts"),
    # Counting happens in float64, and is then cut off; PyTorch cuts off start, end and step.
    ("creation", r"linspace \(0.5, 3.5, 3\) u?int\d+", "computes"),
    # a fractional step into integers: PyTorch cuts the step off, to 0 here
    ("creation", r"arange \(0, 3, 0.75\) u?int\d+", "raises"),
    ("creation", r"linspace \(-1, 1, 5\) uint8", "raises"),
    # Products of integers are refused.
    ("products", r"(matmul|mm|dot|linear) (u?int\d+) \2", "raises"),
    # Positions and targets of any integers.
    ("products", r"embedding (uint8|int8|int16) \w+", "accepts"),
    ("products", r"(cross_entropy|nll_loss) float\d+ (int8|int16|int32)", "accepts"),
    ("products", r"binary_cross_entropy(_with_logits)? float\d+ (bool|u?int\d+)", "accepts"),
    ("products", r"l1_loss float\d+ bool|l1_loss bool float\d+", "accepts"),
    ("products", r"binary_cross_entropy (float32 float64|float64 float32)", "accepts"),
    # The wider of two floats; PyTorch's are of one operand's dtype.
    ("products", r"huber_loss float32 float64", "computes"),
    ("products", r"binary_cross_entropy_with_logits float64 float32", "computes"),
)
PATTERNS = [(re.compile(f), re.compile(n), verdict) for f, n, verdict in OURS]


@cache
def golden() -> dict[str, list[Answer]]:
    found = {}
    with np.load(GOLDEN) as arrays:
        for family in FAMILIES:
            dtypes, counts, values = (
                arrays[f"{family}/{part}"] for part in ("dtypes", "counts", "values")
            )
            parts = np.split(values, np.cumsum(counts)[:-1])
            found[family] = [(int(d), p.tolist()) for d, p in zip(dtypes, parts, strict=True)]
    return found


def same(a: Answer, b: Answer) -> bool:
    return (
        a[0] == b[0]
        and len(a[1]) == len(b[1])
        and bool(np.allclose(a[1], b[1], rtol=2e-6, atol=1e-7, equal_nan=True))
    )


def shown(found: Answer) -> str:
    return "raises" if found[0] == RAISES else f"{DTYPES[found[0]]} {found[1]}"


def verdict_of(family: str, name: str) -> int | None:
    for i, (families, names, _) in enumerate(PATTERNS):
        if families.fullmatch(family) and names.fullmatch(name):
            return i
    return None


def compare(
    family: str, library: Any, want: list[Answer], ours: bool
) -> tuple[list[str], set[int]]:
    """Return what differs from the golden answers, and which entries of OURS were met."""
    wrong = []
    met = set()
    for (name, case), expected in zip(FAMILIES[family], want, strict=True):
        got = answer(library, case)
        at = verdict_of(family, name) if ours else None
        if same(got, expected):
            continue
        if at is not None and as_meant(PATTERNS[at][2], got, expected, family, name):
            met.add(at)
            continue
        wrong.append(f"{name}: {shown(got)}, expected {shown(expected)}")
    return wrong, met


def as_meant(verdict: str, got: Answer, expected: Answer, family: str, name: str) -> bool:
    """Return whether an answer differs from PyTorch's in the way that OURS says."""
    if verdict == "as True":
        cases = dict(FAMILIES[family])
        return same(got, answer(mg, cases[name.replace("np.bool", "True")]))
    raised = got[0] == RAISES
    return (verdict == "raises") == raised and (verdict != "accepts" or expected[0] == RAISES)


@cache
def results() -> dict[str, tuple[list[str], set[int]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {f: compare(f, mg, golden()[f], ours=True) for f in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_dtypes_and_values_are_pytorchs(family: str) -> None:
    wrong, _ = results()[family]
    assert not wrong, f"{len(wrong)} of {len(FAMILIES[family])} differ:\n" + "\n".join(wrong[:20])


def test_what_differs_on_purpose_still_differs() -> None:
    met = set().union(*(met for _, met in results().values()))
    assert [OURS[i] for i in range(len(OURS)) if i not in met] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_golden_answers_are_todays(family: str) -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # masks of uint8 are deprecated there
        wrong, _ = compare(family, torch, golden()[family], ours=False)
    assert not wrong, "\n".join(wrong[:20])


def test_comparisons_of_numbers_beyond_the_dtype_are_right() -> None:
    beyond = (*PYTHON.values(), 255, 256, -1, 2**40, 2**63, -(2**63), 2**70, -(2**70))
    for dtype in ("uint8", "int8", "int32", "int64", "bool"):
        elements = [0, 1, 1] if dtype == "bool" else [0, 100, 3]
        x = mg.tensor(elements, dtype=getattr(mg, dtype))
        for number in beyond:
            for name in COMPARISONS:
                f = getattr(operator, name)
                want = [f(e, number) for e in elements]
                assert f(x, number).tolist() == want, (dtype, name, number)
                assert f(number, x).tolist() == [f(number, e) for e in elements]
                assert f(x[1], number).item() == want[1]


def test_integer_tensors_are_compared_without_cutting_off() -> None:
    x = mg.tensor([3, 250], dtype=mg.uint8)
    assert (x == mg.tensor(259)).tolist() == [False, False]  # PyTorch: 259 becomes 3
    assert (x < mg.tensor(259)).tolist() == [True, True]
    assert (x > mg.tensor(-1, dtype=mg.int8)).tolist() == [True, True]
