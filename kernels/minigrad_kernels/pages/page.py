"""A page: its style, its head, its sections and tables.  All text that is given is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as escaped

SHORT = 24  # letters of a cell of words up to which it is not broken
MIDDLING = 14  # letters of a class that has a column's head to itself
LONG = 40  # letters of a cell from which it is a sentence, which has room
# Colours of series: apart from each other in lightness too, and each goes with a dash and a marker.
LIGHT = ("#0b5fa5", "#c1440e", "#1a7f4b", "#8a4fa3", "#806600", "#0d7f88", "#b0246a", "#555555")
DARK = ("#6cb4f5", "#ff9666", "#5fd08f", "#d3a1ea", "#e0c04a", "#5cd6df", "#ff8fc4", "#b5b5b5")


def _colours(colours: Sequence[str]) -> str:
    return " ".join(f"--c{i}: {colour};" for i, colour in enumerate(colours))


_SERIES = "\n".join(
    f"svg .s{i} {{ stroke: var(--c{i}) }} svg .f{i} {{ fill: var(--c{i}) }}"
    for i in range(len(LIGHT))
)
_DARK = f"""
  color-scheme: dark; --paper: #14161a; --ink: #e4e6ea; --faint: #a3a9b3; --line: #363b44;
  --soft: #1e2127; --bad: #ff8a80; --bad-soft: #46211f; --good: #5fd08f;
  --shade: 45%; {_colours(DARK)}
"""
STYLE = f"""
:root {{
  color-scheme: light; --paper: #ffffff; --ink: #1b1e23; --faint: #5b626d; --line: #d5d9df;
  --soft: #f4f6f8; --bad: #a4160c; --bad-soft: #fde7e5; --good: #1a7f4b;
  --shade: 55%; {_colours(LIGHT)}
}}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
* {{ box-sizing: border-box }}
body {{
  margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 3.5rem) 4rem; max-width: 120rem;
  background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
}}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 }}
h2 {{ font-size: 1.2rem; margin: 2.5rem 0 .75rem; scroll-margin-top: 1rem }}
h3 {{ font-size: 1rem; margin: 1.5rem 0 .5rem }}
p, dd {{ max-width: 75ch; overflow-wrap: anywhere }}
a {{ color: var(--c0) }} .faint {{ color: var(--faint) }}
nav ul {{ display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0 }}
.charts {{
  display: grid; gap: 1.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr));
}}
.charts.large {{ grid-template-columns: repeat(auto-fit, minmax(min(100%, 44rem), 1fr)) }}
figure {{ margin: 0; min-width: 0 }}
.charts > figure {{ max-width: 28rem }} .charts.large > figure {{ max-width: none }}
figcaption {{ font-weight: 600; overflow-wrap: anywhere }}
svg.chart {{ display: block; width: 100%; height: auto }}
svg.chart text {{ fill: var(--ink); font: 11px system-ui, sans-serif }}
svg.chart text.faint {{ fill: var(--faint) }}
svg .grid {{ stroke: var(--line); stroke-width: 1; fill: none }}
svg .axis {{ stroke: var(--faint); stroke-width: 1; fill: none }}
svg .mark {{ stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 3 }}
svg .limit {{ stroke: var(--faint); stroke-width: 1.5; fill: none }}
svg .lead {{ stroke: var(--faint); stroke-width: .6 }}
svg .cloud {{ fill: none; stroke-width: 5; stroke-linecap: round; opacity: .45 }}
svg .series {{ fill: none; stroke-width: 1.8; stroke-linejoin: round }}
{_SERIES}
svg .band {{ stroke: none }} svg .band.wide {{ opacity: .16 }} svg .band.mid {{ opacity: .28 }}
svg .band.near {{ opacity: .4 }}
svg.key {{ width: 28px; height: 12px; vertical-align: -1px; margin-right: .3rem; flex: none }}
ul.legend {{
  display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; margin: .25rem 0 .5rem;
  padding: 0; font-size: .85rem;
}}
ul.legend li {{ display: flex; align-items: center }}
svg.chart.wide-only, svg.chart.full-only {{ display: none }}
@media (min-width: 46rem) {{
  svg.chart.wide-only {{ display: block }} svg.chart.narrow-only {{ display: none }}
}}
@media (min-width: 75rem) {{
  svg.chart.full-only {{ display: block }} svg.chart.wide-only {{ display: none }}
}}
.scroll {{ overflow-x: auto; max-width: 100%;
  background:
    linear-gradient(to right, var(--paper) 40%, transparent) local 0 0 / 3rem 100% no-repeat,
    linear-gradient(to left, var(--paper) 40%, transparent) local 100% 0 / 3rem 100% no-repeat,
    linear-gradient(to right, var(--line), transparent) scroll 0 0 / 1rem 100% no-repeat,
    linear-gradient(to left, var(--line), transparent) scroll 100% 0 / 1rem 100% no-repeat }}
