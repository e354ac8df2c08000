"""Progress: a line an epoch; on a terminal and in a notebook curves and a bar below them."""

from __future__ import annotations

import sys
import time
from typing import IO, Any

from minigrad.engine import arguments
from minigrad.engine.dispatch import redirect_notices
from minigrad.lazy import lazy
from minigrad.train.callbacks.base import Callback, Fit
from minigrad.train.callbacks.lines import fitting, header, is_terminal, line, summary
from minigrad.train.callbacks.notebook import in_notebook

MOST_LINES = 500  # of a log, of a longer fit fewer epochs are printed
LONG = 2.0  # seconds: the bar of an epoch is shown where it takes longer
EVERY = 0.25  # seconds between two drawings, at least
SHARE = 150  # times what a drawing takes (4 ms) pass before the next: under 1 % of the fit's time
screens = lazy("minigrad.train.callbacks.screens")


class Progress(Callback):
    """Print a line an epoch: losses, metrics, learning rate, time, `*` on the best epoch so far.

    On a terminal, below the lines of the epochs: a curve of each column, what is being compiled,
    and for an epoch that takes over 2 s a bar with rate and time left; columns that a narrow
    terminal has no room for are left out.  In a notebook the same as one table that is renewed.
    Elsewhere, in a log say: plain lines, aligned, without control codes, at most 500.

    file: where to, by default standard output.
    every: print every so many epochs (and the last one always); by default each, and of a fit of
        more than 500 epochs in a log as many as make 500 lines.

    >>> print(header(["epoch", "loss", "val_loss", "val_accuracy", "lr", "seconds"]))
     epoch       loss    val loss     val acc        lr     time
    """

    order = 100  # the table shows what the other callbacks have decided
    first_rank_only = True

    def __init__(self, file: IO[str] | None = None, every: int | None = None) -> None:
        self.file = file
        self.every = None
        if every is not None:
            self.every = arguments.whole("Progress", "every", every, 1)
        self._running = False
        self._screen: Any = None  # None: a log
        self._before: Any = None
        self._printed = 0  # the epoch of the last line
        self._due = 0.0  # when to draw again

    def on_fit_begin(self, trainer: Fit) -> None:
        if self._running:
            raise RuntimeError(
                "Progress: it shows another fit, within which this one has begun; give the inner "
                "trainer a Progress of its own"
            )
        self._out = self.file or sys.stdout
        self._running = True
        self._printed = 0
        self._names: list[str] = []
        self._compiling = ""
        self._last = 0.0  # seconds of the epoch before
        self._begin_epoch()
        if self.file is None and in_notebook():
            self._screen = screens.Notebook()
        elif is_terminal(self._out):
            self._screen = screens.Terminal(self._out)
        every = 1 if self._screen is not None else -(-trainer.epochs // MOST_LINES)
        self._every = self.every or max(1, every)
        if self._screen is not None:
            self._trainer = trainer
            self._before = redirect_notices(self._tell)

    def _tell(self, kernel: str | None) -> None:
        """Say which kernel is being compiled: that is what the epoch waits for."""
        self._compiling = "" if kernel is None else f"compiling {kernel} (first use)"
        self._draw()

    def on_epoch_begin(self, trainer: Fit) -> None:
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._done = self._drawn = 0  # steps of the epoch: all, and when it was last drawn
        self._began = self._drawn_at = time.perf_counter()
        self._rate = 0.0

    def on_step_end(self, trainer: Fit) -> None:
        self._done += 1
        if self._screen is not None and time.perf_counter() >= self._due:
            self._draw()

    def _draw(self) -> None:
        """Renew what stands below the lines."""
        now = time.perf_counter()
        if self._done > self._drawn and now > self._drawn_at:
            rate = (self._done - self._drawn) / (now - self._drawn_at)
            self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
            self._drawn, self._drawn_at = self._done, now
        trainer = self._trainer
        bar = None
        if max(now - self._began, self._last) > LONG:
            total = trainer.steps_per_epoch
            done = trainer.step - (trainer.epoch - 1) * (total or 0)  # those before a resume too
            if total is None or not 0 <= done <= total:
                done = self._done
            bar = done, total, self._rate
        self._screen.draw(trainer.history, trainer.epoch, trainer.epochs, bar, self._compiling)
        end = time.perf_counter()
        self._due = end + max(EVERY, SHARE * (end - now))

    def on_epoch_end(self, trainer: Fit) -> None:
        self._last = trainer.history.last.get("seconds", 0.0)
        if trainer.epoch % self._every == 0:
            self._show(trainer)
        if self._screen is not None and time.perf_counter() >= self._due:
            self._begin_epoch()  # of the next: this one's bar is full
            self._draw()

    def _show(self, trainer: Fit) -> None:
        """Print the row of the last finished epoch."""
        history = trainer.history
        row = history.last
        names = list(row)
        if self._screen is not None:  # it may have become narrower, or wider
            names = fitting(names, self._screen.width)
        if names != self._names:
            self._names = names
            self._print(header(names), "bold")
        best = history.best_epoch == row["epoch"]
        shown = {name: row[name] for name in self._names if name in row}
        self._print(line(shown, trainer.epochs, best), "green" if best else "")
        self._printed = int(row["epoch"])

    def _print(self, text: str, style: str = "") -> None:
        if self._screen is not None:
            self._screen.print(text, style)
        else:
            self._out.write(text + "\n")
            self._out.flush()

    def on_fit_end(self, trainer: Fit) -> None:
        self._running = False
        history = trainer.history
        screen = self._screen
        try:
            if screen is not None:
                redirect_notices(self._before)
            if history.rows and self._printed != history.last["epoch"]:
                self._show(trainer)
            self._print(summary(trainer))
        finally:
            self._screen = self._trainer = None  # type: ignore[assignment]
            if screen is not None:
                screen.close(history, trainer.epochs)  # shows the cursor again
