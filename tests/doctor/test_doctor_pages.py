"""A page a code: its program makes the mistake, the doctor says so, and the fix mends it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad.diagnosis import CHECKS
from tests.pages import ROOT

FOLDER = Path("docs/doctor")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
assert callable(mg.doctor)  # which has registered the checks


def blocks(code: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page: its program, the doctor's words, the fix."""
    return BLOCK.findall((ROOT / FOLDER / f"{code}.md").read_text(encoding="utf-8"))


def report_of(program: str, code: str) -> Any:
    module: dict[str, Any] = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some mistakes are warned of elsewhere too
        exec(compile(program, f"{code}.md", "exec"), module)
    return module["report"]


def test_every_code_has_a_page_and_a_line_in_the_index() -> None:
    pages = {path.stem for path in (ROOT / FOLDER).glob("MG*.md")}
    assert pages == set(CHECKS)
    index = (ROOT / FOLDER / "index.md").read_text(encoding="utf-8")
    for code, entry in CHECKS.items():
        assert f"| [{code}]({code}.md) | {entry.title} |" in index
    named = set(re.findall(r"MG\d{3}", index))
    assert named <= set(CHECKS)


@pytest.mark.parametrize("code", sorted(CHECKS))
def test_a_page_says_what_is_so(code: str) -> None:
    assert (
        (ROOT / FOLDER / f"{code}.md").read_text().startswith(f"# {code}: {CHECKS[code].title}\n")
    )
    (first, program), (words, said), (second, fix) = blocks(code)
    assert (first, words, second) == ("python", "text", "python")
    report = report_of(program, code)
    assert code in report
    found = next(str(finding) for finding in report if finding.code == code)
    # Where it is in the program, and numbers beyond their first digits, are left open.
    assert plain(found) == plain(said)
    assert code not in report_of(fix, code)


def plain(text: str) -> str:
    """Return the words of a finding without line numbers, measured numbers and line breaks."""
    text = re.sub(r" \([^()]*\.md:\d+\)", "", " ".join(text.split()))
    return re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?|nan|inf", "#", text)
