"""The columns of a large text at once: numbers by a kernel, in a fifteenth of `cut`'s time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.lazy import lazy
from minigrad.tables.text import SPACES
from minigrad.tables.values import MISSING, are_codes, read_numbers
from minigrad_kernels.jit import plain

kernel = lazy("minigrad_kernels.text.table_cells")
Array = np.ndarray[Any, Any]
Column = list[str] | Array  # text, or float64 with NaN for what is missing
QUICK_FROM = 1 << 19  # characters; below, `cut` takes 20 ms, and the kernel's first load as long
SHORT = 16  # bytes of a word; columns of none longer are read word by word, not cell by cell
MASKS = np.array([(1 << 8 * width) - 1 for width in range(9)], np.uint64)
MOST_ODD = 1 << 16  # cells of a table that are neither plain numbers nor missing


def is_quick(text: str, delimiter: str) -> bool:
    """Say whether a text is one for the kernel: a large one, without quotes below the first line.

    In plain mode there are no kernels, and so none is.

    >>> is_quick("1,2", ",")
    False
    """
    if len(text) < QUICK_FROM or plain.ON or delimiter == SPACES or not delimiter.isascii():
        return False
    return text[0] != "\n" and text.find('"', text.find("\n") + 1) < 0


def first_lines(text: str, count: int) -> str:
    """Return the first lines of a text.

    >>> first_lines("a\\nb\\nc", 2)
    'a\\nb'
    """
    end = -1
    for _ in range(count):
        end = text.find("\n", end + 1)
        if end < 0:
            return text
    return text[:end]


def columns_quickly(
    text: str, data: bytes, delimiter: str, header: bool, head: Sequence[list[str]]
) -> list[Column] | None:
    """Return the columns of a text as `cut` and `read_numbers` would, numbers as float64; None
    where its lines are blank or have not all as many cells as its head.

    text: without quotes below its first line.  data: the file's bytes, which often are the text's:
        a copy of 40 MB takes 20 ms.  head: the first cells of each column, the name too.
    """
    if len(data) != len(text) or not text.isascii():
        data = text.encode()
    if not data.endswith(b"\n"):
        data += b"\n"
    end = len(data)
    while data[end - 2] == kernel.NEWLINE:
        end -= 1
    begin = data.find(b"\n") + 1 if header else 0
    rows, width = data.count(b"\n", begin, end), len(head)
    body = np.frombuffer(data, np.uint8)[begin:end]
    numeric = np.array([_numeric(cells[header:]) for cells in head], np.uint8)
    values = np.empty((width, rows))
    odd = np.empty((MOST_ODD, 4), np.int64)
    byte, counts = np.uint8(ord(delimiter)), np.zeros(width, np.int64)
    words = kernel.packed(MISSING)
    powers = kernel.powers_of_five()
    found = kernel.parse_cells(body, byte, *powers, words, numeric, counts, odd, values)
    if found < 0:
        return None
    for row, column, first, last in odd[:found].tolist():
        if numeric[column]:
            value = _value(data[begin + first : begin + last].decode())
            numeric[column] = value is not None
            values[column, row] = np.nan if value is None else value
    if numeric.all():
        return list(values)
    ends = np.empty((int(width - numeric.sum()), rows, 2), np.int64)
    kernel.cell_ends(body, byte, numeric, ends)
    ends += begin
    words_of = iter(ends)
    padded = np.frombuffer(data + bytes(SHORT), np.uint8)
    return [
        column if wanted else _cells(text, data, padded, next(words_of))
        for column, wanted in zip(values, numeric.tolist(), strict=True)
    ]


def _numeric(cells: Sequence[str]) -> bool:
    """Say whether cells are plain numbers, as far as they say anything, and no codes."""
    there = [cell for cell in cells if cell not in MISSING]
    if are_codes(there):
        return False
    found = read_numbers(there) if there else ("plain", None)
    return found is not None and found[0] == "plain"


def _value(cell: str) -> float | None:
    """Return a cell as a number, NaN for a missing one, None for a word."""
    cell = cell.strip()
    if cell in MISSING:
        return np.nan
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _cells(text: str, data: bytes, padded: Array, ends: Array) -> list[str]:
    """Return the text between first bytes and ends; a column of short words is told apart by their
    bytes, and each word is made once.
    """
    if len(ends) and (ends[:, 1] - ends[:, 0]).max() <= SHORT:
        first_rows, codes = _told_apart(padded, ends)
        words = [data[first:last].decode().strip() for first, last in ends[first_rows].tolist()]
        return list(map(words.__getitem__, codes.tolist()))
    if len(text) == len(data) or text.isascii():
        return [text[first:last].strip() for first, last in ends.tolist()]
    return [data[first:last].decode().strip() for first, last in ends.tolist()]


def _told_apart(data: Array, ends: Array) -> tuple[Array, Array]:
    """Return a row of each word, and the number of each row's word, for words of up to SHORT bytes.

    data: with SHORT bytes more than the text has.
    Shape: `ends: (N, 2)` -> `(W,)`, `(N,)`.
    """
    widths = ends[:, 1] - ends[:, 0]
    eights = np.ndarray((len(data) - 7,), np.uint64, data.data, strides=(1,))  # from every byte on
    keys = eights[ends[:, 0]] & MASKS[np.minimum(widths, 8)]
    if widths.max() <= 8:
        _, rows, codes = np.unique(keys, return_index=True, return_inverse=True)
        return rows, codes
    rest = eights[ends[:, 0] + 8] & MASKS[np.maximum(widths - 8, 0)]
    _, first = np.unique(keys, return_inverse=True)
    others, second = np.unique(rest, return_inverse=True)
    codes = first * len(others) + second
    _, rows, codes = np.unique(codes, return_index=True, return_inverse=True)
    return rows, codes
