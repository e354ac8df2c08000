"""The report of `minigrad check` as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from minigrad_kernels.pages import page as pages


def page(columns: Sequence[str], rows: Sequence[Any], title: str) -> str:
    """Return the table of results, each failure with its report before it.

    rows: (cells, whether right, report) of each op.

    >>> page(["op"], [(["Mul"], True, None)], "checked").count("<tr>")
    2
    """
    wrong = [i for i, (_, ok, _) in enumerate(rows) if not ok]
    reports = "\n".join(
        f"<h3>{escape(cells[0])}</h3><pre>{escape(report)}</pre>"
        for cells, _, report in rows
        if report
    )
    names = ", ".join(rows[i][0][0] for i in wrong)
    lead = f"<p>{len(rows) - len(wrong)} of {len(rows)} are right.</p>"
    if wrong:
        lead += f'<p class="wrong-note">Wrong: {escape(names)}</p>'
    marks = dict.fromkeys(wrong, "wrong")
    table = pages.table(columns, [cells for cells, _, _ in rows], 1, marks, label=title)
    return pages.page(title, [("Reports", reports), ("Results", table)], lead)