table {{ border-collapse: collapse; margin: .5rem 0; font-size: .9rem }}
th, td {{ padding: .2rem .7rem .2rem 0; text-align: right; vertical-align: top;
  font-variant-numeric: tabular-nums; border-bottom: 1px solid var(--line) }}
th {{ color: var(--faint); font-weight: 600; border-bottom: 2px solid var(--line) }}
tbody th {{ color: var(--ink); font-weight: 400; border-bottom: 1px solid var(--line) }}
th, td {{ white-space: nowrap }}
td.broken, th.broken {{ white-space: normal; overflow-wrap: anywhere; min-width: 9rem }}
td.word, th.word {{ text-align: left }} td.long {{ min-width: 20rem }}
th {{ vertical-align: bottom }} td.word:first-child, th.word:first-child {{
  position: sticky; left: 0; background: var(--paper) }}
td.broken:first-child, th.broken:first-child {{ max-width: min(24rem, 45vw) }}
td.broken:first-child {{ min-width: min(9rem, 30vw) }}
td.long:first-child {{ min-width: min(20rem, 40vw) }}
@media (max-width: 62rem) {{
  table {{ font-size: .84rem }} th, td {{ padding-right: .5rem }} td.long {{ min-width: 14rem }}
}}
tr.wrong td, tr.wrong th {{ color: var(--bad); font-weight: 600 }} tr.best td {{ font-weight: 700 }}
td.bar {{ min-width: 6rem; width: 12rem; text-align: left }}
td.bar span {{ display: block; height: .8rem; margin-top: .3rem; background: var(--c0);
  min-width: 1px }}
table.matrix td {{ text-align: right; padding: .25rem .6rem; border: 1px solid var(--line);
  background: color-mix(in srgb, var(--c0) calc(var(--share) * var(--shade)), transparent) }}
table.matrix td.right {{ font-weight: 700; outline: 2px solid var(--faint); outline-offset: -2px }}
table.matrix td.none {{ color: var(--faint) }}
table.matrix th {{ padding: .25rem .6rem; min-width: 2.5rem }}
table.matrix th.word {{ min-width: min(8rem, 24vw); white-space: normal; overflow-wrap: anywhere }}
table.matrix th.broken {{ min-width: 7rem }}
.beside {{ display: flex; flex-wrap: wrap; gap: 0 4rem; align-items: start }}
.beside > div {{ max-width: 100% }}
pre {{ overflow-x: auto; background: var(--soft); padding: .75rem 1rem; font-size: .85rem }}
pre, code {{ font-family: ui-monospace, monospace }}
details {{ margin: .25rem 0 }} summary {{ cursor: pointer; color: var(--faint); font-size: .85rem }}
.findings {{
  display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 32rem), 1fr));
}}
.finding {{ border-left: 4px solid var(--bad); background: var(--bad-soft); padding: .5rem 1rem;
  max-width: 80ch }}
.finding h3 {{ margin: 0 0 .35rem }} .finding dt {{ font-weight: 600 }} .finding dd {{ margin: 0 }}
.finding dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem .8rem; margin: 0 }}
dl.facts {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem;
  margin: .5rem 0 }}
dl.facts dt {{ color: var(--faint) }} dl.facts dd {{ margin: 0; overflow-wrap: anywhere }}
.wrong-note {{ color: var(--bad); font-weight: 600 }}
a:focus-visible, summary:focus-visible, .scroll:focus-visible, pre:focus-visible {{
  outline: 2px solid var(--c0); outline-offset: 2px }}
