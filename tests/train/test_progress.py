"""The table: plain lines without a terminal, colours and a bar on one."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from minigrad.train import EarlyStopping, Progress, accuracy
from minigrad.train.callbacks.progress import cell, duration, header, line
from minigrad_kernels.jit.progress import COMPILATIONS
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
    first, _, rest = text.partition("compiling gemm (first use)")
    assert "epoch 2" in first
    assert "epoch 2" in rest
    assert COMPILATIONS.tell == before

    def fail(t: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        shown(At("on_step_end", fail, epoch=2), file=Terminal())
    assert COMPILATIONS.tell == before


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
    assert [duration(s) for s in (0.0004, 0.9994, 59.94, 61.0, 3599.0)] == [
        "0 ms",
        "999 ms",
        "59.9 s",
        "61.0 s",
        "59m 59s",
    ]


def test_wide_values_keep_columns_apart() -> None:
    row = {"epoch": 1234, "loss": -1.5e300, "lr": 1e-10, "seconds": 12.0}
    text = line(row, 9999, best=False)
    assert text.split() == ["1234/9999", "-1.500e+300", "1e-10", "12.0", "s"]
    assert header(["epoch", "loss"]) == " epoch       loss"


def test_every_must_be_positive() -> None:
    with pytest.raises(ValueError, match="every as a whole number >= 1, but got 0"):
        Progress(every=0)
