"""A page of HTML, read as a browser reads it and held to what every page of ours is held to."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from minigrad_kernels.pages.axes import FONT, Box, overlap, width_of

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
READ = {"h1", "h2", "h3", "td", "th", "text"}
ADDRESS = re.compile(r"https?:|//|url\(|@import|file:|data:", re.IGNORECASE)
LOADS = {"src", "href", "xlink:href", "srcset", "action", "poster", "data"}


class Page(HTMLParser):
    """What a page holds; `faults` are what is wrong with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.headings: list[str] = []
        self.cells: list[str] = []
        self.rows: list[list[str]] = []
        self.svg_texts: list[str] = []
        self.drawings: list[list[tuple[str, Box]]] = []  # the texts of each svg, with their boxes
        self.sizes: list[tuple[float, float]] = []
        self.labels: list[str] = []
        self.ids: list[str] = []
        self.wanted: list[str] = []
        self.style = ""
        self.text = ""
        self._at: tuple[float, float, str] = (0, 0, "")
        self._said = ""
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"never closed: {self.open}")
        self.faults += [f"two elements have the id {i}" for i in self.ids if self.ids.count(i) > 1]
        self.faults += [f"nothing has the id {i}" for i in self.wanted if i not in self.ids]
        if ADDRESS.search(self.style):
            self.faults.append("the style names an address")
        for texts, (width, height) in zip(self.drawings, self.sizes, strict=True):
            self.faults += apart(texts, width, height)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in given.items():
            if name.startswith("on") or (name in LOADS and not value.startswith("#")):
                self.faults.append(f"<{tag} {name}={value!r}> does or loads something")
        if tag in ("script", "iframe", "object", "embed", "link", "base", "form"):
            self.faults.append(f"<{tag}> is more than a page to look at")
        if "id" in given:
            self.ids.append(given["id"])
        if given.get("href", "").startswith("#"):
            self.wanted.append(given["href"][1:])
        for name in ("aria-labelledby", "aria-describedby", "for", "headers"):
            self.wanted += given.get(name, "").split()
        if tag == "svg":
            _, _, width, height = map(float, given["viewbox"].split())
            self.sizes.append((width, height))
            self.drawings.append([])
            if given.get("aria-hidden") != "true":
                self.labels.append(given.get("aria-label", ""))
                if given.get("role") != "img" or not given.get("aria-label"):
                    self.faults.append("a drawing has no name for those who hear the page")
        if tag == "text":
            self._at = float(given["x"]), float(given["y"]), given["text-anchor"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("path", "rect") and "nan" in str(given).lower():
            self.faults.append(f"<{tag}> is drawn at NaN")
        if tag in READ:
            self._said = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing, at {self.getpos()}")
        if tag in ("h1", "h2", "h3"):
            self.headings.append(self._said)
        if tag in ("td", "th"):
            self.cells.append(self._said)
            self.rows[-1].append(self._said)
        if tag == "text":
            x, y, anchor = self._at
            width = width_of(self._said)
            left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
            box = left, y - 0.75 * FONT, left + width, y + 0.2 * FONT
            self.drawings[-1].append((self._said, box))
            self.svg_texts.append(self._said)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
            return
        self._said += data
        self.text += data


def apart(texts: list[tuple[str, Box]], width: float, height: float) -> list[str]:
    """Say which texts of a drawing meet, and which leave it."""
    faults = []
    for i, (text, box) in enumerate(texts):
        if box[0] < -0.5 or box[1] < -0.5 or box[2] > width + 0.5 or box[3] > height + 0.5:
            faults.append(f"{text!r} leaves the drawing of {width} x {height}: {box}")
        faults += [f"{text!r} meets {o!r}" for o, other in texts[:i] if overlap(box, other)]
    return faults


def checked_page(text: str) -> Page:
    """Return a page that has no faults."""
    page = Page(text)
    assert page.faults == []
    assert text.startswith("<!doctype html>") and 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in page.style
    return page
