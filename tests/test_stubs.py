"""Type checkers see the functions and methods that the registries make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.make_stubs import FOLDER, stubs

PROGRAM = """
import minigrad as mg
import minigrad.nn.functional as F

x = mg.tensor([1.0, 2.0])
reveal_type(mg.LeakyRelu)
y: mg.Tensor = F.leaky_relu(x, 0.5)
z = x.exp_()
x.no_such_method()
mg.no_such_function(x)
"""


@pytest.mark.parametrize("name", stubs())
def test_the_stubs_are_as_the_registries(name: str) -> None:
    assert (FOLDER / name).read_text() == stubs()[name], "run python -m tests.golden.make_stubs"


@pytest.mark.slow
def test_a_checker_knows_them(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--no-incremental", "--check-untyped-defs", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    assert "no_such_method" in found and "no_such_function" in found
    assert "LeakyRelu" in found  # is no public name
    assert found.count("error:") == 3, found
