"""minigrad check: what it prints and writes, its exit status, and what it says about mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.checking.command import Checked, check_function, check_op, checked, known_name
from minigrad.checking.mutation import mutation_score
from minigrad.cli.main import main
from minigrad.engine.op import Op
from minigrad.ops.registry import OPS
from tests.html_page import checked_page

PLAIN = ["check", "Mul", "gelu", "batch_norm"]


class Crooked(Op):
    """y = 2 x, with a gradient of 3."""

    def forward(self, x: Any) -> Any:
        return 2 * x

    def backward(self, grad: Any) -> Any:
        return (3 * grad,)


def crooked(x: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
    return (Crooked.apply(x) * y).sum()  # type: ignore[no-any-return]


def product(x: mg.Tensor, y: mg.Tensor, scale: float = 2.0) -> mg.Tensor:
    return (x * y).tanh() * scale


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    lines = (
        "import tests.test_checking_command as t",
        "crooked, product, nothing = t.crooked, t.product, lambda: 0",
    )
    path.write_text("\n".join(lines))
    return path


def test_ops_are_checked_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "checked.json"
    assert main([*PLAIN, "--json", str(path)]) == 0
    text = capsys.readouterr().out
    assert "3 of 3 are right" in text and "WRONG" not in text
    found = json.loads(path.read_text())
    assert set(found) == {"format", "tolerance", "checked"}
    assert [row["name"] for row in found["checked"]] == ["Mul", "Gelu", "BatchNorm"]
    for row in found["checked"]:
        assert row["failure"] is None and row["samples"] > 3
        assert 0 < row["first"] < 1e-3 and 0 < row["second"] < 1e-3


def test_a_wrong_function_is_reported_and_fails(
    module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", f"{module}:crooked", f"{module}:product"]) == 1
    text = capsys.readouterr().out
    assert "1 of 2 are right" in text
    assert "d(output 0)/d(input 0) is wrong in 6 of 6 elements" in " ".join(text.split())


def test_shapes_and_seed_reach_the_function(module: Path) -> None:
    module.write_text("def f(x, y):\n    return x.sum() * y.sum()")
    first, again, other = (
        check_function(f"{module}:f", [(2,), (1, 3)], seed) for seed in (0, 0, 1)
    )
    assert first.ok and (first.first, first.second) == (again.first, again.second)
    assert (other.first, other.second) != (first.first, first.second)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        check_function(f"{module}:f", [(2,)])


def test_first_and_second_order_are_told_apart() -> None:
    x = mg.tensor([1.0, 2.0], dtype=mg.float64, requires_grad=True)
    found = checked("crooked", [(Crooked.apply, [x])])
    assert (found.ok, found.first, found.second, found.samples) == (False, None, None, 1)
    assert found.failure is not None and "analytic 3, numeric 2" in found.failure
    tanh = check_op("Tanh")
    assert tanh.ok and tanh.first is not None and tanh.second is not None


def test_names_of_ops_in_any_case() -> None:
    assert known_name("log_soft_max") == known_name("LOGSOFTMAX") == "LogSoftmax"
    assert {known_name(name) for name in OPS} == set(OPS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Gelo"], "no op 'Gelo'; did you mean Gelu"),
        (["zzz"], "no op 'zzz'; functions of your own are given as module:function"),
        (["nowhere_at_all:f"], "no module 'nowhere_at_all'"),
        (["nowhere.py:f"], "no file 'nowhere.py'"),
        (["{module}:prodct"], "has no function 'prodct'; did you mean product"),
        (["{module}:nothing"], "takes no argument that it needs: give their shapes, --inputs 2x3"),
        (["{module}:product", "--inputs", "2y3"], "expected shapes such as 2x3, got '2y3'"),
    ],
)
def test_mistakes_are_named(
    module: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *(a.format(module=module) for a in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_a_result_says_whether_it_is_right() -> None:
    assert Checked("f", 1, 0.1, 0.2, 0.0).ok
    assert not Checked("f", 1, np.nan, None, 0.0, "wrong").ok


def test_integers_and_ranges_reach_the_function(module: Path) -> None:
    module.write_text("def f(x, y, k):\n    return (x.log() * y[k]).sum()")
    assert main(["check", f"{module}:f", "--inputs", "3:0.5..2", "4", "3:int:0..3"]) == 0
    module.write_text("def f(x):\n    return (x.detach() * x).sum()")
    assert main(["check", f"{module}:f", "--order", "1"]) == 1


def test_a_page_and_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    assert main(["check", "Mul", "Neg", "--jobs", "2", "--html", str(page)]) == 0
    assert "2 of 2 are right" in capsys.readouterr().out
    written = page.read_text()
    assert any(row[0] == "Mul" for row in checked_page(written).rows)
    assert "http" not in written


def test_third_order_and_versions_are_reported() -> None:
    found = check_op("Tanh", orders=3)
    assert found.ok and found.third is not None and found.versions is not None
    assert 0 < found.versions["float32"] < 1e-5
    gelu = check_op("Gelu")
    assert gelu.versions is not None and gelu.versions["fused"] < 1e-12


def test_mutants_are_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "Mul", "Div", "Softmax", "--mutate", "4"]) == 0
    assert "100.0%" in capsys.readouterr().out


@pytest.mark.slow
def test_the_mutation_score_of_all_rules(request: pytest.FixtureRequest) -> None:
    every = 1 if request.config.getoption("--all-trials") else 4
    score = mutation_score(list(OPS)[::every], most=3)
    assert score.total > 200 / every
    assert score.share >= 0.95, score.survivors
