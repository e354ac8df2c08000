"""What a launch showed, as text, as JSON, and as a picture of who raced with whom."""

from __future__ import annotations

import json
from copy import copy
from html import escape
from textwrap import wrap
from typing import Any

from minigrad_cudasim.fault import Fault, Party
from minigrad_cudasim.findings import CAUSES, Findings


class Report:
    """The faults, notes and traffic of one launch, or of several.

    faults: what breaks a rule, causes first.  notes: races that change nothing (the same value
    written twice, a read that is not used).  traffic: what accesses asked of memory, where counted.
    lanes: whether all threads were run at once, in which nothing was found.  at_once: how many of
    several launches were.
    """

    def __init__(self, launched: str = ""):
        self.launched = launched
        self.faults: list[Fault] = []
        self.notes: list[Fault] = []
        self.traffic: Any = None
        self.launches = 1
        self.lanes = False
        self.at_once = 0

    def end(self, last: list[Fault], findings: Findings) -> Report:
        """Take what a launch ended with and what it met before; return the report."""
        found = sorted([*findings.held.values(), *last], key=lambda f: CAUSES.index(f.kind))
        self.faults += merged(found)
        self.notes += merged(findings.notes.values())
        for fault in [*found, *self.notes]:
            fault.launched = fault.launched or self.launched
        return self

    def add(self, other: Report) -> None:
        """Take over what another launch showed: each place once, with how often, of all launches.

        Faults are copied: one that is raised holds on to the frames that it came through.
        """
        self.launches += other.launches
        self.at_once += other.at_once + other.lanes
        self.faults = merged([*self.faults, *map(copy, other.faults)])
        self.notes = merged([*self.notes, *map(copy, other.notes)])
        if other.traffic is not None:
            self.traffic = (
                other.traffic if self.traffic is None else self.traffic.add(other.traffic)
            )

    def raise_faults(self) -> None:
        """Raise the first fault, with the others in it, where there is one."""
        if self.faults:
            first, *rest = self.faults
            first.others = tuple(rest)
            raise first from first.__cause__

    def __str__(self) -> str:
        parts = [fault.text for fault in self.faults]
        parts += [f"note, {note.text}" for note in self.notes]
        if self.traffic is not None:
            parts.append(str(self.traffic))
        return "\n".join(parts) or "no fault found"

    def json(self) -> str:
        """Return the report as JSON."""
        held = {
            "launch": self.launched,
            "launches": self.launches,
            "faults": [fault.as_dict() for fault in self.faults],
            "notes": [note.as_dict() for note in self.notes],
            "traffic": None if self.traffic is None else self.traffic.as_list(),
        }
        return json.dumps(held, indent=1)

    def svg(self) -> str:
        """Return a picture: for each race the two threads, in their warps, and their lines."""
        several = self.launches > 1 or not self.launched
        drawn, height = [], HEAD
        for faults, note in ((self.faults, False), (self.notes, True)):
            for fault in faults:
                if fault.parties:
                    text, tall = row(fault, height, note, several)
                    drawn.append(text)
                    height += tall
        height += 0 if drawn else EMPTY
        title = escape(f"{self.launches} launches" if several else self.launched)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" style="max-width:100%;min-width:620px;height:auto" '
            'font-family="sans-serif" font-size="13" role="img">'
            f"<title>{title}</title><style>{STYLE}</style>"
            f'<rect class="page" width="{WIDTH}" height="{height}"/>'
            f'<text class="ink" x="16" y="26" font-size="15">{title}</text>'
            f"{''.join(drawn) or NONE}</svg>"
        )


def merged(faults: Any) -> list[Fault]:
    """Return faults with those of one kind and the same lines as one, met as often as all."""
    held: dict[Any, Fault] = {}
    for fault in faults:
        sites = [party.site for party in fault.parties if party.site is not None]
        lines = frozenset((site.code.co_filename, site.line) for site in sites)
        key = (fault.kind, lines or fault.summary)
        if key in held:
            held[key].times += fault.times
        else:
            held[key] = fault
    return list(held.values())


WIDTH = 860
HEAD = 44
EMPTY = 60
BOX = 404
TALL = 96  # of a box, without the lines of its source
LINE = 18
CELL = 10
WORDS = 115  # letters of a line across the picture
SOURCE = 47  # letters of a line of source in a box
MOST = 4  # lines of source
STYLE = (
    ".page{fill:#fff}.ink{fill:#1a1a1a}.soft{fill:#666}.box{fill:none;stroke:#999}"
    ".thread{fill:#dcdcdc}.one{fill:#c0392b}"
    "@media (prefers-color-scheme:dark){.page{fill:#16181c}.ink{fill:#eee}.soft{fill:#aaa}"
    ".thread{fill:#3a3d44}}"
)
NONE = '<text class="ink" x="16" y="70">no fault found</text>'


def row(fault: Fault, top: int, note: bool, several: bool) -> tuple[str, int]:
    """Return one fault, and how tall it is: what it is, what to do, its threads side by side.

    note: whether it changes nothing.  several: whether to say in which launch it was.
    """
    said = f"{'note, ' * note}{fault.kind}: {fault.summary}"
    if fault.times > 1:
        said += f" (met {fault.times:,} times)"
    soft = wrap(fault.launched, WORDS) if several else []
    soft += wrap(fault.hint, WORDS)
    lines = [("ink", line) for line in wrap(said, WORDS)] + [("soft", line) for line in soft]
    text = "".join(
        f'<text class="{kind}" x="16" y="{top + 16 + LINE * i}">{escape(line)}</text>'
        for i, (kind, line) in enumerate(lines)
    )
    below = top + 8 + LINE * len(lines)
    parties = fault.parties[:2]
    sources = [wrap(source_of(p)[1], SOURCE)[:MOST] for p in parties]
    tall = TALL + LINE * max(map(len, sources))
    boxes = [
        drawn(p, source, 16 + i * (BOX + 20), below, tall)
        for i, (p, source) in enumerate(zip(parties, sources))
    ]
    return text + "".join(boxes), below - top + tall + 28


def source_of(p: Party) -> tuple[str, str]:
    """Return the file, line and function of a thread's act, and the text of that line."""
    place, _, source = ("", "", "") if p.site is None else str(p.site).partition(": ")
    return place, source


def drawn(p: Party, source: list[str], left: int, top: int, tall: int) -> str:
    """Return a thread as one of the 32 lanes of its warp, with its act and line."""
    cells = "".join(
        f'<rect class="{"one" if i == p.lane else "thread"}" '
        f'x="{left + 12 + i * (CELL + 1)}" y="{top + 46}" width="{CELL}" height="{CELL}"/>'
        for i in range(32)
    )
    lines = "".join(
        f'<text class="ink" x="{left + 12}" y="{top + 100 + LINE * i}" font-family="monospace" '
        f'xml:space="preserve">{escape(line)}</text>'
        for i, line in enumerate(source)
    )
    where = f"block {p.block}, thread {p.thread}, lane {p.lane} of warp {p.warp}"
    return (
        f'<rect class="box" x="{left}" y="{top}" width="{BOX}" height="{tall}" rx="6"/>'
        f'<text class="ink" x="{left + 12}" y="{top + 20}">{escape(cut(p.action, 50))}</text>'
        f'<text class="soft" x="{left + 12}" y="{top + 38}">{escape(where)}</text>{cells}'
        f'<text class="soft" x="{left + 12}" y="{top + 78}">{escape(cut(source_of(p)[0], 54))}'
        f"</text>{lines}"
    )


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "\u2026"
