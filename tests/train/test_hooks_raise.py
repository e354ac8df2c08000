"""Whatever a hook raises, nothing is left behind: modes, cursor, bar, best weights, next fit."""

from __future__ import annotations

import io
from typing import Any

import pytest

import minigrad as mg
from minigrad.train import Callback, EarlyStopping, GradientClipping, Progress, Trainer
from minigrad.train.callbacks import early_stopping
from minigrad.train.callbacks.base import HOOKS
from minigrad_kernels.jit.progress import COMPILATIONS
from tests.train.toys import loader, network, same, snapshot

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Custom(BaseException):
    """What no one catches as an Exception."""


ERRORS = (RuntimeError, KeyboardInterrupt, SystemExit, Custom, StopIteration)


def raising(hook: str, order: int, error: type[BaseException], at: int) -> Any:
    """Return a callback that raises in the at-th call of a hook, while it is armed."""

    def method(self: Any, trainer: Trainer) -> None:
        self.calls += 1
        if self.armed and self.calls == at:
            raise error("boom")

    kind = type("Raising", (Callback,), {"order": order, hook: method})
    made: Any = kind()
    made.calls, made.armed = 0, True
    return made


class Recorder(Callback):
    """Note the first and the last hook."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.seen: list[str] = []

    def on_fit_begin(self, trainer: Trainer) -> None:
        self.seen.append("begin")

    def on_fit_end(self, trainer: Trainer) -> None:
        self.seen.append("end")


@pytest.mark.parametrize("order", [-50, 200])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook != "on_resume"])
def test_nothing_is_left_behind(
    hook: str, error: type[BaseException], order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    tell = COMPILATIONS.tell
    at = 1 if hook.startswith("on_fit") else (2 if "epoch" in hook else 4)
    bad = raising(hook, order, error, at)
    recorders = [Recorder(-60), Recorder(0), Recorder(300)]
    early = EarlyStopping("loss", patience=50)
    out = Terminal()
    model = network(dropout=0.5)
    model[1].eval()
    modes = [module.training for module in model.modules()]
    optimizer = mg.optim.SGD(model.named_parameters(), lr=0.05)
    parts = [bad, *recorders, early, Progress(out), GradientClipping(1.0)]
    fitted = Trainer(model, optimizer, callbacks=parts)

    if error is KeyboardInterrupt:
        history = fitted.fit(loader(24), loader(16, seed=1), epochs=3)
        assert history.interrupted
        assert history.stop_reason.startswith("interrupted in epoch")
    else:
        with pytest.raises(error, match="boom"):
            fitted.fit(loader(24), loader(16, seed=1), epochs=3)

    text = out.getvalue()
    assert text.count(HIDE) == text.count(SHOW)
    assert COMPILATIONS.tell == tell
    assert [module.training for module in model.modules()] == modes
    assert mg.is_grad_enabled()
    for recorder in recorders:
        begun = hook != "on_fit_begin" or recorder.order < order
        assert recorder.seen == ["begin", "end"] * begun
    if early.best_epoch is not None:
        assert fitted.history.restored_epoch == early.best_epoch
        assert early._kept is not None
        now = {name: t.array for name, t in model.state_dict().items()}
        assert same(now, {name: early._kept[1][name] for name in now})

    bad.armed = False
    history = fitted.fit(loader(24), loader(16, seed=1), epochs=2)
    assert (len(history), history.stop_reason) == (2, "all epochs done")
    text = out.getvalue()
    assert text.count(HIDE) == text.count(SHOW)
    assert [module.training for module in model.modules()] == modes


def test_an_error_at_the_end_does_not_hide_the_first() -> None:
    first = raising("on_step_end", 0, RuntimeError, 2)
    last = raising("on_fit_end", 0, ValueError, 1)
    again = raising("on_fit_end", 1, KeyError, 1)
    model = network()
    optimizer = mg.optim.SGD(model.parameters(), lr=0.05)
    with pytest.raises(RuntimeError, match="boom") as caught:
        Trainer(model, optimizer, callbacks=[first, last, again]).fit(loader(), epochs=1)
    notes = " ".join(caught.value.__notes__)
    assert "Raising.on_fit_end raised ValueError: boom" in notes
    assert "raised KeyError" in notes


def test_ctrl_c_while_the_best_weights_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    restore, calls = early_stopping._restore, []

    def interrupted(model: Any, arrays: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            model[0].weight.array[...] = arrays["0.weight"]
            raise KeyboardInterrupt
        restore(model, arrays)

    monkeypatch.setattr(early_stopping, "_restore", interrupted)
    early = EarlyStopping("loss")
    model = network()
    optimizer = mg.optim.SGD(model.named_parameters(), lr=0.05)
    history = Trainer(model, optimizer, callbacks=[early]).fit(loader(), epochs=2)
    assert history.interrupted
    assert early._kept is not None
    assert same(snapshot(model), {n: early._kept[1][n] for n in snapshot(model)})


def test_a_fit_within_a_fit_of_the_same_trainer_is_refused() -> None:
    class Nested(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            trainer.fit(loader(), epochs=1)

    model = network()
    fitted = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1), callbacks=[Nested()])
    with pytest.raises(RuntimeError, match="in a fit already; give the inner one a Trainer of its"):
        fitted.fit(loader(), epochs=1)
    fitted.callbacks.clear()
    assert len(fitted.fit(loader(), epochs=1)) == 1


def test_a_fit_within_a_fit_of_another_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Terminal()

    class Nested(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            model = network()
            other = Trainer(
                model, mg.optim.SGD(model.parameters(), lr=0.1), callbacks=[Progress(out)]
            )
            assert len(other.fit(loader(), epochs=1)) == 1

    model = network()
    parts = [Nested(), Progress(out)]
    fitted = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1), callbacks=parts)
    assert len(fitted.fit(loader(), epochs=2)) == 2
    text = out.getvalue()
    assert text.count(HIDE) == text.count(SHOW) > 0


@pytest.mark.parametrize("where", ["model", "loss", "metric", "loader", "validation"])
def test_an_error_of_anything_else_leaves_nothing_either(where: str) -> None:
    def boom(*args: Any) -> Any:
        raise RuntimeError("boom")

    def batches() -> Any:
        yield from list(loader())[:2]
        raise RuntimeError("boom")

    class Batches:
        def __iter__(self) -> Any:
            return batches()

    model = network()
    model[1].eval()
    if where == "model":
        model[4].register_forward_hook(boom)
    out, recorder = Terminal(), Recorder(0)
    fitted = Trainer(
        model,
        mg.optim.SGD(model.named_parameters(), lr=0.1),
        **({"loss": boom} if where == "loss" else {}),
        metrics={"m": boom} if where == "metric" else None,
        callbacks=[Progress(out), recorder],
    )
    modes = [module.training for module in model.modules()]
    train = Batches() if where == "loader" else loader()
    held = Batches() if where == "validation" else None
    with pytest.raises(RuntimeError, match="boom"):
        fitted.fit(train, held, epochs=1)
    assert recorder.seen == ["begin", "end"]
    assert [module.training for module in model.modules()] == modes
    assert out.getvalue().count(HIDE) == out.getvalue().count(SHOW)
    with pytest.raises(RuntimeError, match="boom"):
        fitted.evaluate(Batches())
    with pytest.raises(RuntimeError, match="boom"):
        fitted.predict(Batches())
    assert [module.training for module in model.modules()] == modes
    assert mg.is_grad_enabled()
