"""Where a fit is shown live: a terminal, by rich, and a notebook, as a table of HTML."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from html import escape
from typing import IO, Any, ClassVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from minigrad.train.callbacks.history import History
from minigrad.train.callbacks.lines import cell, duration, is_terminal

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-:=+*#"
CURVE = 24  # letters of a curve
MOST_ROWS = 12  # of the table in a notebook
MOST_WAITING = 1_000  # lines that wait for the next drawing
Bar = tuple[int, int | None, float]  # steps done, of how many, and in a second


def curve(values: Sequence[float], width: int = CURVE, blocks: str = BLOCKS) -> str:
    """Return a curve as letters, the last values of many in the mean; `x` where one is not finite.

    >>> curve([3.0, 2.0, 1.0, math.nan, 1.0])
    '█▅▁x▁'
    >>> len(curve([1.0] * 1000))
    24
    """
    count = len(values)
    parts = [values[count * i // width : count * (i + 1) // width] for i in range(width)]
    means = [sum(part) / len(part) for part in parts if part] if count > width else list(values)
    finite = [v for v in means if math.isfinite(v)]
    if not finite:
        return "x" * len(means)
    low, high = min(finite), max(finite)
    span = high - low or 1.0
    last = len(blocks) - 1

    def letter(value: float) -> str:
        return blocks[round((value - low) / span * last)] if math.isfinite(value) else "x"

    return "".join(map(letter, means))


def curves_of(history: History) -> list[tuple[str, list[float]]]:
    """Return the columns that have a curve."""
    names = [n for n in history.names if n not in ("epoch", "seconds")]
    changing = len(history) and len(set(history["lr"])) > 1 if "lr" in names else True
    return [(n, history[n]) for n in names if n != "lr" or changing]


def bar_text(epoch: int, epochs: int, bar: Bar) -> tuple[str, str]:
    """Return what stands left and right of the bar of an epoch.

    >>> bar_text(3, 10, (512, 2048, 256.0))
    ('epoch 3/10', '512/2,048  256 steps/s  6.0 s left')
    >>> bar_text(3, 10, (5, None, 0.5))
    ('epoch 3/10', '5  2.0 s a step')
    """
    done, total, rate = bar
    said = [f"{done:,}" if total is None else f"{done:,}/{total:,}"]
    if rate > 0:
        said.append(f"{rate:,.0f} steps/s" if rate >= 10 else f"{duration(1 / rate)} a step")
        if total is not None:
            said.append(f"{duration(max(0, total - done) / rate)} left")
    return f"epoch {epoch}/{epochs}", "  ".join(said)


def left_text(history: History, epochs: int) -> str:
    """Return how long the fit will take if no epoch is left out."""
    left = epochs - len(history)
    if not len(history) or left <= 0:
        return ""
    recent = history["seconds"][-20:] if "seconds" in history.names else []
    if not recent:
        return ""
    more = f"{left} more epochs" if left > 1 else "the last epoch"
    return f"{duration(left * sum(recent) / len(recent))} left at most, for {more}"


class Above(Console):
    """A console on which what waits is printed before anything else.

    first: prints what waits.
    """

    def __init__(self, first: Callable[[], None], file: IO[str]) -> None:
        super().__init__(file=file, highlight=False)
        self.first = first

    def print(self, *objects: Any, **options: Any) -> None:
        """Print what waits, then this."""
        self.first()
        super().print(*objects, **options)


class Terminal:
    """Lines that stay, and below them what is drawn anew: curves, a bar.

    What the program prints or logs to the terminal meanwhile stands among the lines, in its order.
    Where a fit runs within a fit, the outer one's drawing is taken away until it goes on.
    """

    open: ClassVar[list[Terminal]] = []  # the innermost last, which alone draws

    def __init__(self, file: IO[str]) -> None:
        self.console = Above(self._flush, file)
        self.waiting: list[tuple[str, str]] = []
        self.blocks = PLAIN
        try:
            BLOCKS.encode(getattr(file, "encoding", None) or "utf-8")
            self.blocks = BLOCKS
        except (UnicodeEncodeError, LookupError):
            pass
        self.live: Live | None = None
        self.moved: list[tuple[Any, Any]] = []
        for other in self.open[-1:]:
            other._stop()
        self.open.append(self)
        self._start()

    def _start(self) -> None:
        """Begin to draw, and take over what the program writes to the terminal."""
        before = sys.stdout, sys.stderr
        out, err = (is_terminal(stream) for stream in before)  # a file keeps what it is sent
        self.live = Live(
            console=self.console,
            transient=True,
            auto_refresh=False,
            redirect_stdout=out,
            redirect_stderr=err,
        )
        self.live.start()
        self.moved = moved_handlers(before, (sys.stdout, sys.stderr))

    def _stop(self) -> None:
        """Take away what is drawn, and give the terminal back."""
        live, self.live = self.live, None
        try:
            if live is not None:
                live.update("", refresh=True)
            self._flush()
        finally:
            if live is not None:
                live.stop()
            for handler, stream in self.moved:
                handler.setStream(stream)
            self.moved = []

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self.console.width

    def print(self, text: str, style: str) -> None:
        """Have a line printed with the next drawing: one each millisecond would take all time."""
        self.waiting.append((text, style))
        if len(self.waiting) >= MOST_WAITING:
            self._flush()

    def _flush(self) -> None:
        if self.waiting:
            lines = [Text(text, style, no_wrap=True) for text, style in self.waiting]
            self.waiting = []
            self.console.print(Text("\n").join(lines), soft_wrap=True)

    def draw(
        self, history: History, epoch: int, epochs: int, bar: Bar | None, compiling: str
    ) -> None:
        """Draw curves and bar anew, below the lines so far."""
        if self.live is None:  # a fit within this one has ended
            self._start()
        assert self.live is not None
        self._flush()
        parts: list[RenderableType] = []
        if len(history) > 1:
            parts.append(self._curves(history))
            parts.append(Text(left_text(history, epochs), "dim", no_wrap=True, overflow="ellipsis"))
        if compiling:
            said = f"epoch {epoch}/{epochs}: {compiling}"
            parts.append(Text(said, no_wrap=True, overflow="ellipsis"))
        elif bar is not None:
            left, right = bar_text(epoch, epochs, bar)
            row = Table.grid(padding=(0, 1))
            columns = (
                (Text(left), Text(right))
                if bar[1] is None
                else (
                    Text(left),
                    ProgressBar(bar[1], bar[0], width=min(30, max(5, self.width - 50))),
                    Text(right),
                )
            )
            for _ in columns:
                row.add_column(no_wrap=True, overflow="ellipsis")
            row.add_row(*columns)
            parts.append(row)
        self.live.update(Group(*parts), refresh=True)

    def _curves(self, history: History) -> Table:
        table = Table.grid(padding=(0, 1))
        for style in ("", "cyan", "", "dim"):
            table.add_column(style=style, no_wrap=True, overflow="ellipsis")
        wide = self.width >= 70
        room = max(4, min(3 * CURVE, self.width - (54 if wide else 26)))
        best = history.best_epoch if wide else None
        for name, values in curves_of(history):
            at_best = ""
            if best is not None and best <= len(values):
                at_best = f"best epoch {best}: {cell(name, values[best - 1], 0)}"
            shown = curve(values, room, self.blocks)
            table.add_row(name.replace("_", " "), shown, cell(name, values[-1], 0), at_best)
        return table

    def close(self, history: History, epochs: int) -> None:
        """Print the last lines, in the place of what was drawn."""
        self.open.remove(self)
        self._stop()


def moved_handlers(before: Sequence[Any], after: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Have the handlers of `logging` write to other streams, which they took when they were made.

    before, after: streams, the new ones in the places of the old ones.
    Returns: the handlers that were moved, each with the stream that it had.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return []
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    found = {id(h): h for logger in loggers for h in getattr(logger, "handlers", ())}
    moved = []
    for handler in found.values():
        for old, new in zip(before, after, strict=True):
            if old is not new and getattr(handler, "stream", None) is old:
                moved.append((handler, handler.setStream(new)))
                break
    return moved


class Notebook:
    """One table of HTML below the cell, renewed as the fit goes on."""

    width = 10_000

    def __init__(self) -> None:
        self.show = sys.modules["IPython"].display.display
        self.said: list[str] = []
        self.handle: Any = None

    def print(self, text: str, style: str) -> None:
        """Keep the last lines, for where HTML is not shown."""
        self.said = [*self.said[-MOST_ROWS:], text]

    def draw(
        self, history: History, epoch: int, epochs: int, bar: Bar | None, compiling: str
    ) -> None:
        """Renew the table."""
        lines = [left_text(history, epochs)]
        drawn = ""
        if compiling:
            lines.append(f"epoch {epoch}/{epochs}: {compiling}")
        elif bar is not None:
            left, right = bar_text(epoch, epochs, bar)
            total = "" if bar[1] is None else f' value="{bar[0]}" max="{bar[1]}"'
            drawn = f"<p>{escape(left)} <progress{total}></progress> {escape(right)}</p>"
        self._renew(history, epochs, lines, drawn)

    def close(self, history: History, epochs: int) -> None:
        """Show how the fit ended."""
        self._renew(history, epochs, self.said[-1:], "")

    def _renew(self, history: History, epochs: int, lines: list[str], drawn: str) -> None:
        said = "".join(f"<p>{escape(text)}</p>" for text in lines if text)
        page = f"<div>{notebook_table(history, epochs)}{drawn}{said}</div>"
        bundle = {"text/html": page, "text/plain": "\n".join(self.said)}
        if self.handle is None:
            self.handle = self.show(bundle, raw=True, display_id=True)
        else:
            self.handle.update(bundle, raw=True)


def notebook_table(history: History, epochs: int) -> str:
    """Return the last epochs and the best one as a table, with a curve of each column."""
    if not history.rows:
        return ""
    kept = history.rows[-MOST_ROWS:]
    if history.best_epoch is not None and history.best_epoch < kept[0]["epoch"]:
        kept = [history.row(history.best_epoch), *kept[1:]]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in history.names)
    drawn = dict(curves_of(history)) if len(history) > 1 else {}
    curves = "".join(f"<td>{small_curve(n, drawn[n]) if n in drawn else ''}</td>" for n in kept[0])
    lines = []
    for row in kept:
        cells = [escape(cell(name, value, epochs)) for name, value in row.items()]
        if row["epoch"] == history.best_epoch:
            cells = [f"<b>{text}</b>" for text in cells]
            cells[0] += " (best)"
        lines.append(f"<tr>{''.join(f'<td>{text}</td>' for text in cells)}</tr>")
    return f"<table><tr>{head}</tr><tr>{curves}</tr>{''.join(lines)}</table>"


def small_curve(name: str, values: Sequence[float], width: int = 90, height: int = 26) -> str:
    """Return a curve without axes as SVG.

    >>> small_curve("loss", [1.0, math.nan, 0.0]).count("<circle")
    2
    """
    stride = math.ceil(len(values) / width)
    points = [(i, v) for i, v in enumerate(values[::stride]) if math.isfinite(v)]
    low = min((v for _, v in points), default=0.0)
    span = max((v for _, v in points), default=1.0) - low or 1.0
    step = (width - 4) / max(1, len(values[::stride]) - 1)
    places = {i: (2 + i * step, height - 3 - (v - low) / span * (height - 6)) for i, v in points}
    parts = []
    for i, (x, y) in places.items():
        if i - 1 in places:
            before = places[i - 1]
            parts.append(f"M{before[0]:.1f} {before[1]:.1f}L{x:.1f} {y:.1f}")
    alone = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.5" fill="currentColor"/>'
        for i, (x, y) in places.items()
        if i - 1 not in places and i + 1 not in places
    ]
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(name)}">'
        f'<path d="{"".join(parts)}" fill="none" stroke="currentColor"/>{"".join(alone)}</svg>'
    )
