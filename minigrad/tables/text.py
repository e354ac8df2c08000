"""The text of a table's file: bytes to lines to cells, with encoding and delimiter found."""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

DELIMITERS = ("\t", ";", "|", ",")  # of those that cut all lines alike the first is taken
SPACES = " "  # any run of blanks
LOOKED_AT = 200  # lines from which the delimiter is found
SAID = re.compile(r"\A\"?sep=(.)\"?[ \t]*\n", re.IGNORECASE)  # Excel's first line
REMARKS = ("#", "!", "%", "//")  # what a line begins with that is no row
MOST_REMARKS = 50  # lines above or below a table
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
OTHERS = {
    b"PK\x03\x04": "a zip archive or an Excel file; unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel file; save it as CSV",
    b"PAR1": "a Parquet file; name it with the ending .parquet",
    b"\x89PNG": "an image",
    b"%PDF": "a PDF file",
}


@dataclass(frozen=True)
class Cells:
    """What a file holds, column by column, as text.

    columns: as many lists as the table has columns, of one cell a row, blanks around it removed.
    lines: the number of the line on which each row begins, from 1.
    """

    columns: list[list[str]]
    lines: Sequence[int]
    delimiter: str
    encoding: str
    short_header: bool = False  # the first line has one cell less than the others
    left_out: tuple[int, ...] = ()  # numbers of the lines that are remarks, not rows

    @property
    def rows(self) -> int:
        """Return the number of lines with cells."""
        return len(self.lines)


def read_cells(
    path: str | PathLike[str], delimiter: str | None = None, encoding: str | None = None
) -> Cells:
    """Read a text file of cells: CSV, TSV, with semicolons, bars or blanks, gzip or not.

    delimiter, encoding: found where they are None.
    Raises: ValueError that names the line where a quote is not closed or the number of cells
        differs; for a file that holds no text, or none at all; OSError where it cannot be read.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = path.write_text("a;b\\n1,5;2\\n")
    >>> cells = read_cells(path)
    >>> cells.columns, cells.delimiter
    ([['a', '1,5'], ['b', '2']], ';')
    """
    path = Path(path)
    return cut(*read_text(read_bytes(path), path, delimiter, encoding), path)


def read_text(
    data: bytes, path: Path, delimiter: str | None, encoding: str | None
) -> tuple[str, str, str]:
    """Return a file's text, its delimiter and its encoding.

    Raises: as `read_cells`.
    """
    text, encoding = decoded(data, path, encoding)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text or text.isspace():
        raise ValueError(f"{path} has no rows; expected a header line and rows below it")
    if said := SAID.match(text):
        delimiter = delimiter or said[1]
        text = text[said.end() - 1 :]  # an empty line stays, so that lines keep their numbers
    if delimiter is None:
        delimiter = find_delimiter(text)
    elif len(delimiter) != 1 or delimiter in '"\n\r':
        raise ValueError(f"delimiter: expected one character such as ',' or ';', got {delimiter!r}")
    return text, delimiter, encoding


def cut(text: str, delimiter: str, encoding: str, path: Path) -> Cells:
    """Cut a text into cells.

    Raises: as `read_cells`.
    """
    if '"' in text:
        return _quoted(text, path, delimiter, encoding)
    return _plain(text, path, delimiter, encoding)


def read_bytes(path: Path) -> bytes:
    """Return the contents of a file, unpacked where it is a gzip file.

    Raises: ValueError for a damaged gzip file.
    """
    data = path.read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file: {error}") from None


def decoded(data: bytes, path: Path, encoding: str | None) -> tuple[str, str]:
    """Return bytes as text, and the encoding: a mark at the beginning says it, else it is UTF-8
    where that fits, else Windows' cp1252.

    >>> decoded("Zürich".encode("cp1252"), Path("t"), None)
    ('Zürich', 'cp1252')
    """
    for magic, what in OTHERS.items():
        if data.startswith(magic):
            raise ValueError(f"{path} holds no text: it is {what}")
    if encoding is None:
        encoding = next((name for mark, name in MARKS if data.startswith(mark)), None)
        if encoding is None and b"\x00" in data[:4096]:
            even, odd = data[0:4096:2].count(0), data[1:4096:2].count(0)
            encoding = {True: "utf-16-le", False: "utf-16-be"}[odd > even]
    tried = ("utf-8", "cp1252", "latin-1") if encoding is None else (encoding,)
    for name in tried:
        try:
            text = data.decode(name)
        except LookupError:
            raise ValueError(f"encoding: Python knows no {name!r}; say utf-8 or cp1252") from None
        except UnicodeError as error:
            problem = str(error)
            continue
        if "\x00" in text:
            raise ValueError(f"{path} holds no text, but bytes of 0; expected a table such as CSV")
        return text, "utf-8" if name == "utf-8-sig" else name
    raise ValueError(f"{path} cannot be read as {tried[-1]}: {problem}")


def find_delimiter(text: str) -> str:
    """Return what stands between cells: what cuts the most lines into one number of cells.

    >>> find_delimiter("name,size\\n'a;b',2\\n"), find_delimiter("1.5   2.5\\n3.5  4\\n")
    (',', ' ')
    """
    head = text[: 1 << 16]
    if len(text) > len(head):
        head = head[: head.rfind("\n") + 1] or head
    lines = [line for line in head.split("\n") if line.strip()][:LOOKED_AT]
    best, best_score = ",", 0.0
    for delimiter in (*DELIMITERS, SPACES):
        if delimiter == SPACES:
            if best_score >= 0.5:
                break
            counts = Counter(len(line.split()) for line in lines)
        else:
            counts = Counter(_count(line, delimiter) for line in lines)
        columns, agreeing = max(counts.items(), key=lambda item: (item[1], item[0]))
        score = agreeing / len(lines) if columns > 1 else 0.0
        if delimiter == SPACES and score < 1:
            continue
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _count(line: str, delimiter: str) -> int:
    """Return into how many cells a delimiter cuts a line, those in quotes left whole."""
    if '"' not in line:
        return line.count(delimiter) + 1
    outside = line.split('"')[::2]
    return sum(part.count(delimiter) for part in outside) + 1


