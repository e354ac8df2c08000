"""What the source and the bytecode of a kernel's line tell of an access."""

from __future__ import annotations

import dis
import re
from functools import cache

from minigrad_cudasim.fault import Site

AUGMENTED = re.compile(r"\]\s*(\+|-|\*|\||&|\^)=")
SUM = re.compile(r"^\s*(\w+\[.*?\])\s*=\s*(.*)$")


def accumulates(line: str) -> bool:
    """Tell whether a line adds to an element: `y[i] += x`, `y[i] = y[i] + x`.

    >>> accumulates("y[0] += x[i]"), accumulates("y[0] = y[0] + x[i]"), accumulates("y[i] = x[i]")
    (True, True, False)
    """
    if AUGMENTED.search(line):
        return True
    found = SUM.match(line)
    return found is not None and found.group(1) in found.group(2)


def discarded(site: Site) -> bool:
    """Tell whether what is read at a place goes nowhere: into no name, or one never read."""
    code = site.code
    following = [i for i in dis.get_instructions(code) if i.offset > site.instruction]
    if not following:
        return False
    after = following[0]
    if after.opname == "POP_TOP":
        return True
    if after.opname != "STORE_FAST":
        return False
    name = after.argval
    return not any(
        i.opname.startswith("LOAD_FAST") and i.argval == name for i in dis.get_instructions(code)
    )


@cache
def written_negative(site: Site) -> bool:
    """Tell whether an index at a place is a negative number in the source: `x[-1]`, as is meant."""
    before = [i for i in dis.get_instructions(site.code) if i.offset <= site.instruction]
    last = before[-2] if len(before) > 1 else None
    return (
        last is not None
        and last.opname == "LOAD_CONST"
        and isinstance(last.argval, int)
        and last.argval < 0
    )
