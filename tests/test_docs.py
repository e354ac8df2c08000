"""The pages say what is so: their Python runs; what they name and link to is there."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import spread
from tests.pages import NEEDS, READ, ROOT, RUN, blocks, prose, text

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
# Pages that compile kernels of their own, or compare.
SLOW = ("README.md", "docs/compare.md", "docs/new_kernel.md")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
        for page in RUN
        if blocks(page, "python")
    ],
)
def test_python_blocks_run_one_after_another(page: str, tmp_path: Path) -> None:
    """In a process of their own: what a page adds to the registries is no other test's."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.pages", page],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{page}\n{result.stdout}\n{result.stderr}"
    expected = sum(block.here for block in blocks(page, "python"))
    assert result.stdout.endswith(f"\n{expected} blocks ran\n")


@pytest.mark.parametrize("page", READ)
def test_fences_say_what_they_hold(page: str) -> None:
    for block in blocks(page):
        assert block.language in ("python", "bash", "text"), f"{page}:{block.line}"
        assert set(block.needs) <= NEEDS.keys(), f"{page}:{block.line}"
    assert text(page).count("```") == 2 * len(blocks(page)), f"{page}: a fence has no language"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(links("README.md"))
    assert {page for page in READ if page != "README.md"} <= linked


def links(page: str) -> list[str]:
    """Return the relative links of a page's prose."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return what the headings of a page are linked by, as GitHub makes it of their words."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", READ)
def test_links_lead_somewhere(page: str) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page} links to {link}"


def commands(page: str) -> list[list[str]]:
    """Return the commands of a page's bash blocks, in words, comments left out."""
    lines = [line for block in blocks(page, "bash") for line in block.code.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("page", READ)
def test_make_targets_exist(page: str) -> None:
    named = {words[1] for words in commands(page) if words[0] == "make"}
    named |= set(re.findall(r"`make ([a-z-]+)", prose(page)))
    assert named <= TARGETS, f"{page} names {named - TARGETS}, which the Makefile lacks"


def test_what_ci_runs_is_listed() -> None:
    written = (ROOT / ".ci/run").read_text(encoding="utf-8")
    run = re.findall(r"^step make ([a-z-]+)", written, flags=re.MULTILINE)
    listed = text("CONTRIBUTING.md").partition("## What CI runs")[2]
    assert re.findall(r"^make ([a-z-]+)", listed, flags=re.MULTILINE) == run


def test_the_readme_names_the_two_commands() -> None:
    assert {"demo", "test"} <= {words[1] for words in commands("README.md") if words[0] == "make"}


@pytest.mark.parametrize("page", READ)
def test_commands_name_modules_files_and_tests_that_exist(page: str) -> None:
    for words in commands(page):
        for before, word in zip(["", *words], words, strict=False):
            if before == "-m" and words[words.index("-m") - 1].endswith("python"):
                spec = importlib.util.find_spec(word)
                assert word == "pdb" or word == "pytest" or spec, f"{page}: python -m {word}"
            path, _, test = word.partition("::")
            if path.startswith(("tests/", "minigrad/", "kernels/", "benchmarks/", "examples/")):
                assert (ROOT / path).exists(), f"{page}: {word}"
                name = test.partition("[")[0]
                assert f"def {name}(" in (ROOT / path).read_text() if test else True, word


@pytest.mark.parametrize("page", READ)
def test_paths_in_the_prose_exist(page: str) -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for word in re.findall(r"`([\w*./-]+)`", prose(page)):
        if "/" in word and word.split("/")[0] in folders:
            assert list(ROOT.glob(word.rstrip("/"))), f"{page} names {word}"


@pytest.mark.parametrize("page", [*READ, "CHANGELOG.md"])
def test_dotted_names_in_the_prose_exist(page: str) -> None:
    for name in re.findall(r"`((?:mg|minigrad\w*)\.[A-Za-z_]\w*(?:\.\w+)*)", prose(page)):
        if name.startswith("minigrad.sklearn") and find_spec("sklearn") is None:
            continue
        assert resolved(name.replace("mg.", "minigrad.", 1)), f"{page} names {name}"


def resolved(name: str) -> bool:
    """Tell whether a dotted name is a module, or an attribute of one."""
    if name.startswith("minigrad.as_torch"):  # whose import makes this whole process PyTorch's
        return find_spec(name) is not None
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_the_readme_has_every_room() -> None:
    """Every folder of the packages' sources is named, but the parts of a room."""
    written = text("README.md")
    for package in ("minigrad", "kernels/minigrad_kernels"):
        for path in sorted((ROOT / package).glob("*/__init__.py")):
            assert f"{path.parent.name}/" in written, f"the README does not name {path.parent}"


def test_quick_takes_the_first_the_last_and_evenly_between() -> None:
    assert spread([1, 2, 3], 8) == [1, 2, 3]
    assert spread(list(range(8)), 8) == list(range(8))
    assert spread(list(range(15)), 8) == list(range(0, 15, 2))
    assert spread(list(range(9)), 8)[::7] == [0, 8] and len(set(spread(list(range(9)), 8))) == 8


def test_phony_targets_are_all_declared() -> None:
    (declared,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert set(declared.split()) == TARGETS


@needs_make
def test_make_refuses_a_python_it_cannot_use(tmp_path: Path) -> None:
    command = ["make", "PYTHON=false", f"MINIGRAD_VENV={tmp_path / 'venv'}", "test"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "minigrad needs Python 3.11 to 3.13, but 'false' is" in result.stderr
    assert "make PYTHON=python3.12" in result.stderr
    assert not (tmp_path / "venv").exists()
