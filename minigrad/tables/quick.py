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
    return [
        column if wanted else _cells(text, data, next(words_of))
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


def _cells(text: str, data: bytes, ends: Array) -> list[str]:
    """Return the text between first bytes and ends."""
    if len(text) == len(data) or text.isascii():
        return [text[first:last].strip() for first, last in ends.tolist()]
    return [data[first:last].decode().strip() for first, last in ends.tolist()]
