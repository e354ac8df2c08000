"""What accesses ask of memory: sectors a request of global memory, bank conflicts of shared memory.

The n-th access of a line by each lane of a warp is taken as one request, as where lanes run in
step.  A sector is 32 bytes; shared memory has 32 banks of 4 bytes, and a request takes as many
passes as its most wanted bank has different words.
Source: CUDA C++ Best Practices Guide, "Coalesced Access to Global Memory", "Shared Memory and
Memory Banks".
"""

from __future__ import annotations

import dis
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any

from minigrad_cudasim.fault import Site

SECTOR = 32
BANKS = 32
SHOWN = 5
Accesses = list[tuple[int, int]]  # address and bytes


@dataclass
class Line:
    """What one line, kind of access and space of memory asked for.

    units: sectors of global memory, passes of shared memory.  least: those that the same bytes,
    side by side, would have taken.
    """

    site: Site
    action: str
    space: str
    requests: int = 0
    units: int = 0
    least: int = 0

    @property
    def per_request(self) -> float:
        """Sectors or passes of one request, on average."""
        return self.units / self.requests

    @property
    def excess(self) -> int:
        """Units beyond the least."""
        return self.units - self.least

    def __str__(self) -> str:
        unit = "sectors" if self.space == "global" else "passes"
        return (
            f"  {self.per_request:.1f} {unit} a request ({self.least / self.requests:.1f} at "
            f"least), {self.requests} requests: {self.action} of {self.space} memory\n"
            f"      {self.site}"
        )


class Traffic:
    """The requests of a launch, each with the addresses of its lanes."""

    def __init__(self, machine: Any):
        self.machine = machine
        self.requests: dict[Any, Accesses] = defaultdict(list)
        self.turns: dict[Any, int] = defaultdict(int)
        self.held: dict[Any, Line] = {}
        self.inside: set[int] = set()  # threads whose accesses are parts of one that is counted

    def note(self, space: str, address: int, size: int, action: str, site: Site) -> None:
        """Count one thread's access."""
        thread = self.machine.thread
        if thread.number in self.inside:
            return
        site = opcode_of(site)
        key = (thread.number, action, site)
        turn = self.turns[key]
        self.turns[key] += 1
        group = (space, action, site, thread.number // 1024, thread.block.index, thread.warp, turn)
        self.requests[group].append((address, size))

    @contextmanager
    def together(
        self, space: str, address: int, size: int, action: str, site: Site
    ) -> Iterator[None]:
        """Count one access, of a vector, and none of its parts that the thread makes meanwhile."""
        self.note(space, address, size, action, site)
        number = self.machine.thread.number
        self.inside.add(number)
        try:
            yield
        finally:
            self.inside.discard(number)

    def lines(self) -> list[Line]:
        """Return the lines, those with the most units beyond the least first."""
        for (space, action, site, *_), accesses in self.requests.items():
            line = self.held.setdefault((space, action, site), Line(site, action, space))
            line.requests += 1
            units, least = sectors(accesses) if space == "global" else passes(accesses)
            line.units += units
            line.least += least
        self.requests.clear()
        return sorted(self.held.values(), key=lambda line: -line.excess)

    def add(self, other: Traffic) -> Traffic:
        """Return both together."""
        both = Traffic(self.machine)
        for line in [*self.lines(), *other.lines()]:
            key = (line.space, line.action, line.site)
            total = both.held.setdefault(key, Line(line.site, line.action, line.space))
            total.requests += line.requests
            total.units += line.units
            total.least += line.least
        return both

    def as_list(self) -> list[dict[str, Any]]:
        """Return the lines as what JSON can hold."""
        return [
            {
                **line.site.as_dict(),
                "access": line.action,
                "space": line.space,
                "requests": line.requests,
                "units": line.units,
                "least": line.least,
            }
            for line in self.lines()
        ]

    def __str__(self) -> str:
        worst = [line for line in self.lines() if line.excess][:SHOWN]
        if not worst:
            return "memory: each request takes as few sectors and passes as its bytes can"
        return "\n".join(["memory, the worst lines first:", *map(str, worst)])


def opcode_of(site: Site) -> Site:
    """Return a place at the beginning of its instruction.

    One that CPython has specialised stands at the caches behind it, and is the same access.
    """
    offsets = opcodes(site.code)
    return site._replace(instruction=offsets[bisect_right(offsets, site.instruction) - 1])


@cache
def opcodes(code: CodeType) -> list[int]:
    """Return where the instructions of a code object begin."""
    return [instruction.offset for instruction in dis.get_instructions(code)]


def sectors(accesses: Accesses) -> tuple[int, int]:
    """Return the sectors that a request touches, and those that its bytes need.

    >>> sectors([(4 * i, 4) for i in range(32)]), sectors([(128 * i, 4) for i in range(32)])
    ((4, 4), (32, 4))
    """
    touched = {
        sector
        for start, size in accesses
        for sector in range(start // SECTOR, -(-(start + size) // SECTOR))
    }
    total = sum(dict(accesses).values())
    return len(touched), max(1, -(-total // SECTOR))


def passes(accesses: Accesses) -> tuple[int, int]:
    """Return the passes that a request of shared memory takes, and those that its bytes need.

    >>> passes([(4 * i, 4) for i in range(32)]), passes([(128 * i, 4) for i in range(32)])
    ((1, 1), (32, 1))
    """
    words = {w for start, size in accesses for w in range(start // 4, -(-(start + size) // 4))}
    banks: dict[int, int] = defaultdict(int)
    for word in words:
        banks[word % BANKS] += 1
    return max(banks.values()), max(1, -(-len(words) // BANKS))