@media print {{
  nav {{ display: none }} body {{ padding: 0; font-size: 11px }} h2 {{ margin-top: 1.5rem }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact }}
  h2, h3, figcaption, summary {{ break-after: avoid }}
  figure, tr, .finding {{ break-inside: avoid }}
  .charts {{ grid-template-columns: repeat(2, 1fr) }} .charts.large {{ display: block }}
  .scroll {{ overflow: visible; background: none }} table {{ font-size: 8px }}
  th, td {{ white-space: normal; padding-right: .4rem }} pre {{ white-space: pre-wrap }}
  td.broken, th.broken, td.long {{ min-width: 0 }}
  svg.chart.wide-only {{ display: block }}
  svg.chart.narrow-only, svg.chart.full-only {{ display: none }}
}}
"""


def page(title: str, sections: Iterable[tuple[str, str]], lead: str = "") -> str:
    """Return a whole page.

    title: of the page, as text.  lead: HTML below it.  sections: (heading, HTML) of each; those
    without HTML are left out, the others are listed at the head and linked.

    >>> text = page("a < b", [("Numbers", "<p>1</p>"), ("Empty", ""), ("More", "<p>2</p>")])
    >>> "<h1>a &lt; b</h1>" in text, text.count("Empty"), text.count('href="#numbers"')
    (True, 0, 1)
    """
    shown = [(heading, body) for heading, body in sections if body]
    names = [anchor(heading) for heading, _ in shown]
    if len(set(names)) < len(names):
        raise ValueError(f"page: two sections have one name among {names}")
    linked = "".join(
        f'<li><a href="#{name}">{escaped(heading)}</a></li>'
        for name, (heading, _) in zip(names, shown)
    )
    nav = f'<nav aria-label="Sections"><ul>{linked}</ul></nav>' if len(shown) > 1 else ""
    parts = "\n".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{escaped(heading)}</h2>\n{body}'
        "\n</section>"
        for name, (heading, body) in zip(names, shown)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        f"<header><h1>{escaped(title)}</h1>\n{lead}\n{nav}</header>\n<main>\n{parts}\n</main>"
        "\n</body></html>\n"
    )


def anchor(heading: str) -> str:
    """Return what a section is linked by.

    >>> anchor("Time by kernel")
    'time-by-kernel'
    """
    kept = "".join(c if c.isalnum() else "-" for c in heading.lower())
    return "-".join(part for part in kept.split("-") if part) or "section"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    words: int = 1,
    marks: dict[int, str] | None = None,
    bars: Sequence[float] | None = None,
    label: str = "",
) -> str:
    """Return a table whose first columns are words, the others numbers.

    marks: a class of a row by its number: "wrong" or "best".  bars: of each row a share in [0, 1],
    drawn as a bar behind its last cell.  label: what the table is, for those who hear the page.

    >>> table(["name", "n"], [["<a>", "1"]]).count("&lt;a&gt;")
    1
    """

    def cell(tag: str, i: int, text: str) -> str:
        kinds = ["word"] * (i < words)
        if i < words or tag == "th":  # a number is never broken
            kinds += ["broken"] * (len(text) > SHORT)
            kinds += ["long"] * (len(text) > LONG and tag == "td")
        kind = f' class="{" ".join(kinds)}"' if kinds else ""
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{kind}{scope}>{escaped(text)}</{tag}>"

    heads = [cell("th", i, name) for i, name in enumerate(columns)]
    heads += ['<th aria-hidden="true"></th>'] if bars is not None else []
    lines = []
    for number, row in enumerate(rows):
        mark = (marks or {}).get(number)
        cells = [cell("td", i, text) for i, text in enumerate(row)]
        if bars is not None:
            width = 100 * min(1.0, max(0.0, bars[number]))
            cells.append(
                f'<td class="bar" aria-hidden="true"><span style="width:{width:.1f}%"></span></td>'
            )
        kind = f' class="{mark}"' if mark else ""
        lines.append(f"<tr{kind}>{''.join(cells)}</tr>")
    named = f' aria-label="{escaped(label)}"' if label else ""
    body = "\n".join(lines)
    return (
        f'<div class="scroll" tabindex="0"><table{named}>\n'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def matrix(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Return a confusion matrix: a row a true class, a column a predicted one.

    Cells are shaded by their share of their row; the right ones, on the diagonal, have a frame.

    >>> matrix(["a", "b"], ["a", "b"], [[2, 0], [1, 3]]).count('class="right"')
    2
    """

    def named(name: str) -> str:
        broken = ' class="broken"' if len(name) > MIDDLING else ""
        return f'<th scope="col"{broken}>{escaped(name)}</th>'

    head = "".join(map(named, columns))
    lines = []
    for i, (name, line) in enumerate(zip(rows, counts)):
        total = sum(line) or 1
        cells = "".join(
            f"<td{_kind('right' if i == j else '' if count else 'none')}"
            f' style="--share:{count / total:.3f}">{count:,}</td>'
            for j, count in enumerate(line)
        )
        lines.append(f'<tr><th scope="row" class="word">{escaped(name)}</th>{cells}</tr>')
    body = "\n".join(lines)
    return (
        '<div class="scroll" tabindex="0"><table class="matrix" aria-label="confusion matrix">\n'
        f'<thead><tr><th class="word">true \\ predicted</th>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _kind(name: str) -> str:
    return f' class="{name}"' if name else ""


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names with their values.

    >>> facts([("seed", "0")])
    '<dl class="facts"><dt>seed</dt><dd>0</dd></dl>'
    """
    found = "".join(f"<dt>{escaped(a)}</dt><dd>{escaped(b)}</dd>" for a, b in pairs)
    return f'<dl class="facts">{found}</dl>'


def details(summary: str, body: str) -> str:
    """Return what is folded away until it is asked for.

    >>> details("Numbers", "<p>1</p>")
    '<details><summary>Numbers</summary><p>1</p></details>'
    """
    return f"<details><summary>{escaped(summary)}</summary>{body}</details>"
