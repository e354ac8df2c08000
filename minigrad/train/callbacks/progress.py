"""Progress: a table that grows by a line an epoch, with a bar on a terminal."""

from __future__ import annotations

import sys
from typing import IO, Any

from minigrad.engine import arguments
from minigrad.engine.dispatch import redirect_notices
from minigrad.lazy import lazy
from minigrad.train.callbacks.base import Callback, Fit
from minigrad.train.callbacks.history import Row, counted

WIDTH = 10
rich_console = lazy("rich.console")
rich_progress = lazy("rich.progress")
rich_text = lazy("rich.text")


class Progress(Callback):
    """Print a line an epoch: losses, metrics, learning rate, time, `*` on the best epoch so far.

    On a terminal there are colours and a bar for the running epoch; elsewhere lines are plain text,
    aligned and without control codes.

    file: where to, by default standard output.
    every: print every so many epochs (and the last one always).

    >>> print(header(["epoch", "loss", "val_loss", "val_accuracy", "lr", "seconds"]))
     epoch       loss    val loss     val acc        lr     time
    """

    order = 100  # the table shows what the other callbacks have decided

    def __init__(self, file: IO[str] | None = None, every: int = 1) -> None:
        self.file = file
        self.every = arguments.whole("Progress", "every", every, 1)
        self._bar: Any = None
        self._before: Any = None
        self._printed = 0  # the epoch of the last line

    def on_fit_begin(self, trainer: Fit) -> None:
        if self._bar is not None:
            raise RuntimeError(
                "Progress: it shows another fit, within which this one has begun; give the inner "
                "trainer a Progress of its own"
            )
        self._console = rich_console.Console(
            file=self.file or sys.stdout, highlight=False, soft_wrap=True
        )
        self._printed = 0
        self._description = ""
        if self._console.is_terminal:
            self._bar = rich_progress.Progress(
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(bar_width=30),
                rich_progress.MofNCompleteColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=trainer.steps_per_epoch)
            self._before = redirect_notices(self._tell)
            self._bar.start()

    def _tell(self, kernel: str | None) -> None:
        """Say beside the bar which kernel is being compiled: that is what the epoch waits for."""
        text = self._description if kernel is None else f"compiling {kernel} (first use)"
        assert self._bar is not None
        self._bar.update(self._task, description=text, refresh=True)

    def on_epoch_begin(self, trainer: Fit) -> None:
        if self._bar is not None:
            self._description = f"epoch {trainer.epoch}"
            self._bar.reset(self._task, description=self._description)

    def on_step_end(self, trainer: Fit) -> None:
        if self._bar is not None:
            self._bar.advance(self._task)

    def on_epoch_end(self, trainer: Fit) -> None:
        if trainer.epoch % self.every == 0:
            self._show(trainer)

    def _show(self, trainer: Fit) -> None:
        """Print the row of the last finished epoch."""
        history = trainer.history
        row = history.last
        if not self._printed:
            self._console.print(rich_text.Text(header(list(row)), style="bold"))
        best = history.best_epoch == row["epoch"]
        self._console.print(
            rich_text.Text(line(row, trainer.epochs, best), style="green" if best else "")
        )
        self._printed = int(row["epoch"])

    def on_fit_end(self, trainer: Fit) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            try:
                redirect_notices(self._before)
            finally:
                bar.stop()  # shows the cursor again
        history = trainer.history
        if history.rows and self._printed != history.last["epoch"]:
            self._show(trainer)
        self._console.print(rich_text.Text(summary(trainer)))


def header(names: list[str]) -> str:
    """Return the line above the table."""
    short = {"seconds": "time", "epoch": "epoch"}
    shown = [short.get(n, n.replace("_", " ").replace("accuracy", "acc")) for n in names]
    return " ".join(label.rjust(_width(name)) for name, label in zip(names, shown, strict=True))


def line(row: Row, epochs: int, best: bool) -> str:
    """Return the table's line for one epoch.

    >>> line({"epoch": 3, "loss": 0.123456, "accuracy": 0.5, "seconds": 0.25}, 100, best=True)
    ' 3/100     0.1235     50.00 %   250 ms *'
    """
    cells = [cell(name, value, epochs).rjust(_width(name)) for name, value in row.items()]
    return " ".join(cells) + " *" * best


def _width(name: str) -> int:
    """Return the width of a column."""
    return {"epoch": 6, "lr": 9, "seconds": 8}.get(name, WIDTH)


def cell(name: str, value: float, epochs: int) -> str:
    """Return a value as the table shows it: few digits, with its unit.

    >>> cell("val_loss", 123456.0, 1), cell("lr", 0.001, 1)
    ('1.235e+05', '0.001')
    """
    if name == "epoch":
        return f"{value:.0f}/{epochs}"
    if name == "seconds":
        return duration(value)
    if name == "lr":
        return f"{value:.3g}"
    if name.endswith("accuracy"):
        return f"{100 * value:.2f} %"
    plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value:.4f}" if plain else f"{value:.3e}"


def duration(seconds: float) -> str:
    """Return a time for people.

    >>> duration(0.0123), duration(12.34), duration(754.0)
    ('12 ms', '12.3 s', '12m 34s')
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f}m {seconds % 60:02.0f}s"


def summary(trainer: Fit) -> str:
    """Return the line below the table: why the fit ended, which epoch's weights came back."""
    history = trainer.history
    reason = history.stop_reason or "ended by an error"
    ended = f"{counted(len(history), 'epoch')} in {duration(history.seconds)}: {reason}."
    if history.restored_epoch is not None:
        return f"{ended} Restored the weights of epoch {history.restored_epoch}."
    return ended
