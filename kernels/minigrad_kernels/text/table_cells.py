"""The cells of a table's text: numbers by column, exactly as `float` reads them.

A cell of at most 19 significant digits is w 10^q with w in 64 bits.  Its float64 comes from the
upper 128 bits of w 5^q, whose powers are tabled, and is correctly rounded; the others are left to
the caller, who asks `float`.

Source: Lemire, "Number parsing at a gigabyte per second" (2021), section 5; Mushtak and Lemire,
"Fast number parsing without fallback" (2022), which proves that 128 bits are enough.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from minigrad_kernels.jit.compile import jit

Array = np.ndarray[Any, Any]
LEAST, MOST = -342, 308  # powers of ten between which a float64 may lie
DIGITS = 19  # that 64 bits always hold
ODD_OF_COLUMN = 512  # cells of a column that are no plain numbers; with more it is left as text
NEWLINE, BLANK, TAB, POINT, PLUS, MINUS, LETTER_E = 10, 32, 9, 46, 43, 45, 101
EXACT = 1 << 53  # a whole number below it is a float64, and so are powers of ten up to 22
TENS = 10.0 ** np.arange(23)
LONGEST = 8  # bytes of a word that stands for nothing


@functools.cache
def powers_of_five() -> tuple[Array, Array]:
    """Return the upper and the lower 64 bits of 5^q for q from LEAST to MOST, their first bit set:
    those of a negative power are rounded up, all others down.

    >>> upper, lower = powers_of_five()
    >>> hex(upper[-LEAST]), lower[-LEAST].item()
    ('0x8000000000000000', 0)
    """
    found = []
    for q in range(LEAST, MOST + 1):
        power = 5 ** abs(q)
        bits = (power - 1).bit_length()
        if q >= 0:
            power = power << 128 >> power.bit_length()
        elif q >= -27:
            power = (1 << (bits + 127)) // power + 1
        else:
            power = (1 << (2 * bits + 128)) // power + 1
            power >>= power.bit_length() - 128
        found.append(power)
    low = (1 << 64) - 1
    upper = np.array([power >> 64 for power in found], np.uint64)
    return upper, np.array([power & low for power in found], np.uint64)


def packed(words: Iterable[str]) -> Array:
    """Return words of at most eight bytes as numbers, the first byte the lowest.

    >>> packed(["A", "NA"]).tolist()
    [65, 16718]
    """
    coded = [word.encode() for word in words]
    return np.array(
        [int.from_bytes(word, "little") for word in coded if 0 < len(word) <= LONGEST], np.uint64
    )


@jit()
def upper_product(a, b):
    """Return the upper 64 bits of a product, and the lower ones."""
    shift, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    a1, a0, b1, b0 = a >> shift, a & mask, b >> shift, b & mask
    middle = a1 * b0 + (a0 * b0 >> shift)
    other = a0 * b1 + (middle & mask)
    return a1 * b1 + (middle >> shift) + (other >> shift), a * b


@intrinsic
def leading_zeros(typingctx, w):
    """Return how many upper bits of a uint64 above 0 are not set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@jit()
def rounded(w, q, upper, lower):
    """Return w 10^q for w above 0, correctly rounded, and whether that is sure: it is not for a
    subnormal number, for infinity, and in doubt.
    """
    doubt = np.float64(0), False
    if q < LEAST or q > MOST:
        return doubt
    zeros = leading_zeros(w)
    w <<= zeros
    high, low = upper_product(w, upper[q - LEAST])
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        more, _ = upper_product(w, lower[q - LEAST])
        low += more
        if more > low:
            high += np.uint64(1)
        if low == np.uint64(0xFFFFFFFFFFFFFFFF) and (q < -27 or q > 55):
            return doubt
    top = high >> np.uint64(63)
    shift = top + np.uint64(9)
    mantissa = high >> shift
    exponent = (((152170 + 65536) * q) >> 16) + 1086 + np.int64(top) - np.int64(zeros)
    halfway = low <= np.uint64(1) and -4 <= q <= 23 and mantissa & np.uint64(3) == np.uint64(1)
    if halfway and mantissa << shift == high:
        mantissa &= ~np.uint64(1)
    mantissa = (mantissa + (mantissa & np.uint64(1))) >> np.uint64(1)
    if mantissa >> np.uint64(53):
        mantissa = np.uint64(1) << np.uint64(52)
        exponent += 1
    if exponent <= 0 or exponent >= 2047:
        return doubt
    mantissa &= ~(np.uint64(1) << np.uint64(52))
    bits = np.uint64(mantissa | np.uint64(exponent) << np.uint64(52))
    return bits.view(np.float64), True


@jit()
def eight_bytes(data, i):
    """Return eight bytes as a number, the first the lowest: one load, as LLVM sees."""
    word = np.uint64(data[i])
    for k in range(1, 8):
        word |= np.uint64(data[i + np.uint64(k)]) << np.uint64(8 * k)
    return word


@jit()
def are_digits(word):
    """Say whether each of eight bytes is a digit: 0x30 to 0x39."""
    upper = np.uint64(0xF0F0F0F0F0F0F0F0)
    carried = (word + np.uint64(0x0606060606060606)) & upper
    return (word & upper) | carried >> np.uint64(4) == np.uint64(0x3333333333333333)