def _plain(text: str, path: Path, delimiter: str, encoding: str) -> Cells:
    """Cut a text without quotes: at once, not line by line (0.1 us a cell)."""
    lines = text.split("\n")
    numbers: Sequence[int] = range(1, len(lines) + 1)
    # A line of tabs alone is a row whose cells are all missing, as one of commas is.
    blank = [not line.strip(" ") for line in lines]
    if any(blank):
        numbers = [i for i, empty in zip(numbers, blank, strict=True) if not empty]
        lines = [line for line, empty in zip(lines, blank, strict=True) if not empty]
    if delimiter == SPACES:
        table = [line.split() for line in lines]
        return _checked(table, numbers, path, delimiter, encoding)
    counts = [line.count(delimiter) + 1 for line in lines]
    if len(set(counts)) > 1:
        table = [line.split(delimiter) for line in lines]
        return _checked(table, numbers, path, delimiter, encoding)
    flat = delimiter.join(lines).split(delimiter)
    width = counts[0]
    columns = [flat[i::width] for i in range(width)]
    if " " in text or (delimiter != "\t" and "\t" in text):
        columns = [[cell.strip() for cell in column] for column in columns]
    return Cells(columns, numbers, delimiter, encoding)


def _quoted(
    text: str, path: Path, delimiter: str, encoding: str, escape: str | None = None
) -> Cells:
    """Cut a text with quotes by the csv module; those in a cell are doubled, or stand after a
    backslash where only so the text can be cut.
    """
    reader = csv.reader(
        text.split("\n") if delimiter == SPACES else _with_ends(text),
        delimiter=delimiter,
        strict=True,
        skipinitialspace=True,
        escapechar=escape,
    )
    table, numbers, begin = [], [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row) or len(row) > 1:
                table.append([cell.strip() for cell in row])
                numbers.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        if escape is None and '\\"' in text:
            return _quoted(text, path, delimiter, encoding, "\\")
        endless = "unexpected end" in str(error) or "field limit" in str(error)
        what = 'a quote (") is opened and never closed' if endless else f"quotes: {error}"
        raise ValueError(f"{path} line {begin}: {what}") from None
    if delimiter == SPACES:
        table = [[cell for cell in row if cell] for row in table]
    return _checked(table, numbers, path, delimiter, encoding)


def _with_ends(text: str) -> list[str]:
    """Return lines with their ends, which belong to a cell where it is quoted."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + lines[-1:]


def _checked(
    table: list[list[str]], numbers: Sequence[int], path: Path, delimiter: str, encoding: str
) -> Cells:
    """Turn rows into columns; mend what is a habit of some programs.

    A cell more at the end of all lines but the first is left out where it is empty; where it is
    not, the first column has no name (R writes so).  Remarks above, between and below are left out.
    Raises: ValueError naming the first line of another length.
    """
    table, numbers, left_out = _without_remarks(table, numbers)
    width = len(table[0])
    lengths = {len(row) for row in table[1:]}
    short = False
    if lengths == {width + 1}:
        if not any(row[-1].strip() for row in table[1:]):
            table = [table[0], *(row[:-1] for row in table[1:])]
        else:
            table[0] = ["", *table[0]]
            short, width = True, width + 1
    elif lengths - {width}:
        row = next(i for i, cells in enumerate(table) if len(cells) != width)
        named = {"\t": "tab", SPACES: "blank"}.get(delimiter, repr(delimiter))
        raise ValueError(
            f"{path} line {numbers[row]} has {len(table[row])} columns, but the header has {width}"
            f" (delimiter: {named}); mend the line, or name another delimiter"
        )
    columns = [[cell.strip() for cell in column] for column in zip(*table, strict=True)]
    return Cells(columns, numbers, delimiter, encoding, short, left_out)


def _without_remarks(
    table: list[list[str]], numbers: Sequence[int]
) -> tuple[list[list[str]], Sequence[int], tuple[int, ...]]:
    """Return rows without lines that say something of the table: those that begin with a mark for
    it, and above and below, lines of words in one cell; where other rows have more cells.
    """
    usual = Counter(map(len, table)).most_common(1)[0][0]
    if usual == 1 or all(len(row) == usual for row in table):
        return table, numbers, ()
    remark = [len(row) != usual and row[0].startswith(REMARKS) for row in table]
    ends = (range(len(table))[:MOST_REMARKS], range(len(table))[: -MOST_REMARKS - 1 : -1])
    for end in ends:
        for i in end:
            words = [cell for cell in table[i] if cell.strip()]
            if not remark[i] and not (
                len(table[i]) != usual and len(words) <= 1 and " " in "".join(words).strip()
            ):
                break
            remark[i] = True
    left = tuple(n for n, out in zip(numbers, remark, strict=True) if out)
    if not left or len(left) == len(table):
        return table, numbers, ()
    kept = [row for row, out in zip(table, remark, strict=True) if not out]
    return kept, [n for n, out in zip(numbers, remark, strict=True) if not out], left
