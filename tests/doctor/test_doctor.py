"""The doctor beside a Trainer, before one and around a program: what it says, and that it changes
nothing.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.cli.main import main
from minigrad.data import DataLoader, load_iris
from minigrad.diagnosis import CHECKS, Doctor, DoctorError, DoctorWarning
from minigrad.diagnosis.findings import check
from minigrad.nn import functional as F


def softmaxed() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(1))


def good() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


def fitted(model: nn.Module, doctor: Any, epochs: int = 2, **options: Any) -> mg.Trainer:
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    trainer = mg.Trainer(model, optimizer, doctor=doctor, **options)
    trainer.fit(DataLoader(load_iris(), 32, shuffle=True), epochs=epochs)
    return trainer


def test_it_warns_by_default_with_code_numbers_and_fix() -> None:
    with pytest.warns(DoctorWarning, match=r"^MG101 Softmax stands before cross_entropy") as seen:
        fitted(softmaxed(), True)
    assert str(seen[0].message).endswith("whose outputs are the logits")
    assert seen[0].filename == __file__


def test_raise_ends_the_fit_and_false_is_silent() -> None:
    with pytest.raises(DoctorError, match="MG101"):
        fitted(softmaxed(), "raise")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted(softmaxed(), False).doctor is None


def test_a_code_is_ignored_and_an_unknown_one_refused() -> None:
    assert "MG101" not in fitted(softmaxed(), Doctor("collect", ignore=["MG101"])).doctor.report
    with pytest.raises(ValueError, match="expected codes of checks such as 'MG101'.*'MG1'"):
        Doctor(ignore=["MG1"])
    with pytest.raises(ValueError, match="expected doctor to be True, False"):
        mg.Trainer(good(), optim.SGD(good().parameters()), doctor="loud")


def test_a_report_is_printed_and_written() -> None:
    report = fitted(softmaxed(), "collect").doctor.report
    (entry,) = [e for e in json.loads(report.to_json()) if e["code"] == "MG101"]
    assert entry["line"].startswith(__file__)
    assert "remove the Softmax" in str(report)
    assert len(report) == len(list(report)) >= 1


def left(doctor: Any, capture: bool) -> tuple[Any, ...]:
    """Return all that a fit with dropout, batch-norm and clipping leaves."""
    _ = mg.manual_seed(3)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
    )
    train, validation, _ = load_iris().split(seed=0)
    trainer = mg.Trainer(
        model,
        optim.AdamW(model.parameters(), lr=0.01),
        callbacks=[mg.train.GradientClipping(0.5)] if capture else [],
        capture=capture,
        doctor=doctor,
    )
    history = trainer.fit(DataLoader(train, 25, shuffle=True), DataLoader(validation, 22), epochs=9)
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]
    bits = [t.array.tobytes() for t in model.state_dict().values()]
    return rows, bits, mg.rand(3).tolist(), [m.training for m in model.modules()]


@pytest.mark.parametrize("capture", [True, False])
def test_it_changes_no_bit_of_the_training(capture: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad.train.steps.PAYS", 5)
    assert left("collect", capture) == left(False, capture)


def test_hooks_of_the_user_hear_the_fit_alone() -> None:
    def heard(doctor: Any) -> int:
        model = good()
        calls: list[int] = []
        model[0].register_forward_hook(lambda *_: calls.append(1))
        fitted(model, doctor)
        return len(calls)

    assert heard("collect") == heard(False)


def test_a_check_that_fails_does_not_end_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad.diagnosis.findings.CHECKS", CHECKS)

    def broken(case: Any) -> list[Any]:
        return [case.nothing]

    entry = CHECKS["MG305"]
    monkeypatch.setitem(CHECKS, "MG305", entry._replace(look=broken))
    with pytest.warns(DoctorWarning, match="MG305 could not be looked for: AttributeError"):
        fitted(good(), True)


def test_a_code_is_registered_once() -> None:
    with pytest.raises(ValueError, match="check MG101: the code is taken"):
        check("MG101", "a title", "setup", "why")(lambda case: [])


def test_an_error_of_the_fit_is_named_and_stays_the_error() -> None:
    x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    y = np.arange(40) % 3 + 1
    model = good()
    trainer = mg.Trainer(model, optim.AdamW(model.parameters()), doctor="collect")
    loader = DataLoader(mg.data.TensorDataset(x, y), 40)
    with pytest.raises((ValueError, IndexError)):
        trainer.fit(loader, epochs=1)
    assert "MG202" in trainer.doctor.report


# ---------------------------------------------------------------- before a fit
def test_mg_doctor_leaves_everything_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    loader = DataLoader(load_iris(), 32, shuffle=True)
    _ = mg.manual_seed(5)
    before = [t.array.tobytes() for t in model.state_dict().values()]
    order = [y.tolist() for _, y in loader]
    _ = mg.manual_seed(5)
    assert "MG301" in mg.doctor(model, optimizer, loader)
    assert [t.array.tobytes() for t in model.state_dict().values()] == before
    assert [y.tolist() for _, y in loader] == order
    assert optimizer._step_count == 0
    assert all(p.grad is None for p in model.parameters())


def test_mg_doctor_finds_nothing_in_what_is_right() -> None:
    model = good()
    loader = DataLoader(load_iris(), 32, shuffle=True)
    assert mg.doctor(model, optim.AdamW(model.parameters(), lr=0.01), loader).codes == []


def test_mg_doctor_does_with_less() -> None:
    assert mg.doctor(nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.9))).codes == ["MG305"]
    model = softmaxed()
    report = mg.doctor(model, loader=[next(iter(DataLoader(load_iris(), 32)))])
    assert "MG101" in report
    with pytest.raises(TypeError, match="expected a Module as model, but got list"):
        mg.doctor([])  # type: ignore[arg-type]


# ---------------------------------------------------------------- around a program
HEAD = """
import minigrad as mg, minigrad.nn.functional as F
from minigrad import nn, optim
_ = mg.manual_seed(0)
train, validation, test = mg.data.load_iris().split(seed=0)
loader = mg.data.DataLoader(train, 16, shuffle=True)
model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))
optimizer = optim.AdamW(model.parameters(), lr=0.01)
"""
LOOP = """
for epoch in range(12):
    {before}
    for x, y in loader:
        loss = {loss}
        {zero}
        loss.backward()
        {step}
    {after}
