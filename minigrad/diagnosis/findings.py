"""What the doctor says: findings, the report that holds them, and the registry of checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from minigrad.lazy import lazy

_console = lazy("rich.console")
_table = lazy("rich.table")
_text = lazy("rich.text")

# When a check looks: at model, optimizer, loaders and callbacks as they stand; at the tape of a
# training step; at the rows of the first epoch; at the steps looked at so far; at the end.
WHEN = ("setup", "step", "data", "running", "end")


class DoctorWarning(UserWarning):
    """A finding of the doctor, as a warning."""


class DoctorError(RuntimeError):
    """A finding of the doctor, where a Trainer was told doctor="raise"."""


class Seen(NamedTuple):
    """What a check saw, and the line that mends it.

    layer: the name of the module or parameter.  line: of the user's program, "file:line".
    sure: whether it is a fault whatever comes of it; what is not sure is said of a finished fit
        only where the model has not learnt.
    """

    seen: str
    fix: str
    layer: str = ""
    line: str = ""
    sure: bool = True


@dataclass(frozen=True)
class Finding:
    """One mistake, with its code.

    seen: what was seen, with numbers.  why: it hurts.  fix: the line that mends it.
    layer, line: where in the model and in the user's program, "" where that is not known.
    sure: False where it may be meant; see `Seen`.

    >>> print(Finding("MG101", "a title", "Softmax is last", "it hurts", "remove it"))
    MG101 Softmax is last: it hurts. Fix: remove it
    """

    code: str
    title: str
    seen: str
    why: str
    fix: str
    layer: str = ""
    line: str = ""
    sure: bool = True

    def __str__(self) -> str:
        where = f" ({self.line})" if self.line else ""
        return f"{self.code} {self.seen}{where}: {self.why}. Fix: {self.fix}"


class Check(NamedTuple):
    """A check: a function of a `Case` that yields what it sees."""

    code: str
    title: str
    when: str
    why: str
    look: Callable[[Any], Iterable[Seen]]


CHECKS: dict[str, Check] = {}


def check(code: str, title: str, when: str, why: str) -> Callable[[Any], Any]:
    """Enter a check into the registry.

    why: a clause without a full stop, which follows on what was seen.
    Raises: ValueError for a code that is taken.
    """

    def register(look: Any) -> Any:
        if code in CHECKS or when not in WHEN:
            raise ValueError(f"check {code}: the code is taken, or {when!r} is none of {WHEN}")
        CHECKS[code] = Check(code, title, when, why, look)
        return look

    return register


def ignored(codes: Any, asker: str) -> frozenset[str]:
    """Return codes as a set; a ValueError names one that is none.

    >>> import minigrad as mg
    >>> _ = mg.doctor  # loads the checks
    >>> sorted(ignored(["MG101"], "doctor"))
    ['MG101']
    """
    codes = [codes] if isinstance(codes, str) else list(codes)
    for code in codes:
        if code not in CHECKS:
            raise ValueError(
                f"{asker}: expected codes of checks such as 'MG101' to ignore, but got {code!r}; "
                "docs/doctor/index.md lists them"
            )
    return frozenset(codes)


def written(name: str) -> str:
    """Return how a program writes a module or parameter of its model.

    >>> written("0"), written("layers.2.weight"), written("")
    ('model[0]', 'model.layers[2].weight', 'model')
    """
    parts = [f"[{part}]" if part.isdigit() else f".{part}" for part in name.split(".") if part]
    return "model" + "".join(parts)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "step"), counted(3, "step")
    ('1 step', '3 steps')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Report:
    """Findings, in the order of their codes.

    >>> report = Report([Finding("MG101", "a title", "Softmax is last", "it hurts", "remove it")])
    >>> len(report), [finding.code for finding in report], "MG101" in report
    (1, ['MG101'], True)
    """

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self.findings = sorted(findings, key=lambda finding: finding.code)

    @property
    def codes(self) -> list[str]:
        """Return the codes found, each once."""
        return list(dict.fromkeys(finding.code for finding in self.findings))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __contains__(self, code: object) -> bool:
        return code in self.codes

    def to_json(self) -> str:
        """Return the findings as a JSON list of objects.

        >>> Report().to_json()
        '[]'
        """
        return json.dumps([asdict(finding) for finding in self.findings], indent=2)

    def __str__(self) -> str:
        if not self.findings:
            return "the doctor found nothing"
        return "\n".join(map(str, self.findings))

    def __rich__(self) -> Any:
        """Return a table for rich."""
        table = _table.Table(show_lines=True, title="the doctor's findings")
        for name in ("code", "what was seen", "why it hurts", "fix"):
            table.add_column(name, overflow="fold")
        for finding in self.findings:
            where = f"\n{finding.line}" if finding.line else ""
            sure = "" if finding.sure else " (perhaps meant)"
            cells = (finding.code, f"{finding.seen}{sure}{where}", finding.why, finding.fix)
            table.add_row(*map(_text.Text, cells))
        return table if self.findings else _text.Text(str(self))

    def print(self) -> None:
        """Print the findings as a table."""
        _console.Console().print(self)