@jit()
def number_of(word):
    """Return the number that eight digits write: pairs, fours, all, each by one multiplication.

    Source: Lemire (2021), section 4, after Langdale and Mula.
    """
    word -= np.uint64(0x3030303030303030)
    word = word * np.uint64(10) + (word >> np.uint64(8))
    mask = np.uint64(0x000000FF000000FF)
    first = (word & mask) * np.uint64(0x000F424000000064)
    second = (word >> np.uint64(16) & mask) * np.uint64(0x0000271000000001)
    return first + second >> np.uint64(32)


@jit()
def parse_cells(data, delimiter, upper, lower, missing, numeric, odds, odd, values):
    """Read the cells of the columns that `numeric` marks; return how many odd ones there are, or -1
    where some line is blank or has another number of cells.

    data: (B,) uint8, which ends with a line end, without quotes.  delimiter: a byte.
    upper, lower: `powers_of_five()`.  missing: `packed` words that stand for nothing.
    numeric: (C,) uint8; set to 0 for a column with too many odd cells.
    odds: (C,) int64, zeros: counts.  odd: (M, 4) int64, row, column, first byte and end of each
        cell that is neither a number nor missing, or whose value is not sure.
    values: (C, N) float64 of the columns that stay marked, NaN for what is missing or odd.
    """
    width, rows = values.shape
    one, ten, zero = np.uint64(1), np.uint64(10), np.uint8(48)
    tab = np.uint8(TAB) if delimiter != TAB else np.uint8(BLANK)
    eight_more, safe = np.uint64(8), np.uint64(max(len(data) - 8, 0))
    i, found = np.uint64(0), 0
    for row in range(rows):
        if width == 1 and data[i] == NEWLINE:
            return -1
        for column in range(width):
            final = column == width - 1
            last = np.uint8(NEWLINE) if final else delimiter
            other = delimiter if final else np.uint8(NEWLINE)
            start = i
            if not numeric[column]:
                while data[i] != last:
                    if data[i] == other:
                        return -1
                    i += one
                i += one
                continue
            while data[i] == BLANK or data[i] == tab:
                i += one
            start = i
            negative = data[i] == MINUS
            if negative or data[i] == PLUS:
                i += one
            w, begin = np.uint64(0), i
            digit = np.uint8(data[i] - zero)
            while digit < 10:
                w = w * ten + np.uint64(digit)
                i += one
                digit = np.uint8(data[i] - zero)
            digits, q = np.int64(i - begin), 0
            if data[i] == POINT:
                i += one
                begin = i
                while i < safe:
                    eight = eight_bytes(data, i)
                    if not are_digits(eight):
                        break
                    w = w * np.uint64(100_000_000) + number_of(eight)
                    i += eight_more
                digit = np.uint8(data[i] - zero)
                while digit < 10:
                    w = w * ten + np.uint64(digit)
                    i += one
                    digit = np.uint8(data[i] - zero)
                q = -np.int64(i - begin)
                digits -= q
            right = digits > 0
            if right and data[i] | np.uint8(32) == LETTER_E:
                i += one
                down = data[i] == MINUS
                if down or data[i] == PLUS:
                    i += one
                power, begin = 0, i
                digit = np.uint8(data[i] - zero)
                while digit < 10:
                    power = min(power * 10 + np.int64(digit), 100_000)
                    i += one
                    digit = np.uint8(data[i] - zero)
                right = i > begin
                q += -power if down else power
            end = i
            while data[i] == BLANK or data[i] == tab:
                i += one
            if right and data[i] == last:
                if digits > DIGITS:  # zeros before the first other digit do not count
                    begin = start
                    while data[begin] < zero + 1 or data[begin] > zero + 9:
                        if data[begin] == zero:
                            digits -= 1
                        if begin + one == end:
                            break
                        begin += one
                if digits <= DIGITS:
                    if w < EXACT and -22 <= q <= 0:
                        value, sure = np.float64(w) / TENS[-q], True
                    else:
                        value, sure = rounded(max(w, one), q, upper, lower)
                        if w == np.uint64(0):
                            value, sure = np.float64(0), True
                    if sure:
                        values[column, row] = -value if negative else value
                        i += one
                        continue
            while data[i] != last:
                if data[i] == other:
                    return -1
                if data[i] != BLANK and data[i] != tab:
                    end = i + one
                i += one
            i += one
            values[column, row] = np.nan
            length = np.int64(end - start)
            nothing = length == 0
            if 0 < length <= LONGEST:
                word = np.uint64(0)
                for k in range(length):
                    word |= np.uint64(data[start + np.uint64(k)]) << np.uint64(8 * k)
                for known in missing:
                    nothing |= known == word
            if not nothing:
                if odds[column] == ODD_OF_COLUMN or found == len(odd):
                    numeric[column] = 0
                    continue
                odds[column] += 1
                odd[found, 0], odd[found, 1] = row, column
                odd[found, 2], odd[found, 3] = start, end
                found += 1
    return found if i == len(data) else -1


@jit()
def cell_ends(data, delimiter, numeric, ends):
    """Find where the cells of unmarked columns lie: `ends` (columns, N, 2), first byte and end."""
    width = len(numeric)
    i = 0
    for row in range(ends.shape[1]):
        place = 0
        for column in range(width):
            last = np.uint8(NEWLINE) if column == width - 1 else delimiter
            start = i
            while data[i] != last:
                i += 1
            if not numeric[column]:
                ends[place, row, 0], ends[place, row, 1] = start, i
                place += 1
            i += 1
