"""The table: plain lines without a terminal, colours and a bar on one."""

from __future__ import annotations

import io
import itertools
import logging
import math
import os
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from minigrad.train import EarlyStopping, Progress, accuracy
from minigrad.train.callbacks.history import History
from minigrad.train.callbacks.lines import cell, duration, fitting, header, line
from minigrad.train.callbacks.screens import curve, notebook_table
from minigrad_kernels.jit.progress import COMPILATIONS
from tests.html_page import Page
from tests.train.toys import At, Scores, interrupt, loader, trainer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(*callbacks: Any, epochs: int = 3, file: io.StringIO | None = None, every: int = 1) -> str:
    out = file or io.StringIO()
    fitted = trainer(*callbacks, Progress(out, every=every), metrics=[accuracy])
    fitted.fit(loader(), loader(seed=1), epochs=epochs)
    return out.getvalue()


def test_plain_lines_are_aligned_and_have_no_control_codes() -> None:
    text = shown(Scores(3.0, 1.0, 2.0), EarlyStopping(patience=2))
    assert text.isascii()
    assert "\x1b" not in text
    assert "\r" not in text
    head, *rows, last = text.splitlines()
    assert head.split() == ["epoch", "loss", "acc", "val", "loss", "val", "acc", "lr", "time"]
    assert [len(row.rstrip(" *")) for row in rows] == [len(head)] * 3
    assert [row.endswith("*") for row in rows] == [True, True, False]
    assert re.fullmatch(r"3 epochs in .*: all epochs done. Restored the weights of epoch 2.", last)
    assert re.search(r" 2/3 +\d\.\d{4} +\d+\.\d\d % +1\.0000 +\d+\.\d\d % +0\.05 +\d+ ms \*", text)


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(file=Terminal())
    assert "\x1b[" in text
    assert "3/3" in text


