"""The report of `minigrad check` as one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
.wrong { background: #fdd } pre { white-space: pre-wrap; background: #f6f6f6; padding: .7rem }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } th, td { border-color: #444 }
  .wrong { background: #522 } pre { background: #222 }
}
"""


def page(columns: Sequence[str], rows: Sequence[Any], title: str) -> str:
    """Return the table of results, each failure with its report below.

    rows: (cells, whether right, report) of each op.

    >>> page(["op"], [(["Mul"], True, None)], "checked").count("<tr>")
    2
    """
    head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
    lines, reports = [], []
    for cells, ok, report in rows:
        mark = "" if ok else ' class="wrong"'
        lines.append(f"<tr{mark}>{''.join(f'<td>{html.escape(c)}</td>' for c in cells)}</tr>")
        if report:
            reports.append(f"<h2>{html.escape(cells[0])}</h2><pre>{html.escape(report)}</pre>")
    wrong = sum(not ok for _, ok, _ in rows)
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<p>{len(rows) - wrong} of {len(rows)} are right.</p>"
        f"{''.join(reports)}<table><tr>{head}</tr>{''.join(lines)}</table></html>\n"
    )
