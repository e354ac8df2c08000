"""The README says what is so: its Python runs, its make targets exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_python_blocks_run_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert blocks("python"), "the README shows no Python"
    namespace: dict[str, object] = {"__name__": "readme"}
    for number, block in enumerate(blocks("python"), 1):
        exec(compile(block, f"README.md, python block {number}", "exec"), namespace)


def test_make_targets_exist() -> None:
    named = {t for block in blocks("bash") for t in re.findall(r"^make ([a-z-]+)", block, re.M)}
    assert named >= {"demo", "test"}
    known = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
    assert named <= known, f"the README names {named - known}, which the Makefile lacks"


def test_phony_targets_are_all_declared() -> None:
    (declared,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert set(declared.split()) == set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))


@needs_make
def test_make_refuses_a_python_it_cannot_use(tmp_path: Path) -> None:
    command = ["make", "PYTHON=false", f"MINIGRAD_VENV={tmp_path / 'venv'}", "test"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "minigrad needs Python 3.11 to 3.13, but 'false' is" in result.stderr
    assert "make PYTHON=python3.12" in result.stderr
    assert not (tmp_path / "venv").exists()
