"""Numbers out of text: the kernel gives the bits that `float` gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.text.table_cells import (
    ODD_OF_COLUMN,
    cell_ends,
    packed,
    parse_cells,
    powers_of_five,
)

Array = np.ndarray[Any, Any]


def parse(lines: str, width: int, room: int = 1 << 12) -> tuple[Array, list[str], list[int]]:
    """Return what the kernel reads, the odd cells, and the marks of the columns."""
    data = np.frombuffer(lines.encode(), np.uint8)
    numeric, counts = np.ones(width, np.uint8), np.zeros(width, np.int64)
    odd, values = np.empty((room, 4), np.int64), np.empty((width, lines.count("\n")))
    missing = packed(["NA", "nan", "#N/A N/A"])
    comma = np.uint8(ord(","))
    powers = powers_of_five()
    found = parse_cells(data, comma, *powers, missing, numeric, counts, odd, values)
    assert found >= 0
    return values, [lines[a:b] for _, _, a, b in odd[:found].tolist()], numeric.tolist()


def drawn(g: np.random.Generator) -> list[str]:
    """Return cells of many kinds: any float64, few and many digits, near halves, near the ends."""
    bits = g.integers(0, 1 << 64, 4000, np.uint64).view(np.float64)
    cells = [repr(x) for x in bits[np.isfinite(bits)].tolist()]
    cells += [f"{x:.{k % 12}f}" for k, x in enumerate((1e3 * g.normal(size=4000)).tolist())]
    cells += [f"{x:.{k % 18}e}" for k, x in enumerate(bits[np.isfinite(bits)][:3000].tolist())]
    for low in (1 << 53, 1 << 54, 1 << 60, 1 << 63):  # whole numbers halfway between two float64
        cells += [str(low + d) for d in range(-70, 70)]
    cells += [f"{g.integers(1 << 62)}e{g.integers(-330, 310)}" for _ in range(3000)]
    cells += ["0", "-0", "0.0", "-0.000", "00012", ".5", "5.", "+3", "1E5", "1e+05"]
    cells += ["1e-400", "0e999"]
    cells += ["4.9e-324", "2.2250738585072014e-308", "2.2250738585072011e-308", "1.8e308"]
    cells += ["1.7976931348623157e308", "9007199254740993", "0.00000000000000000000000012345678901"]
    return [*cells, "123456789012345678901234567890", "8.988465674311580536566680721305e307"]


@pytest.mark.parametrize("seed", range(3))
def test_the_bits_are_those_of_float(seed: int) -> None:
    cells = drawn(np.random.default_rng(seed))
    for start in range(0, len(cells), 400):  # few odd ones a table: the column stays marked
        part = cells[start : start + 400]
        (got,), odd, _ = parse("".join(f"{cell}\n" for cell in part), 1)
        want = np.array([float(cell) for cell in part])
        left = np.isnan(got)
        assert [cell for cell, gone in zip(part, left, strict=True) if gone] == odd
        np.testing.assert_array_equal(got[~left].view(np.uint64), want[~left].view(np.uint64))
        for cell in odd:  # subnormal, infinite, or of more digits than 64 bits hold
            digits = cell.lower().partition("e")[0].replace(".", "").strip("+-0")
            assert abs(float(cell)) < 1e-307 or abs(float(cell)) > 1e308 or len(digits) > 19, cell


def test_cells_with_blanks_and_without_anything() -> None:
    values, odd, numeric = parse(" 1 ,NA\n\t-2.5\t,\n3 , nan \n4,#N/A N/A\n5,x y \n6,1_0\n", 2)
    np.testing.assert_array_equal(values[0], [1, -2.5, 3, 4, 5, 6])
    assert np.isnan(values[1]).all()
    assert (odd, numeric) == (["x y", "1_0"], [1, 1])
    assert parse("1,e5\n-,.\n1e,--1\n", 2)[1] == ["e5", "-", ".", "1e", "--1"]


def test_a_column_of_words_is_left_as_it_is() -> None:
    text = "".join(f"word {i},{i}\n" for i in range(ODD_OF_COLUMN + 5))
    values, odd, numeric = parse(text, 2)
    assert (len(odd), numeric) == (ODD_OF_COLUMN, [0, 1])
    np.testing.assert_array_equal(values[1], np.arange(ODD_OF_COLUMN + 5))
    ends = np.empty((1, ODD_OF_COLUMN + 5, 2), np.int64)
    data = np.frombuffer(text.encode(), np.uint8)
    cell_ends(data, np.uint8(ord(",")), np.array(numeric, np.uint8), ends)
    assert [text[a:b] for a, b in ends[0].tolist()] == [f"word {i}" for i in range(len(ends[0]))]
    assert parse(text, 2, room=7)[2] == [0, 1]  # no more room for odd cells


@pytest.mark.parametrize("lines", ["1,2\n3\n", "1,2\n3,4,5\n", "1,2\n\n", "1,x\ny\n"])
def test_lines_of_another_length_are_refused(lines: str) -> None:
    with pytest.raises(AssertionError):
        parse(lines, 2)