"""
RIGHT = {
    "before": "_ = model.train()",
    "loss": "F.cross_entropy(model(x), y)",
    "zero": "optimizer.zero_grad()",
    "step": "optimizer.step()",
    "after": "pass",
}
PROGRAMS: dict[str, dict[str, str]] = {
    "": {"after": "_ = model.eval()(test[:][0])"},
    "MG101": {"loss": "F.cross_entropy(model(x).softmax(1), y)"},
    "MG412": {"zero": "pass"},
    "MG415": {"step": "optimizer.zero_grad(); optimizer.step()"},
    "MG416": {"step": "pass"},
    "MG706": {"after": "best = model.state_dict(); _ = model.load_state_dict(best)"},
    "MG707": {"after": "with mg.no_grad(): model(test[:][0])"},
    "MG708": {"before": "_ = model.eval()"},
}


@pytest.mark.parametrize("code", PROGRAMS)
def test_a_hand_written_loop_is_looked_at(
    code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, found = tmp_path / "program.py", tmp_path / "found.json"
    script.write_text(HEAD + LOOP.format(**{**RIGHT, **PROGRAMS[code]}))
    assert main(["doctor", "--json", str(found), str(script)]) == bool(code)
    codes = [entry["code"] for entry in json.loads(found.read_text())]
    assert (code in codes) if code else codes == []
    assert ("the doctor found nothing" in capsys.readouterr().out) == (not codes)


def test_a_program_for_pytorch_and_one_with_a_trainer(tmp_path: Path) -> None:
    script, found = tmp_path / "program.py", tmp_path / "found.json"
    script.write_text(
        HEAD + "model.append(nn.Softmax(1))\n"
        "_ = mg.Trainer(model, optimizer, doctor=False).fit(loader, epochs=2)\n"
    )
    assert main(["doctor", "--json", str(found), str(script)]) == 1
    assert json.loads(found.read_text())[0]["code"] == "MG101"
    assert main(["doctor", "--ignore", "MG101", "--json", str(found), str(script)]) == 0


def test_a_program_that_fails_is_shown_and_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "program.py"
    script.write_text("raise RuntimeError('out of cheese')")
    assert main(["doctor", str(script)]) == 1
    assert "RuntimeError: out of cheese" in capsys.readouterr().err
    assert main(["doctor", str(tmp_path / "none.py")]) == 2
    assert main(["doctor", "--ignore", "MG1", str(script)]) == 2


# ---------------------------------------------------------------- what it must not say
Maker = Callable[[], nn.Module]


@pytest.mark.parametrize(
    "head",
    [lambda: nn.LogSoftmax(1), lambda: nn.Identity()],
    ids=["log-softmax", "identity"],
)
def test_heads_that_are_right(head: Maker) -> None:
    model = nn.Sequential(*good(), head())
    assert fitted(model, "collect", epochs=15).doctor.report.codes == []


def test_the_recipe_is_clean() -> None:
    _ = mg.manual_seed(0)
    train, validation, _ = mg.data.load_iris().split(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mg.recipe(4, 3, hidden=(32, 16), lr=0.01).fit(train, validation, epochs=60)


def test_losses_by_name_and_by_ops() -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.ReLU())
    x = mg.randn(64, 3)
    y = x.sum(1, keepdim=True)
    losses: list[Callable[..., Any]] = [F.mse_loss, nn.L1Loss(), lambda a, b: ((a - b) ** 2).mean()]
    for loss in losses:
        report = mg.doctor(model, loader=[(x, y)], loss=loss)
        assert "MG104" in report
