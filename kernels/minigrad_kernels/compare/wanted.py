"""What is asked of a comparison beside errors and times, settled before anything is measured."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from minigrad_kernels.compare import against, pairs
from minigrad_kernels.compare.gpus import GPUS
from minigrad_kernels.compare.targets import TARGETS, Entry
from minigrad_kernels.compare.verdict import LIMIT, MARGIN
from minigrad_kernels.cuda.compile import missing

FEW = 3  # kernels, of which all is measured that can be


@dataclass(frozen=True)
class Wanted:
    """What is measured beside errors and times; None: as `settled` decides."""

    statistics: bool | None = None
    checks: bool | None = None
    verdicts: bool | None = None
    phases: bool | None = None
    predict: tuple[str, ...] | None = None
    against: str | None = None
    sessions: bool | None = None
    margin: float = MARGIN
    limit: float = LIMIT

    def settled(self, found: Sequence[Entry], quick: bool) -> Wanted:
        """Return this with all decided: what takes long, for few kernels and not in a hurry.

        Raises: ValueError for GPUs of which no figures are known, and for files that are none.
        """
        own = any(entry.own for entry in found)
        few = len(found) <= FEW and not quick
        absent = TARGETS["cuda"].absent() is not None
        check_known("GPU", self.predict or (), list(GPUS))
        if self.statistics and (lacking := missing()):
            raise ValueError(f"compare: --statistics needs {', '.join(lacking)}")
        held = self.against is not None and not pairs.is_place(self.against)
        if held:
            assert self.against is not None
            against.read(Path(self.against))
        predicted = self.predict or (tuple(GPUS) if own and absent and few else ())
        return replace(
            self,
            statistics=self.statistics or (self.statistics is None and absent and not own),
            checks=(few or own) if self.checks is None else self.checks,
            verdicts=few if self.verdicts is None else self.verdicts,
            phases=few if self.phases is None else self.phases,
            predict=predicted,
            sessions=few and (held if self.sessions is None else self.sessions),
        )


def listed(names: str | Iterable[str] | None) -> list[str]:
    """Return one name or several as a list."""
    return [names] if isinstance(names, str) else list(names or ())


def check_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise a ValueError for a name that is not known, with the nearest that is."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.5)
            few = ", ".join(known[:6])
            hint = f"did you mean {' or '.join(near)}?" if near else f"such as {few}"
            raise ValueError(f"compare: no {what} {name!r}; {hint}")