def test_the_bar_says_what_is_being_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    before = COMPILATIONS.tell

    def compile_a_kernel(t: Any) -> None:
        COMPILATIONS.tell("gemm")
        COMPILATIONS.tell(None)

    text = shown(At("on_step_end", compile_a_kernel, epoch=2), file=Terminal())
    assert "epoch 2/3: compiling gemm (first use)" in text
    assert text.count("compiling gemm") == len(loader())  # drawn once each, and gone at once
    assert COMPILATIONS.tell == before

    def fail(t: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        shown(At("on_step_end", fail, epoch=2), file=Terminal())
    assert COMPILATIONS.tell == before


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes each time that somebody looks."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("minigrad.train.callbacks.progress.SHARE", 0.0)
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr("minigrad.train.callbacks.progress.time", clock)


@pytest.mark.usefixtures("slow_clock")
def test_a_slow_epoch_has_a_bar_with_rate_and_time_left() -> None:
    text = unstyled(shown(file=Terminal()))
    steps = len(loader())
    (said,) = set(re.findall(rf"epoch 2/3 [^\n]* {steps - 1}/{steps} +(\S+ s|\S+ ms) a step", text))
    assert float(said.split()[0]) > 0
    assert re.search(r" a step +\d\S* m?s left", text)


def test_a_quick_epoch_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "left" not in re.sub("[^\n]* left at most", "", unstyled(shown(file=Terminal())))


@pytest.mark.usefixtures("slow_clock")
@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_no_line_of_a_terminal_is_longer_than_it(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = unstyled(shown(epochs=12, file=Terminal())).splitlines()
    lines = [text for text in lines if "epochs in" not in text]  # the summary may wrap
    assert max(map(len, lines)) <= width
    assert any("▁" in text or "█" in text for text in lines)
    assert sum(text.split("/")[0].strip() == "12" for text in lines) == 1


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Have standard output and standard error be one terminal, of 100 columns."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    made = Terminal()
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(sys, "stderr", made)
    return made


def on_screen(text: str) -> list[str]:
    """Return the lines that a terminal shows in the end."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part.endswith("A") and part[0] == "\x1b":
            row -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part[0] != "\x1b" and part != "\r":
            lines[row] += part
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.parametrize("way", ["print", "logging"])
def test_what_is_printed_and_logged_stands_among_the_lines(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    terminal = on_terminal(monkeypatch)
    logger = logging.getLogger("tests.progress")
    handler = logging.StreamHandler(terminal)  # holds the stream that it was made with
    logger.addHandler(handler)

    def tell(t: Any) -> None:
        text = f"the end of epoch {t.epoch}"
        logger.warning(text) if way == "logging" else print(text)

    try:
        fitted = trainer(*(At("on_step_end", tell, epoch=e) for e in (2, 3)), Progress())
        fitted.fit(loader(8), epochs=4)
    finally:
        logger.removeHandler(handler)
    assert handler.stream is terminal
    first = [line.split()[0] for line in on_screen(terminal.getvalue())]
    assert first == ["epoch", "1/4", "the", "2/4", "the", "3/4", "4/4", "4"]


def test_a_fit_within_a_fit_takes_the_drawing_away_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)

    def inner(t: Any) -> None:
        trainer(Progress()).fit(loader(), epochs=3)

    fitted = trainer(*(At("on_epoch_end", inner, epoch=e) for e in (3, 4)), Progress())
    fitted.fit(loader(), epochs=5)
    first = [line.split()[0] for line in on_screen(terminal.getvalue())]
    within = ["epoch", "1/3", "2/3", "3/3", "3"]
    assert first == ["epoch", "1/5", "2/5", *within, "3/5", *within, "4/5", "5/5", "5"]
    assert re.findall(r"\x1b\[\?25.", terminal.getvalue())[-1].endswith("h")  # the cursor is back
    assert sys.stdout is terminal


def test_what_goes_to_a_file_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)

    def fail(t: Any) -> None:
        sys.stderr.write("for the file\n")

    trainer(At("on_step_end", fail, epoch=2), Progress()).fit(loader(8), epochs=3)
    assert errors.getvalue() == "for the file\n"
    assert "for the file" not in terminal.getvalue()


def test_a_terminal_that_becomes_narrower_gets_fewer_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)

    def narrow(t: Any) -> None:
        monkeypatch.setenv("COLUMNS", "40")

    width = property(lambda self: int(os.environ["COLUMNS"]))
    monkeypatch.setattr("minigrad.train.callbacks.screens.Terminal.width", width)
    fitted = trainer(At("on_step_end", narrow, epoch=2), Progress(), metrics=[accuracy])
    fitted.fit(loader(8), loader(8), epochs=3)
    rows = [x for x in on_screen(terminal.getvalue()) if x.split()[0] in ("epoch", "2/3", "3/3")]
    assert [len(row) < 40 for row in rows] == [False, True, True, True]


def test_a_terminal_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")

    class Latin(Terminal):
        encoding = "latin-1"

    shown(epochs=12, file=Latin()).encode("latin-1", "strict")


@pytest.mark.usefixtures("slow_clock")
def test_the_bar_of_a_resumed_epoch_begins_where_it_was_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bars: list[Any] = []
    progress = Progress(Terminal())
    fit = SimpleNamespace(history=History(), epoch=3, epochs=5, steps_per_epoch=40, step=105)
    progress.on_fit_begin(fit)
    monkeypatch.setattr(progress._screen, "draw", lambda *a: bars.append(a[3]))
    for _ in range(10):
        fit.step += 1
        progress.on_step_end(fit)
    assert bars[-1][:2] == (35, 40) and 0 < bars[-1][2] < 2
    progress.on_fit_end(fit)


def test_drawing_is_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand steps in what the clock says is a second: at most a drawing each 0.25 s."""
    monkeypatch.setenv("TERM", "xterm-256color")
    now = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(now) / 10_000)
    monkeypatch.setattr("minigrad.train.callbacks.progress.time", clock)
    drawn: list[int] = []
    progress = Progress(Terminal())
    fit = SimpleNamespace(
        history=History(), epoch=1, epochs=1, steps_per_epoch=10_000, step=0, batch_loss=None
    )
    progress.on_fit_begin(fit)
    draw = progress._screen.draw
    monkeypatch.setattr(progress._screen, "draw", lambda *a: (drawn.append(1), draw(*a)))
    for _ in range(10_000):
        progress.on_step_end(fit)
    assert 2 <= len(drawn) <= 5
    progress.on_fit_end(fit)


def test_a_log_of_many_epochs_has_500_lines() -> None:
    out = io.StringIO()
    progress = Progress(out)
    fit = SimpleNamespace(history=History(), epoch=0, epochs=10_001, steps_per_epoch=1)
    progress.on_fit_begin(fit)
    for epoch in range(1, 10_002):
        fit.epoch = epoch
        fit.history.append({"epoch": epoch, "loss": 1 / epoch, "lr": 0.1, "seconds": 0.001})
        progress.on_epoch_end(fit)
    progress.on_fit_end(fit)
    lines = out.getvalue().splitlines()
    assert 400 < len(lines) <= 503
    assert lines[-2].startswith("10001/10001")


def test_a_notebook_has_one_table_that_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    bundles: list[dict[str, str]] = []

    class Handle:
        def update(self, bundle: dict[str, str], raw: bool) -> None:
            bundles.append(bundle)

    def display(bundle: dict[str, str], raw: bool, display_id: bool) -> Handle:
        assert raw and display_id and not bundles
        bundles.append(bundle)
        return Handle()

    shell = SimpleNamespace(kernel=object())
    module = SimpleNamespace(display=SimpleNamespace(display=display), get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", module)
    fitted = trainer(EarlyStopping(patience=9), Progress(), metrics=[accuracy])
    history = fitted.fit(loader(), loader(seed=1), epochs=4)
    assert 1 <= len(bundles) <= 3
    last = Page("<main>" + bundles[-1]["text/html"] + "</main>")
    assert [fault for fault in last.faults if "name for those" not in fault] == []
    assert len(last.rows) == 2 + 4
    assert cell("val_loss", history.last["val_loss"], 4) in last.cells
    assert "4 epochs in" in last.text
    assert bundles[-1]["text/plain"].splitlines()[0] == header(history.names)


def test_the_table_of_a_notebook_is_short_and_shows_the_best_epoch() -> None:
    history = History()
    for epoch in range(1, 101):
        history.append({"epoch": epoch, "<b>": 1.0, "loss": abs(epoch - 7.5), "lr": 0.1})
    found = Page("<main>" + notebook_table(history, 100) + "</main>")
    assert len(found.rows) == 2 + 12
    assert found.rows[2][0].startswith("7/100") and found.rows[-1][0] == "100/100"
    assert found.rows[0][1] == "<b>"


def test_curves() -> None:
    assert curve([1.0]) == "▁" and curve([]) == ""
    assert curve([math.nan] * 3) == "xxx"
    assert curve([0.0, 1.0], blocks="_#") == "_#"
    long = curve([float(i) for i in range(999)], 9)
    assert list(long) == sorted(long) and len(long) == 9


def test_columns_that_a_terminal_has_no_room_for_are_left_out() -> None:
    names = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    assert fitting(names, 200) == names
    for width in range(18, 100):
        assert len(header(fitting(names, width))) < width
    assert fitting(names, 20) == ["epoch", "loss"]


def unstyled(text: str) -> str:
    """Return what a terminal shows, with all that was drawn over."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text).replace("\r", "\n")


def test_a_narrow_terminal_breaks_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert len(shown().splitlines()) == 5


def test_every() -> None:
    rows = shown(epochs=5, every=2).splitlines()[1:-1]
    assert [row.split("/")[0].strip() for row in rows] == ["2", "4", "5"]


def test_ctrl_c_and_errors_close_the_table() -> None:
    text = shown(At("on_step_end", interrupt, epoch=2))
    assert text.splitlines()[-1].endswith(": interrupted in epoch 2.")

    def fail(t: Any) -> None:
        raise RuntimeError

    out = io.StringIO()
    with pytest.raises(RuntimeError):
        shown(At("on_step_end", fail, epoch=2), file=out)
    assert out.getvalue().splitlines()[-1].endswith(": ended by an error.")


def test_numbers_are_short() -> None:
    assert [cell("loss", v, 1) for v in (0.0, 1e-5, 0.5, 12345.6, float("nan"))] == [
        "0.0000",
        "1.000e-05",
        "0.5000",
        "1.235e+04",
        "nan",
    ]
    times = 0.0004, 0.9994, 0.9996, 59.94, 61.0, 99.96, 119.7, 3599.0, 3599.6, 86_399.0, math.nan
    assert [duration(s) for s in times] == [
        *("400 us", "999 ms", "1.0 s", "59.9 s", "61.0 s", "1m 40s", "2m 00s", "59m 59s"),
        *("1h 00m", "23h 59m", "unknown"),
    ]


def test_wide_values_keep_columns_apart() -> None:
    row = {"epoch": 1234, "loss": -1.5e300, "lr": 1e-10, "seconds": 12.0}
    text = line(row, 9999, best=False)
    assert text.split() == ["1234/9999", "-1.500e+300", "1e-10", "12.0", "s"]
    assert header(["epoch", "loss"]) == " epoch       loss"


def test_long_names_keep_their_columns_apart() -> None:
    names = ["epoch", "loss", "a_metric_of_a_name_too_long_to_be_shown", "val_balanced_f1", "lr"]
    head = header(names)
    row = line({"epoch": 1, **dict.fromkeys(names[1:-1], 0.5), "lr": 0.1}, 9, best=False)
    assert len(head) == len(row)
    for number, text in (("0.5000", "loss"), ("0.5000", "a metric of a name ..."), ("0.1", "lr")):
        assert row[: head.index(text) + len(text)].endswith(number)
    assert len(header(fitting(names, 50))) < 50


def test_every_must_be_positive() -> None:
    with pytest.raises(ValueError, match="every as a whole number >= 1, but got 0"):
        Progress(every=0)
